"""Management of templates: what is wrong with one before it is saved."""

from fastapi import Depends
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import CHANGES_NOTHING, SectionRouter
from rapport.channels.messages import Content
from rapport.messaging.tag_problems import tag_problems
from rapport.messaging.tags.scanning import TextKind
from rapport.messaging.templates import MAX_CONTENT

router = SectionRouter("Management: templates", "/manage/v1", JsonRoute)


class ContentToCheck(Body):
    """The content of a template that need not exist."""

    subject: str = Field("", max_length=1000, examples=["[%IF:CITY=='Oslo'%]Hei[%END:IF%][%ELSE%]Hello[%END:IF%]"])
    html: str = Field("", max_length=MAX_CONTENT, examples=["<p>[%IF:TIER%]You are in [%TIER%].</p>"])
    text: str = Field("", max_length=MAX_CONTENT)
    transactional: bool = Field(False, description="Whether it is for transactional messages, with [%TRANS:name%]")


class ProblemOut(BaseModel):
    """What is wrong with a tag."""

    part: TextKind = Field(examples=["html"])
    block: int | None = Field(
        examples=[0], description="The condition block of the part, from 0; null for what is outside of conditions"
    )
    branch: int | None = Field(examples=[0], description="The branch of the block, from 0")
    condition: str = Field(examples=["IF:TIER"], description="The tag of the branch, without its brackets")
    message: str = Field(examples=["The branch has no closing [%END:IF%] of its own before the next condition."])
    details: str = Field(examples=[""], description="The words that are wrong")


class CheckOut(BaseModel):
    """What a check says."""

    problems: list[ProblemOut] = Field(description="A template with any of these cannot be saved")


@router.post("/templates/check", summary="Check the tags of a template", openapi_extra=CHANGES_NOTHING)
def check_template(
    body: ContentToCheck,
    principal: Principal = Depends(admin),  # noqa: B008
) -> CheckOut:
    """Returns everything that is wrong with the tags of a template, by condition block and branch; nothing is saved."""
    content = Content(body.subject, body.text, body.html)
    wrong = tag_problems(principal.scope, content, transactional=body.transactional)
    return CheckOut(problems=[ProblemOut.model_validate(problem, from_attributes=True) for problem in wrong])
