"""How many events one person may send: a sliding window that costs two look-ups an event.

The window is made of two buckets, the older one counting for the part of it that the window still
covers. What is remembered is who sent something within two windows.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable

from rapport.errors import TooManyRequests

WINDOW_SECONDS = 10.0


class Pace:
    """Counts in this process. A process set of n API processes allows n times the limit."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._number = 0
        self._present: Counter[tuple[int, str]] = Counter()
        self._past: Counter[tuple[int, str]] = Counter()

    def take(self, tenant_id: int, persons: Iterable[str], limit: int) -> None:
        """Count an event for each person named. Raises TooManyRequests, and counts none, if one has too many."""
        elapsed = self._turn()
        wanted = Counter((tenant_id, person) for person in persons)
        for who, number in wanted.items():
            used = self._present[who] + self._past[who] * (1 - elapsed)
            if used + number > limit:
                wait = math.ceil(WINDOW_SECONDS * (1 - elapsed)) or 1
                raise TooManyRequests(
                    f"More than {limit} events of one person within {WINDOW_SECONDS:.0f} seconds, "
                    f"try again in {wait} s.",
                    wait,
                )
        self._present.update(wanted)

    def _turn(self) -> float:
        """Begin a new bucket when it is time; the part of the present one that has passed."""
        number, elapsed = divmod(self._clock() / WINDOW_SECONDS, 1)
        if number != self._number:
            self._past = self._present if number == self._number + 1 else Counter()
            self._present, self._number = Counter(), int(number)
        return elapsed
