"""Shapes of actions, series and their parts: what the management API takes and gives, and what records keep."""

from datetime import date, datetime
from typing import Annotated, Literal, Self

from croniter import croniter
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rapport.campaigns.settings import HourMinute
from rapport.campaigns.states import ABMetric, ChannelChoice, PassedTime, SendTimeZone, Split
from rapport.conditions.send_days import LONGEST_LEAD

CampaignType = Literal["Test/Control", "A/B", "A/B/n"]
MAX_ID = 2**31 - 1
# Days that both engines can hold, with room for the longest window.
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2140, 1, 1))]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
# Vendors give their templates the ids, which may begin with 0.
TemplateId = Annotated[int, Field(ge=0, le=MAX_ID)]
# What members mean that a series shares with other campaigns.
TYPES = "The number of groups besides control: one for Test/Control, two for A/B, three or more for A/B/n"
SPLIT = "fixed: by the shares of the groups; thompson: from run to run, more customers go to the group that does better"
CONTROL = "Share of the customers who are held back as control, to measure the uplift"
KEEPS = (
    "Customers stay in their group, or in control, in all runs of the series; a hash decides, so sizes vary by chance. "
    "Otherwise each run makes a new draw with exact sizes"
)
GOAL = (
    "The goal of results and of a self-optimising split; a run keeps the goal with which it was planned. Default: "
    "orders"
)
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
    """On which days of the tenant a series runs. Send times belong to the channels of its groups.

    cron has five fields. Minute and hour are plain numbers and are the send time of channels without one; the other
    fields select the days.
    """

    kind: Literal["once", "daily", "weekly", "monthly", "cron"] = Field(description="The kind of schedule")
    start_date: Day = Field(description="First day, or the only one")
    end_date: Day | None = Field(None, description="Last day; none means it never ends")
    every: int = Field(1, ge=1, le=366, description="The interval in days, weeks or months, counted from the start")
    weekdays: list[Annotated[int, Field(ge=1, le=7)]] = Field(
        [], description="1 Monday to 7 Sunday; weekly only. null: the weekday of start_date"
    )
    days: list[Annotated[int, Field(ge=1, le=31)]] = Field(
        [], description="Days of the month; if a month lacks a day, its last day counts. null: the day of start_date"
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


class Variant(Strict):
    """A template that an A/B test compares with others."""

    template_id: TemplateId = Field(examples=[7], description="A template of the channel")
    name: str = Field(
        "", max_length=100, examples=["Short subject"], description="A name by which people recognise the variant"
    )


class ABTest(Strict):
    """An A/B test: a part of the recipients gets the variants, the rest gets the winner."""

    variants: list[Variant] = Field(min_length=2, max_length=5, description="The templates that are compared")
    share: float = Field(
        0.2, ge=0.1, le=0.5, description="Share of the recipients to test on, divided evenly among the variants"
    )
    wait_hours: float = Field(
        4,
        ge=0.5,
        le=48,
        description="Hours from the beginning of the test until the winner is chosen; with individual send times, from "
        "its end",
    )
    metric: ABMetric = Field(
        ABMetric.OPENS,
        description="What decides: the share of recipients who opened, clicked, met the goal of the series "
        "(responders) or ordered, or what they spent per message (value); opens and clicks by machines do not count",
    )
    minimum_sent: int = Field(
        0,
        ge=0,
        le=MAX_ID,
        examples=[200],
        description="Messages that must have been sent of each variant; otherwise the template_id of the channel wins",
    )
    when_known: bool = Field(False, description="Choose the winner once it is known, at the latest after wait_hours")

    @model_validator(mode="after")
    def _variants_differ(self) -> Self:
        templates = [variant.template_id for variant in self.variants]
        if len(templates) != len(set(templates)):
            raise ValueError("variants names a template twice")
        return self


class GroupChannel(Strict):
    """One channel on which a recipient group is reached."""

    channel_id: Id = Field(examples=[15], description="See GET /manage/v1/channels")
    template_id: TemplateId = Field(
        examples=[7],
        description="A template of the channel. With ab_test, the fallback: the variant that wins if too few messages "
        "were sent, or if it shares the best rate",
    )
    send_time: HourMinute | None = Field(
        None, description="Local time on the send day, in the time zone of send_time_zone", examples=["09:30"]
    )
    send_time_zone: SendTimeZone = Field(
        SendTimeZone.TENANT,
        description="Whose time zone send_time is in. customer: the customer's, which is in the attribute that the "
        "setting time_zone_attribute names, or the tenant's for customers without one",
    )
    optimise_send_time: bool = Field(
        False,
        description="Each customer gets the message at the hour at which the customer usually opens messages, or at "
        "send_time if the customer has too few opens and clicks",
    )
    passed_time: PassedTime = Field(
        PassedTime.AT_ONCE,
        description="When customers get the message if their individual send time has passed when the run is "
        "processed: at_once, or at that time on the next_day",
    )
    ab_test: ABTest | None = Field(
        None,
        description="A test of templates on a part of the recipients; only on channels on which Rapport itself sends",
    )

    @model_validator(mode="after")
    def _is_a_variant(self) -> Self:
        variants = self.ab_test.variants if self.ab_test else []
        if variants and all(variant.template_id != self.template_id for variant in variants):
            raise ValueError("template_id must be one of the variants of ab_test")
        return self


def _must_differ(channels: list[GroupChannel]) -> None:
    ids = [channel.channel_id for channel in channels]
    if len(ids) != len(set(ids)):
        raise ValueError("channels names a channel twice; a customer gets a campaign once on a channel")


class Reach(Strict):
    """On which channels customers are reached, and with which codes."""

    channels: list[GroupChannel] = Field(min_length=1, max_length=20, description="Each channel at most once")
    channel_choice: ChannelChoice = Field(
        ChannelChoice.ALL,
        description="all: customers get the message on every channel on which they can be reached. first_reachable: "
        "only on the first channel of the list on which they can be reached, such as push, else SMS, else mail",
    )
    promo_codes: list[PromoCode] | None = Field(None, description="null: the codes of the action")

    @model_validator(mode="after")
    def _one_template_a_channel(self) -> Self:
        _must_differ(self.channels)
        return self


class Group(Reach):
    """A recipient group: its action, its share of the customers who are not control, and its channels. The ID is the
    position, from 1.
    """

    action_id: Id = Field(
        ge=2, examples=[2], description="See GET /manage/v1/actions; 1 is the control action, which no group can have"
    )
    share: float = Field(1.0, ge=0, le=1, description="Share of the customers who are not control")


class FrequencyCap(Strict):
    """The maximum number of messages in a number of days, the execution day included."""

    messages: int = Field(ge=1, le=10_000, examples=[3], description="Over all channels and campaigns")
    days: int = Field(ge=1, le=366, examples=[7], description="The execution day included")


class Rules(Strict):
    """Who is excluded although they are in the target group, and whether quiet hours apply."""

    exclude_target_group_ids: list[Id] = Field([], max_length=50, description="Always-exclude groups")
    include_all: bool = Field(False, description="Include customers who are in another running campaign")
    frequency_cap: FrequencyCap | None = Field(None, description="Excludes who has got so many messages; null: nobody")
    any_hour: bool = Field(False, description="Send messages in the tenant's quiet hours, too")


class SeriesRules(Rules):
    """Who is excluded from the runs of a series."""

    own_runs: Literal["duration", "period"] | None = Field(
        None,
        description="How long a run excludes its customers from later runs of the same series: its duration, or only "
        "until the next planned run (period). Default: period if runs are at least a week apart, otherwise duration",
    )
    publishes_promotions: bool = Field(False, description="Approve whom promotions reward; needs conditional")


class PlainGoal(Strict):
    """Customers should order (orders), spend (value) or click (click)."""

    kind: Literal["orders", "value", "click"]


class MarginGoal(Strict):
    """The margin of customers' orders, from a property of transactions."""

    kind: Literal["margin"]
    property: str = Field(
        min_length=1, max_length=255, examples=["margin"], description="A numeric property of transactions"
    )


class ProductGoal(Strict):
    """Customers should buy a product."""

    kind: Literal["product"]
    product_id: str = Field(min_length=1, max_length=255, examples=["P1001"])


class CategoryGoal(Strict):
    """Customers should buy something of a category."""

    kind: Literal["category"]
    category: str = Field(min_length=1, max_length=255, examples=["Coffee"])


Goal = Annotated[PlainGoal | MarginGoal | ProductGoal | CategoryGoal, Field(discriminator="kind")]


class SeriesBody(Strict):
    """A campaign as a marketer builds it."""

    name: str = Field(min_length=1, max_length=200, examples=["Win back: lapsed buyers"])
    target_group_id: Id = Field(
        examples=[4], description="The target group; its members on the day of a run are contacted"
    )
    campaign_type: CampaignType = Field("Test/Control", description=TYPES)
    split: Split = Field(Split.FIXED, description=SPLIT)
    min_share: float = Field(0.05, ge=0, le=0.5, description="thompson: no group falls below this share")
    control_share: float = Field(0.1, ge=0, lt=1, description=CONTROL)
    keeps_groups: bool = Field(False, description=KEEPS)
    goal: Goal = Field(default_factory=lambda: PlainGoal(kind="orders"), description=GOAL)
    priority: int = Field(
        100,
        ge=0,
        le=MAX_ID,
        description="The lower number is processed first among series of target groups with the same priority",
    )
    schedule: Schedule
    groups: list[Group] = Field(
        min_length=1, max_length=26, description="In the order of their IDs; shares add up to 1"
    )
    rules: SeriesRules = Field(default_factory=SeriesRules)
    duration: int = Field(
        7,
        ge=1,
        le=366,
        description="Number of days in which results are measured and other campaigns exclude its customers",
    )
    lead_time: int = Field(0, ge=0, le=LONGEST_LEAD, description="Days between processing and the send")
    conditional: bool = Field(False, description="Wait for an external system to approve customers before sending")
    products: int = Field(0, ge=0, le=20, description="Number of recommended products in the content")
    notes: str = Field("", max_length=4000, description="For people; returned by GetCampaignDetails")
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field([], max_length=50)

    @model_validator(mode="after")
    def _groups_fit(self) -> Self:
        must_have_groups(self.campaign_type, len(self.groups))
        if abs(sum(group.share for group in self.groups) - 1) > 1e-6:
            raise ValueError("groups must have shares that add up to 1")
        if self.split == Split.THOMPSON and self.min_share * len(self.groups) > 1:
            raise ValueError("min_share is too large for so many groups")
        if self.split == Split.THOMPSON and self.keeps_groups:
            raise ValueError("keeps_groups needs the split fixed: thompson moves customers to the better group")
        if self.conditional and any(channel.ab_test for group in self.groups for channel in group.channels):
            raise ValueError("conditional must be false if a group has an ab_test")
        if self.rules.publishes_promotions and not self.conditional:
            raise ValueError("rules.publishes_promotions needs conditional: customers are approved one by one")
        return self


class OneTimeBody(Reach):
    """A campaign run by hand on a list of customers."""

    name: str = Field(min_length=1, max_length=200, examples=["Apology voucher"])
    customer_ids: list[Annotated[str, Field(min_length=1, max_length=255)]] = Field(
        min_length=1, description="The customers to contact; unknown ones get the outcome excluded"
    )
    action_id: Id = Field(ge=2, description="See GET /manage/v1/actions")
    control_share: float = Field(0.0, ge=0, lt=1, description=CONTROL)
    goal: Goal = Field(default_factory=lambda: PlainGoal(kind="orders"), description=GOAL)
    rules: Rules = Field(default_factory=lambda: Rules(include_all=True))
    duration: int = Field(7, ge=1, le=366, description="Number of days in which results are measured")
    execution_date: Day | None = Field(None, description="null: today")
    notes: str = Field("", max_length=4000, description="For people; returned by GetCampaignDetails")
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field([], max_length=50)


class SeriesOut(SeriesBody):
    """A stored series."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)

    id: int
    target_group_id: int = Field(ge=0)
    customer_list_id: int | None = None
    status: Literal["active", "paused", "archived"]
    version: int
    created_at: datetime
    warnings: list[str] = Field([], description="Likely mistakes; they stop nothing")


class CodeCost(Strict):
    """What the voucher of an action costs, in the tenant's currency."""

    amount: float = Field(
        gt=0, le=1e9, examples=[5.0], description="Set it only if the amounts of orders are those before the voucher"
    )
    per: Literal["redeemed", "sent"] = Field(
        "redeemed",
        description="For each transaction that names one of its codes, or for each customer who was sent one",
    )


class ActionBody(Strict):
    """An offer or incentive."""

    name: str = Field(min_length=1, max_length=200, examples=["Spring voucher 5"], description="ActionName on the wire")
    description: str = Field("", max_length=2000)
    promo_codes: list[PromoCode] = Field([], max_length=20, description="Sent with the action; see AddPromotions")
    cost: CodeCost | None = Field(
        None, description="What a voucher costs; results subtract it from the money. null: nothing"
    )

    @model_validator(mode="after")
    def _can_be_redeemed(self) -> Self:
        if self.cost and self.cost.per == "redeemed" and not self.promo_codes:
            raise ValueError("cost per redeemed code needs promo_codes")
        return self


class ActionOut(ActionBody):
    """A stored action."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)

    id: int
    archived: bool
    created_at: datetime
