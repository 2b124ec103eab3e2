"""Word of long work that goes through many tenants, in the log."""

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

import structlog

T = TypeVar("T")
log = structlog.get_logger("rapport.progress")
SECONDS = 5.0


def told(what: str, some: Sequence[T]) -> Iterator[T]:
    """These, one after the other; every few seconds the log is told how many of them are done."""
    last = time.monotonic()
    for done, one in enumerate(some):
        if time.monotonic() - last >= SECONDS:
            log.info(what, done=done, of=len(some))
            last = time.monotonic()
        yield one
