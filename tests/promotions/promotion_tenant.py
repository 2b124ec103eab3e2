"""A promotion tenant with customers, and calls of its service."""

from datetime import date
from typing import Any

import httpx
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.customers import attributes
from rapport.customers.attributes import AttributeInfo

DATA_DATE = date(2026, 3, 9)
PROPERTIES = [
    {"key": "country", "type": "string", "attribute": "COUNTRY"},
    {"key": "lifetimeDeposits", "type": "number", "attribute": "DEPOSITS"},
    {"key": "balance", "type": "number", "attribute": "BALANCE"},
    {"key": "joined", "type": "date", "attribute": "REGISTRATION_DATE"},
]
SESSION = [
    {"key": "depositAmount", "type": "number", "constraints": {"min": 0}},
    {"key": "game", "type": "string"},
    {"key": "isFirst", "type": "boolean"},
    {"key": "tags", "type": "stringArray"},
    {"key": "startedAt", "type": "date"},
]
OWN = [{"key": "regionTag", "type": "string", "constraints": {"enum": ["R1", "R2"]}}]
REWARDS = [
    {"key": "freeSpins", "name": "Free spins", "category": "units", "constraints": {"max": 500}},
    {"key": "bonus", "name": "Bonus", "category": "amount", "constraints": {"min": 1}},
]


def add_attributes(scope: Scope) -> None:
    """The numeric attributes of the customers."""
    infos = [
        AttributeInfo("DEPOSITS", "Deposits", "", "Decimal", "batch", api_updatable=True),
        AttributeInfo("BALANCE", "Balance", "", "Int", "batch", api_updatable=True),
    ]
    attributes.declare(scope, infos)


def add_customers(scope: Scope, rows: list[dict[str, Any]]) -> None:
    """Customers with a profile each; rows name customer_id and attributes."""
    names = ["customer_id", "COUNTRY", "DEPOSITS", "BALANCE", "REGISTRATION_DATE"]
    values = [[row.get(name) for name in names] for row in rows]
    scope.warehouse.insert("customers", names, values)
    scope.warehouse.insert("profiles", ["data_date", *names], [[DATA_DATE, *row] for row in values])
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))


def create_tenant(api: httpx.Client) -> None:
    """An active promotion tenant with all properties and rewards of this module."""
    commands = [
        {"type": "create", "name": "Northwind Play"},
        {"type": "setCustomerPropertySchema", "properties": PROPERTIES},
        {"type": "setSessionPropertySchema", "properties": SESSION},
        {"type": "setPromotionPropertySchema", "properties": OWN},
        {"type": "setRewardTypes", "rewardTypes": REWARDS},
        {"type": "activate"},
    ]
    done(api.post("/v1/tenants/play/transactions", json={"commands": commands}))


def done(answer: httpx.Response) -> dict[str, Any]:
    """The JSON of a good answer."""
    assert answer.status_code in (200, 201), answer.text
    document: dict[str, Any] = answer.json()
    return document


def leaf(key: str, operator: str, value: Any = None, source: str = "customer", parent: int | None = None) -> Any:
    """A comparison as a branch."""
    condition = {"type": "property", "source": source, "key": key, "operator": operator}
    if value is not None:
        condition["value"] = value
    return {"condition": condition} | ({} if parent is None else {"parent": parent})


def tier(name: str, branches: list[Any], *rewards: dict[str, Any]) -> dict[str, Any]:
    """A tier whose id is its name."""
    return {"id": name, "name": name, "conditionTree": {"branches": branches}, "rewards": list(rewards)}


def spins(value: float) -> dict[str, Any]:
    """A fixed number of free spins."""
    return {"rewardType": "freeSpins", "calculation": {"type": "fixed", "value": value}}


def launch(api: httpx.Client, name: str, tiers: list[Any], branches: list[Any] | None = None) -> None:
    """An active promotion with an id, a code and a name that are the same."""
    commands = [
        {"type": "create", "name": name, "code": name},
        {"type": "setConditionTree", "conditionTree": {"branches": branches or []}},
        {"type": "setPromotionTiers", "promotionTiers": tiers},
        {"type": "activate"},
    ]
    done(api.post(f"/v1/promotions/{name}/transactions", json={"commands": commands}))
