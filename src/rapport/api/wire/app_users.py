"""Users of an app, for the servers of its company: with their installations, and their attributes to be set."""

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends, Query, Request
from starlette.responses import Response

from rapport.api.http.parameters import INT32_MAX
from rapport.api.http.responses import json_response
from rapport.api.sections import SectionRouter
from rapport.api.wire.app_callers import BY_KEYS, REFUSALS, AppCaller, object_of, server_caller
from rapport.api.wire.app_devices import UNPROCESSABLE
from rapport.api.wire.event_senders import aside
from rapport.apps import users as app_users
from rapport.apps.models import Install
from rapport.apps.users import User
from rapport.customers.writes import attribute_requests
from rapport.errors import Invalid, Unprocessable

router = SectionRouter("Apps")

MOST_USERS = 1000
WRITTEN = {"isSuccess": True, "errors": []}
USER = {
    "userIdentifier": "Q1001",
    "isAnonymous": False,
    "installs": [
        {
            "installId": "5e0b6bd5-3b0e-4f9e-9a53-0c1f6e7a2b10",
            "os": "Android 14",
            "device": "Pixel 8",
            "locale": "de-DE",
            "timeZone": "Europe/Berlin",
            "appVersion": "4.2.1",
            "sdk": "Android 7.1.0",
            "pushSubscribed": True,
            "inAppConsented": True,
            "createdAt": "2026-01-05T09:30:00Z",
            "lastSeenAt": "2026-03-02T14:10:55Z",
        }
    ],
}


def _answer(description: str, example: Any) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "array", "items": {"type": "object"}} if isinstance(example, list) else {"type": "object"}
    content = {"application/json": {"schema": schema, "example": example}}
    return {200: {"description": description, "content": content}}


@router.get(
    "/v2/users",
    summary="List the users of an app",
    operation_id="AppUsers",
    response_class=Response,
    responses={**_answer("A page of users", [USER]), **REFUSALS},
    openapi_extra=BY_KEYS,
)
def list_users(
    currentPage: Annotated[int, Query(ge=1, le=INT32_MAX, description="The page, from 1")],
    numberPerPage: Annotated[int, Query(ge=1, le=MOST_USERS, description="How many users a page has")],
    caller: AppCaller = Depends(server_caller),  # noqa: B008
) -> Response:
    """Needs the server key. Customers with their installations of the app, and installations of nobody known, each as a
    user of its own. An empty page ends the list.
    """
    skipped = (currentPage - 1) * numberPerPage
    page = app_users.users(caller.scope, caller.app.id, numberPerPage, skipped)
    return json_response(orjson.dumps([_shown(user) for user in page]))


@router.get(
    "/v2/users/{userIdentifier}",
    summary="Get a user of an app",
    operation_id="AppUser",
    response_class=Response,
    responses={**_answer("The user", USER), **REFUSALS, 404: {"description": "The app has no such user"}},
    openapi_extra=BY_KEYS,
)
def get_user(userIdentifier: str, caller: AppCaller = Depends(server_caller)) -> Response:  # noqa: B008
    """Needs the server key. The user is named by the CustomerID, or by the ID of an installation of nobody known."""
    return json_response(orjson.dumps(_shown(app_users.user(caller.scope, caller.app.id, userIdentifier))))


@router.put(
    "/v1/users/{userId}/attributes",
    summary="Set attributes of a user",
    operation_id="SetUserAttributes",
    response_class=Response,
    responses={**_answer("Written; errors lists what was not", WRITTEN), **REFUSALS, **UNPROCESSABLE},
    openapi_extra={
        **BY_KEYS,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}, "example": {"CITY": "Oslo", "AGE": 41}}},
        },
    },
)
async def set_user_attributes(userId: str, request: Request, caller: AppCaller = Depends(server_caller)) -> Response:  # noqa: B008
    """Needs the server key. Members are attributes by their RealFieldName. Like UpsertCustomer, the call creates a
    customer who is not there.
    """
    data = await object_of(request)
    values = [[name, value] for name, value in data.items()]
    try:
        outcome = await aside(request, attribute_requests.upsert, caller.scope, userId, values, None)
    except Invalid as error:
        raise Unprocessable(error.message) from error
    return json_response(orjson.dumps(outcome))


def _shown(user: User) -> dict[str, Any]:
    return {
        "userIdentifier": user.identifier,
        "isAnonymous": not user.is_customer,
        "installs": [_install(install) for install in user.installs],
    }


def _install(install: Install) -> dict[str, Any]:
    return {
        "installId": install.install_id,
        "os": install.os,
        "device": install.device,
        "locale": install.locale,
        "timeZone": install.time_zone,
        "appVersion": install.app_version,
        "sdk": install.sdk,
        "pushSubscribed": install.token is not None and install.notifications_enabled is not False,
        "inAppConsented": install.in_app_consent,
        "createdAt": _instant(install.created_at),
        "lastSeenAt": _instant(install.seen_at),
    }


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
