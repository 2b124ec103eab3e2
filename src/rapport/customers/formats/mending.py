"""Text files that the engine would misread are written anew, as UTF-8 with strict quotes and one kind of line end.

Most files need nothing of it: their quotes are looked at by position, which tells at the speed of the disk.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
import numpy.typing as npt

from rapport.customers.formats.dialects import MARK, Dialect
from rapport.errors import Invalid

CHUNK = 1 << 20
LONGEST_ROW = 4 << 20  # bytes
# A record of more characters than this has a quote that was never closed.
LONGEST_RECORD = LONGEST_ROW
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
NONE: Places = np.zeros(0, dtype=np.int64)
QUOTE, LINE_ENDS = ord('"'), (ord("\n"), ord("\r"))
# What stands for a record that cannot be cut into cells.
BROKEN = "\u2063broken\u2063"


def must_mend(body: BinaryIO, format_: str, delimiter: str) -> bool:
    """Whether a UTF-8 file is not as the engine reads it: stray or open quotes, or line ends without a line feed.

    Raises Invalid for a row of more bytes than LONGEST_ROW, which the engine would hold in memory as a whole.
    """
    if format_ != "csv":
        return _has_bare_returns(body)
    edges = np.zeros(256, dtype=bool)
    edges[[*LINE_ENDS, ord(delimiter), QUOTE]] = True
    inside, tail, rows = 0, b"\n", _Rows()
    while True:
        chunk = body.read(CHUNK)
        octets = tail + (chunk or b"\n")
        codes = np.frombuffer(octets, dtype=np.uint8)
        quotes = np.flatnonzero(codes[1:-1] == QUOTE) + 1 if QUOTE in octets else NONE
        if len(quotes):
            opening = (np.arange(len(quotes)) + inside) % 2 == 0
            if not edges[np.where(opening, codes[quotes - 1], codes[quotes + 1])].all():
                return True
        rows.look_at(codes[len(tail) :], quotes - len(tail), inside)
        inside = (inside + len(quotes)) % 2
        if not chunk:
            return inside == 1
        tail = octets[-2:]


def _too_long() -> Invalid:
    return Invalid(f"The file has a row of more than {LONGEST_ROW >> 20} MiB: is a quote in it never closed?")


class _Rows:
    """Watches how long the rows of a file are, chunk by chunk."""

    def __init__(self) -> None:
        self._length = 0

    def look_at(self, chunk: Bytes, quotes: Places, inside: int) -> None:
        """Take the next chunk, with the places of its quotes and whether it begins in quotes. Raises Invalid."""
        ends = np.flatnonzero((chunk == LINE_ENDS[0]) | (chunk == LINE_ENDS[1]))
        if inside or len(quotes):
            ends = ends[(np.searchsorted(quotes, ends) + inside) % 2 == 0]
        lengths = np.diff(ends, prepend=-1 - self._length)
        self._length = len(chunk) - 1 - int(ends[-1]) if len(ends) else self._length + len(chunk)
        if self._length > LONGEST_ROW or (len(lengths) and lengths.max() > LONGEST_ROW):
            raise _too_long()


def _has_bare_returns(body: BinaryIO) -> bool:
    tail, rows = b"", _Rows()
    while chunk := body.read(CHUNK):
        if re.search(rb"\r[^\n]", tail + chunk):
            return True
        rows.look_at(np.frombuffer(chunk, dtype=np.uint8), NONE, 0)
        tail = chunk[-1:]
    return tail == b"\r"


def mend(text: TextIO, target: Path, format_: str, dialect: Dialect) -> None:
    """Write the rows of a file as the engine reads them; a record that cannot be read becomes a broken one.

    Raises Invalid for a line of more characters than LONGEST_ROW.
    """
    lines = _lines(text)
    for _ in range(dialect.lines_before):
        next(lines, "")
    with target.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as out:
        for record in _records(lines, dialect.delimiter) if format_ == "csv" else lines:
            out.write(record.lstrip(MARK) + "\n")


def _lines(text: TextIO) -> Iterator[str]:
    while line := text.readline(LONGEST_ROW + 1):
        if len(line) > LONGEST_ROW:
            raise _too_long()
        yield line.rstrip("\n")


def _records(lines: Iterator[str], delimiter: str) -> Iterator[str]:
    cells = _Cells(delimiter)
    waiting: list[str] = []
    while (line := waiting.pop() if waiting else next(lines, None)) is not None:
        line = line.lstrip(MARK)
        if '"' not in line:
            yield line
            continue
        record, ahead = _whole(line, cells, waiting, lines)
        waiting.extend(reversed(ahead))
        yield BROKEN if record is None else cells.written(record)


def _whole(line: str, cells: "_Cells", waiting: list[str], lines: Iterator[str]) -> tuple[list[str] | None, list[str]]:
    """The cells of the record that begins with a line, None when its quotes are broken; and lines that stay ahead."""
    record_cells = cells.strict(line) or cells.escaped(line)
    if record_cells is not None or line.count('"') % 2 == 0:
        return record_cells, []
    ahead, length, is_open = list[str](), len(line), True
    while is_open and length < LONGEST_RECORD:
        following = waiting.pop() if waiting else next(lines, None)
        if following is None:
            break
        ahead.append(following)
        length += len(following) + 1
        is_open = following.count('"') % 2 == 0
    record = "\n".join((line, *ahead))
    record_cells = None if is_open else cells.strict(record) or cells.escaped(record)
    return (record_cells, []) if record_cells is not None else (None, ahead)


class _Cells:
    """Cuts records into cells at a delimiter."""

    def __init__(self, delimiter: str) -> None:
        blank = " " if delimiter == "\t" else r"[ \t]"
        edge = re.escape(delimiter)
        self._delimiter = delimiter
        self._plain = re.compile(rf'{blank}*(?!{blank}|")([^{edge}\n]*)')
        self._strict = re.compile(rf'{blank}*"((?:[^"]|"")*)"{blank}*(?={edge}|\Z)')
        self._escaped = re.compile(rf'{blank}*"((?:[^"\\]|""|\\.)*)"{blank}*(?={edge}|\Z)', re.DOTALL)

    def strict(self, record: str) -> list[str] | None:
        """The cells of a record whose quotes inside are doubled; None for any other."""
        cells = self._cut(record, self._strict)
        return None if cells is None else [cell.replace('""', '"') if quoted else cell for cell, quoted in cells]

    def escaped(self, record: str) -> list[str] | None:
        """The cells of a record whose quotes inside have a backslash before them; None for any other."""
        cells = self._cut(record, self._escaped) if '\\"' in record else None
        if cells is None:
            return None
        return [re.sub(r'\\(["\\])|""', _unescaped, cell) if quoted else cell for cell, quoted in cells]

    def written(self, cells: list[str]) -> str:
        """A record of cells in strict quotes."""
        return self._delimiter.join('"' + cell.replace('"', '""') + '"' for cell in cells)

    def _cut(self, record: str, quoted: re.Pattern[str]) -> list[tuple[str, bool]] | None:
        cells, position = list[tuple[str, bool]](), 0
        while True:
            match, is_quoted = quoted.match(record, position), True
            if match is None:
                match, is_quoted = self._plain.match(record, position), False
            if match is None:
                return None
            cells.append((match[1], is_quoted))
            position = match.end()
            if position == len(record):
                return cells
            if record[position] != self._delimiter:
                return None
            position += 1


def _unescaped(match: re.Match[str]) -> str:
    return match[1] or '"'
