"""What a series says and what a run was planned with: frozen shapes over the JSON that records keep.

Plans are kept as they were written, so that those of earlier releases, which lack members or have others, load: a
member that was never set is not written either.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from rapport.campaigns.schemas import CampaignType, FrequencyCap, Goal, Schedule
from rapport.campaigns.states import ABMetric, ChannelChoice, PassedTime, SendTimeZone, Split
from rapport.campaigns.triggered.schemas import QuietHours, ReEntry, ReEntryRule, Trigger


class RecordShape(BaseModel):
    """A shape that is read from records: it cannot be changed, and ignores members that this release does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


# What a channel says of when its messages leave and of tests, which triggered campaigns do not have.
OF_SCHEDULED = {"send_time", "send_time_zone", "optimise_send_time", "passed_time", "ab_test"}


class PlannedVariant(RecordShape):
    """A template that an A/B test compares with others."""

    template_id: int
    name: str = ""


class PlannedTest(RecordShape):
    """An A/B test, as schemas.ABTest has it."""

    variants: tuple[PlannedVariant, ...]
    share: float
    wait_hours: float
    metric: ABMetric
    minimum_sent: int = 0
    when_known: bool = False

    @property
    def template_ids(self) -> list[int]:
        """The templates that are compared, in their order."""
        return [variant.template_id for variant in self.variants]

    @property
    def wait(self) -> timedelta:
        """How long after its beginning the winner is chosen."""
        return timedelta(hours=self.wait_hours)


class PlannedChannel(RecordShape):
    """One channel on which a recipient group is reached. send_time is HH:MM; None: the default.

    template_id is that of the variant that wins an A/B test without a clear winner.
    """

    channel_id: int
    template_id: int
    send_time: str | None = None
    send_time_zone: SendTimeZone = SendTimeZone.TENANT
    optimise_send_time: bool = False
    passed_time: PassedTime = PassedTime.AT_ONCE
    ab_test: PlannedTest | None = None

    @property
    def has_own_times(self) -> bool:
        """Whether its customers get the message each at a time of their own."""
        return self.optimise_send_time or self.send_time_zone is SendTimeZone.CUSTOMER

    @property
    def template_ids(self) -> list[int]:
        """The templates of the channel: more than one where variants are compared."""
        return self.ab_test.template_ids if self.ab_test else [self.template_id]


class PlannedGroup(RecordShape):
    """A recipient group: its action, its share of those not held back, where it is reached. Id = position from 1."""

    action_id: int
    share: float = 1.0
    channels: tuple[PlannedChannel, ...] = ()
    promo_codes: tuple[str, ...] | None = None  # None: the codes of the action
    channel_choice: ChannelChoice = ChannelChoice.ALL

    @property
    def has_own_times(self) -> bool:
        """Whether customers get the message of a channel each at a time of their own."""
        return any(channel.has_own_times for channel in self.channels)

    @property
    def channel_ids(self) -> set[int]:
        """The channels of the group."""
        return {channel.channel_id for channel in self.channels}

    def channel(self, channel_id: int) -> PlannedChannel:
        """What the group gets on one of its channels."""
        return next(channel for channel in self.channels if channel.channel_id == channel_id)

    def on(self, channel_id: int) -> Self:
        """The same group on one of its channels alone."""
        channels = tuple(channel for channel in self.channels if channel.channel_id == channel_id)
        return self.model_copy(update={"channels": channels})


Groups = tuple[PlannedGroup, ...]


class PlannedRules(RecordShape):
    """Who is kept out although they are in the target group, and how customers are divided."""

    exclude_target_group_ids: tuple[int, ...] = ()
    include_all: bool = False
    frequency_cap: FrequencyCap | None = None
    any_hour: bool = False
    own_runs: Literal["duration", "period"] | None = None
    min_share: float = 0.05
    keeps_groups: bool = False
    publishes_promotions: bool = False


class PlannedCost(RecordShape):
    """What a voucher of a group costs, in the tenant's currency, a redeemed code (in lower case) or a customer sent."""

    amount: float
    per: Literal["redeemed", "sent"]
    codes: tuple[str, ...] = ()


class TriggerSchedule(RecordShape):
    """The schedule of what runs whenever its trigger is met."""

    kind: Literal["triggered"]


class PlannedTrigger(RecordShape):
    """What makes a triggered campaign go out, for whom and how often: members of triggered.schemas.TriggeredBody."""

    trigger: Trigger
    customer_conditions: dict[str, Any] | None = None
    visitors: bool = False
    re_entry: ReEntry | ReEntryRule = ReEntry()
    quiet_hours: QuietHours | None = None
    starts: date | None = None
    ends: date | None = None
    late_minutes: int = 60


class Plan(RecordShape):
    """A series as it was when a run of it was planned, and how the run was divided when it was processed.

    shares are those of the groups, drawn how many of each got something and were held back; kept_off names, by channel
    and group, the state of the lists that kept customers off; asked is how many a conditional run asked about.
    """

    name: str = ""
    version: int | None = None
    split: Split = Split.FIXED
    control_share: float = 0.0
    goal: Goal | None = None  # of runs from before goals
    priority: int | None = None
    groups: Groups = ()
    rules: PlannedRules = PlannedRules()
    products: int = 0
    schedule: Schedule | TriggerSchedule | None = None
    customer_list_id: int | None = None
    # Of the days of triggered campaigns.
    trigger: PlannedTrigger | None = None
    notes: str = ""
    tags: tuple[str, ...] = ()
    duration: int | None = None
    conditional: bool = False
    campaign_type: CampaignType | None = None
    # Of processed runs.
    shares: tuple[float, ...] | None = None
    drawn: tuple[tuple[int, int], ...] | None = None
    data_date: date | None = None
    kept_off: Mapping[str, str] = {}
    costs: tuple[PlannedCost | None, ...] | None = None
    asked: int | None = None

    @property
    def channel_ids(self) -> set[int]:
        """The channels of all groups."""
        return channels_in(self.groups)

    @property
    def divided_by(self) -> tuple[float, ...]:
        """The shares by which customers were, or are to be, divided into groups."""
        return self.shares or tuple(group.share for group in self.groups)

    @property
    def days(self) -> Schedule:
        """On which days the series ran. Raises ValueError for a triggered one."""
        return days_of(self.schedule)

    @property
    def quiet_hours(self) -> QuietHours | None:
        """The quiet hours of a triggered campaign."""
        return None if self.trigger is None else self.trigger.quiet_hours

    def group(self, number: int) -> PlannedGroup:
        """A recipient group by its id, from 1."""
        return self.groups[number - 1]

    def ab_test(self, group: int, channel_id: int) -> PlannedTest | None:
        """The A/B test of a group on a channel; None if there is no such test, group or channel."""
        channels = self.groups[group - 1].channels if 0 < group <= len(self.groups) else ()
        return next((channel.ab_test for channel in channels if channel.channel_id == channel_id), None)

    def with_shares(self, shares: Sequence[float]) -> Self:
        """The plan of a run that divides its customers by other shares than those of the groups."""
        return self._with(shares=tuple(shares))

    def processed(
        self,
        shares: Sequence[float],
        drawn: Sequence[tuple[int, int]],
        data_date: date,
        kept_off: Mapping[str, str],
        costs: Sequence[PlannedCost | None],
    ) -> Self:
        """The plan of a run with what its processing came to; costs are empty where no voucher costs anything."""
        paid = {"costs": tuple(costs)} if costs else {}
        return self._with(
            shares=tuple(shares), drawn=tuple(drawn), data_date=data_date, kept_off=dict(kept_off), **paid
        )

    def with_asked(self, customers: int) -> Self:
        """The plan of a conditional run that asked about so many customers."""
        return self._with(asked=customers)

    def _with(self, **values: Any) -> Self:
        return self.model_copy(update=values)


def days_of(schedule: Schedule | TriggerSchedule | None) -> Schedule:
    """The schedule of what runs on days. Raises ValueError for what runs whenever its trigger is met."""
    if not isinstance(schedule, Schedule):
        raise ValueError("A triggered campaign has no schedule.")
    return schedule


def channels_in(groups: Sequence[PlannedGroup]) -> set[int]:
    """The channels of recipient groups."""
    return set().union(*(group.channel_ids for group in groups))
