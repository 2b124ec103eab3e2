"""Management of the folders in which the templates of a brand lie."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.manage.messaging.brands import BrandId
from rapport.api.sections import SectionRouter
from rapport.messaging import folders

router = SectionRouter("Management: templates", "/manage/v1/brands/{brand_id}/template-folders", JsonRoute)
FolderId = Annotated[int, Path(ge=1, le=2**31 - 1)]


class FolderIn(Body):
    """The name of a folder."""

    name: str = Field(min_length=1, max_length=200, examples=["Newsletters"])


class FolderOut(BaseModel):
    """A folder for templates."""

    model_config = ConfigDict(from_attributes=True)

    id: int = Field(examples=[2])
    name: str = Field(examples=["Newsletters"])
    created_at: datetime


@router.get("", summary="List the template folders of a brand")
def list_folders(brand_id: BrandId, page: Paged, principal: Principal = Depends(admin)) -> list[FolderOut]:  # noqa: B008
    """Folders by ID. Folder 1 exists for every brand."""
    return page.of(folders.folders(principal.scope, brand_id)).each(FolderOut.model_validate)


@router.post("", status_code=201, summary="Create a template folder")
def create_folder(
    brand_id: BrandId,
    body: FolderIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> FolderOut:
    """Create a folder; 409 for a name that another folder of the brand has."""
    return FolderOut.model_validate(folders.create_folder(principal.scope, brand_id, body.name))


@router.patch("/{folder_id}", summary="Rename a template folder")
def rename_folder(
    brand_id: BrandId,
    folder_id: FolderId,
    body: FolderIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> FolderOut:
    """Rename a folder; 409 for a name that another folder of the brand has."""
    return FolderOut.model_validate(folders.rename_folder(principal.scope, brand_id, folder_id, body.name))


@router.delete("/{folder_id}", status_code=204, summary="Delete a template folder")
def delete_folder(
    brand_id: BrandId,
    folder_id: FolderId,
    principal: Principal = Depends(admin),  # noqa: B008
) -> None:
    """Delete an empty folder; 409 while it holds templates, and for folder 1."""
    folders.delete_folder(principal.scope, brand_id, folder_id)
