"""What browsers load before they ask for web push: the keys of the tenant's web app, and its prompts."""

import hashlib
from typing import Annotated, Any

import orjson
from fastapi import Depends, Query, Request
from starlette.responses import Response

from rapport.access.scope import scope_of
from rapport.api.http.parameters import INT32_MAX
from rapport.api.http.responses import ERRORS
from rapport.api.sections import SectionRouter
from rapport.api.wire.app_callers import BY_KEYS, REFUSALS, AppCaller, device_caller
from rapport.apps.definitions import web_app
from rapport.apps.models import App
from rapport.errors import NotFound

router = SectionRouter("Apps")

MAX_AGE_SECONDS = 60
LONGEST_INSTALL_ID = 100
SHOWN = {
    "publicKey": "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM",
    "keys": {"apiKey": "5e0b6bd5-3b0e-4f9e-9a53-0c1f6e7a2b10", "secretKey": "k3J0aWx9r5mQ2vT7bZc1eY8nL4hGdS6fUoPq"},
    "iconUrl": "https://shop.example/icon.png",
    "prompts": {},
}


def _answers(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {200: {"description": "The configuration", "content": content}, 304: {"description": "Not changed"}}


@router.get(
    "/v2/web/config",
    summary="Configuration of web push",
    operation_id="WebConfig",
    response_class=Response,
    responses={**_answers(SHOWN), **{status: ERRORS[status] for status in (400, 404)}},
)
def web_config(
    request: Request,
    tenantId: Annotated[int, Query(ge=1, le=INT32_MAX, description="The tenant's number")],
    installId: Annotated[
        str, Query(max_length=LONGEST_INSTALL_ID, description="The ID of the browser's installation; not needed")
    ] = "",
) -> Response:
    """Needs no key: the browser learns the app's API key and secret key here. So the secret key of the app of web sites
    is public. The server key is not part of the response. 404 if no app of the tenant is for web sites (for_web).
    """
    app = web_app(scope_of(request.app.state.stores, tenantId, actor="browser"))
    if app is None:
        raise NotFound("No app of this tenant is for web sites.")
    keys = {"apiKey": app.api_key, "secretKey": app.secret_key}
    return _answered(request, {"publicKey": app.vapid_public_key, "keys": keys, **_web_settings(app)})


@router.get(
    "/v1/web/config",
    summary="Configuration of web push, for older SDKs",
    operation_id="WebConfigOfApp",
    response_class=Response,
    responses={**_answers({**SHOWN, "safariPushId": None}), **REFUSALS},
    openapi_extra=BY_KEYS,
)
def web_config_of_app(request: Request, caller: AppCaller = Depends(device_caller)) -> Response:  # noqa: B008
    """Without the keys, which the caller has."""
    shown = {"iconUrl": None, "prompts": {}, "safariPushId": None, **_web_settings(caller.app)}
    return _answered(request, {"publicKey": caller.app.vapid_public_key, **shown})


def _web_settings(app: App) -> dict[str, Any]:
    """What is set of the web settings, by the names of the wire."""
    names = {"icon_url": "iconUrl", "prompts": "prompts", "safari_push_id": "safariPushId"}
    return {name: app.web_settings[member] for member, name in names.items() if app.web_settings.get(member)}


def _answered(request: Request, config: dict[str, Any]) -> Response:
    """The configuration, or 304 for a browser that has it."""
    body = orjson.dumps(config)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": f"private, max-age={MAX_AGE_SECONDS}"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")
