"""Triggered campaigns and customers who share an address: one of them gets it, all on one side, no is no for all."""

from collections import defaultdict

import httpx
import pytest
import trigger_world as world

from rapport.access.scope import Scope
from rapport.campaigns.triggered import definitions
from rapport.channels import service as channels
from rapport.messaging import templates
from rapport.messaging.contactability import preferences, suppressions

MAIL = 599
SAME, LISTED = ("skipped", "same address"), ("suppressed", "suppression list")
PHONES = {"P1": "+49 30 111111", "P2": "0049 (30) 111111", "P3": "+49 30 222222", "P4": None}
PAIRS = {f"{side}{n}": f"+49 30 5{n:05d}" for n in range(60) for side in "AB"}


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    everybody = PHONES | PAIRS
    world.fill(scope, [{"customer_id": who, "MOBILE_NUMBER": phone} for who, phone in everybody.items()])
    channels.update_channel(scope, world.SMS, address_attribute="MOBILE_NUMBER")


@pytest.fixture(autouse=True)
def alone(scope: Scope) -> None:
    scope.clock.set(world.NOW)
    for one in definitions.triggered(scope, "active"):
        definitions.set_triggered_status(scope, one.id, "paused")


def fire(scope: Scope, *who: str, minutes: float = 0) -> None:
    scope.clock.set(world.NOW)
    for customer in who:
        world.event(scope, "add_to_cart", customer, minutes)
    world.process(scope, minutes)


def test_the_second_at_an_address_is_skipped_and_accounted_for(scope: Scope) -> None:
    series = world.trigger(scope)
    fire(scope, "P1", "P2", "P3", "P4")
    fire(scope, "P2", "P1", minutes=5)
    found = [(who, (outcome, reason)) for who, outcome, reason in world.fired(scope, series)]
    assert found[:4] == [("P1", ("sent", "")), ("P2", SAME), ("P3", ("sent", "")), ("P4", ("no address", ""))]
    # Again the same person is up to the trigger's own rule; the second one has been told of once a day.
    assert found[4:] == [("P1", ("sent", ""))]
    assert [one["customerID"] for one in world.told(scope, series)] == ["P1", "P3", "P1"]
    world.file(scope)
    day = world.firings(scope, series)[0].campaign_id
    sql = "SELECT customer_id, outcome, reason FROM campaign_outcomes WHERE campaign_id = {id:UInt32} ORDER BY 1, 2"
    rows = [(str(who), (str(what), str(why))) for who, what, why in scope.warehouse.rows(sql, id=day)]
    assert ("P2", SAME) in rows


def test_who_said_no_keeps_the_address_off(scope: Scope) -> None:
    suppressions.suppress(scope, "P2", world.SMS)
    series = world.trigger(scope)
    fire(scope, "P1", "P3")
    assert world.fired(scope, series) == [("P1", *LISTED), ("P3", "sent", "")]
    suppressions.allow(scope, "P1", world.SMS)
    assert preferences.unreachable(scope, world.SMS, ["P2"]) == {}


def test_a_trigger_over_several_kinds_of_addresses_says_by_which_it_divides(scope: Scope, api: httpx.Client) -> None:
    mail = {"channel_id": MAIL, "template_id": 1}
    settings = {"host": "127.0.0.1", "port": 25, "from_address": "shop@example.com"}
    channels.create_channel(scope, "Mail of pairs", "email", id=MAIL, settings=settings)
    templates.save_template(scope, MAIL, "Hello", "Hi", "<p>Hi</p>", id=1)
    texts = {"channel_id": world.SMS, "template_id": 11}

    def warned(*groups: list[dict[str, int]], control_share: float = 0, goal: str = "orders") -> list[str]:
        share, kind = 1 / len(groups), "Test/Control" if len(groups) == 1 else "A/B"
        made = [{"action_id": 2, "share": share, "channels": places} for places in groups]
        series = world.trigger(scope, groups=made, campaign_type=kind, control_share=control_share, goal={"kind": goal})
        one = api.get(f"/manage/v1/triggers/{series.id}").json()
        assert next(each for each in api.get("/manage/v1/triggers").json() if each["id"] == series.id) == one
        return [str(warning) for warning in one["warnings"]]

    told = (
        "Customers are divided by MOBILE_NUMBER, or by the next of EMAIL for whoever has none: those who share "
        "EMAIL alone may fall into different groups, or one of them into control."
    )
    assert warned([mail, texts], control_share=0.1) == [told]
    assert warned([mail], [texts]) == [told]
    # Nothing is divided, or there is one kind of address.
    assert not warned([mail, texts]) and not warned([texts], [texts], control_share=0.5)
    # Clicks in mail of its own are not measured.
    (unmeasured,) = warned([mail], [mail], goal="click")
    assert unmeasured.startswith(f"goal click: clicks in mail of channel {MAIL} (Mail of pairs) are not measured")
    assert not warned([texts], [texts], goal="click")


def test_who_shares_an_address_is_on_one_side(scope: Scope) -> None:
    groups = [
        {"action_id": 2, "share": 0.5, "channels": [{"channel_id": world.SMS, "template_id": 11}]} for _ in range(2)
    ]
    series = world.trigger(scope, groups=groups, campaign_type="A/B", control_share=0.4)
    fire(scope, *PAIRS)
    sides: dict[str, set[int]] = defaultdict(set)
    for one in world.firings(scope, series):
        sides[PAIRS[one.customer_id]].add(one.recipient_group_id)
    assert {len(found) for found in sides.values()} == {1}
    assert len({side for found in sides.values() for side in found}) == 3
    assert len(world.told(scope, series)) == sum(found != {0} for found in sides.values())
