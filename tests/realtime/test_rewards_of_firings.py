"""Triggered campaigns publish promotions: each firing is an offer of its own, within budgets, and keeps its reward."""

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
import trigger_world as world
from promotion_tenant import SESSION, add_attributes, create_tenant, done, launch, leaf, spins, tier
from redemption_calls import lifetime, redeem, set_budgets, used
from sqlalchemy import update

from rapport.access.scope import Scope, scope_of
from rapport.campaigns.models import Occurrence, Series
from rapport.campaigns.publishing import publisher
from rapport.campaigns.triggered import definitions, runs
from rapport.channels import service as channels
from rapport.customers import event_types
from rapport.realtime.matching import releasing, rewarding
from rapport.realtime.matching.outgoing import Outgoing
from rapport.realtime.models import AcceptedEvent, Firing
from rapport.realtime.recording.ended_firings import file_ended
from rapport.realtime.states import FiringState
from rapport.redemptions import pools
from rapport.redemptions.definitions import ChangePool, CreatePool

SPINS, PHONES = 5, 598
NUMBERS = itertools.count(1)
PEOPLE = [{"customer_id": f"C{n}", "DEPOSITS": n * 10} for n in range(20)]
SHARING = [
    {"customer_id": f"S{n}", "DEPOSITS": deposits, "MOBILE_NUMBER": "+49 30 1"}
    for n, deposits in enumerate((0, 200, 300), start=1)
]
PUBLISHES = {"publishes_promotions": True}


@pytest.fixture(scope="module")
def tenant(scope: Scope, api: httpx.Client) -> Scope:
    scope.clock.set(world.NOW)
    add_attributes(scope)
    world.fill(scope, PEOPLE)
    world.add_customers(scope, SHARING)
    create_tenant(api)
    return scope_of(scope.stores, scope.tenant_id)


@pytest.fixture(autouse=True)
def morning(tenant: Scope) -> Iterator[None]:
    tenant.clock.set(world.NOW)
    yield
    for series in definitions.triggered(tenant, "active"):
        definitions.set_triggered_status(tenant, series.id, "archived")


def bounded(api: httpx.Client, *budgets: dict[str, Any], least: int = 0) -> str:
    """A promotion of five spins for everybody who has deposited so much, with budgets; its id and code."""
    id = f"FIRED-{next(NUMBERS)}"
    launch(api, id, [tier("all", [leaf("lifetimeDeposits", "greaterThanOrEquals", least)], spins(SPINS))])
    set_budgets(api, id, *budgets)
    return id


def publishing(scope: Scope, event: str, *codes: str, **more: Any) -> Series:
    """A triggered campaign that publishes the promotions of codes on an outside channel."""
    places = [{"channel_id": world.SMS, "template_id": world.TEMPLATE}]
    groups = [{"action_id": 2, "promo_codes": codes, "channels": places}]
    return world.trigger(scope, {"kind": "simple", "event": event}, groups=groups, **{"rules": PUBLISHES, **more})


def rewards(scope: Scope, series: Series) -> list[dict[str, str] | None]:
    """The values that firings keep, in order."""
    return [firing.rewards and firing.rewards["values"] for firing in world.firings(scope, series)]


def test_a_firing_carries_the_reward_and_the_budget_is_counted_once(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api, lifetime("audience", 2), lifetime("reward", 100, "freeSpins"))
    series = publishing(tenant, "level_up", id)
    for customer in ("C1", "C2", "C3"):
        world.event(tenant, "level_up", customer)
    world.process(tenant)
    assert world.fired(tenant, series) == [("C1", "sent", ""), ("C2", "sent", ""), ("C3", "excluded", "refused")]
    assert [(post["customerID"], post["rewards"]) for post in world.told(tenant, series)] == [
        ("C1", {"FREESPINS": "5"}),
        ("C2", {"FREESPINS": "5"}),
    ]
    assert used(api, id) == [2, 2 * SPINS]


def test_each_firing_is_an_offer_of_its_own_within_the_limit_of_the_customer(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api, lifetime("customer", 2), lifetime("audience", 9), lifetime("redemptions", 9))
    series = publishing(tenant, "level_up", id)
    for minutes in (0, 1, 2):
        world.event(tenant, "level_up", "C1", minutes)
        world.event(tenant, "level_up", "c2", minutes)
    world.process(tenant, 2)  # all in one batch
    assert sorted(outcome for _, outcome, _ in world.fired(tenant, series)) == ["excluded"] * 2 + ["sent"] * 4
    assert used(api, id) == [None, 2, 4]
    for minutes in (3, 4):
        world.event(tenant, "level_up", "C3", minutes)
        world.process(tenant, minutes)
    assert used(api, id) == [None, 3, 6]
    assert redeem(api, id, "C3").status_code == redeem(api, id, "C3").status_code == 201
    assert redeem(api, id, "C3").status_code == 409, "each offer is redeemed once"
    assert used(api, id) == [None, 3, 6]


def test_an_event_that_is_handled_again_gives_nothing_again(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api, lifetime("redemptions", 9))
    series = publishing(tenant, "level_up", id)
    key = world.event(tenant, "level_up", "C1")
    world.process(tenant)
    (firing,) = world.firings(tenant, series)
    with tenant.records() as session:
        session.execute(update(AcceptedEvent).where(AcceptedEvent.key == key).values(state=0))
    world.process(tenant)
    assert [again.id for again in world.firings(tenant, series)] == [firing.id]
    with tenant.records() as session:
        going = Outgoing(firing.id, campaign_of(tenant, firing), 1, "C1", False, {}, {})
        (repeated,) = rewarding.rewarded(tenant, session, [going])
    assert repeated.rewards == {"FREESPINS": "5"} and used(api, id) == [1]


def campaign_of(scope: Scope, firing: Firing) -> Occurrence:
    (campaign,) = runs.occurrences_by_id(scope, [firing.campaign_id])
    return campaign


@pytest.mark.parametrize("waits", ["gateway", "quiet hours"])
def test_firings_that_waited_are_decided_about_when_they_are_let_out(
    tenant: Scope, api: httpx.Client, waits: str
) -> None:
    id = bounded(api, lifetime("redemptions", 1))
    asks = waits == "gateway"
    hours = None if asks else {"start": "09:00", "end": "11:00"}
    series = publishing(tenant, "level_up", id, conditional=asks, quiet_hours=hours)
    for customer in ("C1", "C2"):
        world.event(tenant, "level_up", customer)
    world.process(tenant)
    assert rewards(tenant, series) == [None, None] and used(api, id) == [0]
    if asks:
        with tenant.records() as session:
            releasing.release(tenant, session, [firing.id for firing in world.firings(tenant, series)])
    else:
        world.process(tenant, 60)
    assert world.fired(tenant, series) == [("C1", "sent", ""), ("C2", "excluded", "refused")]
    assert rewards(tenant, series) == [{"FREESPINS": "5"}, None] and used(api, id) == [1]
    assert [post["customerID"] for post in world.told(tenant, series)] == ["C1"]


def test_who_gets_nothing_is_left_out_and_codes_without_promotion_keep_nobody_out(
    tenant: Scope, api: httpx.Client
) -> None:
    id, other = bounded(api, least=100), bounded(api, least=150)
    both = publishing(tenant, "level_up", id, other, "PLAIN", visitors=True)
    plain = publishing(tenant, "level_up", "PLAIN", visitors=True)
    silent = publishing(tenant, "level_up", id, rules={})
    for customer in ("C5", "C12", "C17"):
        world.event(tenant, "level_up", customer)
    world.event(tenant, "level_up", visitor="Nobody")
    world.process(tenant)
    refused = ("excluded", "refused")
    expected = [("C5", *refused), ("C12", "sent", ""), ("C17", "sent", ""), ("Nobody", *refused)]
    assert world.fired(tenant, both) == expected
    assert rewards(tenant, both) == [None, {"FREESPINS": "5"}, {"FREESPINS": "10"}, None], "rewards are added up"
    assert {outcome for _, outcome, _ in world.fired(tenant, plain)} == {"sent"}
    assert rewards(tenant, plain) == [None] * 4
    assert len(world.told(tenant, silent)) == 3 and not any("rewards" in post for post in world.told(tenant, silent))


def test_who_gets_nothing_keeps_nobody_else_off_an_address(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api, least=100)
    channels.create_channel(tenant, "Phones", "external", id=PHONES, address_attribute="MOBILE_NUMBER")
    groups = [{"action_id": 2, "promo_codes": [id], "channels": [{"channel_id": PHONES, "template_id": 1}]}]
    series = world.trigger(tenant, {"kind": "simple", "event": "level_up"}, groups=groups, rules=PUBLISHES)
    for minutes, who in enumerate(("S1", "S2", "S3", "S1", "S2")):
        world.event(tenant, "level_up", who, minutes)
        world.process(tenant, minutes)
    same, sent = ("S3", "skipped", "same address"), ("S2", "sent", "")
    assert world.fired(tenant, series) == [("S1", "excluded", "refused"), sent, same, ("S1", *same[1:]), sent]


def test_a_control_member_and_whoever_is_kept_out_take_nothing(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api, lifetime("redemptions", 99))
    series = publishing(tenant, "level_up", id, control_share=0.5, re_entry="once")
    for minutes, n in itertools.product((0, 1), range(20)):
        world.event(tenant, "level_up", f"C{n}", minutes)
    world.process(tenant, 1)
    outcomes = Counter(outcome for _, outcome, _ in world.fired(tenant, series))
    assert outcomes["control"] and outcomes["sent"] and outcomes["control"] + outcomes["sent"] == 20
    assert used(api, id) == [outcomes["sent"]]


def test_accounts_show_the_reward_of_each_firing(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api, lifetime("redemptions", 2))
    launch(api, extra := f"EXTRA-{id}", [tier("all", [], spins(2))])
    series = publishing(tenant, "level_up", id, extra)
    for minutes in (0, 1, 2):
        world.event(tenant, "level_up", "C7", minutes)
        world.process(tenant, minutes)
    assert rewards(tenant, series) == [{"FREESPINS": "7"}, {"FREESPINS": "7"}, {"FREESPINS": "2"}]
    world.file(tenant)
    fired = world.firings(tenant, series)
    for firing in fired:
        firing.state = FiringState.DONE  # as a filer that was killed before it had marked them would see them
    file_ended(tenant, fired)
    granted = [{"promotion_id": name, "promotion_tier_id": "all", "promo_code": name} for name in (extra, id)]
    lines = api.get("/manage/v1/exports/outcomes", params={"format": "jsonl"}).text.splitlines()
    rows = {row["firing_id"]: row for row in map(orjson.loads, lines) if row["campaign_id"] == fired[0].campaign_id}
    assert [rows[firing.id]["rewards"] for firing in fired] == [
        [{"reward_type": "FREESPINS", "value": value}] for value in ("7", "7", "2")
    ]
    assert [sorted(rows[firing.id]["promotions"], key=str) for firing in fired] == [
        sorted(granted, key=str),
        sorted(granted, key=str),
        granted[:1],
    ]
    asked = {"CampaignID": fired[0].campaign_id, "ChannelID": world.SMS, "CustomerAttributes": "REWARD:freeSpins"}
    details = done_list(api.get("/current/customers/GetCustomerSendDetailsByChannel", params=asked))
    assert {tuple(row["CustomerAttributes"]) for row in details} == {("2",)}, "those of the last firing"
    listed = api.get(f"/v1/promotions/publisher/campaigns/{fired[0].campaign_id}/rewards").json()["rewards"]
    assert [(row["customerId"], row["values"]) for row in listed] == [("C7", {"FREESPINS": "2"})]
    shown = done_list(api.get(f"/manage/v1/triggers/{series.id}/firings"))
    assert [row["rewards"]["values"] for row in shown] == [{"FREESPINS": "2"}, {"FREESPINS": "7"}, {"FREESPINS": "7"}]
    assert {grant["promotion_id"] for grant in shown[1]["rewards"]["grants"]} == {id, extra}


def done_list(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()
    return rows


def test_previews_show_what_would_be_granted_and_spend_nothing(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api, lifetime("redemptions", 1), lifetime("customer", 1), least=100)
    series = publishing(tenant, "level_up", id)

    def tried(customer: str) -> tuple[str, str, dict[str, str]]:
        asked = {"event": "level_up", "customer_id": customer}
        shown = api.post(f"/manage/v1/triggers/{series.id}/test", json=asked).json()
        assert shown["explanation"][-1].startswith("Outcome:")
        return shown["outcome"], shown["reason"], shown["rewards"]

    assert tried("C15") == ("sent", "", {"FREESPINS": "5"})
    assert tried("C5") == ("excluded", "refused", {})
    counted = api.post(f"/manage/v1/triggers/{series.id}/dry-run").json()
    assert counted["rewards"] == [{"reward_type": "FREESPINS", "customers": 12, "value": 60}]
    assert counted["reached"] == [{"recipient_group_id": 1, "channel_id": world.SMS, "customers": 12}]
    assert counted["not_reached"] == [{"channel_id": 0, "outcome": "excluded", "reason": "refused", "units": 11}]
    assert used(api, id) == [0, None] and world.firings(tenant, series) == []
    world.event(tenant, "level_up", "C15")
    world.process(tenant)
    assert world.fired(tenant, series) == [("C15", "sent", "")] and used(api, id) == [1, None]
    assert tried("C15") == tried("C16") == ("excluded", "refused", {}), "the budget has nothing left"
    assert api.post(f"/manage/v1/triggers/{series.id}/dry-run").json()["rewards"] == []


def test_the_parameters_of_the_event_are_properties_of_the_session(tenant: Scope, api: httpx.Client) -> None:
    """A bonus of 10 % of deposits from 20 on; of game the event says what a session cannot have."""
    id = f"FIRED-{next(NUMBERS)}"
    percent = {"type": "percentage", "of": "depositAmount", "source": "session", "percent": 10}
    large = leaf("depositAmount", "greaterThanOrEquals", 20, source="session")
    launch(api, id, [tier("all", [large], {"rewardType": "bonus", "calculation": percent})])
    event_types.declare_event_type(tenant, "deposit", {"depositamount": "Number", "game": "Number"})
    series = publishing(tenant, "deposit", id)
    asked = {"event": "deposit", "customer_id": "C1", "parameters": {"depositamount": 40}}
    assert api.post(f"/manage/v1/triggers/{series.id}/test", json=asked).json()["rewards"] == {"BONUS": "4.00"}
    for minutes, amount in enumerate((40, 25.5, 19, None)):
        world.event(tenant, "deposit", "C1", minutes, depositamount=amount, game=7)
    world.process(tenant, 5)
    assert rewards(tenant, series) == [{"BONUS": "4.00"}, {"BONUS": "2.55"}, None, None]
    assert [reason for _, _, reason in world.fired(tenant, series)] == ["", "", "refused", "refused"]


def test_who_lacks_a_property_that_is_required_gets_nothing_and_holds_up_nobody(
    tenant: Scope, api: httpx.Client
) -> None:
    id = bounded(api, lifetime("redemptions", 9))
    series, plain = publishing(tenant, "level_up", id), publishing(tenant, "level_up", "PLAIN", rules={})
    required = [*SESSION, {"key": "brand", "type": "string", "required": True}]
    change_session(api, required)
    try:
        world.event(tenant, "level_up", "C1", 0)
        world.event(tenant, "level_up", "C2", 1, brand="north")
        world.process(tenant, 1)
        assert publisher.granted_by(tenant, {"C3": id}, 9001) == {"C3": None}, "a run knows of no session"
    finally:
        change_session(api, SESSION)
    assert world.fired(tenant, series) == [("C1", "excluded", "refused"), ("C2", "sent", "")]
    assert len(world.told(tenant, plain)) == 2 and used(api, id) == [1]


def change_session(api: httpx.Client, properties: list[dict[str, Any]]) -> None:
    change = {"type": "setSessionPropertySchema", "properties": properties}
    commands = [{"type": "deactivate"}, change, {"type": "activate"}]
    done(api.post("/v1/tenants/play/transactions", json={"commands": commands}))


def test_a_group_without_a_promotion_is_warned_of(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api)
    letters = {"id": "letters", "name": "Letters", "type": "unique", "promotionId": id}
    pools.create_pool(tenant, CreatePool.model_validate(letters))
    pools.change_pool(tenant, "letters", ChangePool.model_validate({"isActive": False}))

    def warned(*codes: str, rules: dict[str, Any] = PUBLISHES) -> list[str]:
        shown = api.get(f"/manage/v1/triggers/{publishing(tenant, 'level_up', *codes, rules=rules).id}").json()
        assert shown["rules"]["publishes_promotions"] == rules.get("publishes_promotions", False)
        warnings: list[str] = shown["warnings"]
        return warnings

    assert warned("PLAIN", id) == warned("PLAIN", rules={}) == []
    (nothing,) = warned("PLAIN")
    assert nothing.startswith("Recipient group 1: No promo code belongs to a promotion")
    assert warned("letters") == ["Recipient group 1: The code 'letters' is deactivated."]
