"""JSON lines as SQL: numbers keep the text in which they were written, and members that are missing are known."""

from rapport.stores.warehouse import literal

# Strings, numbers, and what is between them.
TOKENS = r'(?s)"(?:[^"\\]|\\.)*"|-?[0-9][0-9A-Za-z.+-]*|[^"0-9-]+|.'
NUMBER = r"^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?$"
# Lines that hold a number which the engine would write in another way: 1.10, 1e5, -0.
MAY_CHANGE = "[0-9][.eE]|-0"


def as_written(line: str) -> str:
    """SQL of a line whose members' numbers are texts, so that 1.10 is not 1.1; those within arrays stay numbers."""
    deeper = "countSubstrings(token, '{') + countSubstrings(token, '[')"
    higher = "countSubstrings(token, '}') + countSubstrings(token, ']')"
    depths = f"arrayCumSum(arrayMap(token -> if(left(token, 1) = '\"', 0, {deeper} - ({higher})), tokens))"
    quoted = f"if(depth = 1 AND match(token, {literal(NUMBER)}), concat('\"', token, '\"'), token)"
    joined = f"arrayStringConcat(arrayMap((token, depth) -> {quoted}, tokens, {depths}))"
    made = f"arrayMap(tokens -> {joined}, [extractAll({line}, {literal(TOKENS)})])[1]"
    return f"if(match({line}, '{MAY_CHANGE}'), {made}, {line})"


def missing(keys: tuple[str, ...]) -> str:
    """SQL of the places, from 0, of the members that a row does not have; _keys are those that it has."""
    places, names = ", ".join(map(str, range(len(keys)))), ", ".join(map(literal, keys))
    return f"arrayFilter((place, name) -> NOT has(_keys, name), CAST([{places}], 'Array(UInt16)'), [{names}])"
