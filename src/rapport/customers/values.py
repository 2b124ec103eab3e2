"""The value rules of batch files, as SQL over a column of text.

A rule turns a text column (empty already NULL) into a typed value that is NULL when the text does not
fit. Rules are the contract's: dates as yyyy-MM-dd and times as yyyy-MM-dd hh:mm:ss without zone, no
placeholder dates, decimal point and no currency sign, numbers rounded to four decimals.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rapport.customers.identity import NOBODY, identifies_nobody_sql

PLACEHOLDERS = ("0001-01-01", "1753-01-01", "1900-01-01", "9999-12-31")
DIRECTIVES = {"Y": "Y", "m": "m", "d": "d", "H": "H", "M": "i", "S": "S", "y": "y", "b": "b", "B": "M", "%": "%"}
MAX_TEXT = 32_000
EMPTY = "''"
CLOCK = "^ ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?$"


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
    return f"if(left({text}, 1) > '~' OR right({text}, 1) > '~', {ends}, trimBoth({text}, ' \\t\\r\\n\\f\\v'))"


def _unplaced(text: str) -> str:
    return f"left({text}, 10) NOT IN {PLACEHOLDERS}"


def datetime_value(text: str) -> str:
    """A wall-clock time from yyyy-MM-dd[ hh:mm:ss[.f]]; read as UTC so that it stays as it reads."""
    parsed = f"toDateTimeOrNull(left({text}, 19), 'UTC')"
    fits = f"length(left({text}, 19)) IN (10, 19) AND startsWith(toString({parsed}), left({text}, 19))"
    fraction = f"(length({text}) <= 19 OR match(substring({text}, 20), '^[.][0-9]+$'))"
    return f"if({fits} AND {fraction} AND {_unplaced(text)}, {parsed}, NULL)"


def date_value(text: str) -> str:
    """A day from yyyy-MM-dd; a time behind it must be a real one and is dropped."""
    parsed = f"toDate32OrNull(left({text}, 10))"
    rest = f"(length({text}) = 10 OR match(substring({text}, 11), '{CLOCK}'))"
    fits = f"length({text}) >= 10 AND toString({parsed}) = left({text}, 10) AND {rest} AND {_unplaced(text)}"
    return f"if({fits} AND toYear({parsed}) >= 1900, {parsed}, NULL)"


def formatted_value(text: str, date_format: str) -> str:
    """A wall-clock time by a format of the mapping (strftime directives, checked by engine_format)."""
    return f"parseDateTimeOrNull({text}, '{engine_format(date_format)}', 'UTC')"


def engine_format(date_format: str) -> str:
    """A strftime format in the engine's letters. Raises ValueError for a directive that is not known."""
    out, characters = [], iter(date_format)
    for character in characters:
        if character == "%":
            directive = next(characters, "")
            if directive not in DIRECTIVES:
                raise ValueError(f"%{directive}")
            out.append("%" + DIRECTIVES[directive])
        elif character in "'\\{}":
            raise ValueError(character)
        else:
            out.append(character)
    return "".join(out)


def _number(text: str) -> str:
    parsed = f"toFloat64OrNull({text})"
    return f"if(isFinite({parsed}) AND abs({parsed}) < 1e15, round({parsed}, 4), NULL)"


def _decimal(text: str) -> str:
    parsed = f"toDecimal128OrNull({text}, 8)"
    return f"if(abs({parsed}) < 1e15, CAST(round({parsed}, 4), 'Nullable(Decimal(19, 4))'), NULL)"


def _text(text: str) -> str:
    return f"if(isValidUTF8({text}) AND length({text}) <= {MAX_TEXT}, {text}, NULL)"


def _identifier(text: str) -> str:
    return f"if(isValidUTF8({text}) AND length({text}) <= 255, {text}, NULL)"


def _person(text: str) -> str:
    return f"if({identifies_nobody_sql(f'ifNull({text}, {EMPTY})')}, NULL, {_identifier(text)})"


def _flag(text: str) -> str:
    low = f"lower({text})"
    return f"multiIf({low} IN ('yes', 'true', '1', 'y'), 1, {low} IN ('no', 'false', '0', 'n'), 0, NULL)"


RULES = {
    "Id": Rule(_identifier, "is not UTF-8 text of at most 255 bytes", "Nullable(String)"),
    "Person": Rule(_person, "is not UTF-8 text of at most 255 bytes", "Nullable(String)"),
    "Text": Rule(_text, "is not UTF-8 text of at most 32000 bytes", "Nullable(String)"),
    "Email": Rule(
        lambda text: f"if(isValidUTF8({text}) AND lengthUTF8({text}) <= 250, {text}, NULL)",
        "is longer than 250 characters",
        "Nullable(String)",
    ),
    "Date": Rule(date_value, "is not a date as yyyy-MM-dd", "Nullable(Date32)"),
    "Day": Rule(
        lambda text: f"if(toYear({date_value(text)}) BETWEEN 1970 AND 2148, {date_value(text)}, NULL)",
        "is not a date as yyyy-MM-dd between 1970 and 2148",
        "Nullable(Date32)",
    ),
    "Datetime": Rule(datetime_value, "is not a time as yyyy-MM-dd hh:mm:ss", "Nullable(DateTime('UTC'))"),
    "Instant": Rule(datetime_value, "is not a time as yyyy-MM-dd hh:mm:ss", "Nullable(DateTime64(3, 'UTC'))"),
    "Number": Rule(_number, "is not a number", "Nullable(Float64)"),
    "Decimal": Rule(_decimal, "is not a decimal number", "Nullable(Decimal(19, 4))"),
    "Bigint": Rule(lambda text: f"toInt64OrNull({text})", "is not a whole number", "Nullable(Int64)"),
    "Int": Rule(lambda text: f"toInt32OrNull({text})", "is not a whole number", "Nullable(Int32)"),
    "Count": Rule(lambda text: f"toUInt32OrNull({text})", "is not a whole number", "Nullable(UInt32)"),
    "Flag": Rule(_flag, "is neither Yes nor No", "Nullable(UInt8)"),
}
RULES["Nvarchar"] = RULES["Varchar"] = RULES["Text"]
DATE_TYPES = ("Date", "Day", "Datetime", "Instant")


def reason(type_: str, text: str, required: bool) -> str:
    """SQL of the reason for which a text was refused."""
    cases = []
    if required:
        cases.append(f"{text} IS NULL, 'is required and empty'")
    if type_ in DATE_TYPES:
        cases.append(f"left({text}, 10) IN {PLACEHOLDERS}, 'is a placeholder date: leave it empty'")
    if type_ == "Person":
        cases.append(f"{identifies_nobody_sql(f'ifNull({text}, {EMPTY})')}, '{NOBODY}'")
    otherwise = f"'{RULES[type_].reason}'"
    return f"multiIf({', '.join(cases)}, {otherwise})" if cases else otherwise
