"""Texts that identify a person by their shape: e-mail addresses and phone numbers, as SQL and in Python.

The patterns mean the same to the engine (RE2) and to Python. Numbers without a plus sign, brackets or separators
are taken for ids, and so are not phone numbers.
"""

import re
from collections.abc import Iterable

# Anywhere in a text, also within an address of a page.
EMAIL = r"[^\s@<>\"',;:=&?/\\(){}\[\]]+(@|%40)[^\s@<>\"',;:=&?/\\(){}\[\]%]+[.][^\s@<>\"',;:=&?/\\(){}\[\]%.]{2,}"
# The whole text.
PHONE = (
    r"^\s*(([+]|00)[1-9][0-9 ().\-/]{5,18}[0-9]"
    r"|[(]?0[0-9]{1,5}[)]?[ \-/.][ (]*[0-9][0-9 \-/.()]{3,12}[0-9]"
    r"|[(]?[0-9]{3}[)]?[ .\-]{1,2}[0-9]{3}[ .\-][0-9]{4})\s*$"
)
DATE = r"^\s*[0-9]{1,4}[.\-/][0-9]{1,2}[.\-/][0-9]{1,4}\b"
# Names within texts that are JSON or look like it.
MEMBER = r"[\"']([^\"'\\]{1,100})[\"']\s*:"

# Digits and what parts them.
NUMBER = r"[0-9+(][0-9 ().+/\-]{4,}[0-9]"
# Between words.
APART = r"[^\p{L}\p{N}]+"


def _quoted(pattern: str) -> str:
    return "'" + pattern.replace("\\", "\\\\").replace("'", "\\'") + "'"


def holds_email(text: str) -> str:
    """SQL: whether a text has an e-mail address in it."""
    return f"match({text}, {_quoted(EMAIL)})"


def is_phone(text: str) -> str:
    """SQL: whether a text is a phone number."""
    return f"(match({text}, {_quoted(PHONE)}) AND NOT match({text}, {_quoted(DATE)}))"


def folded(text: str) -> str:
    """SQL: the words of a text in lower case, a blank before, between and after them."""
    return f"replaceRegexpAll(concat(' ', lowerUTF8({text}), ' '), {_quoted(APART)}, ' ')"


def digits(text: str) -> str:
    """SQL: the digits of a text."""
    return f"replaceRegexpAll({text}, '[^0-9]', '')"


def members(text: str) -> str:
    """SQL: the names of the members of a text that is JSON, at any depth, as an array."""
    return f"extractAll({text}, {_quoted(MEMBER)})"


def identifies(text: str) -> bool:
    """Whether a text has an e-mail address in it or is a phone number: holds_email or is_phone."""
    return bool(re.search(EMAIL, text, re.ASCII)) or (
        bool(re.search(PHONE, text, re.ASCII)) and not re.search(DATE, text, re.ASCII)
    )


def member_names(text: str) -> list[str]:
    """The names that `members` gives."""
    return re.findall(MEMBER, text, re.ASCII)


class PersonalTexts:
    """What is known of persons, to be found again in other texts: names, addresses, numbers, ids.

    Found are whole words in their order, whatever stands between them, and long numbers however they are parted.
    addresses are the texts that have an e-mail address in them.
    """

    SHORTEST, FEWEST_DIGITS, MOST_WORDS = 3, 7, 6

    def __init__(self, texts: Iterable[str]) -> None:
        long_enough = [text for text in texts if len(text.strip()) >= self.SHORTEST]
        self.addresses = sorted({text for text in long_enough if re.search(EMAIL, text, re.ASCII)})
        self._phrases = {tuple(_words(text)[: self.MOST_WORDS]) for text in long_enough} - {()}
        numbers = (re.sub(r"[^0-9]", "", text) for text in long_enough if re.fullmatch(NUMBER, text, re.ASCII))
        self._numbers = {number for number in numbers if len(number) >= self.FEWEST_DIGITS}
        self._lengths = sorted({len(phrase) for phrase in self._phrases})

    def are_in(self, text: str) -> bool:
        """Whether any of them is in a text."""
        words = _words(text)
        parts = (
            tuple(words[start : start + length]) for length in self._lengths for start in range(len(words) - length + 1)
        )
        return any(part in self._phrases for part in parts) or self._has_number(text)

    def _has_number(self, text: str) -> bool:
        return any(re.sub(r"[^0-9]", "", part) in self._numbers for part in re.findall(NUMBER, text, re.ASCII))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())
