"""What all series and triggers together have brought: everybody against the global hold-out.

Each series draws its own control among those who may be written to, so the sum over series counts an order in each
of them that it follows, and does not see what one series takes from another. The hold-out gets nothing of any.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.goals import VALUE, sales, sales_parameters
from rapport.campaigns.measurement.checks import BalanceCheck, check
from rapport.campaigns.measurement.responses import PAST_DAYS, Lot, Response, Responses, summed
from rapport.campaigns.measurement.series_results import series_results
from rapport.campaigns.measurement.statistics import (
    BETTER,
    OPEN,
    UNSURE,
    WORSE,
    Comparison,
    Pair,
    adjusted,
    compare,
    mean_value,
    rate,
)
from rapport.campaigns.models import Occurrence, Series
from rapport.campaigns.runs import hold_out as hold_outs
from rapport.campaigns.runs.splits import Draw
from rapport.campaigns.settings import CampaignSettings, HoldOut
from rapport.campaigns.states import EXECUTED_STATES
from rapport.conditions.purchases import ValueRule
from rapport.customers.settings import value_rule
from rapport.errors import Conflict

WORDS = {
    BETTER: "Customers spend more than without any campaign.",
    WORSE: "Customers spend less than without any campaign.",
    UNSURE: "No difference from the hold-out can be shown.",
    OPEN: "The month is not over.",
}
# The whole time, beside the months, which are told by their first day.
WHOLE = date(1970, 1, 1)
HELD_OUT = hold_outs.held_out_sql("customer_id")


@dataclass(frozen=True)
class ProgrammeSide:
    """One side of the comparison: the customers of the period, those who ordered, orders and money in total and per
    customer.
    """

    customers: int
    responders: int
    response_rate: float
    orders: int
    orders_per_customer: float
    value: float
    value_per_customer: float


@dataclass(frozen=True)
class ProgrammePeriod:
    """Everybody else against the hold-out, from the first to the last day of a period of the tenant, both included.

    cap is the amount up to which the money of a customer counts in the comparison. In against_hold_out, the hold-out
    takes the place of control; its verdict is about money.
    """

    first_date: date
    last_date: date
    is_complete: bool
    cap: float | None
    written_to: ProgrammeSide
    hold_out: ProgrammeSide
    against_hold_out: Comparison | None
    verdict: str


@dataclass(frozen=True)
class SeriesPart:
    """The effect of a series or trigger against its own control; null if it cannot be determined."""

    series_id: int
    name: str
    is_triggered: bool
    runs: int
    orders: float | None
    value: float | None


@dataclass(frozen=True)
class ProgrammeResults:
    """Results since the hold-out began. Money is in the tenant's currency."""

    share: float
    start_date: date
    currency: str
    whole: ProgrammePeriod
    check: BalanceCheck | None
    months: list[ProgrammePeriod]
    series: list[SeriesPart]
    orders_of_series: float
    value_of_series: float


def programme_results(scope: Scope) -> ProgrammeResults:
    """What campaigns have brought in all since the hold-out began.

    Raises Conflict without a hold-out, and before the first data date of it.
    """
    hold_out = tenant_settings(scope, CampaignSettings).hold_out
    last = scope.data_date()
    if hold_out is None:
        raise Conflict("There is no global hold-out: set hold_out in the tenant's settings of campaigns.")
    if last is None or last < hold_out.start_date:
        raise Conflict(f"The global hold-out begins on {hold_out.start_date}: there are no data about it yet.")
    whole, tested, months = compared(scope, hold_out, last)
    parts = _series_parts(scope, hold_out.start_date)
    return ProgrammeResults(
        share=hold_out.share,
        start_date=hold_out.start_date,
        currency=scope.currency,
        whole=whole,
        check=tested,
        months=months,
        series=parts,
        orders_of_series=sum(part.orders or 0 for part in parts),
        value_of_series=sum(part.value or 0 for part in parts),
    )


def effect_of_period(scope: Scope, first: date, last: date) -> ProgrammePeriod | None:
    """Everybody against the hold-out in some days of the tenant, both included, as far as there are data.

    None without a global hold-out, where it began later, or before there are data of these days.
    """
    hold_out, newest = tenant_settings(scope, CampaignSettings).hold_out, scope.data_date()
    if hold_out is None or newest is None or first < hold_out.start_date or newest < first:
        return None
    until = min(last, newest)
    done = summed(scope, [_lot(scope, hold_out, first, first, until)])
    pair = _pair(done, first)
    is_open, has_both = newest < last, all(side.customers for side in pair)
    comparison = compare([pair], is_open=is_open, by_money=True) if has_both else None
    period = _period(first, until, not is_open, pair, comparison, done.cap)
    return replace(period, verdict="The period is not over.") if is_open and comparison else period


def compared(
    scope: Scope, hold_out: HoldOut, last: date
) -> tuple[ProgrammePeriod, BalanceCheck | None, list[ProgrammePeriod]]:
    """Everybody against a hold-out up to a day: in all, with whether that may be read, and by month."""
    done = summed(scope, [_lot(scope, hold_out, WHOLE, hold_out.start_date, last)])
    spans = list(_months(hold_out.start_date, last))
    monthly = summed(scope, [_lot(scope, hold_out, first, first, end) for first, end in spans])
    pair = _pair(done, WHOLE)
    tested = check([pair], [Draw(hold_out.share)]) if all(side.customers for side in pair) else None
    whole = _whole(hold_out.start_date, last, pair, tested, done.cap)
    months = [_month(first, end, last, _pair(monthly, first), monthly.cap) for first, end in spans]
    return whole, tested, _judged(months)


def people(values: ValueRule) -> str:
    """SQL of a row a customer of a period: what it did in it, and spent before the hold-out began."""
    since, until = "{began:DateTime('UTC')} - toIntervalDay({past:UInt32})", "{end:DateTime('UTC')}"
    return f"""
    WITH
        sale.transaction_time >= {{begin:DateTime('UTC')}} AS within,
        sale.transaction_time >= {since} AND sale.transaction_time < {{began:DateTime('UTC')}} AS earlier
    SELECT {{period:UInt32}} AS campaign, registered.customer_id AS customer, any(registered.place) AS grp, 1 AS drawn,
        countIf(within AND sale.counts) AS orders, sumIf(sale.money, within) AS value,
        sumIf(sale.money, earlier) AS past
    FROM (
        SELECT customer_id, toUInt16(NOT {HELD_OUT}) AS place FROM customers
        WHERE REGISTRATION_DATE IS NULL OR REGISTRATION_DATE < {until}
    ) AS registered
    LEFT JOIN ({sales(values, VALUE, since, until, "SELECT customer_id FROM customers")}) AS sale
        ON sale.customer_id = registered.customer_id
    GROUP BY campaign, customer
    """  # noqa: S608 - of constants


def _lot(scope: Scope, hold_out: HoldOut, key: date, first: date, last: date) -> Lot:
    parameters: dict[str, Any] = {
        "period": _number(key),
        "began": datetime.combine(hold_out.start_date, time()),
        "begin": datetime.combine(first, time()),
        "end": datetime.combine(last + timedelta(days=1), time()),
        "past": PAST_DAYS,
    }
    parameters |= sales_parameters(scope, VALUE) | hold_outs.hold_out_parameters(hold_out)
    return people(value_rule(scope)), parameters


def _number(key: date) -> int:
    return (key - WHOLE).days


def _pair(done: Responses, key: date) -> Pair:
    return done.of(_number(key), [1], is_control=False), done.of(_number(key), [1], is_control=True)


def _months(first: date, last: date) -> Iterator[tuple[date, date]]:
    """The calendar months of some days, the first and last as far as they go."""
    while first <= last:
        following = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        yield first, min(last, following - timedelta(days=1))
        first = following


def _whole(first: date, last: date, pair: Pair, tested: BalanceCheck | None, cap: float | None) -> ProgrammePeriod:
    """The whole time, which is looked at again and again while it grows."""
    comparison = compare([pair], is_watched=True, by_money=True) if tested else None
    if comparison and tested and not tested.may_be_read:
        comparison = replace(comparison, verdict=tested.words)
    return _period(first, last, True, pair, comparison, cap)


def _month(first: date, end: date, last: date, pair: Pair, cap: float | None) -> ProgrammePeriod:
    is_over = end < last or (end + timedelta(days=1)).day == 1
    comparison = compare([pair], is_open=not is_over, by_money=True) if all(side.customers for side in pair) else None
    return _period(first, end, is_over, pair, comparison, cap)


def _period(
    first: date, last: date, is_complete: bool, pair: Pair, comparison: Comparison | None, cap: float | None
) -> ProgrammePeriod:
    written_to, held_out = map(_side, pair)
    verdict = _words(comparison) if comparison else ""
    return ProgrammePeriod(first, last, is_complete, cap, written_to, held_out, comparison, verdict)


def _words(comparison: Comparison) -> str:
    return WORDS.get(comparison.verdict, comparison.verdict)


def _judged(months: Sequence[ProgrammePeriod]) -> list[ProgrammePeriod]:
    """The same with verdicts of all months together."""
    comparisons = [month.against_hold_out for month in months if month.against_hold_out]
    together = dict(zip(map(id, comparisons), adjusted(comparisons), strict=True))
    return [
        replace(month, against_hold_out=comparison, verdict=_words(comparison))
        if (comparison := together.get(id(month.against_hold_out)))
        else month
        for month in months
    ]


def _side(response: Response) -> ProgrammeSide:
    orders = int(response.orders.powers[1, 0])
    return ProgrammeSide(
        customers=response.customers,
        responders=response.responders,
        response_rate=rate(response),
        orders=orders,
        orders_per_customer=orders / response.customers if response.customers else 0.0,
        value=response.value,
        value_per_customer=mean_value(response),
    )


def _series_parts(scope: Scope, first: date) -> list[SeriesPart]:
    """The results of every series and trigger that has sent something since a day, archived ones too."""
    ran = select(Occurrence.series_id).where(
        Occurrence.tenant_id == scope.tenant_id, Occurrence.state.in_(EXECUTED_STATES), Occurrence.send_date >= first
    )
    statement = select(Series).where(Series.tenant_id == scope.tenant_id, Series.id.in_(ran))
    with scope.reads() as session:
        series = list(session.scalars(statement.order_by(Series.id)))
    return [_series_part(scope, each, first) for each in series]


def _series_part(scope: Scope, series: Series, first: date) -> SeriesPart:
    result = series_results(scope, series, VALUE, first)
    against = [group.against_control for group in result.groups if group.against_control]
    orders = [comparison.orders.total for comparison in against if comparison.orders]
    money = [comparison.money.total for comparison in against if comparison.money]
    return SeriesPart(
        series_id=series.id,
        name=series.name,
        is_triggered=series.trigger is not None,
        runs=result.runs,
        orders=sum(orders) if orders else None,
        value=sum(money) if money else None,
    )
