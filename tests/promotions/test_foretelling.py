"""A validation tells what a redemption would tell: dates, links to campaigns, budgets and who may use a code."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from promotion_tenant import add_attributes, add_customers, create_tenant, done, launch, leaf, spins, tier
from redemption_calls import NUMBERS, create_code, generate, lifetime, redeem, set_budgets

from rapport.access.scope import Scope
from rapport.errors import RapportError
from rapport.promotions import validating
from rapport.promotions.deciding import Context
from rapport.promotions.validating import Asked
from rapport.redemptions import foretelling

CUSTOMERS = [f"Q{number}" for number in range(1, 7)]
OK = "OK"
LATER, EARLIER = "2999-01-01T00:00:00Z", "2001-01-01T00:00:00Z"


@pytest.fixture(scope="module", autouse=True)
def tenant(scope: Scope, api: httpx.Client) -> None:
    scope.clock.set(None)
    add_attributes(scope)
    add_customers(scope, [{"customer_id": id, "COUNTRY": "BE" if id == "Q6" else "NL"} for id in CUSTOMERS])
    create_tenant(api)


@pytest.fixture
def promotion(api: httpx.Client) -> str:
    """An active promotion that grants spins to Dutch customers."""
    id = f"foretold-{next(NUMBERS)}"
    launch(api, id, [tier("all", [leaf("country", "equals", "NL")], spins(5))])
    return id


def foretold(api: httpx.Client, code: str, customer_id: str, **members: Any) -> str:
    """What a validation says: OK, the reason of the customer, or the error of the call."""
    body = {"promoCode": code, "contexts": [{"customerId": customer_id}], **members}
    answer = api.post("/v1/promotions/validatePromoCode", json=body)
    if answer.status_code != 200:
        return str(answer.json()["error"])
    (context,) = answer.json()["contexts"]
    assert context["valid"] == bool(context["effects"])
    return OK if context["valid"] else str(context["reason"])


def told(api: httpx.Client, code: str, customer_id: str, **members: Any) -> str:
    """What a redemption says; the reason of a customer who gets nothing."""
    answer = redeem(api, code, customer_id, **members)
    if answer.status_code == 201:
        return OK
    document = answer.json()
    is_reason = document["error"] == "NotEligible"
    return str(document["message"].rsplit(": ", 1)[1].rstrip(".") if is_reason else document["error"])


def both(api: httpx.Client, code: str, customer_id: str, **members: Any) -> str:
    """What both say, which must be the same."""
    before = foretold(api, code, customer_id, **members)
    assert foretold(api, code, customer_id, **members) == before, "a validation counts nothing"
    assert told(api, code, customer_id, **members) == before
    return before


@pytest.mark.parametrize(
    ("members", "campaign", "expected"),
    [
        ({}, None, OK),
        ({"startsAt": EARLIER, "expiresAt": LATER}, 7, OK),
        ({"expiresAt": EARLIER}, None, "CodeNotValid"),
        ({"startsAt": LATER}, None, "CodeNotValid"),
        ({"promotionId": None}, None, "CodeNotValid"),
        ({"campaignIds": [3, 7]}, 7, OK),
        ({"campaignIds": [3, 7]}, None, OK),
        ({"campaignIds": [3, 7]}, 8, "CodeNotValid"),
    ],
)
def test_a_code_that_is_not_in_force_is_refused_by_both(
    api: httpx.Client, promotion: str, members: dict[str, Any], campaign: int | None, expected: str
) -> None:
    code = f"{promotion}-code"
    id = create_code(api, code=code, **{"promotionId": promotion, **members})
    more = {} if campaign is None else {"campaignData": {"campaignId": campaign}}
    assert both(api, code.upper(), "Q1", **more) == expected
    answer = api.post(f"/v1/promocodes/{id}/validateCustomers", json={"contexts": [{"customerId": "q1"}], **more})
    assert (OK if answer.status_code == 200 else answer.json()["error"]) == expected
    done(api.patch(f"/v1/promocodes/{id}", json={"isActive": False}))
    assert both(api, code, "Q1", **more) == "CodeNotValid"


def test_a_unique_code_is_told_of(api: httpx.Client, promotion: str) -> None:
    code, other = generate(api, create_code(api, type="unique", promotionId=promotion), 2)
    assert [both(api, code, "Q6"), both(api, code, "Q99")] == ["NoMatchingTier", "UnknownCustomer"]
    assert [both(api, code, "Q1"), both(api, code, "Q2")] == [OK, "CodeRedeemed"]
    assert both(api, other, "Q1") == OK
    assert both(api, "never-made", "Q1") == "NotFound"
    done(api.patch(f"/v1/promotions/{promotion}/deactivate"))
    assert both(api, promotion, "Q1") == "Conflict"


def test_a_reservation_that_is_over_holds_nothing_back(api: httpx.Client, scope: Scope, promotion: str) -> None:
    set_budgets(api, promotion, lifetime("redemptions", 1))
    assert redeem(api, promotion, "Q1", reserveSeconds=60).status_code == 201
    assert both(api, promotion, "Q2") == "BudgetExceeded"
    scope.clock.set(scope.clock.now() + timedelta(seconds=61))
    assert both(api, promotion, "Q2") == OK
    scope.clock.set(None)


def test_budgets_are_told_of_exactly(api: httpx.Client) -> None:
    draw = random.Random(7)
    seen: set[str] = set()
    for round_ in range(8):
        id = f"budgets-{round_}"
        launch(api, id, [tier("all", [leaf("country", "equals", "NL")], spins(5))])
        chosen = [
            lifetime("customer", draw.randrange(1, 3)),
            lifetime("audience", draw.randrange(1, 4)),
            lifetime("redemptions", draw.randrange(2, 6)),
            lifetime("reward", draw.randrange(5, 26), "freeSpins"),
        ]
        set_budgets(api, id, *draw.sample(chosen, draw.randrange(1, 5)))
        for _ in range(8):
            seen.add(both(api, id, draw.choice(CUSTOMERS).swapcase()))
        contexts = [{"customerId": customer} for customer in CUSTOMERS]
        shown = done(api.post(f"/v1/promotions/{id}/validateCustomers", json={"contexts": contexts}))["contexts"]
        reasons = [OK if context["valid"] else context["reason"] for context in shown]
        assert reasons == [foretold(api, id, customer) for customer in CUSTOMERS]
    assert seen == {OK, "BudgetExceeded", "CustomerLimitReached", "NoMatchingTier"}


def test_callers_who_are_answered_together_get_what_each_gets_alone(
    api: httpx.Client, scope: Scope, promotion: str
) -> None:
    other, over = f"{promotion}-joined", f"{promotion}-over"
    launch(api, other, [tier("all", [leaf("joined", "isNull"), leaf("depositAmount", "greaterThan", 5, "session")])])
    launch(api, over, [tier("all", [], spins(1))])
    set_budgets(api, over, lifetime("redemptions", 0))
    asked = [
        Asked(promotion, [Context("Q1"), Context("q6")]),
        Asked("nothing", [Context("Q1")]),
        Asked(other, [Context("q1", {"depositAmount": 6})]),
        Asked(other, [Context("Q1", {"depositAmount": -1})]),
        Asked(over, [Context("Q2"), Context("Q99")]),
        Asked(promotion, [Context("Q6")]),
        Asked(other, [Context("Q2", {"depositAmount": 5})]),
    ]

    def alone(question: Asked) -> list[tuple[str, str | None, str | None]] | str:
        try:
            validator, decisions = foretelling.validate_customers(scope, question.id, question.contexts)
        except RapportError as error:
            return f"{type(error).__name__}: {error}"
        assert validator.promotion.id == question.id
        return [(each.customer_id, each.tier and each.tier.id, each.reason) for each in decisions]

    expected = [alone(question) for question in asked]
    assert expected[0] == [("Q1", "all", None), ("q6", None, "NoMatchingTier")]
    assert expected[4] == [("Q2", None, "BudgetExceeded"), ("Q99", None, "UnknownCustomer")]
    assert [each.split(":")[0] for each in expected if isinstance(each, str)] == ["NotFound", "Invalid"]
    with ThreadPoolExecutor(len(asked)) as pool:
        for _ in range(5):
            assert list(pool.map(alone, asked)) == expected
    together = validating.begin_together(scope, asked).answers()
    assert ["error" if isinstance(each, RapportError) else each[0].promotion.id for each in together] == [
        "error" if isinstance(each, str) else question.id for each, question in zip(expected, asked, strict=True)
    ]
