"""A page of a list of the management API says how many entries the whole list has."""

from datetime import date
from typing import Any

import httpx
import pytest
from campaign_world import NOW

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.app import openapi_document
from rapport.messaging.contactability import excluding
from rapport.messaging.models import ExclusionReason
from rapport.messaging.topics import brand_groups
from rapport.redemptions.models import Redemption
from rapport.redemptions.states import RedemptionState
from rapport.stores import Stores

TOTAL = "X-Total-Count"
# Lists of what exists once for the whole server are the operator's.
OPERATORS = {"/manage/v1/tenants"}


def paged() -> list[tuple[str, dict[str, Any]]]:
    """Path and operation of every GET with limit and offset."""
    paths = openapi_document()["paths"]
    reads = ((path, item["get"]) for path, item in paths.items() if "get" in item and path.startswith("/manage/"))
    return [
        (path, operation)
        for path, operation in reads
        if {"limit", "offset"} <= {parameter["name"] for parameter in operation.get("parameters", [])}
        and operation["responses"]["200"]["content"]["application/json"]["schema"].get("type") == "array"
    ]


PLAIN = sorted(path for path, _ in paged() if "{" not in path and path not in OPERATORS)


def test_every_paged_list_documents_its_total() -> None:
    assert len(PLAIN) > 15
    assert all(TOTAL in operation["responses"]["200"]["headers"] for _, operation in paged())


@pytest.fixture(scope="module")
def asked(world: Scope, api: httpx.Client) -> dict[str, dict[str, str]]:
    """What lists ask for that are no lists of everything, with entries of each."""
    sports = {"brand": brand_groups.create_brand_group(world, "Totals", {}).id}
    selection = {"selectionKey": "totals-1", "eventKey": "totals"}
    for odds in (2, 3, 5):
        records = [{"eventKey": "totals"}, {**selection, "decPrice": odds}]
        api.post("/sports-inventory/v1/records", json=records, headers={"x-brand-key": sports["brand"]})
    for number in range(3):
        excluding.exclude(world, {f"totals-{number}": None}, ExclusionReason.OTHER)
    with world.records() as session:
        session.add_all(redeemed(world, number) for number in range(3))
    return {
        "/manage/v1/sports/records": sports,
        "/manage/v1/sports/log": sports,
        "/manage/v1/sports/prices": {**sports, "event_key": "totals", "selection_key": "totals-1"},
        "/manage/v1/exclusions": {"standing": "true"},
        "/manage/v1/promocodes/redemptions": {"promotion_id": "totals"},
    }


def redeemed(world: Scope, number: int) -> Redemption:
    """A redemption as it is stored."""
    texts = dict.fromkeys(("code", "customer_id", "person", "tier_id", "tier_name", "request"), f"t{number}")
    return Redemption(
        tenant_id=world.tenant_id,
        id=f"totals-{number}",
        idempotency_key=f"totals-{number}",
        state=RedemptionState.COMMITTED,
        promotion_id="totals",
        promotion_version=1,
        rewards=[],
        currency="EUR",
        counted_on=date(2026, 3, 1 + number),
        created_at=NOW,
        **texts,
    )


@pytest.mark.parametrize("path", PLAIN)
def test_pages_of_any_size_tell_the_total(
    world: Scope, api: httpx.Client, asked: dict[str, dict[str, str]], path: str
) -> None:
    whole: list[Any] = []
    needed = asked.get(path, {})
    while page := api.get(path, params={**needed, "limit": 2, "offset": len(whole)}).raise_for_status().json():
        assert len(page) <= 2
        whole += page
    assert len(whole) >= 2 or not needed
    for limit, offset in ((1, 0), (2, 1), (1000, 0), (1000, 1), (1, 1_000_000)):
        answer = api.get(path, params={**needed, "limit": limit, "offset": offset}).raise_for_status()
        assert (answer.headers[TOTAL], answer.json()) == (str(len(whole)), whole[offset : offset + limit])


def test_a_filter_narrows_the_total(world: Scope, api: httpx.Client) -> None:
    campaigns = api.get("/manage/v1/campaigns", params={"limit": 1000}).json()
    states = {campaign["state"] for campaign in campaigns}
    assert len(states) > 1
    for state in states:
        answer = api.get("/manage/v1/campaigns", params={"state": state, "limit": 1})
        assert answer.headers[TOTAL] == str(sum(campaign["state"] == state for campaign in campaigns))


def test_outcomes_are_counted_in_the_warehouse(world: Scope, api: httpx.Client) -> None:
    campaign = api.get("/manage/v1/campaigns", params={"limit": 1}).json()[0]
    columns = (
        "execution_date",
        "campaign_id",
        "customer_id",
        "channel_id",
        "outcome",
        "reason",
        "batch",
        "recorded_at",
    )
    reasons = ["sent"] * 3 + ["excluded"] * 2
    day = date.fromisoformat(campaign["execution_date"])
    rows = [(day, campaign["id"], f"T{n}", 504, outcome, "", 1, NOW) for n, outcome in enumerate(reasons)]
    path = f"/manage/v1/campaigns/{campaign['id']}/outcomes"
    before = int(api.get(path).headers[TOTAL])
    world.warehouse.insert("campaign_outcomes", columns, rows)
    try:
        assert api.get(path, params={"limit": 1}).headers[TOTAL] == str(before + 5)
        narrowed = api.get(path, params={"limit": 1, "outcome": "excluded"}).headers[TOTAL]
        assert narrowed == str(sum(row["outcome"] == "excluded" for row in api.get(path).json()))
    finally:
        world.warehouse.execute("DELETE FROM campaign_outcomes WHERE startsWith(customer_id, 'T')")


def test_entries_of_other_tenants_do_not_count(world: Scope, stores: Stores, base_url: str) -> None:
    _, secret = keys.create_key(create_tenant(stores, "Next door to totals"), "own", "own@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}) as neighbour:
        totals = {path: neighbour.get(path).headers[TOTAL] for path in ("/manage/v1/campaigns", "/manage/v1/keys")}
    assert totals == {"/manage/v1/campaigns": "0", "/manage/v1/keys": "1"}
