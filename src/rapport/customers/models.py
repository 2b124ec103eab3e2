"""Records of customers: attributes beyond the built-in ones, imports, event types, removed persons, attribute jobs."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, DateTime, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.customers.states import CallbackState, ImportMode, ImportState
from rapport.stores.records import Base
from rapport.stores.records.sealing import Sealed
from rapport.stores.records.shapes import Member


class Attribute(Base):
    """A customer attribute: a column of profiles (and of customers when batch or API writes it)."""

    __tablename__ = "attributes"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    real_field_name: Mapped[str] = mapped_column(String(128), primary_key=True)
    alias: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(String(1000), default="")
    field_type: Mapped[str] = mapped_column(String(20))
    source: Mapped[str] = mapped_column(String(20))
    is_pii: Mapped[bool] = mapped_column(Boolean, default=False)
    # name, values, decided, none; empty where nobody has looked: see attributes.AttributeInfo.
    pii_reason: Mapped[str] = mapped_column(String(10), default="", server_default="")
    api_updatable: Mapped[bool] = mapped_column(Boolean, default=False)
    max_length: Mapped[int | None] = mapped_column(Integer)
    forms: Mapped[list[str]] = mapped_column(JSONB, default=list, server_default="[]")
    header: Mapped[str] = mapped_column(String(200), default="", server_default="")
    # permission: its Yes permits to write; blocked: its Yes forbids it. Empty: it is not about consent.
    consent: Mapped[str] = mapped_column(String(20), default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class AttributeTime(Base):
    """When attributes of a customer (a pseudonym) were last told by events or the API, by name of the attribute."""

    __tablename__ = "attribute_times"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    mark: Mapped[str] = mapped_column(String(64), primary_key=True)
    times: Mapped[dict[str, str]] = mapped_column(JSONB)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("ix_attribute_times_updated_at", "tenant_id", "updated_at"),)


class ConsentConversion(Base):
    """That the values of an attribute of consent were brought into their one form, and which could not be read.

    unread: how many customers had each value that is neither yes nor no, the most frequent ones.
    """

    __tablename__ = "consent_conversions"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    real_field_name: Mapped[str] = mapped_column(String(128), primary_key=True)
    converted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    customers: Mapped[int] = mapped_column(BigInteger)
    unread_customers: Mapped[int] = mapped_column(BigInteger)
    unread: Mapped[dict[str, int]] = mapped_column(JSONB)


class Import(Base):
    """One file that was imported, or was refused."""

    __tablename__ = "imports"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(20))
    file_name: Mapped[str] = mapped_column(String(255))
    sha256: Mapped[str] = mapped_column(String(64))
    mapping_sha256: Mapped[str] = mapped_column(String(64))
    mode: Mapped[ImportMode] = mapped_column(Member(ImportMode, 20))
    state: Mapped[ImportState] = mapped_column(Member(ImportState, 20))
    message: Mapped[str] = mapped_column(String(1000), default="")
    loaded: Mapped[int] = mapped_column(BigInteger, default=0)
    rejected: Mapped[int] = mapped_column(BigInteger, default=0)
    counts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    rejects_path: Mapped[str | None] = mapped_column(String(1000))
    # What was suspicious of it: see file_warnings.FileWarning.
    warnings: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    data_date: Mapped[date] = mapped_column(Date)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class TableExchange(Base):
    """A warehouse table that is about to take the place of another, see locks.replacing."""

    __tablename__ = "table_exchanges"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)


class EventType(Base):
    """A kind of activity event; parameters are the names of its properties seen so far."""

    __tablename__ = "event_types"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(255))
    parameters: Mapped[list[str]] = mapped_column(JSONB, default=list)
    # What was declared of it: a description, and String, Number or Boolean for each declared parameter.
    description: Mapped[str] = mapped_column(String(1000), default="", server_default="")
    types: Mapped[dict[str, str]] = mapped_column(JSONB, default=dict, server_default="{}")
    declared: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)


class Removed(Base):
    """A person whose identifying data was removed; key is the pseudonym of the CustomerID."""

    __tablename__ = "pii_removed"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    removed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


# Outcomes that somebody is to be told.
UNTOLD = f"callback_state = '{CallbackState.WAITING}' AND finished_at IS NOT NULL"


class AttributeJob(Base):
    """An accepted write of attributes: what to do (until it is done), its outcome and whom to tell.

    seq is the order in which a tenant's were acknowledged, in which they are carried out. callback_url is kept until
    the outcome is on its way there.
    """

    __tablename__ = "attribute_jobs"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    payload: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    callback_url: Mapped[str | None] = mapped_column(Sealed("attribute_jobs.callback_url", None))
    outcome: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    callback_state: Mapped[CallbackState] = mapped_column(Member(CallbackState, 20), default=CallbackState.NONE)
    seq: Mapped[int] = mapped_column(BigInteger, server_default=text("nextval('attribute_jobs_seq')"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("ix_attribute_jobs_waiting", "tenant_id", "seq", postgresql_where=text("finished_at IS NULL")),
        Index("ix_attribute_jobs_untold", "seq", postgresql_where=text(UNTOLD)),
    )
