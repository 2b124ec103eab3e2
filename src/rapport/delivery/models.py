"""Records of delivery: the messages that are to leave, and who has which address of a campaign."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, DateTime, Index, Integer, SmallInteger, String, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from rapport.channels.returned import ReturnKind
from rapport.conditions.outcomes import Outcome
from rapport.stores.records import Base


class Source(StrEnum):
    """What a message is sent for: a run of a scheduled campaign, a firing of a trigger, a request of an application for
    mail, in-app messages or push messages, a link that somebody asked for, a keyword that somebody sent.
    """

    RUN = "run"
    FIRING = "firing"
    TRANSACTIONAL = "transactional"
    IN_APP = "in-app"
    PREFERENCE_LINK = "preference link"
    KEYWORD_REPLY = "keyword reply"
    PUSH = "push"


class State(StrEnum):
    """The state of a message. PENDING waits for an attempt, CLAIMED may be in flight; the others are final outcomes."""

    PENDING = "pending"
    CLAIMED = "claimed"
    SENT = Outcome.SENT
    FAILED = Outcome.FAILED
    SUPPRESSED = Outcome.SUPPRESSED
    SKIPPED = Outcome.SKIPPED
    NO_ADDRESS = Outcome.NO_ADDRESS


class MailEventKind(StrEnum):
    """What became of a message after it had left, or what its recipient did with it."""

    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    DELETED = "deleted"  # from an inbox
    UNSUBSCRIBED = "unsubscribed"
    PERMANENT = ReturnKind.PERMANENT
    TEMPORARY = ReturnKind.TEMPORARY
    BLOCK = ReturnKind.BLOCK
    COMPLAINT = ReturnKind.COMPLAINT


OPEN = (State.PENDING, State.CLAIMED)
# When an open message is due, as an index has it: at once comes first.
DUE = "coalesce(due_at, '-infinity'::timestamptz)"
IS_OPEN = f"state IN ('{State.PENDING}', '{State.CLAIMED}')"


class OutboxMessage(Base):
    """A message from before it leaves until its source has its outcome in the warehouse.

    source_id is the CampaignID of a run, the id of a firing, or that of a recipient of transactional mail. customer_id
    is empty for a visitor whom nobody knows, and of transactional mail.
    batch is the part of a run that is sent together; without one a message leaves by itself, as soon as it is due.
    attempts says how often a server answered, claims how often the message was claimed: only the newest claim may
    change it. due_at empty means at once; a claimed message without a batch is due again then, should whoever claimed
    it be gone.
    """

    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    source: Mapped[str] = mapped_column(String(20))
    source_id: Mapped[int] = mapped_column(BigInteger)
    channel_id: Mapped[int] = mapped_column(Integer)
    customer_id: Mapped[str] = mapped_column(Text)
    recipient_group_id: Mapped[int] = mapped_column(Integer)
    template_id: Mapped[int] = mapped_column(Integer)
    action_id: Mapped[int] = mapped_column(Integer)
    promo_code: Mapped[str] = mapped_column(Text, default="")  # several joined with ','
    batch: Mapped[int | None] = mapped_column(Integer)
    message_id: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    claims: Mapped[int] = mapped_column(Integer, default=0)
    due_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("uq_messages_recipient", "tenant_id", "source", "source_id", "channel_id", "customer_id", unique=True),
        Index(
            "ix_messages_due",
            "source",
            "tenant_id",
            "channel_id",
            text(DUE),
            "id",
            postgresql_where=text(f"batch IS NULL AND {IS_OPEN}"),
        ),
        Index(
            "ix_messages_batch",
            "tenant_id",
            "source_id",
            "channel_id",
            "batch",
            postgresql_where=text("batch IS NOT NULL"),
        ),
        Index(
            "ix_messages_retries",
            "tenant_id",
            "source_id",
            "channel_id",
            text(DUE),
            "customer_id",
            postgresql_where=text(f"batch IS NOT NULL AND state = '{State.PENDING}'"),
        ),
    )


class MailLane(Base):
    """How a channel stands with a mail provider: what left for it in an hour, and until when it is left alone.

    name is a domain, or "rate" and the first domain of a rule of the rate plan, after "trans" for transactional mail;
    rests counts how often in a row.
    """

    __tablename__ = "mail_lanes"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(270), primary_key=True)
    hour: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    sent: Mapped[int] = mapped_column(Integer, default=0)
    rests: Mapped[int] = mapped_column(Integer, default=0)
    resting_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class TakenAddress(Base):
    """Which person (a pseudonym) a campaign writes to at an address (a mark) on a channel; nobody else is."""

    __tablename__ = "firing_addresses"  # once it held those of triggered campaigns alone

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    mark: Mapped[str] = mapped_column(String(32), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))


class MailEvent(Base):
    """What came back about a message, from when it was accepted until what it was sent for has it.

    sent_for is a SentFor of tokens and source_id its campaign or send; message_key is the beginning of the message id.
    customer_id is empty where the token does not say it. at is when it happened, received_at when it was accepted.
    """

    __tablename__ = "mail_events"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(20))
    sent_for: Mapped[int] = mapped_column(SmallInteger)
    source_id: Mapped[int] = mapped_column(BigInteger)
    channel_id: Mapped[int] = mapped_column(Integer)
    template_id: Mapped[int] = mapped_column(Integer)
    message_key: Mapped[str] = mapped_column(String(16))
    customer_id: Mapped[str] = mapped_column(Text, default="")
    link_id: Mapped[int] = mapped_column(Integer, default=0)
    by_machine: Mapped[bool] = mapped_column(Boolean, default=False)
    detail: Mapped[str] = mapped_column(Text, default="")  # the status that was told, without addresses
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (Index("ix_mail_events_message", "tenant_id", "message_key"),)


class LinkClicks(Base):
    """How often a tracked link was followed in the messages of a campaign or send, repetitions included."""

    __tablename__ = "link_clicks"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    sent_for: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    source_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    template_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    link_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    clicks: Mapped[int] = mapped_column(BigInteger)
    machine_clicks: Mapped[int] = mapped_column(BigInteger)
