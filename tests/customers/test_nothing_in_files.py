"""Words for nobody and for nothing in files: refused as ids, and no news of an address or a name that is known."""

import json
from pathlib import Path

import pytest

from rapport.access.scope import Scope
from rapport.customers.importing import imports
from rapport.customers.importing.imports import ImportResult

HEADER = "Customer_ID,Registration_Date,Email,First_Name,Last_Name,City\n"
NOBODY = ["undefined", " NULL ", "None", "NaN", "0", "[object Object]", "00000000-0000-0000-0000-000000000000", "#N/A"]


def load(scope: Scope, path: Path, rows: str, mode: str = "incremental", rejects: bool = False) -> ImportResult:
    path.write_text(HEADER + rows)
    return imports.import_file(scope, "customers", path, None, mode, allow_rejects=rejects)


def people(scope: Scope) -> list[tuple[str | None, ...]]:
    sql = "SELECT customer_id, EMAIL, FIRST_NAME, LAST_NAME, CITY FROM customers ORDER BY customer_id"
    return scope.warehouse.rows(sql)


@pytest.fixture(autouse=True)
def nobody(scope: Scope) -> None:
    scope.warehouse.execute("TRUNCATE TABLE customers")


@pytest.mark.parametrize("mode", ["incremental", "full"])
def test_words_for_nothing_replace_no_known_address_or_name(scope: Scope, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "customers.csv"
    load(scope, path, f"A1,2024-01-01,{mode}@example.com,Ann,Ahn,Wien\nB1,2024-01-01,,,,\n")
    rows = "a1,2024-01-01,undefined,null,[object Object],Rom\nB1,2024-01-01,None,Nan,Null,null\n"
    result = load(scope, path, rows, mode)
    assert people(scope) == [
        ("A1", f"{mode}@example.com", "Ann", "Ahn", "Rom"),
        ("B1", None, "Nan", "Null", "null"),
    ]
    told = {
        one["message"].split(" no more ")[0]: one["examples"]
        for one in result.warnings
        if one["code"] == "says_nothing"
    }
    assert {name: sorted(values) for name, values in told.items()} == {
        "2 values of Email are": ["None", "undefined"],
        "1 value of First_Name is": ["null"],
        "1 value of Last_Name is": ["[object Object]"],
    }


def test_rows_of_nobody_are_rejects_with_a_reason(scope: Scope, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    rows = "".join(f"{one},2024-01-01,x{n}@example.com,,,\n" for n, one in enumerate(NOBODY))
    result = load(scope, path, rows + "C1,2024-01-01,c@example.com,,,\n", rejects=True)
    assert [row[0] for row in people(scope)] == ["C1"]
    assert result.rejected == len(NOBODY) and result.rejects_path is not None
    told = result.rejects_path.read_text()
    assert told.count("identifies nobody") + told.count("is required and empty") == len(NOBODY)


def test_events_of_nobody_in_files_are_rejects(scope: Scope, tmp_path: Path) -> None:
    path = tmp_path / "activity.jsonl"
    at = "2025-01-01 10:00:00"
    rows = [
        {"Event_ID": f"e{n}", "Event_Name": "visit", "Customer_ID": who, "Event_Date": at}
        for n, who in enumerate([*NOBODY, "C1"])
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = imports.import_file(scope, "activity", path, None, "incremental", allow_rejects=True)
    assert (result.loaded, result.rejected) == (1, len(NOBODY))
    assert scope.warehouse.rows("SELECT customer_id FROM activity_events") == [("C1",)]
