"""Work on many items at once of which some may be bad: those are found and set aside, and hold up no others."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def isolate(
    items: Sequence[T],
    work: Callable[[Sequence[T]], R],
    aside: Callable[[T, Exception], object],
    is_fatal: Callable[[Exception], bool],
) -> list[R]:
    """Work on items together; what the successful calls answered, in the order of their items.

    When the work fails, it is done on each half, and so on. A single item on which it fails goes to aside with the
    error. An error that is_fatal says is not about the items, such as an outage, is raised at once, and so is what
    aside raises: what was worked on before stays so. Work that fails must leave nothing behind, or be safe to repeat.
    """
    if not items:
        return []
    try:
        return [work(items)]
    except Exception as error:
        if is_fatal(error):
            raise
        if len(items) == 1:
            aside(items[0], error)
            return []
    middle = len(items) // 2
    return [done for half in (items[:middle], items[middle:]) for done in isolate(half, work, aside, is_fatal)]
