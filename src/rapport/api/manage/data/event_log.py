"""Management of the event log: what was wrong with events, and how many there were."""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.realtime.events import event_log

router = SectionRouter("Management: events", "/manage/v1/event-log", JsonRoute)
Status = Literal["success", "warning", "error"]


class LogEntryOut(BaseModel):
    """An entry about one event."""

    id: int = Field(examples=[71])
    at: datetime
    status: Status = Field(examples=["warning"])
    origin: str = Field(examples=["server"], description="server, sdk or metric")
    event: str = Field(examples=["deposit"])
    person: str = Field(examples=["q1001"], description="The customer, or the visitor if there is none, in lower case")
    reason: str = Field(examples=["amount is not a Number"])
    body: str = Field(examples=['{"event":"deposit","context":{"amount":"ten"}}'], description="What was sent")


class DayOut(BaseModel):
    """How many events came on a day of the tenant."""

    day: date
    success: int = Field(examples=[10412])
    warning: int = Field(examples=[3])
    error: int = Field(examples=[0])
    duplicate: int = Field(examples=[17], description="Duplicates, which were recognised by their IDs and stored once")


class RecordingOut(BaseModel):
    """Whether everything is logged."""

    until: datetime | None = Field(description="Every event is logged until then; null: only faulty ones")


@router.get("", summary="List entries of the event log")
def list_event_log(
    status: Status | None = None,
    event: Annotated[str | None, Query(max_length=255)] = None,
    person: Annotated[str | None, Query(max_length=300, description="A customer or visitor, in any case")] = None,
    origin: Literal["server", "sdk", "metric"] | None = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int, Query(ge=0, le=2**63 - 1, description="The id of the last entry seen")] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[LogEntryOut]:
    """Newest first, for 30 days. The same fault of the same event is logged at most 100 times a minute."""
    filters = {"status": status, "event": event, "person": person, "origin": origin}
    entries = event_log.entries(principal.scope, filters, since, until, limit, before)
    return [LogEntryOut.model_validate(entry, from_attributes=True) for entry in entries]


@router.get("/counts", summary="Count events per day")
def count_events(principal: Principal = Depends(admin)) -> list[DayOut]:  # noqa: B008
    """The last 14 days, today last. Every event counts, logged or not."""
    return [DayOut.model_validate({"day": day, **numbers}) for day, numbers in event_log.counts(principal.scope)]


@router.get("/recording", summary="Get whether every event is being logged")
def get_recording(principal: Principal = Depends(admin)) -> RecordingOut:  # noqa: B008
    """Until when every event is logged."""
    return RecordingOut(until=event_log.recording_until(principal.scope))


@router.post("/recording", summary="Log every event for five minutes")
def record_all(request: Request, principal: Principal = Depends(admin)) -> RecordingOut:  # noqa: B008
    """Recording begins at once, in other processes within two seconds. Repeat the call to continue it."""
    until = event_log.record_all(principal.scope)
    request.app.state.directory.forget(principal.scope.tenant_id)
    return RecordingOut(until=until)
