"""What a request says of events: read, checked, paced and stored, and its answer; the same however they come."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import orjson
from fastapi import Request
from starlette.responses import Response

from rapport.access.limits import share
from rapport.api.http.responses import headers_of, wire_error
from rapport.api.wire.event_senders import (
    SHORT,
    aside,
    user_of,
    verify,
)
from rapport.customers.person_ids import person_of
from rapport.errors import Invalid, RapportError, TooManyRequests
from rapport.realtime.events.directory import IntakeTenant
from rapport.realtime.events.reading import RawEvent
from rapport.realtime.events.storing import Accepted, Incoming, LogEntry
from rapport.realtime.events.tokens import SDK_TOKEN
from rapport.realtime.events.validation import Faulty, check_of_vendor, event_of
from rapport.realtime.metrics import REJECTED
from rapport.realtime.states import EventStatus, Origin

MOST_OF_APPS = 100
LOGGED_BYTES = 32_000  # hold all of the characters that the log takes
FAILED = "Failed to validate the event with the following error - "


def reply(status: int, word: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer as senders of events read it."""
    body = orjson.dumps({"status": word, "message": message})
    return Response(body, status, headers=headers, media_type="application/json")


def refused(error: RapportError) -> Response:
    """The answer to a request that is refused as a whole."""
    if isinstance(error, TooManyRequests):
        return wire_error(error)
    message = error.message if error.status != Invalid.status else FAILED + error.message
    return reply(error.status, "error", message, headers_of(error))


@dataclass(frozen=True, slots=True)
class EventPost:
    """A request whose sender is known; of_vendor tells whether it holds the token of vendors."""

    request: Request
    tenant: IntakeTenant
    origin: str
    body: bytes
    of_vendor: bool = False

    async def keep(self, events: Sequence[Incoming], entries: Sequence[LogEntry] = ()) -> list[Accepted]:
        """Store within the pace of the persons. Raises TooManyRequests, Invalid (which is logged), Unavailable."""
        scope, state = self.tenant.scope, self.request.app.state
        persons = [person_of(event.customer_id, event.visitor_id) for event in events]
        try:
            state.event_limiter.take(scope.tenant_id, self.origin, persons, self.tenant.settings.events_per_person)
        except TooManyRequests:
            REJECTED.labels(self.origin, "pace").inc(len(events))
            raise
        except Invalid as error:
            busiest = events[persons.index(Counter(persons).most_common(1)[0][0])]
            raise await self.refused(error.message, busiest.customer_id or busiest.visitor_id) from error
        accepted: list[Accepted] = await state.intake.accept(scope, events, entries, recording=self.tenant.recording)
        return accepted

    def pace_app(self, token: str, number: int) -> None:
        """Count what an app sends, whether or not it can be used. Raises TooManyRequests."""
        is_present = token == self.tenant.tokens[SDK_TOKEN][0]
        scope, most = self.tenant.scope, min(number, MOST_OF_APPS)
        limit = share(self.tenant.app_events, scope.stores.api_processes)
        try:
            self.request.app.state.event_limiter.take_of_apps(
                scope.tenant_id, token, most, limit, is_present=is_present
            )
        except TooManyRequests:
            REJECTED.labels(self.origin, "pace").inc(number)
            raise

    async def refused(self, reason: str, person: str = "") -> Invalid:
        """The error to raise when nothing of the body is used, once the log has it."""
        entry = LogEntry(EventStatus.ERROR, self.origin, "", person.lower(), reason, self.body[:LOGGED_BYTES])
        await self.request.app.state.intake.accept(self.tenant.scope, [], [entry])
        return Invalid(reason)

    def not_json(self) -> str:
        """What is said of a body that cannot be read."""
        packed = " packed with gzip" if "content-encoding" in self.request.headers else ""
        return f"the body is not valid JSON{packed}"


def _entry(event: Any, origin: str, reason: str) -> LogEntry:
    """What the log keeps of an event that cannot be used."""
    members = event if isinstance(event, dict) else {}
    person = members.get("customer") or members.get("visitor") or ""
    return LogEntry(EventStatus.ERROR, origin, _words(members.get("event")), _words(person).lower(), reason, event)


def _words(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else ""


def _usable(
    post: EventPost, raw_events: Sequence[RawEvent], ids: Sequence[str | None] = ()
) -> tuple[list[Incoming], list[LogEntry]]:
    """The events that can be used, and what the log is to have of the others. ids are the senders' own."""
    now, events, entries = post.tenant.scope.clock.now(), list[Incoming](), list[LogEntry]()
    for raw_event, own in zip_longest(raw_events, ids):
        try:
            if raw_event.fault:
                raise Faulty(raw_event.fault)
            event = event_of(raw_event.value, post.origin, post.tenant, now, own, raw_event.mended)
            if post.of_vendor:
                check_of_vendor(event.event, post.tenant)
            events.append(event)
        except Faulty as fault:
            entries.append(_entry(raw_event.value, post.origin, fault.reason))
    return events, entries


async def checked(
    post: EventPost, raw_events: Sequence[RawEvent], ids: Sequence[str | None] = ()
) -> tuple[list[Incoming], list[LogEntry]]:
    """The same for whoever must hold nobody up."""
    if len(post.body) <= SHORT:
        return _usable(post, raw_events, ids)
    return await aside(post.request, _usable, post, raw_events, ids)


async def stored(post: EventPost, raw_events: Sequence[RawEvent], ids: Sequence[str | None]) -> Response:
    """Store what can be used of these events; refuse them when nothing can be. Raises Invalid."""
    events, entries = await checked(post, raw_events, ids)
    if not events:
        await post.request.app.state.intake.accept(post.tenant.scope, [], entries)
        raise Invalid(entries[0].reason)
    accepted = await post.keep(events, entries)
    return reply(200, "success", ",".join(str(event.number) for event in accepted))


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an app's batch. fault says why nothing of it could be used; such a batch is in the log."""

    events: Sequence[Incoming]
    sent: int
    fault: str = ""

    @property
    def told(self) -> dict[str, str]:
        """The answer. An SDK sends again what was refused, so that what never can be used is not refused either."""
        if self.fault:
            return {"status": "error", "message": FAILED + self.fault}
        return {"status": "success", "message": f"{len(self.events)} of {self.sent} events"}


async def take_batch(
    request: Request, tenant: IntakeTenant, token: str, body: bytes, raw_events: RawEvent | list[RawEvent] | None
) -> Taken:
    """Store the usable events of an app's batch and log the others.

    Raises Unauthorized, TooManyRequests, Unavailable.
    """
    post = EventPost(request, tenant, Origin.SDK, body)
    post.pace_app(token, len(raw_events) if isinstance(raw_events, list) else 1)
    batch = raw_events if isinstance(raw_events, list) else [raw_events] if raw_events else []
    try:
        if raw_events is None:
            raise await post.refused(post.not_json())
        if len(batch) > MOST_OF_APPS or not (isinstance(raw_events, list) or isinstance(raw_events.value, dict)):
            raise await post.refused(f"the body is not a JSON array of at most {MOST_OF_APPS} events")
        user = user_of(request, tenant)
        events, entries = await checked(post, batch)
        verify(request, tenant, user, events)
        # What pages did with popups is counted first: after a fault in between they send it again.
        await request.app.state.popups.report(tenant.scope, events)
        if batch:
            await post.keep(events, entries)
    except Invalid as error:
        return Taken((), len(batch), error.message)
    return Taken(events, len(batch))
