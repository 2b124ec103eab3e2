"""Files as the engine reads them: format, columns, and a SELECT of their rows as text.

The engine reads an embedded folder's file itself; a server gets it as a stream. Either way a row is
numbered as it stands in the file and every column is a text that is NULL when empty. What the engine
would misread is written anew before, see mending.
"""

import hashlib
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rapport.customers.formats import cells, parquet
from rapport.customers.formats.dialects import JSON_LINES, MARK, check_content, checked_names, dialect_of, must_be_few
from rapport.customers.formats.encodings import UTF8, as_text, encoding_of, is_rather_utf8, most_unpacked, read_bytes
from rapport.customers.formats.headers import same_name
from rapport.customers.formats.json_lines import as_written, differing, member
from rapport.customers.formats.mending import CHUNK, mend, must_mend
from rapport.customers.formats.repeated import MIN_SAVED, array, saves_enough
from rapport.customers.formats.values import trimmed
from rapport.customers.importing.asides import drop_aside
from rapport.customers.importing.file_warnings import FileWarning
from rapport.customers.importing.mapping import FileMapping
from rapport.errors import Invalid
from rapport.stores.faults import require_readable
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
RAW = "import_raw"
MAX_COLUMNS = 1000
HEAD = 1 << 16
SMALL = 1 << 20  # bytes


@dataclass(frozen=True)
class File:
    """A file to import, as the engine reads it.

    lines_before is how many lines come before the first row, skip how many of them are in what the engine reads;
    keys are its columns' names as they stand in it, members those of JSON lines with all their spellings; width is how
    many cells its header has; kinds are those of the columns of Parquet; source is its rows as SQL; encoding is that of
    its bytes; warnings are what opening it showed, see inspection.inspect; read_as are the texts that a mapping reads
    as others, by the index of their column.
    """

    path: Path
    format: str
    zipped: bool
    delimiter: str
    lines_before: int
    names: tuple[str, ...]
    keys: tuple[str, ...] = ()
    members: tuple[tuple[str, ...], ...] = ()
    width: int = 0
    skip: int = 0
    kinds: tuple[str, ...] = ()
    source: str = ""
    encoding: str = UTF8
    warnings: tuple[FileWarning, ...] = ()
    read_as: Mapping[int, Mapping[str, str | None]] = field(default_factory=dict)

    @property
    def reading(self) -> dict[str, Any]:
        """The engine's settings for reading it."""
        return {
            "format_csv_delimiter": self.delimiter,
            "format_csv_null_representation": cells.ABSENT,
            "input_format_csv_skip_first_lines": self.skip,
            "input_format_csv_allow_variable_number_of_columns": 1,
            "input_format_csv_allow_cr_end_of_line": 1,
            "input_format_csv_allow_whitespace_or_tab_as_delimiter": int(self.delimiter == "\t"),
            "input_format_csv_empty_as_default": 0,
            "input_format_null_as_default": 1,
            "input_format_parquet_preserve_order": 1,
        }

    @property
    def is_small(self) -> bool:
        """Whether the engine takes longer to understand the whole rules of values than to read the rows."""
        return not self.zipped and self.format != "parquet" and self.path.stat().st_size <= SMALL

    @property
    def min_saved(self) -> int:
        """How many characters of a statement over its columns take the engine as long as arrays of its cells would."""
        return max(MIN_SAVED, self.path.stat().st_size // 1500)

    @property
    def behind(self) -> int:
        """How many cells of a line are looked at behind those of its columns."""
        return max(self.width - len(self.names), 0) + cells.BEHIND

    @property
    def settings(self) -> str:
        """The SETTINGS clause of a statement that reads it."""
        settings = {**self.reading, "max_bytes_before_external_sort": 500_000_000}
        return "SETTINGS " + ", ".join(f"{name} = {literal(str(value))}" for name, value in settings.items())


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def opened(warehouse: Database, path: Path, mapping: FileMapping) -> Iterator[File]:
    """A file ready to be read, under a name without special characters. Raises Invalid."""
    require_readable(path)
    suffix = path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix
    format_ = mapping.format or SUFFIXES.get(suffix.lower())
    if format_ is None:
        raise Invalid(f"The file {path.name!r} must be CSV, JSON lines or Parquet, or one of these as .gz.")
    with tempfile.TemporaryDirectory(prefix="rapport-import-") as folder:
        try:
            file = _described(path, Path(folder), format_, mapping)
        except (OSError, EOFError, zlib.error) as error:
            raise Invalid("The file cannot be read: it is cut off, or its .gz is broken.") from error
        try:
            file = replace(file, source=_file_source(file) if warehouse.embedded else _streamed(warehouse, file))
            file = _with_members(warehouse, file) if format_ == "jsonl" else file
            read_as = {same_name(name): texts for name, texts in mapping.values.items()}
            names_by_index = {index: same_name(name) for index, name in enumerate(file.names)}
            yield replace(
                file, read_as={index: read_as[name] for index, name in names_by_index.items() if name in read_as}
            )
        finally:
            if not warehouse.embedded:
                drop_aside(warehouse, [RAW])


def _described(path: Path, folder: Path, format_: str, mapping: FileMapping) -> File:
    """The file with its columns; those of JSON lines are found when it can be queried."""
    with read_bytes(path) as (body, zipped):
        head = body.read(HEAD)
    encoding = encoding_of(head, mapping.encoding)
    check_content(path.name, head if encoding == UTF8 or format_ == "parquet" else _decoded(head, encoding), format_)
    if format_ == "parquet":
        return _described_parquet(path, folder / "data")
    link = folder / ("data.gz" if zipped else "data")
    link.symlink_to(path.resolve())
    with read_bytes(path) as (body, _), as_text(body, encoding) as text:
        dialect = JSON_LINES if format_ == "jsonl" else dialect_of(text, format_, mapping)
    names = checked_names(dialect.names, MAX_COLUMNS, encoding) if dialect.names else ()
    file = File(
        link,
        format_,
        zipped,
        dialect.delimiter,
        dialect.lines_before,
        names,
        names,
        width=dialect.width,
        encoding=encoding,
    )
    with read_bytes(path) as (body, _):
        if encoding == UTF8 and dialect.plain and not must_mend(body, format_, dialect.delimiter):
            return replace(file, skip=dialect.lines_before)
    with read_bytes(path) as (body, _), as_text(body, encoding) as text:
        mend(text, folder / "mended", format_, dialect)
    return replace(file, path=folder / "mended", zipped=False, warnings=_of_encoding(path, encoding, mapping))


def _described_parquet(path: Path, readable: Path) -> File:
    """A Parquet file with its columns; one in .gz is unpacked first, since it is not read from its beginning."""
    with path.open("rb") as raw, read_bytes(path) as (body, zipped):
        most = most_unpacked(raw)
        if zipped:
            with readable.open("wb") as unpacked:
                shutil.copyfileobj(body, unpacked, CHUNK)
        else:
            readable.symlink_to(path.resolve())
    keys, kinds = parquet.columns_of(readable, most)
    return File(readable, "parquet", False, ",", 0, checked_names(keys, MAX_COLUMNS), keys, kinds=kinds)


def _of_encoding(path: Path, encoding: str, mapping: FileMapping) -> tuple[FileWarning, ...]:
    """What is suspicious of an encoding that the mapping names."""
    with read_bytes(path) as (body, _):
        if mapping.encoding in (None, UTF8) or encoding != mapping.encoding or not is_rather_utf8(body):
            return ()
    message = (
        f"The file is UTF-8 by its bytes and was read as {encoding}, as the mapping says: look whether letters such as "
        "\u00e9 came out as two others, and leave the encoding out of the mapping then."
    )
    return (FileWarning("encoding_doubtful", message, 1),)


def _decoded(head: bytes, encoding: str) -> bytes:
    return head.decode(encoding, "replace").encode()


def must_have_rows(file: File) -> None:
    """Raise Invalid for a file that gave no rows, though there is more in it than a header."""
    if file.format == "parquet":
        return
    with read_bytes(file.path) as (body, _), as_text(body, UTF8) as text:
        lines = iter(lambda: text.readline(HEAD), "")
        for _ in range(file.skip):
            next(lines, "")
        if any(lines):
            raise Invalid("The file has more than a header, but not a single row: is it cut off, or in another format?")


def _with_members(warehouse: Database, file: File) -> File:
    """JSON lines with their members as columns; those whose names are the same are one, by whichever spelling."""
    lines = f"(SELECT {as_written('line')} AS line FROM (SELECT {_LINE} AS line FROM {file.source}))"  # noqa: S608 - ours
    keys_sql = f"arraySort(groupUniqArrayArray({MAX_COLUMNS + 1})(JSONExtractKeys(line)))"
    keys = warehouse.value(f"SELECT {keys_sql} FROM {lines}")  # noqa: S608 - ours
    if not keys:
        raise Invalid("The file contains no JSON objects, one per line.")
    must_be_few(len(keys), MAX_COLUMNS)
    spellings: dict[str, list[str]] = {}
    for key in keys:
        spellings.setdefault(same_name(key) or key, []).append(key)
    members = tuple(map(tuple, spellings.values()))
    return replace(file, names=checked_names(tuple(variants[0] for variants in members), MAX_COLUMNS), members=members)


_LINE = f"if(startsWith(line, '{MARK}'), substring(line, 4), line)"


def rows_sql(file: File) -> str:
    """A SELECT of `_row` (the line in the file, counting rows), `_fault` and r0, r1 ... as Nullable(String).

    `_fault` says what is wrong with the line as a whole, empty for nothing; without `_odd` it has nothing but visible
    characters of ASCII and blanks. Lines without any value are left out.

    JSON lines also give `_keys`, the members that a row has.
    """
    blank = " AND ".join(f"r{index} IS NULL" for index in range(len(file.names)))
    row = f"rowNumberInAllBlocks() + {file.lines_before + 1}"
    if file.format == "parquet":
        return _read(file, {"_row": row, "_fault": "''", "_odd": "1"}, file.source, f"NOT ({blank})")
    if file.format == "csv":
        fault = cells.csv_fault(len(file.names), file.behind)
        row_columns = {"_row": row, "_fault": fault, "_empty": cells.csv_blank(file.behind)}
        row_columns["_odd"] = cells.csv_odd(len(file.names))
        return _read(file, row_columns, file.source, f"NOT (_empty AND {blank})")
    fault = _json_fault(file) if file.format == "jsonl" else cells.words_fault("line", len(file.names))
    keys, line = ({"_keys": "JSONExtractKeys(line)"}, as_written("line")) if file.format == "jsonl" else ({}, "line")
    numbered = f"SELECT rowNumberInAllBlocks() + 1 AS _row, {_LINE} AS line FROM {file.source}"  # noqa: S608 - ours
    lines = f"(SELECT _row, {line} AS line FROM ({numbered}) WHERE {trimmed('line')} != '' AND _row > {file.skip})"  # noqa: S608 - ours
    return _read(file, {"_row": "_row", "_fault": fault, "_odd": "1", **keys}, lines, "true")


def _json_fault(file: File) -> str:
    spelled = [
        differing("line", spellings, lambda value: _null_when_blank(trimmed(value)))
        for spellings in file.members
        if len(spellings) > 1
    ]
    return cells.json_fault("line", file.encoding, spelled)


def _read(file: File, row_columns: dict[str, str], source: str, where: str) -> str:
    """A SELECT of what is told of rows and of their columns; those come from an array when there are many."""
    values = [_value(file, index) for index in range(len(file.names))]
    if saves_enough(trimmed, len(values), file.min_saved):
        texts = [f"arrayMap(text -> {_null_when_blank('text')}, {array(trimmed('text'), values)}) AS _texts"]
        column_texts = [f"_texts[{index + 1}]" for index in range(len(values))]
    else:
        texts = [f"{trimmed(value)} AS t{index}" for index, value in enumerate(values)]
        column_texts = [_null_when_blank(f"t{index}") for index in range(len(values))]
    columns = [f"{_read_as(file, index, text)} AS r{index}" for index, text in enumerate(column_texts)]
    rows = f"SELECT {', '.join([*(f'{sql} AS {name}' for name, sql in row_columns.items()), *texts])} FROM {source}"  # noqa: S608 - names are quoted
    return f"SELECT * FROM (SELECT {', '.join([*row_columns, *columns])} FROM ({rows})) WHERE {where}"  # noqa: S608 - names are quoted


def _read_as(file: File, index: int, text: str) -> str:
    """SQL of what a text of a column is read as."""
    texts = file.read_as.get(index)
    if not texts:
        return text
    texts_sql, replacements_sql = (
        ", ".join(literal(value or "") for value in values) for values in zip(*texts.items(), strict=True)
    )
    replaced = f"transform(ifNull({text}, ''), [{texts_sql}], [{replacements_sql}], ifNull({text}, ''))"
    return f"nullIf({replaced}, '')"


def _structure(file: File) -> dict[str, str]:
    """The columns of the file for the engine, by quoted name."""
    if file.format == "csv":
        return cells.csv_columns(len(file.names), file.behind)
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
    if parquet.NESTED in file.kinds:
        column = file.names[file.kinds.index(parquet.NESTED)]
        raise Invalid(f"The column {column!r} contains lists or structures: write it as text, in JSON for example.")
    warehouse.execute(f"""
        CREATE TABLE {RAW} ({_columns(file)}) ENGINE = MergeTree ORDER BY tuple()
        SETTINGS enable_block_number_column = 1, enable_block_offset_column = 1
    """)
    with file.path.open("rb") as body:
        names = [] if file.format == "parquet" else list(_structure(file))
        warehouse.insert_stream(RAW, names, body, ENGINE_FORMATS[file.format], file.reading, zipped=file.zipped)
    names_sql = ", ".join(_structure(file))
    return f"(SELECT {names_sql} FROM {RAW} ORDER BY _block_number, _block_offset)"  # noqa: S608 - names are quoted


def _value(file: File, index: int) -> str:
    if file.format == "csv":
        return f"c{index}"
    if file.format == "jsonl":
        return member("line", file.members[index])
    if file.format == "whitespace":
        return f"splitByWhitespace(trimBoth(line))[{index + 1}]"
    return parquet.text_sql(_quoted(file.keys[index]), file.kinds[index])


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _null_when_blank(text: str) -> str:
    """SQL of a text without blanks around it; NULL for what programs write where there is nothing."""
    return f"if({text} IN ('', 'NULL', '\\\\N'), NULL, {text})"
