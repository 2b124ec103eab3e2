"""Management of API keys."""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import Depends, Path, Request
from pydantic import BaseModel, Field

from rapport.access import keys
from rapport.access.keys import Principal
from rapport.access.models import ApiKey
from rapport.access.roles import SECTIONS, Rights
from rapport.access.scope import Scope
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.sections import SectionRouter

router = SectionRouter("Management: access", "/manage/v1", JsonRoute)
KeyId = Annotated[int, Path(ge=1, le=2**31 - 1)]


class KeyIn(Body):
    """A key to create."""

    nickname: str = Field(min_length=1, max_length=200, examples=["Warehouse export"])
    contact_email: str = Field(min_length=3, max_length=320, examples=["data@northwind.example"])
    access_type: Literal["Admin", "Integrations", "Transactional"] = Field(examples=["Integrations"])
    rights: Rights = Field(
        Rights.FULL,
        description="What the key may do within its access type. full: everything; read: calls that change "
        "nothing, without secrets; data-in: imports and writes of attributes only",
    )
    sections: list[str] = Field(
        [],
        max_length=len(SECTIONS),
        examples=[["campaigns", "series"]],
        description="The only parts of the management API (/manage/v1/...) that it may call; empty: all",
    )
    expires_on: date | Literal["never"] | None = Field(
        None, examples=["2031-12-31"], description="The last day on which it works; null: a year from now"
    )
    cidrs: list[str] = Field([], max_length=100, examples=[["192.0.2.0/24"]], description="Empty means any address")
    rate_limit: int | None = Field(
        None, ge=0, le=1_000_000, description="Calls per window, at most the tenant's; 0 unlimited, null default"
    )


class KeyOut(BaseModel):
    """A key without its value, which is shown only when it is created."""

    id: int
    nickname: str
    contact_email: str
    access_type: str
    prefix: str = Field(examples=["rap_5Zk2m1Qa"], description="How the key begins")
    status: str = Field(examples=["Active"])
    cidrs: list[str]
    rate_limit: int | None
    rights: Rights
    sections: list[str]
    expires_on: date | None
    created_at: datetime
    last_used_at: datetime | None
    unused: bool = Field(description="It is valid but has not been used for 90 days: delete it if nobody needs it")


class KeyMade(KeyOut):
    """A new key."""

    key: str = Field(description="Put it into the X-API-KEY header; it cannot be shown again")


def _shown(scope: Scope, key: ApiKey) -> KeyOut:
    members = {name: getattr(key, name) for name in KeyOut.model_fields if name != "unused"}
    return KeyOut(**members, unused=keys.is_unused(scope, key))


@router.get("/keys", summary="List API keys")
def list_keys(page: Paged, principal: Principal = Depends(admin)) -> list[KeyOut]:  # noqa: B008
    """The tenant's keys, oldest first."""
    return page.of(keys.keys(principal.scope)).each(lambda key: _shown(principal.scope, key))


@router.post("/keys", status_code=201, summary="Create an API key")
def create_key(body: KeyIn, principal: Principal = Depends(admin)) -> KeyMade:  # noqa: B008
    """Create a key. Only this response shows it.

    400 for a rate_limit above the tenant's, or for 0 if the tenant has a limit; 409 if the tenant has reached its
    number of keys.
    """
    fields = body.model_dump(exclude={"expires_on"})
    ends_on = body.expires_on or principal.scope.today() + keys.LIFETIME
    key, secret = keys.create_key(principal.scope, **fields, expires_on=None if ends_on == "never" else ends_on)
    return KeyMade(**_shown(principal.scope, key).model_dump(), key=secret)


@router.post("/keys/{key_id}/disable", summary="Disable an API key")
def disable_key(key_id: KeyId, request: Request, principal: Principal = Depends(admin)) -> KeyOut:  # noqa: B008
    """Refuse the key from now on."""
    key = keys.disable_key(principal.scope, key_id)
    request.app.state.keys.forget()
    return _shown(principal.scope, key)


@router.delete("/keys/{key_id}", status_code=204, summary="Delete an API key")
def delete_key(key_id: KeyId, request: Request, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """Delete the key permanently."""
    keys.delete_key(principal.scope, key_id)
    request.app.state.keys.forget()
