"""Whom a channel reaches, asked by a condition, counted with a size, and as a run and a trigger find it: one rule."""

from collections.abc import Iterator

import httpx
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
    publish,
    recipients,
)

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences import counting, groups, membership, schema
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels import service as channels
from rapport.customers import consent
from rapport.errors import Invalid
from rapport.messaging.contactability import preferences, suppressions

BY_MAIL, BY_TEXT = {"reachable": {"channel": EMAIL}}, {"reachable": {"channel": EXTERNAL}}
# What is against a mail to each; everybody else can be written to.
SPECIAL = [
    customer(1, IS_TEST="Yes"),
    customer(2, IS_BLOCKED="true"),
    customer(3, IS_OPTIN="No"),
    customer(4, ALLOW_EMAIL="nein"),
    customer(5, EMAIL=None),
    customer(6, EMAIL=" "),
    customer(7, EMAIL="not an address"),
    customer(8),  # is on the suppression list
    customer(9, EMAIL="C00008@Example.com"),  # has the address of the one before
    customer(10),  # opted out of the channel
    customer(11),  # is suppressed on every channel
    customer(12, ALLOW_EMAIL="Yes"),
    customer(13, EMAIL="<c00013@example.com>"),
]
NOT_BY_MAIL = {f"C{number:05}" for number in range(1, 12)}
NOT_BY_TEXT = {"C00001", "C00002", "C00003", "C00011"}


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Iterator[Scope]:
    scope.clock.set(NOW)
    add_profiles(scope, [*SPECIAL, *(customer(number) for number in range(20, 40))])
    publish(scope)
    add_channels(scope)
    scope.warehouse.insert("customers", ["customer_id", "EMAIL"], [["C00008", "c00008@example.com"]])
    suppressions.suppress(scope, "c00008", EMAIL)
    preferences.set_preference(scope, EMAIL, ["C00010"], 2)
    suppressions.suppress(scope, "C00011")
    add_group(scope, "Dutch", "NL")
    add_action(scope)
    yield scope
    scope.clock.set(None)


def everybody(scope: Scope) -> set[str]:
    return set(counting.sample_now(scope, conditions.parse({"all": []}), 1000))


def selected(scope: Scope, definition: dict[str, object]) -> set[str]:
    return set(counting.sample_now(scope, conditions.parse(definition), 1000))


def test_a_condition_finds_whom_a_run_would_write_to(tenant: Scope) -> None:
    assert selected(tenant, BY_MAIL) == everybody(tenant) - NOT_BY_MAIL
    assert selected(tenant, {"not": BY_MAIL}) == NOT_BY_MAIL
    assert selected(tenant, BY_TEXT) == everybody(tenant) - NOT_BY_TEXT
    for place, definition in (((EMAIL, 1), BY_MAIL), ((EXTERNAL, 4), BY_TEXT)):
        made = add_series(tenant, 1, [group(2, place)], rules={"include_all": True}, control_share=0)
        number = plan_next_run(tenant, made.id, TODAY)
        processing.prepare_members(tenant, number, DATA_DATE)
        processing.process(tenant, number, DATA_DATE)
        assert {row[0] for row in recipients(tenant, number)} == selected(tenant, definition)


def test_sizes_tell_how_many_each_channel_reaches(tenant: Scope, api: httpx.Client) -> None:
    some = {"customers": sorted(NOT_BY_MAIL | {"C00012", "C00020"})}
    told = api.post("/manage/v1/target-groups/size", json={"definition": some}).json()
    assert told == {"size": 13, "reachable": {str(EMAIL): 2, str(EXTERNAL): 9}, "warnings": []}
    made = groups.create_target_group(tenant, "Some", some)
    counted = api.post(f"/manage/v1/target-groups/{made.id}/size").json()
    assert (counted["size"], counted["reachable"]) == (13, {str(EMAIL): 2, str(EXTERNAL): 9})


def test_members_are_kept_and_the_sentence_names_the_channel(tenant: Scope) -> None:
    made = groups.create_target_group(tenant, "By mail", {"all": [BY_MAIL, {"customers": ["C00008", "C00020"]}]})
    assert membership.compute_members(tenant, made.id, DATA_DATE) == 1
    assert membership.members(tenant, made.id, DATA_DATE, 10) == ["C00020"]
    assert groups.readable(tenant, conditions.parse(BY_MAIL)) == "Reachable on channel 'E-mail'"
    with pytest.raises(Invalid, match="definition names channel 999, which does not exist"):
        groups.create_target_group(tenant, "Nowhere", {"reachable": {"channel": 999}})


def test_what_changes_counts_at_once(tenant: Scope) -> None:
    before, _ = selected(tenant, BY_TEXT), selected(tenant, BY_MAIL)
    suppressions.suppress(tenant, "C00021", EXTERNAL)
    assert before - selected(tenant, BY_TEXT) == {"C00021"}
    suppressions.allow(tenant, "C00021", EXTERNAL)
    assert selected(tenant, BY_TEXT) == before
    channels.update_channel(tenant, EXTERNAL, permission_attribute="ALLOW_EMAIL")
    assert before - selected(tenant, BY_TEXT) == {"C00004"}
    channels.update_channel(tenant, EXTERNAL, permission_attribute=None)
    add_profiles(tenant, [customer(50), customer(51, IS_TEST="yes")])
    assert selected(tenant, BY_TEXT) == before | {"C00050"}
    tenant.warehouse.execute("DELETE FROM profiles WHERE customer_id IN ('C00050', 'C00051')")
    tables = [str(name) for (name,) in tenant.warehouse.rows("SHOW TABLES LIKE 'unreached_%'")]
    assert sorted(tables) == [f"unreached_{EMAIL}_20260309", f"unreached_{EXTERNAL}_20260309"]


def test_conditions_of_triggers_ask_the_same(tenant: Scope) -> None:
    """The rule for one customer, by its wishes of now, and the rule for all come to the same people."""
    from rapport.audiences.facts import Needs, load
    from rapport.realtime.matching.reachability import Reach, attributes_of

    ids, on = sorted(everybody(tenant)), schema.schema(tenant)
    used = {one.id: one for one in channels.channels(tenant)}
    needs = Needs()
    for definition in (BY_MAIL, BY_TEXT):
        needs.of_condition(conditions.parse(definition))
    needs.attributes |= attributes_of(used, used)
    reach = Reach(used, consent.consents(tenant))
    reach.customers = load(tenant, on, DATA_DATE, ids, needs, TODAY)
    reach.find_reachable(tenant, needs.channels)
    for definition in (BY_MAIL, BY_TEXT):
        predicate = conditions.to_predicate(conditions.parse(definition), on)
        met = {one.customer_id for one in reach.customers.values() if predicate(one.facts)}
        assert met == selected(tenant, definition)
