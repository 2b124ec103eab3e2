"""The publisher: promotions decide about a campaign's customers; who gets what is worked out by hand from deposits."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import httpx
import pytest
from campaign_mail import Mailbox, mailbox
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_series,
    awaiting_clearance,
    group,
    publish,
)
from promotion_tenant import add_attributes, create_tenant, done, launch, leaf, spins, tier

from rapport.access.scope import Scope, scope_of
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.publishing import publisher
from rapport.campaigns.runs import by_hand
from rapport.messaging import templates
from rapport.redemptions import pools
from rapport.redemptions.definitions import ChangePool, CreatePool

DEADLINE, SEND = datetime(2026, 3, 10, 10, 30, tzinfo=UTC), datetime(2026, 3, 10, 11, tzinfo=UTC)
ALL = {"include_all": True}
NO_RUN = itertools.count(9001)  # numbers of campaigns, of which no other test has taken anything back
# Half of the deposits are under 40, a few have no deposit at all.
DEPOSITS = {f"C{n:03}": None if n % 7 == 0 else Decimal(n * 5) + Decimal("0.55") for n in range(40)}


def granted(deposit: Decimal | None) -> dict[str, str] | None:
    """From 100 on 20 spins, from 40 on 10 % of the deposit, else nothing."""
    if deposit is None or deposit < 40:
        return None
    if deposit >= 100:
        return {"FREESPINS": "20"}
    return {"BONUS": str((deposit / 10).quantize(Decimal("0.01"), ROUND_HALF_UP))}


EXPECTED = {who: granted(deposit) for who, deposit in DEPOSITS.items()}
GIVEN = {who: values for who, values in EXPECTED.items() if values}


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope, box: Mailbox, api: httpx.Client) -> Scope:
    scope.clock.set(NOW)
    add_attributes(scope)
    names = ["customer_id", "COUNTRY", "EMAIL", "DEPOSITS"]
    rows = [[who, "NL", f"{who.lower()}@example.com", deposit] for who, deposit in DEPOSITS.items()]
    scope.warehouse.insert("customers", names, rows)
    scope.warehouse.insert("profiles", ["data_date", *names], [[DATA_DATE, *row] for row in rows])
    publish(scope, DATA_DATE)
    create_tenant(api)
    scope = scope_of(scope.stores, scope.tenant_id)
    percent = {"type": "percentage", "of": "lifetimeDeposits", "percent": 10}
    tiers = [
        tier("high", [leaf("lifetimeDeposits", "greaterThanOrEquals", 100)], spins(20)),
        tier(
            "low",
            [leaf("lifetimeDeposits", "greaterThanOrEquals", 40)],
            {"rewardType": "bonus", "calculation": percent},
        ),
    ]
    launch(api, "SPRING", tiers)
    add_channels(scope, box.port)
    page = "<p>[%REWARD:freeSpins:no%] spins, [%REWARD:BONUS:no%] euro, [%PROMO_CODE%]</p>"
    templates.save_template(scope, EMAIL, "Reward", "[%IF:REWARD:FREESPINS IS NOT EMPTY%]Spins[%END:IF%]", page, id=2)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Reload", ("spring",))
    return scope


@pytest.fixture(autouse=True)
def fresh(tenant: Scope, box: Mailbox) -> Iterator[None]:
    tenant.clock.set(NOW)
    box.messages.clear()
    yield
    for campaign in occurrences.occurrences(tenant, limit=1000):
        if campaign.state in ("planned", "awaiting clearance", "scheduled"):
            by_hand.cancel(tenant, campaign.id)


def processed(scope: Scope, publishes: bool = True, **more: Any) -> int:
    """A run that waits for the approval of its customers."""
    rules = {**ALL, "publishes_promotions": publishes}
    groups = [group(2, (EMAIL, 2), time="12:00", **more)]
    series = add_series(scope, 1, groups, conditional=True, rules=rules, control_share=0)
    return awaiting_clearance(scope, series)


def sent(scope: Scope, box: Mailbox) -> dict[str, str]:
    """The text of what each customer got, after the deadline and the time of the send."""
    scope.clock.set(DEADLINE)
    tasks.execute_due(scope)
    scope.clock.set(SEND)
    tasks.execute_due(scope)
    texts = {}
    for message in box.messages:
        body = message.get_body(("html",))
        assert body is not None
        who = str(message["To"]).partition("@")[0].upper()
        assert who not in texts
        texts[who] = body.get_content().partition("<p>")[2].partition("</p>")[0]
    return texts


def told(values: dict[str, str], code: str = "spring") -> str:
    """The text of the template for a customer with these rewards."""
    return f"{values.get('FREESPINS', 'no')} spins, {values.get('BONUS', 'no')} euro, {code}"


def written(scope: Scope, table: str, number: int) -> list[str]:
    """The customers of the rows of a campaign, each as often as it stands there."""
    sql = f"SELECT customer_id FROM {table} WHERE campaign_id = {{id:UInt32}}"
    return sorted(str(who).upper() for (who,) in scope.warehouse.rows(sql, id=number))


def clearance(api: httpx.Client, number: int) -> dict[str, Any]:
    return done(api.get(f"/manage/v1/campaigns/{number}/clearance"))


def done_list(answer: httpx.Response) -> list[dict[str, Any]]:
    """The rows of a good answer."""
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()
    return rows


def test_rapport_decides_approves_and_writes_the_rewards(tenant: Scope, box: Mailbox, api: httpx.Client) -> None:
    assert 0 < len(GIVEN) < len(EXPECTED) and len({len(values) for values in GIVEN.values()}) == 1
    number = processed(tenant)
    tasks.execute_due(tenant)
    state = clearance(api, number)
    assert (state["approved"], state["refused"], state["unreported"]) == (len(GIVEN), len(EXPECTED) - len(GIVEN), 0)
    assert sent(tenant, box) == {who: told(values) for who, values in GIVEN.items()}


def test_rewards_stand_beside_the_attributes_of_recipients(tenant: Scope, api: httpx.Client) -> None:
    number = processed(tenant)
    tasks.execute_due(tenant)
    path, names = "/current/customers/GetProcessedCampaignCustomers", "Reward:freespins;COUNTRY;REWARD:bonus"
    rows = done_list(api.get(path, params={"CampaignID": number, "CustomerAttributes": names}))
    values = {who: EXPECTED[who] or {} for who in EXPECTED}
    assert {row["CustomerID"]: row["CustomerAttributes"] for row in rows} == {
        who: [given.get("FREESPINS"), "NL", given.get("BONUS")] for who, given in values.items()
    }
    only = done_list(api.get(path, params={"CampaignID": number, "CustomerAttributes": "REWARD:BONUS"}))
    assert [row["CustomerAttributes"] for row in only] == [[values[row["CustomerID"]].get("BONUS")] for row in only]
    asked = {"ValueSegmentID": 1, "Date": str(DATA_DATE), "CustomerAttributes": "REWARD:BONUS"}
    refused = api.get("/current/segments/GetCustomersByValueSegment", params=asked)
    assert (refused.status_code, "with a CampaignID" in refused.text) == (400, True), refused.text


def test_batches_decide_about_everybody_once_also_after_the_deadline(
    tenant: Scope, box: Mailbox, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was published before the deadline: the decision on it does that first."""
    monkeypatch.setattr(publisher, "BATCH", 7)
    number = processed(tenant)
    assert sent(tenant, box) == {who: told(values) for who, values in GIVEN.items()}
    assert written(tenant, "campaign_clearances", number) == sorted(EXPECTED)
    assert written(tenant, "campaign_rewards", number) == sorted(GIVEN)
    tasks.execute_due(tenant)
    assert written(tenant, "campaign_clearances", number) == sorted(EXPECTED)
    assert clearance(api, number)["state"] == "successful"


def test_a_service_that_chooses_customers_has_them_decided_about(
    tenant: Scope, box: Mailbox, api: httpx.Client
) -> None:
    number = processed(tenant, publishes=False)
    tasks.execute_due(tenant)
    assert clearance(api, number)["unreported"] == len(EXPECTED)
    listed = api.get("/current/customers/GetProcessedCampaignCustomers", params={"CampaignID": number}).json()
    assert [row["CustomerID"] for row in listed] == sorted(EXPECTED)
    chosen = [row["CustomerID"] for n, row in enumerate(listed) if n % 3]
    # What was uploaded before approves nobody, and gives way to what promotions grant.
    uploaded = [{"customerId": who, "values": {"bonus": "99"}} for who in ("C001", "C010")]
    done(api.put(f"/v1/promotions/publisher/campaigns/{number}/rewards", json={"rewards": uploaded}))
    path = f"/v1/promotions/publisher/campaigns/{number}/customers"
    body = {"customerIds": [*(who.lower() for who in chosen), "stranger"]}
    first = done(api.post(path, json=body))
    assert first["campaignId"] == number
    assert first["customers"] == [
        *({"customerId": who.lower(), "status": who in GIVEN, "values": GIVEN.get(who, {})} for who in chosen),
        {"customerId": "stranger", "status": None, "values": {}},
    ]
    assert done(api.post(path, json=body)) == first
    assert written(tenant, "campaign_clearances", number) == sorted(chosen)
    # What the service could not grant it takes back.
    failed = next(who for who in chosen if who in GIVEN)
    status = {"CampaignID": number, "PromosUpdated": [{"CustomerID": failed, "Status": False}]}
    assert api.post("/current/integrations/UpdateCustomerPromotionStatus", json=status).status_code == 200
    left = {who for who in chosen if who in GIVEN} - {failed}
    assert sent(tenant, box) == {who: told(GIVEN[who]) for who in left}


def test_a_service_that_does_all_uploads_values_and_approves(tenant: Scope, box: Mailbox, api: httpx.Client) -> None:
    number = processed(tenant, publishes=False)
    path = f"/v1/promotions/publisher/campaigns/{number}/rewards"
    early = [{"customerId": who, "values": {"freeSpins": "1", "bonus": "2"}} for who in ("C001", "C002")]
    assert done(api.put(path, json={"rewards": early})) == {"campaignId": number, "unknown": []}
    values = {"c001": {"Freespins": "7 or 8"}, "C003": {"bonus": "1.50"}, "nobody": {"bonus": "9"}}
    body = {"rewards": [{"customerId": who, "values": of} for who, of in values.items()]}
    assert done(api.put(path, json=body))["unknown"] == ["nobody"]
    kept = done(api.get(path))["rewards"]
    assert kept == [
        {"customerId": "c001", "values": {"FREESPINS": "7 or 8"}, "grants": []},
        {"customerId": "C002", "values": {"FREESPINS": "1", "BONUS": "2"}, "grants": []},
        {"customerId": "C003", "values": {"BONUS": "1.50"}, "grants": []},
    ]
    assert done(api.get(path, params={"limit": 1, "offset": 1}))["rewards"] == kept[1:2]
    assert clearance(api, number)["approved"] == 0
    statuses = [{"CustomerID": who, "Status": who != "C002"} for who in ("C001", "C002", "C004")]
    status = {"CampaignID": number, "PromosUpdated": statuses}
    assert api.post("/current/integrations/UpdateCustomerPromotionStatus", json=status).status_code == 200
    assert sent(tenant, box) == {"C001": told({"FREESPINS": "7 or 8"}), "C004": told({})}
    late = api.put(path, json=body)
    assert (late.status_code, "deadline" in late.text) == (409, True)


def test_every_code_decides_and_what_several_grant_adds_up(tenant: Scope, api: httpx.Client) -> None:
    everybody = [tier("all", [], spins(5))]
    launch(api, "EXTRA", everybody)
    launch(api, "GONE", everybody)
    done(api.patch("/v1/promotions/GONE/deactivate"))
    high, low, none = "C030", "C010", "C000"
    assert [EXPECTED[who] for who in (high, low, none)] == [{"FREESPINS": "20"}, {"BONUS": "5.06"}, None]
    codes = {high: "SPRING,extra,Spring", low: "SPRING,BACKOFFICE", none: "SPRING"}
    granted = publisher.granted_by(tenant, codes, next(NO_RUN))
    assert granted[high] is not None and granted[high].values == {"FREESPINS": "25"}
    assert [grant.promotion_id for grant in granted[high].grants] == ["SPRING", "EXTRA"]
    assert granted[low] is not None and granted[low].values == {"BONUS": "5.06"}
    assert granted[none] is None
    # Codes of no promotion, and no code at all, keep nobody out; a promotion that is not active does.
    others = publisher.granted_by(tenant, {high: "BACKOFFICE", low: "", none: "GONE"}, next(NO_RUN))
    assert {who: one and one.values for who, one in others.items()} == {high: {}, low: {}, none: None}


def test_promo_codes_decide_as_the_promotion_to_which_they_lead(tenant: Scope, api: httpx.Client) -> None:
    """Campaigns name a unique promo code by its id; a global one, and a promotion's own, is a code."""
    unique = {"id": "Each-Own", "name": "Each their own", "type": "unique", "promotionId": "SPRING"}
    shared = {"id": "one", "name": "One for all", "type": "global", "promotionId": "SPRING", "code": "TAKE-IT"}
    for definition in (unique, shared):
        pools.create_pool(tenant, CreatePool.model_validate(definition))
    high, low, none = "C030", "C010", "C000"
    for name in ("Each-Own", "take-it"):
        granted = publisher.granted_by(tenant, dict.fromkeys((high, low, none), name), next(NO_RUN))
        assert {who: kept and kept.values for who, kept in granted.items()} == {
            high: {"FREESPINS": "20"},
            low: {"BONUS": "5.06"},
            none: None,
        }
    pools.change_pool(tenant, "Each-Own", ChangePool.model_validate({"isActive": False}))
    assert publisher.granted_by(tenant, {high: "Each-Own"}, next(NO_RUN)) == {high: None}


def test_nobody_is_told_of_a_reward_for_which_no_budget_is_left(tenant: Scope, api: httpx.Client) -> None:
    launch(api, "BOUNDED", [tier("all", [], spins(5))])
    limits = [
        {"of": "customer", "period": "lifetime", "limit": 1},
        {"of": "reward", "rewardType": "freeSpins", "period": "lifetime", "limit": 12},
    ]
    done(api.patch("/v1/promotions/BOUNDED/publishingBudgets", json={"budgets": limits}))
    asked = dict.fromkeys(("C030", "C010"), "BOUNDED")

    def told_of(campaign_id: int) -> set[str]:
        return {who for who, customer in publisher.granted_by(tenant, asked, campaign_id).items() if customer}

    def redeem(customer_id: str) -> None:
        body = {"promoCode": "BOUNDED", "customerId": customer_id}
        answer = api.post("/v1/promocodes/redemptions", json=body, headers={"Idempotency-Key": customer_id})
        assert answer.status_code == 201, answer.text

    redeem("C030")  # its one redemption, and five of twelve spins
    first, second = next(NO_RUN), next(NO_RUN)
    assert told_of(first) == {"C010"}, "two spins are left"
    assert told_of(first) == {"C010"}
    assert told_of(second) == set()


def test_codes_are_the_same_for_marketers_and_campaigns(tenant: Scope, api: httpx.Client) -> None:
    number = processed(tenant)
    codes = [row["PromoCode"] for row in api.get("/current/integrations/GetPromotions").json()]
    assert "SPRING" in codes
    of_campaign = api.get("/current/actions/GetPromoCodesByCampaign", params={"CampaignID": number}).json()
    assert of_campaign == [{"RecipientGroupID": 1, "ActionID": 2, "PromoCode": "spring"}]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "customers", {}, 400, "customerIds must be a list of 1 to 10000 customers."),
        ("POST", "customers", {"customerIds": []}, 400, "customerIds must be a list"),
        ("POST", "customers", {"customerIds": ["C1", " "]}, 400, "customerIds[1] must be a text"),
        ("POST", "customers", {"customerIds": [{}]}, 400, "customerIds[0] must be a text"),
        ("POST", "customers", [], 400, "The body must be a JSON object."),
        ("PUT", "rewards", {"rewards": [3]}, 400, "rewards[0].customerId must be a text"),
        ("PUT", "rewards", {"rewards": [{"customerId": "C1"}]}, 400, "rewards[0].values must be an object"),
        ("PUT", "rewards", {"rewards": [{"customerId": "C1", "values": {"a b": "x"}}]}, 400, "'a b' must be letters"),
        ("PUT", "rewards", {"rewards": [{"customerId": "C1", "values": {"a": 3}}]}, 400, "rewards[0].values.a must be"),
    ],
)
def test_bodies_that_are_wrong_are_refused(
    tenant: Scope, api: httpx.Client, method: str, path: str, body: Any, status: int, said: str
) -> None:
    refused = api.request(method, f"/v1/promotions/publisher/campaigns/1/{path}", json=body)
    assert (refused.status_code, said in refused.text) == (status, True), refused.text


def test_campaigns_that_do_not_wait_are_refused(tenant: Scope, api: httpx.Client) -> None:
    body = {"customerIds": ["C001"]}
    for unknown in ("999999", "x", "-1"):
        assert api.post(f"/v1/promotions/publisher/campaigns/{unknown}/customers", json=body).status_code == 404
        assert api.get(f"/v1/promotions/publisher/campaigns/{unknown}/rewards").status_code == 404
    series = add_series(tenant, 1, [group(2, (EMAIL, 2))])
    number = plan_next_run(tenant, series.id, TODAY)
    refused = api.post(f"/v1/promotions/publisher/campaigns/{number}/customers", json=body)
    assert (refused.status_code, "is not conditional" in refused.text) == (409, True)
    assert api.get(f"/v1/promotions/publisher/campaigns/{number}/rewards", params={"limit": 0}).status_code == 400
    with pytest.raises(ValueError, match="publishes_promotions needs conditional"):
        add_series(tenant, 1, [group(2, (EMAIL, 2))], rules={"publishes_promotions": True})
