"""Redemptions of many callers in one transaction: each has its own verdict, and the cap is met exactly."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from promotion_tenant import done, launch, leaf, spins, tier
from redemption_calls import NUMBERS, create_code, create_players, generate, lifetime, set_budgets, used
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.errors import RapportError
from rapport.redemptions import redeeming
from rapport.redemptions.redeeming import Redeemers, Request

CAP, REDEEMERS, PROCESSES = 1000, 50, 4


@pytest.fixture(scope="module", autouse=True)
def tenant(scope: Scope, api: httpx.Client) -> None:
    create_players(scope, api)


@pytest.fixture
def promotion(api: httpx.Client) -> str:
    """An active promotion that grants spins to Dutch customers."""
    id = f"together-{next(NUMBERS)}"
    launch(api, id, [tier("all", [leaf("country", "equals", "NL")], spins(5))])
    return id


def together(scope: Scope, *requests: Request) -> list[str]:
    """What became of requests that go into one transaction: the name of an error, `redeemed` or `repeated`."""
    said = []
    for answer in redeeming.redeem_each(scope, requests):
        is_error = isinstance(answer, RapportError)
        said.append(type(answer).__name__ if is_error else "repeated" if answer[1] else "redeemed")
    return said


def request(code: str, customer_id: str, **members: Any) -> Request:
    return Request(f"together-{next(NUMBERS)}", code, customer_id, **members)


def redeemed(scope: Scope, promotion: str) -> list[tuple[str, ...]]:
    """The customer and code of each live redemption."""
    chosen = text("SELECT person, code FROM redemptions WHERE promotion_id = :id ORDER BY person, code")
    with scope.reads() as session:
        return [tuple(row) for row in session.execute(chosen, {"id": promotion})]


def test_each_of_many_has_its_own_verdict(api: httpx.Client, scope: Scope, promotion: str) -> None:
    codes = generate(api, create_code(api, type="unique", promotionId=promotion), 2)
    set_budgets(
        api, promotion, lifetime("redemptions", 4), lifetime("customer", 1), lifetime("reward", 99, "freeSpins")
    )
    repeated = request(codes[0], "Q1")
    verdicts = together(
        scope,
        repeated,
        request(codes[0], "Q2"),
        request("never-seen", "Q3"),
        request(promotion, "Q45"),
        request(promotion, "Q3", session={"unheard": 1}),
        request(promotion, "q1"),
        request(codes[1].lower(), "Q4"),
        repeated,
        request(promotion, "Q5"),
        request(promotion, "Q6"),
        request(promotion, "Q7"),
    )
    assert verdicts == [
        "redeemed",
        "CodeRedeemed",
        "NotFound",
        "NotEligible",
        "Invalid",
        "CustomerLimitReached",
        "redeemed",
        "repeated",
        "redeemed",
        "redeemed",
        "BudgetExceeded",
    ]
    kept = [("q1", codes[0]), ("q4", codes[1]), ("q5", promotion), ("q6", promotion)]
    assert redeemed(scope, promotion) == sorted(kept)
    assert used(api, promotion) == [4, None, 20]


def test_what_the_first_does_not_get_is_left_to_the_next(api: httpx.Client, scope: Scope, promotion: str) -> None:
    code, _ = generate(api, create_code(api, type="unique", promotionId=promotion), 2)
    set_budgets(api, promotion, lifetime("customer", 1))
    assert together(scope, request(promotion, "Q1")) == ["redeemed"]
    verdicts = together(scope, request(code, "Q1"), request(code, "Q2"), request(code, "Q3"))
    assert verdicts == ["CustomerLimitReached", "redeemed", "CodeRedeemed"]


def test_promotions_of_one_order_know_of_each_other(api: httpx.Client, scope: Scope, promotion: str) -> None:
    other = f"{promotion}-other"
    launch(api, other, [tier("all", [], spins(1))])
    done(api.patch(f"/v1/promotions/{promotion}/stackingRules", json={"notWith": [other]}))
    order = f"order-{promotion}"
    verdicts = together(
        scope,
        request(promotion, "Q45", order_id=order),
        request(other, "Q1", order_id=order),
        request(promotion, "Q1", order_id=order),
        request(other, "Q2", order_id=order),
        request(promotion, "Q1", order_id=f"{order}-2"),
    )
    assert verdicts == ["NotEligible", "redeemed", "NotCombinable", "redeemed", "redeemed"]


def test_fifty_redeemers_of_several_processes_get_exactly_what_the_cap_allows(
    api: httpx.Client, scope: Scope, promotion: str
) -> None:
    set_budgets(
        api,
        promotion,
        lifetime("redemptions", CAP),
        lifetime("audience", 39),
        lifetime("reward", 5 * CAP + 4, "freeSpins"),
    )
    # Those of one process share its transactions; with others they share the rows of the counters.
    processes = [Redeemers(scope.stores) for _ in range(PROCESSES)]

    def redeem(number: int) -> str:
        answer = processes[number % PROCESSES].redeem(scope, request(promotion, f"Q{number % 39 + 1}"))
        return type(answer).__name__

    with ThreadPoolExecutor(REDEEMERS) as pool:
        verdicts = Counter(pool.map(redeem, range(CAP + 200)))
    assert verdicts == {"tuple": CAP, "BudgetExceeded": 200}
    assert used(api, promotion) == [CAP, 39, 5 * CAP]
    assert len(redeemed(scope, promotion)) == CAP


def test_more_than_fit_into_a_transaction_are_redeemed_in_order(
    api: httpx.Client, scope: Scope, promotion: str
) -> None:
    set_budgets(api, promotion, lifetime("redemptions", 43))
    verdicts = together(scope, *(request(promotion, f"Q{1 + number % 39}") for number in range(45)))
    assert verdicts == ["redeemed"] * 43 + ["BudgetExceeded"] * 2
