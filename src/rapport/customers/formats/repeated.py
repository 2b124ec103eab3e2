"""One expression for many columns: a statement that repeats it for each takes the engine longer than the rows do.

An expression is a function that gives SQL from the SQL of a text. Columns with the same one are put into an array, over
which it is written once.
"""

from collections.abc import Callable, Sequence
from typing import Any

from rapport.stores.warehouse import Database

Expression = Callable[[str], str]
# Columns are written one by one where an array would save fewer characters: it takes time for each row.
WORTH = 1000


def grouped(wanted: Sequence[tuple[Expression, str]]) -> dict[str, list[int]]:
    """The places of columns, each an expression with its text, by the SQL of what they have in common."""
    groups: dict[str, list[int]] = {}
    for place, (expression, _) in enumerate(wanted):
        groups.setdefault(expression("text"), []).append(place)
    return groups


def array(sql: str, texts: Sequence[str]) -> str:
    """SQL of an array: an expression, written with `text`, of each of the texts."""
    return f"arrayMap(text -> {sql}, [{', '.join(texts)}])"


def is_worth(expression: Expression, columns: int, worth: int = WORTH) -> bool:
    """Whether an array saves so many characters as it is worth."""
    return (columns - 1) * len(expression("text")) >= worth


def written_once(
    wanted: Sequence[tuple[Expression, str]], name: str, worth: int = WORTH
) -> tuple[list[str], list[str]]:
    """The columns of a subquery, called by name and a number, and the SQL of each value over them."""
    arrays: list[str] = []
    values = [""] * len(wanted)
    for sql, places in grouped(wanted).items():
        if (len(places) - 1) * len(sql) < worth:
            values = [wanted[at][0](wanted[at][1]) if at in places else value for at, value in enumerate(values)]
            continue
        column = f"{name}{len(arrays)}"
        arrays.append(f"{array(sql, [wanted[place][1] for place in places])} AS {column}")
        for number, place in enumerate(places, 1):
            values[place] = f"{column}[{number}]"
    return arrays, values


def totals(
    warehouse: Database,
    aggregates: Sequence[str],
    wanted: Sequence[tuple[Expression, str]],
    rows: str,
    settings: str = "",
) -> list[tuple[int, ...]]:
    """Aggregates (sum, min, max) over the rows of a SELECT, for each column: its expression is a tuple of numbers."""
    groups = grouped(wanted)
    if not groups:
        return []
    arrays = [
        f"{array(sql, [wanted[at][1] for at in places])} AS a{number}"
        for number, (sql, places) in enumerate(groups.items())
    ]
    asked = [
        f"{one}ForEach(a{number}.{place})" for number in range(len(groups)) for place, one in enumerate(aggregates, 1)
    ]
    found: list[Any] = list(
        warehouse.row(f"SELECT {', '.join(asked)} FROM (SELECT {', '.join(arrays)} FROM ({rows})) {settings}") or ()  # noqa: S608 - made of the file's structure
    )
    totals_: list[tuple[int, ...]] = [()] * len(wanted)
    for number, places in enumerate(groups.values()):
        lists = found[number * len(aggregates) : (number + 1) * len(aggregates)]
        for at, place in enumerate(places):
            # Without rows the arrays are empty.
            totals_[place] = tuple(int(one[at]) if len(one) else 0 for one in lists)
    return totals_
