"""Management of the keys by which X-User-JWT of apps is verified."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Path, Request
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.realtime.events import user_jwts
from rapport.realtime.models import UserJwtKey

router = SectionRouter("Management: events", "/manage/v1/event-intake/user-jwt-keys", JsonRoute)
PEM = "-----BEGIN PUBLIC KEY-----\nMFkw...\n-----END PUBLIC KEY-----\n"


class UserJwtKeyIn(Body):
    """A key to verify tokens with."""

    algorithm: Literal["HS256", "RS256", "ES256"] = Field(
        examples=["HS256"], description="The algorithm of the tokens; a token with another one is refused"
    )
    secret: str | None = Field(
        None, description="For HS256: 32 to 100 printable ASCII characters; generated if left out"
    )
    public_key: str | None = Field(
        None,
        max_length=4000,
        description=f"For RS256 (2048 bits or more) and ES256 (P-256): the public key in PEM, such as {PEM!r}",
    )
    grace_hours: float = Field(
        user_jwts.GRACE_HOURS,
        ge=0,
        le=24 * 90,
        examples=[24],
        description="How long tokens of the previous key stay valid; 0: they end at once",
    )


class UserJwtKeyOut(BaseModel):
    """A key; its secret is never shown again."""

    id: int = Field(examples=[1])
    algorithm: str = Field(examples=["HS256"])
    public_key: str = Field(description="In PEM; empty for HS256", examples=[""])
    created_at: datetime
    ends_at: datetime | None = Field(description="For a replaced key: until when it is valid")


class UserJwtKeyMade(UserJwtKeyOut):
    """A new key with its secret."""

    secret: str | None = Field(description="For HS256; shown only now")


def _shown(key: UserJwtKey) -> UserJwtKeyOut:
    return UserJwtKeyOut.model_validate(key, from_attributes=True)


@router.get("", summary="List the keys of X-User-JWT")
def list_user_jwt_keys(principal: Principal = Depends(admin)) -> list[UserJwtKeyOut]:  # noqa: B008
    """The valid keys, newest first. Without any, X-User-JWT is ignored."""
    return [_shown(key) for key in user_jwts.keys(principal.scope)]


@router.post("", status_code=201, summary="Set or replace the key of X-User-JWT")
def set_user_jwt_key(
    body: UserJwtKeyIn,
    request: Request,
    principal: Principal = Depends(admin),  # noqa: B008
) -> UserJwtKeyMade:
    """From now on, tokens are verified with this key (in other processes within two seconds). Tokens of earlier keys
    stay valid during grace_hours.
    """
    key = user_jwts.set_key(principal.scope, body.algorithm, body.secret, body.public_key, body.grace_hours)
    request.app.state.directory.forget(principal.scope.tenant_id)
    return UserJwtKeyMade(**_shown(key).model_dump(), secret=key.secret)


@router.delete("/{key_id}", status_code=204, summary="Remove a key of X-User-JWT")
def delete_user_jwt_key(
    key_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
    request: Request,
    principal: Principal = Depends(admin),  # noqa: B008
) -> None:
    """Its tokens become invalid at once (in other processes within two seconds). 404 for a key that is no longer
    valid.
    """
    user_jwts.delete_key(principal.scope, key_id)
    request.app.state.directory.forget(principal.scope.tenant_id)
