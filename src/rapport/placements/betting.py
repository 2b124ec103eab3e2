"""Betting activity: which events tell of bets, and what their parameters say of the inventory.

The one place that maps names of events and parameters. Events come by the event intake, as any others, under the
names and parameters of the reference's standard events (with ootb_) or without that prefix. discipline is what the
inventory calls a category, meeting a type.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from rapport.access.scope import Scope
from rapport.customers.event_types import ids_named
from rapport.stores.warehouse import literal

PREFIX = "ootb_"
# How far back a customer's own activity counts, and how much of it.
OWN_DAYS, MOST_OWN = 180, 1000
# How long a selection stays in a slip that nobody returns to.
SLIP_STAYS = timedelta(hours=24)


class Step(StrEnum):
    """What a customer did with a selection."""

    ADDED = "added"
    REMOVED = "removed"
    PLACED = "placed"
    SETTLED = "settled"


STEPS = {
    "added_to_bet_slip": Step.ADDED,
    "add_to_bet_slip": Step.ADDED,
    "added_to_betslip": Step.ADDED,
    "removed_from_bet_slip": Step.REMOVED,
    "removed_from_betslip": Step.REMOVED,
    "sports_bet_placed": Step.PLACED,
    "bet_placed": Step.PLACED,
    "sports_bet_settle": Step.SETTLED,
    "sports_bet_settled": Step.SETTLED,
    "bet_settle": Step.SETTLED,
}
EVENT_NAMES = {f"{prefix}{name}": step for name, step in STEPS.items() for prefix in ("", PREFIX)}
# What is known of a bet, and the parameter that says it.
PARAMETERS = {
    "slip": "betslip_key",
    "category": "discipline_key",
    "class": "class_key",
    "type": "meeting_key",
    "event": "event_key",
    "event_name": "event_name",
    "market": "market_key",
    "market_name": "market_name",
    "selection": "selection_key",
    "selection_name": "selection_name",
}
# How much a selection tells of what a customer likes, by the furthest step that it has come to.
WEIGHTS = {Step.ADDED: 0.3, Step.REMOVED: 0.0, Step.PLACED: 1.0, Step.SETTLED: 1.0}


def parameter_sql(name: str) -> str:
    """SQL of a member of PARAMETERS in a row of activity_events."""
    parameter = PARAMETERS[name]
    prefixed, plain = (f"properties[{literal(text)}]" for text in (PREFIX + parameter, parameter))
    return f"if({prefixed} = '', {plain}, {prefixed})"


# The league of a row of activity_events, as group_of has it.
GROUP = f"if({parameter_sql('type')} = '', {parameter_sql('class')}, {parameter_sql('type')})"
# Parameters are read of the customer's rows only: of all rows, it would take four times as long.
OWN = f"""
    SELECT event_type_id, event_at, {", ".join(map(parameter_sql, PARAMETERS))}
    FROM (
        SELECT event_type_id, event_at, properties FROM activity_events
        PREWHERE event_type_id IN {{types:Array(UInt32)}} AND event_at >= {{since:DateTime64(3, 'UTC')}}
            AND event_at <= {{now:DateTime64(3, 'UTC')}} AND lowerUTF8(customer_id) = lowerUTF8({{customer:String}})
        ORDER BY event_at DESC LIMIT {MOST_OWN}
    )
    ORDER BY event_at DESC
"""  # noqa: S608 - ours


@dataclass(frozen=True)
class Bet:
    """A selection that a customer had in a slip, at the furthest step that it has come to."""

    category: str
    group: str
    event_key: str
    event_name: str
    market_name: str
    selection_key: str
    selection_name: str
    weight: float
    at: datetime


@dataclass(frozen=True)
class Activity:
    """What a customer bet on, and which selections (event key, selection key) are in the slip now."""

    bets: Sequence[Bet] = ()
    in_slip: frozenset[tuple[str, str]] = frozenset()


def group_of(class_key: str, type_key: str) -> str:
    """What of a category a customer likes: the type, such as a league, or the class where there is no type."""
    return type_key or class_key


def type_ids(scope: Scope) -> dict[int, Step]:
    """What the tenant's event types that tell of bets stand for, by id."""
    return {id: EVENT_NAMES[name] for name, id in ids_named(scope, EVENT_NAMES).items()}


def activity_of(scope: Scope, types: Mapping[int, Step], customer_id: str) -> Activity:
    """The activity of a customer, whose id may be in any case; of a customer without any, none."""
    if not types:
        return Activity()
    now = scope.clock.now()
    since = now - timedelta(days=OWN_DAYS)
    rows = scope.warehouse.rows(OWN, types=list(types), since=since, now=now, customer=customer_id)
    steps = [
        (types[type_id], at.replace(tzinfo=UTC), dict(zip(PARAMETERS, values, strict=True)))
        for type_id, at, *values in rows
    ]
    return Activity(_bets(steps), _in_slip(steps, now))


def _bets(steps: Iterable[tuple[Step, datetime, dict[str, Any]]]) -> list[Bet]:
    """One for each selection of a slip, whatever number of events told of it; none for one that was only removed."""
    events_by_bet: dict[tuple[str, str, str], list[tuple[Step, datetime, dict[str, Any]]]] = defaultdict(list)
    for step, at, values in steps:
        events_by_bet[values["slip"], values["event"], values["selection"]].append((step, at, values))
    bets = []
    for events in events_by_bet.values():
        furthest = max((step for step, *_ in events), key=list(Step).index)
        _, at, values = events[0]
        if WEIGHTS[furthest]:
            bets.append(
                Bet(
                    category=values["category"],
                    group=group_of(values["class"], values["type"]),
                    event_key=values["event"],
                    event_name=values["event_name"],
                    market_name=values["market_name"],
                    selection_key=values["selection"],
                    selection_name=values["selection_name"],
                    weight=WEIGHTS[furthest],
                    at=at,
                )
            )
    return bets


def _in_slip(steps: Iterable[tuple[Step, datetime, dict[str, Any]]], now: datetime) -> frozenset[tuple[str, str]]:
    """The selections whose newest event says that they were added, not long ago. steps: the newest first."""
    newest: dict[tuple[str, str], tuple[Step, datetime]] = {}
    for step, at, values in steps:
        key = (values["event"], values["selection"])
        known = newest.get(key)
        # Of the same instant, the further step is the later one.
        if known is None or (known[1] == at and list(Step).index(step) > list(Step).index(known[0])):
            newest[key] = (step, at)
    return frozenset(key for key, (step, at) in newest.items() if step is Step.ADDED and now - at < SLIP_STAYS)
