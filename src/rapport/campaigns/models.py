"""Records of campaigns: actions, series (what a marketer builds) and occurrences (each run of one)."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Computed,
    Date,
    DateTime,
    Float,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from rapport.campaigns.ab_tests import KeptTests
from rapport.campaigns.plans import Groups, Plan, PlannedRules, PlannedTrigger, TriggerSchedule, days_of
from rapport.campaigns.schemas import Goal, PlainGoal, Schedule
from rapport.campaigns.states import CopyState, CycleState, Portion, RunState, SeriesStatus, Split
from rapport.stores.records import Base
from rapport.stores.records.sealing import Sealed
from rapport.stores.records.shapes import Member, Shaped

# ActionID 1 is the control action of every tenant; it is not stored.
CONTROL_ACTION_ID = 1
CONTROL_ACTION_NAME = "DN"

UNIQUE_ACTION, UNIQUE_SERIES = "uq_actions_name", "uq_campaign_series_name"
# Names compare ignoring case and blanks at their ends.
NAME_KEY = text("lower(btrim(name))")
# What a series is to bring unless it says otherwise (campaigns.schemas.Goal).
ORDERS = PlainGoal(kind="orders")
ORDERS_TEXT = text('\'{"kind": "orders"}\'::jsonb')


class Action(Base):
    """A named offer or incentive. Ids start at 2. The name is unique among those that are not archived."""

    __tablename__ = "actions"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(String(2000), default="")
    promo_codes: Mapped[list[str]] = mapped_column(JSONB, default=list)
    # What its codes cost (campaigns.schemas.CodeCost); none: nothing.
    cost: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    archived: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index(UNIQUE_ACTION, "tenant_id", NAME_KEY, unique=True, postgresql_where=text("NOT archived")),)


class Series(Base):
    """A campaign as built: whom, what, when. schedule, groups and rules are campaigns.schemas shapes.

    The name is unique among scheduled ones and among triggered ones that are not archived; one-time campaigns, each of
    which is a series of its own, may share names.
    """

    __tablename__ = "campaign_series"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(200))
    target_group_id: Mapped[int] = mapped_column(Integer)  # 0: a one-time campaign on a customer list
    customer_list_id: Mapped[int | None] = mapped_column(Integer)
    campaign_type: Mapped[str] = mapped_column(String(20))  # Test/Control, A/B, A/B/n
    split: Mapped[Split] = mapped_column(Member(Split, 20), default=Split.FIXED)
    control_share: Mapped[float] = mapped_column(Float, default=0.1)
    goal: Mapped[Goal] = mapped_column(Shaped(Goal), default=lambda: ORDERS, server_default=ORDERS_TEXT)
    priority: Mapped[int] = mapped_column(Integer, default=100)
    schedule: Mapped[Schedule | TriggerSchedule] = mapped_column(Shaped(Schedule | TriggerSchedule))
    groups: Mapped[Groups] = mapped_column(Shaped(Groups))
    rules: Mapped[PlannedRules] = mapped_column(Shaped(PlannedRules), default=PlannedRules)
    duration: Mapped[int] = mapped_column(Integer)  # days
    lead_time: Mapped[int] = mapped_column(Integer, default=0)  # days
    conditional: Mapped[bool] = mapped_column(Boolean, default=False)
    products: Mapped[int] = mapped_column(Integer, default=0)  # recommended products put into the content
    notes: Mapped[str] = mapped_column(Text, default="")
    tags: Mapped[list[str]] = mapped_column(JSONB, default=list)
    trigger: Mapped[PlannedTrigger | None] = mapped_column(Shaped(PlannedTrigger))  # None for scheduled ones
    status: Mapped[SeriesStatus] = mapped_column(Member(SeriesStatus, 20), default=SeriesStatus.ACTIVE)
    version: Mapped[int] = mapped_column(Integer, default=1)
    # The version since which what persons do counts for the trigger as it is: of its last definition or status.
    trigger_version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index(
            UNIQUE_SERIES,
            "tenant_id",
            text("(trigger IS NULL)"),
            NAME_KEY,
            unique=True,
            postgresql_where=text(f"status <> '{SeriesStatus.ARCHIVED}' AND customer_list_id IS NULL"),
        ),
    )

    @property
    def days(self) -> Schedule:
        """On which days it runs. Raises ValueError for a triggered one."""
        return days_of(self.schedule)

    @property
    def required_trigger(self) -> PlannedTrigger:
        """What makes it go out. Raises ValueError for a scheduled one."""
        if self.trigger is None:
            raise ValueError("A scheduled campaign has no trigger.")
        return self.trigger

    @property
    def customer_conditions(self) -> dict[str, Any] | None:
        """The condition that a customer must meet when the trigger fires; None for scheduled ones, too."""
        return None if self.trigger is None else self.trigger.customer_conditions


class Occurrence(Base):
    """One run of a series: the CampaignID of the wire. Plan and sizes are as they were processed."""

    __tablename__ = "campaigns"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    series_id: Mapped[int] = mapped_column(Integer)
    execution_date: Mapped[date] = mapped_column(Date)
    run: Mapped[int] = mapped_column(Integer, default=0)  # 0 the planned run of the day, 1.. run-now and re-runs
    state: Mapped[RunState] = mapped_column(Member(RunState, 30), default=RunState.PLANNED)
    error: Mapped[str] = mapped_column(Text, default="")
    target_group_id: Mapped[int] = mapped_column(Integer, default=0)
    campaign_type: Mapped[str] = mapped_column(String(20))
    duration: Mapped[int] = mapped_column(Integer)
    lead_time: Mapped[int] = mapped_column(Integer, default=0)
    # The day on which it is sent: every date of the wire begins there (execution date, StartDate, delivery date).
    # execution_date is the day on which it is processed, by which rows of the warehouse are found.
    send_date: Mapped[date] = mapped_column(Date, Computed("execution_date + lead_time", persisted=True))
    notes: Mapped[str] = mapped_column(Text, default="")
    tags: Mapped[list[str]] = mapped_column(JSONB, default=list)
    is_multi_channel: Mapped[bool] = mapped_column(Boolean, default=False)
    is_recurrence: Mapped[bool] = mapped_column(Boolean, default=False)
    is_one_time: Mapped[bool] = mapped_column(Boolean, default=False)
    is_triggered: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    conditional: Mapped[bool] = mapped_column(Boolean, default=False)
    plan: Mapped[Plan] = mapped_column(Shaped(Plan), default=Plan)  # the series as it was when processed
    # How its A/B tests ended, by group and channel; empty until the first of them did.
    ab_tests: Mapped[KeptTests] = mapped_column(Shaped(KeptTests), default=dict, server_default="{}")
    # Units: one per customer and channel; an excluded or control customer is one unit. counts adds up to it.
    targeted: Mapped[int] = mapped_column(Integer, default=0)
    test_size: Mapped[int] = mapped_column(Integer, default=0)
    control_size: Mapped[int] = mapped_column(Integer, default=0)
    counts: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict)  # units by outcome
    clearance_by: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))  # the deadline of approval
    cleared_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))  # from then on none is accepted
    # Promotions still have to decide about customers of it (campaigns.publishing).
    to_publish: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    processed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    confirmed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))  # that the blast guard had stopped
    # The lists of its outside channels were handed over, if it has any (campaigns.handing_over).
    handed_over_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # Event 1 was due: the first of its channels was handed over or sent; for triggered ones the first firing.
    executed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    paused_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))  # no message leaves while it is set
    resumed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))  # when it went on after a pause
    canceled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    @property
    def name(self) -> str:
        """The name of its series when it was planned."""
        return self.plan.name

    __table_args__ = (
        UniqueConstraint("tenant_id", "series_id", "execution_date", "run"),
        Index("ix_campaigns_tenant_id_execution_date", "tenant_id", "execution_date"),
        Index("ix_campaigns_tenant_id_send_date", "tenant_id", "send_date"),
        Index(
            "ix_campaigns_open",
            "tenant_id",
            postgresql_where=text(
                f"state IN ('{RunState.AWAITING_CLEARANCE}', '{RunState.SCHEDULED}', '{RunState.EXECUTING}')"
            ),
        ),
    )
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 - SQLAlchemy's; send_date is known after every write


class OccurrenceChannel(Base):
    """What one recipient group of a campaign gets on one channel: a row per group, channel and template.

    With an A/B test, a row for each variant on which it is tested, and one for the rest: its template is 0 until the
    winner is chosen, and its scheduled time is when that is to be.
    """

    __tablename__ = "campaign_channels"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    recipient_group_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    template_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    portion: Mapped[int] = mapped_column(SmallInteger, primary_key=True, default=Portion.WHOLE, server_default="0")
    action_id: Mapped[int] = mapped_column(Integer)
    promo_code: Mapped[str] = mapped_column(Text, default="")  # several joined with ','
    scheduled_time: Mapped[datetime] = mapped_column(DateTime(timezone=False))  # tenant wall clock
    send_id: Mapped[str] = mapped_column(String(20), default="")
    list_id: Mapped[int | None] = mapped_column(Integer)
    recipients: Mapped[int] = mapped_column(Integer, default=0)
    state: Mapped[RunState] = mapped_column(Member(RunState, 30), default=RunState.SCHEDULED)
    error: Mapped[str] = mapped_column(Text, default="")
    # Each customer has a time of his own, of which scheduled_time is the first. It is sent in rounds: round is the
    # number of the one that is under way or next, waits_until when that begins; empty while one is under way.
    own_times: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")
    round: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    waits_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index(
            "ix_campaign_channels_waiting",
            "tenant_id",
            "waits_until",
            postgresql_where=text("waits_until IS NOT NULL"),
        ),
        Index(
            "ix_campaign_channels_scheduled",
            "tenant_id",
            "scheduled_time",
            postgresql_where=text(f"state = '{RunState.SCHEDULED}'"),
        ),
    )


class Webhook(Base):
    """What a channel's webhook is called and what its files hold; its address is the listener of type 14."""

    __tablename__ = "channel_webhooks"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(50))
    rows_per_file: Mapped[int] = mapped_column(Integer)
    attributes: Mapped[list[str]] = mapped_column(JSONB, default=list)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)


class Engagement(Base):
    """The files of one group of a campaign on a channel; key is in base64, and empty once they are dropped.

    copy_state, copy_due_at (of the next attempt), copy_attempts and copy_error are of the copy in the tenant's bucket.
    """

    __tablename__ = "engagements"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    campaign_id: Mapped[int] = mapped_column(Integer)
    channel_id: Mapped[int] = mapped_column(Integer)
    recipient_group_id: Mapped[int] = mapped_column(Integer)
    folder: Mapped[str] = mapped_column(String(200))
    key: Mapped[str] = mapped_column(Sealed("engagements.key"))
    files: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    customers: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    copy_state: Mapped[CopyState] = mapped_column(
        Member(CopyState, 20), default=CopyState.NONE, server_default=CopyState.NONE
    )
    copy_due_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    copy_attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    copy_error: Mapped[str] = mapped_column(String(300), default="", server_default="")

    __table_args__ = (
        UniqueConstraint("tenant_id", "campaign_id", "channel_id", "recipient_group_id", name="uq_engagements_unit"),
        Index("ix_engagements_copies", "copy_due_at", postgresql_where=text("copy_state <> 'none'")),
    )


class EngagementBucket(Base):
    """The bucket of a tenant to which files for senders are copied; account is the JSON of its credentials."""

    __tablename__ = "engagement_buckets"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    url: Mapped[str] = mapped_column(Text)
    account: Mapped[str] = mapped_column(Sealed("engagement_buckets.account", None))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Lease(Base):
    """Since when the newest holder of a piece of work has had it; the lock itself is one of the database's sessions."""

    __tablename__ = "campaign_leases"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    acquired_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Cycle(Base):
    """A run of the daily process for a data date. steps: seconds by step, in order of completion."""

    __tablename__ = "cycles"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    data_date: Mapped[date] = mapped_column(Date, primary_key=True)
    run: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    state: Mapped[CycleState] = mapped_column(Member(CycleState, 20))
    steps: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    error: Mapped[str] = mapped_column(Text, default="")
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class CampaignMetric(Base):
    """A running total that an outside system reported; metric_id is an enum of its own (0 sent .. 9 bounced)."""

    __tablename__ = "campaign_metrics"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    campaign_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    template_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    metric_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    value: Mapped[int] = mapped_column(Integer)
    reported_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
