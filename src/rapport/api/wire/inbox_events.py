"""The number of unread messages as it changes, as server-sent events: for badges, which need not ask again."""

from collections.abc import AsyncIterator
from decimal import Decimal

import orjson
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from rapport.access.scope import Scope
from rapport.api.http.event_streams import HEADERS, MEDIA_TYPE, SILENT_SECONDS, STILL_THERE, Streams, event, moments
from rapport.api.http.responses import wire_error
from rapport.api.sections import SectionRouter
from rapport.api.wire.embedded_messages import PERSON, REFUSALS, TENANT
from rapport.api.wire.inbox_callers import caller, inbox_of, named, query_of, tenant_of
from rapport.errors import RapportError
from rapport.inbox import reading
from rapport.inbox.reading import Inbox
from rapport.inbox.watching import InboxWatch

router = SectionRouter("Embedded Messaging")
PATH = "/api/v2/embedded-messages/unread-messages-count-events"
# A message that expires changes no row, so the number is read anew after a while.
AGAIN_SECONDS = 60.0
MOST_STREAMS, MOST_OF_PERSON = 2000, 6
STREAMS = Streams[Inbox](MOST_STREAMS, MOST_OF_PERSON)


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
    return StreamingResponse(_counts(tenant.scope, request, inbox), media_type=MEDIA_TYPE, headers=HEADERS)


async def _counts(scope: Scope, request: Request, inbox: Inbox) -> AsyncIterator[bytes]:
    watch = scope.stores.workers.only(InboxWatch, scope.stores)
    written_at, seen, asked = 0.0, None, 0.0
    unread: tuple[int, Decimal] | None = None
    STREAMS.begin(inbox)
    try:
        async for now in moments(request.scope, watch):
            state = watch.state(scope.tenant_id)
            if state != seen or now - asked > AGAIN_SECONDS:
                seen, asked = state, now
                present = await run_in_threadpool(reading.which_unread, scope, inbox)
                # Also where it is the same number of other messages: the reader may have counted down meanwhile.
                if present != unread:
                    unread, written_at = present, now
                    yield event("unread", orjson.dumps({"unread_count": unread[0]}))
            elif now - written_at > SILENT_SECONDS:
                written_at = now
                yield STILL_THERE
    finally:
        STREAMS.end(inbox)
