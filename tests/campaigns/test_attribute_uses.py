"""Attributes get another type, or go: with all their values, and only when nobody needs them as they are."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.customers import attributes, changes
from rapport.customers.attributes import AttributeInfo
from rapport.customers.importing import imports
from rapport.stores.warehouse import identifier

ATTRIBUTES = "/manage/v1/attributes"
DAYS = (date(2025, 5, 1), date(2025, 5, 2))
HEADER = "CustomerID,Registration_Date"


@pytest.fixture
def filled(scope: Scope, tmp_path: Path) -> Callable[..., None]:
    """Loads a column of texts into customers, and into the profiles of two days."""

    def load(name: str, *texts: str, type_: str = "") -> None:
        if type_:
            changes.create_attribute(scope, AttributeInfo(name, name, "", type_, "batch"))
        path = tmp_path / f"{name}.csv"
        path.write_text(f"{HEADER},{name}\n" + "".join(f"R{n},2025-01-02,{one}\n" for n, one in enumerate(texts)))
        assert imports.import_file(scope, "customers", path).state == "loaded"
        for day in DAYS:
            scope.warehouse.execute(f"ALTER TABLE profiles DROP PARTITION '{day}'")
            scope.warehouse.execute(
                f"INSERT INTO profiles (data_date, customer_id, {name}) SELECT {{day:Date}}, customer_id, {name} "
                "FROM customers",
                day=day,
            )
        with scope.records() as session:
            session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DAYS[1]))

    return load


def stored(scope: Scope, name: str) -> list[Any]:
    """The values, which must be the same in customers and in each day's profiles."""
    found = [
        [value for (value,) in scope.warehouse.rows(f"SELECT {identifier(name)} FROM {table} ORDER BY customer_id")]
        for table in ("customers", *(f"(SELECT * FROM profiles WHERE data_date = '{day}')" for day in DAYS))
    ]
    assert found[0] == found[1] == found[2]
    return [value for value in found[0] if value is not None]


def patch(api: httpx.Client, name: str, field_type: str) -> httpx.Response:
    return api.patch(f"{ATTRIBUTES}/{name}", json={"field_type": field_type})


@pytest.mark.parametrize(
    ("name", "texts", "types", "values"),
    [
        ("ZIP", ("10115", "10116"), ["Nvarchar"], ["10115", "10116"]),
        ("MONEY", ("10.00", "10.50"), ["Nvarchar"], ["10.00", "10.50"]),
        ("SHORT", ("5", "5.25"), ["Varchar"], ["5", "5.25"]),
        ("FLOATS", ("5.0", "5.25"), ["Nvarchar"], ["5.0", "5.25"]),
        ("DAY", ("2025-01-02", "1931-05-06"), ["Nvarchar", "Date"], [date(2025, 1, 2), date(1931, 5, 6)]),
        ("MOMENT", ("2025-01-02 10:00:00",), ["Nvarchar", "Datetime"], [datetime(2025, 1, 2, 10)]),
        ("MIDNIGHT", ("2025-01-02 00:00:00",), ["Date"], [date(2025, 1, 2)]),
        ("COUNTED", ("1", "2"), ["Decimal", "Int", "Bigint"], [1, 2]),
        ("MIXED", ("1.10", "1.1", "7"), ["Decimal"], [Decimal("1.1"), Decimal("1.1"), Decimal(7)]),
        ("WORDS", ("red", "blue"), ["Varchar", "Nvarchar"], ["red", "blue"]),
    ],
)
def test_a_type_changes_with_all_values(
    api: httpx.Client,
    scope: Scope,
    filled: Callable[..., None],
    name: str,
    texts: tuple[str, ...],
    types: list[str],
    values: list[Any],
) -> None:
    filled(name, *texts)
    for field_type in types:
        answer = patch(api, name, field_type)
        assert (answer.status_code, answer.json().get("field_type")) == (200, field_type), answer.text
    assert [one.replace(tzinfo=None) if isinstance(one, datetime) else one for one in stored(scope, name)] == values
    shown = api.get("/Customers/R0/Attributes").json()
    assert any(one["RealFieldName"] == name and one["Value"] for one in shown)


@pytest.mark.parametrize(
    ("name", "texts", "field_type", "told"),
    [
        ("CODE", ("01067", "04109", "10115"), "Bigint", "2 values do not convert from Nvarchar to Bigint"),
        ("PLATE", ("12E3", "7"), "Decimal", "such as '12E3'"),
        ("LONG", ("1.23456", "1"), "Decimal", "1 value does not"),
        ("CENTS", ("10.00", "10.50"), "Bigint", "such as '10.00', '10.50'"),
        ("TIMES", ("2025-01-02 10:00:00",), "Date", "such as '2025-01-02 10:00:00'"),
        ("FAR", ("3000000000",), "Int", "such as '3000000000'"),
    ],
)
def test_values_that_do_not_convert_are_told_and_nothing_changes(
    api: httpx.Client,
    scope: Scope,
    filled: Callable[..., None],
    name: str,
    texts: tuple[str, ...],
    field_type: str,
    told: str,
) -> None:
    filled(name, *texts)
    before, type_before = stored(scope, name), attributes.attributes(scope)[name].field_type
    answer = patch(api, name, field_type)
    assert answer.status_code == 409 and told in answer.json()["detail"], answer.text
    assert (stored(scope, name), attributes.attributes(scope)[name].field_type) == (before, type_before)


def test_after_a_change_files_are_held_to_the_new_type(
    api: httpx.Client, scope: Scope, filled: Callable[..., None], tmp_path: Path
) -> None:
    filled("POSTCODE", "10115")
    assert patch(api, "postcode", "Nvarchar").status_code == 200
    path = tmp_path / "later.csv"
    path.write_text(f"{HEADER},Postcode\nR9,2025-01-02,01067\n")
    assert imports.import_file(scope, "customers", path).state == "loaded"
    sql = "SELECT POSTCODE FROM customers WHERE customer_id = 'R9'"
    assert scope.warehouse.value(sql) == "01067"
    scope.warehouse.execute("DELETE FROM customers WHERE customer_id = 'R9'")


def test_a_deleted_attribute_is_gone_and_its_name_is_free(
    api: httpx.Client, scope: Scope, filled: Callable[..., None]
) -> None:
    filled("SHOE_SIZE", "42", "43")
    assert api.delete(f"{ATTRIBUTES}/shoe_size").status_code == 204
    assert "SHOE_SIZE" not in {one["name"] for one in api.get(ATTRIBUTES).json()}
    assert all("SHOE_SIZE" not in scope.warehouse.columns(table) for table in ("customers", "profiles"))
    assert api.delete(f"{ATTRIBUTES}/shoe_size").status_code == 404
    again = api.post(ATTRIBUTES, json={"name": "SHOE_SIZE", "field_type": "Nvarchar", "source": "api"})
    assert again.status_code == 201 and stored(scope, "SHOE_SIZE") == []


def test_a_file_that_was_loaded_before_brings_a_deleted_attribute_again(
    api: httpx.Client, scope: Scope, filled: Callable[..., None]
) -> None:
    filled("HAT_SIZE", "7")
    assert api.delete(f"{ATTRIBUTES}/HAT_SIZE").status_code == 204
    filled("HAT_SIZE", "7")
    assert stored(scope, "HAT_SIZE") == [7]


def test_what_is_built_in_or_computed_stays(api: httpx.Client, scope: Scope) -> None:
    attributes.declare(scope, [AttributeInfo("ORDERS_TOTAL", "", "", "Bigint", "calculated")])
    for name in ("EMAIL", "registration_date", "orders_total"):
        assert api.delete(f"{ATTRIBUTES}/{name}").status_code == 400, name
        assert patch(api, name, "Bigint").status_code == 400, name
    assert patch(api, "nope", "Bigint").status_code == 404


def test_who_uses_an_attribute_is_told_and_it_stays(api: httpx.Client, filled: Callable[..., None]) -> None:
    filled("TIER", "3", "4")
    definition = {"attribute": "TIER", "operator": "greater_or_equal", "value": 3}
    group = api.post("/manage/v1/target-groups", json={"name": "High tiers", "definition": definition})
    assert group.status_code == 201, group.text
    channel = api.post("/manage/v1/channels", json={"name": "Letters", "kind": "email"}).json()
    template = {"name": "Tier", "subject": "[%TIER:none%]", "html": "<p>hello</p>"}
    made = api.post(f"/manage/v1/channels/{channel['id']}/templates", json=template)
    assert made.status_code == 201, made.text
    outside = {"name": "By tier", "kind": "external", "address_attribute": "TIER"}
    assert api.post("/manage/v1/channels", json=outside).status_code == 201
    answer = api.delete(f"{ATTRIBUTES}/TIER")
    assert answer.status_code == 409
    for told in ("'High tiers'", "template", "'By tier'"):
        assert told in answer.json()["detail"], answer.text
    refused = patch(api, "TIER", "Nvarchar")
    assert refused.status_code == 409 and "'High tiers'" in refused.json()["detail"]
    assert patch(api, "TIER", "Decimal").status_code == 409
    group_id = group.json()["id"]
    assert api.post(f"/manage/v1/target-groups/{group_id}/archive").status_code in (200, 204)
    assert patch(api, "TIER", "Nvarchar").status_code == 200


def test_a_declared_event_that_writes_an_attribute_uses_it(api: httpx.Client, filled: Callable[..., None]) -> None:
    filled("FAVORITE_TEAM", "red")
    event = {"name": "team_chosen", "parameters": {"favorite_team": "String"}}
    assert api.post("/manage/v1/event-types", json=event).status_code == 201
    answer = api.delete(f"{ATTRIBUTES}/FAVORITE_TEAM")
    assert answer.status_code == 409 and "event 'team_chosen'" in answer.json()["detail"]
