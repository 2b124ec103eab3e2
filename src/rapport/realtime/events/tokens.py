"""Tokens that open a tenant's intake: the secret ones of its servers and vendors, and the public one of its apps."""

import secrets
from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from rapport.access.digests import digest
from rapport.access.ended import keep_ended
from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.realtime.models import EventToken
from rapport.stores import Stores

SERVER_TOKEN, SDK_TOKEN, VENDOR_TOKEN = "server", "sdk", "vendor"
KINDS = (SERVER_TOKEN, SDK_TOKEN, VENDOR_TOKEN)
PREFIXES = {SERVER_TOKEN: "rt_", SDK_TOKEN: "sdk-", VENDOR_TOKEN: "rv_"}
GRACE_HOURS = 24
# Of a kind: a signed body is held against each of them.
MOST_GOOD = 5


def tokens(scope: Scope) -> dict[str, EventToken]:
    """The tenant's present token of each kind, made when there is none."""
    with scope.records() as session:
        _lock(scope, session)
        present = select(EventToken).where(EventToken.tenant_id == scope.tenant_id, EventToken.ends_at.is_(None))
        by_kind = {token.kind: token for token in session.scalars(present)}
        return {kind: by_kind.get(kind) or _new_token(scope, session, kind) for kind in KINDS}


def note_revealed(scope: Scope) -> None:
    """Leave a row in the audit log that the tokens were shown whole."""
    with scope.records() as session:
        scope.audit(session, "reveal", "tokens of events")


def rotate(scope: Scope, kind: str, grace_hours: float) -> EventToken:
    """A new token of a kind; the one before stays good for the grace. Of those before, more than a few end at once."""
    replaced = update(EventToken).where(
        EventToken.tenant_id == scope.tenant_id, EventToken.kind == kind, EventToken.ends_at.is_(None)
    )
    now = scope.clock.now()
    ends_at = now + timedelta(hours=grace_hours)
    good = (EventToken.tenant_id == scope.tenant_id, EventToken.kind == kind, EventToken.ends_at > now)
    newest_first = select(EventToken.hash).where(*good).order_by(EventToken.created_at.desc(), EventToken.hash)
    with scope.records() as session:
        _lock(scope, session)
        ended = session.scalars(replaced.values(ends_at=ends_at).returning(EventToken.hash))
        keep_ended(scope, dict.fromkeys(ended, ends_at))
        surplus = session.scalars(newest_first.offset(MOST_GOOD - 1)).all()
        session.execute(update(EventToken).where(EventToken.hash.in_(surplus)).values(ends_at=now))
        keep_ended(scope, dict.fromkeys(surplus, now))
        scope.audit(session, "rotate", f"{kind} token of events", grace_hours=grace_hours)
        return _new_token(scope, session, kind)


def _lock(scope: Scope, session: Session) -> None:
    """One caller at a time, so that a kind has one present token."""
    session.execute(select(Tenant.id).where(Tenant.id == scope.tenant_id).with_for_update())


def _new_token(scope: Scope, session: Session, kind: str) -> EventToken:
    value = PREFIXES[kind] + secrets.token_urlsafe(32)
    token = EventToken(
        hash=digest(value), value=value, tenant_id=scope.tenant_id, kind=kind, created_at=scope.clock.now()
    )
    session.add(token)
    return token


def good_tokens(scope: Scope) -> Iterable[EventToken]:
    """Every token of a tenant that is good now."""
    good = or_(EventToken.ends_at.is_(None), EventToken.ends_at > scope.clock.now())
    with scope.reads() as session:
        return list(session.scalars(select(EventToken).where(EventToken.tenant_id == scope.tenant_id, good)))


def tenant_of(stores: Stores, token: str) -> int | None:
    """The tenant that a token, good or not any more, belongs to."""
    with stores.records.session() as session:
        return session.scalar(select(EventToken.tenant_id).where(EventToken.hash == digest(token)))
