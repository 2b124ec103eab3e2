"""Shapes of journeys: who comes in, the steps, and when somebody leaves."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from rapport.campaigns.schemas import Id, Strict
from rapport.campaigns.triggered.schemas import EventMatch, ReEntry, ReEntryRule
from rapport.conditions.language.json_schema import ConditionJson
from rapport.journeys.states import JourneyStatus, TestMetric

MOST_STEPS = 100
LONGEST_WAIT = 365 * 24 * 60
LONGEST_WINDOW = 90 * 24 * 60
StepId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$", examples=["welcome"])]
Next = Annotated[StepId | None, Field(description="The ID of the next step; null: the journey ends here")]
TimeOfDay = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Minutes = Annotated[int, Field(ge=1, le=LONGEST_WAIT, examples=[1440])]


class Step(Strict):
    """A step with the one that follows it."""

    id: StepId
    next: Next = None

    @property
    def targets(self) -> tuple[str | None, ...]:
        """Where it can lead to; None is the end."""
        return (self.next,)


class MessageStep(Step):
    """Sends what a triggered campaign contains; the rules of the campaign decide whether and where it is sent."""

    kind: Literal["message"]
    campaign_id: Id = Field(description="A triggered campaign whose trigger is of the kind journey", examples=[12])


class WaitStep(Step):
    """Waits for some time."""

    kind: Literal["wait"]
    minutes: Minutes


class WaitUntilStep(Step):
    """Waits until the next time of day, on one of the weekdays if some are given."""

    kind: Literal["wait_until"]
    time: TimeOfDay = Field(examples=["10:00"])
    weekdays: list[Annotated[int, Field(ge=1, le=7)]] = Field(
        [], max_length=7, description="1 is Monday, 7 is Sunday; none: any day", examples=[[1, 2, 3, 4, 5]]
    )
    time_zone: Literal["tenant", "customer"] = Field(
        "tenant",
        description="customer: the time zone in the attribute that the tenant setting campaigns.time_zone_attribute "
        "names; the tenant's for customers without one",
    )


class WaitForStep(Step):
    """Waits for an event, at most for some time; next is where it goes when the event came."""

    kind: Literal["wait_for"]
    match: EventMatch = Field(examples=[{"event": "purchase"}])
    minutes: Minutes
    otherwise: Next = Field(None, description="The ID of the step after the time has passed without the event")

    @property
    def targets(self) -> tuple[str | None, ...]:
        """Where it can lead to."""
        return self.next, self.otherwise


class Branch(Strict):
    """Where customers go who meet a condition."""

    customer_conditions: ConditionJson = Field(examples=[{"attribute": "COUNTRY", "operator": "equals", "value": "NL"}])
    next: Next = None


class SplitStep(Step):
    """Divides customers by conditions: the first branch whose condition is met, else next."""

    kind: Literal["split"]
    branches: list[Branch] = Field(min_length=1, max_length=20)

    @property
    def targets(self) -> tuple[str | None, ...]:
        """Where it can lead to."""
        return *(branch.next for branch in self.branches), self.next


class Share(Strict):
    """A share of the customers and where they go."""

    share: float = Field(gt=0, le=1, examples=[0.5])
    next: Next = None


class ShareStep(Strict):
    """Divides customers by chance, always in the same way for the same customer."""

    id: StepId
    kind: Literal["share"]
    branches: list[Share] = Field(min_length=2, max_length=20, description="Shares add up to 1")

    @property
    def targets(self) -> tuple[str | None, ...]:
        """Where it can lead to."""
        return tuple(branch.next for branch in self.branches)


class TestStep(Strict):
    """Divides customers by chance, as share does, until a winner is chosen; from then on, all take its branch."""

    id: StepId
    kind: Literal["test"]
    branches: list[Share] = Field(min_length=2, max_length=10, description="Shares add up to 1")
    metric: TestMetric = Field(
        description="What decides: the share of customers who clicked in a message of the journey (clicks) or ordered "
        "(orders), or what customers spent (value)"
    )
    window_minutes: int = Field(
        ge=1,
        le=LONGEST_WINDOW,
        examples=[10080],
        description="How long after the step each customer is measured; customers count once this time is over",
    )
    when_known: bool = Field(True, description="Choose the winner as soon as it is known which branch is best")
    decide_after_minutes: Minutes | None = Field(
        None,
        examples=[43200],
        description="Choose the best branch so long after the first customer took the step, known or not",
    )
    minimum_customers: int = Field(
        100, ge=1, le=1_000_000, description="Customers of each branch who must count before a winner is chosen"
    )

    @property
    def targets(self) -> tuple[str | None, ...]:
        """Where it can lead to."""
        return tuple(branch.next for branch in self.branches)

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.decide_after_minutes is None:
            if not self.when_known:
                raise ValueError("decide_after_minutes must be set if when_known is false")
        elif self.decide_after_minutes <= self.window_minutes:
            raise ValueError("decide_after_minutes must be greater than window_minutes")
        return self


class AttributeStep(Step):
    """Writes attributes of the customer."""

    kind: Literal["attribute"]
    values: dict[str, str | None] = Field(min_length=1, max_length=10, examples=[{"WELCOMED": "Yes"}])


class NotifyStep(Step):
    """Tells the listeners of event 103 that the customer has reached the step."""

    kind: Literal["notify"]


class ExitStep(Strict):
    """Ends the journey before its end."""

    id: StepId
    kind: Literal["exit"]
    reason: str = Field("", max_length=200, examples=["not reachable"])

    @property
    def targets(self) -> tuple[str | None, ...]:
        """Nowhere."""
        return ()


AnyStep = Annotated[
    MessageStep
    | WaitStep
    | WaitUntilStep
    | WaitForStep
    | SplitStep
    | ShareStep
    | TestStep
    | AttributeStep
    | NotifyStep
    | ExitStep,
    Field(discriminator="kind"),
]


# Where customers stand; all other steps are passed at once.
WAITS = (WaitStep, WaitUntilStep, WaitForStep)


class EventEntry(Strict):
    """Customers come in by an event."""

    kind: Literal["event"]
    match: EventMatch = Field(examples=[{"event": "sign_up"}])


class GroupEntry(Strict):
    """Customers come in when they enter or leave a target group from one data date to the next."""

    kind: Literal["group"]
    target_group_id: Id = Field(examples=[4])
    change: Literal["entered", "left"] = "entered"


class DateEntry(Strict):
    """Customers come in on the day that a date attribute names, at a time of the tenant's day."""

    kind: Literal["date"]
    attribute: str = Field(min_length=1, max_length=100, examples=["DATE_OF_BIRTH"])
    each_year: bool = Field(True, description="Whether each anniversary counts, or the date itself")
    days_before: int = Field(
        0, ge=-365, le=365, description="So many days before that day; a negative number: after it", examples=[0]
    )
    time: TimeOfDay = Field("09:00", examples=["09:00"])


class ListEntry(Strict):
    """Customers come in by a call that names them."""

    kind: Literal["list"]


Entry = Annotated[EventEntry | GroupEntry | DateEntry | ListEntry, Field(discriminator="kind")]


class ExitRules(Strict):
    """When customers leave before the end, wherever they stand."""

    events: list[EventMatch] = Field([], max_length=20, examples=[[{"event": "purchase"}]])
    customer_conditions: ConditionJson | None = Field(
        None, description="Checked each time before a customer goes on to a step", examples=[None]
    )


class JourneyBody(Strict):
    """A journey as a marketer builds it. The first of its steps is where customers begin."""

    name: str = Field(min_length=1, max_length=200, examples=["Welcome series"])
    entry: Entry = Field(examples=[{"kind": "event", "match": {"event": "sign_up"}}])
    customer_conditions: ConditionJson | None = Field(
        None, description="A condition that customers must meet to come in", examples=[None]
    )
    re_entry: ReEntry | ReEntryRule = Field(
        ReEntryRule.ONCE,
        description="How often one customer may come in. A customer who is in the journey never comes in again before "
        "it has ended",
    )
    hold_out_share: float = Field(
        0.0, ge=0, lt=1, description="Share of the customers who are kept out of the whole journey, to compare with"
    )
    exit: ExitRules = Field(default_factory=ExitRules)
    steps: list[AnyStep] = Field(
        min_length=1,
        max_length=MOST_STEPS,
        examples=[
            [
                {"id": "welcome", "kind": "message", "campaign_id": 12, "next": "pause"},
                {"id": "pause", "kind": "wait", "minutes": 4320, "next": "tips"},
                {"id": "tips", "kind": "message", "campaign_id": 13},
            ]
        ],
    )

    def step(self, step_id: str) -> AnyStep | None:
        """The step with an ID; None when there is none."""
        return next((step for step in self.steps if step.id == step_id), None)


class JourneyOut(JourneyBody):
    """A stored journey."""

    model_config = ConfigDict(extra="ignore")

    id: int
    status: JourneyStatus
    version: int = Field(description="Counts its definitions; customers finish the one in which they began")
    created_at: datetime
    warnings: list[str] = Field([], description="Likely mistakes; they stop nothing")
