"""States of counts, as records keep them."""

from enum import StrEnum


class CountState(StrEnum):
    """How far a count that somebody asked for is."""

    RUNNING = "running"
    DONE = "done"
    CANCELED = "canceled"
    FAILED = "failed"
