"""Whom a hash puts where: Python and the warehouse agree on every id, and divisions are independent of each other."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.campaigns.runs.splits import (
    CONTROL,
    GROUP,
    OF_RUN,
    OF_SERIES,
    PARTS,
    cut_of,
    cuts,
    group_at,
    group_at_sql,
    hold_out_part,
    hold_out_part_sql,
    run_lot_sql,
    run_part_sql,
    trigger_part,
    trigger_part_sql,
)

# The warehouse knows the lower case of letters that came into Unicode after Python's table of it.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs", "Cn"]), max_size=40)
IDS = st.lists(TEXTS | st.sampled_from(["ΑΣ", "İX", "straße", "STRASSE", "Ⅷ", "ǅ"]), min_size=1, max_size=30)
SHARES = st.lists(st.floats(0.001, 1), min_size=1, max_size=26)


def in_warehouse(scope: Scope, sql: str, ids: Sequence[str], **bound: object) -> list[int]:
    rows = scope.warehouse.rows(f"SELECT {sql} FROM (SELECT arrayJoin({{ids:Array(String)}}) AS one)", ids=ids, **bound)
    return [int(value) for (value,) in rows]


@settings(max_examples=60)
@given(ids=IDS, shares=SHARES, series=st.integers(1, 2**31 - 1), division=st.sampled_from([GROUP, CONTROL]))
def test_a_trigger_divides_alike(scope: Scope, ids: list[str], shares: list[float], series: int, division: str) -> None:
    parts = [trigger_part(series, division, one.lower()) for one in ids]
    sql, upper = trigger_part_sql("{series:String}", division, "one"), cuts(shares)
    assert in_warehouse(scope, sql, ids, series=str(series)) == parts
    groups = in_warehouse(scope, group_at_sql(sql, "{cuts:Array(UInt32)}"), ids, series=str(series), cuts=upper)
    assert groups == [group_at(part, upper) for part in parts]


@settings(max_examples=60)
@given(ids=IDS, salt=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=50))
def test_a_hold_out_divides_alike(scope: Scope, ids: list[str], salt: str) -> None:
    sql = hold_out_part_sql("{salt:String}", "one")
    assert in_warehouse(scope, sql, ids, salt=salt) == [hold_out_part(salt, one) for one in ids]


@given(shares=SHARES, part=st.integers(0, PARTS - 1))
def test_every_part_is_in_one_group(shares: list[float], part: int) -> None:
    upper = cuts(shares)
    group = group_at(part, upper)
    assert ([0, *upper][group - 1]) <= part < upper[group - 1]


MANY = [f"C{n}" for n in range(20_000)]
# Of 20,000 customers a tenth of a tenth is in control of both of two divisions: 200, give or take 14.
BOTH_AT_A_TENTH = pytest.approx(200, abs=70)


def test_control_of_one_campaign_is_independent_of_another(scope: Scope) -> None:
    by_trigger = [{one for one in MANY if trigger_part(n, CONTROL, one.lower()) < cut_of(0.1)} for n in (1, 2)]
    by_run = []
    for divides, bound in ((OF_RUN, {"campaign": 1}), (OF_RUN, {"campaign": 2}), (OF_SERIES, {"series": 1})):
        lots = in_warehouse(scope, run_lot_sql(divides, "one"), MANY, **bound)
        by_run.append({one for one, lot in zip(MANY, lots, strict=True) if lot < 2**64 // 10})
    by_hold_out = {one for one in MANY if hold_out_part("1", one) < cut_of(0.1)}
    controls = [*by_trigger, *by_run, by_hold_out]
    for n, control in enumerate(controls):
        assert len(control) == pytest.approx(2000, abs=250)
        for other in controls[:n]:
            assert len(control & other) == BOTH_AT_A_TENTH


def test_control_is_independent_of_the_group(scope: Scope) -> None:
    lots = in_warehouse(scope, run_lot_sql(OF_RUN, "one"), MANY, campaign=7)
    sql = group_at_sql(run_part_sql(OF_RUN, "one"), "{cuts:Array(UInt32)}")
    groups = in_warehouse(scope, sql, MANY, campaign=7, cuts=cuts([0.5, 0.5]))
    held_back = Counter(group for group, lot in zip(groups, lots, strict=True) if lot < 2**64 // 10)
    assert held_back[1] == pytest.approx(1000, abs=150) and held_back[2] == pytest.approx(1000, abs=150)
