"""Management of the versions of templates: what was sent before, and back to it."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.manage.messaging.templates import Id, TemplateId, TemplateOut, TranslationOut, shown
from rapport.api.sections import SectionRouter
from rapport.messaging import templates, versions

router = SectionRouter(
    "Management: templates", "/manage/v1/channels/{channel_id}/templates/{template_id}/versions", JsonRoute
)
Version = Annotated[int, Path(ge=1, le=2**31 - 1)]


class VersionListed(BaseModel):
    """A version of a template, without its content."""

    model_config = ConfigDict(from_attributes=True)

    version: int = Field(examples=[3])
    name: str = Field(examples=["Spring offer"])
    subject: str
    saved_at: datetime


class VersionOut(VersionListed):
    """A version of a template."""

    html: str
    text: str
    mjml: str
    from_name: str
    from_address_id: int | None
    reply_to_address_id: int | None
    details: dict[str, Any]
    translations: dict[str, TranslationOut]


@router.get("", summary="List the versions of a template")
def list_versions(
    channel_id: Id,
    template_id: TemplateId,
    page: Paged,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[VersionListed]:
    """The last 100 versions, newest first; the newest is the current content."""
    templates.template(principal.scope, channel_id, template_id)
    listed = versions.versions(principal.scope, channel_id, template_id)
    return page.of(listed).each(VersionListed.model_validate)


@router.get("/{version}", summary="Get a version of a template")
def get_version(
    channel_id: Id,
    template_id: TemplateId,
    version: Version,
    principal: Principal = Depends(admin),  # noqa: B008
) -> VersionOut:
    """The content that was saved with this number."""
    templates.template(principal.scope, channel_id, template_id)
    return VersionOut.model_validate(versions.version(principal.scope, channel_id, template_id, version))


@router.post("/{version}/restore", summary="Restore a version of a template")
def restore_version(
    channel_id: Id,
    template_id: TemplateId,
    version: Version,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TemplateOut:
    """Save the content of a version again, as a new version; the template keeps its name and folder.

    400 if the content can no longer be used, for example because it names an attribute that no longer exists.
    """
    return shown(principal.scope, templates.restore_template(principal.scope, channel_id, template_id, version))
