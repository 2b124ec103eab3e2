"""Links into apps, and banners that offer them, as SDKs ask for them."""

from typing import Annotated, Any

import orjson
from fastapi import Depends, Query, Request
from starlette.responses import Response

from rapport.api.http.responses import json_response
from rapport.api.sections import SectionRouter
from rapport.api.wire.app_callers import BY_KEYS, REFUSALS, AppCaller, device_caller, pace
from rapport.apps import deep_links

router = SectionRouter("Apps")

LINK = {"linkData": {"screen": "product", "id": "A-1009"}, "content": {"title": "Rain coat", "description": "In blue"}}
BANNER = {"uid": "spring", "title": "Get the app"}


def _answer(description: str, example: Any) -> dict[int | str, dict[str, Any]]:
    kind = "array" if isinstance(example, list) else "object"
    return {
        200: {
            "description": description,
            "content": {"application/json": {"schema": {"type": kind}, "example": example}},
        }
    }


@router.get(
    "/v1/deeplinks/{slug}",
    summary="Follow a deep link",
    operation_id="DeepLink",
    response_class=Response,
    responses={
        **_answer("Where the link leads within the app", LINK),
        **REFUSALS,
        404: {"description": "There is no such link"},
        410: {
            "description": "The link has expired",
            "content": {"application/json": {"schema": {"type": "string"}, "example": "This deep link has expired."}},
        },
        429: {"description": "The link was used as often as it may be"},
    },
    openapi_extra=BY_KEYS,
)
def deep_link(
    slug: str,
    wasDeferred: Annotated[str, Query(description="1 if the app was installed only after the link was followed")] = "0",
    caller: AppCaller = Depends(device_caller),  # noqa: B008
) -> Response:
    """Counts a use of the link. Further parameters of the link's address are ignored."""
    link = deep_links.follow(caller.scope, caller.app.id, slug, deferred=wasDeferred == "1")
    content = {"title": link.title, "description": link.description}
    shown = {"linkData": link.link_data, "content": {name: text for name, text in content.items() if text}}
    return json_response(orjson.dumps(shown))


@router.get(
    "/v1/banners",
    summary="List the banners of an app",
    operation_id="Banners",
    response_class=Response,
    responses={**_answer("The banners", [BANNER]), **REFUSALS},
    openapi_extra=BY_KEYS,
)
def banners(
    webInstallId: Annotated[str, Query(max_length=100, description="The browser's installation")] = "",
    caller: AppCaller = Depends(device_caller),  # noqa: B008
) -> Response:
    """Banners on web pages that lead into the app, with the settings that management gave them."""
    shown = [{**banner.settings, "uid": banner.uid} for banner in deep_links.banners(caller.scope, caller.app.id)]
    return json_response(orjson.dumps(shown))


@router.post(
    "/v1/banners/{bannerUid}/taps",
    status_code=204,
    summary="Report a tap on a banner",
    operation_id="TapBanner",
    response_class=Response,
    responses={204: {"description": "Counted"}, **REFUSALS},
    openapi_extra=BY_KEYS,
)
def tap_banner(bannerUid: str, request: Request, caller: AppCaller = Depends(device_caller)) -> Response:  # noqa: B008
    """Counts the tap. What the body says of the browser (webInstallId, fingerprint) is not stored."""
    pace(request, caller, 1)
    deep_links.tap(caller.scope, caller.app.id, bannerUid)
    return Response(status_code=204)
