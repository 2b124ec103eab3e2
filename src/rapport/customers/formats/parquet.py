"""Columns of Parquet files as texts: by their types, so that no value is shifted, rounded or half shown."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rapport.customers.formats.encodings import TOO_PACKED
from rapport.errors import Invalid

INSTANT, TIME, CLOCK, FLOAT, NESTED, OTHER = "instant", "time", "clock", "float", "nested", "other"
# Kinds whose texts are in the ISO form, whatever form of dates the mapping names for texts.
ISO_KINDS = (INSTANT, TIME)
TEXT = "BYTE_ARRAY"
# Of a column of lists so many rows are read at a time, since one may be long.
NESTED_ROWS = 16
# Texts of a dictionary are counted one by one where they may come to so many times what is stored.
TIMES_FREELY = 16


def columns_of(path: Path, most: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of a file's columns, and of what kind each is. Raises Invalid, also for one with more than most bytes.

    That is asked before anybody reads it: a value that repeats is in the file once.
    """
    try:
        with pq.ParquetFile(path) as file:
            metadata = file.metadata
        if _stored(metadata) > most or _repeated(path, metadata, most) > most:
            raise Invalid(TOO_PACKED)
        schema = metadata.schema.to_arrow_schema()
    except (OSError, EOFError, pa.ArrowException) as error:
        raise Invalid("The file is not a readable Parquet file: it may be cut off.") from error
    if "" in schema.names:
        raise Invalid("The file has a column without a name.")
    return tuple(schema.names), tuple(_kind(field.type) for field in schema)


def _stored(metadata: pq.FileMetaData) -> int:
    """To how many bytes a file unpacks, as it says itself; a value takes one at least, and one of a width the width."""
    columns = (metadata.schema.column(index) for index in range(metadata.num_columns))
    widths = {column.path: max(column.length, 1) for column in columns}
    return sum(
        max(chunk.total_uncompressed_size, chunk.num_values * widths[chunk.path_in_schema])
        for _, chunk in _chunks(metadata)
    )


def _chunks(metadata: pq.FileMetaData) -> Iterator[tuple[int, pq.ColumnChunkMetaData]]:
    """The parts of columns, with the numbers of their groups of rows."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for index in range(group.num_columns):
            yield number, group.column(index)


def _repeated(path: Path, metadata: pq.FileMetaData, most: int) -> int:
    """How many bytes the texts have that stand in dictionaries, each as often as it repeats; counted up to most."""
    texts = [
        (number, chunk)
        for number, chunk in _chunks(metadata)
        if chunk.has_dictionary_page and chunk.physical_type == TEXT
    ]
    flat = {chunk.path_in_schema for _, chunk in texts if "." not in chunk.path_in_schema}
    total = 0
    with pq.ParquetFile(path, read_dictionary=sorted(flat)) as file:
        for number, chunk in texts:
            name = chunk.path_in_schema
            total += _flat(file, number, chunk) if name in flat else _nested(file, number, name, most)
            if total > most:
                break
    return total


def _flat(file: pq.ParquetFile, group: int, chunk: pq.ColumnChunkMetaData) -> int:
    """The bytes of a column in a group of rows; those that are stored where they cannot be many times as many."""
    first = next(file.iter_batches(1, [group], [chunk.path_in_schema]), None)
    if first is None or not pa.types.is_dictionary(first.schema.types[0]):  # numbers can be written so, too
        return int(chunk.total_uncompressed_size)
    if _longest(first.column(0)) * chunk.num_values <= TIMES_FREELY * chunk.total_uncompressed_size:
        return int(chunk.total_uncompressed_size)
    column = file.read_row_group(group, [chunk.path_in_schema]).column(0)
    return sum(pc.sum(pc.binary_length(part.dictionary).take(part.indices)).as_py() or 0 for part in column.chunks)


def _longest(column: pa.DictionaryArray) -> int:
    return int(pc.max(pc.binary_length(column.dictionary)).as_py() or 0)


def _nested(file: pq.ParquetFile, group: int, name: str, most: int) -> int:
    """The bytes of a column of lists or structures in a group of rows, counted until they are too many."""
    total = 0
    for batch in file.iter_batches(NESTED_ROWS, [group], [name]):
        total += batch.nbytes
        if total > most:
            break
    return total


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
