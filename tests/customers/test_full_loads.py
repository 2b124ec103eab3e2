"""Full loads ask before they remove everybody, or more than a share, of every kind of file."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from emptied import emptied
from import_world import load

from rapport.access.scope import Scope
from rapport.customers.importing import imports
from rapport.customers.importing.file_kinds import KINDS

HEADERS = {
    "customers": "CustomerID,Registration_Date",
    "transactions": "Transaction_ID,CustomerID,Transaction_Date,Amount",
    "items": "Transaction_ID,Line_No,Item_ID,Unit_Price,CustomerID,Transaction_Date",
    "products": "Item_ID,Item_Name",
    "activity": "Event_ID,Event_Name,CustomerID,Event_Date",
}
ROWS = {
    "customers": "C{n},2025-01-02",
    "transactions": "T{n},C{n},2025-01-02,5",
    "items": "T{n},1,I1,5,C{n},2025-01-02",
    "products": "I{n},Mug {n}",
    "activity": "E{n},page,C{n},2025-01-02 10:00:00",
}


def rows(kind: str, numbers: range) -> str:
    return HEADERS[kind] + "\n" + "".join(ROWS[kind].format(n=n) + "\n" for n in numbers)


def stored(scope: Scope, kind: str) -> int:
    return int(scope.warehouse.value(f"SELECT count() FROM {KINDS[kind].table}"))


@pytest.fixture
def company(scope: Scope) -> Scope:
    return emptied(scope)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_full_load_that_removes_too_much_asks_and_changes_nothing(company: Scope, tmp_path: Path, kind: str) -> None:
    assert load(company, tmp_path, kind, rows(kind, range(10)), mode="full").state == "loaded"
    cut = rows(kind, range(7))
    asked = load(company, tmp_path, kind, cut, mode="full")
    assert (asked.state, asked.loaded, asked.unchanged) == ("needs_confirmation", 0, False)
    assert f"would remove 3 of 10 {kind}" in asked.message and "--confirm-removal" in asked.message
    assert stored(company, kind) == 10
    assert imports.import_of(company, asked.import_id).state == "needs_confirmation"
    sure = load(company, tmp_path, kind, cut, mode="full", confirm_removal=True)
    assert (sure.state, sure.loaded, stored(company, kind)) == ("loaded", 7, 7)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_full_load_may_remove_up_to_the_share(company: Scope, tmp_path: Path, kind: str) -> None:
    load(company, tmp_path, kind, rows(kind, range(10)), mode="full")
    result = load(company, tmp_path, kind, rows(kind, range(2, 14)), mode="full")
    assert (result.state, stored(company, kind)) == ("loaded", 12)


def test_a_file_of_other_people_and_one_without_any_ask_whatever_the_share(company: Scope, tmp_path: Path) -> None:
    company = replace(company, settings={"files": {"removal_share": 1.0}})
    load(company, tmp_path, "customers", rows("customers", range(2)), mode="full")
    others = load(company, tmp_path, "customers", rows("customers", range(5, 9)), mode="full")
    assert others.state == "needs_confirmation" and "2 of 2 customers" in others.message
    assert load(company, tmp_path, "customers", rows("customers", range(1, 2)), mode="full").state == "loaded"
    assert stored(company, "customers") == 1


def test_rows_that_are_refused_count_as_removed(company: Scope, tmp_path: Path) -> None:
    load(company, tmp_path, "customers", rows("customers", range(4)), mode="full")
    broken = HEADERS["customers"] + "\nC0,2025-01-02\n" + "".join(f"C{n},never\n" for n in range(1, 4))
    assert load(company, tmp_path, "customers", broken, mode="full", allow_rejects=True).state == "needs_confirmation"
    assert stored(company, "customers") == 4


def test_spellings_in_other_case_and_incremental_files_remove_nobody(company: Scope, tmp_path: Path) -> None:
    load(company, tmp_path, "customers", rows("customers", range(4)), mode="full")
    assert load(company, tmp_path, "customers", rows("customers", range(4)).lower(), mode="full").state == "loaded"
    assert load(company, tmp_path, "customers", rows("customers", range(1)), mode="incremental").state == "loaded"
    assert stored(company, "customers") == 4


def test_items_without_line_numbers_are_known_by_their_transaction(company: Scope, tmp_path: Path) -> None:
    header = "Transaction_ID,Item_ID,Unit_Price,CustomerID,Transaction_Date\n"
    lines = [f"T{n},I1,5,C{n},2025-01-02\n" for n in range(6)]
    load(company, tmp_path, "items", header + "".join(lines), mode="full")
    assert load(company, tmp_path, "items", header + "".join(reversed(lines)), mode="full").state == "loaded"


def test_events_of_real_time_count_neither_as_stored_nor_as_removed(company: Scope, tmp_path: Path) -> None:
    load(company, tmp_path, "activity", rows("activity", range(5)), mode="full")
    company.warehouse.execute("""
        INSERT INTO activity_events (event_id, event_type_id, customer_id, event_at, origin)
        SELECT concat('live', toString(number)), 1, 'C1', now64(3), 'sdk' FROM numbers(100)
    """)
    asked = load(company, tmp_path, "activity", rows("activity", range(3)), mode="full")
    assert asked.state == "needs_confirmation" and "2 of 5 activity" in asked.message


def test_the_api_asks_and_takes_the_confirmation(company: Scope, api: httpx.Client) -> None:
    def upload(text: str, **more: str) -> dict[str, object]:
        data = {"kind": "products", "mode": "full", **more}
        answer = api.post("/manage/v1/imports", files={"file": ("p.csv", text.encode())}, data=data)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    assert upload(rows("products", range(3)))["state"] == "loaded"
    assert upload(rows("products", range(1)))["state"] == "needs_confirmation"
    assert upload(rows("products", range(1)), confirm_removal="true")["state"] == "loaded"


def test_the_share_is_a_setting_of_the_tenant(api: httpx.Client) -> None:
    changed = {"settings": {"files": {"removal_share": 0.5}}}
    assert api.patch("/manage/v1/tenants/current", json=changed).status_code == 200
    refused = api.patch("/manage/v1/tenants/current", json={"settings": {"files": {"removal_share": 2}}})
    assert refused.status_code == 400 and "files.removal_share" in refused.text
