"""Goals of series: what results and the self-optimising split count, against plain Python on the same rows."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from campaign_tenant import (
    EXTERNAL,
    NOW,
    add_action,
    add_channels,
    add_group,
    add_profiles,
    add_series,
    customer,
    group,
    publish,
)
from scipy import stats

from rapport.access.scope import Scope
from rapport.audiences import groups as audience_groups
from rapport.campaigns import definitions, occurrences
from rapport.campaigns.measurement import results, series_results
from rapport.campaigns.measurement.responses import past_responses
from rapport.campaigns.measurement.statistics import CANNOT_CLICK
from rapport.campaigns.models import Series
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.campaigns.runs.splits import Tally
from rapport.campaigns.schemas import CategoryGoal, Goal, MarginGoal, PlainGoal, ProductGoal

PEOPLE = 900
DURATION = 7
DATA_DATE, LATER = date(2026, 3, 9), date(2026, 3, 20)
FIRST_SEND = datetime(2026, 3, 10, 9)


@dataclass(frozen=True)
class Bought:
    """An order with its lines: product and amount."""

    customer: str
    at: datetime
    margin: str
    lines: tuple[tuple[str, float], ...]
    status: str
    given_back: float = 0.0  # by a refund that names the order, after the window

    @property
    def amount(self) -> float:
        return sum(value for _, value in self.lines)


@dataclass(frozen=True)
class World:
    """What a run of a series did to whom, and what these bought and clicked."""

    scope: Scope
    series: Series
    campaign: int
    groups: dict[str, int]
    drawn: dict[str, int]
    bought: list[Bought]
    clicked: set[str]

    def counted(self, of: Callable[[Bought], float], begin: datetime, end: datetime) -> dict[str, list[float]]:
        """What the orders of each customer that are of a goal come to."""
        found: dict[str, list[float]] = {who: [] for who in self.groups}
        for one in self.bought:
            kept = max(0.0, 1 - one.given_back / one.amount)
            if one.status == "paid" and begin <= one.at < end and kept and (value := of(one)):
                found[one.customer].append(value * kept)
        return found


def orders(chance: random.Random) -> Iterator[Bought]:
    for n in range(PEOPLE):
        for _ in range(chance.choice([0, 1, 1, 2])):
            at = datetime(2026, 3, 1, 12) + timedelta(hours=chance.randrange(24 * 20))
            lines = tuple(
                (chance.choice("ABCD"), float(chance.randrange(1, 40))) for _ in range(chance.randrange(1, 4))
            )
            margin = chance.choice(["3.5", "-2", "11", ""])
            status, amount = chance.choice(["paid", "paid", "paid", "canceled"]), sum(value for _, value in lines)
            given_back = chance.choice([0, 0, 0, 0, 0.25, 1, 1.5]) * amount
            yield Bought(f"C{n:05d}", at, margin, lines, status, given_back)


def keep(scope: Scope, bought: list[Bought]) -> None:
    columns = ["transaction_id", "customer_id", "transaction_time", "amount", "status", "properties"]
    rows = [
        [
            str(n),
            one.customer,
            one.at.replace(tzinfo=UTC),
            one.amount,
            one.status,
            {"MARGIN": one.margin},
        ]
        for n, one in enumerate(bought)
    ]
    scope.warehouse.insert("transactions", columns, rows)
    # Two refunds of an order, written with either sign; what is canceled, or of another customer, is none.
    refunds = [
        [f"{kind}{n}", who, datetime(2026, 4, day, tzinfo=UTC), amount, "refund", status, str(n)]
        for n, one in enumerate(bought)
        if one.given_back
        for kind, who, day, amount, status in (
            ("R", one.customer, 2, -0.75 * one.given_back, "paid"),
            ("S", one.customer, 3, 0.25 * one.given_back, ""),
            ("T", one.customer, 3, 99.0, "canceled"),
            ("U", "C00000x", 3, 99.0, ""),
        )
    ]
    columns = ["transaction_id", "customer_id", "transaction_time", "amount", "type", "status", "refund_of"]
    scope.warehouse.insert("transactions", columns, refunds)
    columns = [
        "transaction_id",
        "line_number",
        "customer_id",
        "transaction_time",
        "product_id",
        "quantity",
        "unit_price",
    ]
    lines = [
        [str(n), place, one.customer, one.at.replace(tzinfo=UTC), product, 2, value / 2]
        for n, one in enumerate(bought)
        for place, (product, value) in enumerate(one.lines)
    ]
    scope.warehouse.insert("transaction_items", columns, lines)
    products = [["A", "Tea"], ["B", "Coffee"], ["C", "coffee"], ["D", ""]]
    scope.warehouse.insert("products", ["product_id", "category"], products)


@pytest.fixture(scope="module")
def world(scope: Scope) -> Iterator[World]:
    scope.clock.set(NOW)
    add_profiles(scope, [customer(n) for n in range(PEOPLE)])
    publish(scope)
    add_channels(scope)
    action = add_action(scope).id
    target = add_group(scope, "Everybody", "NL")
    groups = [group(action, (EXTERNAL, 1), share=share, time="09:00") for share in (0.6, 0.4)]
    series = add_series(scope, target, groups, control_share=0.3, duration=DURATION)
    campaign = plan_next_run(scope, series.id, scope.today())
    processing.prepare_members(scope, campaign, DATA_DATE)
    assert processing.process(scope, campaign, DATA_DATE) == "scheduled"
    sql = "SELECT customer_id, recipient_group_id, drawn_group FROM campaign_recipients WHERE campaign_id = {id:UInt32}"
    rows = scope.warehouse.rows(sql, id=campaign)
    placed = {str(who): int(number) for who, number, _ in rows}
    chance = random.Random(4)
    bought = list(orders(chance))
    keep(scope, bought)
    clicked = {who for who, number in placed.items() if number and chance.random() < 0.2 * number}
    columns = [
        "delivery_date",
        "campaign_id",
        "customer_id",
        "channel_id",
        "recipient_group_id",
        "event_id",
        "interaction_at",
    ]
    reports = [[scope.today(), campaign, who, EXTERNAL, placed[who], 3, NOW] for who in sorted(clicked)]
    scope.warehouse.insert("campaign_interactions", columns, reports + reports[:9])
    drawn = {str(who): int(number) for who, _, number in rows}
    yield World(scope, series, campaign, placed, drawn, bought, clicked)
    scope.clock.set(None)


def of_lines(*products: str) -> Callable[[Bought], float]:
    return lambda one: sum(value for product, value in one.lines if product in products)


GOALS: list[tuple[str, Goal, Callable[[Bought], float]]] = [
    ("orders", PlainGoal(kind="orders"), of_lines(*"ABCD")),
    ("margin", MarginGoal(kind="margin", property="MARGIN"), lambda one: float(one.margin or 0)),
    ("product", ProductGoal(kind="product", product_id="a"), of_lines("A")),
    ("category", CategoryGoal(kind="category", category="COFFEE"), of_lines("B", "C")),
]


@pytest.mark.parametrize(("goal", "of"), [row[1:] for row in GOALS], ids=[row[0] for row in GOALS])
def test_a_goal_is_counted_as_by_hand(world: World, goal: Goal, of: Callable[[Bought], float]) -> None:
    found = results.results(world.scope, world.campaign, goal)
    end = FIRST_SEND + timedelta(days=DURATION)
    made = world.counted(lambda one: of(one) or (1e-12 if goal.kind == "margin" else 0), FIRST_SEND, end)
    for row in found.groups:
        mine = [values for who, values in made.items() if world.groups[who] == row.recipient_group_id]
        assert row.customers == len(mine)
        assert row.responders == sum(1 for values in mine if values)
        assert row.value == pytest.approx(sum(map(sum, mine)), abs=1e-6)
    comparison = found.groups[1].against_control
    assert comparison is not None and comparison.decided_by == ("money" if goal.kind == "margin" else "rate")


def test_the_verdict_of_an_amount_goes_by_the_money(world: World) -> None:
    """Two comparisons, so that the smaller p-value counts twice and the larger one no less (Holm 1979)."""
    publish(world.scope, LATER)
    try:
        found = results.results(world.scope, world.campaign, PlainGoal(kind="value"))
    finally:
        publish(world.scope)
    compared = [row.against_control for row in found.groups if row.against_control]
    p = sorted(one.money.p_value for one in compared if one.money)
    assert len(p) == 2 and found.goal == PlainGoal(kind="value") and found.counted == "what customers spent"
    adjusted = sorted(one.p_adjusted or 0 for one in compared)
    assert adjusted == pytest.approx([min(1, 2 * p[0]), max(min(1, 2 * p[0]), p[1])])
    assert all(
        (one.verdict == "No difference from control can be shown.") == (one.p_adjusted >= 0.05)
        for one in compared
        if one.p_adjusted
    )


def test_a_click_compares_groups_with_each_other(world: World) -> None:
    publish(world.scope, LATER)
    try:
        one, whole = (
            results.results(world.scope, world.campaign, PlainGoal(kind="click")),
            series_results.series_results(world.scope, world.series, PlainGoal(kind="click")),
        )
    finally:
        publish(world.scope)
    size = {n: list(world.groups.values()).count(n) for n in (1, 2)}
    hits = {n: sum(world.groups[who] == n for who in world.clicked) for n in (1, 2)}
    for found in (one, whole):
        groups = [row for row in found.groups if row.recipient_group_id]
        assert {row.recipient_group_id: row.responders for row in groups} == hits
        assert all(row.against_control is None and row.verdict == CANNOT_CLICK for row in groups)
        (pair,) = found.between
        assert pair.comparison.uplift == pytest.approx(hits[2] / size[2] - hits[1] / size[1])
        assert pair.verdict == "Group 2 does better than group 1."
        assert pair.interactions["clicked"].rate == pytest.approx(hits[2] / size[2])
    table = [[hits[n], size[n] - hits[n]] for n in (1, 2)]
    assert one.between[0].comparison.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert [row.interactions for row in whole.groups] == [{"clicked": hits[1]}, {"clicked": hits[2]}]


def test_the_split_learns_from_the_goal(world: World) -> None:
    """What a later run would learn: of control and both groups how many, and sum and squares of the margin."""
    later = occurrences.occurrence(world.scope, world.campaign)
    later.id, later.execution_date = later.id + 1000, date(2026, 3, 12)
    end = FIRST_SEND + timedelta(days=DURATION)
    for kind, goal, of in GOALS:
        later.plan = later.plan.model_copy(update={"goal": goal})
        (run,) = past_responses(world.scope, later)
        made = world.counted(of, FIRST_SEND, end)
        for number in (0, 1, 2):
            mine = [sum(values) for who, values in made.items() if world.groups[who] == number]
            tally = run[1, number]
            assert tally.customers == len(mine)
            if kind != "margin":
                assert tally == Tally.of_share(sum(value > 0 for value in mine), len(mine))
    (run,) = past_responses(world.scope, later)
    later.plan = later.plan.model_copy(update={"goal": PlainGoal(kind="click")})
    (run,) = past_responses(world.scope, later)
    hits = {n: sum(world.groups[who] == n for who in world.clicked) for n in (1, 2)}
    assert {number: tally.total for (_, number), tally in run.items()} == hits


def test_an_amount_is_learned_with_its_squares(world: World) -> None:
    later = occurrences.occurrence(world.scope, world.campaign)
    later.id, later.execution_date = later.id + 1000, date(2026, 3, 12)
    later.plan = later.plan.model_copy(update={"goal": MarginGoal(kind="margin", property="MARGIN")})
    cap = results.results(world.scope, world.campaign, MarginGoal(kind="margin", property="MARGIN")).cap
    assert cap is not None
    made = world.counted(lambda one: float(one.margin or 0), FIRST_SEND, FIRST_SEND + timedelta(days=DURATION))
    (run,) = past_responses(world.scope, later)
    for number in (0, 1, 2):
        mine = [min(sum(values), cap) for who, values in made.items() if world.groups[who] == number]
        assert run[1, number].total == pytest.approx(sum(mine))
        assert run[1, number].squares == pytest.approx(sum(value**2 for value in mine))


def body(world: World, **more: Any) -> dict[str, Any]:
    found = definitions.series(world.scope, world.series.id)
    groups = [group.model_dump(mode="json") for group in found.groups[: more.pop("number", 2)]]
    groups = [{**one, "share": 1 / len(groups)} for one in groups]
    kind = "A/B" if len(groups) == 2 else "Test/Control"
    schedule = {"kind": "once", "start_date": "2026-09-01"}
    return {
        "target_group_id": found.target_group_id,
        "campaign_type": kind,
        "groups": groups,
        "schedule": schedule,
        "status": "paused",
        **more,
    }


@pytest.mark.parametrize(
    ("goal", "number", "told"),
    [
        ({"kind": "margin", "property": "NOTE"}, 2, "goal.property names 'NOTE'"),
        ({"kind": "product", "product_id": "Z"}, 2, "goal.product_id names 'Z'"),
        ({"kind": "category", "category": "Cocoa"}, 2, "goal.category names 'Cocoa'"),
        ({"kind": "click"}, 1, "goal click compares groups"),
        ({"kind": "profit"}, 2, "goal"),
    ],
    ids=["property", "product", "category", "click", "kind"],
)
def test_a_goal_is_checked_when_it_is_saved(
    world: World, api: httpx.Client, goal: dict[str, str], number: int, told: str
) -> None:
    answer = api.post("/manage/v1/series", json=body(world, name=f"Refused {told}", number=number, goal=goal))
    assert answer.status_code == 400 and told in answer.text


def test_a_run_keeps_the_goal_that_it_was_planned_with(world: World, api: httpx.Client) -> None:
    coffee = {"kind": "category", "category": "Coffee"}
    made = api.post("/manage/v1/series", json=body(world, name="Coffee drinkers", goal=coffee)).json()
    assert made["goal"] == coffee
    scope = world.scope
    plan = occurrences.occurrence(scope, plan_next_run(scope, made["id"], date(2026, 9, 1))).plan
    assert plan.goal is not None and plan.goal.model_dump() == coffee
    change = body(world, name="Coffee drinkers", goal={"kind": "value"}) | {"version": made["version"]}
    del change["status"]
    assert api.put(f"/manage/v1/series/{made['id']}", json=change).json()["goal"] == {"kind": "value"}
    plan = occurrences.occurrence(scope, plan_next_run(scope, made["id"], date(2026, 9, 1))).plan
    assert plan.goal == PlainGoal(kind="value")
    publish(scope, LATER)
    try:
        answers = [
            api.get(f"/manage/v1/series/{world.series.id}/results", params=asked).json()
            for asked in ({}, {"goal": "value"})
        ]
    finally:
        publish(scope)
    assert [one["goal"]["kind"] for one in answers] == ["orders", "value"]
    decided = [one["groups"][0]["against_control"]["decided_by"] for one in answers]
    assert decided == ["rate", "money"] and [one["runs"] for one in answers] == [1, 1]


def test_a_one_time_campaign_has_a_goal_and_is_checked_as_others(world: World, api: httpx.Client) -> None:
    group = definitions.series(world.scope, world.series.id).groups[0]
    channels = [{"channel_id": EXTERNAL, "template_id": 1}]
    given = {"customer_ids": ["C00001"], "action_id": group.action_id, "channels": channels}
    given |= {"execution_date": "2026-09-01", "goal": {"kind": "category", "category": "Tea"}}
    made = api.post("/manage/v1/campaigns/one-time", json={"name": "Tea", **given})
    assert made.status_code == 201, made.text
    assert occurrences.occurrence(world.scope, made.json()["id"]).plan.goal.model_dump() == given["goal"]
    for goal, told in (({"kind": "click"}, "two groups are needed"), ({"kind": "product", "product_id": "Z"}, "'Z'")):
        refused = api.post("/manage/v1/campaigns/one-time", json={"name": "Bad", **given, "goal": goal})
        assert refused.status_code == 400 and told in refused.json()["detail"]
    many = len(definitions.all_series(world.scope))
    twice = api.post("/manage/v1/campaigns/one-time", json={"name": "Bad", **given, "channels": channels * 2})
    assert twice.status_code == 400 and "channels names a channel twice" in twice.json()["detail"]
    rules = {"exclude_target_group_ids": [99]}
    unknown = api.post("/manage/v1/campaigns/one-time", json={"name": "Bad", **given, "rules": rules})
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "There is no target group 99.")
    assert len(definitions.all_series(world.scope)) == many


def test_an_archived_group_is_refused_as_an_excluded_one(world: World, api: httpx.Client) -> None:
    gone = add_group(world.scope, "Gone", "FR")
    given = body(world, name="Kept out", rules={"exclude_target_group_ids": [gone]})
    assert api.post("/manage/v1/series", json=given).status_code == 201
    audience_groups.archive_target_group(world.scope, gone)
    refused = api.post("/manage/v1/series", json=given | {"name": "Later"})
    told = f"rules.exclude_target_group_ids names target group {gone}, which is archived."
    assert (refused.status_code, refused.json()["detail"]) == (400, told)
