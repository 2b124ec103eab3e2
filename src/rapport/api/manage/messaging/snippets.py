"""Management of snippets: content that templates share."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.sections import SectionRouter
from rapport.messaging import snippets
from rapport.messaging.languages import LanguageTag
from rapport.messaging.models import Snippet
from rapport.messaging.snippets import Piece
from rapport.messaging.translations import MAX_CONTENT, MOST_LANGUAGES

router = SectionRouter("Management: templates", "/manage/v1/snippets", JsonRoute)
Name = Annotated[str, Path(min_length=1, max_length=100, description="As in [%SNIPPET:name%]; case is ignored")]


class PieceIn(Body):
    """The content in one language; html or text is made from the other if it is empty."""

    html: str = Field("", max_length=MAX_CONTENT)
    text: str = Field("", max_length=MAX_CONTENT)

    def piece(self) -> Piece:
        """The content as the rules have it."""
        return Piece(self.html, self.text)


class SnippetIn(PieceIn):
    """The content of a snippet. It can have tags, but no other snippet."""

    html: str = Field("", max_length=MAX_CONTENT, examples=["<p>Yours, [%BRAND:NAME%]<br>[%BRAND:POSTAL_ADDRESS%]</p>"])
    translations: dict[LanguageTag, PieceIn] = Field(
        default_factory=dict,
        max_length=MOST_LANGUAGES,
        examples=[{"de": {"html": "<p>Herzlich, [%BRAND:NAME%]<br>[%BRAND:POSTAL_ADDRESS%]</p>"}}],
        description="The content in other languages; a template takes the one of its own translation",
    )


class PieceOut(BaseModel):
    """The content in one language."""

    html: str
    text: str


class SnippetVersionOut(PieceOut):
    """A content that a snippet has or had."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(examples=["FOOTER"], description="In upper case")
    version: int = Field(examples=[2])
    translations: dict[str, PieceOut]
    saved_at: datetime


class TemplateNamed(BaseModel):
    """A template that uses the snippet."""

    model_config = ConfigDict(from_attributes=True)

    channel_id: int = Field(examples=[504])
    id: int = Field(examples=[11])
    name: str = Field(examples=["Spring offer"])


class SnippetOut(SnippetVersionOut):
    """A snippet and the templates that use it."""

    templates: list[TemplateNamed]


def shown(scope: Scope, snippet: Snippet) -> SnippetOut:
    """A snippet as it is answered."""
    named = [TemplateNamed.model_validate(template) for template in snippets.users(scope, snippet.name)]
    return SnippetOut(**SnippetVersionOut.model_validate(snippet).model_dump(), templates=named)


@router.get("", summary="List snippets")
def list_snippets(
    page: Paged,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[SnippetVersionOut]:
    """Snippets by name, with their present content."""
    return page.of(snippets.snippets(principal.scope)).each(SnippetVersionOut.model_validate)


@router.get("/{name}", summary="Get a snippet")
def get_snippet(
    name: Name,
    principal: Principal = Depends(admin),  # noqa: B008
) -> SnippetOut:
    """A snippet and the templates that use it."""
    return shown(principal.scope, snippets.snippet(principal.scope, name))


@router.put("/{name}", summary="Create or replace a snippet")
def put_snippet(
    name: Name,
    body: SnippetIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> SnippetOut:
    """Save a snippet; messages that are written from now on contain it. 400 if a template that uses it could not have
    one of its tags.
    """
    translations = {language: content.piece() for language, content in body.translations.items()}
    return shown(principal.scope, snippets.save_snippet(principal.scope, name, body.piece(), translations))


@router.get("/{name}/versions", summary="List the versions of a snippet")
def list_snippet_versions(
    name: Name,
    page: Paged,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[SnippetVersionOut]:
    """Every content that the snippet has had, the newest first."""
    return page.of(snippets.versions(principal.scope, name)).each(SnippetVersionOut.model_validate)


@router.delete("/{name}", status_code=204, summary="Delete a snippet")
def delete_snippet(
    name: Name,
    principal: Principal = Depends(admin),  # noqa: B008
) -> None:
    """Remove a snippet and its versions. 409 while templates use it."""
    snippets.delete_snippet(principal.scope, name)
