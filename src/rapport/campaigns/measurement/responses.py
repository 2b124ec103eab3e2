"""How the customers of a run responded in its measurement window: transactions that count, per recipient group."""

# ruff: noqa: S608 - statements are put together of constants

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from operator import add
from typing import Any

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.campaigns import costs, goals
from rapport.campaigns.goals import sales
from rapport.campaigns.measurement import trigger_results
from rapport.campaigns.measurement.randomization import NOTHING, POWERS, Sums
from rapport.campaigns.measurement.windows import windows
from rapport.campaigns.models import Occurrence
from rapport.campaigns.plans import Plan, PlannedGroup, channels_in
from rapport.campaigns.runs import queries
from rapport.campaigns.runs.clearance import LEFT_OUT
from rapport.campaigns.runs.splits import NO_TALLY, Counts, Tally, alike, cuts, group_at_sql, run_part_sql
from rapport.campaigns.schemas import Goal
from rapport.campaigns.states import EXECUTED_STATES
from rapport.conditions.interaction_codes import CLICKED
from rapport.conditions.outcomes import Outcome
from rapport.conditions.purchases import ValueRule
from rapport.customers.settings import value_rule
from rapport.messaging.contactability.purposes import purposes_of_templates

# Past runs that a self-optimising split learns from, newest first; of those with few customers more are needed.
REMEMBERED_RUNS, REMEMBERED_SMALL_RUNS = 20, 60
SMALL_RUNS_TOGETHER = 500_000

# Customers of the runs that a statement takes at once.
CUSTOMERS_AT_ONCE = 200_000

# What customers spent in so many days before a window takes spread away from what they spend in it.
PAST_DAYS = 60
# Money of this share of the buyers, those who spent most, counts up to what the least of them spent.
CAPPED_SHARE = 0.05
# Amounts are counted by this many steps to the double, so the cap is known to 3%.
STEPS = 24
Lot = tuple[str, dict[str, Any]]
# Customers by recipient group and interaction.
Reacted = Counter[tuple[int, int]]

# Who was assigned to which group; 0 is control, drawn the group that it would have been. Customers whom an outside
# system did not clear count in the group that they were in: control was never asked about, so the cleared
# alone do not compare with it. So do those who were taken off the list of an outside channel between processing and
# sending. The runs stand in arrays: their dates, ids, cuts of the groups, begins and ends.
OF_RUNS = "execution_date IN {execution_dates:Array(Date)} AND campaign_id IN {campaigns:Array(UInt32)}"
BY_HASH = group_at_sql(
    run_part_sql("campaign_id", "customer_id"),
    "{cuts:Array(Array(UInt32))}[indexOf({campaigns:Array(UInt32)}, campaign_id)]",
)
PLACES = f"""
    SELECT campaign_id, customer_id, recipient_group_id AS place,
        if(drawn_group > 0, drawn_group, {BY_HASH}) AS drawn
    FROM campaign_recipients WHERE {OF_RUNS}
    UNION ALL
    SELECT campaign_id, customer_id, if(drawn_group > 0, drawn_group, {BY_HASH}) AS place, place AS drawn
    FROM campaign_outcomes
    WHERE {OF_RUNS} AND ({LEFT_OUT} OR outcome = '{Outcome.SUPPRESSED}' AND batch > 0 AND firing_id = 0)
"""


def people(values: ValueRule, goal: Goal, *, with_cost: bool) -> str:
    """SQL of a row a run and customer: what it did for a goal in the window, and before it, and its vouchers."""
    cost = f", {costs.cost_sql('assigned.campaign_id')}" if with_cost else ""
    since, until = "{begin:DateTime('UTC')} - toIntervalDay({past:UInt32})", "{end:DateTime('UTC')}"
    return f"""
    WITH
        indexOf({{campaigns:Array(UInt32)}}, assigned.campaign_id) AS run,
        sale.transaction_time >= {{begins:Array(DateTime('UTC'))}}[run]
            AND sale.transaction_time < {{ends:Array(DateTime('UTC'))}}[run] AS within,
        sale.transaction_time >= {{begins:Array(DateTime('UTC'))}}[run] - toIntervalDay({{past:UInt32}})
            AND sale.transaction_time < {{begins:Array(DateTime('UTC'))}}[run] AS earlier
    SELECT assigned.campaign_id AS campaign, assigned.customer_id AS customer, any(assigned.grp) AS grp,
        any(assigned.drawn) AS drawn,
        countIf(within AND sale.counts) AS orders, sumIf(sale.money, within) AS value,
        sumIf(sale.money, earlier) AS past{cost}
    FROM (
        SELECT campaign_id, customer_id, max(place) AS grp, max(drawn) AS drawn
        FROM ({PLACES}) GROUP BY campaign_id, customer_id
    ) AS assigned
    LEFT JOIN (
        {sales(values, goal, since, until, f"SELECT customer_id FROM ({PLACES})")}
    ) AS sale ON sale.customer_id = assigned.customer_id
    GROUP BY campaign, customer
    """


def _within(column: str, cap: str) -> str:
    """SQL of money that counts up to a cap, what was paid out likewise."""
    most = f"{{{{{cap}:Float64}}}}"
    return f"greatest(least({column}, {most}), -{most})"


# Of people of scheduled or triggered runs.
COUNTED = "SELECT campaign, drawn, grp = 0, count(), countIf(orders > 0) FROM ({people}) GROUP BY ALL"
AMOUNTS = f"""
    SELECT kind, toInt32(floor(log2(abs(amount)) * {STEPS})) AS step, count()
    FROM ({{people}}) ARRAY JOIN [0, 1] AS kind, [value, past] AS amount
    WHERE amount != 0 GROUP BY kind, step
"""
CAPPED, NET = (
    ", ".join(
        f"sum(pow({_within('value', 'most')}{less}, {a}) * pow({_within('past', 'most_before')}, {b}))"
        for a, b in POWERS
    )
    for less in ("", " - cost")
)
SUMMED = f"""
    SELECT campaign, drawn, grp = 0, count(), countIf(orders > 0), sum(value),
        sum(orders), sum(pow(orders, 2)), sum(pow(orders, 3)), {CAPPED}{{more}}
    FROM ({{people}}) GROUP BY ALL
"""
WITH_COST = f", sum(cost), {NET}".replace("{{", "{").replace("}}", "}")

# Customers by draw, recipient group and interaction.
REACTIONS = """
    SELECT {draws:Array(UInt32)}[indexOf({campaigns:Array(UInt32)}, campaign_id)] AS draw, recipient_group_id,
        event_id, uniqExact(lowerUTF8(customer_id))
    FROM campaign_interactions
    WHERE delivery_date IN {execution_dates:Array(Date)} AND campaign_id IN {campaigns:Array(UInt32)}
    GROUP BY draw, recipient_group_id, event_id
"""


@dataclass(frozen=True)
class Response:
    """What customers did in the window: a recipient group, or control members who would have been in some.

    value is all of the money, money what counts of it with what was spent before, orders how many of them; net is money
    without the cost of vouchers, and nothing where none costs anything.
    """

    customers: int = 0
    responders: int = 0
    value: float = 0.0
    orders: Sums = NOTHING
    money: Sums = NOTHING
    cost: float = 0.0
    net: Sums = NOTHING

    def __add__(self, other: "Response") -> "Response":
        return Response(
            self.customers + other.customers,
            self.responders + other.responders,
            self.value + other.value,
            self.orders + other.orders,
            self.money + other.money,
            self.cost + other.cost,
            self.net + other.net,
        )


@dataclass(frozen=True)
class Cell:
    """Of a run: the group that its customers drew, and whether they were held back from it."""

    campaign_id: int
    drawn: int
    is_control: bool


@dataclass(frozen=True)
class Responses:
    """What the cells of some runs did; cap is where a customer's money in the window, or before it, ends to count."""

    cells: dict[Cell, Response]
    cap: float | None
    cap_before: float | None = None

    def of(self, campaign_id: int, groups: Iterable[int], *, is_control: bool) -> Response:
        """Those who drew some groups, held back or not."""
        drawn = (self.cells.get(Cell(campaign_id, group, is_control)) for group in groups)
        return sum((response for response in drawn if response), Response())


def responses(scope: Scope, runs: Sequence[Occurrence], goal: Goal) -> Responses:
    """What every cell of runs of a series did for a goal in its window so far.

    The days of a triggered campaign whose groups were drawn alike are one draw, the first of them, in which each
    customer counts once, from its first firing on: whoever is held back is so on every day.
    """
    with_cost = costs.has_costs(runs, goal)
    return summed(scope, [*lots(scope, runs, goal, PAST_DAYS, with_cost=with_cost)], with_cost=with_cost)


def summed(scope: Scope, lots: Sequence[Lot], *, with_cost: bool = False) -> Responses:
    """What every cell of some people did, by SQL of a row a person in each draw with what it binds.

    Its columns: campaign (the draw), customer, grp (0 for who was held back), drawn, orders, value, past, and
    with_cost what its vouchers cost.
    """
    most, most_before = _caps(scope, lots)
    caps: dict[str, Any] = {"most": most or 0.0, "most_before": most_before or 0.0}
    cells: dict[Cell, Response] = {}
    for sql, parameters in lots:
        for key, numbers in added(
            scope, SUMMED.format(people=sql, more=WITH_COST if with_cost else ""), 3, **parameters, **caps
        ).items():
            cells[Cell(int(key[0]), int(key[1]), bool(key[2]))] = _response(numbers)
    return Responses(cells, most, most_before)


def _response(numbers: Sequence[float]) -> Response:
    customers, responders, value, orders, squares, cubes, *more = numbers
    counted = Sums.of([customers, orders, 0, squares, 0, 0, cubes, 0, 0, 0])
    money, (cost, *net) = more[: len(POWERS)], more[len(POWERS) :] or [0.0]
    spent = Sums.of(net) if net else NOTHING
    return Response(int(customers), int(responders), float(value), counted, Sums.of(money), float(cost), spent)


def lots(
    scope: Scope,
    runs: Sequence[Occurrence],
    goal: Goal,
    past: int,
    at_once: int | None = CUSTOMERS_AT_ONCE,
    *,
    with_cost: bool = False,
) -> Iterator[Lot]:
    """SQL of the people of runs with what it binds: scheduled ones in lots of so many customers, or in one."""
    common = {"past": past, **goals.sales_parameters(scope, goal)}
    values = value_rule(scope)
    days = [run for run in runs if run.is_triggered]
    if days:
        begins = [begin for begin, _ in windows(scope, days)]
        costed = costs.cost_parameters(dict(zip(trigger_results.draws(days), days, strict=True))) if with_cost else {}
        yield (
            trigger_results.people(values, goal, with_cost=with_cost),
            trigger_results.bindings(scope, days, begins) | common | costed,
        )
    lot: list[Occurrence] = []
    scheduled = [run for run in runs if not run.is_triggered]
    for run, following in zip_longest(scheduled, scheduled[1:]):
        lot.append(run)
        if following is None or (at_once and sum(each.targeted for each in (*lot, following)) > at_once):
            costed = costs.cost_parameters({each.id: each for each in lot}) if with_cost else {}
            yield people(values, goal, with_cost=with_cost), _bindings(scope, lot) | common | costed
            lot = []


def _caps(scope: Scope, lots: Sequence[Lot]) -> list[float | None]:
    """Above what money in the window, and before it, the few buyers lie who spent most; none where nobody bought."""
    steps: dict[int, Counter[int]] = {0: Counter(), 1: Counter()}
    for sql, parameters in lots:
        for (kind, step), (count,) in added(scope, AMOUNTS.format(people=sql), 2, **parameters).items():
            steps[int(kind)][int(step)] += int(count)
    return [_cap(counts) for counts in steps.values()]


def _cap(steps: Counter[int]) -> float | None:
    rest = steps.total() * CAPPED_SHARE
    for step in sorted(steps, reverse=True):
        rest -= steps[step]
        if rest < 0:
            return float(2.0 ** ((step + 1) / STEPS))
    return None


def _tallies(scope: Scope, runs: Sequence[Occurrence], goal: Goal) -> dict[Cell, Tally]:
    """What every cell of scheduled runs did for a goal, as a self-optimising split learns from it."""
    if goals.is_amount(goal):
        measured = responses(scope, runs, goal)
        return {cell: _tally(response) for cell, response in measured.cells.items()}
    cells: dict[Cell, Response] = {}
    for sql, parameters in lots(scope, runs, goal, 0):
        for key, (size, hits) in added(scope, COUNTED.format(people=sql), 3, **parameters).items():
            cells[Cell(int(key[0]), int(key[1]), bool(key[2]))] = Response(int(size), int(hits))
    counted = Responses(cells, None)
    counted = clicked(counted, reactions(scope, runs)) if goals.is_click(goal) else counted
    return {cell: Tally.of_share(response.responders, response.customers) for cell, response in counted.cells.items()}


def _tally(response: Response) -> Tally:
    powers = (response.net if response.net.customers else response.money).powers
    return Tally(float(powers[1, 0]), response.customers, float(powers[2, 0]), response.responders)


def _bindings(scope: Scope, runs: Sequence[Occurrence]) -> dict[str, Any]:
    begins, ends = zip(*windows(scope, runs), strict=True)
    return {
        "execution_dates": [run.execution_date for run in runs],
        "campaigns": [run.id for run in runs],
        "cuts": [cuts(run.plan.shares or (1.0,)) for run in runs],
        "begins": list(begins),
        "ends": list(ends),
        "begin": min(begins),
        "end": max(ends),
    }


def added(scope: Scope, sql: str, keys: int, at_most: int = 0, **parameters: Any) -> dict[tuple[Any, ...], list[float]]:
    """The numbers of a statement by its first columns, added up over slices of customers, of at_most where given."""
    sums: dict[tuple[Any, ...], list[float]] = {}
    tables = (*queries.ACCOUNT, "customers", "transactions", "transaction_items")
    for part in scope.warehouse.customer_slices(*tables, at_most=at_most):
        for row in part.rows(sql, **parameters):
            key, numbers = row[:keys], row[keys:]
            sums[key] = [*map(add, sums.get(key, [0] * len(numbers)), numbers)]
    return sums


def reactions(scope: Scope, runs: Sequence[Occurrence]) -> dict[int, Reacted]:
    """By draw (of scheduled runs each is one): customers by recipient group and interaction (2 opened, 3 clicked)."""
    drawn = {run.id: run.id for run in runs if not run.is_triggered}
    days = [run for run in runs if run.is_triggered]
    drawn |= dict(zip((day.id for day in days), trigger_results.draws(days), strict=True))
    reacted: dict[int, Reacted] = {draw: Counter() for draw in drawn.values()}
    parameters = {
        "execution_dates": [run.execution_date for run in runs],
        "campaigns": [run.id for run in runs],
        "draws": [drawn[run.id] for run in runs],
    }
    for part in scope.warehouse.customer_slices("campaign_interactions") if runs else ():
        for draw, group, event, customers in part.rows(REACTIONS, **parameters):
            reacted[int(draw)][int(group), int(event)] += int(customers)
    return reacted


def clicked(done: Responses, reacted: Mapping[int, Reacted]) -> Responses:
    """The cells of those who were sent something, with those who clicked as responders."""
    cells = {
        cell: Response(response.customers, reacted[cell.campaign_id][cell.drawn, CLICKED])
        for cell, response in done.cells.items()
        if not cell.is_control
    }
    return Responses(cells, None)


def classes(scope: Scope, run: Occurrence) -> list[list[int]]:
    """For each group of a run, those that reach the same people: all whose control members compare with it."""
    return alike_groups(scope, run.plan.groups)


def alike_groups(scope: Scope, groups: Sequence[PlannedGroup]) -> list[list[int]]:
    """The same of the groups of a series."""
    return alike(groups, purposes_of_templates(scope, channels_in(groups)))


def past_responses(scope: Scope, run: Occurrence) -> list[Counts]:
    """What each past run of a series with the same offers tells of its groups (see splits.thompson_shares)."""
    offers = offers_of(run.plan)
    past = [past_run for past_run in _past_runs(scope, run) if offers_of(past_run.plan) == offers]
    if not past:
        return []
    first = [alike_ones[0] for alike_ones in classes(scope, run)]
    runs: dict[int, dict[tuple[int, int], Tally]] = {past_run.id: {} for past_run in past}
    for cell, tally in _tallies(scope, past, goals.goal_of(run.plan)).items():
        if cell.drawn:
            counts = runs[cell.campaign_id]
            key = (first[cell.drawn - 1], 0 if cell.is_control else cell.drawn)
            counts[key] = counts.get(key, NO_TALLY) + tally
    return list(runs.values())


def offers_of(plan: Plan) -> list[tuple[Any, ...]]:
    """What the groups of a run get: actions, channels and templates. Runs that differ in it are not put together."""
    return [
        (group.action_id, *((channel.channel_id, *channel.template_ids) for channel in group.channels))
        for group in plan.groups
    ]


def _past_runs(scope: Scope, run: Occurrence) -> list[Occurrence]:
    statement = (
        select(Occurrence)
        .where(
            Occurrence.tenant_id == scope.tenant_id,
            Occurrence.series_id == run.series_id,
            Occurrence.id != run.id,
            Occurrence.execution_date < run.execution_date,
            Occurrence.state.in_(EXECUTED_STATES),
            Occurrence.processed_at.is_not(None),
        )
        .order_by(Occurrence.execution_date.desc(), Occurrence.id.desc())
        .limit(REMEMBERED_SMALL_RUNS)
    )
    with scope.reads() as session:
        runs = list(session.scalars(statement))
    sums = accumulate(past_run.targeted for past_run in runs)
    few = sum(customers <= SMALL_RUNS_TOGETHER for customers in sums)
    return runs[: max(REMEMBERED_RUNS, few)]
