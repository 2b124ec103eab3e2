"""What a journey brings: the customers in it against those who are kept out of it, so many days after each came in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import Row, text

from rapport.access.scope import Scope
from rapport.campaigns.measurement.responses import Lot, Response, Responses, summed
from rapport.campaigns.measurement.statistics import NO_CONTROL, OPEN, Comparison, Pair, compare, mean_value, rate
from rapport.journeys.purchases import AT_ONCE, Begun, lot_of
from rapport.journeys.states import MemberState

DAY_MINUTES = 24 * 60
# Points of the curve, in days after coming in; those up to the asked number of days, which is the last one.
CURVE = (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365)
# Everybody counts once, from the first time that the customer came in; of versions without a hold-out nobody does.
FIRST_ENTRIES = text(f"""
    SELECT customer_id, version, entered_at, state = '{MemberState.HELD_OUT}' AS is_held_out
    FROM (
        SELECT DISTINCT ON (person) id, customer_id, version, entered_at, state
        FROM journey_members
        WHERE tenant_id = :tenant_id AND journey_id = :journey_id AND (taken > 0 OR state <> '{MemberState.ACTIVE}')
        ORDER BY person, entered_at, id
    ) AS first
    WHERE version IN (
        SELECT version FROM journey_versions
        WHERE tenant_id = :tenant_id AND journey_id = :journey_id AND CAST(body ->> 'hold_out_share' AS float) > 0
    )
    ORDER BY version, id
""")  # noqa: S608 - ours


@dataclass(frozen=True)
class JourneySide:
    """One side: its customers, those of them who ordered, and what they spent, per customer."""

    customers: int
    responders: int
    response_rate: float
    value_per_customer: float


@dataclass(frozen=True)
class CurvePoint:
    """Both sides so many days after customers came in, of those who came in at least as long ago."""

    days: int
    in_journey: JourneySide
    held_out: JourneySide


@dataclass(frozen=True)
class JourneyEffect:
    """The customers in a journey against those held out of it. Money is in the tenant's currency.

    Only customers count who came in at least days ago, as far as data are there; waiting are the others. In comparison
    the held-out customers take the place of control.
    """

    days: int
    currency: str
    in_journey: JourneySide
    held_out: JourneySide
    waiting: int
    comparison: Comparison | None
    verdict: str
    curve: list[CurvePoint]


def journey_effect(scope: Scope, journey_id: int, days: int) -> JourneyEffect:
    """Compare over days after coming in, 1 to 365, and at points of time before."""
    data_date = scope.data_date()
    until = datetime.combine((data_date or scope.today()) + timedelta(days=1), time())  # in the tenant's time
    points = [*(point for point in CURVE if point < days), days]
    with scope.reads() as session:
        of_journey = {"tenant_id": scope.tenant_id, "journey_id": journey_id}
        entries = session.execute(FIRST_ENTRIES, of_journey).all()
    lots, versions = list[Lot](), dict[int, int]()
    for number, (version, part) in enumerate(_parts(entries)):
        entered = [Begun(entry.customer_id, entry.entered_at, 0 if entry.is_held_out else 1) for entry in part]
        spans = [point * DAY_MINUTES for point in points]
        lots.append(lot_of(scope, number * len(points), entered, spans, until))
        versions[number] = version
    done = summed(scope, lots)
    pairs = [_pairs(done, versions, len(points), place) for place in range(len(points))]
    last = [pair for pair in pairs[-1] if all(side.customers for side in pair)]
    comparison = compare(last, is_watched=True) if last else None
    sides = [(_side(pair, 0), _side(pair, 1)) for pair in pairs]
    in_journey, held_out = sides[-1]
    return JourneyEffect(
        days=days,
        currency=scope.currency,
        in_journey=in_journey,
        held_out=held_out,
        waiting=len(entries) - in_journey.customers - held_out.customers,
        comparison=comparison,
        verdict=comparison.verdict if comparison else OPEN if entries else NO_CONTROL,
        curve=[CurvePoint(point, *pair) for point, pair in zip(points, sides, strict=True)],
    )


def _parts(entries: Sequence[Row[Any]]) -> Iterator[tuple[int, Sequence[Row[Any]]]]:
    """Entries, which are in order of their versions, in parts of one version that a statement takes at once."""
    begin = 0
    while begin < len(entries):
        version = entries[begin].version
        end = begin + 1
        while end < min(begin + AT_ONCE, len(entries)) and entries[end].version == version:
            end += 1
        yield version, entries[begin:end]
        begin = end


def _pairs(done: Responses, versions: dict[int, int], points: int, place: int) -> list[Pair]:
    """Those in the journey and those held out of it at a point of the curve, for each version."""
    by_version: dict[int, Pair] = {}
    for number, version in versions.items():
        draw = number * points + place
        in_journey, held_out = by_version.get(version, (Response(), Response()))
        by_version[version] = (
            in_journey + done.of(draw, [1], is_control=False),
            held_out + done.of(draw, [1], is_control=True),
        )
    return list(by_version.values())


def _side(pairs: Sequence[Pair], side: int) -> JourneySide:
    response = sum((pair[side] for pair in pairs), Response())
    return JourneySide(response.customers, response.responders, rate(response), mean_value(response))
