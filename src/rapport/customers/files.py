"""Files as the engine reads them: format, columns, and a SELECT of their rows as text.

The engine reads an embedded folder's file itself; a server gets it as a stream. Either way a row is
numbered as it stands in the file and every column is a text that is NULL when empty.
"""

import csv
import gzip
import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from rapport.customers.headers import same_name, visible_name
from rapport.customers.json_lines import as_written
from rapport.customers.mapping import FileMapping
from rapport.customers.suspicions import Suspicion
from rapport.customers.values import trimmed
from rapport.errors import Invalid
from rapport.stores.warehouse import Database, literal

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".json": "jsonl",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
ENGINE_FORMATS = {"csv": "CSV", "whitespace": "LineAsString", "jsonl": "LineAsString", "parquet": "Parquet"}
DELIMITERS = (",", ";", "\t", "|")
RAW = "import_raw"
MAX_COLUMNS = 1000
CHUNK = 1 << 20


@dataclass(frozen=True)
class File:
    """A file to import. lines_before is how many lines come before the first row; source is its rows as SQL.

    keys are the names as JSON lines and Parquet have them; suspicions are what opening it showed: see inspection.
    """

    path: Path
    format: str
    zipped: bool
    delimiter: str
    lines_before: int
    names: tuple[str, ...]
    source: str = ""
    keys: tuple[str, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()

    @property
    def reading(self) -> dict[str, Any]:
        """The engine's settings for reading it."""
        return {
            "format_csv_delimiter": self.delimiter,
            "input_format_csv_skip_first_lines": self.lines_before,
            "input_format_csv_allow_variable_number_of_columns": 1,
            "input_format_null_as_default": 1,
            "input_format_parquet_preserve_order": 1,
        }

    @property
    def settings(self) -> str:
        """The SETTINGS clause of a statement that reads it."""
        given = {**self.reading, "max_bytes_before_external_sort": 500_000_000}
        return "SETTINGS " + ", ".join(f"{name} = {literal(str(value))}" for name, value in given.items())


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def opened(warehouse: Database, path: Path, mapping: FileMapping) -> Iterator[File]:
    """A file ready to be read, under a name without special characters. Raises Invalid."""
    if not path.is_file():
        raise Invalid(f"The file {path.name!r} does not exist.")
    zipped = path.suffix.lower() == ".gz"
    suffix = path.with_suffix("").suffix if zipped else path.suffix
    format_ = mapping.format or SUFFIXES.get(suffix.lower())
    if format_ is None:
        raise Invalid(f"The file {path.name!r} must be CSV, JSON lines or Parquet, or one of these as .gz.")
    with tempfile.TemporaryDirectory(prefix="rapport-import-") as folder:
        link = Path(folder) / ("data.gz" if zipped else "data")
        link.symlink_to(path.resolve())
        file = _described(link, format_, zipped, mapping)
        file = replace(file, source=_file_source(file) if warehouse.embedded else _streamed(warehouse, file))
        if format_ == "jsonl":
            keys = _members(warehouse, file)
            file = replace(file, names=_checked(keys), keys=tuple(keys))
        yield file


def _described(path: Path, format_: str, zipped: bool, mapping: FileMapping) -> File:
    """The file with its columns; those of JSON lines are found when it can be queried."""
    delimiter, before = mapping.delimiter or ",", mapping.skip_lines
    if format_ == "jsonl":
        return File(path, format_, zipped, delimiter, before, ())
    if format_ == "parquet":
        names = _parquet_columns(path, zipped)
    elif mapping.names is not None and not mapping.header:
        names = mapping.names
    else:
        line = _line(path, zipped, before)
        if format_ == "csv" and mapping.delimiter is None:
            delimiter = max(DELIMITERS, key=line.count)
        names = line.split() if format_ == "whitespace" else next(csv.reader([line], delimiter=delimiter), [])
        if mapping.header:
            before += 1
        else:
            names = [f"column_{number}" for number in range(1, len(names) + 1)]
    return File(path, format_, zipped, delimiter, before, _checked(names), keys=tuple(names))


def _binary(path: Path, zipped: bool) -> BinaryIO:
    # Whoever gets it closes it.
    return cast(BinaryIO, gzip.open(path, "rb")) if zipped else path.open("rb")


def _parquet_columns(path: Path, zipped: bool) -> list[str]:
    try:
        with _binary(path, zipped) as file:
            return list(pq.read_schema(file).names)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise Invalid("The file is not a readable Parquet file.") from error


def _checked(names: list[str]) -> tuple[str, ...]:
    stripped = [visible_name(name) or f"column_{number}" for number, name in enumerate(names, 1)]
    if not stripped:
        raise Invalid("The file has no columns.")
    if len(stripped) > MAX_COLUMNS:
        raise Invalid(f"The file has {len(stripped)} columns, more than {MAX_COLUMNS}.")
    seen: set[str] = set()
    for name in stripped:
        if same_name(name) in seen:
            raise Invalid(f"The file has the column {name!r} twice.")
        if not name.isprintable() or len(name) > 200:
            raise Invalid(f"The file has a column whose name is not readable text: {name[:50]!r}.")
        seen.add(same_name(name))
    return tuple(stripped)


def _line(path: Path, zipped: bool, skip: int) -> str:
    try:
        with _binary(path, zipped) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
            lines = [text.readline(CHUNK) for _ in range(skip + 1)]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise Invalid("The file is not readable text: it must be UTF-8, and .gz when its name says so.") from error
    if not lines[-1].strip():
        raise Invalid("The file is empty: it has no header.")
    return lines[-1].rstrip("\r\n")


def _members(warehouse: Database, file: File) -> list[str]:
    found = warehouse.value(f"SELECT arraySort(groupUniqArrayArray(JSONExtractKeys(line))) FROM {file.source}")  # noqa: S608 - ours
    if not found:
        raise Invalid("The file holds no JSON objects, one a line.")
    return list(found)


def rows_sql(file: File) -> str:
    """A SELECT of `_row` (the line in the file, counting rows), `_malformed` and r0, r1 ... as Nullable(String).

    JSON lines also give `_keys`, the members that a row has.
    """
    columns = ", ".join(f"{_clean(_value(file, index))} AS r{index}" for index in range(len(file.names)))
    row = "rowNumberInAllBlocks() + 1 AS _row"
    if file.format == "parquet":
        return f"SELECT {row}, toUInt8(0) AS _malformed, {columns} FROM {file.source}"  # noqa: S608 - names are quoted
    if file.format == "csv":
        row = f"rowNumberInAllBlocks() + {file.lines_before + 1} AS _row"
        return f"SELECT {row}, overflow != '' AS _malformed, {columns} FROM {file.source}"  # noqa: S608 - ours
    malformed = "NOT (isValidJSON(line) AND startsWith(trimLeft(line), '{'))"
    if file.format == "whitespace":
        malformed = f"length(splitByWhitespace(trimBoth(line))) != {len(file.names)}"
    keys, line = ("JSONExtractKeys(line) AS _keys,", as_written("line")) if file.format == "jsonl" else ("", "line")
    return f"""
        SELECT _row, {malformed} AS _malformed, {keys} {columns}
        FROM (SELECT _row, {line} AS line FROM (SELECT {row}, line FROM {file.source}))
        WHERE trimBoth(line) != '' AND _row > {file.lines_before}
    """  # noqa: S608 - names are quoted


def _structure(file: File) -> dict[str, str]:
    """The columns of the file for the engine, by quoted name."""
    if file.format == "csv":
        return {f"c{index}": "String" for index in range(len(file.names))} | {"overflow": "String"}
    if file.format == "parquet":
        return {_quoted(name): "Nullable(String)" for name in file.keys}
    return {"line": "String"}


def _columns(file: File) -> str:
    return ", ".join(f"{name} {type_}" for name, type_ in _structure(file).items())


def _file_source(file: File) -> str:
    """The file as a table, read by the engine from its own machine."""
    columns = "auto" if file.format == "parquet" else _columns(file)
    compression = "gzip" if file.zipped else "none"
    return f"file({literal(str(file.path))}, '{ENGINE_FORMATS[file.format]}', {literal(columns)}, '{compression}')"


def _streamed(warehouse: Database, file: File) -> str:
    """The file as a table of a server, which it is streamed into as it is; its rows keep their order."""
    warehouse.execute(f"""
        CREATE TABLE {RAW} ({_columns(file)}) ENGINE = MergeTree ORDER BY tuple()
        SETTINGS enable_block_number_column = 1, enable_block_offset_column = 1
    """)
    with file.path.open("rb") as body:
        names = [] if file.format == "parquet" else list(_structure(file))
        warehouse.insert_stream(RAW, names, body, ENGINE_FORMATS[file.format], file.zipped, file.reading)
    names_sql = ", ".join(_structure(file))
    return f"(SELECT {names_sql} FROM {RAW} ORDER BY _block_number, _block_offset)"  # noqa: S608 - names are quoted


def _value(file: File, index: int) -> str:
    if file.format == "csv":
        return f"c{index}"
    if file.format == "jsonl":
        return f"JSONExtract(line, {literal(file.keys[index])}, 'Nullable(String)')"
    if file.format == "whitespace":
        return f"splitByWhitespace(trimBoth(line))[{index + 1}]"
    return f"toString({_quoted(file.keys[index])})"


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _clean(value: str) -> str:
    return f"nullIf(nullIf({trimmed(value)}, ''), 'NULL')"
