"""The records as backups of earlier releases hold them: SQL text of pg_dump, of which nothing is carried out.

Only the rows between `COPY ... FROM stdin;` and `\\.` and the values of sequences are taken out of it. The tables are
made by the migrations.
"""

import re
from collections.abc import Iterable, Iterator

from rapport.errors import Invalid
from rapport.stores.backups.records_copy import VERSIONS, Described

COPY = re.compile(rb'COPY (\w+)\.(\w+) \(("?\w+"?(?:, "?\w+"?)*)\) FROM stdin;')
SEQUENCE = re.compile(rb"SELECT pg_catalog\.setval\('(\w+\.\w+)', (\d{1,19}), true\);")
END = b"\\."
CHUNK_BYTES = 16 * 1024 * 1024


def described(chunks: Iterable[bytes]) -> Described:
    """What records_copy.load() must know of rows(): tables with their columns, sequences with their values."""
    tables: dict[str, list[str]] = {}
    sequences: dict[str, int] = {}
    copying = False
    for line in _lines(chunks):
        if copying:
            copying = line != END
        elif match := COPY.fullmatch(line):
            tables[_table(match)] = match[3].decode().replace('"', "").split(", ")
            copying = True
        elif match := SEQUENCE.fullmatch(line):
            sequences[match[1].decode()] = int(match[2])
    if copying:
        raise Invalid("The backup is damaged: its records are cut off.")
    for name in VERSIONS:
        tables.pop(name, None)
    return {"tables": tables, "sequences": sequences}


def rows(chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """The rows of each table as COPY reads them, in chunks: (table, lines)."""
    table = ""
    buffer = bytearray()
    for line in _lines(chunks):
        if not table:
            table = _table(match) if (match := COPY.fullmatch(line)) else ""
            continue
        if line != END:
            buffer += line + b"\n"
        if buffer and (line == END or len(buffer) >= CHUNK_BYTES):
            if table not in VERSIONS:
                yield table, bytes(buffer)
            buffer.clear()
        if line == END:
            table = ""


def _table(match: re.Match[bytes]) -> str:
    return f"{match[1].decode()}.{match[2].decode()}"


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
