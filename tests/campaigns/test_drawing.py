"""Who is held back: exact numbers, the same again, and independent from campaign to campaign."""

from collections import Counter
from datetime import date

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
    outcomes,
    publish,
    recipients,
)
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.campaigns import processing
from rapport.campaigns import service as campaigns
from rapport.campaigns.occurrences import locked, plan_next_run
from rapport.campaigns.splits import draw_of, held_back

SIZES = {"AT": 1, "BE": 2, "CH": 3, "DE": 11, "ES": 30, "FR": 127}
LOTS = """
    SELECT customer_id, drawn_group, sipHash64(campaign_id, 'control', customer_id) FROM campaign_recipients
    WHERE campaign_id = {id:UInt32}
"""


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    scope.clock.set(NOW)
    numbers = iter(range(1000))
    everybody = [customer(next(numbers), COUNTRY=country) for country, size in SIZES.items() for _ in range(size)]
    add_profiles(scope, everybody)
    publish(scope)
    add_channels(scope)
    add_action(scope)
    for country in SIZES:
        add_group(scope, country, country)
    return scope


def process(scope: Scope, series_id: int, day: date = TODAY) -> int:
    number = plan_next_run(scope, series_id, day)
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)
    return number


def run(scope: Scope, country: str, share: float, groups: int = 1) -> int:
    places = [group(2, (EXTERNAL, 4), share=1 / groups)] * groups
    target = list(SIZES).index(country) + 1
    made = add_series(scope, target, places, rules={"include_all": True}, control_share=share)
    return process(scope, made.id)


def control(scope: Scope, number: int) -> set[str]:
    return {row[0] for row in recipients(scope, number) if row[1] == 0}


@given(st.lists(st.integers(0, 400), min_size=1, max_size=26), st.floats(0, 0.999))
@example([0], 0.5)
@example([1], 0.9)
@example([1, 1], 0.001)
@example([0, 2], 0.999)
def test_the_share_of_control_is_right_to_the_person(sizes: list[int], share: float) -> None:
    found, everybody = held_back(sizes, share), sum(sizes)
    assert all(0 <= count <= size for count, size in zip(found, sizes, strict=True))
    whole = sum(found)
    if share > 0 and everybody > 1:
        assert whole == min(max(round(share * everybody), 1), everybody - 1)
        assert all(abs(count - whole * size / everybody) < 1 for count, size in zip(found, sizes, strict=True))
    else:
        assert whole == round(share * everybody)


@settings(max_examples=3, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=[*HealthCheck])
@given(st.sampled_from(list(SIZES)), st.floats(0, 0.99), st.integers(1, 4))
@example("BE", 0.1, 1)
def test_the_lowest_lots_of_each_group_are_held_back(tenant: Scope, country: str, share: float, groups: int) -> None:
    number = run(tenant, country, share, groups)
    found = campaigns.occurrence(tenant, number)
    lots = {who: (drawn, lot) for who, drawn, lot in tenant.warehouse.rows(LOTS, id=number)}
    sizes = Counter(drawn for drawn, _ in lots.values())
    wanted = held_back([sizes[n] for n in range(1, groups + 1)], share)
    expected = set[str]()
    for n, count in enumerate(wanted, start=1):
        expected |= {who for _, who in sorted((lot, who) for who, (drawn, lot) in lots.items() if drawn == n)[:count]}
    assert control(tenant, number) == expected
    assert (found.test_size, found.control_size) == (SIZES[country] - len(expected), len(expected))
    assert found.plan["drawn"] == [
        [sizes[n] - count, count] for n, count in zip(range(1, groups + 1), wanted, strict=True)
    ]
    assert draw_of(found.plan, 1, range(1, groups + 1)).customers == sizes[1] - wanted[0] + sum(wanted)
    with tenant.records() as session:
        locked(session, tenant, number).state = "canceled"


def test_a_draw_is_the_same_again_and_another_for_each_campaign(tenant: Scope) -> None:
    numbers = [run(tenant, "FR", 0.3) for _ in range(2)]
    drawn = [control(tenant, number) for number in numbers]
    before = recipients(tenant, numbers[0]), outcomes(tenant, numbers[0])
    with tenant.records() as session:  # as after a kill in the middle
        locked(session, tenant, numbers[0]).state = "processing"
    processing.process(tenant, numbers[0], DATA_DATE)
    assert (recipients(tenant, numbers[0]), outcomes(tenant, numbers[0])) == before
    assert [len(one) for one in drawn] == [38] * 2
    # Of 38 and 38 of 127 about 11 are in both by chance; the bounds are five standard deviations away.
    assert 1 <= len(drawn[0] & drawn[1]) <= 22
    told = campaigns.dry_run(tenant, campaigns.occurrence(tenant, numbers[0]).series_id)
    assert (told.addressed, told.control) == (89, 38)
    with tenant.records() as session:
        for number in numbers:
            locked(session, tenant, number).state = "canceled"
