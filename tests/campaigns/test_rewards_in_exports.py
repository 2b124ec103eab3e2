"""Exports of outcomes say which rewards a campaign told each customer of, and which promotions gave them."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pyarrow as pa
import pytest
from campaign_tenant import (
    DATA_DATE,
    EXTERNAL,
    NOW,
    NUMBERS,
    add_action,
    add_channels,
    add_group,
    add_series,
    awaiting_clearance,
    group,
    publish,
)
from promotion_tenant import add_attributes, create_tenant, done, launch, leaf, spins, tier
from pyarrow import parquet

from rapport.access.scope import Scope, scope_of
from rapport.campaigns.cycle import tasks
from rapport.campaigns.measurement import exports

DEADLINE, SEND = datetime(2026, 3, 10, 10, 30, tzinfo=UTC), datetime(2026, 3, 10, 11, tzinfo=UTC)
DEPOSITS = {"C01": 200, "C02": 120, "C03": 50, "C04": 10, "C05": 150, "C06": 60}
Rewards = list[dict[str, str]]
NOTHING: tuple[Rewards, Rewards] = ([], [])


def by(promotion: str, tier_id: str) -> dict[str, str]:
    return {"promotion_id": promotion, "promotion_tier_id": tier_id, "promo_code": promotion}


def reward(name: str, value: str) -> dict[str, str]:
    return {"reward_type": name, "value": value}


@pytest.fixture(scope="module")
def tenant(scope: Scope, api: httpx.Client) -> Scope:
    """Spins from deposits of 100 on, else 10 % of deposits from 40 on; and three spins more for everybody of EXTRA."""
    scope.clock.set(NOW)
    add_attributes(scope)
    names = ["customer_id", "COUNTRY", "DEPOSITS"]
    rows = [[who, "NL", deposit] for who, deposit in DEPOSITS.items()]
    scope.warehouse.insert("customers", names, rows)
    scope.warehouse.insert("profiles", ["data_date", *names], [[DATA_DATE, *row] for row in rows])
    publish(scope, DATA_DATE)
    create_tenant(api)
    scope = scope_of(scope.stores, scope.tenant_id)
    high, low = (leaf("lifetimeDeposits", "greaterThanOrEquals", least) for least in (100, 40))
    percent = {"type": "percentage", "of": "lifetimeDeposits", "percent": 10}
    launch(
        api,
        "SPRING",
        [tier("high", [high], spins(20)), tier("low", [low], {"rewardType": "bonus", "calculation": percent})],
    )
    launch(api, "EXTRA", [tier("all", [leaf("lifetimeDeposits", "greaterThanOrEquals", 150)], spins(3))])
    add_channels(scope)
    add_group(scope, "Dutch", "NL")
    return scope


@pytest.fixture(autouse=True)
def morning(tenant: Scope) -> Iterator[None]:
    tenant.clock.set(NOW)
    yield


def waiting(scope: Scope, *codes: str, publishes: bool) -> int:
    """A campaign with promo codes that waits for the approval of its customers."""
    action = add_action(scope, f"Action {next(NUMBERS)}", codes)
    groups = [group(action.id, (EXTERNAL, 1), time="12:00")]
    rules = {"include_all": True, "publishes_promotions": publishes}
    series = add_series(scope, 1, groups, conditional=True, rules=rules, control_share=0)
    return awaiting_clearance(scope, series)


def approve(api: httpx.Client, number: int, **approved: bool) -> None:
    statuses = [{"CustomerID": who, "Status": is_approved} for who, is_approved in approved.items()]
    body = {"CampaignID": number, "PromosUpdated": statuses}
    assert api.post("/current/integrations/UpdateCustomerPromotionStatus", json=body).status_code == 200


def execute(scope: Scope) -> None:
    for at in (DEADLINE, SEND):
        scope.clock.set(at)
        tasks.execute_due(scope)


def asked(api: httpx.Client, form: str) -> httpx.Response:
    return api.get("/manage/v1/exports/outcomes", params={"format": form}).raise_for_status()


def in_lines(api: httpx.Client) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in asked(api, "jsonl").text.splitlines()]


def exported(api: httpx.Client, number: int) -> dict[str, tuple[Rewards, Rewards]]:
    """The rewards of each customer of a campaign, and what gave them."""
    rows = [row for row in in_lines(api) if row["campaign_id"] == number]
    assert len(rows) == len(DEPOSITS) == len({row["customer_id"] for row in rows})
    return {row["customer_id"]: (row["rewards"], row["promotions"]) for row in rows}


def test_rewards_are_exported_of_those_who_were_told_of_them(
    tenant: Scope, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "AT_ONCE", 4)
    both, plain = waiting(tenant, "SPRING", "EXTRA", publishes=True), waiting(tenant, "OTHER", publishes=True)
    tasks.execute_due(tenant)
    approve(api, both, C06=False)  # was granted a bonus, and refused in the end
    execute(tenant)
    assert exported(api, both) == {
        "C01": ([reward("FREESPINS", "23")], [by("EXTRA", "all"), by("SPRING", "high")]),
        "C02": ([reward("FREESPINS", "20")], [by("SPRING", "high")]),
        "C03": ([reward("BONUS", "5.00")], [by("SPRING", "low")]),
        "C04": NOTHING,
        "C05": ([reward("FREESPINS", "23")], [by("EXTRA", "all"), by("SPRING", "high")]),
        "C06": NOTHING,
    }
    mine = [row for row in in_lines(api) if row["campaign_id"] == both]
    assert {row["customer_id"] for row in mine if row["outcome"] != "sent"} == {"C04", "C06"}
    assert exported(api, plain) == dict.fromkeys(DEPOSITS, NOTHING)


def test_what_a_service_uploaded_is_exported_without_promotions(tenant: Scope, api: httpx.Client) -> None:
    number = waiting(tenant, "SPRING", publishes=False)
    for values in ({"bonus": "1"}, {"freeSpins": "7 or 8", "bonus": "2.50"}):
        body = {"rewards": [{"customerId": who, "values": values} for who in ("c02", "C03")]}
        done(api.put(f"/v1/promotions/publisher/campaigns/{number}/rewards", json=body))
    approve(api, number, C01=True, C02=True)
    execute(tenant)
    uploaded = [reward("FREESPINS", "7 or 8"), reward("BONUS", "2.50")]
    assert exported(api, number) == {**dict.fromkeys(DEPOSITS, NOTHING), "C02": (uploaded, [])}


def test_each_form_has_rewards_as_its_readers_take_them(tenant: Scope, api: httpx.Client) -> None:
    waiting(tenant, "SPRING", publishes=True)
    execute(tenant)
    rows = in_lines(api)
    table = parquet.read_table(io.BytesIO(asked(api, "parquet").content))
    text = pa.string()
    assert table.schema.field("rewards").type == pa.list_(pa.struct([("reward_type", text), ("value", text)]))
    header, *cells = csv.reader(io.StringIO(asked(api, "csv").text))
    for name in ("rewards", "promotions"):
        told = [row[name] for row in rows]
        assert [] in told and max(map(len, told)) > 0
        assert table[name].to_pylist() == told
        in_csv = [row[header.index(name)] for row in cells]
        assert [orjson.loads(cell) if cell else [] for cell in in_csv] == told
        assert "[]" not in in_csv
