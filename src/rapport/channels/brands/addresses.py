"""The addresses of brands, which templates and integrators name by their ids."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.brands.models import AddressRole, Brand, BrandAddress
from rapport.channels.senders import require_allowed_domain
from rapport.channels.settings import ADDRESS
from rapport.errors import Conflict, Invalid, NotFound
from rapport.stores.records import next_id

# The setting of brands and channels that names an address of a role.
SETTING_OF = {AddressRole.FROM: "from_address", AddressRole.REPLY_TO: "reply_to"}
OWN_SERVER = text("""
    SELECT EXISTS (
        SELECT 1 FROM channels WHERE tenant_id = :tenant_id AND (settings ->> 'brand_id')::integer = :brand_id
            AND coalesce(settings ->> 'host', '') <> ''
    )
""")
# Who sends from an address, or has answers sent there, whatever its template says.
USUAL_OF = text("""
    SELECT name FROM (
        SELECT name, settings FROM brands WHERE tenant_id = :tenant_id AND id = :brand_id
        UNION ALL
        SELECT name, settings FROM channels
        WHERE tenant_id = :tenant_id AND (settings ->> 'brand_id')::integer = :brand_id
    ) AS senders
    WHERE lower(settings ->> CAST(:setting AS text)) = lower(CAST(:address AS text)) ORDER BY name LIMIT 1
""")


def addresses(scope: Scope, brand_id: int, role: AddressRole | None = None) -> list[BrandAddress]:
    """The addresses of a brand, of one role when asked for, by role and id."""
    statement = select(BrandAddress).where(BrandAddress.tenant_id == scope.tenant_id, BrandAddress.brand_id == brand_id)
    if role is not None:
        statement = statement.where(BrandAddress.role == role)
    with scope.reads() as session:
        return list(session.scalars(statement.order_by(BrandAddress.role, BrandAddress.id)))


def address_at(scope: Scope, brand_id: int, role: AddressRole, address_id: int) -> BrandAddress:
    """An address of a brand by role and id. Raises NotFound."""
    with scope.reads() as session:
        return _get(scope, session, brand_id, role, address_id)


def _get(scope: Scope, session: Session, brand_id: int, role: AddressRole, address_id: int) -> BrandAddress:
    address = session.get(BrandAddress, (scope.tenant_id, brand_id, role, address_id))
    if address is None:
        raise NotFound(f"Brand {brand_id} has no {role} address {address_id}.")
    return address


def add_address(scope: Scope, brand: Brand, role: AddressRole, address: str) -> BrandAddress:
    """Register an address of a brand under a new id.

    Raises Invalid for what is no address, or one that the tenant may not send from; Conflict for one that is there.
    """
    if not ADDRESS.match(address):
        raise Invalid("address must be an e-mail address.")
    with scope.records() as session:
        if role is AddressRole.FROM and not _has_server(scope, session, brand):
            require_allowed_domain(scope, address, "address", "a brand")
        if _known(scope, session, brand.id, role, address) is not None:
            raise Conflict(f"Brand {brand.id} has the {role} address {address} already.")
        return _add(scope, session, brand.id, role, address)


def register(scope: Scope, session: Session, brand_id: int, settings: Mapping[str, Any]) -> None:
    """Have the addresses that the settings of a brand or a channel name among those of the brand."""
    for role, setting in SETTING_OF.items():
        address = settings.get(setting) or ""
        if address and _known(scope, session, brand_id, role, address) is None:
            _add(scope, session, brand_id, role, address)


def remove_address(scope: Scope, brand_id: int, role: AddressRole, address_id: int) -> None:
    """Take an address out; its id is never given to another. Raises NotFound, Conflict while a channel names it."""
    with scope.records() as session:
        stored = _get(scope, session, brand_id, role, address_id)
        parameters = {
            "tenant_id": scope.tenant_id,
            "brand_id": brand_id,
            "setting": SETTING_OF[role],
            "address": stored.address,
        }
        sender = session.scalar(USUAL_OF, parameters)
        if sender is not None:
            raise Conflict(f"{stored.address} is the {SETTING_OF[role]} of {sender!r}: change its settings first.")
        session.delete(stored)
        scope.audit(session, "delete", f"{role} address {address_id} of brand {brand_id}")


def _has_server(scope: Scope, session: Session, brand: Brand) -> bool:
    """Whether mail of a brand leaves, at least on some channel, over a mail server of the tenant's own."""
    own = {"tenant_id": scope.tenant_id, "brand_id": brand.id}
    return bool(brand.settings.get("host")) or bool(session.scalar(OWN_SERVER, own))


def _known(scope: Scope, session: Session, brand_id: int, role: AddressRole, address: str) -> BrandAddress | None:
    return session.scalar(
        select(BrandAddress).where(
            BrandAddress.tenant_id == scope.tenant_id,
            BrandAddress.brand_id == brand_id,
            BrandAddress.role == role,
            func.lower(BrandAddress.address) == address.lower(),
        )
    )


def _add(scope: Scope, session: Session, brand_id: int, role: AddressRole, address: str) -> BrandAddress:
    new_address = BrandAddress(
        tenant_id=scope.tenant_id,
        brand_id=brand_id,
        role=role,
        id=next_id(session, scope.tenant_id, f"{role} of brand {brand_id}"),
        address=address,
        created_at=scope.clock.now(),
    )
    session.add(new_address)
    session.flush()
    scope.audit(session, "create", f"{role} address {new_address.id} of brand {brand_id}", address=address)
    return new_address
