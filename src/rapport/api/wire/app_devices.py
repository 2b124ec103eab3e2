"""Devices of apps without an SDK: push tokens, opens, and what the first SDKs data_by_type with calls of their own."""

import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import Depends, Request
from starlette.responses import Response

from rapport.api.sections import SectionRouter
from rapport.api.wire.app_callers import BY_KEYS, REFUSALS, AppCaller, device_caller, object_of, pace
from rapport.api.wire.event_senders import aside, expect_proof, user_of
from rapport.apps.events import DeviceEvent, carry_out, event_of, install_id_of
from rapport.apps.installs import is_installed
from rapport.apps.states import EventType
from rapport.errors import Invalid, Unprocessable

router = SectionRouter("Apps")

UNPROCESSABLE: dict[int | str, dict[str, Any]] = {
    422: {"description": "The body does not say what the call needs", "content": {"application/json": {}}}
}
DONE: dict[int | str, dict[str, Any]] = {204: {"description": "Done"}, **REFUSALS}
ADDED = {
    "token": "f00dbabe0011223344556677",
    "type": 1,
    "iosTokenType": 1,
    "bundleId": "com.example.shop",
    "userId": "Q1001",
}
OPENED = "k.message.opened"


def _taking(properties: dict[str, Any], required: list[str], example: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    content = {"application/json": {"schema": schema, "example": example}}
    return {**BY_KEYS, "requestBody": {"required": True, "content": content}}


_DEVICE = {
    "token": {"description": "The device token or registration token; for web push the PushSubscription"},
    "type": {"type": "integer", "enum": [1, 2, 3, 4, 5], "description": "1 APNs, 2 FCM, 3 web push, 4 Safari, 5 HMS"},
    "iosTokenType": {
        "type": "integer",
        "description": "1 for production, which is the default; others for test builds",
    },
    "bundleId": {"type": "string", "description": "The bundle ID of the app, for APNs"},
    "package": {"type": "string", "description": "The application ID of an Android app"},
    "userId": {"type": "string", "description": "The CustomerID of the user"},
    "areNotificationsEnabled": {"type": "boolean", "description": "Whether the device shows notifications"},
}


@router.post(
    "/v1/app-installs/{installId}/push-token",
    status_code=204,
    summary="Add Device",
    operation_id="AddDevice",
    response_class=Response,
    responses={**DONE, **UNPROCESSABLE},
    openapi_extra=_taking(_DEVICE, ["token", "type", "userId"], ADDED),
)
async def add_device(installId: str, request: Request, caller: AppCaller = Depends(device_caller)) -> Response:  # noqa: B008
    """Registers the push token of an installation, and the customer whose it is. A later token replaces the one before.
    A token that another installation had is taken from it.
    """
    data = await object_of(request)
    if data.get("userId") is None:
        raise Unprocessable("userId is required: the CustomerID of the user.")
    return await _registered(request, caller, installId, data)


@router.put(
    "/v1/app-installs/{installId}/push-token",
    status_code=204,
    summary="Renew the push token of an installation",
    operation_id="RenewDevice",
    response_class=Response,
    responses={**DONE, **UNPROCESSABLE},
    openapi_extra=_taking(_DEVICE, ["token", "type"], {"token": "abc123", "type": 2}),
)
async def renew_device(installId: str, request: Request, caller: AppCaller = Depends(device_caller)) -> Response:  # noqa: B008
    """Like Add Device. Without userId, the installation stays with the customer whose it was."""
    return await _registered(request, caller, installId, await object_of(request))


@router.delete(
    "/v1/app-installs/{installId}/push-token",
    status_code=204,
    summary="Remove Device",
    operation_id="RemoveDevice",
    response_class=Response,
    responses=DONE,
    openapi_extra=BY_KEYS,
)
async def remove_device(installId: str, request: Request, caller: AppCaller = Depends(device_caller)) -> Response:  # noqa: B008
    """No push is sent to the installation any more. It stays known, with its customer. An unknown installation is no
    error.
    """
    await _told(request, caller, installId, {EventType.DEVICE_UNSUBSCRIBED: {}}, known_only=True)
    return Response(status_code=204)


@router.post(
    "/v1/app-installs/{installId}/opens",
    status_code=204,
    summary="Tracking Opens",
    operation_id="TrackOpen",
    response_class=Response,
    responses={**DONE, **UNPROCESSABLE},
    openapi_extra=_taking({"id": {"type": "integer", "minimum": 1}}, ["id"], {"id": 77}),
)
async def track_open(installId: str, request: Request, caller: AppCaller = Depends(device_caller)) -> Response:  # noqa: B008
    """Reports that a push was opened: id is custom.a["k.message"].data.id of its payload. An unknown installation or
    message is no error.
    """
    data = {"type": 1, "id": (await object_of(request)).get("id")}
    await _told(request, caller, installId, {OPENED: data}, known_only=True)
    return Response(status_code=204)


@router.put(
    "/v1/app-installs/{installId}",
    status_code=204,
    summary="Report an installation, as the first SDKs do",
    operation_id="TrackInstall",
    response_class=Response,
    responses={**DONE, **UNPROCESSABLE},
    openapi_extra=_taking({}, [], {"app": {"version": "1.2.0"}, "os": {"id": 3, "version": "14"}}),
)
async def track_install(installId: str, request: Request, caller: AppCaller = Depends(device_caller)) -> Response:  # noqa: B008
    """The body is the data of the event k.stats.installTracked."""
    await _told(request, caller, installId, {EventType.INSTALL_TRACKED: await object_of(request)})
    return Response(status_code=204)


@router.put(
    "/v1/app-installs/{installId}/location",
    status_code=204,
    summary="Accept the location of an installation (not stored)",
    operation_id="TrackLocation",
    response_class=Response,
    responses=DONE,
    openapi_extra=BY_KEYS,
)
async def track_location(installId: str, caller: AppCaller = Depends(device_caller)) -> Response:  # noqa: B008
    """For the first SDKs, which expect an address for it."""
    return Response(status_code=204)


@router.get(
    "/v1/app-installs/{installId}/channels",
    summary="List the push channels of an installation (none)",
    operation_id="AppChannels",
    response_class=Response,
    responses={200: {"description": "An empty list", "content": {"application/json": {"example": []}}}, **REFUSALS},
    openapi_extra=BY_KEYS,
)
async def app_channels(installId: str, caller: AppCaller = Depends(device_caller)) -> Response:  # noqa: B008
    """For the first SDKs. Rapport has topics instead, see the Preference Center."""
    return Response(b"[]", media_type="application/json")


async def _registered(request: Request, caller: AppCaller, install_id: str, data: Mapping[str, Any]) -> Response:
    """Register a device, and its user where one is named: as the events of an SDK do."""
    data_by_type: dict[str, Mapping[str, Any]] = {}
    if data.get("userId") is not None:
        data_by_type[EventType.USER_ASSOCIATED] = {"id": data["userId"]}
    await _told(request, caller, install_id, data_by_type | {EventType.DEVICE_REGISTERED: data})
    return Response(status_code=204)


async def _told(
    request: Request,
    caller: AppCaller,
    install_id: str,
    data_by_type: Mapping[str, Mapping[str, Any]],
    *,
    known_only: bool = False,
) -> None:
    """Carry out what a call tells of an install, by the types of events; known_only: nothing of one that is not there.

    Raises Unprocessable, Unauthorized, TooManyRequests.
    """
    user = user_of(request, caller.tenant)
    pace(request, caller, len(data_by_type))
    events = _events(caller, install_id, data_by_type)
    named = {person for event in events if event.change and (person := event.change.values.get("person"))}
    expect_proof(request, caller.tenant, user, named)
    sinks = request.app.state.report_sinks
    if not known_only or await aside(request, is_installed, caller.scope, caller.app.id, install_id):
        await aside(request, carry_out, caller.scope, caller.app, install_id, events, sinks)


def _events(caller: AppCaller, install_id: str, data_by_type: Mapping[str, Mapping[str, Any]]) -> list[DeviceEvent]:
    now = caller.scope.clock.now()
    plain_http = caller.scope.stores.settings.allow_private_addresses
    try:
        install_id_of(install_id)
        return [
            event_of(
                {"type": event_type, "data": data, "uuid": str(uuid.uuid4())}, install_id, now, plain_http=plain_http
            )
            for event_type, data in data_by_type.items()
        ]
    except Invalid as error:
        raise Unprocessable(error.message) from error
