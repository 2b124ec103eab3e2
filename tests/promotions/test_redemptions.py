"""Redemptions over the API: what is granted, once for each key, and never more than the budgets allow."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from promotion_tenant import add_customers, done, launch, leaf, spins, tier
from redemption_calls import (
    NUMBERS,
    create_code,
    create_players,
    generate,
    lifetime,
    redeem,
    refused,
    set_budgets,
    used,
)

from rapport.access.scope import Scope
from rapport.errors import NotFound
from rapport.persons.service import erase, export

BONUS = {"rewardType": "bonus", "calculation": {"type": "percentage", "of": "depositAmount", "percent": 10}}


@pytest.fixture(scope="module", autouse=True)
def tenant(scope: Scope, api: httpx.Client) -> None:
    create_players(scope, api)


@pytest.fixture
def promotion(api: httpx.Client) -> str:
    """An active promotion that grants spins to Dutch customers, and money besides."""
    id = f"promotion-{next(NUMBERS)}"
    launch(api, id, [tier("all", [leaf("country", "equals", "NL")], spins(5), BONUS)])
    return id


def test_a_redemption_grants_what_the_promotion_says_and_keeps_it(api: httpx.Client, promotion: str) -> None:
    id = create_code(api, code=f"{promotion}-code", promotionId=promotion)
    answer = redeem(
        api,
        f"{promotion}-CODE",
        "q7",
        sessionProperties={"depositAmount": 123.45},
        orderId="order-1",
        campaignData={"campaignId": 12},
    )
    assert answer.status_code == 201, answer.text
    redeemed = answer.json()
    assert redeemed["rewards"] == [
        {"rewardType": "freeSpins", "category": "units", "value": 5},
        {"rewardType": "bonus", "category": "amount", "value": 12.35},
    ]
    assert (redeemed["state"], redeemed["promotionId"], redeemed["promocodeId"]) == ("committed", promotion, id)
    assert (redeemed["customerId"], redeemed["orderId"], redeemed["campaignId"]) == ("q7", "order-1", 12)
    assert (redeemed["promotionTierId"], redeemed["currency"], redeemed["reservedUntil"]) == ("all", "EUR", None)
    changed = [
        {"key": "freeSpins", "name": "Free spins", "category": "units", "constraints": {"max": 1}},
        {"key": "bonus", "name": "Bonus", "category": "amount"},
    ]
    edited = [{"type": "deactivate"}, {"type": "setRewardTypes", "rewardTypes": changed}, {"type": "activate"}]
    original = done(api.get("/v1/tenants/play"))["rewardTypes"]
    done(api.post("/v1/tenants/play/transactions", json={"commands": edited}))
    try:
        assert redeem(api, f"{promotion}-code", "Q7").json()["rewards"][0]["value"] == 1
        assert done(api.get(f"/v1/promocodes/redemptions/{redeemed['redemptionId']}")) == redeemed
    finally:
        edited[1]["rewardTypes"] = original
        done(api.post("/v1/tenants/play/transactions", json={"commands": edited}))


def test_the_own_code_of_a_promotion_can_be_redeemed(api: httpx.Client, promotion: str) -> None:
    redeemed = redeem(api, promotion.upper(), "Q1")
    assert (redeemed.status_code, redeemed.json()["promocodeId"]) == (201, None)


@pytest.mark.parametrize(
    ("members", "status", "said"),
    [
        ({"promoCode": "never-seen"}, 404, "There is no promotion with the code 'never-seen'."),
        ({"customerId": "Q45"}, 409, "NoMatchingTier"),
        ({"customerId": "Q99"}, 409, "UnknownCustomer"),
        ({"customerId": ""}, 400, "customerId"),
        ({"sessionProperties": {"unheard": 1}}, 400, "unheard"),
        ({"reserveSeconds": 0}, 400, "reserveSeconds"),
        ({"reserveSeconds": 3_000_000}, 400, "reserveSeconds"),
        ({"orderId": " "}, 400, "orderId"),
        ({"campaignData": {"campaignId": "x"}}, 400, "campaignId"),
        ({"amount": 5}, 400, "amount"),
    ],
)
def test_what_cannot_be_redeemed_says_why(
    api: httpx.Client, promotion: str, members: dict[str, Any], status: int, said: str
) -> None:
    body = {"promoCode": promotion, "customerId": "Q1", **members}
    answer = api.post("/v1/promocodes/redemptions", json=body, headers={"Idempotency-Key": f"bad-{next(NUMBERS)}"})
    assert answer.status_code == status and said in answer.json()["message"], answer.text
    assert api.get("/manage/v1/promocodes/redemptions", params={"promotion_id": promotion}).json() == []


def test_a_redemption_needs_a_key(api: httpx.Client, promotion: str) -> None:
    body = {"promoCode": promotion, "customerId": "Q1"}
    for headers in ({}, {"Idempotency-Key": ""}, {"Idempotency-Key": "k" * 256}):
        answer = api.post("/v1/promocodes/redemptions", json=body, headers=headers)
        assert answer.status_code == 400 and "Idempotency-Key" in answer.json()["message"]


def test_a_key_redeems_once(api: httpx.Client, promotion: str) -> None:
    key = f"once-{promotion}"
    first = redeem(api, promotion, "Q1", key)
    second = redeem(api, promotion.upper(), "q1", key)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    for members in ({"customer_id": "Q2"}, {"customer_id": "Q1", "orderId": "o"}):
        other = redeem(api, promotion, key=key, **members)
        assert other.status_code == 409 and "Idempotency-Key" in other.json()["message"]
    done(api.patch(f"/v1/promotions/{promotion}/deactivate"))
    assert redeem(api, promotion, "Q1", key).json() == first.json(), "a repetition is answered whatever has changed"
    assert redeem(api, promotion, "Q1").status_code == 409


def test_a_refusal_uses_up_no_key(api: httpx.Client, promotion: str) -> None:
    key = f"again-{promotion}"
    set_budgets(api, promotion, lifetime("redemptions", 0))
    assert refused(redeem(api, promotion, "Q1", key)) == "BudgetExceeded"
    set_budgets(api, promotion, lifetime("redemptions", 1))
    assert redeem(api, promotion, "Q1", key).status_code == 201


def test_parallel_repetitions_redeem_once(api: httpx.Client, promotion: str) -> None:
    set_budgets(api, promotion, lifetime("redemptions", 5))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: redeem(api, promotion, "Q1", f"parallel-{promotion}"), range(16)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 15}
    assert len({answer.json()["redemptionId"] for answer in answers}) == 1
    assert used(api, promotion) == [1]


def test_a_unique_code_is_redeemed_once(api: httpx.Client, promotion: str) -> None:
    id = create_code(api, type="unique", promotionId=promotion)
    first, second = generate(api, id, 2)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: redeem(api, first, f"Q{n}"), range(1, 17)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 15}
    assert {answer.json()["error"] for answer in answers if answer.status_code == 409} == {"CodeRedeemed"}
    assert redeem(api, second.lower(), "Q1").status_code == 201
    codes = api.get(f"/manage/v1/promocodes/{id}/codes").json()
    holders = {code["redemption_id"] for code in codes}
    assert holders == {
        redeemed["id"]
        for redeemed in api.get("/manage/v1/promocodes/redemptions", params={"promotion_id": promotion}).json()
    }


def test_parallel_redeemers_get_exactly_what_the_cap_allows(api: httpx.Client, promotion: str) -> None:
    set_budgets(api, promotion, lifetime("redemptions", 25), lifetime("reward", 10**6, "freeSpins"))
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda n: redeem(api, promotion, f"Q{n % 39 + 1}"), range(60)))
    assert Counter(answer.status_code for answer in answers) == {201: 25, 409: 35}
    assert used(api, promotion) == [25, 125]


def test_a_budget_counts_what_was_redeemed_before_it_was_set(api: httpx.Client, promotion: str) -> None:
    for customer_id in ("Q1", "Q1", "Q2"):
        assert redeem(api, promotion, customer_id, sessionProperties={"depositAmount": 100.5}).status_code == 201
    set_budgets(
        api,
        promotion,
        lifetime("audience", 2),
        lifetime("redemptions", 1),
        lifetime("reward", 100, "BONUS"),
        lifetime("reward", 100, "freeSpins"),
        lifetime("customer", 2),
    )
    budgets = done(api.get(f"/v1/promotions/{promotion}/publishingBudgets"))["budgets"]
    assert [budget["used"] for budget in budgets] == [2, 3, 30.15, 15, None]
    assert [budget["remaining"] for budget in budgets] == [0, 0, 69.85, 85, None]
    assert budgets[2]["rewardType"] == "bonus"
    assert refused(redeem(api, promotion, "Q1")) == "CustomerLimitReached"
    assert refused(redeem(api, promotion, "Q2")) == "BudgetExceeded"


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"of": "reward", "period": "daily", "limit": 1}, "rewardType is for budgets of rewards"),
        ({"of": "audience", "period": "daily", "limit": 1, "rewardType": "bonus"}, "rewardType is for budgets"),
        ({"of": "reward", "period": "daily", "limit": 1, "rewardType": "nothing"}, "there is no reward type 'nothing'"),
        ({"of": "audience", "period": "hourly", "limit": 1}, "period"),
        ({"of": "audience", "period": "daily", "limit": -1}, "limit"),
        ({"of": "audience", "period": "daily", "limit": 1.5}, "whole number"),
    ],
)
def test_budgets_that_bound_nothing_are_refused(
    api: httpx.Client, promotion: str, budget: dict[str, Any], said: str
) -> None:
    answer = api.patch(f"/v1/promotions/{promotion}/publishingBudgets", json={"budgets": [budget]})
    assert answer.status_code == 400 and said in answer.json()["message"], answer.text
    assert done(api.get(f"/v1/promotions/{promotion}/publishingBudgets"))["budgets"] == []


def test_the_redemptions_of_a_person_are_exported_and_made_anonymous(
    api: httpx.Client, scope: Scope, promotion: str
) -> None:
    add_customers(scope, [{"customer_id": "Gone", "COUNTRY": "NL"}])
    set_budgets(api, promotion, lifetime("audience", 1), lifetime("customer", 1))
    redeemed = redeem(api, promotion, "GONE", orderId="order-of-gone").json()
    held = export(scope, "gone").others["redemptions"]["redemptions"]
    assert [row["id"] for row in held] == [redeemed["redemptionId"]]
    erase(scope, "gone")
    with pytest.raises(NotFound):
        export(scope, "gone")
    kept = done(api.get(f"/v1/promocodes/redemptions/{redeemed['redemptionId']}"))
    assert kept["rewards"] == redeemed["rewards"] and kept["orderId"] is None
    assert "gone" not in str(kept).lower()
    assert refused(redeem(api, promotion, "Q1")) == "BudgetExceeded", "what was granted stays counted"
    done(api.post(f"/v1/promocodes/redemptions/{redeemed['redemptionId']}/rollback"))
    assert redeem(api, promotion, "Q1").status_code == 201
