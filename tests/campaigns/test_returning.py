"""Customers who come back: errors clustered by customer, and groups that they keep, against plain Python."""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from campaign_tenant import (
    DATA_DATE,
    EXTERNAL,
    NOW,
    TODAY,
    add_action,
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
from rapport.campaigns.measurement import series_results
from rapport.campaigns.measurement.randomization import POWERS, Stratum, Sums, difference
from rapport.campaigns.measurement.responses import responses
from rapport.campaigns.measurement.returning import Sides, inflation
from rapport.campaigns.models import Series
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import by_hand as campaign_by_hand
from rapport.campaigns.runs import processing
from rapport.campaigns.schemas import PlainGoal, SeriesBody

PEOPLE, RUNS = 300, 3
BEGIN = datetime(2026, 3, 10, 9)
VALUE = PlainGoal(kind="value")

Placed = dict[str, tuple[int, int]]  # by customer: the group it is in, 0 for control, and the one that it drew


@dataclass
class Run:
    """Two series with runs on the same customers: one draws anew each time, of the other customers keep groups."""

    scope: Scope
    anew: Series
    kept: Series
    placed: dict[int, list[Placed]]
    value: dict[str, float]


@pytest.fixture(scope="module")
def world(scope: Scope) -> Iterator[Run]:
    scope.clock.set(NOW)
    add_profiles(scope, [customer(n) for n in range(PEOPLE)])
    publish(scope)
    add_channels(scope)
    action = add_action(scope)
    target = add_group(scope, "Everybody", "NL")
    groups = [group(action.id, (EXTERNAL, 1), share=0.5, time="09:00") for _ in range(2)]
    rules = {"include_all": True}
    made = [
        add_series(scope, target, groups, control_share=0.3, rules=rules, goal={"kind": "value"}, keeps_groups=keeps)
        for keeps in (False, True)
    ]
    placed: dict[int, list[Placed]] = defaultdict(list)
    for one in made:
        for _ in range(RUNS):
            campaign = plan_next_run(scope, one.id, TODAY)
            processing.prepare_members(scope, campaign, DATA_DATE)
            if processing.process(scope, campaign, DATA_DATE) == "awaiting confirmation":
                campaign_by_hand.confirm(scope, campaign)
            sql = "SELECT customer_id, recipient_group_id, drawn_group FROM campaign_recipients WHERE campaign_id = "
            rows = scope.warehouse.rows(sql + str(campaign))
            placed[one.id].append({str(who): (int(place), int(drawn)) for who, place, drawn in rows})
    chance, value, rows = random.Random(5), {}, []
    for who in sorted(placed[made[0].id][0]):
        if chance.random() < 0.5:
            value[who] = float(chance.randrange(1, 40))
            at = BEGIN + timedelta(hours=chance.randrange(1, 100))
            rows.append([who, who, at.replace(tzinfo=UTC), value[who]])
    scope.warehouse.insert("transactions", ["transaction_id", "customer_id", "transaction_time", "amount"], rows)
    publish(scope, date(2026, 3, 20))
    yield Run(scope, *made, placed, value)
    publish(scope)
    scope.clock.set(None)


def by_hand(world: Run, series: Series, cap: float | None) -> float:
    """Of money of group 1 against control: sums of what each customer was off, before and after they are squared."""
    off, sides = defaultdict(list), defaultdict(list)
    for run in world.placed[series.id]:
        mine = [who for who, (place, _) in run.items() if place == 1]
        both = mine + [who for who, (place, _) in run.items() if place == 0]
        part = len(mine) / len(both)
        money = {who: min(world.value.get(who, 0.0), cap or np.inf) for who in both}
        mean = sum(money.values()) / len(both)
        for who in both:
            spread = (part * (1 - part)) ** 0.5
            off[who].append((spread * (money[who] - mean), spread))
            sides[who].append((who in mine) - part)
    together = sum(sum(one) ** 2 - sum(x**2 for x in one) for one in sides.values())
    apart = sum(sum(s for _, s in one) ** 2 - sum(s**2 for _, s in one) for one in off.values())
    squares = sum(x**2 for one in off.values() for x, _ in one)
    excess = sum(sum(x for x, _ in one) ** 2 for one in off.values()) - squares
    return 1 + min(1.0, max(0.0, together / apart)) * excess / squares


@pytest.mark.parametrize("is_kept", [False, True])
def test_what_a_customer_was_off_in_all_runs_is_added_up_as_by_hand(world: Run, is_kept: bool) -> None:
    series = world.kept if is_kept else world.anew
    runs = occurrences.occurrences(world.scope, series.id)
    done = responses(world.scope, runs, VALUE)
    found = inflation(world.scope, runs, VALUE, done, Sides(1, (1, 2), True))
    assert found.money == pytest.approx(by_hand(world, series, done.cap))
    # Everybody is in all runs: where groups are kept the runs tell no more than one of them.
    assert (found.money == pytest.approx(RUNS)) == is_kept and (found.rate > 2.5) == is_kept
    assert found.sizes == pytest.approx(RUNS) if is_kept else found.sizes < 1.5


def test_runs_of_kept_groups_say_no_more_than_one_of_them(world: Run) -> None:
    whole = series_results.series_results(world.scope, world.kept)
    assert whole.runs == RUNS
    compared, (run, *_) = whole.groups[0].against_control, world.placed[world.kept.id]
    assert compared is not None and compared.money is not None
    sums = [
        Sums.of(
            [sum(min(world.value.get(who, 0.0), whole.cap or np.inf) ** a * 0.0**b for who in side) for a, b in POWERS]
        )
        for side in ([w for w, (p, _) in run.items() if p == 1], [w for w, (p, _) in run.items() if p == 0])
    ]
    once = difference([Stratum(*sums)], is_watched=True)
    assert once is not None
    low, high = compared.money.interval
    assert high - low == pytest.approx(once.interval[1] - once.interval[0], rel=0.05)
    assert whole.groups[0].check is not None and whole.groups[0].check.may_be_read


def test_a_customer_keeps_its_group_and_a_later_one_is_drawn_when_it_comes(world: Run) -> None:
    first, *later = world.placed[world.kept.id]
    assert all(run == first for run in later)
    assert world.placed[world.anew.id][0] != world.placed[world.anew.id][1]
    held_back = sum(place == 0 for place, _ in first.values())
    assert 0.3 * PEOPLE - 40 < held_back < 0.3 * PEOPLE + 40
    assert {place for place, _ in first.values()} == {0, 1, 2}
    assert definitions.body_of(world.kept)["keeps_groups"] and not definitions.body_of(world.anew)["keeps_groups"]


def test_a_split_that_moves_customers_cannot_keep_them(world: Run) -> None:
    body = definitions.body_of(world.kept) | {"split": "thompson", "name": "Another"}
    with pytest.raises(ValueError, match="keeps_groups needs the split fixed"):
        SeriesBody.model_validate(body)
