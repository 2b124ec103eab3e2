"""Word of long work that goes through many tenants, in the log."""

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

import structlog

T = TypeVar("T")
log = structlog.get_logger("rapport.progress")
SECONDS = 5.0


def with_progress(message: str, values: Sequence[T]) -> Iterator[T]:
    """The values, one after the other; every few seconds the message is logged with how many are done."""
    last = time.monotonic()
    for done, value in enumerate(values):
        if time.monotonic() - last >= SECONDS:
            log.info(message, done=done, of=len(values))
            last = time.monotonic()
        yield value
