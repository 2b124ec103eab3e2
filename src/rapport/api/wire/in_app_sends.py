"""In-app messages that the server of an app sends to named customers."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from fastapi import Depends, Request
from pydantic import BeforeValidator, Field, ValidationError
from starlette.responses import Response

from rapport.api.http.bodies import WireModel, as_id, documented
from rapport.api.http.responses import json_response
from rapport.api.sections import SectionRouter
from rapport.api.wire.app_callers import BY_KEYS, REFUSALS, AppCaller, object_of, pace, server_caller
from rapport.api.wire.event_senders import aside
from rapport.api.wire.in_app_templates import template_named
from rapport.apps.models import Install
from rapport.apps.service import installs_of
from rapport.errors import Invalid, Unprocessable
from rapport.transactional import in_app_sends
from rapport.transactional.schedules import Schedule, Strategy, due_times, send_time
from rapport.wording import sentence

router = SectionRouter("Apps")

MOST_USERS = 1000
NOBODY = "None of the users in target.userIds has the app."
EXAMPLE = {
    "target": {"userIds": ["Q1001"]},
    "templateId": "7",
    "notification": {"title": "You have mail", "message": "Open the app"},
    "presentedWhen": "next-open",
}
Named = Annotated[str, BeforeValidator(as_id), Field(max_length=255)]


class Target(WireModel):
    """The customers."""

    user_ids: list[Named] = Field(alias="userIds", min_length=1, max_length=MOST_USERS)


class Notification(WireModel):
    """The push message that announces the in-app message, in place of the template's."""

    title: str
    message: str
    url: str = ""
    data: dict[str, Any] | None = None


class TimeToLive(WireModel):
    """For how long the message may be shown: minutes, hours or days."""

    expires_in: int = Field(alias="expiresIn")
    units: Literal["m", "h", "d"] = "d"


class Availability(WireModel):
    """From when to when the message stands in the inbox."""

    available_from: str | None = Field(None, alias="from")
    available_to: str | None = Field(None, alias="to")


class Inbox(WireModel):
    """How the message stands in the app's inbox."""

    title: str
    subtitle: str = ""
    image_url: str = Field("", alias="imageUrl")
    availability: Availability | None = None


class Badge(WireModel):
    """The number on the app's icon: set it, or count it up or down."""

    set: int | None = None
    inc: int | None = None


class SendTime(WireModel):
    """When the message is sent. Users for whom the time has passed get none."""

    send_at: str = Field(alias="sendAt", max_length=40)
    strategy: Strategy = Strategy.UTC
    past_times: Literal["ignore"] = Field("ignore", alias="pastTimes")


class InAppRequest(WireModel):
    """What to send to whom. Members beside target, templateId and schedule take the place of the template's."""

    target: Target
    template_id: Named = Field(alias="templateId")
    notification: Notification | None = None
    presented_when: Literal["immediately", "next-open", "never"] | None = Field(None, alias="presentedWhen")
    ttl: TimeToLive | None = None
    inbox: Inbox | None = None
    badge: Badge | None = None
    data: dict[str, Any] | None = None
    schedule: SendTime | None = None


@router.post(
    "/v2/in-app",
    status_code=202,
    summary="Send In-App Message",
    operation_id="SendInAppMessage",
    response_class=Response,
    responses={
        202: {
            "description": "Accepted; notification.id is the number of the send",
            "content": {"application/json": {"schema": {"type": "object"}, "example": {"notification": {"id": 12}}}},
        },
        400: {"description": "None of the users has the app"},
        404: {"description": "There is no such template on an in-app channel of the app"},
        422: {"description": "The body does not say what the call needs"},
        **REFUSALS,
    },
    openapi_extra={**BY_KEYS, **documented(InAppRequest, EXAMPLE)},
)
async def send_in_app_message(
    request: Request,
    caller: AppCaller = Depends(server_caller),  # noqa: B008 - FastAPI reads it
) -> Response:
    """Needs the server key. Sends the message of a template of an in-app channel to up to 1000 customers. templateId is
    the ID, the uid or the name of the template. Tags of the template have their defaults. Customers who have not
    consented to in-app messages get none, unless the channel does without consent.
    """
    pace(request, caller, 1)
    asked = _read(await object_of(request))
    return await aside(request, _send, caller, asked)


def _read(body: dict[str, Any]) -> InAppRequest:
    try:
        return InAppRequest.model_validate(body)
    except ValidationError as error:
        raise Unprocessable(sentence(error.errors(), body)) from error


def _send(caller: AppCaller, asked: InAppRequest) -> Response:
    scope = caller.scope
    template, details = template_named(scope, caller.app, asked.template_id), _details(asked)
    installs = installs_of(scope, asked.target.user_ids, caller.app.id)
    try:
        in_app_sends.check(template, details)
        due = due_times(scope, _schedule(asked.schedule), {user: _zone(theirs) for user, theirs in installs.items()})
    except Invalid as error:
        raise Unprocessable(error.message) from error
    if not due:
        raise Invalid(NOBODY)
    number = in_app_sends.accept(scope, template, details, due)
    return json_response(orjson.dumps({"notification": {"id": number}}), 202)


def _schedule(asked: SendTime | None) -> Schedule | None:
    return None if asked is None else Schedule(send_time(asked.send_at), asked.strategy)


def _zone(installs: list[Install]) -> str:
    """The time zone of the device that was used last and told one."""
    return next((install.time_zone for install in installs if install.time_zone), "")


def _details(asked: InAppRequest) -> Mapping[str, Any]:
    """What a request sets of a template's details, under the names that those have."""
    details: dict[str, Any] = {"data": asked.data, "presented_when": asked.presented_when}
    for name in ("ttl", "badge"):
        part: WireModel | None = getattr(asked, name)
        details[name] = part and part.model_dump(exclude_none=True)
    details["tickle"] = asked.notification and asked.notification.model_dump(exclude_none=True)
    if asked.inbox:
        available = asked.inbox.availability or Availability()
        inbox = {
            "title": asked.inbox.title,
            "subtitle": asked.inbox.subtitle,
            "image_path": asked.inbox.image_url,
            "from": available.available_from,
            "to": available.available_to,
        }
        details["inbox"] = {name: value for name, value in inbox.items() if value is not None}
    return {name: value for name, value in details.items() if value is not None}
