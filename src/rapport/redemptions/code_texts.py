"""How generated codes look: letters and digits that are not taken for each other, drawn so that nobody can guess them.

There are no vowels, so that no code is a word. Of letters and digits that look alike (0 and O, 1 and L, 2 and Z, 5 and
S, 6 and G, 8 and B, V and W) at most one is there.
"""

import secrets

import numpy as np
from numpy.typing import NDArray

from rapport.errors import Invalid

ALPHABET = "CDFHJKMNPRTWXY34679"
SIZE = len(ALPHABET)
# Among so many possible codes at most one is valid.
ODDS = 1_000_000
# The largest multiple of SIZE in a byte: what is above would make some letters likelier than others.
FAIR = 256 // SIZE * SIZE
LETTERS = np.frombuffer(ALPHABET.encode(), np.uint8)


def shortest(count: int) -> int:
    """The least number of drawn letters with which so many codes cannot be guessed."""
    length = 1
    while SIZE**length < count * ODDS:
        length += 1
    return length


def require_unguessable(count: int, length: int) -> None:
    """Raises Invalid for so many codes that are so short that they could be guessed."""
    if length < shortest(count):
        raise Invalid(f"length must be at least {shortest(count)}, or {count:,} codes could be guessed.")


def drawn(count: int, length: int, prefix: str = "", *, has_check: bool = False) -> list[str]:
    """Codes, some of them perhaps alike: a prefix, drawn letters, and a check character over those."""
    numbers = _numbers(count * length).reshape(count, length)
    if has_check:
        numbers = np.hstack([numbers, _checks(numbers)[:, None]])
    width = numbers.shape[1]
    text = LETTERS[numbers].tobytes().decode()
    return [prefix + text[begin : begin + width] for begin in range(0, count * width, width)]


def _numbers(count: int) -> NDArray[np.uint8]:
    """Numbers below SIZE, each as likely as any other."""
    parts: list[NDArray[np.uint8]] = []
    missing = count
    while missing > 0:
        random = np.frombuffer(secrets.token_bytes(missing + missing // 64 + 64), np.uint8)
        parts.append(random[random < FAIR][:missing] % SIZE)
        missing -= len(parts[-1])
    return np.concatenate(parts)


def _checks(numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The check character of each row: any wrong letter, and any two neighbours exchanged, make it another one.

    The weights 1, 2, 1, 2, ... from the right have no factor in common with SIZE, a prime, nor have their differences,
    with that of the check itself, which is -1, among them.
    """
    weights = np.array([1 if place % 2 else 2 for place in range(numbers.shape[1], 0, -1)], np.int64)
    sums: NDArray[np.int64] = numbers.astype(np.int64) @ weights
    return (sums % SIZE).astype(np.uint8)


def has_valid_check(code: str, prefix: str = "") -> bool:
    """Whether the last character of a generated code is the check of those after the prefix."""
    letters = code.upper().removeprefix(prefix.upper())
    if not letters or any(letter not in ALPHABET for letter in letters):
        return False
    numbers = np.array([[ALPHABET.index(letter) for letter in letters[:-1]]], np.uint8)
    return ALPHABET[int(_checks(numbers)[0])] == letters[-1]
