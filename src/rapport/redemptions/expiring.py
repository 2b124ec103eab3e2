"""Reservations whose time is over give back what they hold."""

from collections.abc import Sequence

import psycopg

from rapport.redemptions import ending
from rapport.stores import Stores
from rapport.stores.workers.rounds import RoundWorker

LOOK_SECONDS = 5.0


class Expirer(RoundWorker):
    """Ends what is due; any process with the role may."""

    name = "reservations of promo codes"

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores)
        self._stores = stores

    def round(self, words: Sequence[psycopg.Notify]) -> float | None:
        """End the reservations that are due."""
        while not self.stopping and ending.expire_next(self._stores):
            continue
        return LOOK_SECONDS
