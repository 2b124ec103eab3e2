"""Phone numbers: what looks like one, by one rule in two languages, and the one form in which it is written to."""

import re
import unicodedata

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat
from phonenumbers.phonenumberutil import ndd_prefix_for_region

from rapport.channels.addresses import address_key, key_sql, mended
from rapport.stores.warehouse import literal

# Of an address key: digits, with or without the plus of the international form.
NUMBER = "^[+]?[0-9]{6,15}$"
INTERNATIONAL = re.compile(r"[+][1-9][0-9]{6,14}\Z")
# Numbers in the form of E.164 that were looked up: each is asked about when its message is written and when it leaves.
MOST_KNOWN = 20_000
_GIVEN_OUT: set[str] = set()
NOT_A_NUMBER = "not a phone number"


def is_phone_number(text: str) -> bool:
    """Whether a text looks like a phone number, in the national or the international form."""
    return re.match(NUMBER.replace("$", r"\Z"), address_key(text)) is not None


def phone_sql(text: str, *, plain: bool = False) -> str:
    """SQL that tells the same of a text column.

    plain: every text of the column is, by addresses.plain_sql.
    """
    return f"match({key_sql(text, plain=plain)}, {literal(NUMBER)})"


def number_of(text: str, region: str = "") -> str:
    """A phone number in the form of E.164, such as +442079460018.

    region is the country (ISO 3166, two letters) of numbers without a country code. Raises ValueError for a text that
    is none, and for a number that no operator has given out.
    """
    if text in _GIVEN_OUT:
        return text
    number = _written(text, region, is_strict=True)
    if len(_GIVEN_OUT) >= MOST_KNOWN:
        _GIVEN_OUT.clear()
    _GIVEN_OUT.add(number)
    return number


def any_number_of(text: str, region: str = "") -> str:
    """The same also of a number that nobody has, as far as it has the length of one. Raises ValueError."""
    return _written(text, region, is_strict=False)


def _written(text: str, region: str, *, is_strict: bool) -> str:
    accepts = phonenumbers.is_valid_number if is_strict else phonenumbers.is_possible_number
    for written, default in _readings(text, region):
        number = _parsed(written, default)
        if number is not None and accepts(number):
            return phonenumbers.format_number(number, PhoneNumberFormat.E164)
    raise ValueError(NOT_A_NUMBER)


def _readings(text: str, region: str) -> list[tuple[str, str]]:
    """A text as it may be read as a number, with the country of the reading (empty: its own), the likeliest first.

    Without a plus, 491713920001 may be a number of Germany with its country code or without it. Where numbers have a
    prefix within the country, such as 0, one that begins with the country code instead is read with it.
    """
    if not is_phone_number(text):
        return []
    key, written = address_key(text), mended(text)
    international = [(key, "")] if INTERNATIONAL.match(key) else []
    national = [(written, region)] if region else []
    if "+" in unicodedata.normalize("NFKC", written) or written.startswith("00"):
        return international
    code = phonenumbers.country_code_for_region(region) if region else 0
    prefix = ndd_prefix_for_region(region, True) if region else None
    has_code = bool(prefix) and prefix != str(code) and key.startswith(f"+{code}")
    return [*international, *national] if has_code else [*national, *international]


def _parsed(text: str, region: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region or None)
    except NumberParseException:
        return None


def spellings_of(number: str, region: str) -> list[str]:
    """A number in the form of E.164 and, where it is of the region, as it is written there without a country code."""
    parsed = _parsed(number, "")
    if parsed is None or not region or parsed.country_code != phonenumbers.country_code_for_region(region):
        return [number]
    national = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
    digits = re.sub(r"\D", "", national)
    return list(dict.fromkeys([number, digits, phonenumbers.national_significant_number(parsed)]))


def market_of(number: str) -> str:
    """The country (ISO 3166, two letters) that a number in the form of E.164 belongs to; empty for one of none."""
    parsed = _parsed(number, "")
    region = phonenumbers.region_code_for_number(parsed) if parsed else None
    return region if region and region.isalpha() else ""
