"""Rules of brands: which a tenant has, and which an e-mail channel belongs to."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.brands import addresses, joining
from rapport.channels.brands.models import UNIQUE_BRAND, Brand, BrandAddress, BrandKind, DkimKey
from rapport.channels.brands.settings import FORM, BrandSettings, joined
from rapport.channels.senders import require_allowed_sender
from rapport.channels.settings import EmailSettings, merged
from rapport.errors import Conflict, Invalid, NotFound
from rapport.stores.records import hold, next_id, unique_name

# The brands that were read in a block of read_once(), by tenant and id.
_READ: ContextVar[dict[tuple[int, int], Brand | None] | None] = ContextVar("brands_read", default=None)
MAX_ID = 2**31 - 1
NAME_LENGTH = 200
CHANNELS_OF = text("""
    SELECT id FROM channels
    WHERE tenant_id = :tenant_id AND (settings ->> 'brand_id')::integer = :brand_id ORDER BY id
""")


def brands(scope: Scope) -> list[Brand]:
    """The tenant's brands, by id."""
    with scope.reads() as session:
        return list(session.scalars(select(Brand).where(Brand.tenant_id == scope.tenant_id).order_by(Brand.id)))


def brand(scope: Scope, brand_id: int) -> Brand:
    """A brand by id. Raises NotFound."""
    with scope.reads() as session:
        return _get(scope, session, brand_id)


def brand_of(scope: Scope, settings: Mapping[str, Any]) -> Brand | None:
    """The brand of an e-mail channel by the channel's settings; None only for a channel that is not saved yet."""
    brand_id = settings.get("brand_id")
    if brand_id is None:
        return None
    key, read = (scope.tenant_id, brand_id), _READ.get()
    if read is not None and key in read:
        return read[key]
    with scope.reads() as session:
        stored = session.get(Brand, key)
    if read is not None:
        read[key] = stored
    return stored


@contextmanager
def read_once() -> Iterator[None]:
    """Have brand_of read each brand once in the block: all that is sent together leaves by the same settings."""
    token = _READ.set({})
    try:
        yield
    finally:
        _READ.reset(token)


def channels_of(scope: Scope, brand_id: int) -> list[int]:
    """The channels of a brand, by id. Raises NotFound for a brand that there is not."""
    brand(scope, brand_id)
    with scope.reads() as session:
        parameters = {"tenant_id": scope.tenant_id, "brand_id": brand_id}
        return [int(channel_id) for channel_id in session.scalars(CHANNELS_OF, parameters)]


def marketing_brands(scope: Scope) -> set[int]:
    """The brands whose mail is about campaigns, by id."""
    return {each.id for each in brands(scope) if each.kind is BrandKind.MARKETING}


def mail_settings(settings: Mapping[str, Any], brand: Brand | None) -> EmailSettings:
    """How mail of a channel leaves: by its own settings, and by its brand's where it has none."""
    return joined(EmailSettings.model_validate(settings), brand.settings if brand else {})


def _get(scope: Scope, session: Session, brand_id: int, *, for_update: bool = False) -> Brand:
    stored = None
    if 0 <= brand_id <= MAX_ID:
        stored = session.get(Brand, (scope.tenant_id, brand_id), with_for_update=for_update)
    if stored is None:
        raise NotFound(f"There is no brand {brand_id}.")
    return stored


def create_brand(
    scope: Scope,
    name: str,
    kind: BrandKind = BrandKind.MARKETING,
    id: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Brand:
    """Add a brand, under the next id unless one is given. Raises Invalid, and Conflict for a used name or id."""
    stored = merged(FORM, {}, dict(settings or {}))
    _check(scope, name, stored)
    with unique_name(UNIQUE_BRAND, "a brand", name), scope.records() as session:
        hold(session, scope.tenant_id, "brands")
        if id is not None and session.get(Brand, (scope.tenant_id, id)) is not None:
            raise Conflict(f"There is a brand with id {id} already.")
        new_brand = _add(scope, session, _free_id(scope, session) if id is None else id, name.strip(), kind, stored)
        addresses.register(scope, session, new_brand.id, stored)
    return new_brand


def update_brand(scope: Scope, brand_id: int, **changes: Any) -> Brand:
    """Change name, kind or settings (whole; a masked secret is kept for its server).

    Raises NotFound, Invalid, and Conflict for a used name.
    """
    with unique_name(UNIQUE_BRAND, "a brand", changes.get("name", "")), scope.records() as session:
        stored = _get(scope, session, brand_id, for_update=True)
        if "settings" in changes:
            changes["settings"] = merged(FORM, stored.settings, changes["settings"])
        for member, value in changes.items():
            setattr(stored, member, value.strip() if member == "name" else value)
        _check(scope, stored.name, stored.settings)
        stored.version += 1
        session.flush()
        addresses.register(scope, session, brand_id, stored.settings)
        scope.audit(session, "update", f"brand {brand_id}", members=sorted(changes))
    return stored


def delete_brand(scope: Scope, brand_id: int) -> None:
    """Take a brand away with its addresses and keys. Raises NotFound, Conflict while a channel belongs to it."""
    with scope.records() as session:
        hold(session, scope.tenant_id, "brands")
        stored = _get(scope, session, brand_id)
        own = {"tenant_id": scope.tenant_id, "brand_id": brand_id}
        used_by = session.scalars(CHANNELS_OF, own).all()
        if used_by:
            raise Conflict(f"Brand {brand_id} is that of channel {used_by[0]}: set another brand_id there first.")
        session.execute(delete(BrandAddress).filter_by(**own))
        session.execute(delete(DkimKey).filter_by(**own))
        session.delete(stored)
        scope.audit(session, "delete", f"brand {brand_id}", name=stored.name)


@contextmanager
def changing(scope: Scope, brand_id: int) -> Iterator[tuple[Session, Brand]]:
    """A transaction that changes what belongs to a brand: nobody else changes it meanwhile. Raises NotFound."""
    with scope.records() as session:
        stored = _get(scope, session, brand_id, for_update=True)
        stored.version += 1
        yield session, stored


def adopt(
    scope: Scope,
    session: Session,
    channel_id: int,
    name: str,
    settings: Mapping[str, Any],
    present: Mapping[str, Any],
) -> dict[str, Any]:
    """The settings of an e-mail channel with its brand: that which they name, else the one that it has; a new channel
    gets one of its own, of its name, and of its id if that is free. Its addresses are registered with the brand, and
    what follows from joining it is done (see joining).

    Raises Invalid for a brand that there is not.
    """
    hold(session, scope.tenant_id, "brands")
    brand_id = settings.get("brand_id") or present.get("brand_id")
    if brand_id is None:
        brand_id = _add_own(scope, session, channel_id, name).id
    elif session.get(Brand, (scope.tenant_id, brand_id)) is None:
        raise Invalid(f"settings.brand_id must be the id of a brand: there is no brand {brand_id}.")
    addresses.register(scope, session, brand_id, settings)
    if brand_id != present.get("brand_id"):
        own = {"tenant_id": scope.tenant_id, "brand_id": brand_id}
        others = [int(other) for other in session.scalars(CHANNELS_OF, own) if other != channel_id]
        joining.joined(scope, session, channel_id, others)
    return {**settings, "brand_id": brand_id}


def _add_own(scope: Scope, session: Session, channel_id: int, name: str) -> Brand:
    """A brand for a channel that names none."""
    is_taken = session.get(Brand, (scope.tenant_id, channel_id)) is not None
    number = _free_id(scope, session) if is_taken else channel_id
    of_name = select(Brand.id).where(Brand.tenant_id == scope.tenant_id, Brand.name == name)
    if session.scalar(of_name) is not None:
        name = f"{name[: NAME_LENGTH - len(str(number)) - 1]} {number}"
    return _add(scope, session, number, name, BrandKind.MARKETING, {})


def _add(scope: Scope, session: Session, id: int, name: str, kind: BrandKind, settings: dict[str, Any]) -> Brand:
    new_brand = Brand(
        tenant_id=scope.tenant_id, id=id, name=name, kind=kind, settings=settings, created_at=scope.clock.now()
    )
    session.add(new_brand)
    session.flush()
    scope.audit(session, "create", f"brand {id}", name=name, kind=kind)
    return new_brand


def _free_id(scope: Scope, session: Session) -> int:
    """The next id that no brand has; the sequence skips those of channels and those that were given by hand."""
    while True:
        number = next_id(session, scope.tenant_id, "brand")
        if session.get(Brand, (scope.tenant_id, number)) is None:
            return number


def _check(scope: Scope, name: str, settings: Mapping[str, Any]) -> None:
    if not name.strip():
        raise Invalid("name must not be empty.")
    require_allowed_sender(scope, BrandSettings.model_validate(settings), "a brand")
