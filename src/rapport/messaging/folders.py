"""Rules of the folders in which the templates of a brand lie."""

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.brands import brands
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging.models import Template, TemplateFolder
from rapport.stores.records import hold, next_id, unique_name

# The folder that every brand has, in which lies what nobody has put elsewhere.
GENERAL = 1
GENERAL_NAME = "General"
UNIQUE_FOLDER = "uq_template_folders_name"
MOST = 1000


def folders(scope: Scope, brand_id: int) -> list[TemplateFolder]:
    """The folders of a brand, by id. Raises NotFound for the brand."""
    brand = brands.brand(scope, brand_id)
    with scope.reads() as session:
        stored = list(session.scalars(_of_brand(scope, brand_id).order_by(TemplateFolder.id)))
    if any(folder.id == GENERAL for folder in stored):
        return stored
    general = TemplateFolder(
        tenant_id=scope.tenant_id, brand_id=brand_id, id=GENERAL, name=GENERAL_NAME, created_at=brand.created_at
    )
    return [general, *stored]


def require_folder(scope: Scope, session: Session, brand_id: int | None, folder_id: int) -> None:
    """A template can be put into a folder of its channel's brand; without a brand only into GENERAL. Raises Invalid.

    Nobody removes the folder before the transaction has ended.
    """
    if folder_id == GENERAL:
        return
    if brand_id is None:
        raise Invalid("folder_id is for templates of e-mail channels.")
    hold(session, scope.tenant_id, f"folders {brand_id}")
    if session.get(TemplateFolder, (scope.tenant_id, brand_id, folder_id)) is None:
        raise Invalid(f"Brand {brand_id} has no template folder {folder_id}.")


def create_folder(scope: Scope, brand_id: int, name: str) -> TemplateFolder:
    """Add a folder to a brand.

    Raises NotFound for the brand, Invalid for an empty name or one folder too many, Conflict for a used name.
    """
    _check_name(name)
    brands.brand(scope, brand_id)
    with unique_name(UNIQUE_FOLDER, "a folder", name), scope.records() as session:
        hold(session, scope.tenant_id, f"folders {brand_id}")
        names = {folder.id: folder.name.lower() for folder in session.scalars(_of_brand(scope, brand_id))}
        if len(names) >= MOST:
            raise Invalid(f"A brand may have at most {MOST} folders.")
        if GENERAL not in names and name.strip().lower() == GENERAL_NAME.lower():
            raise Conflict(f"There is a folder named {GENERAL_NAME!r} already.")
        number = next_id(session, scope.tenant_id, f"folder of brand {brand_id}", GENERAL + 1)
        folder = _add(scope, session, brand_id, number, name)
        scope.audit(session, "create", f"template folder {brand_id}/{number}", name=folder.name)
    return folder


def rename_folder(scope: Scope, brand_id: int, folder_id: int, name: str) -> TemplateFolder:
    """Give a folder another name. Raises NotFound, Invalid for an empty name, Conflict for a used one."""
    _check_name(name)
    brands.brand(scope, brand_id)
    with unique_name(UNIQUE_FOLDER, "a folder", name), scope.records() as session:
        hold(session, scope.tenant_id, f"folders {brand_id}")
        folder = session.get(TemplateFolder, (scope.tenant_id, brand_id, folder_id))
        if folder is None and folder_id != GENERAL:
            raise NotFound(f"Brand {brand_id} has no template folder {folder_id}.")
        if folder is None:
            folder = _add(scope, session, brand_id, GENERAL, name)
        folder.name = name.strip()
        session.flush()
        scope.audit(session, "rename", f"template folder {brand_id}/{folder_id}", name=folder.name)
    return folder


def delete_folder(scope: Scope, brand_id: int, folder_id: int) -> None:
    """Remove an empty folder. Raises NotFound, and Conflict for GENERAL or while there are templates in it."""
    if folder_id == GENERAL:
        raise Conflict(f"Folder {GENERAL} is there for every brand and cannot be deleted.")
    of_brand = [channel.id for channel in channels.channels(scope) if channel.settings.get("brand_id") == brand_id]
    with scope.records() as session:
        hold(session, scope.tenant_id, f"folders {brand_id}")
        folder = session.get(TemplateFolder, (scope.tenant_id, brand_id, folder_id))
        if folder is None:
            raise NotFound(f"Brand {brand_id} has no template folder {folder_id}.")
        inside = select(Template.name).where(Template.tenant_id == scope.tenant_id, Template.folder_id == folder_id)
        name = session.scalar(inside.where(Template.channel_id.in_(of_brand)).order_by(Template.name).limit(1))
        if name is not None:
            raise Conflict(f"Template {name!r} is in folder {folder_id}: move it to another folder first.")
        session.delete(folder)
        scope.audit(session, "delete", f"template folder {brand_id}/{folder_id}", name=folder.name)


def _of_brand(scope: Scope, brand_id: int) -> Select[TemplateFolder]:
    return select(TemplateFolder).where(
        TemplateFolder.tenant_id == scope.tenant_id, TemplateFolder.brand_id == brand_id
    )


def _add(scope: Scope, session: Session, brand_id: int, folder_id: int, name: str) -> TemplateFolder:
    folder = TemplateFolder(
        tenant_id=scope.tenant_id,
        brand_id=brand_id,
        id=folder_id,
        name=name.strip(),
        created_at=scope.clock.now(),
    )
    session.add(folder)
    session.flush()
    return folder


def _check_name(name: str) -> None:
    if not name.strip():
        raise Invalid("name must not be empty.")
