"""Push messages that the servers of a company send to its app's users, now or later."""

from collections.abc import Mapping
from typing import Any

import orjson
from anyio.to_thread import run_sync
from fastapi import Depends, Path, Request
from pydantic import ValidationError
from starlette.responses import Response

from rapport.api.sections import SectionRouter
from rapport.api.wire.app_callers import BY_KEYS, REFUSALS, AppCaller, object_of, pace, server_caller
from rapport.channels.push.details import PushDetails
from rapport.channels.push.serving import accounts, channel_of_app
from rapport.errors import Invalid, NotFound, Unprocessable
from rapport.transactional.models import PushNotification
from rapport.transactional.pushes import accepting
from rapport.transactional.pushes.orders import (
    MOST_TARGETS,
    PushContent,
    PushOrder,
    Schedule,
    Strategy,
    Target,
    time_of,
)
from rapport.wording import refused

router = SectionRouter("Apps")
MAX_ID = 2**63 - 1
LONGEST_TITLE, LONGEST_TEXT = 200, 2000
# Kinds of targets that the ancestor had and that apps here do not have.
WITHOUT = ("channels", "channelIds", "channelUuids", "segment", "segmentId", "segmentUuid")
IDS = {"type": "array", "items": {"type": "string"}, "maxItems": MOST_TARGETS}
BODY = {
    "type": "object",
    "required": ["target", "content"],
    "properties": {
        "target": {
            "type": "object",
            "description": "One of broadcast, userIds and installIds",
            "properties": {
                "broadcast": {"type": "boolean", "description": "To every installation that has a push token"},
                "userIds": {**IDS, "description": "CustomerIDs"},
                "installIds": IDS,
                "excludeInstallIds": IDS,
            },
        },
        "content": {
            "type": "object",
            "required": ["title", "message"],
            "properties": {
                "title": {"type": "string", "maxLength": LONGEST_TITLE},
                "message": {"type": "string", "maxLength": LONGEST_TEXT},
            },
        },
        "url": {"type": "string", "description": "What a tap opens"},
        "data": {"type": "object", "description": "Reaches the app with the message"},
        "runBackgroundHandler": {"type": "boolean", "description": "Wake the app without waiting for a tap"},
        "scheduled": {"type": "boolean"},
        "schedule": {
            "type": "object",
            "properties": {
                "sendAt": {"type": "string", "examples": ["2026-02-03 09:30"]},
                "strategy": {"type": "string", "enum": list(Strategy)},
                "pastTimes": {
                    "type": "string",
                    "description": "ignore: devices on whose clocks the time has passed get nothing; send: at once",
                },
            },
        },
    },
}
EXAMPLE = {
    "target": {"broadcast": False, "userIds": ["Q1001"]},
    "content": {"title": "Order shipped", "message": "It is on its way"},
    "scheduled": True,
    "schedule": {"sendAt": "2026-02-03 09:30", "strategy": "utc", "pastTimes": "ignore"},
}
ANSWER = {"notification": {"id": 4711}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "Accepted; keep the id to cancel what is scheduled",
        "content": {"application/json": {"schema": {"type": "object"}, "example": ANSWER}},
    },
    400: {"description": "None of the targeted users exists and has a device that can get push messages"},
    422: {"description": "The body does not say what the call needs"},
    **REFUSALS,
}
REQUEST = {"requestBody": {"required": True, "content": {"application/json": {"schema": BODY, "example": EXAMPLE}}}}


@router.post(
    "/v2/notifications",
    status_code=202,
    summary="Send Push",
    operation_id="SendPush",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra={**BY_KEYS, **REQUEST},
)
async def send_push(request: Request, caller: AppCaller = Depends(server_caller)) -> Response:  # noqa: B008
    """Sends a push message to the devices of customers, to single installations, or to all, at once or at a time. The
    call needs the app's server key.
    """
    return await _sent(request, caller, await object_of(request))


@router.post(
    "/notifications",
    status_code=202,
    summary="Send Push with flat members",
    operation_id="SendPushFlat",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=BY_KEYS,
)
async def send_flat(request: Request, caller: AppCaller = Depends(server_caller)) -> Response:  # noqa: B008
    """The older form of Send Push, at once: broadcast, userIds, installIds and excludeInstallIds, title, message and
    isBackground are members of the body itself.
    """
    flat = await object_of(request)
    whole = {
        **flat,
        "target": {name: flat[name] for name in (*TARGETS, "excludeInstallIds", *WITHOUT) if name in flat},
        "content": {name: flat.get(name) for name in ("title", "message")},
        "runBackgroundHandler": flat.get("isBackground", False),
    }
    return await _sent(request, caller, whole)


@router.delete(
    "/v2/notifications/{notificationId}",
    status_code=204,
    summary="Cancel Scheduled Push",
    operation_id="CancelScheduledPush",
    response_class=Response,
    responses={
        204: {"description": "Canceled: what had not left does not leave"},
        404: {"description": "The app has no such notification"},
        409: {"description": "The notification has been sent, or canceled"},
        **REFUSALS,
    },
    openapi_extra=BY_KEYS,
)
async def cancel_push(
    request: Request,
    notificationId: int = Path(ge=1, le=MAX_ID, description="The id that Send Push answered"),
    caller: AppCaller = Depends(server_caller),  # noqa: B008
) -> Response:
    """Cancels a push message that is scheduled. With the strategy local, what has left for devices in other zones
    stays sent.
    """
    pace(request, caller, 1)
    await run_sync(lambda: accepting.cancel(caller.scope, caller.app, notificationId))
    return Response(status_code=204)


async def _sent(request: Request, caller: AppCaller, body: Mapping[str, Any]) -> Response:
    order = _order(body)
    pace(request, caller, 1)
    notification, status = await run_sync(lambda: _accepted(caller, order))
    content = {"notification": {"id": notification.id, "scheduled": notification.is_scheduled}}
    return Response(orjson.dumps(content), status, media_type="application/json")


def _accepted(caller: AppCaller, order: PushOrder) -> tuple[PushNotification, int]:
    try:
        channel = channel_of_app(caller.scope, caller.app.id)
        return accepting.send(caller.scope, caller.app, order), accounts(channel).accept_status
    except accepting.Unreachable:
        raise
    except (NotFound, Invalid) as error:
        raise Unprocessable(error.message) from error


TARGETS = ("broadcast", "userIds", "installIds")


def _order(body: Mapping[str, Any]) -> PushOrder:
    """A request as its body has it. Raises Unprocessable naming the member."""
    return PushOrder(_target(_object(body, "target")), _content(body), _schedule(body))


def _target(target: Mapping[str, Any]) -> Target:
    for name in WITHOUT:
        if target.get(name):
            raise Unprocessable(f"target.{name} is not supported: name userIds, installIds or broadcast.")
    chosen = [name for name in TARGETS if target.get(name)]
    if len(chosen) != 1:
        raise Unprocessable("target must have exactly one of broadcast, userIds and installIds.")
    if not isinstance(target.get("broadcast", False), bool):
        raise Unprocessable("target.broadcast must be true or false.")
    return Target(
        customer_ids=_ids(target, "userIds"),
        install_ids=_ids(target, "installIds"),
        is_broadcast=target.get("broadcast") is True,
        without_installs=frozenset(_ids(target, "excludeInstallIds")),
    )


def _ids(target: Mapping[str, Any], name: str) -> list[str]:
    ids = target.get(name) or []
    if not isinstance(ids, list) or not all(type(each) in (str, int) and str(each).strip() for each in ids):
        raise Unprocessable(f"target.{name} must be a list of texts.")
    if len(ids) > MOST_TARGETS:
        raise Unprocessable(f"target.{name} may have at most {MOST_TARGETS} members.")
    return [str(each).strip() for each in ids]


def _content(body: Mapping[str, Any]) -> PushContent:
    content = _object(body, "content")
    title, message = _text(content, "title", LONGEST_TITLE), _text(content, "message", LONGEST_TEXT)
    details = {
        "url": body.get("url") or "",
        "data": body.get("data") or {},
        "background": body.get("runBackgroundHandler") or False,
    }
    chosen = {name: value for name, value in details.items() if value}
    try:
        PushDetails.model_validate(chosen)
    except ValidationError as error:
        raise Unprocessable(refused(error, PushDetails, chosen, "body")) from error
    return PushContent(title, message, chosen)


def _text(content: Mapping[str, Any], name: str, longest: int) -> str:
    value = content.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise Unprocessable(f"content.{name} is required: a text of at most {longest} characters.")
    return value.strip()


def _schedule(body: Mapping[str, Any]) -> Schedule | None:
    if not body.get("schedule") or body.get("scheduled") is False:
        if body.get("scheduled"):
            raise Unprocessable("schedule is required when scheduled is true.")
        return None
    schedule = _object(body, "schedule")
    at = time_of(schedule["sendAt"]) if isinstance(schedule.get("sendAt"), str) else None
    if at is None:
        raise Unprocessable("schedule.sendAt must be a time such as 2026-02-03 09:30.")
    strategy = str(schedule.get("strategy") or Strategy.UTC).lower()
    if strategy not in set(Strategy):
        raise Unprocessable("schedule.strategy must be utc or local.")
    return Schedule(at, Strategy(strategy), skips_past=schedule.get("pastTimes", "ignore") == "ignore")


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise Unprocessable(f"{name} is required: a JSON object.")
    return value
