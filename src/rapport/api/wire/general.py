"""General: last data update, event listeners, legacy login."""

from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from pydantic import BeforeValidator, Field
from starlette.responses import Response

from rapport.access import users
from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import caller
from rapport.api.http.bodies import Count, Whole, WireModel, documented, parse, raw_body
from rapport.api.http.responses import json_response
from rapport.api.reads import Read, Values, register
from rapport.api.sections import SectionRouter
from rapport.errors import Invalid, NotFound
from rapport.masks import masked
from rapport.notifications import service as notifications
from rapport.stores import Stores

router = SectionRouter("General")


def _shown(scope: Scope, values: Values) -> Values:
    """The listeners as rows to answer: their URLs, which are sealed, opened and masked."""
    rows = [
        {
            "EventTypeID": listener.event_type_id,
            "ListenerURL": masked(listener.url),
            "ChannelID": listener.channel_id or None,
        }
        for listener in notifications.listeners(scope)
    ]
    return {**values, "listeners": orjson.dumps(rows).decode()}


register(
    router,
    Read(
        "general",
        "GetLastDataUpdate",
        "The newest date for which customer data are available",
        engine="records",
        sql="""SELECT to_char(last_data_date, 'YYYY-MM-DD') AS "Date" FROM tenants WHERE id = :tenant_id""",
        row={"Date": "string?"},
        order='"Date"',
        single=True,
    ),
    Read(
        "general",
        "GetRegisteredEventListeners",
        "Every registered event listener",
        engine="records",
        sql="""
            SELECT * FROM json_to_recordset(CAST(:listeners AS json))
                AS shown ("EventTypeID" integer, "ListenerURL" text, "ChannelID" integer)
        """,
        prepare=_shown,
        row={"EventTypeID": "integer", "ListenerURL": "string", "ChannelID": "integer?"},
        order='"EventTypeID", "ChannelID" NULLS FIRST',
        paged=False,
        description="Lists all listeners of the tenant, whichever key registered them. A password in a URL, and "
        "values of "
        "its query such as token or key, are shown as ***; if you register the URL with ***, they stay as they are.",
    ),
)


def _absent(value: object) -> object:
    """No channel for an empty text and for 0, which clients with typed members send for an absent one."""
    return None if value in ("", 0, "0") and value is not False else value


ChannelID = Annotated[Count | None, BeforeValidator(_absent)]


class RegisterBody(WireModel):
    """Which events, and where they are posted to."""

    event_type_id: Whole = Field(alias="EventTypeID", description="1, 2, 3, 4, 5, 11, 13, 14, 101, 102 or 103")
    listener_url: str = Field(alias="ListenerURL", min_length=1, description="Absolute http or https URL")
    channel_id: ChannelID = Field(None, alias="ChannelID", description="Only events of this channel; not with 5")


class UnregisterBody(WireModel):
    """Which listener."""

    event_type_id: Whole = Field(alias="EventTypeID", description="1, 2, 3, 4, 5, 11, 13, 14, 101, 102 or 103")
    channel_id: ChannelID = Field(
        None, alias="ChannelID", description="The listener of this channel; if left out, the general one"
    )


class LoginBody(WireModel):
    """Credentials of the legacy scheme."""

    username: str = Field(alias="Username", description="A user of POST /manage/v1/users")
    password: str = Field(alias="Password")


NOTHING: dict[int | str, dict[str, Any]] = {200: {"description": "Success, without a body"}}


@router.post(
    "/current/general/RegisterEventListener",
    summary="Have events of a type posted to a URL",
    operation_id="RegisterEventListener",
    response_class=Response,
    responses=NOTHING,
    openapi_extra=documented(
        RegisterBody, {"EventTypeID": 13, "ListenerURL": "https://hooks.example.com/events?src=13", "ChannelID": 505}
    ),
)
def register_event_listener(
    principal: Principal = Depends(caller("RegisterEventListener")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """Creates or replaces the listener of this EventTypeID and ChannelID (or no ChannelID). Only later events are
    posted.
    """
    listener = parse(RegisterBody, body)
    notifications.register_listener(principal.scope, listener.event_type_id, listener.listener_url, listener.channel_id)
    return Response()


@router.post(
    "/current/general/UnregisterEventListener",
    summary="Stop posting events of a type",
    operation_id="UnregisterEventListener",
    response_class=Response,
    responses=NOTHING,
    openapi_extra=documented(UnregisterBody, {"EventTypeID": 13, "ChannelID": 505}),
)
def unregister_event_listener(
    principal: Principal = Depends(caller("UnregisterEventListener")),  # noqa: B008
    body: bytes = Depends(raw_body),
) -> Response:
    """Without ChannelID, only the general listener of the type is removed. A listener that does not exist is not an
    error.
    """
    listener = parse(UnregisterBody, body)
    notifications.unregister_listener(principal.scope, listener.event_type_id, listener.channel_id)
    return Response()


TOKEN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The token", "content": {"application/json": {"schema": {"type": "string"}}}},
}


@router.post(
    "/current/general/login",
    summary="Exchange a user name and password for a token (legacy)",
    operation_id="Login",
    response_class=Response,
    responses=TOKEN,
    openapi_extra=documented(LoginBody, {"Username": "apiuser_demo", "Password": "not-a-real-one"}),
)
def login(request: Request, body: bytes = Depends(raw_body)) -> Response:
    """Send the token in the Authorization-Token header. The login is switched off unless RAPPORT_LEGACY_LOGIN
    is set.
    """
    stores: Stores = request.app.state.stores
    if not stores.settings.legacy_login:
        raise NotFound("Login is switched off: send an API key in X-API-KEY.")
    credentials = parse(LoginBody, body)
    if not credentials.username.strip() or not credentials.password:
        raise Invalid("Username and Password are required.")
    address = request.client.host if request.client else ""
    return json_response(orjson.dumps(users.login(stores, credentials.username, credentials.password, address)))
