"""Records of brands: as whom mail is sent, from which addresses, and with which keys it is signed."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import DateTime, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from rapport.channels.brands.settings import secret_settings
from rapport.stores.records import Base
from rapport.stores.records.sealing import Sealed, SealedMembers
from rapport.stores.records.shapes import Member

UNIQUE_BRAND = "uq_brands_tenant_id_name"


class BrandKind(StrEnum):
    """What mail of a brand is about: campaigns, or what an application sends because of something a person did."""

    MARKETING = "marketing"
    TRANSACTIONAL = "transactional"


class AddressRole(StrEnum):
    """Whether mail is sent from an address of a brand, or replies go to it."""

    FROM = "from"
    REPLY_TO = "reply_to"


class Algorithm(StrEnum):
    """How mail is signed (RFC 6376, RFC 8463), as DKIM records name it."""

    RSA = "rsa"
    ED25519 = "ed25519"


class KeyState(StrEnum):
    """The state of a DKIM key. PENDING waits until its record is published; RETIRED no longer signs, but mail that it
    signed may still be under way.
    """

    PENDING = "pending"
    ACTIVE = "active"
    RETIRED = "retired"


class Brand(Base):
    """A brand, which is an account for mail: the BrandID of the wire. settings: see brands.settings.

    version counts the changes of the brand and of its keys, so that open transports notice them.
    """

    __tablename__ = "brands"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[BrandKind] = mapped_column(
        Member(BrandKind, 20), default=BrandKind.MARKETING, server_default=BrandKind.MARKETING
    )
    settings: Mapped[dict[str, Any]] = mapped_column(
        SealedMembers("brands.settings", secret_settings), default=dict, server_default="{}"
    )
    version: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)


class BrandAddress(Base):
    """An address of a brand, by an id that only it ever has among those of its brand and role."""

    __tablename__ = "brand_addresses"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    brand_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    role: Mapped[AddressRole] = mapped_column(Member(AddressRole, 20), primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    address: Mapped[str] = mapped_column(String(320))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("uq_brand_addresses_address", "tenant_id", "brand_id", "role", text("lower(address)"), unique=True),
    )


class DkimKey(Base):
    """A key with which mail of a brand is signed. Its public half stands in the DNS of every domain that the brand
    sends from, under the selector.

    private_key is PKCS #8 in PEM; public_key is what the DNS record says of it, in Base64.
    """

    __tablename__ = "dkim_keys"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    brand_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    selector: Mapped[str] = mapped_column(String(63), primary_key=True)
    algorithm: Mapped[Algorithm] = mapped_column(Member(Algorithm, 20))
    state: Mapped[KeyState] = mapped_column(Member(KeyState, 20))
    private_key: Mapped[str] = mapped_column(Sealed("dkim_keys.private_key", None))
    public_key: Mapped[str] = mapped_column(String(1000))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
