"""Streams of server-sent events: how many there are, when each looks for something to tell, and when it ends.

A stream ends when whoever listens goes, when the server stops, and after a while in any case: whoever listens begins
another, by what is known of it then.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, MutableMapping
from contextlib import suppress
from typing import Any, Generic, TypeVar

from rapport.errors import TooManyRequests
from rapport.stores.workers.base import Worker

Listener = TypeVar("Listener")

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
LOOK_SECONDS, LONGEST_SECONDS, PAUSE_SECONDS = 0.5, 900.0, 30
# Proxies end what is silent.
SILENT_SECONDS = 15.0
STILL_THERE = b": still there\n\n"
ENDING = "rapport.ending"  # in the scope of a request: what tells its stream to end


class Streams(Generic[Listener]):
    """The streams of a process, by who listens: so many altogether, and so many of each."""

    def __init__(self, most: int, most_of_each: int) -> None:
        self._most, self._most_of_each = most, most_of_each
        self._open = Counter[Listener]()

    def check_room(self, listener: Listener) -> None:
        """Raises TooManyRequests where no more can be."""
        if self._open.total() >= self._most or self._open[listener] >= self._most_of_each:
            raise TooManyRequests(
                f"So many streams are open that no more can be: try again in {PAUSE_SECONDS} s.", PAUSE_SECONDS
            )

    def begin(self, listener: Listener) -> None:
        """Count one more."""
        self._open[listener] += 1

    def end(self, listener: Listener) -> None:
        """Count one less."""
        self._open[listener] -= 1
        if not self._open[listener]:
            del self._open[listener]


async def moments(request_scope: MutableMapping[str, Any], watch: Worker) -> AsyncIterator[float]:
    """The moments (time.monotonic) at which the stream of a request looks for something to tell, until it ends."""
    ending = asyncio.Event()
    request_scope[ENDING] = ending
    begun = time.monotonic()
    while (now := time.monotonic()) - begun < LONGEST_SECONDS and not watch.stopping and not ending.is_set():
        yield now
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), LOOK_SECONDS)


def end_stream(request_scope: Any) -> None:
    """Have the stream of a request end, if it has one: the server stops."""
    ending: asyncio.Event | None = request_scope.get(ENDING)
    if ending is not None:
        ending.set()


def event(name: str, data: bytes, id: int | None = None) -> bytes:
    """An event as it is sent; data is one line."""
    first = b"" if id is None else f"id: {id}\n".encode()
    return first + f"event: {name}\ndata: ".encode() + data + b"\n\n"
