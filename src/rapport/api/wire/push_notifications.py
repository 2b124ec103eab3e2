"""Push messages that the servers of a company send to its app's users, now or later."""

from collections.abc import Mapping
from typing import Any

import orjson
from anyio.to_thread import run_sync
from fastapi import Depends, Path, Request
from pydantic import ValidationError
from starlette.responses import Response

from rapport.access.scope import Scope
from rapport.api.sections import SectionRouter
from rapport.api.wire.app_callers import BY_KEYS, REFUSALS, AppCaller, object_of, pace, server_caller
from rapport.audiences import groups
from rapport.channels.models import Channel
from rapport.channels.push.details import PushDetails
from rapport.channels.push.serving import accounts, channel_of_app
from rapport.errors import Invalid, NotFound, Unprocessable
from rapport.messaging import templates
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
LONGEST_TITLE, LONGEST_TEXT, LONGEST_NAME = 200, 2000, 255
# A kind of target that the ancestor had: Rapport has topics instead.
WITHOUT = ("channels", "channelIds", "channelUuids")
# A segment is a target group, whatever the member is called.
SEGMENTS = ("segment", "segmentId", "segmentUuid")
IDS = {"type": "array", "items": {"type": "string"}, "maxItems": MOST_TARGETS}
BODY = {
    "type": "object",
    "required": ["target"],
    "properties": {
        "target": {
            "type": "object",
            "description": "One of broadcast, userIds, installIds and segment",
            "properties": {
                "broadcast": {"type": "boolean", "description": "To every installation that has a push token"},
                "userIds": {**IDS, "description": "CustomerIDs"},
                "installIds": IDS,
                "segment": {"type": "string", "description": "The ID or name of a target group"},
                "excludeInstallIds": IDS,
            },
        },
        "content": {
            "type": "object",
            "description": "Title and message; with templateId, what takes the place of those of the template",
            "properties": {
                "title": {"type": "string", "maxLength": LONGEST_TITLE},
                "message": {"type": "string", "maxLength": LONGEST_TEXT},
            },
        },
        "templateId": {"type": "string", "description": "The ID or name of a template of the push channel"},
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
    """Sends a push message to the devices of customers or of a target group's members, to single installations, or to
    all, at once or at a time. The call needs the app's server key. Tags of a template have their defaults.
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
        "target": {name: flat[name] for name in (*TARGETS, *SEGMENTS, "excludeInstallIds", *WITHOUT) if name in flat},
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
    pace(request, caller, 1)
    notification, status = await run_sync(lambda: _accepted(caller, body))
    content = {"notification": {"id": notification.id, "scheduled": notification.is_scheduled}}
    return Response(orjson.dumps(content), status, media_type="application/json")


def _accepted(caller: AppCaller, body: Mapping[str, Any]) -> tuple[PushNotification, int]:
    """A request is stored, and what is answered. Raises Unprocessable naming the member, Unreachable."""
    scope, target, schedule = caller.scope, _object(body, "target"), _schedule(body)
    named = _name(body, "templateId")
    content = _content(body, is_needed=not named)
    whom = _target(scope, target)
    try:
        channel = channel_of_app(scope, caller.app.id)
        template_id = _template(scope, channel, named) if named else 0
        order = PushOrder(whom, content, schedule, template_id)
        return accepting.send(scope, caller.app, order), accounts(channel).accept_status
    except accepting.Unreachable:
        raise
    except (NotFound, Invalid) as error:
        raise Unprocessable(error.message) from error


def _template(scope: Scope, channel: Channel, named: str) -> int:
    """The template of a channel of this id or name. Raises Unprocessable."""
    for template in templates.listed_templates(scope, channel.id):
        if named in (str(template.id), template.name):
            return template.id
    raise Unprocessable(f"templateId: channel {channel.id} has no template {named!r}.")


TARGETS = ("broadcast", "userIds", "installIds")


def _target(scope: Scope, target: Mapping[str, Any]) -> Target:
    for name in WITHOUT:
        if target.get(name):
            raise Unprocessable(f"target.{name} is not supported: name userIds, installIds, segment or broadcast.")
    segments = [name for name in SEGMENTS if target.get(name)]
    if len([name for name in TARGETS if target.get(name)] + segments) != 1:
        raise Unprocessable("target must have exactly one of broadcast, userIds, installIds and segment.")
    if not isinstance(target.get("broadcast", False), bool):
        raise Unprocessable("target.broadcast must be true or false.")
    return Target(
        customer_ids=_ids(target, "userIds"),
        install_ids=_ids(target, "installIds"),
        target_group_id=_target_group(scope, segments[0], _name(target, segments[0])) if segments else None,
        is_broadcast=target.get("broadcast") is True,
        without_installs=frozenset(_ids(target, "excludeInstallIds")),
    )


def _target_group(scope: Scope, member: str, named: str) -> int:
    """The target group of this id or name. Raises Unprocessable."""
    for group in groups.target_groups(scope):
        if named in (str(group.id), group.name):
            return group.id
    raise Unprocessable(f"target.{member}: there is no target group {named!r}.")


def _name(members: Mapping[str, Any], name: str) -> str:
    """An id or a name; empty where there is none."""
    value = members.get(name)
    if value is None:
        return ""
    if type(value) not in (str, int) or not 0 < len(str(value).strip()) <= LONGEST_NAME:
        raise Unprocessable(f"{name} must be an ID or a name.")
    return str(value).strip()


def _ids(target: Mapping[str, Any], name: str) -> list[str]:
    ids = target.get(name) or []
    if not isinstance(ids, list) or not all(type(each) in (str, int) and str(each).strip() for each in ids):
        raise Unprocessable(f"target.{name} must be a list of texts.")
    if len(ids) > MOST_TARGETS:
        raise Unprocessable(f"target.{name} may have at most {MOST_TARGETS} members.")
    return [str(each).strip() for each in ids]


def _content(body: Mapping[str, Any], *, is_needed: bool) -> PushContent:
    """What is shown. Where a template has it, it need not be there."""
    content = _object(body, "content") if is_needed or body.get("content") is not None else {}
    texts = {"title": LONGEST_TITLE, "message": LONGEST_TEXT}
    texts_by_name = {
        name: _text(content, name, most) for name, most in texts.items() if is_needed or content.get(name) is not None
    }
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
    return PushContent(**texts_by_name, details=chosen)


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
