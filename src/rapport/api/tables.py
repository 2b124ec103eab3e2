"""Tables as files: rows by the batch as CSV or Parquet."""

import os
import tempfile
from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
from pyarrow import csv, parquet
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response, StreamingResponse

from rapport.stores.spreadsheets import without_formulas

Format = Literal["csv", "parquet"]


def table_file(name: str, form: Format, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Response:
    """An answer with a table as a file of a name; in UTF-8, comma-separated and with a header, or as Parquet."""
    if form == "csv":
        headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
        return StreamingResponse(_csv(schema, batches), media_type="text/csv; charset=utf-8", headers=headers)
    number, path = tempfile.mkstemp(prefix="rapport-table-", suffix=".parquet")
    os.close(number)
    with parquet.ParquetWriter(path, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    removed = BackgroundTask(os.unlink, path)
    media_type = "application/vnd.apache.parquet"
    return FileResponse(path, media_type=media_type, filename=f"{name}.parquet", background=removed)


def _csv(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    empty = pa.record_batch([[] for _ in schema.names], schema=schema)
    yield _written(empty, header=True)
    for batch in batches:
        yield _written(without_formulas(batch), header=False)


def _written(batch: pa.RecordBatch, header: bool) -> bytes:
    sink = pa.BufferOutputStream()
    csv.write_csv(batch, sink, csv.WriteOptions(include_header=header))
    return bytes(sink.getvalue())
