"""What vouchers cost and what is left of a campaign then, against plain Python on the same rows."""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
from campaign_tenant import (
    DATA_DATE,
    EXTERNAL,
    NOW,
    TODAY,
    add_channels,
    add_group,
    add_profiles,
    add_series,
    customer,
    group,
    publish,
)

from rapport.access.scope import Scope
from rapport.campaigns import definitions, occurrences
from rapport.campaigns.measurement import results, series_results
from rapport.campaigns.measurement.randomization import POWERS, Stratum, Sums, difference
from rapport.campaigns.measurement.responses import past_responses
from rapport.campaigns.models import Series
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.campaigns.schemas import ActionBody, CodeCost, PlainGoal, ProductGoal

PEOPLE = 1500
BEGIN, END = datetime(2026, 3, 10, 9), datetime(2026, 3, 17, 9)
PER_CODE, PER_CUSTOMER = 6.0, 0.75


@dataclass(frozen=True)
class Run:
    """A run of two groups: a voucher that costs when it is redeemed, and a letter that costs when it is sent."""

    scope: Scope
    series: Series
    campaign: int
    placed: dict[str, int]
    drawn: dict[str, int]
    value: dict[str, float]
    past: dict[str, float]
    redeemed: dict[str, int]

    def cost(self, who: str) -> float:
        if self.drawn[who] == 1:
            return PER_CODE * self.redeemed[who]
        return PER_CUSTOMER if self.placed[who] else 0.0


@pytest.fixture(scope="module")
def run(scope: Scope) -> Iterator[Run]:
    scope.clock.set(NOW)
    add_profiles(scope, [customer(n) for n in range(PEOPLE)])
    publish(scope)
    add_channels(scope)
    code = CodeCost(amount=PER_CODE)
    action = definitions.create_action(scope, ActionBody(name="Voucher", promo_codes=["Save10", "SAVE,15"], cost=code))
    sent = CodeCost(amount=PER_CUSTOMER, per="sent")
    letter = definitions.create_action(scope, ActionBody(name="Letter", cost=sent))
    target = add_group(scope, "Everybody", "NL")
    groups = [group(one.id, (EXTERNAL, 1), share=0.5, time="09:00") for one in (action, letter)]
    series = add_series(scope, target, groups, control_share=0.3, duration=7, goal={"kind": "value"})
    campaign = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, campaign, DATA_DATE)
    assert processing.process(scope, campaign, DATA_DATE) == "scheduled"
    # What an action costs later does not change what a run has cost.
    definitions.update_action(scope, action.id, ActionBody(name="Voucher", promo_codes=["Save10"]))
    sql = "SELECT customer_id, recipient_group_id, drawn_group FROM campaign_recipients WHERE campaign_id = {id:UInt32}"
    found = scope.warehouse.rows(sql, id=campaign)
    placed, drawn = {str(row[0]): int(row[1]) for row in found}, {str(row[0]): int(row[2]) for row in found}
    value, past, redeemed = defaultdict(float), defaultdict(float), defaultdict(int)
    chance, rows = random.Random(9), []
    for who in sorted(placed):
        for _ in range(chance.choice([0, 1, 2])):
            at = BEGIN + timedelta(hours=chance.randrange(-24 * 30, 24 * 9))
            used = (
                chance.choice(["", "save10", "SAVE,15", "OTHER"]) if placed[who] else chance.choice(["", "", "SAVE10"])
            )
            amount = float(chance.randrange(1, 60))
            rows.append([str(len(rows)), who, at.replace(tzinfo=UTC), amount, used])
            if BEGIN <= at < END:
                value[who] += amount
                redeemed[who] += used.lower() in ("save10", "save,15")
            elif at < BEGIN:
                past[who] += amount
    columns = ["transaction_id", "customer_id", "transaction_time", "amount", "promo_code"]
    scope.warehouse.insert("transactions", columns, rows)
    columns = ["transaction_id", "line_number", "customer_id", "transaction_time", "product_id", "unit_price"]
    lines = [[number, 1, who, at, "P1", amount / 2] for number, who, at, amount, _ in rows[::2]]
    scope.warehouse.insert("transaction_items", columns, lines)
    yield Run(scope, series, campaign, placed, drawn, value, past, redeemed)
    scope.clock.set(None)


def sums(pairs: list[tuple[float, float]]) -> Sums:
    return Sums.of([sum(y**a * x**b for y, x in pairs) for a, b in POWERS])


def test_costs_and_what_is_left_are_as_by_hand(run: Run) -> None:
    publish(run.scope, date(2026, 3, 20))
    try:
        one = results.results(run.scope, run.campaign)
        whole = series_results.series_results(run.scope, run.series)
        rates = results.results(run.scope, run.campaign, PlainGoal(kind="orders"))
        unpaid = results.results(run.scope, run.campaign, PlainGoal(kind="click"))
        of_product = results.results(run.scope, run.campaign, ProductGoal(kind="product", product_id="P1"))
    finally:
        publish(run.scope)
    cap = one.cap
    assert cap is not None
    # The past is capped too, by the same rule; nobody spends more than that here but a few.
    steps = sorted(one for one in run.past.values() if one)
    most_before = steps[-1]
    for row, again in zip(one.groups[1:], whole.groups, strict=True):
        mine = [who for who in run.drawn if run.placed[who] == row.recipient_group_id]
        theirs = [who for who in run.drawn if not run.placed[who]]
        assert row.cost == pytest.approx(sum(map(run.cost, mine))) and row.cost > 0
        assert again.cost == pytest.approx(row.cost)
        compared = row.against_control
        assert compared is not None and compared.money is not None and compared.net is not None
        assert compared.decided_by == "net"
        net = [
            [(min(run.value[who], cap) - run.cost(who), min(run.past[who], most_before)) for who in side]
            for side in (mine, theirs)
        ]
        by_hand = difference([Stratum(sums(net[0]), sums(net[1]))])
        assert by_hand is not None
        # What was spent before foretells nothing here, so that its cap hardly matters.
        assert compared.net.per_customer == pytest.approx(by_hand.estimate, abs=0.05)
        assert compared.net.p_value == pytest.approx(by_hand.p_value, abs=0.02)
        saved = compared.money.per_customer - compared.net.per_customer
        costs = [sum(map(run.cost, side)) / len(side) for side in (mine, theirs)]
        assert saved == pytest.approx(costs[0] - costs[1], abs=0.05)
    against = rates.groups[1].against_control
    assert against is not None and against.decided_by == "rate" and against.net is not None
    assert all(row.cost == 0 for row in unpaid.groups)
    # Vouchers cost whatever they were redeemed for; who clicks is no money.
    assert [row.cost for row in of_product.groups] == [row.cost for row in one.groups]
    bought = of_product.groups[1].against_control
    assert bought is not None and bought.net is not None and bought.money is not None
    assert bought.net.per_customer < bought.money.per_customer and bought.decided_by == "rate"


def test_the_split_learns_what_is_left(run: Run) -> None:
    later = occurrences.occurrence(run.scope, run.campaign)
    later.id, later.execution_date = later.id + 1000, date(2026, 3, 12)
    cap = results.results(run.scope, run.campaign).cap
    assert cap is not None
    (learned,) = past_responses(run.scope, later)
    for number in (0, 1, 2):
        mine = [who for who, placed in run.placed.items() if placed == number]
        left = [min(run.value[who], cap) - run.cost(who) for who in mine]
        assert learned[1, number].total == pytest.approx(sum(left))
        assert learned[1, number].squares == pytest.approx(sum(one**2 for one in left))


def test_a_cost_is_kept_with_its_action(run: Run, api: httpx.Client) -> None:
    given = {"name": "Ten off", "promo_codes": ["TEN"], "cost": {"amount": 10, "per": "redeemed"}}
    made = api.post("/manage/v1/actions", json=given).json()
    assert made["cost"] == {"amount": 10.0, "per": "redeemed"}
    free = api.put(f"/manage/v1/actions/{made['id']}", json={"name": "Ten off"}).json()
    assert free["cost"] is None
    for cost in ({"amount": 0}, {"amount": 5, "per": "printed"}):
        assert (
            api.post("/manage/v1/actions", json={"name": "Bad", "cost": cost, "promo_codes": ["B"]}).status_code == 400
        )
    uncoded = api.post("/manage/v1/actions", json={"name": "Bad", "cost": {"amount": 5}})
    assert uncoded.status_code == 400 and "promo_codes" in uncoded.text
