"""A dry run of a file says what a load would do, and changes nothing that is stored."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from import_world import codes, load, tenant

from rapport.access.scope import Scope
from rapport.customers import attributes, event_types
from rapport.stores import Stores

CUSTOMERS = "CustomerID;Registration_Date;Stufe\n1;02.01.2025;Gold\n2;03.01.2025;\n"
MAPPING = {"date_format": "%d.%m.%Y"}
ADDRESS = "address_not_mapped"
FILES = {
    "customers": ("customer_id,registration_date,tier\n1,2025-01-02,a\n", "customer_id"),
    "transactions": ("order_id,customer_id,order_date,amount,shop\nT1,1,2025-01-02,10,x\n", "transaction_id"),
    "items": ("order_id,sku,unit_price,size\nT0,S1,5,x\n", "product_id"),
    "products": ("sku,name,season\nS1,Hat,x\n", "product_id"),
    "activity": ("event_id,event,customer_id,event_date,page\nE1,seen_page,1,2025-01-02T10:00:00Z,x\n", "event_id"),
}


def stored(scope: Scope) -> list[Any]:
    """Rows of every table, the attributes and the event types."""
    tables = ("customers", "transactions", "transaction_items", "products", "activity_events")
    counts = [scope.warehouse.value(f"SELECT count() FROM {table}") for table in tables]
    return [*counts, sorted(attributes.attributes(scope)), [one.name for one in event_types.event_types(scope)]]


def test_the_first_rows_are_shown_as_they_would_be_read(stores: Stores, tmp_path: Path) -> None:
    scope = tenant(stores)
    told = load(scope, tmp_path, "customers", CUSTOMERS, mapping=MAPPING, dry_run=True)
    assert (told.state, told.loaded) == ("checked", 0)
    assert told.message == "2 rows would be loaded; nothing was changed."
    assert told.preview is not None
    assert told.preview.rows[0] == {"customer_id": "1", "REGISTRATION_DATE": "2025-01-02", "STUFE": "Gold"}
    assert told.preview.new_attributes == {"STUFE": "Nvarchar"}
    loaded = load(scope, tmp_path, "customers", CUSTOMERS, mapping=MAPPING)
    assert (loaded.state, loaded.loaded, loaded.preview) == ("loaded", 2, None), "it was not taken for a load"


def test_an_address_that_nothing_is_sent_to_is_told(stores: Stores, tmp_path: Path) -> None:
    people = "CustomerID;Work E-Mail;Telefon\n1;anna@example.com;+4917000001\n2;bob@example.com;+4917000002\n"
    scope = tenant(stores)
    told = load(scope, tmp_path, "customers", people, dry_run=True)
    warnings = [warning for warning in told.warnings if warning["code"] == ADDRESS]
    assert [(*warning["examples"], warning["message"].split(": map it")[0]) for warning in warnings] == [
        (
            "'Work E-Mail' (WORK_E_MAIL)",
            "1 column holds e-mail addresses, and none is mapped to EMAIL, to which messages are sent",
        ),
        (
            "'Telefon' (TELEFON)",
            "1 column holds phone numbers, and none is mapped to MOBILE_NUMBER, to which messages are sent",
        ),
    ]
    mapped = {"columns": {"Work E-Mail": "EMAIL", "Telefon": "Mobile_Number"}}
    assert ADDRESS not in codes(load(scope, tmp_path, "customers", people, mapping=mapped))
    assert scope.warehouse.value("SELECT EMAIL FROM customers WHERE customer_id = '1'") == "anna@example.com"


@pytest.mark.parametrize("kind", FILES)
def test_nothing_that_is_stored_changes(stores: Stores, tmp_path: Path, kind: str) -> None:
    scope = tenant(stores)
    load(scope, tmp_path, "transactions", "order_id,customer_id,order_date,amount\nT0,1,2025-01-01,9\n")
    before = stored(scope)
    text, key = FILES[kind]
    told = load(scope, tmp_path, kind, text, dry_run=True)
    assert (told.state, stored(scope)) == ("checked", before)
    assert told.preview is not None and told.preview.rows[0][key]
    name = text.partition("\n")[0].rpartition(",")[2]
    assert told.preview.rows[0].get("properties", told.preview.rows[0].get("TIER")) in (f'{{"{name}":"x"}}', "a")
    done = load(scope, tmp_path, kind, text)
    assert (done.state, codes(done)) == ("loaded", codes(told)) and stored(scope) != before


ORDER_IDS = ["O1", "O9", "O2", "O10", "O3", "O4"]


@pytest.mark.parametrize("refused", [0, 1500])
def test_the_first_rows_are_those_of_the_file(stores: Stores, tmp_path: Path, refused: int) -> None:
    scope = tenant(stores)
    rows = [f"R{number},1,yesterday,9\n" for number in range(refused)]
    rows += [f"{order},1,2025-01-{day:02},9\n" for day, order in enumerate(reversed(ORDER_IDS), 1)]
    orders = "order_id,customer_id,order_date,amount\n" + "".join(rows)
    told = load(scope, tmp_path, "transactions", orders, dry_run=True, allow_rejects=True)
    assert told.preview is not None
    assert [row["transaction_id"] for row in told.preview.rows] == ["O4", "O3", "O10", "O2", "O9"]
    assert told.preview.rows[0]["transaction_time"] == "2025-01-01 00:00:00"


def test_the_first_items_are_those_of_the_file_without_numbers(stores: Stores, tmp_path: Path) -> None:
    scope = tenant(stores)
    items = "order_id,sku,unit_price,customer_id,order_date\n"
    items += "".join(f"T{order},S{row},5,1,2025-01-02\n" for row, order in enumerate([2, 1, 2, 1]))
    told = load(scope, tmp_path, "items", items, dry_run=True)
    assert told.preview is not None
    assert [row["product_id"] for row in told.preview.rows] == ["S0", "S1", "S2", "S3"]


def test_what_would_not_be_loaded_is_told_as_by_a_load(stores: Stores, tmp_path: Path) -> None:
    scope = tenant(stores)
    bad = "customer_id,registration_date\n1,2025-01-02\n2,yesterday\n"
    told = load(scope, tmp_path, "customers", bad, dry_run=True)
    assert (told.state, told.rejected, told.rejects_path is not None) == ("refused", 1, True)
    allowed = load(scope, tmp_path, "customers", bad, dry_run=True, allow_rejects=True)
    assert (allowed.state, allowed.rejected) == ("checked", 1)
    assert allowed.message == "1 row would be loaded; nothing was changed."


def test_over_http(api: httpx.Client, scope: Scope) -> None:
    form = {"kind": "products", "dry_run": "true"}
    answer = api.post("/manage/v1/imports", data=form, files={"file": ("p.csv", b"sku,name\nS9,Hat\n")})
    assert (answer.status_code, answer.json()["state"]) == (201, "checked")
    assert answer.json()["preview"]["rows"][0]["name"] == "Hat"
    assert scope.warehouse.value("SELECT count() FROM products") == 0
    assert "preview" not in api.get(f"/manage/v1/imports/{answer.json()['id']}").json(), "rows are kept nowhere"


def test_customers_who_are_not_there_are_counted(stores: Stores, tmp_path: Path) -> None:
    scope = tenant(stores)
    load(scope, tmp_path, "customers", "customer_id,registration_date\nA,2025-01-02\n")
    orders = "order_id,customer_id,order_date,amount\nT1,a,2025-01-02,9\nT2,B,2025-01-02,9\nT3,b,2025-01-03,9\n"
    told = load(scope, tmp_path, "transactions", orders, dry_run=True)
    assert (told.state, told.counts) == ("checked", {"unknown_customers": 1})
    done = load(scope, tmp_path, "transactions", orders)
    assert (done.counts["new"], done.counts["unknown_customers"]) == (3, 1)
