"""Files in: what is loaded, what is refused, and that a file is all or nothing."""

import csv
import gzip
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from rapport.access.scope import Scope
from rapport.customers import service
from rapport.errors import Invalid

CUSTOMERS = """Customer_ID,Registration_Date,Email,Country,Points,Score,Member_Since,Zip
C1,2025-01-02,c1@example.com,Norway,5,1.23456,2025-01-02,00123
c2,2025-02-03,,Sweden,7,2,,01234
C3,2025-03-04,c3@example.com,,,,2025-03-04,99999
"""
ORDERS = """Order_ID,Customer_ID,Order_Date,Total_Amount,Discount_Amount,Status,Shipping_Amount,Platform
O1,C1,2025-04-01 10:00:00,12.34567,,paid,3.5,web
O2,c1,2025-04-02,20,1.5,,,
O3,C2,2026-01-01 23:59:59,30,,canceled,,app
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    if name.endswith(".gz"):
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.write(text)
    else:
        path.write_text(text)
    return path


def load(scope: Scope, kind: str, path: Path, **more: object) -> service.ImportResult:
    return service.import_file(scope, kind, path, **more)  # type: ignore[arg-type]


def leftovers(scope: Scope) -> list[str]:
    sql = "SELECT name FROM system.tables WHERE database = {d:String} AND startsWith(name, 'import_')"
    return [name for (name,) in scope.warehouse.rows(sql, d=scope.warehouse.name)]


def test_customers_and_their_further_columns(scope: Scope, tmp_path: Path) -> None:
    result = load(scope, "customers", write(tmp_path, "customers.csv", CUSTOMERS), mode="full")
    assert (result.loaded, result.rejected, result.unchanged, result.state) == (3, 0, False, "loaded")
    sql = "SELECT customer_id, REGISTRATION_DATE, EMAIL, COUNTRY, POINTS, SCORE, MEMBER_SINCE, ZIP FROM customers ORDER BY 1"
    assert scope.warehouse.rows(sql) == [
        ("C1", date(2025, 1, 2), "c1@example.com", "Norway", 5, Decimal("1.2346"), date(2025, 1, 2), "00123"),
        ("C3", date(2025, 3, 4), "c3@example.com", None, None, None, date(2025, 3, 4), "99999"),
        ("c2", date(2025, 2, 3), None, "Sweden", 7, Decimal("2.0000"), None, "01234"),
    ]
    types = {info.real_field_name: info.field_type for info in service.attributes(scope).values()}
    assert [types[name] for name in ("POINTS", "SCORE", "MEMBER_SINCE", "ZIP")] == [
        "Bigint",
        "Decimal",
        "Date",
        "Nvarchar",
    ]
    assert leftovers(scope) == []


def test_transactions_take_the_known_spelling_and_keep_further_columns(scope: Scope, tmp_path: Path) -> None:
    load(scope, "customers", write(tmp_path, "customers.csv", CUSTOMERS), mode="full")
    result = load(scope, "transactions", write(tmp_path, "orders.csv.gz", ORDERS), mode="full")
    assert result.loaded == 3
    sql = """
        SELECT transaction_id, customer_id, toString(transaction_time), type, amount, discount, status, platform, properties
        FROM transactions ORDER BY 1
    """
    assert scope.warehouse.rows(sql) == [
        ("O1", "C1", "2025-04-01 10:00:00", "order", 12.3457, 0.0, "paid", "web", {"Shipping_Amount": "3.5"}),
        ("O2", "C1", "2025-04-02 00:00:00", "order", 20.0, 1.5, "", "", {}),
        ("O3", "c2", "2026-01-01 23:59:59", "order", 30.0, 0.0, "canceled", "app", {}),
    ]
