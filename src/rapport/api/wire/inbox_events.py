"""The number of unread messages as it changes, as server-sent events: for badges, which need not ask again."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

import orjson
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from rapport.access.scope import Scope
from rapport.api.http.responses import wire_error
from rapport.api.sections import SectionRouter
from rapport.api.wire.embedded_messages import PERSON, REFUSALS, TENANT
from rapport.api.wire.inbox_callers import caller, inbox_of, named, query_of, tenant_of
from rapport.errors import RapportError, TooManyRequests
from rapport.inbox import reading
from rapport.inbox.reading import Inbox
from rapport.inbox.watching import InboxWatch

router = SectionRouter("Embedded Messaging")
PATH = "/api/v2/embedded-messages/unread-messages-count-events"
MEDIA_TYPE = "text/event-stream"
# A message that expires changes no row, so the number is read anew after a while; and proxies end what is silent.
LOOK_SECONDS, AGAIN_SECONDS, SILENT_SECONDS = 0.5, 60.0, 15.0
# A stream ends after so long, and whoever watches begins another, by what is known of it then.
LONGEST_SECONDS = 900.0
MOST_STREAMS, MOST_OF_PERSON, PAUSE_SECONDS = 2000, 6, 30
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Streams:
    """The streams of a process, by whose inbox they watch."""

    def __init__(self) -> None:
        self._open = Counter[Inbox]()

    def check_room(self, inbox: Inbox) -> None:
        """Raises TooManyRequests where no more can be."""
        if self._open.total() >= MOST_STREAMS or self._open[inbox] >= MOST_OF_PERSON:
            raise TooManyRequests(
                f"So many streams are open that no more can be: try again in {PAUSE_SECONDS} s.", PAUSE_SECONDS
            )

    def begin(self, inbox: Inbox) -> None:
        """Count one more."""
        self._open[inbox] += 1

    def end(self, inbox: Inbox) -> None:
        """Count one less."""
        self._open[inbox] -= 1
        if not self._open[inbox]:
            del self._open[inbox]


STREAMS = Streams()


@router.get(
    PATH,
    summary="Watch the number of unread messages",
    operation_id="WatchUnreadMessagesCount",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Events of the name unread: the number at once, and again whenever it has changed",
            "content": {
                MEDIA_TYPE: {"schema": {"type": "string"}, "example": 'event: unread\ndata: {"unread_count":7}\n\n'}
            },
        },
        **REFUSALS,
    },
    openapi_extra={"parameters": TENANT + PERSON},
)
async def watch_unread_messages_count(request: Request) -> Response:
    """Server-sent events. The stream ends after 15 minutes; EventSource begins another by itself."""
    try:
        tenant = await tenant_of(request)
        inbox = await run_in_threadpool(lambda: inbox_of(caller(request, tenant), named(query_of(request))))
        STREAMS.check_room(inbox)
    except RapportError as error:
        return wire_error(error)
    return StreamingResponse(_counts(tenant.scope, inbox), media_type=MEDIA_TYPE, headers=HEADERS)


async def _counts(scope: Scope, inbox: Inbox) -> AsyncIterator[bytes]:
    watch = scope.stores.workers.only(InboxWatch, scope.stores)
    begun, written_at, count = time.monotonic(), 0.0, -1
    seen, asked = None, 0.0
    STREAMS.begin(inbox)
    try:
        while (now := time.monotonic()) - begun < LONGEST_SECONDS and not watch.stopping:
            state = watch.state(scope.tenant_id)
            if state != seen or now - asked > AGAIN_SECONDS:
                seen, asked = state, now
                present = await run_in_threadpool(reading.unread, scope, inbox)
                if present != count:
                    count, written_at = present, now
                    yield b"event: unread\ndata: " + orjson.dumps({"unread_count": count}) + b"\n\n"
            elif now - written_at > SILENT_SECONDS:
                written_at = now
                yield b": still there\n\n"
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        STREAMS.end(inbox)
