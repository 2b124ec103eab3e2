"""Rules of channels: which a tenant has, and how to open one for sending."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.kinds.base import OWN_ID, ChannelKind
from rapport.channels.kinds.registry import kind_named
from rapport.channels.models import Channel
from rapport.channels.settings import merged
from rapport.customers import attributes, consent_marks
from rapport.customers.consent import PERMISSION
from rapport.errors import Conflict, Invalid, NotFound
from rapport.stores.records import next_id

FIRST_FREE_ID = 512
# Channels of these names get the ids that integrators know from the reference's sandbox.
WELL_KNOWN_IDS = {
    "call center": 502,
    "call centre": 502,
    "email": 504,
    "e-mail": 504,
    "sms": 505,
    "push": 506,
    "web push": 510,
    "in-platform": 511,
}
MAX_ID = 2**31 - 1


def channels(scope: Scope) -> list[Channel]:
    """The tenant's channels, by id."""
    with scope.reads() as session:
        statement = select(Channel).where(Channel.tenant_id == scope.tenant_id).order_by(Channel.id)
        return list(session.scalars(statement))


def channel(scope: Scope, channel_id: int) -> Channel:
    """A channel by id. Raises NotFound."""
    with scope.reads() as session:
        return _get(scope, session, channel_id)


def is_pulled(scope: Scope, channel_id: int) -> bool:
    """Whether an outside system pulls the lists of a channel, instead of Rapport sending them.

    Of a channel that is gone none does: so a campaign that was planned before ends, with that as its reason.
    """
    kind = kind_at(scope, channel_id)
    return kind is not None and kind.is_pulled


def kind_at(scope: Scope, channel_id: int) -> ChannelKind | None:
    """The kind of a channel; None for a channel that is gone."""
    return next((channel.behaviour for channel in channels(scope) if channel.id == channel_id), None)


def pulled(scope: Scope) -> set[int]:
    """The channels whose lists outside systems pull."""
    return {channel.id for channel in channels(scope) if channel.behaviour.is_pulled}


def _get(scope: Scope, session: Session, channel_id: int) -> Channel:
    channel = session.get(Channel, (scope.tenant_id, channel_id)) if 0 <= channel_id <= MAX_ID else None
    if channel is None:
        raise NotFound(f"There is no channel {channel_id}.")
    return channel


def create_channel(
    scope: Scope,
    name: str,
    kind: str,
    id: int | None = None,
    address_attribute: str | None = None,
    permission_attribute: str | None = "default",
    settings: dict[str, Any] | None = None,
) -> Channel:
    """Add a channel. Without an id it gets the well-known one of its name or kind, else the next from 512.

    address_attribute holds where a customer is reached (CUSTOMER_ID: the customer's own id);
    permission_attribute must not say No for a customer to be written to (None: no such attribute).
    Raises Invalid, and Conflict for a name or id that is taken.
    """
    behaviour = kind_named(kind)
    stored = merged(behaviour, {}, settings or {})
    address = address_attribute or behaviour.address_attribute
    permission = behaviour.permission_attribute if permission_attribute == "default" else permission_attribute
    _check(scope, behaviour, name, address, permission)
    behaviour.check_settings(scope, stored)
    try:
        with scope.records() as session:
            number = _free_id(scope, session, name, behaviour) if id is None else id
            new_channel = Channel(
                tenant_id=scope.tenant_id,
                id=number,
                name=name.strip(),
                kind=kind,
                address_attribute=address.upper(),
                permission_attribute=permission.upper() if permission else None,
                settings=stored,
                created_at=scope.clock.now(),
            )
            session.add(new_channel)
            session.flush()
            new_channel.settings = behaviour.adopt(scope, session, number, new_channel.name, stored, {})
            scope.audit(session, "create", f"channel {new_channel.id}", name=new_channel.name, kind=kind)
    except IntegrityError as error:
        named = any(other.name == name.strip() for other in channels(scope))
        conflict = f"named {name.strip()!r}" if named else f"with id {number}"
        raise Conflict(f"There is a channel {conflict} already.") from error
    _mark(scope, new_channel)
    return new_channel


def update_channel(scope: Scope, channel_id: int, **changes: Any) -> Channel:
    """Change name, address_attribute, permission_attribute or settings (whole; a masked secret is kept for its server).

    Raises NotFound, Invalid, and Conflict for a name that is taken.
    """
    try:
        with scope.records() as session:
            stored = _get(scope, session, channel_id)
            if "settings" in changes:
                new_settings = merged(stored.behaviour, stored.settings, changes["settings"])
                changes["settings"] = stored.behaviour.adopt(
                    scope, session, channel_id, stored.name, new_settings, stored.settings
                )
                stored.behaviour.check_settings(scope, changes["settings"])
            for member, value in changes.items():
                setattr(stored, member, value.upper() if member.endswith("_attribute") and value else value)
            _check(scope, stored.behaviour, stored.name, stored.address_attribute, stored.permission_attribute)
            session.flush()
            scope.audit(session, "update", f"channel {channel_id}", members=sorted(changes))
    except IntegrityError as error:
        raise Conflict("There is a channel of this name already.") from error
    _mark(scope, stored)
    return stored


def _check(scope: Scope, kind: ChannelKind, name: str, address: str, permission: str | None) -> None:
    if not name.strip():
        raise Invalid("name must not be empty.")
    if kind.by_own_id_only and address.upper() != OWN_ID:
        raise Invalid(f"address_attribute of a channel of the kind {kind.name} must be {OWN_ID}.")
    if address.upper() != OWN_ID:
        attributes.find(scope, [address], "address_attribute")
    consent = attributes.find(scope, [permission], "permission_attribute")[0].consent if permission else None
    if consent is not None and consent.forbids:
        raise Invalid("permission_attribute must be an attribute whose Yes permits contact, not one that blocks.")


def _mark(scope: Scope, channel: Channel) -> None:
    """Have the words of a channel's permission attribute read as Yes and No from now on, what is stored too."""
    if channel.permission_attribute:
        consent_marks.mark(scope, channel.permission_attribute, PERMISSION)


def _free_id(scope: Scope, session: Session, name: str, kind: ChannelKind) -> int:
    """The id for a new channel; the sequence skips ids that were given by hand."""
    taken = set(session.scalars(select(Channel.id).where(Channel.tenant_id == scope.tenant_id)))
    well_known = WELL_KNOWN_IDS.get(name.strip().lower()) or kind.known_id
    if well_known is not None and well_known not in taken:
        return well_known
    while True:
        number = next_id(session, scope.tenant_id, "channel", FIRST_FREE_ID)
        if number not in taken:
            return number
