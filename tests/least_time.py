"""How long something takes, as little as it can: whatever else a machine does only adds to it."""

from collections.abc import Callable

# Rounds after which what is still too slow is held to be slow.
ROUNDS = 12


def stays_within(large: Callable[[], float], small: Callable[[], float], times: float, more: float = 0.0) -> bool:
    """Whether the least that something large took is below so many times the least of something small, and some more.

    Each is measured anew, and rounds end as soon as that is so.
    """
    least_large = least_small = float("inf")
    for _ in range(ROUNDS):
        least_small, least_large = min(least_small, small()), min(least_large, large())
        if least_large < times * least_small + more:
            return True
    return False
