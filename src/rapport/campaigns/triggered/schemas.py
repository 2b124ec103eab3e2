"""Shapes of triggered campaigns: which events make them go out, to whom, and what they bring."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from rapport.campaigns.schemas import (
    CONTROL,
    GOAL,
    TYPES,
    CampaignType,
    Day,
    FrequencyCap,
    Goal,
    Id,
    PlainGoal,
    PromoCode,
    Strict,
    must_have_groups,
)
from rapport.campaigns.settings import Hours
from rapport.campaigns.states import ChannelChoice
from rapport.conditions.language.json_schema import ConditionJson, EventConditionJson

MINUTES_OF_DAY = 24 * 60
LONGEST_SEQUENCE = 3 * MINUTES_OF_DAY
LONGEST_REPETITION = 30 * MINUTES_OF_DAY
EventName = Annotated[str, Field(min_length=1, max_length=255, examples=["add_to_cart"])]


class EventMatch(Strict):
    """An event by its declared name, with a condition on its parameters, named like attributes; null: any event."""

    event: EventName
    conditions: EventConditionJson | None = Field(
        None,
        examples=[{"attribute": "amount", "operator": "greater_or_equal", "value": 50}],
        description="A condition that the parameters of the event must meet",
    )


class SimpleTrigger(EventMatch):
    """Fires on every event that matches."""

    kind: Literal["simple"]


class RepeatedTrigger(EventMatch):
    """Fires when an event has matched a number of times within a window; then counting starts again."""

    kind: Literal["repeated"]
    times: int = Field(ge=2, le=100, examples=[3], description="The number of events that make it fire")
    window_minutes: int = Field(
        ge=1, le=LONGEST_REPETITION, examples=[60], description="The length of the window in minutes"
    )


class SequenceTrigger(EventMatch):
    """Fires if no closing event follows the event within the window; a restart event starts the window again."""

    kind: Literal["sequence"]
    closing: list[EventMatch] = Field(
        min_length=1,
        max_length=20,
        examples=[[{"event": "purchase"}]],
        description="One of these events prevents the firing",
    )
    restart: list[EventMatch] = Field([], max_length=20, description="One of these events starts the window again")
    window_minutes: int = Field(
        ge=1, le=LONGEST_SEQUENCE, examples=[30], description="The minutes after the event when it fires"
    )


class JourneyTrigger(Strict):
    """Fires when a customer reaches a step of a journey that names the campaign; no event fires it by itself."""

    kind: Literal["journey"]


Trigger = Annotated[SimpleTrigger | RepeatedTrigger | SequenceTrigger | JourneyTrigger, Field(discriminator="kind")]
OF_JOURNEY = "control_share must be 0 for a campaign of a journey: hold_out_share of the journey keeps customers out."


class ImmediateChannel(Strict):
    """One channel on which a recipient group is reached at once."""

    channel_id: Id = Field(examples=[505], description="See GET /manage/v1/channels")
    template_id: Id = Field(examples=[7], description="A template of the channel")


class ImmediateGroup(Strict):
    """A recipient group of a triggered campaign. The ID is the position, from 1."""

    action_id: Id = Field(
        ge=2, examples=[2], description="See GET /manage/v1/actions; 1 is the control action, which no group can have"
    )
    share: float = Field(1.0, ge=0, le=1, description="Share of the customers who are not control")
    channels: list[ImmediateChannel] = Field(min_length=1, max_length=20, description="Each channel at most once")
    channel_choice: ChannelChoice = Field(
        ChannelChoice.ALL,
        description="all: customers get the message on every channel on which they can be reached. first_reachable: "
        "only on the first channel of the list on which they can be reached, such as push, else SMS, else mail",
    )
    promo_codes: list[PromoCode] | None = Field(None, description="null: the codes of the action")

    @model_validator(mode="after")
    def _one_template_a_channel(self) -> Self:
        ids = [channel.channel_id for channel in self.channels]
        if len(ids) != len(set(ids)):
            raise ValueError("channels names a channel twice; a firing reaches a customer once on a channel")
        return self


class ReEntryRule(StrEnum):
    """Whether a customer gets a campaign only once, or each time."""

    ONCE = "once"
    UNLIMITED = "unlimited"


class ReEntry(Strict):
    """The maximum number of times that one customer gets the campaign in a number of days."""

    times: int = Field(1, ge=1, le=1000, description="Firings of the campaign")
    days: int = Field(1, ge=1, le=366, description="The number of days, of 24 hours each")


class QuietHours(Hours):
    """Hours of the tenant's local time in which nothing is sent; they may include midnight. Messages wait until they
    end, or are dropped.

    end is the first minute that is not quiet.
    """

    then: Literal["delay", "skip"] = Field(
        "delay", description="Whether messages wait for the end (delay) or are dropped (skip)"
    )


class TriggeredRules(Strict):
    """Who is excluded although the trigger was met, and whether promotions decide about everybody else."""

    exclude_target_group_ids: list[Id] = Field([], max_length=50, description="Always-exclude groups")
    include_all: bool = Field(True, description="Include customers who are in a running scheduled campaign")
    frequency_cap: FrequencyCap | None = Field(None, description="Counts messages of every campaign")
    publishes_promotions: bool = Field(
        False, description="Send only to whom the promotions of the promo codes reward, with the reward in the message"
    )


class TriggeredBody(Strict):
    """A triggered campaign as a marketer builds it."""

    name: str = Field(min_length=1, max_length=200, examples=["Abandoned cart"])
    trigger: Trigger = Field(
        examples=[
            {
                "kind": "sequence",
                "event": "add_to_cart",
                "closing": [{"event": "purchase"}],
                "window_minutes": 30,
            }
        ]
    )
    customer_conditions: ConditionJson | None = Field(
        None,
        description="A condition that the customer must meet when the trigger fires",
        examples=[{"attribute": "COUNTRY", "operator": "equals", "value": "NL"}],
    )
    visitors: bool = Field(False, description="Also for unidentified visitors, and customers who are not loaded yet")
    campaign_type: CampaignType = Field("Test/Control", description=TYPES)
    control_share: float = Field(0.1, ge=0, lt=1, description=f"{CONTROL}; 0 with a trigger of the kind journey")
    goal: Goal = Field(default_factory=lambda: PlainGoal(kind="orders"), description=GOAL)
    groups: list[ImmediateGroup] = Field(
        min_length=1, max_length=26, description="In the order of their IDs; shares add up to 1"
    )
    rules: TriggeredRules = Field(default_factory=TriggeredRules)
    re_entry: ReEntry | ReEntryRule = Field(default_factory=ReEntry, description="How often it may reach one customer")
    quiet_hours: QuietHours | None = Field(None, description="null: messages are sent at any hour")
    duration: int = Field(7, ge=1, le=366, description="Number of days after the firing in which results are measured")
    conditional: bool = Field(False, description="Ask the tenant's gateway before anything is sent")
    notes: str = Field("", max_length=4000, description="For people; returned by GetCampaignDetails")
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field([], max_length=50)
    starts: Day | None = Field(None, description="First tenant day")
    ends: Day | None = Field(None, description="Last tenant day")
    late_minutes: int = Field(
        60, ge=1, le=7 * MINUTES_OF_DAY, description="An event that arrives more minutes late than this does not fire"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        must_have_groups(self.campaign_type, len(self.groups))
        if abs(sum(group.share for group in self.groups) - 1) > 1e-6:
            raise ValueError("groups must have shares that add up to 1")
        if self.starts and self.ends and self.ends < self.starts:
            raise ValueError("ends must not be before starts")
        if isinstance(self.trigger, JourneyTrigger):
            if "control_share" not in self.model_fields_set:
                self.control_share = 0.0
            if self.control_share:
                raise ValueError(OF_JOURNEY)
        return self


class TriggeredOut(TriggeredBody):
    """A stored triggered campaign."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)

    id: int
    status: Literal["active", "paused", "archived"]
    version: int
    created_at: datetime
    sentence: str = Field(description="The trigger in words")
    fault: str = Field("", description="Why it cannot be evaluated and does not fire; empty if it can be evaluated")
    warnings: list[str] = Field([], description="Likely mistakes; they stop nothing")
