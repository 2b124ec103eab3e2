"""What happened in some days: customers, orders, campaigns, reactions, suppressions, and who changed what."""

# ruff: noqa: S608 - statements are put together of constants

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlalchemy import func, select

from rapport.access.audit import AuditCount, AuditFilter, audit_counts
from rapport.access.scope import Scope
from rapport.campaigns.measurement.interactions import RECORDED
from rapport.campaigns.models import Occurrence
from rapport.conditions.outcomes import Outcome
from rapport.conditions.purchases import IS_PURCHASE, ValueRule
from rapport.customers.settings import value_rule
from rapport.errors import Invalid
from rapport.insight import moves
from rapport.insight import service as insight
from rapport.insight.moves import Moves
from rapport.messaging.contactability import suppressions
from rapport.stores.clock import instant_of

DAY = timedelta(days=1)
USUAL_DAYS, MOST_DAYS = 7, 92
# Days that the warehouse knows, with those before that are compared.
EARLIEST, LATEST = date(1971, 1, 1), date(2148, 12, 31)

OUTCOMES = """
    SELECT outcome, channel_id, count() FROM campaign_outcomes
    WHERE execution_date BETWEEN {first:Date} AND {last:Date} GROUP BY outcome, channel_id
"""
REACTIONS = """
    SELECT event_id, count() FROM campaign_interactions
    WHERE delivery_date BETWEEN {first:Date} AND {last:Date} GROUP BY event_id ORDER BY event_id
"""


@dataclass(frozen=True)
class Orders:
    """The orders of a period, the number of customers who ordered, and the total amount."""

    orders: int
    customers: int
    value: float


@dataclass(frozen=True)
class Summary:
    """A period of the tenant's days, both included. Campaigns, outcomes and interactions are those of campaigns
    processed in it.

    customers compares the last modelled day before the period with the last one in it; it is null if one is missing.
    orders_before covers the same number of days before the period; if the period has not ended, the corresponding part.
    In suppressed, "addresses" counts addresses that were suppressed without a customer.
    """

    first: date
    last: date
    has_ended: bool
    customers: Moves | None
    currency: str
    orders: Orders
    orders_before: Orders
    campaigns: dict[str, int]
    outcomes: dict[str, int]
    sent_by_channel: dict[int, int]
    interactions: dict[str, int]
    suppressed: dict[str, int]
    changes: list[AuditCount]


def summary(scope: Scope, first: date | None = None, last: date | None = None) -> Summary:
    """What happened from one day to another: in the seven days to the newest data date unless told otherwise.

    Raises Invalid for a period that ends before it begins, is longer than MOST_DAYS or lies beyond all calendars.
    """
    if any(day and not EARLIEST <= day <= LATEST for day in (first, last)):
        raise Invalid(f"first and last must be days from {EARLIEST} to {LATEST}.")
    last = last or (first and min(first + (USUAL_DAYS - 1) * DAY, scope.today())) or scope.data_date() or scope.today()
    first = first or last - (USUAL_DAYS - 1) * DAY
    days = (last - first).days + 1
    if days < 1:
        raise Invalid(f"last must not be before first, which is {first}.")
    if days > MOST_DAYS:
        raise Invalid(f"first and last must be at most {MOST_DAYS} days apart.")
    begins, ends = (datetime.combine(day, time()) for day in (first, last + DAY))
    begin, end = (instant_of(at, scope.time_zone) for at in (begins, ends))
    now = scope.clock.now()
    passed = min(ends, max(begins, now.astimezone(scope.time_zone).replace(tzinfo=None)))
    outcomes, sent = _outcomes(scope, first, last)
    return Summary(
        first=first,
        last=last,
        has_ended=end <= now,
        customers=_moves(scope, first, last),
        currency=scope.currency,
        orders=_orders(scope, begins, ends),
        orders_before=_orders(scope, begins - days * DAY, passed - days * DAY),
        campaigns=_states(scope, first, last),
        outcomes=outcomes,
        sent_by_channel=sent,
        interactions=_interactions(scope, first, last),
        suppressed=suppressions.suppressed_between(scope, begin, end),
        changes=audit_counts(scope, AuditFilter(since=begin, until=end)),
    )


def _moves(scope: Scope, first: date, last: date) -> Moves | None:
    days = insight.result_dates(scope)
    before, after = _until(days, first - DAY), _until(days, last)
    return None if before is None or after is None or before == after else moves.moves(scope, before, after)


def _until(days: Sequence[date], last: date) -> date | None:
    """The last of some days up to one."""
    position = bisect_right(days, last)
    return days[position - 1] if position else None


def _orders_sql(values: ValueRule) -> str:
    return f"""
        SELECT countIf({IS_PURCHASE}), uniqExactIf(customer_id, {IS_PURCHASE}), sum({values.value_sql})
        FROM transactions
        WHERE transaction_time >= {{begin:DateTime('UTC')}} AND transaction_time < {{end:DateTime('UTC')}}
            AND {values.has_value_sql}
    """


def _orders(scope: Scope, begin: datetime, end: datetime) -> Orders:
    """Those from one wall-clock time of the tenant to before another."""
    values = value_rule(scope)
    parameters = {"begin": f"{begin:%F %T}", "end": f"{end:%F %T}"}
    ((orders, customers, value),) = scope.warehouse.rows(_orders_sql(values), **parameters, **values.parameters())
    return Orders(int(orders), int(customers), round(float(value), 2))


def _states(scope: Scope, first: date, last: date) -> dict[str, int]:
    counted = select(Occurrence.state, func.count()).where(
        Occurrence.tenant_id == scope.tenant_id, Occurrence.execution_date.between(first, last)
    )
    with scope.reads() as session:
        return {str(state): int(count) for state, count in session.execute(counted.group_by("state").order_by("state"))}


def _outcomes(scope: Scope, first: date, last: date) -> tuple[dict[str, int], dict[int, int]]:
    units: dict[str, int] = {}
    sent: dict[int, int] = {}
    for outcome, channel, count in sorted(scope.warehouse.rows(OUTCOMES, first=first, last=last)):
        units[outcome] = units.get(outcome, 0) + int(count)
        if outcome == Outcome.SENT:
            sent[int(channel)] = int(count)
    return units, sent


def _interactions(scope: Scope, first: date, last: date) -> dict[str, int]:
    rows = scope.warehouse.rows(REACTIONS, first=first, last=last)
    return {RECORDED[event]: int(count) for event, count in rows if event in RECORDED}
