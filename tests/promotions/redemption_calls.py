"""Calls of the tests about promo codes, and what they show."""

import itertools
from typing import Any

import httpx
from promotion_tenant import add_attributes, add_customers, create_tenant, done

from rapport.access.scope import Scope

NUMBERS = itertools.count(1)


def create_players(scope: Scope, api: httpx.Client) -> None:
    """The promotion tenant, and the customers Q1 to Q39 in the Netherlands and Q40 to Q50 in Belgium."""
    scope.clock.set(None)
    add_attributes(scope)
    add_customers(scope, [{"customer_id": f"Q{n}", "COUNTRY": "NL" if n < 40 else "BE"} for n in range(1, 51)])
    create_tenant(api)


def create_code(api: httpx.Client, **members: Any) -> str:
    """The id of a new promo code; a global one has a code of its own."""
    document = {"name": "Posters", "type": "global", **members}
    if document["type"] == "global":
        document.setdefault("code", f"GLOBAL{next(NUMBERS)}")
    id: str = done(api.post("/v1/promocodes", json=document))["promocodeId"]
    return id


def generate(api: httpx.Client, id: str, count: int, **members: Any) -> list[str]:
    """New codes of a unique promo code: all that it has."""
    answer = api.post(f"/manage/v1/promocodes/{id}/generate", json={"count": count, **members})
    assert (answer.status_code, answer.json()) == (201, {"codes": count}), answer.text
    return [code["code"] for code in api.get(f"/manage/v1/promocodes/{id}/codes", params={"limit": 10_000}).json()]


def redeem(api: httpx.Client, code: str, customer_id: str, key: str = "", **members: Any) -> httpx.Response:
    """The answer to a redemption, under a new key unless there is one."""
    headers = {"Idempotency-Key": key or f"key-{next(NUMBERS)}"}
    body = {"promoCode": code, "customerId": customer_id, **members}
    return api.post("/v1/promocodes/redemptions", json=body, headers=headers)


def set_budgets(api: httpx.Client, promotion_id: str, *budgets: dict[str, Any]) -> None:
    """Replace the budgets of a promotion."""
    done(api.patch(f"/v1/promotions/{promotion_id}/publishingBudgets", json={"budgets": list(budgets)}))


def used(api: httpx.Client, promotion_id: str) -> list[Any]:
    """What is used of the budgets of a promotion, in their order."""
    return [budget["used"] for budget in done(api.get(f"/v1/promotions/{promotion_id}/publishingBudgets"))["budgets"]]


def lifetime(of: str, limit: float, reward_type: str | None = None) -> dict[str, Any]:
    """A budget without end."""
    return {"of": of, "period": "lifetime", "limit": limit} | ({"rewardType": reward_type} if reward_type else {})


def refused(answer: httpx.Response) -> str:
    """The error of a refusal."""
    assert answer.status_code == 409, answer.text
    error: str = answer.json()["error"]
    return error
