"""The value rules of batch files, as SQL over a column of text; those of dates are in dates.

A rule turns a text column (empty already NULL) into a typed value that is NULL when the text does not
fit. What is no text whatever its column, such as bytes that are not UTF-8, is in cells. Rules are the contract's:
decimal point and no currency sign, numbers rounded to four decimals.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rapport.customers.formats import dates
from rapport.customers.formats.numerals import in_form, whole
from rapport.customers.identity import NOBODY, identifies_nobody_sql

MAX_TEXT = 32_000
EMPTY = "''"
WHOLE = "is not a whole number without leading zeros, plus sign or exponent"
SEVERAL = "is a list or an object, where one value belongs"
DECIMAL = "is not a decimal number without leading zeros, plus sign or exponent"


@dataclass(frozen=True)
class Rule:
    """How texts of a type become values: SQL of the value from the text's SQL, and the word for a misfit."""

    value: Callable[[str], str]
    reason: str
    sql_type: str


# Blanks of any alphabet, and marks that cannot be seen; what joins letters or emoji stays when it is inside.
EDGE = (
    "[\\\\s\\\\pZ\\\\x{85}\\\\x{AD}\\\\x{180E}\\\\x{200B}-\\\\x{200F}"
    "\\\\x{202A}-\\\\x{202E}\\\\x{2060}-\\\\x{2069}\\\\x{FEFF}]+"
)


def trimmed(text: str) -> str:
    """SQL of a text without blanks and invisible characters at its ends."""
    ends = f"replaceRegexpOne(replaceRegexpOne({text}, '^{EDGE}', ''), '{EDGE}$', '')"
    plain = f"isASCII({text}) OR (left({text}, 1) <= '~' AND right({text}, 1) <= '~')"
    return f"if({plain}, trimBoth({text}, ' \\t\\r\\n\\f\\v'), {ends})"


def _number(text: str) -> str:
    parsed = f"toFloat64OrNull({text})"
    return f"if(isFinite({parsed}) AND abs({parsed}) < 1e15, round({parsed}, 4), NULL)"


def _decimal(text: str) -> str:
    parsed = f"toDecimal128OrNull({text}, 8)"
    fits = f"{in_form(text, ())} AND abs({parsed}) < 1e15"
    return f"if({fits}, CAST(round({parsed}, 4), 'Nullable(Decimal(19, 4))'), NULL)"


def _text(text: str) -> str:
    return f"if(length({text}) <= {MAX_TEXT}, {text}, NULL)"


def _identifier(text: str) -> str:
    breaks = " OR ".join(f"position({text}, '{character}') > 0" for character in ("\\t", "\\n", "\\r"))
    return f"if(length({text}) > 255 OR {breaks}, NULL, {text})"


def _several(text: str) -> str:
    """SQL of whether a text is a list or an object of JSON, which names no one person and is no one address."""
    return f"(match({text}, '^([\\\\[].*\\\\]|[{{{{].*[}}}}])$') AND isValidJSON({text}))"


def _person(text: str) -> str:
    nobody = f"{identifies_nobody_sql(f'ifNull({text}, {EMPTY})')} OR {_several(f'ifNull({text}, {EMPTY})')}"
    return f"if({nobody}, NULL, {_identifier(text)})"


def _flag(text: str) -> str:
    low = f"lower({text})"
    return f"multiIf({low} IN ('yes', 'true', '1', 'y'), 1, {low} IN ('no', 'false', '0', 'n'), 0, NULL)"


RULES = {
    "Id": Rule(_identifier, "is not one line of UTF-8 text of at most 255 bytes", "Nullable(String)"),
    "Person": Rule(_person, "is not one line of UTF-8 text of at most 255 bytes", "Nullable(String)"),
    "Text": Rule(_text, "is not UTF-8 text of at most 32000 bytes", "Nullable(String)"),
    "Email": Rule(
        lambda text: f"if(isValidUTF8({text}) AND lengthUTF8({text}) <= 250 AND NOT {_several(text)}, {text}, NULL)",
        "is longer than 250 characters",
        "Nullable(String)",
    ),
    "Number": Rule(
        _number,
        "is not a number such as 1234.5: write it with a decimal point and without signs of a currency",
        "Nullable(Float64)",
    ),
    "Decimal": Rule(_decimal, DECIMAL, "Nullable(Decimal(19, 4))"),
    "Bigint": Rule(lambda text: whole(text, "Int64"), WHOLE, "Nullable(Int64)"),
    "Int": Rule(lambda text: whole(text, "Int32"), WHOLE, "Nullable(Int32)"),
    "Count": Rule(lambda text: f"toUInt32OrNull({text})", "is not a whole number", "Nullable(UInt32)"),
    "Flag": Rule(_flag, "is neither Yes nor No", "Nullable(UInt8)"),
}
RULES["Nvarchar"] = RULES["Varchar"] = RULES["Text"]


LARGE = "is a larger number than the column holds"
# How the texts of a type look that are refused for their size alone.
WHOLES, LARGEST = "^-?[1-9][0-9]*$", "isFinite(toFloat64OrNull({text})) AND abs(toFloat64OrNull({text})) >= 1e15"


def _too_large(type_: str, text: str) -> str:
    """SQL of whether a refused text is a number all the same; empty for types that hold none."""
    if type_ == "Number":
        return LARGEST.format(text=text)
    if type_ == "Decimal":
        return f"{in_form(text, ())} AND {LARGEST.format(text=text)}"
    if type_ in ("Bigint", "Int", "Count"):
        return f"match({text}, '{WHOLES.replace('-?', '') if type_ == 'Count' else WHOLES}')"
    return ""


def sql_type(type_: str) -> str:
    """The engine's type of a column of a type, one of RULES or of dates."""
    return dates.SQL_TYPES.get(type_) or RULES[type_].sql_type


def reason(type_: str, text: str, *, required: bool) -> str:
    """SQL of the reason for which a text was refused; those of dates are in dates."""
    cases = []
    if required:
        cases.append(f"{text} IS NULL, 'is required and empty'")
    if type_ == "Person":
        cases.append(f"{identifies_nobody_sql(f'ifNull({text}, {EMPTY})')}, '{NOBODY}'")
    if type_ in ("Person", "Email"):
        cases.append(f"{_several(f'ifNull({text}, {EMPTY})')}, '{SEVERAL}'")
    if large := _too_large(type_, text):
        cases.append(f"{large}, '{LARGE}'")
    otherwise = f"'{RULES[type_].reason}'"
    return f"multiIf({', '.join(cases)}, {otherwise})" if cases else otherwise
