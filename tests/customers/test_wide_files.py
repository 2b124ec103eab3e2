"""Files of several hundred columns are loaded like narrow ones: every column has its type, values and faults."""

import csv
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from import_world import load, tenant, values

from rapport.customers.attributes import attributes
from rapport.stores import Stores

COLUMNS, ROWS = 400, 3
# Enough to be wide, for what takes a look at each column by itself.
FEWER = 160


def cell(column: int, row: int) -> str:
    """A text of a column: the kinds of columns take turns."""
    kinds = (
        f" text {column} {row} ",
        str(column * row + 7),
        f"{row}.5{column % 9 + 1}",
        f"2024-01-{row + 1:02d}",
        f"2024-02-{column % 28 + 1:02d} 10:00:0{row}",
        "" if row else f"only {column}",
    )
    return kinds[column % len(kinds)]


def stored(column: int, row: int) -> object:
    text = cell(column, row).strip()
    reads = (str, int, Decimal, date.fromisoformat, datetime.fromisoformat, str)
    return reads[column % len(reads)](text) if text else None


def wide(row_numbers: range, columns: int = COLUMNS, faults: dict[tuple[int, int], str] | None = None) -> str:
    lines = ["CustomerID," + ",".join(f"Col {column}" for column in range(columns))]
    for row in row_numbers:
        cells = ((faults or {}).get((column, row), cell(column, row)) for column in range(columns))
        lines.append(f"C{row}," + ",".join(cells))
    return "\n".join(lines) + "\n"


def test_a_file_of_hundreds_of_columns_is_loaded(stores: Stores, tmp_path: Path) -> None:
    company = tenant(stores)
    load(company, tmp_path, "customers", wide(range(ROWS)))
    types = ("Nvarchar", "Bigint", "Decimal", "Date", "Datetime", "Nvarchar")
    found = attributes(company)
    assert [found[f"COL_{n}"].field_type for n in range(COLUMNS)] == [types[n % len(types)] for n in range(COLUMNS)]
    rows = values(company, *(f"COL_{n}" for n in range(COLUMNS)))
    assert [list(row[1:]) for row in rows] == [[stored(n, row) for n in range(COLUMNS)] for row in range(ROWS)]


def test_what_does_not_fit_is_told_by_its_column(stores: Stores, tmp_path: Path) -> None:
    company = tenant(stores)
    load(company, tmp_path, "customers", wide(range(ROWS), FEWER))
    faults = {(151, 4): "many", (152, 4): "1.23456", (153, 5): "2024-13-01", (150, 6): "bell \x07", (157, 6): "0007"}
    result = load(company, tmp_path, "customers", wide(range(4, 8), FEWER, faults), allow_rejects=True)
    assert result.rejects_path is not None
    assert (result.loaded, result.rejected) == (1, 3)
    with result.rejects_path.open(newline="") as file:
        told = {(row["line"], row["column"]): row["reason"] for row in csv.DictReader(file)}
    assert set(told) == {("2", "Col 151"), ("2", "Col 152"), ("3", "Col 153"), ("4", "Col 150"), ("4", "Col 157")}
    assert "whole number" in told["2", "Col 151"] and "form" in told["2", "Col 152"]
    assert "date" in told["3", "Col 153"] and "U+0007" in told["4", "Col 150"]
    assert [row[0] for row in values(company)] == ["C0", "C1", "C2", "C7"]
