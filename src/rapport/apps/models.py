"""Records of apps: credentials, installs with push tokens, errors of push services, events carried out."""

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, DateTime, Index, Integer, String, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.apps.states import TokenType
from rapport.stores.records import Base
from rapport.stores.records.sealing import Sealed
from rapport.stores.records.shapes import Numbered

UNIQUE_APP_NAME = "uq_device_apps_name"


class App(Base):
    """An app or web site that is built with an SDK, or calls as one does.

    api_key names it anywhere. secret_key is in every copy of the app and opens the calls of devices; the server key is
    the company's own and opens those that send as well. vapid_public_key (base64url) and vapid_private_key (PEM) sign
    web push to browsers, whose subscriptions hold for this one pair: it never changes. for_web: browsers that name the
    tenant alone are this app's.
    """

    __tablename__ = "device_apps"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    api_key: Mapped[str] = mapped_column(String(36), unique=True)
    secret_key: Mapped[str] = mapped_column(Sealed("device_apps.secret_key"))
    secret_key_hash: Mapped[str] = mapped_column(String(64))
    server_key_hash: Mapped[str] = mapped_column(String(64))
    vapid_public_key: Mapped[str] = mapped_column(String(100))
    vapid_private_key: Mapped[str] = mapped_column(Sealed("device_apps.vapid_private_key", None))
    for_web: Mapped[bool] = mapped_column(Boolean)
    web_settings: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index(UNIQUE_APP_NAME, "tenant_id", text("lower(name)"), unique=True),
        Index("uq_device_apps_for_web", "tenant_id", unique=True, postgresql_where=text("for_web")),
    )


class Install(Base):
    """An app on one device or in one browser, and whose it is.

    customer_id is as the app gave it, person the same in lower case; both are None while nobody is known, and
    install_id is then the user's identifier. token is how a push reaches it, of the kind token_type, None when none
    does; token_key is a hash of what is the token's alone (of a web push subscription its endpoint). is_production is
    APNs' choice of environment. Members that nobody has told are None, or empty texts.
    """

    __tablename__ = "installs"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    app_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    install_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    customer_id: Mapped[str | None] = mapped_column(String(300))
    person: Mapped[str | None] = mapped_column(String(310))
    token: Mapped[str | None] = mapped_column(Text)
    token_type: Mapped[TokenType | None] = mapped_column(Numbered(TokenType))
    token_key: Mapped[str | None] = mapped_column(String(64))
    token_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    token_ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    token_end_reason: Mapped[str] = mapped_column(String(300), default="")
    is_production: Mapped[bool] = mapped_column(Boolean, default=True)
    bundle_id: Mapped[str] = mapped_column(String(255), default="")
    package: Mapped[str] = mapped_column(String(255), default="")
    notifications_enabled: Mapped[bool | None] = mapped_column(Boolean)
    in_app_consent: Mapped[bool | None] = mapped_column(Boolean)
    badge: Mapped[int] = mapped_column(Integer, default=0)
    os: Mapped[str] = mapped_column(String(100), default="")
    device: Mapped[str] = mapped_column(String(300), default="")
    time_zone: Mapped[str] = mapped_column(String(64), default="")
    locale: Mapped[str] = mapped_column(String(35), default="")
    app_version: Mapped[str] = mapped_column(String(100), default="")
    sdk: Mapped[str] = mapped_column(String(100), default="")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("ix_installs_person", "tenant_id", "person", postgresql_where=text("person IS NOT NULL")),
        Index("ix_installs_seen_at", "tenant_id", "seen_at"),
        Index(
            "uq_installs_token_key",
            "tenant_id",
            "app_id",
            "token_key",
            unique=True,
            postgresql_where=text("token_key IS NOT NULL"),
        ),
    )


class ProviderError(Base):
    """What a push service answered instead of taking a push; status is its HTTP status, 0 where there was none."""

    __tablename__ = "provider_errors"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    app_id: Mapped[int] = mapped_column(Integer)
    install_id: Mapped[str] = mapped_column(String(100))
    customer_id: Mapped[str | None] = mapped_column(String(300))
    person: Mapped[str | None] = mapped_column(String(310))
    provider: Mapped[str] = mapped_column(String(20))
    status: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(String(300))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("ix_provider_errors_tenant_id_id", "tenant_id", "id"),
        Index("ix_provider_errors_person", "tenant_id", "person", postgresql_where=text("person IS NOT NULL")),
    )


class DeviceEventKey(Base):
    """An event of an install that was carried out, remembered for as long as its app may repeat it."""

    __tablename__ = "device_event_keys"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    app_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    received_date: Mapped[date] = mapped_column(Date)


class DeepLink(Base):
    """A link that leads into an app: link_data is for the app. Used up after most_uses, over at expires_at."""

    __tablename__ = "app_deep_links"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    app_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    slug: Mapped[str] = mapped_column(String(100), primary_key=True)
    link_data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    most_uses: Mapped[int | None] = mapped_column(Integer)
    uses: Mapped[int] = mapped_column(Integer)
    deferred_uses: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Banner(Base):
    """A banner on web pages that leads into an app; settings are for the web SDK."""

    __tablename__ = "app_banners"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    app_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    uid: Mapped[str] = mapped_column(String(100), primary_key=True)
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB)
    taps: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
