"""Records of real time: accepted events, what became of odd ones, visitors, triggers' states, firings, gateways."""

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Float,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.realtime.states import FiringState
from rapport.stores.records import Base
from rapport.stores.records.sealing import Sealed
from rapport.stores.records.shapes import Member

# How far an accepted event is: waiting for the triggers, or seen by them and waiting for the warehouse.
ACCEPTED, HANDLED = 0, 1


class AcceptedEvent(Base):
    """An event from its acceptance until the warehouse has it. seq is the order of acceptance.

    customer_id and visitor_id are as the sender gave them, empty when it gave none.
    """

    __tablename__ = "accepted_events"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    key: Mapped[uuid.UUID] = mapped_column(Uuid)  # names the event within the tenant: made of the sender's event id
    event: Mapped[str] = mapped_column(String(255))
    origin: Mapped[str] = mapped_column(String(10))
    customer_id: Mapped[str] = mapped_column(String(300), default="")
    visitor_id: Mapped[str] = mapped_column(String(300), default="")
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    event_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    state: Mapped[int] = mapped_column(SmallInteger, default=ACCEPTED)

    __table_args__ = (
        Index("ix_accepted_events_waiting", "tenant_id", "seq", postgresql_where=text("state = 0")),
        Index("ix_accepted_events_handled", "tenant_id", "seq", postgresql_where=text("state > 0")),
    )


class EventKey(Base):
    """An event that was accepted, remembered for as long as a sender may repeat it."""

    __tablename__ = "event_keys"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    received_date: Mapped[date] = mapped_column(Date)


class EventToken(Base):
    """What opens a tenant's intake: the server token is secret and signs, the sdk token is in every app.

    The vendor token is secret too, and signs metrics of messages only.

    One that was replaced is good until ends_at.
    """

    __tablename__ = "event_tokens"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of the value, to find it by
    value: Mapped[str] = mapped_column(Sealed("event_tokens.value"))
    tenant_id: Mapped[int] = mapped_column(Integer, index=True)
    kind: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class UserJwtKey(Base):
    """A key by which X-User-JWT is verified: the secret of HS256, or a public key in PEM. Good until ends_at."""

    __tablename__ = "user_jwt_keys"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer, index=True)
    algorithm: Mapped[str] = mapped_column(String(10))
    secret: Mapped[str | None] = mapped_column(Sealed("user_jwt_keys.secret"))
    public_key: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class EventCount(Base):
    """How many events were accepted without fault, with a warning, refused or met again on a tenant's day."""

    __tablename__ = "event_counts"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    status: Mapped[str] = mapped_column(String(10), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


class EventRecording(Base):
    """Until when the log takes every event of a tenant."""

    __tablename__ = "event_recordings"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    until_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class EventLogEntry(Base):
    """An event that could not be used (error), or not in every part (warning), with the reason and what was sent."""

    __tablename__ = "event_log"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    status: Mapped[str] = mapped_column(String(10))
    origin: Mapped[str] = mapped_column(String(10))
    event: Mapped[str] = mapped_column(String(255), default="")
    person: Mapped[str] = mapped_column(String(300), default="")  # customer, else visitor, in lower case
    reason: Mapped[str] = mapped_column(String(500))
    body: Mapped[str] = mapped_column(Text, default="")

    __table_args__ = (
        Index("ix_event_log_tenant_id_id", "tenant_id", "id"),
        Index("ix_event_log_person", "tenant_id", "person"),
    )


class Visitor(Base):
    """A visitor who was identified, or is known to be the same as another.

    customer_id is empty as long as nobody is known to be behind it. same_as names the visitor that it was
    merged into. joined: the events of before are those of the customer in the warehouse too. derived: the visitor's
    id was made of the customer's, so that anybody can work it out.
    """

    __tablename__ = "visitors"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    visitor_id: Mapped[str] = mapped_column(String(300), primary_key=True)
    customer_id: Mapped[str] = mapped_column(String(300), default="")
    person: Mapped[str] = mapped_column(String(310), default="")  # customer_id as ids are compared: in lower case
    same_as: Mapped[str] = mapped_column(String(300), default="")
    identified_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    joined: Mapped[bool] = mapped_column(Boolean, default=False)
    derived: Mapped[bool] = mapped_column(Boolean, default=False, server_default=text("false"))

    __table_args__ = (
        Index("ix_visitors_same_as", "tenant_id", "same_as", postgresql_where=text("same_as <> ''")),
        Index("ix_visitors_unjoined", "tenant_id", postgresql_where=text("NOT joined AND customer_id <> ''")),
    )


class VisitorOwner(Base):
    """That a visitor was a customer from a time on, until the next. person is the id in lower case."""

    __tablename__ = "visitor_owners"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    visitor_id: Mapped[str] = mapped_column(String(300), primary_key=True)
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    customer_id: Mapped[str] = mapped_column(String(300))
    person: Mapped[str] = mapped_column(String(310))

    __table_args__ = (Index("ix_visitor_owners_person", "tenant_id", "person"),)


class TriggerState(Base):
    """How far a person is in a trigger that needs more than one event.

    person: the customer id in lower case, or 'v:' and the visitor id. times: events of a repeated trigger
    that are not used up; closed_at is then the newest that is. A sequence is open while deadline is set, and later ones
    stand in opened;
    closed_at is its newest closing event. trigger_version is that of the series when it was written: what was
    done for another does not count.
    """

    __tablename__ = "trigger_states"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    series_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    person: Mapped[str] = mapped_column(String(310), primary_key=True)
    trigger_version: Mapped[int] = mapped_column(Integer, default=1)
    times: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=True)), default=list)
    deadline: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    opened: Mapped[dict[str, Any] | None] = mapped_column(JSONB)  # the event that opened the sequence
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("ix_trigger_states_deadline", "tenant_id", "deadline", postgresql_where=text("deadline IS NOT NULL")),
        Index("ix_trigger_states_tenant_id_updated_at", "tenant_id", "updated_at"),
    )


class Firing(Base):
    """A trigger that was met by one person: a member of the day's occurrence of its series.

    event_key names what fired it, so that an event handled twice fires once. recipient_group_id 0 is control;
    drawn_group is then the one that it would have been (0 where that was not kept), and messages how many it would have
    had, by which it counts in frequency caps.
    outcome and reason are those of campaigns; verdict is what the gateway decided, and how. rewards is what promotions
    granted when it was let out: values, texts by the name of the reward, and grants, the tiers that granted them.
    """

    __tablename__ = "trigger_firings"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    series_id: Mapped[int] = mapped_column(Integer)
    campaign_id: Mapped[int] = mapped_column(Integer)
    event_key: Mapped[str] = mapped_column(String(80))
    person: Mapped[str] = mapped_column(String(310))
    customer_id: Mapped[str] = mapped_column(String(300))  # the visitor id when is_visitor
    is_visitor: Mapped[bool] = mapped_column(Boolean, default=False)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    recipient_group_id: Mapped[int] = mapped_column(Integer, default=0)
    drawn_group: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    messages: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    state: Mapped[FiringState] = mapped_column(Member(FiringState, 10))
    outcome: Mapped[str] = mapped_column(String(20), default="")
    reason: Mapped[str] = mapped_column(String(300), default="")
    verdict: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    rewards: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    fired_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    due_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))  # of a delayed one
    leased_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))  # while the gateway is asked
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("uq_trigger_firings_event", "tenant_id", "series_id", "event_key", unique=True),
        Index("ix_trigger_firings_person", "tenant_id", "person", "series_id", "fired_at"),
        Index("ix_trigger_firings_campaign_id", "tenant_id", "campaign_id"),
        Index(
            "ix_trigger_firings_delayed",
            "tenant_id",
            "due_at",
            postgresql_where=text(f"state = '{FiringState.DELAYED}'"),
        ),
        Index("ix_trigger_firings_asking", "tenant_id", "id", postgresql_where=text(f"state = '{FiringState.ASKING}'")),
        Index(
            "ix_trigger_firings_open",
            "tenant_id",
            "state",
            "id",
            postgresql_where=text(f"state <> '{FiringState.FILED}'"),
        ),
    )


class Gateway(Base):
    """The one address that a tenant's conditional triggered campaigns are authorised at.

    fallback is what an unanswered question means: deny or allow. failures counts questions without an answer
    since the last answer; once there are too many nothing is asked before open_until, and then one at a time.
    """

    __tablename__ = "gateways"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    url: Mapped[str] = mapped_column(Sealed("gateways.url", None))
    secret: Mapped[str] = mapped_column(Sealed("gateways.secret"))
    previous_secret: Mapped[str | None] = mapped_column(Sealed("gateways.previous_secret"))
    previous_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    timeout_seconds: Mapped[float] = mapped_column(Float, default=3.0)
    retries: Mapped[int] = mapped_column(Integer, default=0)
    fallback: Mapped[str] = mapped_column(String(10), default="deny")
    failures: Mapped[int] = mapped_column(Integer, default=0)
    open_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
