"""One expression for many columns: a statement that repeats it for each takes the engine longer than the rows do.

An expression is a function that gives SQL from the SQL of a text. Columns with the same one are put into an array, over
which it is written once.
"""

from collections.abc import Callable, Sequence
from typing import Any

from rapport.stores.warehouse import Database

Expression = Callable[[str], str]
# Columns are written one by one where an array would save fewer characters: it takes time for each row.
MIN_SAVED = 1000


def grouped(columns: Sequence[tuple[Expression, str]]) -> dict[str, list[int]]:
    """The indexes of columns, each an expression with its text, by the SQL of what they have in common."""
    groups: dict[str, list[int]] = {}
    for index, (expression, _) in enumerate(columns):
        groups.setdefault(expression("text"), []).append(index)
    return groups


def array(sql: str, texts: Sequence[str]) -> str:
    """SQL of an array: an expression, written with `text`, of each of the texts."""
    return f"arrayMap(text -> {sql}, [{', '.join(texts)}])"


def saves_enough(expression: Expression, columns: int, min_saved: int = MIN_SAVED) -> bool:
    """Whether an array saves at least so many characters."""
    return (columns - 1) * len(expression("text")) >= min_saved


def written_once(
    columns: Sequence[tuple[Expression, str]], name: str, min_saved: int = MIN_SAVED
) -> tuple[list[str], list[str]]:
    """The columns of a subquery, called by name and a number, and the SQL of each value over them."""
    arrays: list[str] = []
    values = [""] * len(columns)
    for sql, indexes in grouped(columns).items():
        if (len(indexes) - 1) * len(sql) < min_saved:
            values = [
                columns[index][0](columns[index][1]) if index in indexes else value
                for index, value in enumerate(values)
            ]
            continue
        column = f"{name}{len(arrays)}"
        arrays.append(f"{array(sql, [columns[index][1] for index in indexes])} AS {column}")
        for number, index in enumerate(indexes, 1):
            values[index] = f"{column}[{number}]"
    return arrays, values


def totals(
    warehouse: Database,
    aggregates: Sequence[str],
    columns: Sequence[tuple[Expression, str]],
    rows: str,
    settings: str = "",
) -> list[tuple[int, ...]]:
    """Aggregates (sum, min, max) over the rows of a SELECT, for each column: its expression is a tuple of numbers."""
    groups = grouped(columns)
    if not groups:
        return []
    arrays = [
        f"{array(sql, [columns[index][1] for index in indexes])} AS a{number}"
        for number, (sql, indexes) in enumerate(groups.items())
    ]
    figures_sql = [
        f"{aggregate}ForEach(a{number}.{position})"
        for number in range(len(groups))
        for position, aggregate in enumerate(aggregates, 1)
    ]
    sql = f"SELECT {', '.join(figures_sql)} FROM (SELECT {', '.join(arrays)} FROM ({rows})) {settings}"  # noqa: S608 - made of the file's structure
    figures: list[Any] = list(warehouse.row(sql) or ())
    totals_: list[tuple[int, ...]] = [()] * len(columns)
    for number, indexes in enumerate(groups.values()):
        group_figures = figures[number * len(aggregates) : (number + 1) * len(aggregates)]
        for position, index in enumerate(indexes):
            # Without rows the arrays are empty.
            totals_[index] = tuple(int(per_column[position]) if len(per_column) else 0 for per_column in group_figures)
    return totals_
