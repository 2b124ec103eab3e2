"""What a row of an incremental file does not say is kept, null clears, and numbers stay as they are written."""

import json
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from emptied import emptied
from import_world import load, values

from rapport.access.scope import Scope
from rapport.customers.importing import imports

REGISTERED = {"Registration_Date": "2025-01-02"}
ORDER = {"Customer_ID": "C1", "Order_Date": "2025-01-02"}


@pytest.fixture
def company(scope: Scope) -> Scope:
    return emptied(scope)


def lines(*rows: dict[str, object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_what_a_json_line_does_not_say_is_kept_and_null_clears(company: Scope, tmp_path: Path) -> None:
    first = [
        {
            "CustomerID": f"JA{n}",
            "Registration_Date": "2025-01-02",
            "City": "Bonn",
            "Email": f"ja{n}@example.com",
            "Size": n,
        }
        for n in range(1, 6)
    ]
    assert load(company, tmp_path, "customers", lines(*first), suffix="jsonl").loaded == 5
    second = (
        {"CustomerID": "ja1", "Registration_Date": "2025-01-02", "City": "Berlin"},
        {"CustomerID": "JA2", "Email": "ja2new@example.com"},
        {"CustomerID": "JA3", "City": None, "Size": None},
        {"CustomerID": "JA4", "City": "", "Email": "NULL"},
        {"CustomerID": "JA6", "City": "Ulm"},
    )
    result = load(company, tmp_path, "customers", lines(*second), suffix="jsonl")
    assert (result.loaded, result.rejected) == (5, 0)
    assert values(company, "CITY", "EMAIL", "SIZE", "toString(REGISTRATION_DATE)") == [
        ("JA1", "Berlin", "ja1@example.com", 1, "2025-01-02"),
        ("JA2", "Bonn", "ja2new@example.com", 2, "2025-01-02"),
        ("JA3", None, "ja3@example.com", None, "2025-01-02"),
        ("JA4", None, None, 4, "2025-01-02"),
        ("JA5", "Bonn", "ja5@example.com", 5, "2025-01-02"),
        ("JA6", "Ulm", None, None, None),
    ]


def test_what_names_the_order_that_it_refunds_is_a_refund_whatever_it_says(company: Scope, tmp_path: Path) -> None:
    assert load(company, tmp_path, "customers", "CustomerID,Registration_Date\nC1,2025-01-02\n").loaded == 1
    text = (
        "Order_ID,Customer_ID,Order_Date,Amount,Type,Refunded Order ID\n"
        "O1,C1,2025-01-02,30,,\nR1,C1,2025-01-05,10,,O1\nR2,C1,2025-01-06,-5,return,O1\n"
    )
    assert load(company, tmp_path, "transactions", text).loaded == 3
    later = [
        {"Order_ID": "R3", **ORDER, "Amount": 3},
        {"Order_ID": "R1", **ORDER, "Amount": 12},
    ]
    assert load(company, tmp_path, "transactions", lines(*later), suffix="jsonl").loaded == 2
    assert load(
        company,
        tmp_path,
        "transactions",
        lines({"Order_ID": "R3", **ORDER, "Amount": 3, "Refund_Of": "O1"}),
        suffix="jsonl",
    ).loaded
    assert company.warehouse.rows("SELECT transaction_id, type, amount, refund_of FROM transactions ORDER BY 1") == [
        ("O1", "order", 30.0, ""),
        ("R1", "refund", 12.0, "O1"),
        ("R2", "refund", -5.0, "O1"),
        ("R3", "refund", 3.0, "O1"),
    ]


def test_a_mandatory_member_is_not_cleared_and_a_full_file_says_everything(company: Scope, tmp_path: Path) -> None:
    row = {"CustomerID": "F1", "Registration_Date": "2025-01-02", "City": "Bonn"}
    load(company, tmp_path, "customers", lines(row), suffix="jsonl")
    cleared = load(
        company, tmp_path, "customers", lines({"CustomerID": "F1", "Registration_Date": None}), suffix="jsonl"
    )
    assert (cleared.state, cleared.rejected) == ("refused", 1)
    other = {"CustomerID": "F1", "Registration_Date": "2025-01-03"}
    load(company, tmp_path, "customers", lines(other, {**row, "CustomerID": "F2"}), suffix="jsonl", mode="full")
    assert values(company, "CITY") == [("F1", None), ("F2", "Bonn")]


@pytest.mark.parametrize(
    ("kind", "first", "second", "columns", "expected"),
    [
        (
            "transactions",
            {
                "Order_ID": "T1",
                "Customer_ID": "C1",
                "Order_Date": "2025-01-02",
                "Amount": 5,
                "Status": "paid",
                "Platform": "web",
            },
            {"Order_ID": "T1", **ORDER, "Amount": 6, "Platform": None},
            "amount, status, platform",
            (6.0, "paid", ""),
        ),
        (
            "products",
            {"Item_ID": "T1", "Item_Name": "Mug", "Price": 4.5, "Brand": "Acme", "Is_Active": "No"},
            {"Item_ID": "T1", "Price": 5, "Brand": None},
            "name, price, brand, is_active",
            ("Mug", 5.0, "", 0),
        ),
        (
            "items",
            {
                "Order_ID": "T1",
                "Line_No": 1,
                "Item_ID": "I1",
                "Unit_Price": 5,
                "Quantity": 3,
                "Customer_ID": "C1",
                "Order_Date": "2025-01-02",
            },
            {
                "Order_ID": "T1",
                "Line_No": 1,
                "Item_ID": "I2",
                "Unit_Price": 6,
                "Customer_ID": "C1",
                "Order_Date": "2025-01-02",
            },
            "product_id, quantity, unit_price",
            ("I2", 3.0, 6.0),
        ),
        (
            "activity",
            {"Event_ID": "T1", "Event": "page", "Customer_ID": "C1", "Event_Date": "2025-01-02 10:00:00"},
            {"Event_ID": "T1", "Event": "page", "Customer_ID": "C1", "Event_Date": "2025-01-02 11:00:00"},
            "toHour(event_at), origin",
            (10, "file"),
        ),
    ],
)
def test_rows_of_every_kind_keep_what_is_not_said(
    company: Scope,
    tmp_path: Path,
    kind: str,
    first: dict[str, object],
    second: dict[str, object],
    columns: str,
    expected: tuple[object, ...],
) -> None:
    more = {"Color": "red", "Note": "old", "Late": "yes"}
    load(company, tmp_path, kind, lines({**first, **more}), suffix="jsonl")
    again = {**second, "Note": "new", "Late": None, "Extra": "1"}
    other = {**first, next(iter(first)): "T2"}
    result = load(company, tmp_path, kind, lines(again, other), suffix="jsonl")
    assert (result.loaded, imports.import_of(company, result.import_id).counts["updated"]) == (2, 1)
    table, key = {"transactions": ("transactions", "transaction_id"), "products": ("products", "product_id")}.get(
        kind, ("transaction_items", "transaction_id") if kind == "items" else ("activity_events", "event_id")
    )
    sql = f"SELECT {columns}, properties FROM {table} WHERE {key} = 'T1'"
    assert company.warehouse.rows(sql) == [(*expected, {"Color": "red", "Note": "new", "Extra": "1"})]


@pytest.mark.parametrize(("rule", "kept"), [(None, False), ("clear", False), ("keep", True)])
def test_blank_cells_clear_or_keep(company: Scope, tmp_path: Path, rule: str | None, kept: bool) -> None:
    header = "CustomerID,Registration_Date,City,Email,Size\n"
    load(company, tmp_path, "customers", header + "B1,2025-01-02,Bonn,b1@example.com,4\n")
    mapping = {"blank_cells": rule} if rule else None
    later = "CustomerID,City,Email,Size\nB1,,new@example.com,NULL\nB2,,,\n"
    assert load(company, tmp_path, "customers", later, mapping=mapping).loaded == 2
    expected = ("B1", "Bonn", "new@example.com", 4) if kept else ("B1", None, "new@example.com", None)
    assert values(company, "CITY", "EMAIL", "SIZE") == [expected, ("B2", None, None, None)]


def test_blank_cells_of_transactions(company: Scope, tmp_path: Path) -> None:
    header = "Order_ID,Customer_ID,Order_Date,Amount,Status,Color\n"
    load(company, tmp_path, "transactions", header + "O1,C1,2025-01-02,5,paid,red\n")
    load(company, tmp_path, "transactions", header + "O1,C1,2025-01-03,6,,\n", mapping={"blank_cells": "keep"})
    sql = "SELECT amount, status, properties FROM transactions"
    assert company.warehouse.rows(sql) == [(6.0, "paid", {"Color": "red"})]
    load(company, tmp_path, "transactions", header + "O1,C1,2025-01-03,7,,\n")
    assert company.warehouse.rows(sql) == [(7.0, "", {})]


def test_the_api_takes_the_rule_for_blank_cells(api: httpx.Client, scope: Scope) -> None:
    def upload(text: str, **more: str) -> None:
        answer = api.post("/manage/v1/imports", files={"file": ("p.csv", text)}, data={"kind": "products", **more})
        assert answer.json()["state"] == "loaded", answer.text

    upload("Item_ID,Item_Name,Brand\nP1,Mug,Acme\n")
    upload("Item_ID,Item_Name,Brand\nP1,,Other\n", blank_cells="keep")
    assert scope.warehouse.rows("SELECT name, brand FROM products WHERE product_id = 'P1'") == [("Mug", "Other")]


def test_numbers_in_json_stay_as_they_are_written(company: Scope, tmp_path: Path) -> None:
    written = ["1.10", "1.1", "12345678901234567890123", "9007199254740993", "1e5", "1E+05", "-0", "0.1", "1.0", "7"]
    note = '"Note": "a \\"k\\": 1.50, {2.50}"'
    text = "".join(
        f'{{"CustomerID": "N{n:02}", "Registration_Date" : "2025-01-02", "Code":{one}, {note} }}\n'
        for n, one in enumerate(written)
    )
    assert load(company, tmp_path, "customers", text, suffix="jsonl").loaded == len(written)
    found = values(company, "CODE", "NOTE")
    assert [code for _, code, _ in found] == written
    assert {note for _, _, note in found} == {'a "k": 1.50, {2.50}'}


def test_ids_and_prices_in_json_are_read_as_they_are_written(company: Scope, tmp_path: Path) -> None:
    text = (
        '{"CustomerID":17850.0,"Registration_Date":"2025-01-02","Price":10.50,"Tags":[1.10,{"a":2.50}]}\n'
        '{"CustomerID":123456789012345678901,"Registration_Date":"2025-01-02","Price":9.00,"Tags":null}\n'
    )
    assert load(company, tmp_path, "customers", text, suffix="jsonl").loaded == 2
    assert [(one, price) for one, price, _ in values(company, "PRICE", "TAGS")] == [
        ("123456789012345678901", Decimal(9)),
        ("17850.0", Decimal("10.5")),
    ]


def test_a_line_that_is_no_json_is_refused(company: Scope, tmp_path: Path) -> None:
    text = (
        '{"CustomerID":"G1","Registration_Date":"2025-01-02","Zip":01067.5}\n'
        '{"CustomerID":"G2","Registration_Date":"2025-01-02","Zip":1.5abc}\n'
        '{"CustomerID":"G3","Registration_Date":"2025-01-02","Zip":1.50}\n'
    )
    result = load(company, tmp_path, "customers", text, suffix="jsonl", allow_rejects=True)
    assert (result.loaded, result.rejected) == (1, 2)
