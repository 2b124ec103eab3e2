"""What is wrong with a row or a text whatever its column, as SQL: cells missing, bytes that are no text."""

from rapport.customers.formats.encodings import UTF8, no_text
from rapport.customers.formats.mending import BROKEN
from rapport.stores.warehouse import literal

# What the engine puts where a line has no cell; no more than it, made of marks that cannot be seen, is a blank.
ABSENT = "\u2063"
# Cells behind those of the header that are looked at: delimiters at the end of a line do no harm, values do.
BEHIND = 4
# Control characters but for tab and line ends: those of ASCII, delete, and those that Latin-1 adds.
CONTROL = "[\\\\x00-\\\\x08\\\\x0B\\\\x0C\\\\x0E-\\\\x1F\\\\x7F\\\\x{80}-\\\\x{9F}]"
MAX_SHOWN = 200
NO_OBJECT = (
    "is no JSON object: it is cut off, has text before or behind it, is a list or a single value, or lacks half of a "
    "character"
)
BROKEN_REASON = "a quote in it is not closed, or has text behind it: write quotes inside quoted cells twice"


def unclean(text: str) -> str:
    """SQL of whether a text has bytes that are not of the file's encoding, or a control character, in it."""
    return f"(NOT isValidUTF8({text}) OR match({text}, '{CONTROL}'))"


def unclean_reason(text: str, encoding: str) -> str:
    """SQL of what is wrong with such a text of a file in an encoding."""
    point = f"right(hex(extract({text}, '{CONTROL}')), 2)"
    character = f"concat('has the control character U+00', {point}, ' in it')"
    return f"if(isValidUTF8({text}), {character}, {literal(no_text(encoding))})"


def shown(text: str, encoding: str) -> str:
    """SQL of the beginning of a text of a file, readable whatever its bytes are: most that are not UTF-8 are of cp1252.

    What was read in another encoding is UTF-8 but for the bytes that this does not have.
    """
    readable = f"if(isValidUTF8({text}), {text}, convertCharset({text}, 'windows-1252', 'utf-8'))"
    readable = readable if encoding == UTF8 else text
    return f"replaceRegexpAll(leftUTF8(toValidUTF8({readable}), {MAX_SHOWN}), '{CONTROL}', '\ufffd')"


def csv_columns(columns: int, behind: int) -> dict[str, str]:
    """The columns of a CSV file for the engine: c0, c1 ... of the file, and x0, x1 ... for what lies behind them.

    Of those only the last tells an empty cell from one that is not there: it costs time.
    """
    column_type = f"String DEFAULT '{ABSENT}'"
    cells = {f"c{index}": column_type for index in range(columns)} | {f"x{index}": "String" for index in range(behind)}
    return cells | {f"x{behind - 1}": column_type}


def csv_fault(columns: int, behind: int) -> str:
    """SQL of what is wrong with a line of csv_columns; empty for nothing."""
    values = _values(behind)
    cells = ", ".join(f"c{index}" for index in range(columns))
    last = f"arrayLastIndex(cell -> cell != '', [{', '.join(values)}])"
    count = f"if({last} > 0, {columns} + {last}, arrayCount(cell -> cell != '{ABSENT}', [{cells}]))"
    wrong = _wrong_count(count, columns)
    many = f"'it has {columns + behind} cells or more where the file has {_counted(columns)}'"
    filled = " OR ".join(f"{value} != ''" for value in values)
    return f"""multiIf(
        c0 = '{BROKEN}' OR c{columns - 1} = '{ABSENT}', if(c0 = '{BROKEN}', '{BROKEN_REASON}', {wrong}),
        x{behind - 1} != '{ABSENT}', {many}, {filled}, {wrong}, '')"""


def csv_blank(behind: int) -> str:
    """SQL of whether a line that has no value in its columns has none behind them either."""
    return " AND ".join(f"{value} = ''" for value in _values(behind)) + f" AND c0 != '{BROKEN}'"


def csv_odd(columns: int) -> str:
    """SQL of whether a line of csv_columns has other characters than the visible ones of ASCII and blanks."""
    line = f"concat({', '.join(f'c{index}' for index in range(columns))}, '')"
    return f"NOT isASCII({line}) OR match({line}, '[^ -~]')"


def _wrong_count(count: str, columns: int) -> str:
    """SQL of the sentence that a line has another number of cells than the file has columns."""
    cells = f"if({count} = 1, ' cell', ' cells')"
    return f"concat('it has ', toString({count}), {cells}, ' where the file has {_counted(columns)}')"


def _counted(columns: int) -> str:
    return "1 column" if columns == 1 else f"{columns} columns"


def _values(behind: int) -> list[str]:
    return [f"x{index}" for index in range(behind - 1)]


def json_fault(line: str, encoding: str, differing: list[tuple[str, str]]) -> str:
    """SQL of what is wrong with a line that must be a JSON object of members _keys; empty for nothing.

    differing are faults of members that are spelled in several ways, see json_lines.differing.
    """
    spelled = "".join(f", {fault}, {reason}" for fault, reason in differing)
    twice = "arrayFirst((key, position) -> indexOf(_keys, key) < position, _keys, arrayEnumerate(_keys))"
    return f"""multiIf(
        length(arrayDistinct(_keys)) < length(_keys), concat('has the member ', {twice}, ' twice'),
        NOT isValidUTF8({line}), {literal(no_text(encoding))},
        NOT startsWith(trimLeft({line}), '{{') OR NOT isValidJSON({line}),
        '{NO_OBJECT}'{spelled}, '')"""


def words_fault(line: str, columns: int) -> str:
    """SQL of what is wrong with a line of words between blanks; empty for nothing."""
    count = f"length(splitByWhitespace(trimBoth({line})))"
    wrong = _wrong_count(count, columns)
    return f"if({count} = {columns}, '', {wrong})"
