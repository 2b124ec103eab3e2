"""What channels of push messages ask of apps: the devices of customers, dead tokens, and what push services refused."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Text, any_, insert, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY

from rapport.access.scope import Scope
from rapport.apps.models import Install, ProviderError
from rapport.apps.states import TokenType

LONGEST_REASON = 300
InstallKey = tuple[int, str]  # app and install


class Device(NamedTuple):
    """An install that has a push token, as far as a message needs to know it; see Install."""

    app_id: int
    install_id: str
    customer_id: str | None
    person: str | None
    token: str
    token_type: TokenType
    is_production: bool
    bundle_id: str
    badge: int
    notifications_enabled: bool | None


class Refusal(NamedTuple):
    """That a push service did not take a push to a device.

    provider is its short name, such as apns; status its HTTP status, 0 where it gave none.
    """

    device: Device
    provider: str
    status: int
    reason: str


COLUMNS = [getattr(Install, name) for name in Device._fields]


def devices_of(scope: Scope, customer_ids: Collection[str], app_id: int | None = None) -> dict[str, list[Device]]:
    """The devices of customers, of one app or of all, by the CustomerID as it was asked for; those seen last first."""
    asked = defaultdict[str, list[str]](list)
    for customer_id in dict.fromkeys(customer_ids):
        asked[customer_id.lower()].append(customer_id)
    # As an array they are one value, so that the statement is the same however many there are.
    where = [Install.person.is_not(None), Install.person == any_(literal(list(asked), ARRAY(Text)))]
    if app_id is not None:
        where.append(Install.app_id == app_id)
    by_customer = defaultdict[str, list[Device]](list)
    for device in _devices(scope, where) if asked else ():
        for customer_id in asked[device.person or ""]:
            by_customer[customer_id].append(device)
    return by_customer


def devices_by_key(scope: Scope, keys: Collection[InstallKey]) -> dict[InstallKey, Device]:
    """The devices that single installs are; those without a token are absent."""
    devices = _devices(scope, [tuple_(Install.app_id, Install.install_id).in_(list(keys))]) if keys else ()
    return {(device.app_id, device.install_id): device for device in devices}


def _devices(scope: Scope, where: Collection[ColumnElement[bool]]) -> list[Device]:
    mine = (Install.tenant_id == scope.tenant_id, Install.token.is_not(None))
    statement = select(*COLUMNS).where(*mine, *where).order_by(Install.seen_at.desc(), Install.install_id)
    with scope.reads() as session:
        return [Device(*row) for row in session.execute(statement)]


def token_ended(scope: Scope, device: Device, reason: str) -> bool:
    """End a push token that its push service says is dead; whether it was still the install's.

    A token that the app has registered meanwhile stays.
    """
    this = (
        Install.tenant_id == scope.tenant_id,
        Install.app_id == device.app_id,
        Install.install_id == device.install_id,
        Install.token == device.token,
    )
    ended = {"token_ended_at": scope.clock.now(), "token_end_reason": reason[:LONGEST_REASON]}
    with scope.records() as session:
        statement = update(Install).where(*this).values(token=None, token_type=None, token_key=None, **ended)
        return session.execute(statement.returning(Install.install_id)).one_or_none() is not None


def note_refusals(scope: Scope, refusals: Sequence[Refusal]) -> None:
    """Keep for the log of provider errors what push services refused."""
    rows = [
        {
            "tenant_id": scope.tenant_id,
            "app_id": refusal.device.app_id,
            "install_id": refusal.device.install_id,
            "customer_id": refusal.device.customer_id,
            "person": refusal.device.person,
            "provider": refusal.provider,
            "status": refusal.status,
            "reason": refusal.reason[:LONGEST_REASON],
            "at": scope.clock.now(),
        }
        for refusal in refusals
    ]
    if rows:
        with scope.records() as session:
            session.execute(insert(ProviderError), rows)
