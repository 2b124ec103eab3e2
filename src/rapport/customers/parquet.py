"""Columns of Parquet files as texts: by their types, so that no value is shifted, rounded or half shown."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rapport.customers.encodings import read_bytes
from rapport.errors import Invalid

INSTANT, TIME, CLOCK, FLOAT, NESTED, OTHER = "instant", "time", "clock", "float", "nested", "other"
# Kinds whose texts are in the ISO form, whatever form of dates the mapping names for texts.
ISO_KINDS = (INSTANT, TIME)


def columns_of(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of a file's columns, and of what kind each is. Raises Invalid."""
    try:
        with read_bytes(path) as (body, _):
            schema = pq.read_schema(body)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise Invalid("The file is not a readable Parquet file: it may be cut off.") from error
    if "" in schema.names:
        raise Invalid("The file has a column without a name.")
    return tuple(schema.names), tuple(_kind(field.type) for field in schema)


def _kind(type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        return _kind(type_.value_type)
    if pa.types.is_timestamp(type_):
        return INSTANT if type_.tz else TIME
    if pa.types.is_date(type_):
        return TIME
    if pa.types.is_time(type_):
        return CLOCK
    if pa.types.is_floating(type_):
        return FLOAT
    return NESTED if pa.types.is_nested(type_) else OTHER


def text_sql(column: str, kind: str) -> str:
    """SQL of a column's value as a text: instants end in Z, lists and structures are JSON, NaN is no value."""
    text = f"toString({column})"
    if kind == INSTANT:
        return f"concat({text}, 'Z')"
    if kind == CLOCK:
        return f"substring({text}, 12)"
    if kind == FLOAT:
        return f"nullIf({text}, 'nan')"
    return f"toJSONString({column})" if kind == NESTED else text
