"""Warnings: what an import tells beside loaded and rejected, because it may not be what was meant."""

import unicodedata
from dataclasses import dataclass
from typing import Any

EXAMPLES = 5


@dataclass(frozen=True)
class FileWarning:
    """One warning of an import.

    code is its kind for machines; message is one sentence for people; count is how many rows, ids or columns
    it is about; examples are a few of them as text.
    """

    code: str
    message: str
    count: int
    examples: tuple[str, ...] = ()


def counted(count: int, single: str, several: str) -> str:
    """A number with what is counted and, where they differ, the verb that follows: 1 row has, 2 rows have."""
    return f"{count:,} {single if count == 1 else several}"


def visible(text: str) -> str:
    """A text with what cannot be seen in it written as its code, such as \\u200b."""
    return "".join(
        character if character == " " or (character.isprintable() and not character.isspace()) else _code(character)
        for character in text
    )


def without(warnings: list[dict[str, Any]], customer_id: str) -> list[dict[str, Any]]:
    """Warnings as they are kept, without the examples that name a customer in any spelling of case."""
    spellings = {visible(customer_id).lower(), ascii(customer_id)[1:-1].lower()}
    return [
        warning
        | {"examples": [text for text in warning["examples"] if not spellings & {text.lower(), *_between_quotes(text)}]}
        for warning in warnings
    ]


def _between_quotes(example: str) -> list[str]:
    return [part.strip("'") for part in example.lower().split("' and '")]


def _code(character: str) -> str:
    return ascii(character)[1:-1]


def as_example(texts: list[str]) -> str:
    """Texts that look alike as an example: between quotes, and by their codes where they would read the same."""
    shown = [visible(text) for text in texts]
    if len({unicodedata.normalize("NFKC", example) for example in shown}) < len(shown):
        shown = [ascii(text)[1:-1] for text in texts]
    return " and ".join(f"'{example}'" for example in shown)
