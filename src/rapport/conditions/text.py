"""Comparison of text ignoring case, the same in the engine and here; and which name is the most like another."""

from collections.abc import Iterable
from difflib import SequenceMatcher


def fold(text: str) -> str:
    """Text without case, as the engine's lowerUTF8 gives it."""
    return text.lower()


def most_alike(name: str, names: Iterable[str]) -> str:
    """The one of at least one name that is the most like another by its letters and digits, whatever their case."""
    return max(names, key=lambda other: SequenceMatcher(None, _letters(other), _letters(name)).ratio())


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))
