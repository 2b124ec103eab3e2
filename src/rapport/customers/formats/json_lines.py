"""JSON lines as SQL: numbers keep the text in which they were written, and members that are missing are known."""

from collections.abc import Callable

from rapport.stores.warehouse import literal

TEXT = r'"(?:[^"\\]|\\.)*"'
# What the engine would write in another way: 1.10, 1e5, -0.
NUMBER = r"-?(?:0|[1-9][0-9]*)(?:[.][0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)|-0|-?[1-9][0-9]{18,}"
# Texts are passed over, so that nothing within one is taken for a number. The last two are what programs write that
# know more numbers than JSON does.
TOKEN = rf"(?s)({TEXT})|({NUMBER})|(NaN)|(-?Infinity)"
# A line that may hold one of them: most floats come back as they are.
MAY_CHANGE = (
    "[0-9][.]([0-9]*0([^0-9]|$)|0000|[0-9]{12})|[0-9]{10}[.]|[0-9][eE][-+0-9]|-0([^0-9]|$)|[0-9]{19}|NaN|Infinity"
)
# Characters that no JSON text holds, around a number, a NaN and an Infinity.
MARKS = (r"\x01", r"\x02", r"\x03", r"\x04", r"\x05", r"\x06")
# How a text begins that is a number as it was written. A line that has such a sign of its own is left alone.
SIGN = r"\\u0001"
WRITTEN = rf"{SIGN}#"


def as_written(line: str) -> str:
    """SQL of a line whose numbers are marked texts, so that 1.10 is not 1.1; see value. NaN is null."""
    opens, closes, *others = MARKS
    nan, of_nan, infinity, of_infinity = others
    marked = rf"\\1{opens}\\2{closes}{nan}\\3{of_nan}{infinity}\\4{of_infinity}"
    text = f"replaceRegexpAll({line}, {literal(TOKEN)}, '{marked}')"
    for pair in (f"{opens}{closes}", f"{nan}{of_nan}", f"{infinity}{of_infinity}"):
        text = f"replaceAll({text}, '{pair}', '')"
    text = f"replaceAll({text}, '{nan}NaN{of_nan}', 'null')"
    text = f"replaceAll({text}, '{opens}', '\"{WRITTEN}')"
    quoted = f"translate({text}, '{closes}{infinity}{of_infinity}', '\"\"\"')"
    odd = f"match({line}, '[{''.join(MARKS)}]') OR position({line}, '{SIGN}') > 0"
    return f"if(match({line}, '{MAY_CHANGE}') AND NOT ({odd}), {quoted}, {line})"


def value(line: str, key: str) -> str:
    """SQL of a member of a line that as_written gave: a text; lists and objects are JSON, numbers as written."""
    extracted = f"JSONExtract({line}, {literal(key)}, 'Nullable(String)')"
    bare = f"replaceRegexpOne({extracted}, '^\\x01#', '')"
    numbers = rf"replaceRegexpAll({bare}, '\"\\\\u0001#([^\"]*)\"', '\\1')"
    return f"if(position({line}, '{WRITTEN}') > 0, {numbers}, {extracted})"


def member(line: str, spellings: tuple[str, ...]) -> str:
    """SQL of a member of such a line by whichever of its spellings the line has; see differing."""
    values = [value(line, key) for key in spellings]
    return f"coalesce({', '.join(values)})" if len(values) > 1 else values[0]


def differing(line: str, spellings: tuple[str, ...], read: Callable[[str], str]) -> tuple[str, str]:
    """SQL of whether a line has spellings of one member with different values, and of what is wrong with it then.

    read gives SQL of what is read from a value's SQL; _keys are the members that the row has.
    """
    pairs = ", ".join(f"({literal(key)}, ifNull(concat('=', {read(value(line, key))}), ''))" for key in spellings)
    present = f"arrayFilter(pair -> has(_keys, pair.1), [{pairs}])"
    names = f"arrayStringConcat({present}.1, ' and ')"
    reason = f"concat('has the members ', {names}, ', which are one and the same, with different values')"
    return f"length(arrayDistinct({present}.2)) > 1", reason


def missing(members: tuple[tuple[str, ...], ...]) -> str:
    """SQL of the indexes, from 0, of the members that a row does not have in any spelling; _keys are what it has."""
    indexes, keys = ", ".join(map(str, range(len(members)))), ", ".join(map(_list, members))
    return f"arrayFilter((index, keys) -> NOT hasAny(_keys, keys), CAST([{indexes}], 'Array(UInt16)'), [{keys}])"


def _list(texts: tuple[str, ...]) -> str:
    return f"[{', '.join(map(literal, texts))}]"
