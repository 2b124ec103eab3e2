"""Pictures for messages: taken as what they are, kept in the records, and shown in any size.

What a picture is its bytes say, whatever they are called. None is kept or shown as it came: each is drawn anew, so that
nothing but pixels is left of it, neither a place where a photo was taken nor a page that hides in a picture.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.errors import Conflict, Invalid, NotFound
from rapport.inbox.models import Picture
from rapport.stores.records import hold

MOST_BYTES = 4 * 1024 * 1024
# Of a picture that comes, and of either side of one that is kept or shown.
MOST_PIXELS, LONGEST_SIDE = 25_000_000, 2000
MOST_PICTURES = 2000
KINDS = {"PNG": ("png", "image/png"), "JPEG": ("jpg", "image/jpeg"), "WEBP": ("webp", "image/webp"), "GIF": ("gif", "")}
MEDIA_TYPES = {suffix: media_type for suffix, media_type in KINDS.values() if media_type}
OF_SUFFIX = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}
NO_PICTURE = "The body must be a picture: PNG, JPEG, GIF or WebP."


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture in a size: its bytes and what they are."""

    content: bytes
    media_type: str


def path_of(picture: Picture) -> str:
    """What a template says of a picture, and clients put behind the size."""
    return f"/{picture.tenant_id}/{picture.name}"


def pictures(scope: Scope) -> list[Picture]:
    """The tenant's pictures without their content, the newest first."""
    mine = select(Picture).where(Picture.tenant_id == scope.tenant_id)
    with scope.reads() as session:
        return list(session.scalars(mine.order_by(Picture.created_at.desc(), Picture.name)))


def add_picture(scope: Scope, content: bytes, label: str) -> Picture:
    """Keep a picture; the same one again is the one that is there. Raises Invalid, and Conflict for too many."""
    drawn, suffix = _drawn(content)
    whole = _encoded(drawn, OF_SUFFIX[suffix])
    name = f"{hashlib.sha256(whole).hexdigest()[:32]}.{suffix}"
    row = {
        "tenant_id": scope.tenant_id,
        "name": name,
        "label": label,
        "content": whole,
        "size": len(whole),
        "width": drawn.width,
        "height": drawn.height,
        "created_at": scope.clock.now(),
    }
    with scope.records() as session:
        hold(session, scope.tenant_id, "pictures")
        mine = select(func.count()).where(Picture.tenant_id == scope.tenant_id)
        if (session.scalar(mine) or 0) >= MOST_PICTURES:
            raise Conflict(f"A tenant may have at most {MOST_PICTURES} pictures.")
        session.execute(insert(Picture).values(row).on_conflict_do_nothing())
        scope.audit(session, "create", f"picture {name}", label=label)
        return session.get_one(Picture, (scope.tenant_id, name))


def delete_picture(scope: Scope, name: str) -> None:
    """Take a picture away; messages that show it show none. Raises NotFound."""
    with scope.records() as session:
        mine = (Picture.tenant_id == scope.tenant_id, Picture.name == name)
        if session.scalar(delete(Picture).where(*mine).returning(Picture.name)) is None:
            raise NotFound(f"There is no picture {name}.")
        scope.audit(session, "delete", f"picture {name}")


def content_of(scope: Scope, name: str) -> bytes:
    """A picture as it is kept. Raises NotFound."""
    mine = (Picture.tenant_id == scope.tenant_id, Picture.name == name)
    with scope.reads() as session:
        content = session.scalar(select(Picture.content).where(*mine))
    if content is None:
        raise NotFound("There is no such picture.")
    return bytes(content)


def resized(content: bytes, width: int, height: int | None) -> Shown:
    """A kept picture in a size: cut to it where both sides are given, otherwise as high as it then is.

    It is not made larger than it is.
    """
    with Image.open(io.BytesIO(content), formats=list(KINDS)) as picture:
        kind = str(picture.format)
        if height is None:
            width = min(width, picture.width)
            size = (width, max(1, round(picture.height * width / picture.width)))
            drawn = picture.resize(size, Image.Resampling.LANCZOS)
        else:
            smaller = min(1.0, picture.width / width, picture.height / height)
            size = (max(1, round(width * smaller)), max(1, round(height * smaller)))
            drawn = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
        return Shown(_encoded(drawn, kind), KINDS[kind][1])


def _drawn(content: bytes) -> tuple[Image.Image, str]:
    """A picture drawn anew, no larger than one may be, and the suffix of what it is kept as. Raises Invalid."""
    if len(content) > MOST_BYTES:
        raise Invalid(f"The picture has more than {MOST_BYTES} bytes.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(content), formats=list(KINDS))
        with opened as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise Invalid(f"The picture has more than {MOST_PIXELS} pixels.")
            kind = str(picture.format)
            upright = ImageOps.exif_transpose(picture)
            drawn = upright.convert("RGB" if kind == "JPEG" else "RGBA")
    except Invalid:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError, EOFError) as error:
        raise Invalid(NO_PICTURE) from error
    drawn.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    suffix = KINDS[kind][0]
    return drawn, "png" if suffix == "gif" else suffix


def _encoded(drawn: Image.Image, kind: str) -> bytes:
    # Nothing of what came with the picture is written beside its pixels.
    bare = Image.new(drawn.mode, drawn.size)
    bare.paste(drawn)
    out = io.BytesIO()
    bare.save(out, kind, **({"quality": 85} if kind in ("JPEG", "WEBP") else {"optimize": True}))
    return out.getvalue()
