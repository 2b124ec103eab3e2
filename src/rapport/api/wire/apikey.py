"""Api Key: what the caller's own key is. The original's page is not public, so this contract is ours."""

from typing import Any

import orjson
from fastapi import Depends
from starlette.responses import Response

from rapport.access import keys as access_keys
from rapport.access.keys import Principal
from rapport.api.http.auth import caller
from rapport.api.http.responses import json_response
from rapport.api.sections import SectionRouter
from rapport.errors import NotFound

router = SectionRouter("General")

EXAMPLE = {
    "Nickname": "sms-gateway",
    "ContactEmail": "ops@example.com",
    "AccessType": "Integrations",
    "Status": "Active",
    "CreationDate": "2025-01-20",
    "ExpirationDate": None,
    "TenantID": 3001,
}
_TYPES: dict[str, Any] = {name: {"type": "string"} for name in EXAMPLE} | {
    "ExpirationDate": {"type": ["string", "null"], "format": "date"},
    "TenantID": {"type": "integer"},
}
INFO: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Success",
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": _TYPES, "required": list(EXAMPLE)},
                "example": EXAMPLE,
            }
        },
    },
}


@router.get(
    "/current/apikey/GetApiKeyInfo",
    summary="The API key that the call is made with",
    operation_id="GetApiKeyInfo",
    response_class=Response,
    responses=INFO,
)
def get_api_key_info(principal: Principal = Depends(caller("GetApiKeyInfo"))) -> Response:  # noqa: B008
    """Keys of every access type may call it. The response never contains the key itself. This function is Rapport's
    own.
    """
    scope = principal.scope
    key = next((key for key in access_keys.keys(scope) if key.id == principal.key_id), None)
    if key is None:
        raise NotFound("The call was not made with an API key.")
    info = {
        "Nickname": key.nickname,
        "ContactEmail": key.contact_email,
        "AccessType": key.access_type,
        "Status": key.status,
        "CreationDate": key.created_at.astimezone(scope.time_zone).date(),
        "ExpirationDate": key.expires_on,
        "TenantID": scope.tenant_id,
    }
    return json_response(orjson.dumps(info))
