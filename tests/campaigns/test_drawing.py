"""Who is held back: exact numbers, the same again, and independent from campaign to campaign."""

from datetime import date

import pytest
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
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
from rapport.campaigns import occurrences
from rapport.campaigns.occurrences import locked, plan_next_run
from rapport.campaigns.runs import dry_runs, processing
from rapport.campaigns.runs.splits import draw_of, held_back

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
def test_the_lowest_lots_are_held_back_and_the_next_are_group_by_group(
    tenant: Scope, country: str, share: float, groups: int
) -> None:
    number, size = run(tenant, country, share, groups), SIZES[country]
    found = occurrences.occurrence(tenant, number)
    lots = {who: (drawn, lot) for who, drawn, lot in tenant.warehouse.rows(LOTS, id=number)}
    in_order = sorted(lots, key=lambda who: lots[who][1])
    (held,) = held_back([size], share)
    assert control(tenant, number) == set(in_order[:held])
    for some in (in_order[:held], in_order[held:]):
        drawn = [lots[who][0] for who in some]
        assert drawn == sorted(drawn)
        assert all(abs(drawn.count(n) - len(some) / groups) < 1 for n in range(1, groups + 1))
    assert (found.test_size, found.control_size) == (size - held, held)
    sent = [sum(lots[who][0] == n for who in in_order[held:]) for n in range(1, groups + 1)]
    assert [one[0] for one in (found.plan.drawn or ())] == sent
    assert sum(one[1] for one in (found.plan.drawn or ())) == held
    assert draw_of(found.plan, 1, range(1, groups + 1)).customers == sent[0] + held
    with tenant.records() as session:
        locked(tenant, session, number).state = "canceled"


def test_groups_that_reach_the_same_people_share_one_urn(tenant: Scope) -> None:
    """A third on another channel, by a hash, as who can be reached hangs on it; the others in exact parts."""
    shares = {1: 0.2, 2: 1 / 3, 3: 7 / 15}
    places = [group(2, (EMAIL if n == 2 else EXTERNAL, 1), share=share) for n, share in shares.items()]
    made = add_series(tenant, list(SIZES).index("FR") + 1, places, rules={"include_all": True}, control_share=0.25)
    number = process(tenant, made.id)
    lots = {who: (drawn, lot) for who, drawn, lot in tenant.warehouse.rows(LOTS, id=number)}
    held = control(tenant, number)
    assert len(lots) == SIZES["FR"] and len(held) == round(0.25 * SIZES["FR"])
    for groups in ([2], [1, 3]):
        urn = sorted((lot, who) for who, (drawn, lot) in lots.items() if drawn in groups)
        kept_back = [who for _, who in urn if who in held]
        assert [who for _, who in urn[: len(kept_back)]] == kept_back
        assert abs(len(kept_back) - 0.25 * len(urn)) < 1
        for some in (kept_back, [who for _, who in urn[len(kept_back) :]]):
            first = sum(lots[who][0] == groups[0] for who in some)
            assert abs(first - len(some) * shares[groups[0]] / sum(shares[n] for n in groups)) < 1
    with tenant.records() as session:
        locked(tenant, session, number).state = "canceled"


def test_a_draw_is_the_same_again_and_another_for_each_campaign(tenant: Scope) -> None:
    numbers = [run(tenant, "FR", 0.3) for _ in range(2)]
    drawn = [control(tenant, number) for number in numbers]
    before = recipients(tenant, numbers[0]), outcomes(tenant, numbers[0])
    with tenant.records() as session:  # as after a kill in the middle
        locked(tenant, session, numbers[0]).state = "processing"
    processing.process(tenant, numbers[0], DATA_DATE)
    assert (recipients(tenant, numbers[0]), outcomes(tenant, numbers[0])) == before
    assert [len(one) for one in drawn] == [38] * 2
    # Of 38 and 38 of 127 about 11 are in both by chance; the bounds are five standard deviations away.
    assert 1 <= len(drawn[0] & drawn[1]) <= 22
    told = dry_runs.dry_run(tenant, occurrences.occurrence(tenant, numbers[0]).series_id)
    assert (told.addressed, told.control) == (89, 38)
    with tenant.records() as session:
        for number in numbers:
            locked(tenant, session, number).state = "canceled"
