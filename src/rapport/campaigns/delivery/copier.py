"""Copies in buckets that could not be made or deleted at once are, as soon as they can be."""

from collections.abc import Sequence
from typing import ClassVar

import psycopg

from rapport.campaigns.delivery import copying
from rapport.stores import Stores
from rapport.stores.workers.rounds import RoundWorker

LOOK_SECONDS = 30.0


class Copier(RoundWorker):
    """Makes the attempts that are due; any process with the role may."""

    name = "copies in buckets"
    pauses_while_held: ClassVar[bool] = True

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores)
        self._stores = stores

    def round(self, words: Sequence[psycopg.Notify]) -> float | None:
        """Make what attempts are due."""
        while not self.stopping and copying.carry_out_next(self._stores):
            continue
        return LOOK_SECONDS
