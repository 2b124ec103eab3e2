"""JSON lines as SQL: numbers keep the text in which they were written, and members that are missing are known."""

from rapport.stores.warehouse import literal

TEXT = r'"(?:[^"\\]|\\.)*"'
# What the engine would write in another way: 1.10, 1e5, -0.
NUMBER = r"-?(?:0|[1-9][0-9]*)(?:[.][0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)|-0"
# A member with such a number, or any other text: so that nothing within a text is taken for a member.
MEMBER = rf"(?s)({TEXT}\s*:\s*)({NUMBER})|({TEXT})"
# A line that may hold one of them: most floats come back as they are.
MAY_CHANGE = "[0-9][.]([0-9]*0([^0-9]|$)|0000|[0-9]{12})|[0-9]{10}[.]|[0-9][eE][-+0-9]|-0([^0-9]|$)"
# Marks that no JSON text holds.
OPENS, CLOSES = r"\x01", r"\x02"


def as_written(line: str) -> str:
    """SQL of a line in which members' numbers are texts, so that 1.10 is not 1.1; those within arrays stay numbers."""
    marked = f"replaceRegexpAll({line}, {literal(MEMBER)}, '\\\\1\\\\3{OPENS}\\\\2{CLOSES}')"
    quoted = f"translate(replaceAll({marked}, '{OPENS}{CLOSES}', ''), '{OPENS}{CLOSES}', '\"\"')"
    return f"if(match({line}, '{MAY_CHANGE}') AND NOT match({line}, '[{OPENS}{CLOSES}]'), {quoted}, {line})"


def missing(keys: tuple[str, ...]) -> str:
    """SQL of the places, from 0, of the members that a row does not have; _keys are those that it has."""
    places, names = ", ".join(map(str, range(len(keys)))), ", ".join(map(literal, keys))
    return f"arrayFilter((place, name) -> NOT has(_keys, name), CAST([{places}], 'Array(UInt16)'), [{names}])"
