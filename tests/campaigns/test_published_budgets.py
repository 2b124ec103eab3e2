"""Budgets count what campaigns publish: once for each customer, never beyond a cap, and back where it was refused."""

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from avro_files import records
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
    EXTERNAL,
    NOW,
    NUMBERS,
    add_action,
    add_channels,
    add_group,
    add_series,
    awaiting_clearance,
    group,
    publish,
)
from promotion_tenant import add_attributes, create_tenant, done, launch, spins, tier
from redemption_calls import lifetime, redeem, refused, set_budgets, used
from sqlalchemy import select, text

from rapport.access.scope import Scope, scope_of
from rapport.campaigns.cycle import tasks
from rapport.campaigns.delivery import engagements
from rapport.campaigns.models import Engagement
from rapport.campaigns.publishing import publisher
from rapport.campaigns.runs import by_hand, clearance
from rapport.redemptions import ending, listing
from rapport.redemptions.budgets import lock_name
from rapport.stores.records import hold

PEOPLE = [f"C{number:03}" for number in range(40)]
DEADLINE = datetime(2026, 3, 10, 10, 30, tzinfo=UTC)
SPINS = 5
REWARDS = "/v1/promotions/publisher/campaigns/{}/rewards"
CAMPAIGNS = itertools.count(5000)  # of no run: what is published is told of by its number only


@pytest.fixture(scope="module")
def tenant(scope: Scope, api: httpx.Client) -> Scope:
    scope.clock.set(NOW)
    add_attributes(scope)
    names, rows = ["customer_id", "COUNTRY", "EMAIL"], [[who, "NL", f"{who.lower()}@example.com"] for who in PEOPLE]
    scope.warehouse.insert("customers", names, rows)
    scope.warehouse.insert("profiles", ["data_date", *names], [[DATA_DATE, *row] for row in rows])
    publish(scope, DATA_DATE)
    create_tenant(api)
    scope = scope_of(scope.stores, scope.tenant_id)
    add_channels(scope)
    add_group(scope, "Dutch", "NL")
    return scope


@pytest.fixture(autouse=True)
def morning(tenant: Scope) -> Iterator[None]:
    tenant.clock.set(NOW)
    yield


def bounded(api: httpx.Client, *budgets: dict[str, Any]) -> str:
    """A promotion of five spins for everybody, with budgets; its id and code."""
    id = f"BOUNDED-{next(NUMBERS)}"
    launch(api, id, [tier("all", [], spins(SPINS))])
    set_budgets(api, id, *budgets)
    return id


def told(scope: Scope, campaign_id: int, code: str, customers: list[str]) -> list[str]:
    """Who is granted the promotion of a code."""
    granted = publisher.granted_by(scope, dict.fromkeys(customers, code), campaign_id)
    rewarded = {who: customer.values for who, customer in granted.items() if customer}
    assert all(values == {"FREESPINS": str(SPINS)} for values in rewarded.values())
    return sorted(rewarded)


def test_batches_stop_at_the_cap_and_a_repeated_batch_counts_nothing(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api, lifetime("audience", 5), lifetime("reward", 28, "freeSpins"), lifetime("redemptions", 99))
    campaign = next(CAMPAIGNS)
    first = told(tenant, campaign, id, PEOPLE[:3])
    assert first == PEOPLE[:3] and used(api, id) == [3, 15, 3]
    assert told(tenant, campaign, id, PEOPLE[:3]) == first and used(api, id) == [3, 15, 3]
    second = told(tenant, campaign, id, PEOPLE[2:20])
    assert len(second) == 3 and PEOPLE[2] in second and used(api, id) == [5, 25, 5]
    assert told(tenant, campaign, id, PEOPLE) == sorted({*first, *second})
    assert told(tenant, next(CAMPAIGNS), id, PEOPLE) == [], "in another campaign it would count anew"
    assert used(api, id) == [5, 25, 5]


def test_two_batches_at_once_share_the_cap(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api, lifetime("reward", 27 * SPINS + 3, "freeSpins"))
    campaign = next(CAMPAIGNS)
    with ThreadPoolExecutor(2) as threads:
        batches = list(threads.map(lambda customers: told(tenant, campaign, id, customers), (PEOPLE[:20], PEOPLE[20:])))
    assert sum(map(len, batches)) == 27 and used(api, id) == [27 * SPINS]


def test_a_redemption_takes_the_place_of_what_was_published(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api, lifetime("customer", 1), lifetime("audience", 2), lifetime("reward", 10, "freeSpins"))
    campaign = next(CAMPAIGNS)
    assert len(told(tenant, campaign, id, PEOPLE[:4])) == 2
    (one, other), outsider = told(tenant, campaign, id, PEOPLE[:4]), PEOPLE[9]
    assert used(api, id) == [None, 2, 10]
    contexts = {"contexts": [{"customerId": who} for who in (one, outsider)]}
    foretold = done(api.post(f"/v1/promotions/{id}/validateCustomers", json=contexts))["contexts"]
    assert [context["valid"] for context in foretold] == [True, False]
    elsewhere = {"campaignData": {"campaignId": campaign + 1000}}
    assert refused(redeem(api, id, one, **elsewhere)) == "CustomerLimitReached"
    assert redeem(api, id, one, campaignData={"campaignId": campaign}).status_code == 201
    assert redeem(api, id, other.lower()).status_code == 201, "few shops know the campaign"
    assert used(api, id) == [None, 2, 10]
    assert refused(redeem(api, id, one)) == "CustomerLimitReached"
    assert refused(redeem(api, id, outsider)) == "BudgetExceeded"
    states = sorted(row.state for row in listing.redemptions(tenant, id, None, 10, 0))
    assert states == ["committed", "committed", "redeemed", "redeemed"]
    assert told(tenant, campaign, id, PEOPLE[:4]) == [one, other], "a repeated batch knows them still"
    for row in listing.redemptions(tenant, id, None, 10, 0):
        if row.state == "committed":
            ending.roll_back(tenant, row.id)
    assert used(api, id) == [None, 0, 0]


def processed(scope: Scope, code: str, channel_id: int = EMAIL, *, decides: bool = True) -> int:
    """A run that waits for the approval of its customers, about whom promotions have decided if they are to."""
    action = add_action(scope, f"Action {next(NUMBERS)}", (code,))
    rules = {"include_all": True, "publishes_promotions": True}
    groups = [group(action.id, (channel_id, 1), time="12:00")]
    series = add_series(scope, 1, groups, conditional=True, rules=rules, control_share=0)
    number = awaiting_clearance(scope, series)
    if decides:
        tasks.execute_due(scope)
    return number


def test_what_was_refused_in_the_end_is_given_back(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api, lifetime("audience", 25), lifetime("reward", 1000, "freeSpins"))
    number = processed(tenant, id)
    listed = done(api.get(REWARDS.format(number)))["rewards"]
    approved = [row["customerId"] for row in listed]
    assert len(approved) == 25 and used(api, id) == [25, 25 * SPINS]
    clearance.report(tenant, number, [(who, False) for who in approved[:10]])
    clearance.report(tenant, number, [(who, True) for who in approved[:4]])  # the last status counts
    assert redeem(api, id, approved[9]).status_code == 201, "who redeemed it has it"
    tenant.clock.set(DEADLINE)
    tasks.execute_due(tenant)
    assert used(api, id) == [20, 20 * SPINS]
    by_hand.cancel(tenant, number)
    assert used(api, id) == [1, SPINS], "nobody was sent anything; one has redeemed it"


def test_rewards_stand_in_the_files_for_senders(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api, lifetime("audience", 25))
    names = ["reward:freeSpins", "COUNTRY", "REWARD:bonus"]
    webhook = {"url": "http://127.0.0.1:9/files", "name": "texts", "rows_per_file": 10_000, "attributes": names}
    shown = done(api.put(f"/manage/v1/channels/{EXTERNAL}/webhook", json=webhook))
    assert shown["attributes"] == ["REWARD:FREESPINS", "COUNTRY", "REWARD:BONUS"]
    wrong = api.put(
        f"/manage/v1/channels/{EXTERNAL}/webhook", json={**webhook, "attributes": ["COUNTRY", "REWARD:a b"]}
    )
    assert (wrong.status_code, "attributes[1]" in wrong.text) == (400, True), wrong.text
    number = processed(tenant, id, EXTERNAL)
    approved = {row["customerId"] for row in done(api.get(REWARDS.format(number)))["rewards"]}
    tenant.clock.set(DEADLINE)
    tasks.execute_due(tenant)
    with tenant.reads() as session:
        mine = (Engagement.tenant_id == tenant.tenant_id, Engagement.campaign_id == number)
        engagement = session.scalars(select(Engagement).where(*mine)).one()
    path = f"{engagement.folder}/customers/customers_file001.deflate.avro"
    rows = list(records(engagements.read_file(tenant, engagements.bucket(tenant), path, engagement.key)))
    assert {row["CustomerID"] for row in rows} == approved and len(rows) == 25
    assert {(row["REWARD_FREESPINS"], row["COUNTRY"], row["REWARD_BONUS"]) for row in rows} == {("5", "NL", None)}


def test_reports_need_not_wait_while_promotions_decide_about_a_batch(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api)
    number = processed(tenant, id, decides=False)
    with ThreadPoolExecutor(2) as threads, tenant.records() as session:
        hold(session, tenant.tenant_id, lock_name(id))  # as while budgets are set
        batch = threads.submit(publisher.publish_batch, tenant, number)
        until_a_lock_is_waited_for(tenant)
        threads.submit(clearance.report, tenant, number, [(PEOPLE[0], False)]).result(timeout=30)
        assert not batch.done()
    assert batch.result() is False
    stands = clearance.clearance(tenant, number)
    assert (stands.approved, stands.refused) == (len(PEOPLE) - 1, 1), "the report is the later one"


def until_a_lock_is_waited_for(scope: Scope) -> None:
    """Return once somebody waits to share a lock."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND NOT granted")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with scope.reads() as session:
            if session.scalar(waiting):
                return
        time.sleep(0.005)
    raise AssertionError("nobody waits")
