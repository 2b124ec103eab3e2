"""The section transactions of a tenant's settings over HTTP: set, refused in one sentence, and followed by counts."""

from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope

TENANT = "/manage/v1/tenants/current"
DATA_DATE = date(2026, 3, 28)
# Customers, each with transactions as type, amount and the property Payout.
CUSTOMERS: dict[str, list[tuple[str, float, str]]] = {
    "bettor": [("bet", 100.0, ""), ("Bet", 50.0, "20")],
    "winner": [("bet", 100.0, ""), ("PAYOUT", 250.0, "")],
    "saver": [("deposit", 500.0, "")],
    "lucky": [("payout", 20.0, "")],
}
COUNTED = {"history": "transactions", "window": {"days": 30}}


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    scope.clock.set(datetime(2026, 3, 29, 8, tzinfo=UTC))
    scope.warehouse.insert("customers", ["customer_id"], [[who] for who in CUSTOMERS])
    scope.warehouse.insert("profiles", ["data_date", "customer_id"], [[DATA_DATE, who] for who in CUSTOMERS])
    rows = [
        (f"{who}-{n}", who, datetime(2026, 3, 20, 12, tzinfo=UTC), amount, kind, {"Payout": paid} if paid else {})
        for who, happened in CUSTOMERS.items()
        for n, (kind, amount, paid) in enumerate(happened)
    ]
    columns = ["transaction_id", "customer_id", "transaction_time", "amount", "type", "properties"]
    scope.warehouse.insert("transactions", columns, rows)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))


@pytest.fixture(autouse=True)
def usual(api: httpx.Client) -> None:
    """Each test begins without settings of its own."""
    set_section(api, {"types": None, "other_types": None, "minus_property": None})


def set_section(api: httpx.Client, section: dict[str, Any]) -> dict[str, Any]:
    answer = api.patch(TENANT, json={"settings": {"transactions": section}})
    assert answer.status_code == 200, answer.text
    stored: dict[str, Any] = answer.json()["settings"].get("transactions", {})
    return stored


def size(api: httpx.Client, **condition: Any) -> int:
    answer = api.post("/manage/v1/target-groups/size", json={"definition": {**COUNTED, **condition}})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["size"])


def sums(api: httpx.Client, *amounts: float) -> list[int]:
    """How many customers have each sum of transactions."""
    return [size(api, measure="sum", operator="equals", value=amount) for amount in amounts]


def test_without_types_of_its_own_a_tenant_counts_all_as_orders(api: httpx.Client) -> None:
    assert size(api) == 4
    assert sums(api, 150, 350, 500, 20) == [1, 1, 1, 1]


def test_counts_follow_the_types_at_once(api: httpx.Client) -> None:
    types = {"Deposit": "none", "payout": "minus"}
    assert set_section(api, {"types": types})["types"] == types
    assert api.get(TENANT).json()["settings"]["transactions"]["types"] == types
    assert size(api) == 2, "who only saved or won has no order"
    # Stakes of 100 and 50; of 100 less a payout of 250; nobody's deposit; a payout alone.
    assert sums(api, 150, -150, 500, -20) == [1, 1, 0, 1]
    assert size(api, where={"type": "deposit"}) == 1, "a condition that names a type counts it"


def test_the_property_is_taken_from_its_own_row(api: httpx.Client) -> None:
    set_section(api, {"types": {"deposit": "none", "payout": "minus"}, "minus_property": "Payout"})
    assert sums(api, 130, 150, -150) == [1, 0, 1]


def test_only_named_types_count_if_others_are_none(api: httpx.Client) -> None:
    set_section(api, {"types": {"BET": "plus"}, "other_types": "none"})
    assert size(api) == 2
    assert sums(api, 150, 100, 500) == [1, 1, 0]


def test_a_saved_group_follows_a_change_and_members_stay_as_they_are_set(api: httpx.Client) -> None:
    buyers = api.post("/manage/v1/target-groups", json={"name": "Buyers", "definition": COUNTED}).json()
    path = f"/manage/v1/target-groups/{buyers['id']}/size"
    before = api.post(path).json()["size"]
    set_section(api, {"types": {"deposit": "none"}})
    set_section(api, {"minus_property": "Payout"})
    kept = api.get(TENANT).json()["settings"]["transactions"]
    assert (kept["types"], kept["minus_property"]) == ({"deposit": "none"}, "Payout")
    assert (before, api.post(path).json()["size"]) == (4, 3)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"types": {"bet": "twice"}}, "transactions.types.bet cannot be used: it must be 'plus', 'minus' or 'none'."),
        (
            {"types": {"Bet": "plus", "bet ": "minus"}},
            "types names 'bet' more than once: case does not matter in types.",
        ),
        ({"types": {"": "plus"}}, "types"),
        ({"types": ["bet"]}, "types"),
        ({"other_types": "minus"}, "transactions.other_types cannot be used: it must be 'plus' or 'none'."),
        ({"other_types": "none"}, "types must have at least one type that is plus if other_types is none."),
        ({"minus_property": 5}, "minus_property"),
        ({"minusproperty": "Payout"}, "minusproperty"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(api: httpx.Client, section: dict[str, Any], told: str) -> None:
    refused = api.patch(TENANT, json={"settings": {"transactions": section}})
    assert refused.status_code == 400
    sentence = refused.json()["detail"]
    assert told in sentence
    assert sentence.endswith(".") and ". " not in sentence and "\n" not in sentence
    assert size(api) == 4, "nothing of it is stored"
