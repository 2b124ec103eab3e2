"""Stacking: which promotions one order may have."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from promotion_tenant import add_attributes, add_customers, create_tenant, done, launch, spins, tier
from redemption_calls import NUMBERS, lifetime, redeem, refused, set_budgets, used

from rapport.access.scope import Scope


@pytest.fixture(scope="module", autouse=True)
def tenant(scope: Scope, api: httpx.Client) -> None:
    scope.clock.set(None)
    add_attributes(scope)
    add_customers(scope, [{"customer_id": "Q1"}, {"customer_id": "Q2"}])
    create_tenant(api)


def promotions(api: httpx.Client, *rules: dict[str, Any]) -> list[str]:
    """New active promotions with these stacking rules each."""
    ids = [f"promotion-{next(NUMBERS)}" for _ in rules]
    for id, of_it in zip(ids, rules, strict=True):
        launch(api, id, [tier("all", [], spins(5))])
        if of_it:
            done(api.patch(f"/v1/promotions/{id}/stackingRules", json=of_it))
    return ids


def in_order(api: httpx.Client, order: str, id: str) -> httpx.Response:
    return redeem(api, id, "Q1", orderId=order)


def test_promotions_without_rules_can_be_combined(api: httpx.Client) -> None:
    first, second = promotions(api, {}, {})
    for id in (first, second, first):
        assert in_order(api, f"order-{first}", id).status_code == 201
    assert done(api.get(f"/v1/promotions/{first}/stackingRules")) == {
        "promotionId": first,
        "isExclusive": False,
        "notWith": [],
        "group": None,
    }


@pytest.mark.parametrize("first_one", [0, 1])
@pytest.mark.parametrize("rule", ["exclusive", "notWith", "group"])
def test_a_rule_of_either_promotion_is_enough(api: httpx.Client, rule: str, first_one: int) -> None:
    ids = promotions(api, {"group": "a"}, {"group": "a"} if rule == "group" else {}, {"group": "b"})
    ruled = {"exclusive": {"isExclusive": True}, "notWith": {"notWith": [ids[1]]}, "group": {"group": "a"}}[rule]
    done(api.patch(f"/v1/promotions/{ids[0]}/stackingRules", json=ruled))
    order, before, after = f"order-{ids[0]}", ids[first_one], ids[1 - first_one]
    assert in_order(api, order, before).status_code == 201
    refusal = in_order(api, order, after)
    assert refused(refusal) == "NotCombinable" and before in refusal.json()["message"]
    assert in_order(api, f"{order}-other", after).status_code == 201
    assert redeem(api, after, "Q1").status_code == 201, "without an order nothing is combined"
    third = in_order(api, order, ids[2])
    assert third.status_code == (409 if rule == "exclusive" and first_one == 0 else 201)


def test_what_did_not_stay_forbids_nothing(api: httpx.Client, scope: Scope) -> None:
    first, second = promotions(api, {"isExclusive": True}, {})
    order = f"order-{first}"
    reserved = done(redeem(api, first, "Q1", orderId=order, reserveSeconds=60))
    assert refused(in_order(api, order, second)) == "NotCombinable"
    scope.clock.set(scope.clock.now() + timedelta(seconds=61))
    try:
        redeemed = done(in_order(api, order, second))
    finally:
        scope.clock.set(None)
    assert done(api.get(f"/v1/promocodes/redemptions/{reserved['redemptionId']}"))["state"] == "expired"
    assert refused(in_order(api, order, first)) == "NotCombinable"
    done(api.post(f"/v1/promocodes/redemptions/{redeemed['redemptionId']}/rollback"))
    assert in_order(api, order, first).status_code == 201


def test_parallel_redemptions_of_an_order_keep_the_rules(api: httpx.Client) -> None:
    ids = promotions(api, *[{"group": "only one"}] * 4)
    for id in ids:
        set_budgets(api, id, lifetime("redemptions", 100))
    order = f"order-{ids[0]}"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: in_order(api, order, ids[n % 4]), range(16)))
    codes = Counter(answer.status_code for answer in answers)
    assert codes[201] == 4 and codes[409] == 12, "one promotion as often as it was asked for"
    assert sorted(used(api, id)[0] for id in ids) == [0, 0, 0, 4], "a refusal takes nothing"


@pytest.mark.parametrize(
    ("body", "said"),
    [({"isExclusive": "yes"}, "isExclusive"), ({"notWith": [""]}, "notWith"), ({"groups": ["a"]}, "groups")],
)
def test_rules_that_say_nothing_are_refused(api: httpx.Client, body: dict[str, Any], said: str) -> None:
    (id,) = promotions(api, {})
    answer = api.patch(f"/v1/promotions/{id}/stackingRules", json=body)
    assert answer.status_code == 400 and said in answer.json()["message"], answer.text
