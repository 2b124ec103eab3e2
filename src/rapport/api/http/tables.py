"""Tables as files: rows by the batch as CSV, JSON lines or Parquet."""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal

import orjson
import pyarrow as pa
from pyarrow import compute, csv, parquet
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response, StreamingResponse

from rapport.stores.spreadsheets import without_formulas

ROWS_OF_A_GROUP = 50_000
Format = Literal["csv", "jsonl", "parquet"]
FORMATS = "csv (UTF-8, commas, with a header), jsonl (one object per line) or parquet"
# Every text is in quotes, and no number is.
QUOTED_OR_EXPONENT = re.compile(rb'"(?:[^"]|"")*"|(-?[0-9.]+e[+-]?[0-9]+)')
CONTENT: dict[str, Any] = {"text/csv": {}, "application/x-ndjson": {}, "application/vnd.apache.parquet": {}}


def table_file(
    name: str,
    form: Format,
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer with a table as a file of a name, by its rows as they come; Parquet is written whole first.

    CSV and JSON lines are in UTF-8; CSV has commas, a header, lists in JSON, and nothing that a spreadsheet carries
    out.
    """
    file_headers = {**(headers or {}), "Content-Disposition": f'attachment; filename="{name}.{form}"'}
    if form == "csv":
        return StreamingResponse(_csv(schema, batches), media_type="text/csv; charset=utf-8", headers=file_headers)
    if form == "jsonl":
        return StreamingResponse(_lines(batches), media_type="application/x-ndjson", headers=file_headers)
    number, path = tempfile.mkstemp(prefix="rapport-table-", suffix=".parquet")
    os.close(number)
    try:
        with parquet.ParquetWriter(path, schema) as writer:
            for table in _together(schema, batches):
                writer.write_table(table)
    except BaseException:
        os.unlink(path)
        raise
    removed = BackgroundTask(os.unlink, path)
    return FileResponse(path, media_type="application/vnd.apache.parquet", headers=file_headers, background=removed)


def _together(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of many rows out of batches of few: each is a group of a Parquet file, which has its own head."""
    group: list[pa.RecordBatch] = []
    for batch in batches:
        group.append(batch)
        if sum(member.num_rows for member in group) >= ROWS_OF_A_GROUP:
            yield pa.Table.from_batches(group, schema)
            group.clear()
    if group:
        yield pa.Table.from_batches(group, schema)


def _lines(batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    for batch in batches:
        yield b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in batch.to_pylist())


def _csv(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    empty = pa.record_batch([[] for _ in schema.names], schema=schema)
    yield _written(_flat(empty), header=True)
    for batch in batches:
        yield _written(without_formulas(_flat(batch)), header=False)


def _flat(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows, with lists as texts in JSON; an empty list is no text."""
    columns = [_in_json(column) if pa.types.is_list(column.type) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _in_json(lists: pa.Array) -> pa.Array:
    return pa.array([orjson.dumps(listed).decode() if listed else None for listed in lists.to_pylist()], pa.string())


def _written(batch: pa.RecordBatch, header: bool) -> bytes:
    sink = pa.BufferOutputStream()
    csv.write_csv(batch, sink, csv.WriteOptions(include_header=header))
    text = bytes(sink.getvalue())
    return QUOTED_OR_EXPONENT.sub(_plain, text) if _has_exponents(batch) else text


def _has_exponents(batch: pa.RecordBatch) -> bool:
    """Whether Arrow writes any number with an exponent, as it does from 10,000,000,000 on."""
    numbers = (column for column in batch.columns if pa.types.is_floating(column.type))
    return any(compute.any(compute.match_substring(column.cast(pa.string()), "e")).as_py() for column in numbers)


def _plain(match: re.Match[bytes]) -> bytes:
    """A number in plain digits, which spreadsheets and people read as money; texts stay as they are."""
    return match[0] if match[1] is None else f"{Decimal(match[1].decode()):f}".encode()
