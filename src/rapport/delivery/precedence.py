"""Messages that somebody waits for go first: in a process, what is sent in bulk gives way to them."""

import time

from rapport.stores import Stores

# So long after the newest message that somebody waits for, bulk still gives way.
AFTER_SECONDS = 0.5
# Bulk then rests for so many times as long as it has worked, and for no longer than this at a time.
REST, LONGEST_REST = 2.0, 0.25


class Precedence:
    """The one of a process. Threads share the interpreter, so that a batch which is written and sent beside single
    messages makes each of them wait for many turns.
    """

    def __init__(self, stores: Stores) -> None:
        self._until = float("-inf")

    def claim(self) -> None:
        """Somebody waits for a message. For any thread."""
        self._until = time.monotonic() + AFTER_SECONDS

    @property
    def is_claimed(self) -> bool:
        """Whether bulk is to give way."""
        return time.monotonic() < self._until

    def give_way(self, worked: float) -> None:
        """Rest after so many seconds of work in bulk, where somebody waits for other messages."""
        if self.is_claimed:
            time.sleep(min(REST * worked, LONGEST_REST))

    def stop(self) -> None:
        """There is nothing to end."""


def precedence(stores: Stores) -> Precedence:
    """That of this process."""
    return stores.workers.only(Precedence, stores)
