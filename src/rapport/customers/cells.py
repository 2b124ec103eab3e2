"""What is wrong with a row or a text whatever its column, as SQL: cells missing, bytes that are no text."""

from rapport.customers.encodings import UNREADABLE
from rapport.customers.mending import BROKEN

# What the engine puts where a line has no cell; no more than it, made of marks that cannot be seen, is a blank.
ABSENT = "\u2063\u2064\u2063"
# Cells behind those of the header that are looked at: delimiters at the end of a line do no harm, values do.
BEHIND = 8
# Control characters but for tab and line ends: those of ASCII, delete, and those that Latin-1 adds.
CONTROL = "[\\\\x00-\\\\x08\\\\x0B\\\\x0C\\\\x0E-\\\\x1F\\\\x7F\\\\x{80}-\\\\x{9F}]"
MAX_SHOWN = 200


def unclean(text: str) -> str:
    """SQL of whether a text is not UTF-8 or has a control character in it."""
    return f"(NOT isValidUTF8({text}) OR match({text}, '{CONTROL}'))"


def unclean_reason(text: str) -> str:
    """SQL of what is wrong with such a text."""
    point = f"right(hex(extract({text}, '{CONTROL}')), 2)"
    character = f"concat('has the control character U+00', {point}, ' in it')"
    return f"if(isValidUTF8({text}), {character}, 'is not UTF-8 text: {UNREADABLE}')"


def shown(text: str) -> str:
    """SQL of the beginning of a text, readable whatever its bytes are: most that are not UTF-8 are of cp1252."""
    readable = f"if(isValidUTF8({text}), {text}, convertCharset({text}, 'windows-1252', 'utf-8'))"
    return f"replaceRegexpAll(leftUTF8(toValidUTF8({readable}), {MAX_SHOWN}), '{CONTROL}', '\ufffd')"


def csv_fault(columns: int, behind: int) -> str:
    """SQL of what is wrong with a line of c0, c1 ... and, behind them, x0, x1 ...; empty for nothing."""
    cells = [f"c{place}" for place in range(columns)] + [f"x{place}" for place in range(behind)]
    values = [f"x{place} NOT IN ('', '{ABSENT}')" for place in range(behind)]
    count = f"arrayCount(cell -> cell != '{ABSENT}', [{', '.join(cells)}])"
    wrong = f"concat('it has ', toString({count}), ' cells where the file has {columns} columns')"
    many = f"'it has more than {columns + behind - 1} cells where the file has {columns} columns'"
    return f"""multiIf(
        c0 = '{BROKEN}', 'a quote in it is not closed, or has text behind it: write quotes inside quoted cells twice',
        x{behind - 1} != '{ABSENT}', {many}, c{columns - 1} = '{ABSENT}' OR {" OR ".join(values)}, {wrong}, '')"""


def csv_blank(behind: int) -> str:
    """SQL of whether a line that has no value in its columns has none behind them either."""
    return " AND ".join(f"x{place} IN ('', '{ABSENT}')" for place in range(behind)) + f" AND c0 != '{BROKEN}'"


def json_fault(line: str) -> str:
    """SQL of what is wrong with a line that must be a JSON object; empty for nothing."""
    return f"""multiIf(
        NOT isValidUTF8({line}), 'is not UTF-8 text: {UNREADABLE}',
        NOT startsWith(trimLeft({line}), '{{') OR NOT isValidJSON({line}),
        'is not a JSON object of one line: it is cut off, or half of a character in it is missing', '')"""


def words_fault(line: str, columns: int) -> str:
    """SQL of what is wrong with a line of words between blanks; empty for nothing."""
    count = f"length(splitByWhitespace(trimBoth({line})))"
    wrong = f"concat('it has ', toString({count}), ' cells where the file has {columns} columns')"
    return f"if({count} = {columns}, '', {wrong})"
