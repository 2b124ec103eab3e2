"""RemoveCustomerPII takes away what identifies a person under whatever header, in properties, too."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from canaries import in_warehouse, uncompressed, wait_until_gone

from rapport.access.scope import Scope
from rapport.customers.importing import imports
from rapport.customers.importing.imports import ImportResult
from rapport.customers.writes import attribute_requests

HEADER = (
    "CustomerID,Registration_Date,Home Email,First Name,Telefon,Mobile #,Geburtsdatum,FNAME,Straße,MERGE3,"
    "Contact,Line,Notes,City\n"
)
PERSON = (
    "Kim,2025-01-02,zqcanarymail@example.com,Zqcanaryfirst,+49 30 7654321,0151 7654322,1980-05-06,Zqcanaryfname,"
    "Zqcanarystreet 12,zqcanarymerge,"
    "zqcanaryother@example.com,+49 40 7654323,calls herself Zqcanaryfirst,Oslo\n"
)
OTHER = (
    "Lee,2025-01-02,lee@example.com,Lee,+49 30 1111111,0151 1111112,1981-06-07,Leo,Way 3,x,l2@example.com,"
    "+49 40 1111113,likes tea,Bonn\n"
)
WORDS = ["zqcanary", "7654321", "7654322", "7654323", "1980-05-06", "765 4321"]
MARKED = ["HOME_EMAIL", "TELEFON", "GEBURTSDATUM", "FNAME", "MERGE3", "CONTACT", "LINE"]
ORDERS = (
    "Order_ID,CustomerID,Order_Date,Amount,shipping_name,note,gift,coupon\n"
    'T1,Kim,2025-02-01 10:00:00,5,Zqcanaryship,for Zqcanaryfirst,"{""to"": {""e-mail"": ""Zqcanarynested""}}",C7\n'
    "T2,Lee,2025-02-01 10:00:00,5,Leeship,for Lee,,C8\n"
)
ITEMS = (
    "Order_ID,Line_No,CustomerID,Order_Date,Item_ID,Unit_Price,engraving,colour\n"
    "T1,1,Kim,2025-02-01 10:00:00,p1,5,zqcanarymail@example.com,red\n"
    "T2,1,Lee,2025-02-01 10:00:00,p1,5,lee@example.com,blue\n"
)
EVENTS = (
    "Event_ID,Event_Name,CustomerID,Event_Date,callback,born,page\n"
    "E1,ask,Kim,2025-02-01 10:00:00,(030) 765-4321,1980-05-06,https://x.org/?mail=zqcanarymail%40example.com\n"
    "E2,ask,Lee,2025-02-01 10:00:00,(030) 111-1111,1981-06-07,home\n"
)
TABLES = ["customers", "profiles", "transactions", "transaction_items", "activity_events"]
FIRST = {
    "transactions": "transaction_id IN ('T1', 'T2')",
    "transaction_items": "transaction_id IN ('T1', 'T2')",
    "activity_events": "event_id IN ('E1', 'E2')",
}


def load(scope: Scope, folder: Path, kind: str, content: str) -> ImportResult:
    path = folder / f"{kind}.csv"
    path.write_text(content)
    return imports.import_file(scope, kind, path, None, "incremental", allow_rejects=False)


@pytest.fixture(scope="module")
def told(scope: Scope, api: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """The person loaded and removed; the warnings of the import."""
    folder = tmp_path_factory.mktemp("files")
    warnings = load(scope, folder, "customers", HEADER + PERSON + OTHER).warnings
    uncompressed(scope, TABLES)
    scope.warehouse.execute("INSERT INTO profiles SELECT toDate('2025-02-01'), * FROM customers")
    for kind, content in (("transactions", ORDERS), ("items", ITEMS), ("activity", EVENTS)):
        load(scope, folder, kind, content)
    assert {place.split(".")[0] for place in in_warehouse(scope, WORDS)} == set(TABLES)
    answer = api.post("/current/customers/RemoveCustomerPII", json={"CustomerIDs": ["kim"]})
    assert answer.json() == {"FailedCustomerIDs": []}
    yield warnings


def properties(scope: Scope, table: str, customer_id: str) -> dict[str, str]:
    sql = f"SELECT properties FROM {table} WHERE customer_id = {{c:String}} AND {FIRST[table]}"
    found: dict[str, str] = scope.warehouse.value(sql, c=customer_id)
    return found


def test_columns_that_identify_are_marked_and_told(scope: Scope, api: httpx.Client, told: list[dict[str, Any]]) -> None:
    (warning,) = [one for one in told if one["code"] == "personal_data"]
    assert warning["count"] >= len(MARKED) and "'Home Email' (HOME_EMAIL): e-mail addresses" in warning["examples"]
    found = {one["name"]: (one["is_pii"], one["pii_reason"]) for one in api.get("/manage/v1/attributes").json()}
    # Another test decides about LINE.
    assert any("(LINE)" in example for example in warning["examples"])
    assert {found[name] for name in MARKED if name != "LINE"} == {(True, "name")}
    assert found["NOTES"] == (False, "none")


def test_nothing_that_identifies_is_left_anywhere(scope: Scope, told: list[dict[str, Any]]) -> None:
    wait_until_gone(scope, WORDS, [scope.stores.settings.data_dir / "warehouse"])
    assert scope.warehouse.value("SELECT CITY FROM customers WHERE customer_id = 'Kim'") in ("Oslo", "Rome", "Wien")
    assert properties(scope, "transactions", "Kim") == {"coupon": "C7"}
    assert properties(scope, "transaction_items", "Kim") == {"colour": "red"}
    assert properties(scope, "activity_events", "Kim") == {}


def test_others_keep_what_they_have(scope: Scope, told: list[dict[str, Any]]) -> None:
    assert properties(scope, "transactions", "Lee") == {"shipping_name": "Leeship", "note": "for Lee", "coupon": "C8"}
    assert properties(scope, "activity_events", "Lee")["callback"] == "(030) 111-1111"
    row = scope.warehouse.row("SELECT HOME_EMAIL, NOTES, LINE FROM customers WHERE customer_id = 'Lee'")
    assert row == ("lee@example.com", "likes tea", "+49 40 1111113")


def test_who_comes_back_stays_masked(scope: Scope, told: list[dict[str, Any]], tmp_path: Path) -> None:
    wait_until_gone(scope, WORDS, [])
    load(
        scope, tmp_path, "customers", HEADER + PERSON.replace("Oslo", "Rome").replace("calls herself Zqcanaryfirst", "")
    )
    for kind, content in (("transactions", ORDERS), ("items", ITEMS), ("activity", EVENTS)):
        lines = content.replace("for Zqcanaryfirst", "x").replace("1980-05-06", "y").splitlines(keepends=True)
        load(scope, tmp_path, kind, lines[0] + lines[1].replace("T1", "T9").replace("E1", "E9"))
    assert in_warehouse(scope, WORDS) == []
    assert scope.warehouse.rows("SELECT CITY FROM customers WHERE customer_id = 'Kim'") == [("Rome",)]
    attribute_requests.upsert(scope, "KIM", [["NOTES", "write to zqcanarynew@example.com"], ["CITY", "Wien"]], None)
    assert in_warehouse(scope, WORDS) == []


def test_a_decision_is_kept(scope: Scope, api: httpx.Client, told: list[dict[str, Any]], tmp_path: Path) -> None:
    answer = api.patch("/manage/v1/attributes/LINE", json={"is_pii": False})
    assert (answer.json()["is_pii"], answer.json()["pii_reason"]) == (False, "decided")
    warnings = load(scope, tmp_path, "customers", HEADER + OTHER.replace("Bonn", "Ulm")).warnings
    assert [one for one in warnings if one["code"] == "personal_data"] == []
    assert scope.warehouse.value("SELECT LINE FROM customers WHERE customer_id = 'Lee'") == "+49 40 1111113"


def test_made_by_hand(scope: Scope, api: httpx.Client, told: list[dict[str, Any]]) -> None:
    def made(name: str, **given: object) -> tuple[bool, str]:
        body = {"name": name, "field_type": "Nvarchar", **given}
        answer = api.post("/manage/v1/attributes", json=body).json()
        return answer["is_pii"], answer["pii_reason"]

    assert made("HOME_PHONE") == (True, "name")
    assert made("FAVOURITE_TEA") == (False, "none")
    assert made("WORK_PHONE", is_pii=False) == (False, "decided")
    attribute_requests.upsert(scope, "Kim", [["HOME_PHONE", "030"], ["WORK_PHONE", "desk"]], None)
    kept = scope.warehouse.row("SELECT HOME_PHONE, WORK_PHONE FROM customers WHERE customer_id = 'Kim'")
    assert kept == (None, "desk")
