"""Pages of the management API's lists that are short enough to be read whole."""

from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import Depends, Query

from rapport.stores.parts import Part

Entry = TypeVar("Entry")
LONGEST = 10_000


class Page:
    """A dependency: which entries of a list are asked for; all of them unless told otherwise."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=LONGEST)] = LONGEST,
        offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    ) -> None:
        self._limit = limit
        self._offset = offset

    def of(self, entries: Sequence[Entry]) -> Part[Entry]:
        """The entries of the page."""
        return Part.of(entries, self._limit, self._offset)


Paged = Annotated[Page, Depends()]
