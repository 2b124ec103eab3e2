"""A small file takes little: what it unpacks to, its rows and its columns have bounds, and each is a sentence."""

import gzip
import io
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from emptied import emptied
from import_world import load

from rapport.access.scope import Scope
from rapport.customers.formats import encodings
from rapport.customers.formats.mending import LONGEST_ROW
from rapport.customers.importing import rejects
from rapport.errors import Invalid

HEAD = b"Customer_ID,Registration_Date,City\n"
TOO_LONG = f"The file has a row of more than {LONGEST_ROW >> 20} MiB: is a quote in it never closed?"
TOO_MUCH = "The file unpacks to more than 200 times its size: split it, or do not compress it."
LONG = b"x" * (LONGEST_ROW + 100)
LINES = b"x\n" * (LONGEST_ROW // 2 + 100)


@pytest.fixture(scope="module")
def company(scope: Scope) -> Scope:
    return emptied(scope)


def refusal(company: Scope, folder: Path, body: bytes, **more: object) -> str:
    with pytest.raises(Invalid) as refused:
        load(company, folder, "customers", body, **more)
    return refused.value.message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("suffix", "body"),
    [
        ("csv", HEAD + b"C1,2025-01-02," + LONG + b"\n"),
        ("csv", HEAD + b"C1,2025-01-02," + LONG),
        ("csv", HEAD + b'C1,2025-01-02,"' + LONG + b'"\nC2,2025-01-02,Bonn\n'),
        ("csv", HEAD + b'C1,2025-01-02,a "stray" quote\nC2,2025-01-02,' + LONG + b"\n"),
        ("jsonl", b'{"Customer_ID": "C1", "City": "' + LONG + b'"}\n'),
        ("jsonl", b"[" * 10 + b"\n" + b"{" * len(LONG)),
    ],
)
def test_a_row_of_megabytes_is_refused(company: Scope, tmp_path: Path, suffix: str, body: bytes, encoding: str) -> None:
    if suffix == "jsonl" and body.startswith(b"["):
        body = b'{"Customer_ID": "C1"}\n' + body
    assert refusal(company, tmp_path, body.decode().encode(encoding), suffix=suffix) == TOO_LONG


def test_so_is_one_of_many_lines_in_quotes(company: Scope, tmp_path: Path) -> None:
    assert refusal(company, tmp_path, HEAD + b'C1,2025-01-02,"' + LINES + b'"\n') == TOO_LONG


def test_a_long_file_of_short_rows_is_not(company: Scope, tmp_path: Path) -> None:
    rows = b"".join(b'C%d,2025-01-02,"Bonn\n%s"\n' % (number, b"x" * 100) for number in range(50_000))
    assert load(company, tmp_path, "customers", HEAD + rows).loaded == 50_000


@pytest.mark.parametrize("suffix", ["csv.gz", "jsonl.gz", "parquet.gz"])
def test_what_unpacks_to_hundreds_of_times_its_size_is_refused(company: Scope, tmp_path: Path, suffix: str) -> None:
    heads = {"csv.gz": HEAD, "jsonl.gz": b'{"Customer_ID": "C1"}\n', "parquet.gz": b"PAR1"}
    packed = gzip.compress(heads[suffix] + b"C1,2025-01-02,Bonn\n" * 4_000_000, 9)
    assert len(packed) < 1 << 19
    assert refusal(company, tmp_path, packed, suffix=suffix) == TOO_MUCH


def test_one_long_field_is_never_held(company: Scope, tmp_path: Path) -> None:
    packed = gzip.compress(HEAD + b"C1,2025-01-02," + b"x" * (60 << 20) + b"\n")
    tracemalloc.start()
    try:
        assert refusal(company, tmp_path, packed, suffix="csv.gz") == TOO_LONG
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 30 << 20


@pytest.mark.parametrize(
    ("body", "suffix", "told"),
    [
        (HEAD.strip() + b"," * 20_000 + b"\nC1,2025-01-02,Bonn\n", "csv", "cells, more than 16384."),
        (b'"' + b"x" * 200_000 + b'",b\nC1,2\n', "csv", "a cell in it is too long."),
        (b"".join(b'{"k%d": 1}\n' % number for number in range(3_000)), "jsonl", "has more than 1000 columns."),
    ],
)
def test_headers_have_bounds(company: Scope, tmp_path: Path, body: bytes, suffix: str, told: str) -> None:
    assert refusal(company, tmp_path, body, suffix=suffix).endswith(told)


@pytest.mark.parametrize("name", ["c\u2028", "City ", " City", "a\\b", "a`b", "a.b", "a'b", "a{b:String}", "a\tb"])
def test_columns_of_parquet_have_any_name(company: Scope, tmp_path: Path, name: str) -> None:
    columns = {"Customer_ID": ["P1"], "Registration_Date": ["2025-01-02"], name: ["Bonn"]}
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written)
    assert load(company, tmp_path, "customers", written.getvalue(), suffix="parquet").loaded == 1


@pytest.mark.parametrize("name", ["", "a\0b", "a\x01b", "x" * 300, "CUSTOMER_ID"])
def test_or_it_is_refused(company: Scope, tmp_path: Path, name: str) -> None:
    columns = {"Customer_ID": ["P1"], "Registration_Date": ["2025-01-02"], name: ["Bonn"]}
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written)
    assert "column" in refusal(company, tmp_path, written.getvalue(), suffix="parquet")


def test_a_member_without_a_name_is_a_column(company: Scope, tmp_path: Path) -> None:
    line = b'{"Customer_ID": "J1", "Registration_Date": "2025-01-02", "": "x"}\n'
    assert load(company, tmp_path, "customers", line, suffix="jsonl").loaded == 1


def parquet_of(values: dict[str, pa.Array]) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table(values), written, compression="zstd")
    return written.getvalue()


def many(value: str, rows: int) -> pa.Array:
    """Rows of one value, which the file holds once."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int8()), pa.array([value]))


LONG_VALUE = "x" * (1 << 20)
PARQUET_BOMBS = {
    "rows": {"CustomerID": many("C1", 2_000_000)},
    "values": {"CustomerID": pa.array([LONG_VALUE, LONG_VALUE + "y"])},
    "repetitions": {"CustomerID": pa.array(["C1"] * 50), "City": many(LONG_VALUE, 50)},
    "lists": {"CustomerID": pa.array(["C1"] * 50), "Cities": pa.array([[LONG_VALUE]] * 50)},
}


@pytest.mark.parametrize("what", PARQUET_BOMBS)
def test_a_parquet_file_that_unpacks_to_hundreds_of_times_its_size_is_refused(
    company: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(encodings, "UNPACKED_FREELY", (1 << 20) + 1000)
    body = parquet_of(PARQUET_BOMBS[what])
    assert len(body) < 1 << 14
    assert refusal(company, tmp_path, body, suffix="parquet") == TOO_MUCH


def test_a_parquet_file_whose_texts_repeat_is_taken(company: Scope, tmp_path: Path) -> None:
    ids = pa.array([f"C{number}" for number in range(50_000)])
    body = parquet_of({"CustomerID": ids, "City": many("Frankfurt am Main", 50_000)})
    assert load(company, tmp_path, "customers", body, suffix="parquet").loaded == 50_000


@pytest.mark.parametrize(
    ("code", "told"), [(241, "takes more memory"), (27, "a line is broken"), (636, "a line is broken")]
)
def test_what_the_engine_says_of_a_file_is_told_as_the_file_s(code: int, told: str) -> None:
    error = DatabaseError(f"Code: {code}. DB::Exception: it went wrong")
    found = rejects.unreadable(error)
    assert found is not None and told in found.message
    assert rejects.unreadable(DatabaseError("Code: 202. DB::Exception: it went wrong")) is None
    assert rejects.unreadable(ValueError(f"Code: {code}.")) is None
