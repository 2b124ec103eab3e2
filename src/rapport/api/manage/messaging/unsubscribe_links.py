"""Management of the secret that links to unsubscribe are signed with."""

from datetime import datetime, timedelta

from fastapi import Depends
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.access.models import TenantSecret
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.messaging.contactability import suppressions

router = SectionRouter("Management: suppressions", "/manage/v1/unsubscribe-links", JsonRoute)

GRACE_DAYS = 400


class LinkKeyOut(BaseModel):
    """A version of the secret; links name the version with which they are signed."""

    version: int = Field(examples=[2])
    created_at: datetime | None = Field(description="null: before there were versions")
    ends_at: datetime | None = Field(description="Until when its links work; null: forever")


class LinkRotation(Body):
    """How long links in earlier messages keep working."""

    grace_days: float = Field(GRACE_DAYS, ge=0, le=3660, examples=[400], description="0: they stop working at once")


def _shown(keys: list[TenantSecret]) -> list[LinkKeyOut]:
    return [LinkKeyOut.model_validate(key, from_attributes=True) for key in keys]


@router.get("/secrets", summary="List secret versions of unsubscribe links")
def list_link_keys(principal: Principal = Depends(admin)) -> list[LinkKeyOut]:  # noqa: B008
    """Lists the versions whose links still work, newest first; the newest signs new links. The secrets are not
    shown.
    """
    return _shown(suppressions.link_keys(principal.scope))


@router.post("/rotate-secret", summary="Rotate the secret of unsubscribe links")
def rotate_link_keys(body: LinkRotation, principal: Principal = Depends(admin)) -> list[LinkKeyOut]:  # noqa: B008
    """Links in messages that were already sent keep working during grace_days. Laws require at least a month.

    409 if 20 versions are already valid, unless grace_days is 0.
    """
    return _shown(suppressions.rotate_link_keys(principal.scope, timedelta(days=body.grace_days)))
