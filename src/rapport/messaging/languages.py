"""Languages as customers' attributes, browsers and templates name them."""

import re
from collections.abc import Collection
from operator import itemgetter
from typing import Annotated

from pydantic import AfterValidator, Field

ENGLISH = "en"
# How else languages are called in attributes of customers.
NAMES = {
    ENGLISH: "english eng",
    "de": "german deutsch ger deu",
    "fr": "french français francais fre fra",
    "es": "spanish español espanol castellano spa",
    "it": "italian italiano ita",
    "nl": "dutch nederlands dut nld",
    "pt": "portuguese português portugues por",
    "pl": "polish polski pol",
    "sv": "swedish svenska swe",
    "da": "danish dansk dan",
}
CODE_OF = {name: language for language, names in NAMES.items() for name in names.split()}
RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ur"})


def language_code(text: str) -> str:
    """The language that a text names (de, de-AT, de_DE, German, Deutsch) as the first part of a code, in lower case."""
    first = text.strip().lower().replace("_", "-").partition("-")[0].strip()
    return CODE_OF.get(first, first)


def accepted(header: str) -> list[str]:
    """The languages of an Accept-Language header (RFC 9110), the preferred first, without what cannot be read."""
    languages: list[tuple[float, str]] = []
    for part in header.split(",")[:50]:
        tag, _, more = part.partition(";")
        quality = more.strip().removeprefix("q=") or "1"
        if tag.strip() and quality.replace(".", "", 1).isdecimal() and float(quality) > 0:
            languages.append((-float(quality), language_code(tag)))
    return [language for _, language in sorted(languages, key=itemgetter(0))]


def direction(language: str) -> str:
    """How a language is written, as HTML has it."""
    return "rtl" if language in RIGHT_TO_LEFT else "ltr"


def language_tag(text: str) -> str:
    """The language that a text names with its region, as BCP 47 writes it: de-AT of de_at, pt-BR, de of German.

    Empty for a text that names none.
    """
    language = language_code(text)
    if not re.fullmatch("[a-z]{2,3}", language):
        return ""
    parts = text.strip().replace("_", "-").split("-")[1:]
    region = next((part.upper() for part in parts if re.fullmatch("[A-Za-z]{2}|[0-9]{3}", part.strip())), "")
    return f"{language}-{region.strip()}" if region else language


def nearest(tag: str, available: Collection[str]) -> str:
    """Which of the languages that there are suits whoever reads this one; empty for none.

    It is the same with its region, or else without, or else the same language of another region.
    """
    if tag in available:
        return tag
    language = tag.partition("-")[0]
    if not language:
        return ""
    same = sorted(other for other in available if other.partition("-")[0] == language)
    return same[0] if same else ""


def _tag(value: str) -> str:
    if language_tag(value) != value:
        raise ValueError("must be a language such as de, or with its region such as de-AT")
    return value


LanguageTag = Annotated[str, Field(max_length=7), AfterValidator(_tag)]
