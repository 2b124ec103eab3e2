"""What apps fetch: the in-app messages of their user that have changed, and the overlay to show."""

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends, Path, Query, Request
from starlette.responses import Response

from rapport.access.scope import Scope
from rapport.api.http.responses import json_response
from rapport.api.sections import SectionRouter
from rapport.api.wire.app_callers import BY_KEYS, REFUSALS, AppCaller, device_caller, pace
from rapport.api.wire.event_senders import aside, expect_proof, user_of
from rapport.apps.installs import is_installed
from rapport.apps.service import installs_of
from rapport.errors import NotFound, Unprocessable
from rapport.in_app.contents import Surface
from rapport.in_app.models import InAppMessage
from rapport.in_app.reading import changed_messages, has_messages, overlay

router = SectionRouter("Apps")

# What the page that shows messages is told of them, in a member of their content.
OWN_MEMBER = "rapport"
_TIME = {"type": ["string", "null"], "description": "As 2026-01-01T09:00:00+0000"}
_MESSAGE = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "presentedWhen": {"type": "string", "enum": ["immediately", "next-open", "never"]},
        "content": {"type": "object", "description": "What the page that shows messages is given"},
        "data": {"type": ["object", "null"]},
        "badge": {"type": ["object", "null"]},
        "inbox": {"type": ["object", "null"]},
        **dict.fromkeys(("updatedAt", "openedAt", "readAt", "sentAt", "expiresAt", "inboxDeletedAt"), _TIME),
    },
}
_EXAMPLE = {
    "id": 905,
    "presentedWhen": "next-open",
    "content": {"title": "Hi", "text": "We have news.", "rapport": {"id": 905, "surface": "in-app"}},
    "data": None,
    "badge": None,
    "inbox": {"title": "Hi", "subtitle": "News", "imagePath": None, "from": None, "to": None},
    "updatedAt": "2026-01-01T09:00:00+0000",
    "openedAt": None,
    "readAt": None,
    "sentAt": "2026-01-01T09:00:00+0000",
    "expiresAt": None,
    "inboxDeletedAt": None,
}
_OVERLAY = {"id": 906, "content": {"title": "Welcome back", "rapport": {"id": 906, "surface": "overlay"}}, "data": None}
UserIdentifier = Annotated[str, Path(description="The CustomerID, or the ID of the installation")]
After = Annotated[str | None, Query(description="The newest updatedAt that the app has")]
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "Neither the customer nor the installation is known"}}


def _shown(description: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema, "example": example}}}


@router.get(
    "/v1/users/{userIdentifier}/messages",
    summary="Fetch in-app messages",
    operation_id="FetchInAppMessages",
    response_class=Response,
    responses={
        200: _shown("The messages, by updatedAt", {"type": "array", "items": _MESSAGE}, [_EXAMPLE]),
        422: {"description": "after is not a time"},
        **UNKNOWN,
        **REFUSALS,
    },
    openapi_extra=BY_KEYS,
)
async def fetch_in_app_messages(
    userIdentifier: UserIdentifier,
    request: Request,
    after: After = None,
    caller: AppCaller = Depends(device_caller),  # noqa: B008 - FastAPI reads it
) -> Response:
    """userIdentifier is the CustomerID, or the ID of the installation while the app knows nobody. after is the newest
    updatedAt that the app has; without it, the answer has the messages that may still be shown. An answer has at most
    500 messages; with its newest updatedAt, the app fetches the next ones. openedAt means that no device shows the
    message any more.
    """
    instant = None if after is None else _instant(after)
    return await aside(request, _changed, request, caller, userIdentifier, instant)


@router.get(
    "/api/v1/users/{userIdentifier}/messages/mobile",
    summary="Fetch an overlay",
    operation_id="FetchOverlay",
    response_class=Response,
    responses={
        200: _shown("The overlay", {"type": "object"}, _OVERLAY),
        204: {"description": "There is nothing to show"},
        422: {"description": "messageType is neither session nor immediate"},
        **UNKNOWN,
        **REFUSALS,
    },
    openapi_extra=BY_KEYS
    | {
        "parameters": [
            {
                "name": "messageType",
                "in": "query",
                "required": True,
                "description": "session at the beginning of a session, immediate when a push message asks for it",
                "schema": {"type": "string", "enum": ["session", "immediate"]},
            }
        ]
    },
)
async def fetch_overlay(
    userIdentifier: UserIdentifier,
    request: Request,
    caller: AppCaller = Depends(device_caller),  # noqa: B008 - FastAPI reads it
) -> Response:
    """The newest overlay of the kind that was not shown, closed or turned down on any device and has not expired."""
    asked = request.query_params.get("messageType", "")
    if asked not in (Surface.SESSION, Surface.IMMEDIATE):
        raise Unprocessable("messageType must be session or immediate.")
    return await aside(request, _overlay, request, caller, userIdentifier, Surface(asked))


def _changed(request: Request, caller: AppCaller, user: str, after: datetime | None) -> Response:
    _check_user(request, caller, user)
    rows = changed_messages(caller.scope, user, caller.app.id, after)
    return json_response(orjson.dumps([told(row) for row in rows]))


def _overlay(request: Request, caller: AppCaller, user: str, surface: Surface) -> Response:
    _check_user(request, caller, user)
    row = overlay(caller.scope, user, caller.app.id, surface)
    if row is None:
        return Response(status_code=204)
    return json_response(orjson.dumps({"id": row.id, "content": _content(row), "data": row.data}))


def told(row: InAppMessage) -> dict[str, Any]:
    """A message as apps read it. Android drops a whole answer for one time in another form, and iOS ends for it."""
    inbox = row.inbox and {
        "title": row.inbox["title"],
        "subtitle": row.inbox["subtitle"],
        "imagePath": row.inbox["image_path"] or None,
        "from": _time(_stored_time(row.inbox.get("from"))),
        "to": _time(_stored_time(row.inbox.get("to"))),
    }
    return {
        "id": row.id,
        "presentedWhen": str(row.presented_when),
        "content": _content(row),
        "data": row.data,
        "badge": row.badge,
        "inbox": inbox,
        "updatedAt": _time(row.updated_at),
        "openedAt": _time(row.opened_at),
        "readAt": _time(row.read_at),
        "sentAt": _time(row.sent_at),
        "expiresAt": _time(row.expires_at),
        "inboxDeletedAt": _time(row.inbox_deleted_at),
    }


def _content(row: InAppMessage) -> dict[str, Any]:
    surface = "in-app" if row.surface is Surface.IN_APP else "overlay"
    return {**row.content, OWN_MEMBER: {"id": row.id, "surface": surface}}


def _time(at: datetime | None) -> str | None:
    """A time to the second, with an offset without a colon."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}+0000"


def _stored_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _instant(text: str) -> datetime:
    """The instant of a time of an app; without a zone it is UTC. Raises Unprocessable."""
    try:
        at = datetime.fromisoformat(text.strip().replace(" ", "+"))  # clients leave a plus as it is
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unprocessable("after must be a time such as 2026-01-01T09:00:00Z.") from error


def _check_user(request: Request, caller: AppCaller, user: str) -> None:
    """Raises NotFound for a user whom the app does not know, Unauthorized without the proof that the tenant demands,
    TooManyRequests.
    """
    pace(request, caller, 1)
    scope, app_id = caller.scope, caller.app.id
    is_device = is_installed(scope, app_id, user)
    expect_proof(request, caller.tenant, user_of(request, caller.tenant), set() if is_device else {user.lower()})
    if not (is_device or _is_customer(scope, app_id, user)):
        raise NotFound("There is no such user of this app.")


def _is_customer(scope: Scope, app_id: int, user: str) -> bool:
    return bool(installs_of(scope, [user], app_id)) or has_messages(scope, user)
