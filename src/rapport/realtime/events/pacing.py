"""How many events one person, and the apps of a tenant, may send: a sliding window that costs two look-ups an event.

The window is made of two buckets, the older one counting for the part of it that the window still
covers. What is remembered is who sent something within two windows.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from rapport.errors import Invalid, TooManyRequests

WINDOW_SECONDS = 10.0
TOKENS = "tokens"
Sender = tuple[int, str, str]


class EventRateLimiter:
    """Counts in this process. Of n API processes each is given its share, or they allow n times a limit."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._number = 0
        self._present: Counter[Sender] = Counter()
        self._past: Counter[Sender] = Counter()

    def take(self, tenant_id: int, origin: str, persons: Iterable[str], limit: int) -> None:
        """Count an event for each person named, by origin: who has the public token of apps holds up no server.

        Raises TooManyRequests, and counts none, if one has too many now; Invalid if they are too many at any time.
        """
        counts = Counter((tenant_id, origin, person) for person in persons)
        most = max(counts.values(), default=0)
        if most > limit:
            raise Invalid(
                f"the body has {most} events of one person, more than the {limit} (events_per_person) that are "
                f"taken within {WINDOW_SECONDS:.0f} seconds"
            )
        wait = self._wait(counts, limit)
        if wait:
            raise TooManyRequests(
                f"More than {limit} events of one person within {WINDOW_SECONDS:.0f} seconds, try again in {wait} s.",
                wait,
            )
        self._present.update(counts)

    def take_of_apps(self, tenant_id: int, token: str, number: int, limit: int, *, is_present: bool) -> None:
        """Count events that came with a public token; one that was replaced has half of what its tenant has.

        limit is the tenant's for all tokens; 0 means none. What holds more events than that is taken where there are no
        others. Raises TooManyRequests, and counts none.
        """
        if limit == 0:
            return
        own = limit if is_present else max(1, limit // 2)
        of_token = Counter({(tenant_id, TOKENS, token): min(number, own)})
        of_all = Counter({(tenant_id, TOKENS, ""): min(number, limit)})
        wait = max(self._wait(of_all, limit), self._wait(of_token, own))
        if wait:
            raise TooManyRequests(
                f"More than {limit} events of apps within {WINDOW_SECONDS:.0f} seconds, try again in {wait} s.", wait
            )
        self._present.update(of_all + of_token)

    def _wait(self, counts: Mapping[Sender, int], limit: int) -> int:
        """In how many whole seconds there is room for all of these, if nobody sends meanwhile; 0 if there is now.

        None may have more than the limit: there would never be room.
        """
        now, wait = self._clock(), 0
        self._turn(now)
        for sender, number in counts.items():
            while self._used(sender, now + wait) + number > limit:
                wait += 1
        return wait

    def _used(self, sender: Sender, at: float) -> float:
        """How much of the limit is used at a time from now on: it only shrinks while nothing is taken."""
        number = int(at / WINDOW_SECONDS)
        left = min((number + 1) * WINDOW_SECONDS - at, WINDOW_SECONDS)
        if number == self._number:
            return self._present[sender] + self._past[sender] * left / WINDOW_SECONDS
        return self._present[sender] * left / WINDOW_SECONDS if number == self._number + 1 else 0.0

    def _turn(self, now: float) -> None:
        """Begin a new bucket when it is time."""
        number = int(now / WINDOW_SECONDS)
        if number != self._number:
            self._past = self._present if number == self._number + 1 else Counter()
            self._present, self._number = Counter(), number
