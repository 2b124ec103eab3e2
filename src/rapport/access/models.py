"""Records of access: tenants, API keys, legacy users, audit rows."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Date, DateTime, Index, Integer, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.stores.records import Base
from rapport.stores.records.sealing import Sealed
from rapport.stores.records.shapes import Member

UNIQUE_TENANT = "uq_tenants_name"


class Tenant(Base):
    """A company. settings holds what it may change, see api.manage.tenants; the rest is the operator's to give.

    sender_domains, in lower case: mail of the server's own mail server may come from them. A limit that is null is the
    usual one: see access.tenant_limits.
    """

    __tablename__ = "tenants"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200))
    time_zone: Mapped[str] = mapped_column(String(64))
    currency: Mapped[str] = mapped_column(String(3))
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    sender_domains: Mapped[list[str]] = mapped_column(JSONB, default=list)
    last_data_date: Mapped[date | None] = mapped_column(Date)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    calls_limit: Mapped[int | None] = mapped_column(Integer)
    app_events_limit: Mapped[int | None] = mapped_column(Integer)
    keys_limit: Mapped[int | None] = mapped_column(Integer)

    __table_args__ = (Index(UNIQUE_TENANT, text("lower(name)"), unique=True),)


class KeyStatus(StrEnum):
    """Whether a key works, as the wire spells it."""

    ACTIVE = "Active"
    DISABLED = "Disabled"


class ApiKey(Base):
    """A key: only its SHA-256 and a visible prefix are kept."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer, index=True)
    nickname: Mapped[str] = mapped_column(String(200))
    contact_email: Mapped[str] = mapped_column(String(320))
    access_type: Mapped[str] = mapped_column(String(20))
    prefix: Mapped[str] = mapped_column(String(16))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    status: Mapped[KeyStatus] = mapped_column(Member(KeyStatus, 20), default=KeyStatus.ACTIVE)
    cidrs: Mapped[list[str]] = mapped_column(JSONB, default=list)
    rate_limit: Mapped[int | None] = mapped_column(Integer)
    rights: Mapped[str] = mapped_column(String(20), default="full", server_default="full")  # see roles.Rights
    sections: Mapped[list[str]] = mapped_column(JSONB, default=list, server_default="[]")
    expires_on: Mapped[date | None] = mapped_column(Date)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class User(Base):
    """A person or program that logs in with a name and a password (the legacy scheme of the wire)."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer, index=True)
    username: Mapped[str] = mapped_column(String(200))
    username_key: Mapped[str] = mapped_column(String(200))  # in lower case
    password_hash: Mapped[str] = mapped_column(String(200))
    access_type: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (UniqueConstraint("username_key", "tenant_id"),)


class LoginToken(Base):
    """A legacy session: only the token's SHA-256 is kept. It lives 20 minutes from its last use."""

    __tablename__ = "login_tokens"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    user_id: Mapped[int] = mapped_column(Integer, index=True)
    last_used_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class AuditEntry(Base):
    """One write: who did what to which object."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer, index=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(100))
    object: Mapped[str] = mapped_column(String(300))
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)


class TenantSecret(Base):
    """A secret that Rapport made for itself, by purpose and version; never shown. A version is good until ends_at."""

    __tablename__ = "tenant_secrets"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    purpose: Mapped[str] = mapped_column(String(50), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False, server_default="1")
    value: Mapped[str] = mapped_column(Sealed("tenant_secrets.value"))
    created_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class IdempotentAnswer(Base):
    """The answer to a request that came with an Idempotency-Key, sealed with the caller's own secret.

    status is null while the first request is under way.
    """

    __tablename__ = "idempotency_keys"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    status: Mapped[int | None] = mapped_column(Integer)
    content_type: Mapped[str] = mapped_column(String(100), default="")
    body: Mapped[bytes] = mapped_column(LargeBinary, default=b"")
