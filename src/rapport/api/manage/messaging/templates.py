"""Management of templates, with a preview."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.manage.messaging.samples import Sample, rendered
from rapport.api.sections import CHANGES_NOTHING, SectionRouter
from rapport.channels import service as channels
from rapport.messaging import templates
from rapport.messaging.composing import content_of
from rapport.messaging.content_checks import ContentCheck, remarks_on
from rapport.messaging.editions import Editions
from rapport.messaging.languages import LanguageTag
from rapport.messaging.mjml_sources import MAX_SOURCE
from rapport.messaging.models import Template
from rapport.messaging.tags.scanning import TextKind
from rapport.messaging.translations import MAX_CONTENT, MOST_LANGUAGES

router = SectionRouter("Management: templates", "/manage/v1", JsonRoute)
Id = Annotated[int, Path(ge=1, le=2**31 - 1)]
TemplateId = Annotated[int, Path(ge=0, le=2**31 - 1)]


class TranslationIn(Body):
    """The content in one language. What is empty is as in the template's own content; text is made from html."""

    subject: str = Field("", max_length=1000)
    html: str = Field("", max_length=MAX_CONTENT)
    text: str = Field("", max_length=MAX_CONTENT)
    mjml: str = Field("", max_length=MAX_SOURCE, description="MJML instead of html")
    details: dict[str, Any] = Field(
        default_factory=dict, description="Those of the details that differ from the template's own"
    )


class TranslationOut(BaseModel):
    """The content of a template in one language, without what is as in its own content."""

    subject: str = ""
    html: str = ""
    text: str = ""
    mjml: str = ""
    details: dict[str, Any] = {}


class TemplateContent(Body):
    """The content of a template. [%ATTRIBUTE%] or [%ATTRIBUTE:default%] is replaced by a customer's value.

    See docs/templates.md for all tags.
    """

    name: str = Field(min_length=1, max_length=200, examples=["Spring offer"])
    subject: str = Field("", max_length=1000, examples=["A treat for you, [%FIRST_NAME:friend%]"])
    html: str = Field(
        "",
        max_length=MAX_CONTENT,
        examples=["<p>Hi [%FIRST_NAME:there%], use [%PROMO_CODE%].</p><p><a href='[%UNSUB%]'>Unsubscribe</a></p>"],
    )
    text: str = Field("", max_length=MAX_CONTENT, description="Made from html if empty")
    mjml: str = Field("", max_length=MAX_SOURCE, description="MJML, from which html is made; html must be empty then")
    from_name: str = Field("", max_length=200, description="The name of the sender; if empty, that of the channel")
    from_address_id: int | None = Field(
        None, ge=1, le=2**31 - 1, description="A from address of the channel's brand; null: that of the channel"
    )
    reply_to_address_id: int | None = Field(
        None, ge=1, le=2**31 - 1, description="A reply_to address of the channel's brand; null: that of the channel"
    )
    details: dict[str, Any] = Field(
        default_factory=dict,
        description="What else a message of the channel's kind contains, such as the buttons of a push message",
    )
    translations: dict[LanguageTag, TranslationIn] = Field(
        default_factory=dict,
        max_length=MOST_LANGUAGES,
        examples=[{"de": {"subject": "Für Sie, [%FIRST_NAME%]", "text": "Bis [%AS_DATE:VALID_UNTIL%]"}}],
        description="The content in other languages, such as de or de-AT; customers get that of their language",
    )
    folder_id: int | None = Field(
        None, ge=1, le=2**31 - 1, description="A folder of the channel's brand; if left out, the folder stays as it is"
    )


class TemplateIn(TemplateContent):
    """A template to create."""

    id: int | None = Field(None, ge=1, le=2**31 - 1, examples=[11], description="Its TemplateID; assigned if left out")


class TemplateListed(BaseModel):
    """A template of a channel, without its content."""

    channel_id: int = Field(examples=[504])
    id: int = Field(examples=[11])
    name: str = Field(examples=["Spring offer"])
    subject: str
    app_id: str = Field(examples=["acme-ios"], description="The app that a template of an external channel belongs to")
    folder_id: int = Field(examples=[1])
    version: int = Field(examples=[3], description="The number of the content; 0 for a template without content")
    created_at: datetime
    updated_at: datetime


class RemarkOut(BaseModel):
    """A warning about mail that can nevertheless be sent."""

    model_config = ConfigDict(from_attributes=True)

    check: ContentCheck = Field(examples=["unsubscribe_link"])
    part: TextKind = Field(examples=["html"])
    language: str = Field("", examples=[""], description="Of the translation; empty for the template's own content")
    message: str = Field(examples=["There is no link to unsubscribe: use [%UNSUB%] as the address of one."])


class TemplateOut(TemplateListed):
    """A template of a channel."""

    html: str = Field(description="Sanitised: without scripts, event handlers and forms")
    text: str
    mjml: str = Field(description="The MJML from which html was made; empty if html was given")
    from_name: str
    from_address_id: int | None
    reply_to_address_id: int | None
    details: dict[str, Any]
    translations: dict[str, TranslationOut] = Field(description="The content in other languages")
    attributes_used: list[str] = Field(
        examples=[["FIRST_NAME"]],
        description="The customer attributes that the template inserts or tests in any of its languages, and the one "
        "that chooses the language",
    )
    warnings: list[RemarkOut] = Field(description="Warnings about content that can nevertheless be sent")


class TextSizeOut(BaseModel):
    """How long a text is on phones; its segments are paid."""

    model_config = ConfigDict(from_attributes=True)

    alphabet: str = Field(examples=["GSM-7"], description="GSM-7 or UCS-2")
    units: int = Field(examples=[171], description="Its characters in this alphabet, some of which count twice")
    segments: int = Field(examples=[2])


class PreviewOut(BaseModel):
    """A rendered message."""

    subject: str
    text: str
    html: str
    details: dict[str, Any]
    text_size: TextSizeOut | None = Field(None, description="The size of the text on an SMS channel; otherwise null")


def shown(scope: Scope, template: Template) -> TemplateOut:
    """A template as it is answered."""
    channel = channels.channel(scope, template.channel_id)
    editions = Editions(scope, template)
    warnings = [
        RemarkOut(check=remark.check, part=remark.part, language=language, message=remark.message)
        for language, content in editions.templates.items()
        for remark in remarks_on(scope, channel, content_of(content))
    ]
    return TemplateOut(
        channel_id=template.channel_id,
        id=template.id,
        name=template.name,
        subject=template.subject,
        html=template.html,
        text=template.text,
        app_id=template.app_id,
        folder_id=template.folder_id,
        version=template.version,
        mjml=template.mjml,
        from_name=template.from_name,
        from_address_id=template.from_address_id,
        reply_to_address_id=template.reply_to_address_id,
        details=template.details,
        translations={language: TranslationOut(**content) for language, content in template.translations.items()},
        attributes_used=editions.attributes,
        warnings=warnings,
        created_at=template.created_at,
        updated_at=template.updated_at,
    )


@router.get("/templates", summary="List templates")
def list_templates(
    page: Paged,
    channel_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[TemplateListed]:
    """Templates by channel and ID, without their content, which GET of a single template returns."""
    listed = page.of(templates.listed_templates(principal.scope, channel_id))
    return listed.each(lambda template: TemplateListed.model_validate(template, from_attributes=True))


@router.post("/channels/{channel_id}/templates", status_code=201, summary="Create a template")
def create_template(
    channel_id: Id,
    body: TemplateIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TemplateOut:
    """Create a template; 409 for an id that is taken, 400 for a wrong tag, see POST /manage/v1/templates/check."""
    return shown(principal.scope, templates.create_template(principal.scope, channel_id, **body.model_dump()))


@router.get("/channels/{channel_id}/templates/{template_id}", summary="Get a template")
def get_template(
    channel_id: Id,
    template_id: TemplateId,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TemplateOut:
    """A template of a channel."""
    return shown(principal.scope, templates.template(principal.scope, channel_id, template_id))


@router.put("/channels/{channel_id}/templates/{template_id}", summary="Create or replace a template")
def put_template(
    channel_id: Id,
    template_id: TemplateId,
    body: TemplateContent,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TemplateOut:
    """Save a template under its ID. The content that it had before is kept as a version."""
    saved = templates.save_template(principal.scope, channel_id, id=template_id, **body.model_dump())
    return shown(principal.scope, saved)


@router.delete("/channels/{channel_id}/templates/{template_id}", status_code=204, summary="Delete a template")
def delete_template(
    channel_id: Id,
    template_id: TemplateId,
    principal: Principal = Depends(admin),  # noqa: B008
) -> None:
    """Remove a template; campaigns that were processed with it keep its ID."""
    templates.delete_template(principal.scope, channel_id, template_id)


@router.post(
    "/channels/{channel_id}/templates/{template_id}/preview", summary="Render a template", openapi_extra=CHANGES_NOTHING
)
def preview_template(
    channel_id: Id,
    template_id: TemplateId,
    body: Sample,
    principal: Principal = Depends(admin),  # noqa: B008
) -> PreviewOut:
    """Returns the message as this customer, or anybody with these values, would get it; nothing is sent.

    The unsubscribe link in it does not work, so trying it unsubscribes nobody. 404 for an unknown customer.
    """
    template = templates.template(principal.scope, channel_id, template_id)
    content = rendered(principal.scope, template, body)
    size = channels.channel(principal.scope, channel_id).behaviour.text_size(content.text)
    return PreviewOut(
        subject=content.subject,
        text=content.text,
        html=content.html,
        details=dict(content.details),
        text_size=size and TextSizeOut.model_validate(size),
    )
