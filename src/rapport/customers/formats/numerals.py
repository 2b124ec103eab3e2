"""How numbers are written in files, so that a type is taken only for texts that it gives back as they were.

A whole number is written plainly: no leading zero, plus sign or exponent. A column of decimals has a form that says
which text a number has: the same count of decimals everywhere (money: 10.00 and 10.50), the shortest text (5 and 5.25)
or that of a float (5.0 and 5.25). 1.10 beside 1.1 has none of these forms, so such a column holds texts. A column
keeps the forms that all of its values had so far, and what is in none of them is refused: it would not come back.
"""

from collections.abc import Iterable

from rapport.stores.warehouse import literal

PLACES = 4
PLAIN = f"-?(0|[1-9][0-9]{{0,14}})([.][0-9]{{1,{PLACES}}})?"
SHORTEST, FLOAT = "shortest", "float"
# Zero has no sign when it comes back.
MINUS_ZERO = ("-0", "-0.0", "-0.00", "-0.000", "-0.0000")
PATTERNS = {
    SHORTEST: r"([.][0-9]{0,3}[1-9])?",
    FLOAT: r"[.]([0-9]|[0-9]{1,3}[1-9])",
    **{f"places{places}": f"[.][0-9]{{{places}}}" for places in range(1, PLACES + 1)},
}
# How what counts_sql gives of each text becomes that of a column: see forms_of.
AGGREGATES = ("sum", "sum", "min", "max", "sum", "sum")


def whole(text: str, type_: str) -> str:
    """SQL of a whole number of an engine's type (Int64, Int32); NULL for a text that would not come back."""
    number = f"to{type_}OrNull({text})"
    return f"if(toString({number}) = {text}, {number}, NULL)"


# What a mapping's example has between thousands, and what files have there.
BETWEEN = {"": "", ".": "[.]", ",": ",", " ": "[ \\x{A0}\\x{2009}\\x{202F}]", "'": "['\\x{2019}]"}


def plain(text: str, example: str) -> str:
    """SQL of a number's text as files have it without a mapping, from one that is written as 1234.56 is in an example.

    Thousands may be without their marks. NULL for what is written otherwise.
    """
    point, between = example[-3], BETWEEN["" if example[1] == "2" else example[1]]
    whole_part = f"[0-9]{{1,3}}({between}[0-9]{{3}})+|[0-9]+" if between else "[0-9]+"
    fits = f"match({text}, {literal(f'^[+-]?({whole_part})([{point}][0-9]+)?$')})"
    bare = f"replaceRegexpAll({text}, {literal(between)}, '')" if between else text
    return f"if({fits}, replaceOne({bare}, '{point}', '.'), NULL)"


def in_form(text: str, forms: Iterable[str]) -> str:
    """SQL of whether a text is written in one of the forms; without any, whether it is a plain decimal number."""
    endings = "|".join(PATTERNS[form] for form in forms)
    if not endings:
        return f"match({text}, '^-?(0|[1-9][0-9]*)([.][0-9]+)?$')"
    return f"(match({text}, '^-?(0|[1-9][0-9]{{0,14}})({endings})$') AND {text} NOT IN {MINUS_ZERO})"


def counts_sql(text: str) -> list[str]:
    """SQL of numbers of a text, which forms_of reads when they are aggregated over the texts of a column."""
    text = f"ifNull({text}, '')"
    is_plain = f"(match({text}, '^{PLAIN}$') AND {text} NOT IN {MINUS_ZERO})"
    places = f"if(position({text}, '.') = 0, 0, length({text}) - position({text}, '.'))"
    return [
        f"{text} != ''",
        is_plain,
        f"if({is_plain}, {places}, 255)",
        f"if({is_plain}, {places}, 0)",
        f"{is_plain} AND {places} > 0 AND endsWith({text}, '0')",
        f"{is_plain} AND {places} > 1 AND endsWith({text}, '0')",
    ]


def forms_of(counts: tuple[int, ...]) -> tuple[str, ...]:
    """The forms of decimals that all texts of a column have, by what counts_sql counted; none when there are none."""
    text_count, plain_count, least, most, zeros, long_zeros = counts
    if not text_count or plain_count < text_count:
        return ()
    forms = []
    if not zeros:
        forms.append(SHORTEST)
    if least > 0 and not long_zeros:
        forms.append(FLOAT)
    if least == most > 0:
        forms.append(f"places{most}")
    return tuple(forms)
