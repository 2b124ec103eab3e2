"""Validation: values worked out by hand, and two ways of deciding that must agree on every tree and customer."""

import itertools
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from promotion_tenant import PROPERTIES, add_attributes, add_customers, create_tenant, done, launch, leaf, spins, tier

from rapport.access.scope import Scope
from rapport.promotions import batches, validating
from rapport.promotions.deciding import Context
from rapport.promotions.editing import promotion

NUMBERS = itertools.count(1)
START = date(2025, 1, 1)
COUNTRIES, GAMES = ["NL", "BE", None, ""], ["slots", "Roulette", "dice"]
CUSTOMERS = [
    {
        "customer_id": f"C{number:03}",
        "COUNTRY": COUNTRIES[number % 4],
        "DEPOSITS": None if number % 5 == 0 else Decimal(number * 25) / 4,
        "BALANCE": None if number % 7 == 0 else number,
        "REGISTRATION_DATE": None if number % 6 == 0 else START + timedelta(days=number),
    }
    for number in range(60)
]
BY_ID = {str(row["customer_id"]): row for row in CUSTOMERS}


@pytest.fixture(scope="module", autouse=True)
def tenant(scope: Scope, api: httpx.Client) -> Iterator[None]:
    scope.clock.set(None)
    add_attributes(scope)
    add_customers(scope, CUSTOMERS)
    create_tenant(api)
    yield


def validated(api: httpx.Client, id: str, *contexts: dict[str, Any]) -> list[dict[str, Any]]:
    """The contexts of the answer."""
    document = done(api.post(f"/v1/promotions/{id}/validateCustomers", json={"contexts": list(contexts)}))
    assert document["promotionId"] == id
    shown: list[dict[str, Any]] = document["contexts"]
    assert [context["customerId"] for context in shown] == [str(context["customerId"]) for context in contexts]
    return shown


def of(*customer_ids: str, **session: Any) -> list[dict[str, Any]]:
    """Contexts of customers with the same session."""
    return [{"customerId": customer_id, "sessionProperties": session} for customer_id in customer_ids]


def test_the_first_tier_whose_conditions_are_met_decides(api: httpx.Client) -> None:
    deposits = [leaf("lifetimeDeposits", "greaterThanOrEquals", 100)]
    lower = [leaf("lifetimeDeposits", "greaterThanOrEquals", 50)]
    gate = [leaf("country", "in", ["nl", "BE"])]
    launch(api, "graded", [tier("high", deposits, spins(20)), tier("low", lower, spins(10.9))], gate)
    # Deposits are 25 / 4 a number: C008 has 50, C016 has 100; the country of every second pair is missing.
    high, low, none, gated, unknown = validated(api, "graded", *of("C016", "c008", "C004", "C002", "C999"))
    assert high["effects"] == [
        {
            "promotionTierId": "high",
            "promotionTierName": "high",
            "rewards": [{"rewardType": "freeSpins", "category": "units", "value": 20}],
        }
    ]
    assert (low["valid"], low["effects"][0]["rewards"][0]["value"]) == (True, 10), "units are whole"
    assert (none["valid"], none["effects"], none["reason"]) == (False, [], "NoMatchingTier")
    assert none["failedBranches"] == [
        {"promotionTierId": "high", "branch": 0},
        {"promotionTierId": "low", "branch": 0},
    ]
    assert (gated["reason"], gated["failedBranches"]) == (
        "PromotionConditionsNotMet",
        [{"promotionTierId": None, "branch": 0}],
    )
    assert (unknown["valid"], unknown["reason"]) == (False, "UnknownCustomer")
    by_code = api.post("/v1/promotions/validatePromoCode", json={"promoCode": "GRADED", "contexts": of("C016")})
    assert by_code.json() == {"promotionId": "graded", "contexts": [high]}


@pytest.mark.parametrize(
    ("calculation", "session", "value"),
    [
        ({"of": "depositAmount", "percent": 12.5}, {"depositAmount": 33.3}, 4.16),  # 4.1625
        ({"of": "depositAmount", "percent": 50}, {"depositAmount": 0.33}, 1),  # 0.165, and a bonus is at least 1
        ({"of": "depositAmount", "percent": 10, "min": 3, "max": 5}, {"depositAmount": 20}, 3),
        ({"of": "depositAmount", "percent": 10, "min": 3, "max": 5}, {"depositAmount": 70}, 5),
        ({"of": "depositAmount", "percent": 10, "min": 3}, {}, 3),
        ({"of": "lifetimeDeposits", "percent": 10}, {}, 5.63),  # of 56.25: 5.625
        ({"of": "balance", "percent": 100}, {}, 9),
    ],
)
def test_a_reward_may_be_a_percentage(
    api: httpx.Client, calculation: dict[str, Any], session: dict[str, Any], value: float
) -> None:
    id = f"percentage-{next(NUMBERS)}"
    reward = {"rewardType": "bonus", "calculation": {"type": "percentage", **calculation}}
    launch(api, id, [tier("all", [], reward)])
    (few,) = validated(api, id, *of("C009", **session))
    assert few["effects"][0]["rewards"] == [{"rewardType": "bonus", "category": "amount", "value": value}]
    many = validated(api, id, *of(*[f"C{number:03}" for number in range(30)], **session))
    assert many[9] == few


@pytest.mark.parametrize(
    ("session", "words"),
    [
        ({"depositAmount": "120"}, "contexts[1].sessionProperties.depositAmount must be a number."),
        ({"depositAmount": -1}, "contexts[1].sessionProperties.depositAmount must be at least 0."),
        ({"isFirst": 1}, "contexts[1].sessionProperties.isFirst must be true or false."),
        ({"startedAt": "soon"}, "contexts[1].sessionProperties.startedAt must be a date"),
        ({"stake": 1}, "contexts[1].sessionProperties.stake: there is no such property"),
    ],
)
def test_session_properties_are_checked(api: httpx.Client, session: dict[str, Any], words: str) -> None:
    id = f"session-{next(NUMBERS)}"
    launch(api, id, [tier("all", [], spins(1))])
    body = {"contexts": [*of("C001"), *of("C002", **session)]}
    refused = api.post(f"/v1/promotions/{id}/validateCustomers", json=body)
    assert refused.status_code == 400 and words in refused.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contexts": []},
        {"contexts": [{}]},
        {"contexts": [7]},
        {"contexts": [{"customerId": ""}]},
        {"contexts": [{"customerId": True}]},
        {"contexts": [{"customerId": "C001", "sessionProperties": []}]},
        {"contexts": [{"customerId": "C001"}] * 10_001},
        {"contexts": [{"customerId": "C001"}], "campaignData": 7},
        [],
    ],
)
def test_a_malformed_call_is_refused(api: httpx.Client, body: Any) -> None:
    answer = api.post("/v1/promotions/nowhere/validateCustomers", json=body)
    assert answer.status_code == 400 and answer.json()["error"] == "Invalid", answer.text


def test_only_active_promotions_of_an_active_tenant_validate(api: httpx.Client) -> None:
    launch(api, "suspended", [tier("all", [], spins(1))])
    done(api.patch("/v1/promotions/suspended/deactivate"))
    body = {"contexts": of("C001")}
    refused = api.post("/v1/promotions/suspended/validateCustomers", json=body)
    assert (refused.status_code, "deactivated" in refused.json()["message"]) == (409, True)
    done(api.patch("/v1/promotions/suspended/activate"))
    done(api.patch("/v1/tenants/play/deactivate"))
    try:
        assert api.post("/v1/promotions/suspended/validateCustomers", json=body).status_code == 409
    finally:
        done(api.patch("/v1/tenants/play/activate"))
    done(api.post("/v1/promotions/suspended/validateCustomers", json=body))
    assert api.post("/v1/promotions/validatePromoCode", json={"promoCode": "none", **body}).status_code == 404


def set_customer_properties(api: httpx.Client, properties: list[dict[str, Any]]) -> None:
    """Change what the customer properties of the active tenant are."""
    change = {"type": "setCustomerPropertySchema", "properties": properties}
    commands = [{"type": "deactivate"}, change, {"type": "activate"}]
    done(api.post("/v1/tenants/play/transactions", json={"commands": commands}))


def test_a_change_counts_from_the_next_validation_on(api: httpx.Client) -> None:
    launch(api, "changed", [tier("rich", [leaf("lifetimeDeposits", "greaterThan", 30)], spins(1))])
    # Deposits are 25 / 4 a number, the balance is the number: which no statement before asked for.
    assert [each["valid"] for each in validated(api, "changed", *of("C004", "C008", "C031"))] == [False, True, True]
    changed = [{**each, "attribute": "BALANCE"} if each["key"] == "lifetimeDeposits" else each for each in PROPERTIES]
    try:
        set_customer_properties(api, changed)
        now = [each["valid"] for each in validated(api, "changed", *of("C004", "C008", "C031"))]
    finally:
        set_customer_properties(api, PROPERTIES)
    assert now == [False, False, True]


def test_an_explanation_says_which_branch_failed_on_what(api: httpx.Client) -> None:
    branches = [
        {"condition": {"type": "or"}},
        leaf("country", "equals", "BE", parent=0),
        leaf("lifetimeDeposits", "greaterThan", 100, parent=0),
        leaf("depositAmount", "greaterThanOrEquals", 10, "session"),
    ]
    launch(api, "explained", [tier("t", branches, spins(1))], [leaf("balance", "isNotNull")])
    done(api.patch("/v1/promotions/explained/deactivate"))
    path = "/manage/v1/promotions/explained/explanation"
    contexts = [
        {"customer_id": "c001", "session_properties": {"depositAmount": 12.5}},
        {"customer_id": "C004"},
        {"customer_id": "C999"},
    ]
    reached, failed, unknown = api.post(path, json={"contexts": contexts}).json()
    assert (reached["customer_id"], reached["tier_id"], reached["reason"]) == ("c001", "t", None)
    own, of_tier = reached["trees"]
    assert (own["tier_id"], own["branches"]) == (None, [{"index": 0, "is_true": True, "value": 1}])
    told = [(branch["is_true"], branch["value"]) for branch in of_tier["branches"]]
    assert (of_tier["tier_id"], told) == ("t", [(True, None), (True, "BE"), (False, 6.25), (True, 12.5)])
    assert (failed["tier_id"], failed["reason"]) == (None, "NoMatchingTier")
    told = [(branch["is_true"], branch["value"]) for branch in failed["trees"][1]["branches"]]
    assert told == [(False, None), (False, "NL"), (False, 25), (False, None)]
    assert (unknown["reason"], unknown["trees"]) == ("UnknownCustomer", [])
    refused = api.post(path, json={"contexts": [{"customer_id": "C001"}] * 101})
    assert refused.status_code == 400 and refused.json()["detail"].startswith("contexts")


@pytest.mark.parametrize("count", [1, 5, 40])
def test_trees_of_any_size_are_decided(api: httpx.Client, count: int) -> None:
    """A chain of `and` as deep as it may be, in many tiers; only the last is met, by those with less than 30."""
    chain: list[Any] = [{"condition": {"type": "and"}} | ({"parent": n - 1} if n else {}) for n in range(98)]
    tiers = [
        tier(f"t{n}", [*chain, leaf("balance", "equals", n + 1000, parent=97), leaf("balance", "isNotNull", parent=50)])
        for n in range(count)
    ]
    launch(api, f"deep-{count}", [*tiers, tier("last", [leaf("balance", "lessThan", 30)])])
    many = validated(api, f"deep-{count}", *of(*BY_ID))
    expected = [row["BALANCE"] is not None and row["BALANCE"] < 30 for row in CUSTOMERS]
    assert [context["valid"] for context in many] == expected
    failed = many[-1]["failedBranches"]
    assert [branch["branch"] for branch in failed] == [98] * count + [0]


# Trees, and what they are worth to a reader of this module.

TEXT_OPERATORS = {
    "equals": lambda given, value: given.lower() == value.lower(),
    "contains": lambda given, value: value.lower() in given.lower(),
    "startsWith": lambda given, value: given.lower().startswith(value.lower()),
    "endsWith": lambda given, value: given.lower().endswith(value.lower()),
}
ORDER_OPERATORS = {
    "greaterThan": lambda given, value: given > value,
    "greaterThanOrEquals": lambda given, value: given >= value,
    "lessThan": lambda given, value: given < value,
    "lessThanOrEquals": lambda given, value: given <= value,
    "equals": lambda given, value: given == value,
}
NEGATIVE = {"notEquals": "equals", "notContains": "contains", "isNotNull": "isNull"}
numbers = st.sampled_from([0, 6.25, 50, 100, 12.5, -3])
comparisons = st.one_of(
    st.tuples(
        st.just("customer"),
        st.just("country"),
        st.sampled_from([*TEXT_OPERATORS, "notEquals", "notContains"]),
        st.sampled_from(["nl", "B", "E"]),
    ),
    st.tuples(
        st.just("customer"), st.just("lifetimeDeposits"), st.sampled_from([*ORDER_OPERATORS, "notEquals"]), numbers
    ),
    st.tuples(st.just("customer"), st.just("balance"), st.sampled_from([*ORDER_OPERATORS]), numbers),
    st.tuples(st.just("session"), st.just("depositAmount"), st.sampled_from([*ORDER_OPERATORS, "notEquals"]), numbers),
    st.tuples(
        st.just("session"), st.just("game"), st.sampled_from([*TEXT_OPERATORS, "notEquals"]), st.sampled_from(GAMES)
    ),
    st.tuples(st.just("session"), st.just("isFirst"), st.sampled_from(["equals", "notEquals"]), st.booleans()),
    st.tuples(st.just("session"), st.just("tags"), st.sampled_from(["contains", "notContains"]), st.just("vip")),
    st.tuples(
        st.sampled_from(["customer"]),
        st.sampled_from(["country", "balance", "lifetimeDeposits", "joined"]),
        st.sampled_from(["isNull", "isNotNull"]),
        st.none(),
    ),
)


@st.composite
def trees(draw: st.DrawFn) -> list[Any]:
    """Branches of a tree that is right in form."""
    branches: list[Any] = []
    logical: list[int] = []
    for _ in range(draw(st.integers(0, 6))):
        parent = draw(st.sampled_from([None, *logical]))
        if draw(st.booleans()):
            logical.append(len(branches))
            branches.append({"condition": {"type": draw(st.sampled_from(["and", "or"]))}})
        else:
            source, key, operator, value = draw(comparisons)
            branches.append(leaf(key, operator, value, source))
        if parent is not None:
            branches[-1]["parent"] = parent
    for index in logical:
        if not any(branch.get("parent") == index for branch in branches):
            source, key, operator, value = draw(comparisons)
            branches.append(leaf(key, operator, value, source, index))
    return branches


sessions = st.fixed_dictionaries(
    {},
    optional={
        "depositAmount": st.sampled_from([0, 6.25, 50, 99.99, 12.5]),
        "game": st.sampled_from(GAMES),
        "isFirst": st.booleans(),
        "tags": st.sampled_from([[], ["VIP"], ["new", "vip"]]),
    },
)
ATTRIBUTES = {
    "country": "COUNTRY",
    "lifetimeDeposits": "DEPOSITS",
    "balance": "BALANCE",
    "joined": "REGISTRATION_DATE",
}


def holds(condition: dict[str, Any], customer: dict[str, Any], session: dict[str, Any]) -> bool:
    """Whether a comparison is true."""
    operator = condition["operator"]
    if operator in NEGATIVE:
        return not holds(condition | {"operator": NEGATIVE[operator]}, customer, session)
    key = condition["key"]
    given = session.get(key) if condition["source"] == "session" else customer[ATTRIBUTES[key]]
    if operator == "isNull":
        return given is None or given == ""
    if given is None:
        return False
    value = condition["value"]
    if isinstance(value, bool):
        return given is value
    if key == "tags":
        return value in [tag.lower() for tag in given]
    if isinstance(value, str):
        return bool(TEXT_OPERATORS[operator](given, value))
    return bool(ORDER_OPERATORS[operator](Decimal(str(given)), Decimal(str(value))))


def is_true(branches: list[Any], index: int, customer: dict[str, Any], session: dict[str, Any]) -> bool:
    """Whether a branch is true."""
    condition = branches[index]["condition"]
    children = [child for child, branch in enumerate(branches) if branch.get("parent") == index]
    if condition["type"] == "and":
        return all(is_true(branches, child, customer, session) for child in children)
    if condition["type"] == "or":
        return any(is_true(branches, child, customer, session) for child in children)
    return holds(condition, customer, session)


def qualifies(branches: list[Any], customer: dict[str, Any], session: dict[str, Any]) -> bool:
    """Whether every branch without a parent is true."""
    roots = [index for index, branch in enumerate(branches) if "parent" not in branch]
    return all(is_true(branches, index, customer, session) for index in roots)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gate=trees(), tiers=st.lists(trees(), min_size=1, max_size=3), session=sessions, other=sessions)
def test_both_ways_decide_as_the_words_say(
    api: httpx.Client, scope: Scope, gate: list[Any], tiers: list[Any], session: dict[str, Any], other: dict[str, Any]
) -> None:
    id = f"drawn-{next(NUMBERS)}"
    launch(api, id, [tier(f"t{number}", branches) for number, branches in enumerate(tiers)], gate)
    contexts = [Context(customer_id, (session, other)[n % 2]) for n, customer_id in enumerate(BY_ID)]
    validator = validating.validator(scope, promotion(scope, id), validating.basis(scope))
    set_based = batches.decided(scope, validator, contexts)
    by_key = validating.validate_customers(scope, id, contexts[: validating.FEW])[1]
    assert [set_based[place] for place in range(validating.FEW)] == by_key
    for place, context in enumerate(contexts):
        customer, values = BY_ID[context.customer_id], dict(context.session)
        expected = None
        if qualifies(gate, customer, values):
            expected = next((f"t{n}" for n, tree in enumerate(tiers) if qualifies(tree, customer, values)), None)
        tier_reached = set_based[place].tier
        assert (tier_reached.id if tier_reached else None) == expected, (context, gate, tiers)
