"""Parts of lists: the entries that somebody asks for, and how many the whole list has."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

Entry = TypeVar("Entry")
Shown = TypeVar("Shown")


class Part(list[Entry]):
    """Entries of a list, in its order. total is the number of entries in the whole list."""

    def __init__(self, entries: Iterable[Entry], total: int) -> None:
        super().__init__(entries)
        self.total = total

    @classmethod
    def of(cls, whole: Sequence[Entry], limit: int, offset: int) -> "Part[Entry]":
        """At most `limit` entries after the first `offset` of a list that is short enough to be read whole."""
        return cls(whole[offset : offset + limit], len(whole))

    def each(self, show: Callable[[Entry], Shown]) -> "Part[Shown]":
        """The same part with every entry as `show` gives it."""
        return Part(map(show, self), self.total)


def part(session: Session, statement: Select[Any], limit: int, offset: int) -> Part[Any]:
    """At most `limit` objects after the first `offset` of an ordered SELECT; counted only where the end is not seen."""
    entries = session.scalars(statement.limit(limit).offset(offset)).all()
    if len(entries) < limit and (entries or not offset):
        return Part(entries, offset + len(entries))
    counted = select(func.count()).select_from(statement.order_by(None).subquery())
    return Part(entries, int(session.scalar(counted) or 0))
