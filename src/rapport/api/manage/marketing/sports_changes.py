"""What feeds change of a sports inventory, call by call, as server-sent events."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

import orjson
from fastapi import Depends, Header, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import admin, check_still_good
from rapport.api.http.event_streams import HEADERS, MEDIA_TYPE, SILENT_SECONDS, STILL_THERE, Streams, event, moments
from rapport.api.http.managed import JsonRoute
from rapport.api.manage.marketing.sports import Brand, SportsRecordOut, brand_of, shown_record
from rapport.api.sections import SectionRouter
from rapport.errors import RapportError
from rapport.sports import following
from rapport.sports.definitions import Kind
from rapport.sports.following import FollowedCall
from rapport.sports.storing import Outcome
from rapport.sports.watching import SportsWatch

router = SectionRouter("Management: sports", "/manage/v1/sports", JsonRoute)
MOST_STREAMS, MOST_OF_TENANT = 200, 10
STREAMS = Streams[int](MOST_STREAMS, MOST_OF_TENANT)
# So many calls are told of before it is asked whether the stream is to end.
AT_ONCE = 20
# Words of changes may be lost; and a key may be disabled meanwhile.
AGAIN_SECONDS, CHECKED_SECONDS = 30.0, 10.0
EXAMPLE = (
    'id: 17\nevent: call\ndata: {"call":17,"at":"2030-05-06T11:58:00Z","records":[{"kind":"Event","event_key":"",'
    '"record_key":"ev-1","outcome":"deleted","record":null}]}\n\n'
)


class SportsChangeOut(BaseModel):
    """What became of a record of a call, and the record as it is by now; null where it is gone."""

    kind: Kind
    event_key: str
    record_key: str
    outcome: Outcome
    record: SportsRecordOut | None


class SportsCallOut(BaseModel):
    """A call of a feed, by its number."""

    call: int
    at: datetime
    records: list[SportsChangeOut]


@router.get(
    "/changes",
    summary="Follow the changes of a sports inventory",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "An event for each call of the brand's feeds, after the last one that Last-Event-ID names",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": EXAMPLE}},
        }
    },
)
def follow_sports_changes(
    request: Request,
    brand: Brand,
    last_event_id: Annotated[int | None, Header(ge=0, le=2**63 - 1, description="The last call that is known")] = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> StreamingResponse:
    """Server-sent events, for at most 15 minutes.

    The first is `begin`, or `missed` where calls after Last-Event-ID are not kept any more: then read the inventory
    again. Each further one is `call`.
    """
    brand = brand_of(principal, brand)
    STREAMS.check_room(principal.scope.tenant_id)
    events = _events(principal.scope, request, brand, last_event_id)
    return StreamingResponse(events, media_type=MEDIA_TYPE, headers=HEADERS)


async def _events(scope: Scope, request: Request, brand: str, last: int | None) -> AsyncIterator[bytes]:
    watch = scope.stores.workers.only(SportsWatch, scope.stores)
    seen, asked, written_at, checked = None, 0.0, 0.0, None
    STREAMS.begin(scope.tenant_id)
    try:
        oldest, newest = await run_in_threadpool(following.kept_calls, scope, brand)
        is_kept = last is None or oldest - 1 <= last <= newest
        last = last if last is not None and is_kept else newest
        yield event("begin" if is_kept else "missed", orjson.dumps({"call": last}), last)
        async for now in moments(request.scope, watch):
            if checked is None or now - checked > CHECKED_SECONDS:
                checked = now
                await run_in_threadpool(check_still_good, request)
            state = watch.state(scope.tenant_id)
            if state != seen or now - asked > AGAIN_SECONDS:
                seen, asked = state, now
                for _ in range(AT_ONCE):
                    call = await run_in_threadpool(following.next_call, scope, brand, last)
                    if call is None:
                        break
                    last, written_at = call.number, now
                    yield event("call", await run_in_threadpool(_written, call), last)
                else:
                    seen = None
            elif now - written_at > SILENT_SECONDS:
                written_at = now
                yield STILL_THERE
    except RapportError:
        return  # what is wrong is told to whoever begins the next stream
    finally:
        STREAMS.end(scope.tenant_id)


def _written(call: FollowedCall) -> bytes:
    changes = [
        SportsChangeOut(
            **change.key._asdict(),
            outcome=Outcome(change.outcome),
            record=None if change.record is None else shown_record(change.record),
        )
        for change in call.changes
    ]
    return SportsCallOut(call=call.number, at=call.at, records=changes).model_dump_json().encode()
