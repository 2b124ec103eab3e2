"""Long work answered as JSON lines: how far it is, then its result or its error.

A line is {"done", "total"}, at the end {"result"} or {"error": {"status", "detail"}}. The work is not
stopped when the caller goes away.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import structlog
from fastapi.responses import StreamingResponse

from rapport.errors import RapportError
from rapport.stores.outages import outage

log = structlog.get_logger("rapport.api")
TELL_EVERY = 0.1  # seconds between two lines of progress
MEDIA_TYPE = "application/x-ndjson"

Progress = Callable[[int, int], None]


def stream(name: str, work: Callable[[Progress], Any]) -> StreamingResponse:
    """Begin work in a thread and answer with its lines."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_carry_out, args=(name, work, lines), name=name, daemon=True).start()
    return StreamingResponse(_until_end(lines), media_type=MEDIA_TYPE)


def _until_end(lines: "queue.SimpleQueue[bytes | None]") -> Iterator[bytes]:
    while (line := lines.get()) is not None:
        yield line + b"\n"


def _carry_out(name: str, work: Callable[[Progress], Any], lines: "queue.SimpleQueue[bytes | None]") -> None:
    reported_at = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal reported_at
        now = time.monotonic()
        if now - reported_at >= TELL_EVERY or done == total:
            reported_at = now
            lines.put(orjson.dumps({"done": done, "total": total}))

    try:
        last: dict[str, Any] = {"result": work(progress)}
    except RapportError as error:
        last = {"error": {"status": error.status, "detail": error.message}}
    except Exception as error:
        failed = outage(error) or RapportError("Internal Server Error")
        log.exception("unexpected", work=name)
        last = {"error": {"status": failed.status, "detail": failed.message}}
    lines.put(orjson.dumps(last))
    lines.put(None)
