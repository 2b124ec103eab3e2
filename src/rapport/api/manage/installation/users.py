"""Management of users: who may log in with a name and a password."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Path
from pydantic import BaseModel, Field

from rapport.access import users
from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.sections import SectionRouter

router = SectionRouter("Management: access", "/manage/v1/users", JsonRoute)


class UserIn(Body):
    """A user to create."""

    username: str = Field(min_length=1, max_length=200, examples=["apiuser_demo"])
    password: str = Field(min_length=users.MIN_PASSWORD, max_length=1000, examples=["not-a-real-one"])
    access_type: Literal["Admin", "Integrations", "Transactional"] = "Admin"


class UserOut(BaseModel):
    """A user."""

    id: int
    username: str = Field(examples=["apiuser_demo"])
    access_type: str = Field(examples=["Admin"])
    created_at: datetime


@router.get("", summary="List users")
def list_users(page: Paged, principal: Principal = Depends(admin)) -> list[UserOut]:  # noqa: B008
    """The tenant's users, oldest first."""
    return page.of(users.users(principal.scope)).each(lambda user: UserOut.model_validate(user, from_attributes=True))


@router.post("", status_code=201, summary="Create a user")
def create_user(body: UserIn, principal: Principal = Depends(admin)) -> UserOut:  # noqa: B008
    """Create a user; 409 for a name that is taken, and while RAPPORT_LEGACY_LOGIN is off: use API keys instead."""
    user = users.create_user(principal.scope, body.username, body.password, body.access_type)
    return UserOut.model_validate(user, from_attributes=True)


@router.delete("/{user_id}", status_code=204, summary="Remove a user")
def delete_user(
    user_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
    principal: Principal = Depends(admin),  # noqa: B008
) -> None:
    """Remove a user; its tokens end at once."""
    users.delete_user(principal.scope, user_id)
