"""The encodings of text files: found by byte order marks and patterns of zero bytes, or named by the mapping."""

import codecs
import gzip
import io
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from rapport.errors import Invalid

GZIP = b"\x1f\x8b"
# What a .gz may unpack to: up to so many bytes in any case, and beyond them so many times its own.
UNPACKED_FREELY, TIMES = 64 << 20, 200
MOST_UNPACKED = 64 << 30
TOO_PACKED = f"The file unpacks to more than {TIMES} times its size: split it, or do not compress it."
UTF8 = "utf-8"
# UTF-32 first: its mark begins with the one of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Where a character's zero bytes are, by encoding: most characters of a header are ASCII.
ZEROS = (
    ("utf-32-le", (False, True, True, True)),
    ("utf-32-be", (True, True, True, False)),
    ("utf-16-le", (False, True, False, True)),
    ("utf-16-be", (True, False, True, False)),
)
# Names that leave the order of bytes to a mark; where neither it nor zero bytes tell, it is what Windows writes.
UNORDERED = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}
MOSTLY, HARDLY = 0.6, 0.2
SAMPLE = 2000
NOT_TEXT = ("utf-7", "idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined")


def no_text(encoding: str) -> str:
    """Why bytes are refused that are no text in the encoding in which a file is read: the end of a sentence."""
    if encoding == UTF8:
        remedy = "save the file as UTF-8, or name its encoding in the mapping (such as encoding: cp1252)"
        return f"is not UTF-8 text: {remedy}"
    return f"is not text in the encoding {encoding}: name another one in the mapping, or save the file as UTF-8"


def _refused(error: UnicodeError) -> tuple[str, int]:
    """What stands for bytes that an encoding does not have: a character that becomes a byte that is no UTF-8."""
    return "\udcff", cast(UnicodeDecodeError, error).end


codecs.register_error("rapport.refused", _refused)


def encoding_named(name: str) -> str:
    """An encoding's name as Python spells it. Raises ValueError for one that is not known or of no text."""
    try:
        codec = codecs.lookup(name)
        codec.decode(b"", "strict")
    except (LookupError, ValueError, TypeError) as error:
        raise ValueError(f"{name!r} is not a known encoding") from error
    if not getattr(codec, "_is_text_encoding", True) or codec.name in NOT_TEXT:
        raise ValueError(f"{name!r} is not an encoding of text files")
    return codec.name


def encoding_of(head: bytes, named: str | None) -> str:
    """The encoding of a file that begins with these bytes; a byte order mark counts more than the mapping's word."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    if named not in (None, *UNORDERED):
        return str(named)
    sample = head[: min(len(head), SAMPLE) // 4 * 4] or head
    for encoding, pattern in ZEROS:
        width = 4 if encoding.startswith("utf-32") else 2
        if named in UNORDERED and not encoding.startswith(named):
            continue
        shares = [_share(sample[offset::width]) for offset in range(width)]
        if all(share > MOSTLY if zero else share < HARDLY for share, zero in zip(shares, pattern, strict=False)):
            return encoding
    return UTF8 if named is None else UNORDERED[named]


def _share(sample: bytes) -> float:
    return sample.count(0) / len(sample) if sample else 0.0


def is_rather_utf8(body: BinaryIO) -> bool:
    """Whether a file has more than ASCII and all of it is UTF-8: in another encoding that hardly comes by chance."""
    decoder, more = codecs.getincrementaldecoder(UTF8)(), False
    try:
        while chunk := body.read(1 << 20):
            more = more or not chunk.isascii()
            decoder.decode(chunk)
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return False
    return more


def most_unpacked(packed: BinaryIO) -> int:
    """To how many bytes a packed file may unpack."""
    return min(max(UNPACKED_FREELY, TIMES * os.fstat(packed.fileno()).st_size), MOST_UNPACKED)


class _Unpacked(gzip.GzipFile):
    """The bytes of a .gz, up to what it may unpack to. Reading on raises Invalid."""

    def __init__(self, packed: BinaryIO) -> None:
        super().__init__(fileobj=packed, mode="rb")
        self._most = most_unpacked(packed)

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes."""
        return self._bounded(super().read(size))

    def read1(self, size: int = -1) -> bytes:
        """The next bytes, as many as are there."""
        return self._bounded(super().read1(size))

    def _bounded(self, chunk: bytes) -> bytes:
        if self.tell() > self._most:
            raise Invalid(TOO_PACKED)
        return chunk


@contextmanager
def read_bytes(path: Path) -> Iterator[tuple[BinaryIO, bool]]:
    """The bytes of a file, unpacked when they are gzip whatever its name says; and whether they were.

    Raises Invalid when they are read beyond what a .gz may unpack to.
    """
    with path.open("rb") as raw:
        zipped = raw.read(2) == GZIP
        raw.seek(0)
        if not zipped:
            yield raw, False
            return
        with closing(_Unpacked(raw)) as unpacked:
            yield cast(BinaryIO, unpacked), True


def as_text(body: BinaryIO, encoding: str) -> TextIO:
    """A file's text with one kind of line end; bytes that are not of the encoding stay to be found and refused."""
    errors = "surrogateescape" if encoding == UTF8 else "rapport.refused"
    return io.TextIOWrapper(body, encoding=encoding, errors=errors, newline=None)
