"""Management of pictures for messages."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.sections import SectionRouter
from rapport.inbox import pictures
from rapport.inbox.models import Picture

router = SectionRouter("Management: templates", "/manage/v1/pictures", JsonRoute)
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary"}}
            for media_type in ("image/png", "image/jpeg", "image/gif", "image/webp")
        },
    }
}


class PictureOut(BaseModel):
    """A picture."""

    name: str = Field(examples=["0f3c9a6f7be14d2c8a51c0de55aa77b1.png"])
    path: str = Field(
        examples=["/3001/0f3c9a6f7be14d2c8a51c0de55aa77b1.png"], description="Its place, for the member media"
    )
    label: str = Field(examples=["Spring offer"])
    size: int = Field(examples=[48211], description="Bytes")
    width: int = Field(examples=[1200])
    height: int = Field(examples=[600])
    created_at: datetime


def _shown(picture: Picture) -> PictureOut:
    return PictureOut(
        name=picture.name,
        path=pictures.path_of(picture),
        label=picture.label,
        size=picture.size,
        width=picture.width,
        height=picture.height,
        created_at=picture.created_at,
    )


@router.get("", summary="List pictures")
def list_pictures(page: Paged, principal: Principal = Depends(admin)) -> list[PictureOut]:  # noqa: B008
    """Pictures for messages, the newest first."""
    return page.of(pictures.pictures(principal.scope)).each(_shown)


@router.post("", status_code=201, summary="Add a picture", openapi_extra=BODY)
async def add_picture(
    request: Request,
    label: Annotated[str, Query(max_length=200, description="A name for people", examples=["Spring offer"])] = "",
    principal: Principal = Depends(admin),  # noqa: B008
) -> PictureOut:
    """The body is the picture: PNG, JPEG, GIF or WebP of at most 4 MiB, whatever its Content-Type says.

    It is shrunk to 2000 pixels on its longer side, and loses all data but its pixels; of a moving picture only the
    first frame is kept. `/{width}x{height}{path}` shows it in a size.
    """
    content = await request.body()
    return _shown(await run_in_threadpool(pictures.add_picture, principal.scope, content, label.strip()))


@router.delete("/{name}", status_code=204, summary="Delete a picture")
def delete_picture(
    name: Annotated[str, Path(max_length=40, description="The name of the picture")],
    principal: Principal = Depends(admin),  # noqa: B008
) -> None:
    """Messages that show it show no picture from then on; browsers may have it for some time."""
    pictures.delete_picture(principal.scope, name)
