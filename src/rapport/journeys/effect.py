"""What a journey brings: the customers in it against those who are kept out of it, so many days after each came in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import Row, text

from rapport.access.scope import Scope
from rapport.campaigns.goals import VALUE, sales, sales_parameters
from rapport.campaigns.measurement.responses import PAST_DAYS, Lot, Response, Responses, summed
from rapport.campaigns.measurement.statistics import NO_CONTROL, OPEN, Comparison, Pair, compare, mean_value, rate
from rapport.conditions.purchases import ValueRule
from rapport.customers.settings import value_rule
from rapport.journeys.states import MemberState

# Customers whose orders a statement looks at.
AT_ONCE = 10_000
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
        lots.append(_lot(scope, number * len(points), part, points, until))
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


def people(values: ValueRule) -> str:
    """SQL of a row a customer and point of the curve: what it did until then, and had spent before it came in."""
    since, until = "{since:DateTime('UTC')} - toIntervalDay({past:UInt32})", "{until:DateTime('UTC')}"
    return f"""
    WITH
        sale.transaction_time >= entry.begin AND sale.transaction_time < entry.begin + toIntervalDay(entry.days)
            AS within,
        sale.transaction_time >= entry.begin - toIntervalDay({{past:UInt32}}) AND sale.transaction_time < entry.begin
            AS earlier
    SELECT {{draw:UInt32}} + entry.point - 1 AS campaign, entry.customer_id AS customer, any(entry.grp) AS grp,
        1 AS drawn, countIf(within AND sale.counts) AS orders, sumIf(sale.money, within) AS value,
        sumIf(sale.money, earlier) AS past
    FROM (
        SELECT
            arrayJoin(arrayZip(
                {{ids:Array(String)}}, {{begins:Array(DateTime('UTC'))}}, {{groups:Array(UInt16)}}
            )) AS member,
            arrayJoin(arrayEnumerate({{points:Array(UInt16)}})) AS point,
            member.1 AS customer_id, member.2 AS begin, member.3 AS grp, {{points:Array(UInt16)}}[point] AS days
        WHERE begin + toIntervalDay(days) <= {until}
    ) AS entry
    LEFT JOIN ({sales(values, VALUE, since, until, "SELECT arrayJoin({ids:Array(String)})")}) AS sale
        ON sale.customer_id = entry.customer_id
    GROUP BY campaign, customer
    """  # noqa: S608 - of constants


def _lot(scope: Scope, draw: int, entries: Sequence[Row[Any]], points: Sequence[int], until: datetime) -> Lot:
    begins = [entry.entered_at.astimezone(scope.time_zone).replace(tzinfo=None, microsecond=0) for entry in entries]
    parameters: dict[str, Any] = {
        "draw": draw,
        "ids": [entry.customer_id for entry in entries],
        "begins": begins,
        "groups": [0 if entry.is_held_out else 1 for entry in entries],
        "points": list(points),
        "since": min(begins),
        "until": until,
        "past": PAST_DAYS,
    }
    return people(value_rule(scope)), parameters | sales_parameters(scope, VALUE)


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
