"""Texts as phones get them: in which alphabet, and in how many segments (3GPP TS 23.038 and 23.040).

A text whose characters are all in the GSM alphabet takes 7 bits each, those of the extension table twice as many. Any
other takes 16 bits each. What is longer than one segment is concatenated: each segment has a header then, which takes
room, and a character is never cut in two.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from rapport.channels.messages import TextSize

ESCAPE = 0x1B
BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*"
    + "+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    + "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = {
    "\f": 0x0A,
    "^": 0x14,
    "{": 0x28,
    "}": 0x29,
    "\\": 0x2F,
    "[": 0x3C,
    "~": 0x3D,
    "]": 0x3E,
    "|": 0x40,
    "€": 0x65,
}
CODES = {
    **{letter: bytes([code]) for code, letter in enumerate(BASIC) if code != ESCAPE},
    **{letter: bytes([ESCAPE, code]) for letter, code in EXTENSION.items()},
}
# Characters that are one octet in GSM-7, which nearly all texts consist of.
PLAIN = frozenset(letter for letter, code in CODES.items() if len(code) == 1)
OCTETS_OF_PLAIN = {ord(letter): CODES[letter][0] for letter in PLAIN}
# A header of concatenation numbers the segments with one octet.
MOST_SEGMENTS = 255


class Alphabet(StrEnum):
    """How the characters of a text are coded."""

    GSM = "GSM-7"
    UCS2 = "UCS-2"


# How many units a text of one segment may have, and each segment of a longer one. A unit of GSM-7 is 7 bits, of UCS-2
# 16.
ALONE = {Alphabet.GSM: 160, Alphabet.UCS2: 70}
TOGETHER = {Alphabet.GSM: 153, Alphabet.UCS2: 67}
OCTETS = {Alphabet.GSM: 1, Alphabet.UCS2: 2}


@dataclass(frozen=True)
class Segments:
    """A text in segments: of GSM-7 an octet a unit, not packed; of UCS-2 two, the higher first."""

    alphabet: Alphabet
    parts: list[bytes]


def outside_gsm(text: str) -> list[str]:
    """The characters of a text that are not in the GSM alphabet, each once: they make it UCS-2."""
    return [letter for letter in dict.fromkeys(text) if letter not in CODES]


def segments_of(text: str) -> Segments:
    """A text in segments; an empty one has one. Raises ValueError for one of more than 255."""
    if len(text) <= ALONE[Alphabet.GSM] and PLAIN.issuperset(text):
        return Segments(Alphabet.GSM, [text.translate(OCTETS_OF_PLAIN).encode("latin-1")])
    alphabet = Alphabet.UCS2 if outside_gsm(text) else Alphabet.GSM
    coded = list(_coded(text, alphabet))
    parts = [b"".join(coded)]
    if len(parts[0]) > ALONE[alphabet] * OCTETS[alphabet]:
        parts = list(_filled(coded, TOGETHER[alphabet] * OCTETS[alphabet]))
    if len(parts) > MOST_SEGMENTS:
        raise ValueError(f"the text has more than {MOST_SEGMENTS} segments")
    return Segments(alphabet, parts)


def size_of(text: str) -> TextSize:
    """In which alphabet a text is sent, and how many units and segments it has, also more than can be sent."""
    if len(text) <= ALONE[Alphabet.GSM] and PLAIN.issuperset(text):
        return TextSize(Alphabet.GSM, len(text), 1)
    alphabet = Alphabet.UCS2 if outside_gsm(text) else Alphabet.GSM
    coded = list(_coded(text, alphabet))
    octets = sum(map(len, coded))
    is_alone = octets <= ALONE[alphabet] * OCTETS[alphabet]
    segments = 1 if is_alone else sum(1 for _ in _filled(coded, TOGETHER[alphabet] * OCTETS[alphabet]))
    return TextSize(alphabet, octets // OCTETS[alphabet], segments)


def _coded(text: str, alphabet: Alphabet) -> Iterator[bytes]:
    """The codes of the characters of a text: each stays whole."""
    for letter in text:
        yield CODES[letter] if alphabet is Alphabet.GSM else letter.encode("utf-16-be", "replace")


def _filled(coded: list[bytes], octets: int) -> Iterator[bytes]:
    part = bytearray()
    for code in coded:
        if len(part) + len(code) > octets:
            yield bytes(part)
            part.clear()
        part += code
    yield bytes(part)
