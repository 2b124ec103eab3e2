"""What a series that is saved can show, and how long until it knows, before it has had a run.

From the customers that it reaches now, its shares and schedule, and what customers did before: those of earlier runs
on the same target group, where there are enough, else all customers.
"""

# ruff: noqa: S608 - statements are put together of constants

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.audiences import counting, groups
from rapport.campaigns.goals import is_amount, is_click, sales, sales_parameters
from rapport.campaigns.measurement.power import Detectable, Spread, estimated, size_of, spread_of
from rapport.campaigns.measurement.responses import Response, alike_groups, clicked, reactions, responses, summed
from rapport.campaigns.measurement.windows import windows
from rapport.campaigns.models import Occurrence, Series
from rapport.campaigns.own_runs import own_days, shortest_gap
from rapport.campaigns.schemas import Goal
from rapport.campaigns.states import EXECUTED_STATES
from rapport.campaigns.triggered.schemas import EventMatch
from rapport.customers import event_types
from rapport.customers.settings import value_rule

# Earlier runs that are looked at, newest first, and how many responders of them are enough.
LOOKED_AT, ENOUGH = 10, 20
EARLIER = "those of the last runs on its target group"
ALL = "all customers in the last {days} days"

NO_DATA = Detectable(None, None, None, "There are no data yet to estimate what this series can show.")
NO_RESPONSE = Detectable(None, None, None, "What this series can show cannot be estimated: nobody has responded yet.")
NOBODY = Detectable(None, None, None, "This series cannot show anything: it reaches nobody now.")
NO_COMPARISON = Detectable(
    None, None, None, "This series cannot show anything: it has neither control nor two groups on the same channels."
)

BY_JOURNEY = Detectable(None, None, None, "What this can show depends on how many customers a journey brings to it.")
NO_EVENT = Detectable(None, None, None, "What this can show cannot be estimated: nobody had its event lately.")
# Days whose events tell how many customers a trigger has.
EVENT_DAYS = 30
HAD_EVENT = """
    SELECT DISTINCT customer_id FROM activity_events
    WHERE event_type_id = {event:UInt32}
        AND event_at >= {first:DateTime64(3, 'UTC')} AND event_at < {last:DateTime64(3, 'UTC')}
"""

# A row a customer, of some of them: what each did for a goal in some days.
ALL_CUSTOMERS = "SELECT customer_id FROM customers"
SOME_CUSTOMERS = """
    SELECT 0 AS campaign, chosen.customer_id AS customer, 1 AS grp, 1 AS drawn,
        countIf(sale.counts) AS orders, sum(sale.money) AS value, 0. AS past
    FROM ({customers}) AS chosen LEFT JOIN ({sales}) AS sale ON sale.customer_id = chosen.customer_id
    GROUP BY customer
"""


def planned(scope: Scope, series: Series, size: int | None = None) -> Detectable:
    """What a series can show in a run, of so many customers or of all in its target group now, and in a year."""
    data_date = scope.data_date()
    if data_date is None:
        return NO_DATA
    goal = series.goal
    part = _size_of_a_customer(scope, series, goal)
    if not part:
        return NO_COMPARISON
    spread, whose = _spread(scope, series, goal, data_date)
    if size is None:
        size = counting.size_now(scope, groups.target_group(scope, series.target_group_id).condition)
    if not size:
        return NOBODY
    if spread.mean <= 0 or spread.variance <= 0:
        return NO_RESPONSE
    estimate = estimated(f"With {size} customers a run", size * part, spread, _lasts(series))
    return Detectable(
        estimate.so_far,
        estimate.after_a_year,
        estimate.days_until_a_tenth,
        f"{estimate.words} This assumes that customers do what {whose} did.",
    )


def planned_trigger(scope: Scope, series: Series) -> Detectable:
    """What a triggered campaign can show by the customers of some days, and in a year.

    It is taken that whoever had the event of the trigger lately meets it, and does what such customers did.
    """
    data_date = scope.data_date()
    if data_date is None:
        return NO_DATA
    goal = series.goal
    part = _size_of_a_customer(scope, series, goal)
    if not part:
        return NO_COMPARISON
    trigger = series.required_trigger.trigger
    if not isinstance(trigger, EventMatch):
        return BY_JOURNEY
    event = event_types.event_type_named(scope, trigger.event)
    end = datetime.combine(data_date + timedelta(days=1), time())
    event_days = {
        "event": event.id if event else 0,
        "first": scope.instant(end - timedelta(days=EVENT_DAYS)),
        "last": scope.instant(end),
    }
    size = int(scope.warehouse.value(f"SELECT uniqExact(customer_id) FROM ({HAD_EVENT})", **event_days) or 0)
    if not size or event is None:
        return NO_EVENT
    spread = _in_days(scope, series, goal, end, HAD_EVENT, event_days)
    if is_click(goal) or spread.mean <= 0 or spread.variance <= 0:
        return NO_RESPONSE
    estimate = estimated(f"With {size} customers in {EVENT_DAYS} days", size * part, spread, EVENT_DAYS)
    words = f"{estimate.words} So many had the event {event.name!r}; what else the trigger asks for makes them fewer."
    return replace(estimate, words=words)


def _in_days(
    scope: Scope, series: Series, goal: Goal, end: datetime, customers_sql: str, parameters: Mapping[str, Any]
) -> Spread:
    """What some customers (SQL, with what it binds) did in as many days before an end as the window has."""
    bound_days = {"since": end - timedelta(days=series.duration), "until": end}
    of_all = sales(value_rule(scope), goal, "{since:DateTime('UTC')}", "{until:DateTime('UTC')}", customers_sql)
    sql = SOME_CUSTOMERS.format(customers=customers_sql, sales=of_all)
    cells = summed(scope, [(sql, {**bound_days, **sales_parameters(scope, goal), **parameters})]).cells
    return spread_of(sum(cells.values(), Response()), is_money=is_amount(goal))


def _size_of_a_customer(scope: Scope, series: Series, goal: Goal) -> float:
    """What a customer of a run adds to the size of the best comparison."""
    alike, shares = alike_groups(scope, series.groups), [group.share for group in series.groups]
    held_back, sent = series.control_share, [(1 - series.control_share) * share for share in shares]
    control = 0.0 if is_click(goal) else held_back
    against_control = [
        size_of(sent[n - 1], control * sum(shares[other - 1] for other in others)) for n, others in enumerate(alike, 1)
    ]
    if control:
        return max(against_control)
    pairs = [(n, other) for n, others in enumerate(alike, 1) for other in others if other < n]
    return max((size_of(sent[n - 1], sent[other - 1]) for n, other in pairs), default=0.0)


def _lasts(series: Series) -> int | None:
    """In how many days as many new customers come together as a run has; none where there is one run."""
    gap = shortest_gap(series.days)
    if gap is None or series.rules.include_all:
        return gap
    return max(gap, own_days(series.days, series.rules, series.duration))


def _spread(scope: Scope, series: Series, goal: Goal, data_date: date) -> tuple[Spread, str]:
    """What customers do in a window of the series, and whose doing that is."""
    earlier = _of_earlier_runs(scope, series, goal, data_date)
    if earlier.responders >= ENOUGH or is_click(goal):
        return spread_of(earlier, is_money=is_amount(goal)), EARLIER
    end = datetime.combine(data_date + timedelta(days=1), time())
    return _in_days(scope, series, goal, end, ALL_CUSTOMERS, {}), ALL.format(days=series.duration)


def _of_earlier_runs(scope: Scope, series: Series, goal: Goal, data_date: date) -> Response:
    statement = (
        select(Occurrence)
        .where(
            Occurrence.tenant_id == scope.tenant_id,
            Occurrence.target_group_id == series.target_group_id,
            Occurrence.is_triggered.is_(False),
            Occurrence.is_one_time.is_(False),
            Occurrence.state.in_(EXECUTED_STATES),
            Occurrence.duration == series.duration,
        )
        .order_by(Occurrence.execution_date.desc(), Occurrence.id.desc())
        .limit(LOOKED_AT)
    )
    with scope.reads() as session:
        runs = list(session.scalars(statement))
    ends = windows(scope, runs) if runs else []
    ended = [run for run, (_, end) in zip(runs, ends, strict=True) if data_date >= end.date()]
    if not ended:
        return Response()
    done = responses(scope, ended, goal)
    done = clicked(done, reactions(scope, ended)) if is_click(goal) else done
    return sum(done.cells.values(), Response())
