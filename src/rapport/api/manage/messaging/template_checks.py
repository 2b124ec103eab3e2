"""Management of templates: what is wrong with one before it is saved."""

from fastapi import Depends
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.manage.messaging.templates import RemarkOut
from rapport.api.sections import CHANGES_NOTHING, SectionRouter
from rapport.channels import service as channels
from rapport.channels.messages import Content
from rapport.messaging.composing import composer
from rapport.messaging.content import sanitised
from rapport.messaging.content_checks import general_remarks, remarks_on
from rapport.messaging.mjml_sources import MAX_SOURCE, html_of
from rapport.messaging.tag_problems import tag_problems
from rapport.messaging.tags.scanning import TextKind
from rapport.messaging.translations import MAX_CONTENT

router = SectionRouter("Management: templates", "/manage/v1", JsonRoute)


class ContentToCheck(Body):
    """The content to check; the template need not exist."""

    subject: str = Field("", max_length=1000, examples=["[%IF:CITY=='Oslo'%]Hei[%END:IF%][%ELSE%]Hello[%END:IF%]"])
    html: str = Field("", max_length=MAX_CONTENT, examples=["<p>[%IF:TIER%]You are in [%TIER%].</p>"])
    text: str = Field("", max_length=MAX_CONTENT)
    mjml: str = Field("", max_length=MAX_SOURCE, description="MJML instead of html")
    channel_id: int | None = Field(
        None,
        ge=1,
        le=2**31 - 1,
        examples=[504],
        description="The channel that it is for, whose brand decides what the mail must contain",
    )
    transactional: bool = Field(False, description="Whether it is for transactional messages, with [%TRANS:name%]")


class ProblemOut(BaseModel):
    """What is wrong with a tag."""

    part: TextKind = Field(examples=["html"])
    block: int | None = Field(
        examples=[0], description="The condition block of the part, from 0; null outside of conditions"
    )
    branch: int | None = Field(examples=[0], description="The branch of the block, from 0")
    condition: str = Field(examples=["IF:TIER"], description="The tag of the branch, without its brackets")
    message: str = Field(examples=["The branch has no closing [%END:IF%] of its own before the next condition."])
    details: str = Field(examples=[""], description="The words that are wrong")


class TemplateCheckOut(BaseModel):
    """The result of a check."""

    problems: list[ProblemOut] = Field(description="Errors: a template with any of these cannot be saved")
    warnings: list[RemarkOut] = Field(description="Warnings about content that can nevertheless be sent")


@router.post("/templates/check", summary="Check a template", openapi_extra=CHANGES_NOTHING)
def check_template(
    body: ContentToCheck,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TemplateCheckOut:
    """Returns everything that is wrong with the tags of a template, by condition block and branch, and warnings about
    the unsubscribe link, the postal address, the size, links and words; nothing is saved.
    """
    scope = principal.scope
    html = html_of(body.mjml, body.html) if body.mjml.strip() else body.html
    wrong = tag_problems(scope, Content(body.subject, body.text, html), transactional=body.transactional)
    channel = None if body.channel_id is None else channels.channel(scope, body.channel_id)
    written = Content(body.subject, body.text, sanitised(html))
    composed = composer(scope, [written], channel)
    content = composed.composed(written, composed.usual_language)
    remarks = remarks_on(scope, channel, content) if channel else general_remarks(content)
    return TemplateCheckOut(
        problems=[ProblemOut.model_validate(problem, from_attributes=True) for problem in wrong],
        warnings=[RemarkOut.model_validate(remark) for remark in remarks],
    )
