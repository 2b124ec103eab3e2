"""Rules of gateways: the one address of a tenant at which its conditional triggered campaigns are authorised."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.errors import NotFound
from rapport.hosts import checked_url
from rapport.masks import masked, unmasked
from rapport.notifications.deliverer import OUTSIDE_CLOCK
from rapport.realtime.models import Gateway
from rapport.stores.outside.posting import GRACE_HOURS, new_secret

Seconds = Annotated[float, Field(ge=0.1, le=30, strict=True)]
Retries = Annotated[int, Field(ge=0, le=3, strict=True)]
Fallback = Literal["deny", "allow"]


class Circuit(StrEnum):
    """Whether Rapport asks the gateway. closed: yes; open: not for some time; half-open: one question at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


TIMEOUT_SECONDS, RETRIES = 3.0, 0
DENY: Fallback = "deny"
# So many questions in a row without an answer open the circuit: nobody is asked for a while, then one.
TROUBLE_AFTER = 5
PAUSE = timedelta(seconds=10)


def gateway(scope: Scope) -> Gateway | None:
    """The tenant's gateway; None when none is set."""
    with scope.reads() as session:
        return session.get(Gateway, scope.tenant_id)


def set_gateway(
    scope: Scope,
    url: str,
    timeout_seconds: float = TIMEOUT_SECONDS,
    retries: int = RETRIES,
    fallback: Fallback = DENY,
) -> tuple[Gateway, bool]:
    """Set the gateway in place of any before, whose secret is kept; True when there was none.

    timeout_seconds is how long a firing waits for its verdict altogether. Whatever was wrong with the address
    before is forgotten. Secrets in the url that are masked are those of the url before, as long as it leads to the same
    place. Raises Invalid for a url that is not to be posted to.
    """
    url = checked_url(url, "url", allow_private=scope.stores.settings.allow_private_addresses)
    now = scope.clock.now()
    with scope.records() as session:
        before = session.get(Gateway, scope.tenant_id, with_for_update=True)
        url = unmasked(url, before.url if before else None, "url")
        insertion = insert(Gateway).values(tenant_id=scope.tenant_id, url=url, secret=new_secret(), updated_at=now)
        new = session.scalar(insertion.on_conflict_do_nothing().returning(Gateway.tenant_id)) is not None
        gateway = _get(scope, session)
        gateway.url, gateway.updated_at = url, now
        gateway.timeout_seconds, gateway.retries, gateway.fallback = timeout_seconds, retries, fallback
        gateway.failures, gateway.open_until = 0, None
        scope.audit(session, "set", "gateway", url=masked(url), fallback=fallback)
    return gateway, new


def delete_gateway(scope: Scope) -> None:
    """Remove the gateway: conditional triggered campaigns reach nobody any more. Raises NotFound when there is none."""
    with scope.records() as session:
        session.delete(_get(scope, session))
        scope.audit(session, "delete", "gateway")


def rotate_secret(scope: Scope, grace_hours: float = GRACE_HOURS) -> Gateway:
    """Give the gateway a new signing secret; for the grace questions carry signatures of both. Raises NotFound."""
    with scope.records() as session:
        gateway = _get(scope, session)
        gateway.previous_secret = gateway.secret
        gateway.previous_until = OUTSIDE_CLOCK.now() + timedelta(hours=grace_hours)
        gateway.secret = new_secret()
        scope.audit(session, "rotate", "gateway", grace_hours=grace_hours)
    return gateway


def _get(scope: Scope, session: Session) -> Gateway:
    gateway = session.get(Gateway, scope.tenant_id, with_for_update=True, populate_existing=True)
    if gateway is None:
        raise NotFound("There is no gateway.")
    return gateway


def circuit(failures: int, open_until: datetime | None) -> Circuit:
    """Whether a gateway is asked (closed), left alone (open), or asked once to see whether it is back (half-open)."""
    if failures < TROUBLE_AFTER:
        return Circuit.CLOSED
    still_open = open_until is not None and open_until > OUTSIDE_CLOCK.now()
    return Circuit.OPEN if still_open else Circuit.HALF_OPEN
