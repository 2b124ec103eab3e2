"""What happened in some days: customers, orders, campaigns, reactions, suppressions, and who changed what.

Beside the days stand as many days before them, the same weekdays of a year before, and customers of the global
hold-out, whom no campaign reaches.
"""

# ruff: noqa: S608 - statements are put together of constants

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import select

from rapport.access.audit import AuditCount, AuditFilter, audit_counts
from rapport.access.scope import Scope
from rapport.campaigns.measurement import programme
from rapport.campaigns.measurement.interactions import RECORDED
from rapport.campaigns.measurement.programme import ProgrammePeriod
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

# The same weekdays a year before.
YEAR = 52 * 7 * DAY

# Of all channels and campaigns, or of some: 0 is no channel, and tagged says whether campaign_ids are meant.
CHOSEN = """
    ({channel_id:UInt32} = 0 OR channel_id = {channel_id:UInt32})
    AND (NOT {tagged:Bool} OR campaign_id IN {campaign_ids:Array(UInt32)})
"""
OUTCOMES = f"""
    SELECT outcome, channel_id, count() FROM campaign_outcomes
    WHERE execution_date BETWEEN {{first:Date}} AND {{last:Date}} AND {CHOSEN} GROUP BY outcome, channel_id
"""
REACTIONS = f"""
    SELECT event_id, count() FROM campaign_interactions
    WHERE delivery_date BETWEEN {{first:Date}} AND {{last:Date}} AND {CHOSEN} GROUP BY event_id ORDER BY event_id
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

    sentences says the main points in words. customers compares the last modelled day before the period with the last
    one in it; it is null if one is missing. orders_before covers the same number of days before the period, and
    orders_year_before the same weekdays 52 weeks earlier; if the period has not ended, the corresponding part. effect
    compares everybody with the global hold-out; it is null without a hold-out that was there for the whole period.
    In suppressed, "addresses" counts addresses that were suppressed without a customer.
    """

    first: date
    last: date
    has_ended: bool
    sentences: list[str]
    customers: Moves | None
    currency: str
    orders: Orders
    orders_before: Orders
    orders_year_before: Orders
    effect: ProgrammePeriod | None
    campaigns: dict[str, int]
    outcomes: dict[str, int]
    sent_by_channel: dict[int, int]
    interactions: dict[str, int]
    suppressed: dict[str, int]
    changes: list[AuditCount]


@dataclass(frozen=True)
class Chosen:
    """Which campaigns count: those with a tag, and of what they sent that on a channel; None for all."""

    channel_id: int | None = None
    tag: str | None = None


def summary(scope: Scope, first: date | None = None, last: date | None = None, chosen: Chosen = Chosen()) -> Summary:
    """What happened from one day to another: in the seven days to the newest data date unless told otherwise.

    chosen is about campaigns, outcomes and interactions only. Raises Invalid for a period that ends before it begins,
    is longer than MOST_DAYS or lies beyond all calendars.
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
    states, bound = _campaigns(scope, first, last, chosen)
    outcomes, sent = _outcomes(scope, bound)
    orders = _orders(scope, begins, ends)
    before, year_before = (_orders(scope, begins - gap, passed - gap) for gap in (days * DAY, YEAR))
    customers, interactions = _moves(scope, first, last), _interactions(scope, bound)
    effect = programme.effect_of_period(scope, first, last)
    return Summary(
        first=first,
        last=last,
        has_ended=end <= now,
        sentences=[
            _words_of_orders(orders, before, year_before, days, scope.currency),
            *_words_of_customers(customers),
            _words_of_messages(sum(sent.values()), interactions),
            *_words_of_effect(effect, scope.currency),
        ],
        customers=customers,
        currency=scope.currency,
        orders=orders,
        orders_before=before,
        orders_year_before=year_before,
        effect=effect,
        campaigns=states,
        outcomes=outcomes,
        sent_by_channel=sent,
        interactions=interactions,
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


def _campaigns(scope: Scope, first: date, last: date, chosen: Chosen) -> tuple[dict[str, int], dict[str, Any]]:
    """How many campaigns are in each state, and what the warehouse binds to find what came of them."""
    statement = select(Occurrence.id, Occurrence.state).where(
        Occurrence.tenant_id == scope.tenant_id, Occurrence.execution_date.between(first, last)
    )
    if chosen.tag is not None:
        statement = statement.where(Occurrence.tags.contains([chosen.tag]))
    with scope.reads() as session:
        rows = session.execute(statement).all()
    counted = Counter(str(state) for _, state in rows)
    ids = [] if chosen.tag is None else [campaign_id for campaign_id, _ in rows]
    bound = {"first": first, "last": last, "channel_id": chosen.channel_id or 0}
    return dict(sorted(counted.items())), {**bound, "tagged": chosen.tag is not None, "campaign_ids": ids}


def _outcomes(scope: Scope, bound: dict[str, Any]) -> tuple[dict[str, int], dict[int, int]]:
    units: dict[str, int] = {}
    sent: dict[int, int] = {}
    for outcome, channel, count in sorted(scope.warehouse.rows(OUTCOMES, **bound)):
        units[outcome] = units.get(outcome, 0) + int(count)
        if outcome == Outcome.SENT:
            sent[int(channel)] = int(count)
    return units, sent


def _interactions(scope: Scope, bound: dict[str, Any]) -> dict[str, int]:
    rows = scope.warehouse.rows(REACTIONS, **bound)
    return {RECORDED[event]: int(count) for event, count in rows if event in RECORDED}


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _words_of_orders(orders: Orders, before: Orders, year_before: Orders, days: int, currency: str) -> str:
    said = f"{_counted(orders.customers, 'customer')} placed {_counted(orders.orders, 'order')}"
    worth = f"{said} worth {orders.value:,.2f} {currency}"
    beside = [
        f"{change} than {when}"
        for earlier, when in ((before, f"in the {_counted(days, 'day')} before"), (year_before, "a year before"))
        if (change := _change(orders.value, earlier.value))
    ]
    return f"{worth}: {' and '.join(beside)}." if beside else f"{worth}."


def _change(value: float, earlier: float) -> str:
    """How much more or less it is in percent; empty where there was nothing before."""
    if earlier <= 0:
        return ""
    percent = round((value / earlier - 1) * 100)
    return f"{abs(percent):,}% {'less' if percent < 0 else 'more'}"


def _words_of_customers(customers: Moves | None) -> list[str]:
    if customers is None:
        return []
    return [f"{_counted(customers.came, 'customer')} came and {customers.gone:,} left."]


def _words_of_messages(sent: int, interactions: dict[str, int]) -> str:
    reacted = [f"{number:,} {word}" for word in ("opened", "clicked") if (number := interactions.get(word))]
    return f"Campaigns sent {_counted(sent, 'message')}{': ' + ', '.join(reacted) if reacted else ''}."


def _words_of_effect(effect: ProgrammePeriod | None, currency: str) -> list[str]:
    """What the campaigns brought in money, with its 95% interval, as the comparison with the hold-out tells it."""
    if effect is None or effect.against_hold_out is None or effect.against_hold_out.money is None:
        return []
    money = effect.against_hold_out.money
    low, high = money.total_interval
    brought = f"Compared with the hold-out, campaigns brought {money.total:,.2f} {currency}"
    return [f"{brought} (95% interval: {low:,.2f} to {high:,.2f}). {effect.verdict}"]
