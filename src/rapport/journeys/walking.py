"""One customer's way through a journey, from where it stands to where it waits or ends; no clock and no store is asked.

Every step is reached once on the way; what it does (messages, writes, words to listeners) is answered, not done.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from rapport.campaigns.runs import splits
from rapport.conditions import Facts
from rapport.journeys.compiling import CompiledJourney
from rapport.journeys.schemas import (
    AnyStep,
    AttributeStep,
    ExitStep,
    MessageStep,
    NotifyStep,
    ShareStep,
    SplitStep,
    TestStep,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
)
from rapport.journeys.states import Ending
from rapport.stores.clock import instant_of

HOLD_OUT = "journey hold-out"
# How the result of a step begins that divides by chance: whether the branch was drawn, or had won the test.
DRAWN, WON = "branch", "winner"
BY_CONDITIONS = "exit conditions"
# A journey whose steps were checked waits before it comes to a step again; this many at once means that it was not.
MOST_AT_ONCE = 200


class Came(StrEnum):
    """What moves a customer on: the time, or the event that it waited for."""

    TIME = "time"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class TakenStep:
    """A step that was reached, by the number of steps until then, and where it led; empty while it waits."""

    number: int
    step: str
    result: str = ""


@dataclass
class Way:
    """What becomes of a customer: the steps that were reached, where it stands now, and what is to be done.

    left is the result of the step that it stood on before. campaigns are those of messages, by the number of the step.
    """

    step: str
    taken: int
    due_at: datetime | None = None
    ending: Ending | None = None
    reason: str = ""
    left: str = ""
    steps: list[TakenStep] = field(default_factory=list)
    campaigns: dict[int, int] = field(default_factory=dict)
    values: dict[int, Mapping[str, str | None]] = field(default_factory=dict)
    notified: dict[int, str] = field(default_factory=dict)

    def end(self, ending: Ending, reason: str = "") -> None:
        """Let it end here."""
        self.ending, self.reason, self.due_at = ending, reason, None


@dataclass(frozen=True, slots=True)
class Walker:
    """Who walks: a person as ids are compared, what is known of it, when, in the tenant's time zone and its own.

    at is when what moves the person on happened, from which waits count; now may be later.
    """

    person: str
    facts: Facts
    at: datetime
    now: datetime
    time_zone: ZoneInfo
    own_time_zone: tzinfo


def is_held_out(journey: CompiledJourney, person: str) -> bool:
    """Whether a person is one of those who are kept out of a journey to compare with: the same for ever."""
    cut = splits.cut_of(journey.body.hold_out_share)
    return splits.trigger_part(journey.id, HOLD_OUT, person) < cut


def walk(journey: CompiledJourney, walker: Walker, step_id: str, taken: int, came: Came) -> Way:
    """The way from a step that is left, or from before the first one (an empty step_id), by what came."""
    way = Way(step_id, taken)
    following: str | None = journey.body.steps[0].id
    if step_id:
        step = journey.body.step(step_id)
        if step is None:
            way.end(Ending.FAILED, f"step {step_id} is not in version {journey.version}"[:200])
            return way
        way.left = came
        following = _after(step, came)
    for _ in range(MOST_AT_ONCE):
        if journey.leaves is not None and journey.leaves(walker.facts):
            way.end(Ending.EXITED, BY_CONDITIONS)
            return way
        reached = None if following is None else journey.body.step(following)
        if reached is None:
            way.end(Ending.COMPLETED)
            return way
        way.step, way.taken = reached.id, way.taken + 1
        if _stops(journey, walker, reached, way):
            return way
        following = _passed(journey, walker, reached, way)
    way.end(Ending.FAILED, "its steps lead in a circle")
    return way


def _after(step: AnyStep, came: Came) -> str | None:
    """The step after one that a customer stood on."""
    if isinstance(step, WaitForStep) and came is Came.TIME:
        return step.otherwise
    return step.next if isinstance(step, WaitForStep | WaitStep | WaitUntilStep) else None


def _stops(journey: CompiledJourney, walker: Walker, step: AnyStep, way: Way) -> bool:
    """Whether the way stops at a step that was reached: it waits there, or ends."""
    if isinstance(step, ExitStep):
        way.steps.append(TakenStep(way.taken, step.id, "exit"))
        way.end(Ending.EXITED, step.reason or f"step {step.id}")
        return True
    if isinstance(step, WaitStep | WaitForStep):
        way.due_at = walker.at + timedelta(minutes=step.minutes)
    elif isinstance(step, WaitUntilStep):
        zone = walker.own_time_zone if step.time_zone == "customer" else walker.time_zone
        way.due_at = next_time(step.time, step.weekdays, walker.now, zone)
    else:
        return False
    way.steps.append(TakenStep(way.taken, step.id))
    return True


def _passed(journey: CompiledJourney, walker: Walker, step: AnyStep, way: Way) -> str | None:
    """The step that follows one that is passed at once; what it does is noted."""
    result, following = "", None
    if isinstance(step, SplitStep):
        tests = journey.branches[step.id]
        place = next((place for place, test in enumerate(tests) if test(walker.facts)), None)
        result = "else" if place is None else f"branch {place + 1}"
        following = step.next if place is None else step.branches[place].next
    elif isinstance(step, ShareStep | TestStep):
        winner = journey.winners.get(step.id)
        place = _drawn(journey, step, walker.person) if winner is None else winner
        result = f"{DRAWN if winner is None else WON} {place}"
        following = step.branches[place - 1].next
    elif isinstance(step, MessageStep | AttributeStep | NotifyStep):
        following = step.next
        if isinstance(step, MessageStep):
            way.campaigns[way.taken] = step.campaign_id
        elif isinstance(step, AttributeStep):
            way.values[way.taken] = step.values
        else:
            way.notified[way.taken] = step.id
    way.steps.append(TakenStep(way.taken, step.id, result))
    return following


def _drawn(journey: CompiledJourney, step: ShareStep | TestStep, person: str) -> int:
    """The number of the branch that a person draws, the same for ever."""
    part = splits.trigger_part(journey.id, f"journey step {step.id}", person)
    return splits.group_at(part, splits.cuts([branch.share for branch in step.branches]))


def next_time(time_of_day: str, weekdays: Collection[int], now: datetime, time_zone: tzinfo) -> datetime:
    """The next instant, after now, at which it is a time of day such as 09:30, on one of some weekdays; none: any day.

    A time that a change of clocks leaves out is that of the change; one that comes twice is the first.
    """
    local = now.astimezone(time_zone)
    hour, minute = map(int, time_of_day.split(":"))
    for days in range(9):
        day = local.date() + timedelta(days=days)
        at = instant_of(datetime.combine(day, time(hour, minute)), time_zone)
        if at > now and (not weekdays or day.isoweekday() in weekdays):
            return at
    raise AssertionError("every weekday comes within nine days")


def details(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of the event that brought a customer in, as listeners are told of them."""
    return {f"event_{name}": value for name, value in parameters.items()}
