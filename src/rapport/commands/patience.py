"""Waiting for a data folder that another process has open for a moment: a command's work, a server's start or end."""

import time
from collections.abc import Callable
from typing import TypeVar

from rapport.errors import Held

SECONDS = 30
PAUSE_SECONDS = 0.1
T = TypeVar("T")


def _never(held: Held) -> bool:
    return False


def once_free(
    attempt: Callable[[], T], for_good: Callable[[Held], bool] = _never, tell: Callable[[Held], object] = _never
) -> T:
    """What an attempt answers, made again and again for SECONDS while the folder is held, but not if it is for good.

    tell is called once, when the waiting begins. Raises Held of the last attempt.
    """
    end, is_announced = time.monotonic() + SECONDS, False
    while True:
        try:
            return attempt()
        except Held as held:
            if for_good(held) or time.monotonic() >= end:
                raise
            if not is_announced:
                tell(held)
                is_announced = True
        time.sleep(PAUSE_SECONDS)
