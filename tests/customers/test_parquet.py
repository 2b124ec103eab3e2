"""Parquet: instants become the tenant's clock or stay instants, and no value is shifted, rounded or half shown."""

import time
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from emptied import emptied

from rapport.access.scope import Scope
from rapport.customers.importing import imports
from rapport.customers.importing.imports import ImportResult
from rapport.errors import Invalid
from rapport.stores.warehouse import Database

Load = Callable[..., ImportResult]
AT = datetime(2025, 7, 1, 22, 30)


@pytest.fixture
def scope(scope: Scope) -> Scope:
    return emptied(scope)


@pytest.fixture
def load(scope: Scope, tmp_path: Path) -> Load:
    """Imports a table of columns."""

    def imported(kind: str, columns: dict[str, object], **mapping: object) -> ImportResult:
        path = tmp_path / f"{time.time_ns()}.parquet"
        pq.write_table(pa.table(columns), path)
        return imports.import_file(scope, kind, path, mapping, allow_rejects=True)

    return imported


UNITS = [(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "America/New_York")]


# A server of its own reads the file as the embedded engine does.
@pytest.mark.parametrize(
    ("unit", "zone", "embedded"), [*((*unit, True) for unit in UNITS), (*UNITS[0], False), (*UNITS[-1], False)]
)
def test_times_of_every_unit_and_zone(
    scope: Scope, load: Load, monkeypatch: pytest.MonkeyPatch, unit: str, zone: str | None, embedded: bool
) -> None:
    monkeypatch.setattr(Database, "embedded", embedded)
    times = pa.array([AT, AT], pa.timestamp(unit, zone))
    orders = {"Transaction_ID": [1.0, 2.0], "CustomerID": [17850.0, 17851.0], "Transaction_Date": times}
    assert load("transactions", {**orders, "Amount": [Decimal("1.10"), Decimal("2.20")]}).loaded == 2
    sql = "SELECT transaction_id, customer_id, toString(transaction_time), amount FROM transactions ORDER BY 1"
    wall = "2025-07-02 00:30:00" if zone else "2025-07-01 22:30:00"
    assert scope.warehouse.rows(sql) == [("1", "17850", wall, 1.1), ("2", "17851", wall, 2.2)]
    events = {"Event_ID": ["a", "b"], "Event": ["visit", "visit"], "CustomerID": ["1", "2"], "Event_Date": times}
    assert load("activity", events, date_format="%d.%m.%Y").loaded == 2
    at = "2025-07-01 22:30:00.000" if zone else "2025-07-01 20:30:00.000"
    assert scope.warehouse.rows("SELECT toString(event_at) FROM activity_events") == [(at,), (at,)]


def test_values_of_every_type(scope: Scope, load: Load) -> None:
    table = {
        "Item_ID": pa.array([2**53 + 1]),
        "Item_Name": pa.array(["Tee"]).dictionary_encode(),
        "Category": pa.array(["ü"], pa.large_string()),
        "Is_Active": pa.array([False]),
        "Price": pa.array([Decimal("10.50")], pa.decimal128(10, 2)),
        "Big": pa.array([2**64 - 1], pa.uint64()),
        "Old": pa.array([date(1958, 6, 15)], pa.date32()),
        "Day": pa.array([date(2025, 6, 15)], pa.date64()),
        "Noon": pa.array([43_200], pa.time32("s")),
        "Tags": pa.array([["a", "b"]]),
        "Size": pa.array([{"w": 1, "h": "x"}]),
        "Missing": pa.array([None], pa.null()),
        "NaN": pa.array([float("nan")]),
        "Small": pa.array([0.1], pa.float32()),
    }
    assert load("products", table).loaded == 1
    sql = "SELECT product_id, name, category, is_active, price, properties FROM products"
    assert scope.warehouse.row(sql) == (
        "9007199254740993",
        "Tee",
        "ü",
        0,
        10.5,
        {
            "Big": "18446744073709551615",
            "Old": "1958-06-15",
            "Day": "2025-06-15",
            "Noon": "12:00:00.000",
            "Tags": '["a","b"]',
            "Size": '{"w":1,"h":"x"}',
            "Small": "0.1",
        },
    )


def test_what_no_column_can_hold_is_refused(scope: Scope, load: Load) -> None:
    people = {
        "CustomerID": ["1", "2", "3", "4", None, "6"],
        "Registration_Date": pa.array([date(2025, 1, 2)] * 4 + [None, date(2025, 1, 2)]),
        "Date_Of_Birth": pa.array(
            [date(1850, 1, 1), date(9999, 12, 31), date(1958, 6, 15), None, None, None], pa.date32()
        ),
        "Own": pa.array([b"x", b"x", b"x", b"\xff\x00", None, b"b"]),
    }
    result = load("customers", people)
    assert (result.loaded, result.rejected) == (2, 3)
    births = scope.warehouse.rows("SELECT customer_id, DATE_OF_BIRTH FROM customers ORDER BY 1")
    assert births == [("3", date(1958, 6, 15)), ("6", None)]
    orders = {
        "Transaction_ID": ["a", "b", "c"],
        "CustomerID": ["1"] * 3,
        "Transaction_Date": [AT] * 3,
        "Amount": [float("nan"), float("inf"), 1.0],
    }
    assert load("transactions", orders).loaded == 1


def test_a_new_attribute_of_instants_reads_as_the_tenants_clock(scope: Scope, load: Load) -> None:
    seen = pa.array([AT], pa.timestamp("us", "UTC"))
    load("customers", {"CustomerID": ["1"], "Registration_Date": seen, "Last_Seen": seen})
    sql = "SELECT toString(REGISTRATION_DATE), toString(LAST_SEEN) FROM customers"
    assert scope.warehouse.row(sql) == ("2025-07-02", "2025-07-02 00:30:00")


def test_a_file_that_is_cut_off_is_refused(scope: Scope, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"Item_ID": [str(place) for place in range(20_000)]}), path)
    whole = path.read_bytes()
    for cut in (whole[:-4], whole[: len(whole) // 2], whole[:10], whole[: len(whole) // 4] + whole[len(whole) // 3 :]):
        path.write_bytes(cut)
        with pytest.raises(Invalid, match=r"cannot be read|not a readable Parquet"):
            imports.import_file(scope, "products", path)
    assert scope.warehouse.value("SELECT count() FROM products") == 0
