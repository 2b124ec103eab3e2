"""What a text file looks like before its first row: delimiter, header, and the lines that come before."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

from rapport.customers.formats.encodings import UTF8, no_text
from rapport.customers.formats.headers import JOINER, same_name, visible_name
from rapport.customers.importing.mapping import FileMapping
from rapport.errors import Invalid

DELIMITERS = (",", ";", "\t", "|")
# Programs that save such a file again put delimiters behind; some write the two signs for a tab.
SEPARATOR = re.compile(r'^"?sep *= *(\\t|.)"?[,;|\t]*$', re.IGNORECASE)
QUOTED = re.compile(r'"(?:[^"]|"")*"')
MARK = "\ufeff"
# Anything but blanks, delimiters and quotes.
VISIBLE = re.compile(rf'[^\s,;|"{MARK}]')
LONGEST = 1 << 20
# As many columns as a sheet has; most of them may lack a name and be empty.
WIDEST = 16_384
# By how the bytes of a file begin: what it is, and what would be read instead.
FOREIGN_FORMATS = (
    (b"PK\x03\x04", "is a workbook or a zip archive: save the sheet as CSV (UTF-8), or unpack it"),
    (b"\xd0\xcf\x11\xe0", "is a workbook of an older kind: save the sheet as CSV (UTF-8)"),
    (b"%PDF", "is a PDF document, not data"),
    (b"\x28\xb5\x2f\xfd", "is packed with zstd: unpack it, or pack it as .gz"),
    (b"BZh", "is packed with bzip2: unpack it, or pack it as .gz"),
    (b"\xfd7zXZ", "is packed with xz: unpack it, or pack it as .gz"),
    (b"7z\xbc\xaf", "is a 7z archive: unpack it, or pack it as .gz"),
    (b"\x1f\x8b", "is packed twice: unpack it once"),
    (b"Obj\x01", "is an Avro file: write it as Parquet, JSON lines or CSV"),
    (b"ORC", "is an ORC file: write it as Parquet, JSON lines or CSV"),
)
PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")
PARQUET = b"PAR1"


@dataclass(frozen=True)
class Dialect:
    """How a text file is read. lines_before counts its lines before the first row; names are its columns as written.

    width is how many cells its header has, with those at its end that have no name. plain: the lines before are
    lines for the engine, too, so that it can pass over them.
    """

    delimiter: str
    lines_before: int
    names: tuple[str, ...]
    width: int
    plain: bool


JSON_LINES = Dialect(",", 0, (), 0, True)


def check_content(name: str, head: bytes, format_: str) -> None:
    """Raise Invalid for a file whose bytes are not of its format."""
    if not head:
        raise Invalid(f"The file {name!r} is empty: it has no header and no rows.")
    for begin, description in FOREIGN_FORMATS:
        if head.startswith(begin):
            raise Invalid(f"The file {name!r} {description}.")
    first = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if first[:9].lower().startswith(PAGES):
        raise Invalid(f"The file {name!r} is a page of HTML or XML, perhaps of a login or an error, not data.")
    if head.startswith(PARQUET) != (format_ == "parquet"):
        if format_ == "parquet":
            raise Invalid(f"The file {name!r} is not a readable Parquet file.")
        raise Invalid(f"The file {name!r} is a Parquet file: name it .parquet, or set format: parquet in the mapping.")
    if format_ == "csv" and re.match(rb'\[?\s*\{\s*"', first):
        raise Invalid(f"The file {name!r} contains JSON: name it .jsonl, with one object per line.")
    if format_ == "jsonl" and first.startswith(b"["):
        raise Invalid(f"The file {name!r} is a JSON array: write one object per line instead, without the brackets.")


def dialect_of(text: TextIO, format_: str, mapping: FileMapping) -> Dialect:
    """How a CSV file or one with blanks between its columns is read. Raises Invalid for one without a header."""
    lines = iter(lambda: text.readline(LONGEST), "")
    lines_before = list(islice(lines, mapping.skip_lines))
    line, separator = "", None
    for line in lines:
        if (match := SEPARATOR.match(line.strip(f"\n{MARK}"))) is not None:
            separator = "\t" if match[1] == "\\t" else match[1]
        elif VISIBLE.search(line):
            break
        lines_before.append(line)
    record, count = _record(line.lstrip(MARK), lines)
    if not VISIBLE.search(record):
        raise Invalid("The file is empty: it has no header.")
    delimiter = mapping.delimiter or separator or _delimiter(record)
    cells = _cells(record, format_, delimiter)
    plain, before = count == 1 and not any('"' in skipped for skipped in lines_before), len(lines_before)
    if not mapping.header:
        names = mapping.names or tuple(f"column_{number}" for number in range(1, len(cells) + 1))
        return Dialect(delimiter, before, tuple(names), len(names), plain)
    while len(cells) > 1 and not cells[-1]:
        cells = cells[:-1]
    return Dialect(delimiter, before + count, tuple(cells), len(_cells(record, format_, delimiter)), plain)


def _record(line: str, lines: Iterator[str]) -> tuple[str, int]:
    """A record that begins with a line, with the lines that its quotes go on in; and how many lines it takes."""
    parts = [line]
    while sum(part.count('"') for part in parts) % 2 and sum(map(len, parts)) < LONGEST:
        following = next(lines, "")
        if not following:
            return line.rstrip("\n"), 1
        parts.append(following)
    return "".join(parts).rstrip("\n"), len(parts)


def _delimiter(record: str) -> str:
    outside = QUOTED.sub("", record)
    return max(DELIMITERS, key=outside.count)


def _cells(record: str, format_: str, delimiter: str) -> list[str]:
    if format_ == "whitespace":
        return record.split()
    try:
        cells = next(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error as error:
        raise Invalid("The file's header is not readable: a cell in it is too long.") from error
    if len(cells) > WIDEST:
        raise Invalid(f"The file's header has {len(cells)} cells, more than {WIDEST}.")
    return [" ".join(cell.strip(MARK).split()) for cell in cells]


def must_be_few(columns: int, most: int) -> None:
    """Raise Invalid for more columns than there may be."""
    if columns > most:
        raise Invalid(f"The file has more than {most} columns.")


def checked_names(names: tuple[str, ...], most: int, encoding: str = UTF8) -> tuple[str, ...]:
    """The names of a file's columns, those without one numbered. Raises Invalid for names that cannot be used."""
    visible = [visible_name(name) or f"column_{number}" for number, name in enumerate(names, 1)]
    if not visible:
        raise Invalid("The file has no columns.")
    must_be_few(len(visible), most)
    seen: set[str] = set()
    for name in visible:
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise Invalid(f"The file's header {no_text(encoding)}.")
        if len(name) > 200:
            raise Invalid(f"The file has a column whose name is longer than 200 characters: {name[:50]!r} ...")
        if not name.replace(JOINER, "").isprintable():
            raise Invalid(f"The file has a column whose name is not readable text: {name[:50]!r}.")
        if same_name(name) in seen:
            raise Invalid(f"The file has the column {name!r} twice.")
        seen.add(same_name(name))
    return tuple(visible)
