"""Templates of in-app messages that an app's server makes and changes, under names of its own."""

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends, Path, Request
from pydantic import Field, ValidationError
from starlette.responses import Response

from rapport.access.scope import Scope
from rapport.api.http.bodies import WireModel, documented
from rapport.api.http.responses import json_response
from rapport.api.sections import SectionRouter
from rapport.api.wire.app_callers import BY_KEYS, REFUSALS, AppCaller, object_of, pace, server_caller
from rapport.api.wire.event_senders import aside
from rapport.apps.models import App
from rapport.channels import service as channels
from rapport.channels.kinds.in_app import InAppKind
from rapport.channels.models import Channel
from rapport.errors import Conflict, Invalid, NotFound, Unprocessable
from rapport.in_app.contents import UID
from rapport.messaging import templates
from rapport.messaging.models import Template
from rapport.messaging.tags.scanning import TextKind, tags
from rapport.wording import sentence

router = SectionRouter("Apps")

PATH = "/v1/templates/in-app"
EXAMPLE = {"name": "Welcome", "uid": "welcome-1", "content": {"title": "Hello [%FIRST_NAME:there%]"}}
SHOWN = {
    **EXAMPLE,
    "dynamicContentTags": ["FIRST_NAME:there"],
    "appId": 1,
    "createdAt": "2026-01-01T09:00:00Z",
    "updatedAt": "2026-01-01T09:00:00Z",
}


class TemplateIn(WireModel):
    """A template: uid is how sends name it, content what the page that shows messages is given."""

    name: str = Field(min_length=1, max_length=200)
    uid: str = Field(min_length=1, max_length=255, pattern=UID)
    content: dict[str, Any] = Field(min_length=1)


def _answers(status: int, description: str) -> dict[int | str, dict[str, Any]]:
    content = {"application/json": {"schema": {"type": "object"}, "example": SHOWN}}
    return {
        status: {"description": description, "content": content},
        404: {"description": "The app has no in-app channel, or no such template"},
        422: {"description": "The body does not say what the call needs, or name or uid are taken"},
        **REFUSALS,
    }


@router.post(
    PATH,
    status_code=201,
    summary="Create an in-app template",
    operation_id="CreateInAppTemplate",
    response_class=Response,
    responses=_answers(201, "The template"),
    openapi_extra={**BY_KEYS, **documented(TemplateIn, EXAMPLE)},
)
async def create_in_app_template(
    request: Request,
    caller: AppCaller = Depends(server_caller),  # noqa: B008 - FastAPI reads it
) -> Response:
    """Needs the server key. The template is one of the first in-app channel of the app."""
    pace(request, caller, 1)
    asked = _read(await object_of(request))
    return await aside(request, _create, caller, asked)


@router.put(
    PATH + "/{uid}",
    summary="Replace an in-app template",
    operation_id="ReplaceInAppTemplate",
    response_class=Response,
    responses=_answers(200, "The template"),
    openapi_extra={**BY_KEYS, **documented(TemplateIn, EXAMPLE)},
)
async def replace_in_app_template(
    uid: Annotated[str, Path(description="The uid that the template has")],
    request: Request,
    caller: AppCaller = Depends(server_caller),  # noqa: B008 - FastAPI reads it
) -> Response:
    """Needs the server key. Replaces name, uid and content; everything else of the template stays as it is."""
    pace(request, caller, 1)
    asked = _read(await object_of(request))
    return await aside(request, _replace, caller, uid, asked)


def _read(body: dict[str, Any]) -> TemplateIn:
    try:
        return TemplateIn.model_validate(body)
    except ValidationError as error:
        raise Unprocessable(sentence(error.errors(), body)) from error


def _create(caller: AppCaller, asked: TemplateIn) -> Response:
    channel = next(iter(channels_of(caller.scope, caller.app)), None)
    if channel is None:
        raise NotFound("The app has no in-app channel.")
    return json_response(orjson.dumps(_saved(caller, channel.id, asked, None)), 201)


def _replace(caller: AppCaller, uid: str, asked: TemplateIn) -> Response:
    before = template_named(caller.scope, caller.app, uid, by_uid_only=True)
    return json_response(orjson.dumps(_saved(caller, before.channel_id, asked, before)))


def _saved(caller: AppCaller, channel_id: int, asked: TemplateIn, before: Template | None) -> dict[str, Any]:
    """Save a template; what it is shown as. Raises Unprocessable."""
    scope = caller.scope
    same = [each for each in templates.listed_templates(scope, channel_id) if each.details.get("uid") == asked.uid]
    if any(before is None or each.id != before.id for each in same):
        raise Unprocessable(f"uid {asked.uid!r} is that of another template.")
    details = {**(before.details if before else {}), "uid": asked.uid, "content": asked.content}
    try:
        template = templates.save_template(
            scope, channel_id, asked.name, id=before.id if before else None, details=details
        )
    except (Invalid, Conflict) as error:
        raise Unprocessable(error.message) from error
    return _shown(caller.app, template)


def _shown(app: App, template: Template) -> dict[str, Any]:
    content = template.details["content"]
    content_tags = tags(orjson.dumps(content).decode(), TextKind.TEXT)
    return {
        "name": template.name,
        "uid": template.details["uid"],
        "content": content,
        "dynamicContentTags": list(dict.fromkeys(tag.words for tag in content_tags)),
        "appId": app.id,
        "createdAt": _time(template.created_at),
        "updatedAt": _time(template.updated_at),
    }


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def channels_of(scope: Scope, app: App) -> list[Channel]:
    """The in-app channels whose messages an app shows."""
    return [
        channel
        for channel in channels.channels(scope)
        if isinstance(channel.behaviour, InAppKind) and channel.settings.get("app_id") in (None, app.id)
    ]


def template_named(scope: Scope, app: App, named: str, *, by_uid_only: bool = False) -> Template:
    """A template by its uid, id or name, of a channel whose messages the app shows. Raises NotFound."""
    for channel in channels_of(scope, app):
        for template in templates.listed_templates(scope, channel.id):
            names = {str(template.id), template.name} if not by_uid_only else set()
            if named in names | {template.details.get("uid")}:
                return templates.template(scope, channel.id, template.id)
    raise NotFound(f"There is no in-app template {named!r}.")
