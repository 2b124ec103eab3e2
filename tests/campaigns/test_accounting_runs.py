"""Whatever the customers, groups and rules: everybody is accounted for exactly once."""

from collections import Counter
from itertools import count
from typing import Any

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
    tally,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.campaigns import occurrences
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import by_hand, processing

NUMBERS = count(1)
FLAGS = st.fixed_dictionaries(
    {},
    optional={
        "IS_TEST": st.sampled_from(["Yes", "no", None]),
        "IS_BLOCKED": st.sampled_from(["true", "No"]),
        "IS_OPTIN": st.sampled_from(["Yes", "No", None]),
        "ALLOW_EMAIL": st.sampled_from(["Yes", "false", None]),
        "EMAIL": st.sampled_from([None, "", "x@example.com"]),
    },
)
PLACES = st.lists(
    st.sampled_from([((EMAIL, 1),), ((EXTERNAL, 5),), ((EMAIL, 1), (EXTERNAL, 5))]), min_size=1, max_size=3
)


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    scope.clock.set(NOW)
    publish(scope)
    add_channels(scope)
    add_action(scope)
    return scope


def expected(row: dict[str, Any]) -> str:
    """The exclusion of a customer, or nothing, by the rules in plain words."""

    def says(name: str, *words: str) -> bool:
        return (row.get(name) or "").lower() in words

    if says("IS_TEST", "yes", "true"):
        return "test account"
    if says("IS_BLOCKED", "yes", "true"):
        return "blocked"
    return "opted out" if says("IS_OPTIN", "no", "false") else ""


def fault(row: dict[str, Any]) -> str:
    """Why a customer is not reached by e-mail."""
    if (row.get("ALLOW_EMAIL") or "").lower() in ("no", "false"):
        return "suppressed"
    return "" if (row["EMAIL"] or "").strip() else "no address"


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(FLAGS, max_size=25), PLACES, st.sampled_from([0.0, 0.3, 0.9]))
def test_everybody_is_accounted_for_once(tenant: Scope, flags: list[Any], places: list[Any], control: float) -> None:
    number = next(NUMBERS)
    rows = [customer(number * 1000 + n, COUNTRY=f"X{number}", **one) for n, one in enumerate(flags)]
    add_profiles(tenant, rows)
    members = add_group(tenant, f"Group {number}", f"X{number}")
    groups = [group(2, *one, share=1 / len(places)) for one in places]
    made = add_series(tenant, members, groups, control_share=control)
    campaign = plan_next_run(tenant, made.id, TODAY)
    processing.prepare_members(tenant, campaign, DATA_DATE)
    state = processing.process(tenant, campaign, DATA_DATE)
    found, decided, sent_to = (
        occurrences.occurrence(tenant, campaign),
        outcomes(tenant, campaign),
        recipients(tenant, campaign),
    )
    assert state == ("not run" if not rows else "scheduled" if found.test_size else "successful")
    assert found.counts == tally(decided)
    waiting = [row for row in sent_to if row[1]]
    assert sum(found.counts.values()) + len(waiting) == found.targeted
    # Once per customer and channel, and never both decided and waiting.
    units = Counter([row[:2] for row in decided] + [tuple(row[:2]) for row in waiting])
    assert set(units.values()) <= {1}
    assert {who for who, _ in units} == {row["customer_id"] for row in rows}
    reasons = {row[0]: row[3] for row in decided if row[2] == "excluded"}
    assert reasons == {row["customer_id"]: expected(row) for row in rows if expected(row)}
    by_id = {row["customer_id"]: row for row in rows}
    for who, channel, outcome, _ in decided:
        if outcome in ("suppressed", "no address"):
            assert channel == EMAIL and outcome == fault(by_id[who])
    assert all(channel != EMAIL or not fault(by_id[who]) for who, channel, *_ in waiting)
    # A group on e-mail alone has no control that could not have been reached.
    if set(places) == {((EMAIL, 1),)}:
        assert not any(fault(by_id[who]) for who, _, outcome, _ in decided if outcome == "control")
    if state == "scheduled":  # nothing of this is to be sent
        by_hand.cancel(tenant, campaign)
