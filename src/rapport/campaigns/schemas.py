"""Shapes of actions, series and their parts: what the management API takes and gives, and what records keep."""

from datetime import date, datetime
from typing import Annotated, Literal, Self

from croniter import croniter
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rapport.campaigns.settings import HourMinute
from rapport.conditions.histories import LONGEST_LEAD

CampaignType = Literal["Test/Control", "A/B", "A/B/n"]
MAX_ID = 2**31 - 1
# Days that both engines can hold, with room for the longest window.
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2140, 1, 1))]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
# Vendors give their templates the ids, which may begin with 0.
TemplateId = Annotated[int, Field(ge=0, le=MAX_ID)]
# What members mean that a series shares with other campaigns.
TYPES = "Groups beside control: one for Test/Control, two for A/B, three or more for A/B/n"
SPLIT = "fixed: by the shares of the groups; thompson: from run to run more go to the group that does better"
CONTROL = "Share of the customers who are held back and get nothing, to measure the uplift against"
KEEPS = (
    "A customer keeps its group, and stays held back or not, in all runs of the series, by a hash: sizes of groups "
    "vary by chance. Else each run divides its customers anew, by exact numbers"
)
GOAL = "What results and a self-optimising split go by; a run keeps the goal that it was planned with. Left out: orders"
# How many groups, at least and at most.
GROUPS = {"Test/Control": (1, 1), "A/B": (2, 2), "A/B/n": (3, 26)}
# As long as an index of the records takes, in any alphabet.
PromoCode = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]


def must_have_groups(campaign_type: CampaignType, count: int) -> None:
    """Refuse a number of groups that a type of campaign cannot have. Raises ValueError."""
    least, most = GROUPS[campaign_type]
    if not least <= count <= most:
        needed = {1: "one group", 2: "two groups"}.get(most, f"{least} to {most} groups")
        raise ValueError(f"{campaign_type} needs {needed}{_fitting(count)}")


def _fitting(count: int) -> str:
    """The type of campaign that has so many groups, as what to choose instead."""
    name = next((name for name, (least, most) in GROUPS.items() if least <= count <= most), None)
    return f": choose {name} for {'one group' if count == 1 else f'{count} groups'}" if name else ""


class Strict(BaseModel):
    """A shape that refuses members it does not know, so that a misspelt rule is never ignored."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="after")
    @classmethod
    def _text(cls, value: object) -> object:
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and "\x00" in text for text in texts):
            raise ValueError("must not hold the character 0")
        return value


class Schedule(Strict):
    """Which tenant days a series runs on. send times belong to the channels of its groups.

    cron has five fields, of which minute and hour are plain numbers: they are the send time where
    a channel has none, and the rest says the days.
    """

    kind: Literal["once", "daily", "weekly", "monthly", "cron"] = Field(description="How its days are told")
    start_date: Day = Field(description="First day, or the only one")
    end_date: Day | None = Field(None, description="Last day; none means it never ends")
    every: int = Field(1, ge=1, le=366, description="Every so many days, weeks or months, counted from the start")
    weekdays: list[Annotated[int, Field(ge=1, le=7)]] = Field(
        [], description="1 Monday .. 7 Sunday; weekly only. None: that of start_date"
    )
    days: list[Annotated[int, Field(ge=1, le=31)]] = Field(
        [], description="Days of the month; past its end: the last. None: that of start_date"
    )
    cron: str = Field(
        "", examples=["30 9 1,15 * *"], description="Five fields, in tenant time; only with the kind cron"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.end_date and self.end_date < self.start_date:
            raise ValueError("end_date must not be before start_date")
        if self.kind == "cron":
            fields = self.cron.split()
            if len(fields) != 5 or not croniter.is_valid(self.cron):
                raise ValueError("cron must be a valid expression of five fields")
            if not (fields[0].isdigit() and fields[1].isdigit()):
                raise ValueError("cron must name one minute and one hour: a series runs at most once a day")
        elif self.cron:
            raise ValueError("cron is for the kind cron only")
        return self


class GroupChannel(Strict):
    """One channel on which a recipient group is reached."""

    channel_id: Id = Field(examples=[15], description="See GET /manage/v1/channels")
    template_id: TemplateId = Field(examples=[7], description="A template of the channel")
    send_time: HourMinute | None = Field(None, description="Tenant time of the execution day", examples=["09:30"])


def _must_differ(channels: list[GroupChannel]) -> None:
    ids = [channel.channel_id for channel in channels]
    if len(ids) != len(set(ids)):
        raise ValueError("channels names a channel twice; a customer gets a campaign once on a channel")


class Group(Strict):
    """A recipient group: its action, its share of those not held back, where it is reached. Id = position from 1."""

    action_id: Id = Field(ge=2, examples=[2], description="See GET /manage/v1/actions; 1 is control, which no group is")
    share: float = Field(1.0, ge=0, le=1, description="Share of the customers who are not control")
    channels: list[GroupChannel] = Field(min_length=1, max_length=20, description="Each of them, at most once")
    promo_codes: list[PromoCode] | None = Field(None, description="None: the codes of the action")

    @model_validator(mode="after")
    def _one_template_a_channel(self) -> Self:
        _must_differ(self.channels)
        return self


class FrequencyCap(Strict):
    """At most so many messages in so many days, the execution day included."""

    messages: int = Field(ge=1, le=10_000, examples=[3], description="Over all channels and campaigns")
    days: int = Field(ge=1, le=366, examples=[7], description="The execution day included")


class Rules(Strict):
    """Who is kept out although they are in the target group, and whether quiet hours are kept."""

    exclude_target_group_ids: list[Id] = Field([], max_length=50, description="Always-exclude groups")
    include_all: bool = Field(False, description="Let in customers who are in another running campaign")
    frequency_cap: FrequencyCap | None = Field(None, description="Who got so many messages is kept out; none: nobody")
    any_hour: bool = Field(False, description="Let messages leave in the tenant's quiet hours too")


class SeriesRules(Rules):
    """Who is kept out of the runs of a series."""

    own_runs: Literal["duration", "period"] | None = Field(
        None,
        description="How long a run keeps its customers out of later runs of its own series: for its duration, or only "
        "until the next planned run (period). None: period where runs are at least a week apart, else duration",
    )


class PlainGoal(Strict):
    """That customers order (orders), what they spend (value), or that they click (click)."""

    kind: Literal["orders", "value", "click"]


class MarginGoal(Strict):
    """What is earned by the orders of customers, as a property of transactions tells."""

    kind: Literal["margin"]
    property: str = Field(
        min_length=1, max_length=255, examples=["margin"], description="A property of transactions that is a number"
    )


class ProductGoal(Strict):
    """That customers buy a product."""

    kind: Literal["product"]
    product_id: str = Field(min_length=1, max_length=255, examples=["P1001"])


class CategoryGoal(Strict):
    """That customers buy something of a category."""

    kind: Literal["category"]
    category: str = Field(min_length=1, max_length=255, examples=["Coffee"])


Goal = Annotated[PlainGoal | MarginGoal | ProductGoal | CategoryGoal, Field(discriminator="kind")]


class SeriesBody(Strict):
    """A campaign as a marketer builds it."""

    name: str = Field(min_length=1, max_length=200, examples=["Win back: lapsed buyers"])
    target_group_id: Id = Field(examples=[4], description="Whose members are reached, as they are on the day of a run")
    campaign_type: CampaignType = Field("Test/Control", description=TYPES)
    split: Literal["fixed", "thompson"] = Field("fixed", description=SPLIT)
    min_share: float = Field(0.05, ge=0, le=0.5, description="thompson: no group falls below this share")
    control_share: float = Field(0.1, ge=0, lt=1, description=CONTROL)
    keeps_groups: bool = Field(False, description=KEEPS)
    goal: Goal = Field(default_factory=lambda: PlainGoal(kind="orders"), description=GOAL)
    priority: int = Field(100, ge=0, le=MAX_ID, description="Lower runs first within its target group's priority")
    schedule: Schedule
    groups: list[Group] = Field(
        min_length=1, max_length=26, description="In the order of their ids; shares add up to 1"
    )
    rules: SeriesRules = Field(default_factory=SeriesRules)
    duration: int = Field(
        7,
        ge=1,
        le=366,
        description="Days in which results are measured, and in which its customers are in no other campaign",
    )
    lead_time: int = Field(0, ge=0, le=LONGEST_LEAD, description="Days between processing and the send")
    conditional: bool = Field(False, description="Wait for an outside system to approve customers before the send")
    products: int = Field(0, ge=0, le=20, description="Recommended products put into the content")
    notes: str = Field("", max_length=4000, description="For people; told by GetCampaignDetails")
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field([], max_length=50)

    @model_validator(mode="after")
    def _groups_fit(self) -> Self:
        must_have_groups(self.campaign_type, len(self.groups))
        if abs(sum(group.share for group in self.groups) - 1) > 1e-6:
            raise ValueError("groups must have shares that add up to 1")
        if self.split == "thompson" and self.min_share * len(self.groups) > 1:
            raise ValueError("min_share is too large for so many groups")
        if self.split == "thompson" and self.keeps_groups:
            raise ValueError("keeps_groups needs the split fixed: thompson moves customers to the better group")
        return self


class OneTimeBody(Strict):
    """A campaign run by hand on a list of customers."""

    name: str = Field(min_length=1, max_length=200, examples=["Apology voucher"])
    customer_ids: list[Annotated[str, Field(min_length=1, max_length=255)]] = Field(
        min_length=1, description="Who is reached; who is not known ends as excluded"
    )
    action_id: Id = Field(ge=2, description="See GET /manage/v1/actions")
    channels: list[GroupChannel] = Field(min_length=1, max_length=20, description="Each of them, at most once")
    promo_codes: list[PromoCode] | None = Field(None, description="None: the codes of the action")
    control_share: float = Field(0.0, ge=0, lt=1, description=CONTROL)
    goal: Goal = Field(default_factory=lambda: PlainGoal(kind="orders"), description=GOAL)
    rules: Rules = Field(default_factory=lambda: Rules(include_all=True))
    duration: int = Field(7, ge=1, le=366, description="Days in which results are measured")
    execution_date: Day | None = Field(None, description="None: today")
    notes: str = Field("", max_length=4000, description="For people; told by GetCampaignDetails")
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field([], max_length=50)

    @model_validator(mode="after")
    def _one_template_a_channel(self) -> Self:
        _must_differ(self.channels)
        return self


class SeriesOut(SeriesBody):
    """A series with what the platform adds."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)

    id: int
    target_group_id: int = Field(ge=0)
    customer_list_id: int | None = None
    status: Literal["active", "paused", "archived"]
    version: int
    created_at: datetime
    warnings: list[str] = Field([], description="What may not be meant about its runs; nothing stops because of it")


class CodeCost(Strict):
    """What the voucher of an action costs, in the tenant's currency."""

    amount: float = Field(gt=0, le=1e9, examples=[5.0], description="As long as orders are not counted net of it")
    per: Literal["redeemed", "sent"] = Field(
        "redeemed", description="A transaction that names a code of it, or a customer that was sent one"
    )


class ActionBody(Strict):
    """An offer or incentive."""

    name: str = Field(min_length=1, max_length=200, examples=["Spring voucher 5"], description="ActionName on the wire")
    description: str = Field("", max_length=2000)
    promo_codes: list[PromoCode] = Field([], max_length=20, description="Go out with the action; see AddPromotions")
    cost: CodeCost | None = Field(None, description="Taken from what results count as brought in; none: nothing")

    @model_validator(mode="after")
    def _can_be_redeemed(self) -> Self:
        if self.cost and self.cost.per == "redeemed" and not self.promo_codes:
            raise ValueError("cost per redeemed code needs promo_codes")
        return self


class ActionOut(ActionBody):
    """An action with what the platform adds."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)

    id: int
    archived: bool
    created_at: datetime
