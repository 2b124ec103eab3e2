"""Secrets that Rapport itself makes, one a tenant and purpose (to sign links, for instance), and the sealing of all."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.models import AuditEntry, TenantSecret
from rapport.access.scope import Scope
from rapport.errors import Conflict
from rapport.stores import Stores
from rapport.stores.records import Records, hold, sealed_values

FIRST_VERSION = 1
# Versions of a secret that are good at once, at most.
MOST_VERSIONS = 20
# Such a secret never changes once it is made, so that it is read once in the life of a process.
_KNOWN: WeakKeyDictionary[Records, dict[tuple[int, str], str]] = WeakKeyDictionary()


def tenant_secret(scope: Scope, purpose: str) -> str:
    """The tenant's secret for a purpose that has one version: made at its first use and constant afterwards."""
    cached = _KNOWN.setdefault(scope.stores.records, {})
    if (scope.tenant_id, purpose) not in cached:
        cached[scope.tenant_id, purpose] = _stored(scope, purpose)
    return cached[scope.tenant_id, purpose]


def versions(scope: Scope, purpose: str) -> list[TenantSecret]:
    """Every version of a secret that is good now, the newest first, which is made when there is none."""
    mine = (TenantSecret.tenant_id == scope.tenant_id, TenantSecret.purpose == purpose)
    good = TenantSecret.ends_at.is_(None) | (TenantSecret.ends_at > scope.clock.now())
    newest_first = select(TenantSecret).where(*mine, good).order_by(TenantSecret.version.desc())
    with scope.reads() as session:
        good_versions = list(session.scalars(newest_first))
    if not good_versions:
        _stored(scope, purpose)
        with scope.reads() as session:
            good_versions = list(session.scalars(newest_first))
    return good_versions


def rotate(scope: Scope, purpose: str, grace: timedelta) -> list[TenantSecret]:
    """Make a new version of a secret; those before stay good for the grace, or shorter where they end sooner.

    The versions that are good then, the newest first. Raises Conflict when more than MOST_VERSIONS would be. Versions
    that have ended are forgotten, but for the first, which would be made again.
    """
    _stored(scope, purpose)
    now = scope.clock.now()
    mine = (TenantSecret.tenant_id == scope.tenant_id, TenantSecret.purpose == purpose)
    later = TenantSecret.ends_at.is_(None) | (TenantSecret.ends_at > now + grace)
    with scope.records() as session:
        hold(session, scope.tenant_id, f"secret {purpose}")
        newest = session.scalars(select(func.max(TenantSecret.version)).where(*mine)).one()
        session.execute(update(TenantSecret).where(*mine, later).values(ends_at=now + grace))
        _require_few(session, purpose, mine, now)
        ended = (TenantSecret.ends_at <= now, TenantSecret.version != FIRST_VERSION)
        session.execute(delete(TenantSecret).where(*mine, *ended))
        new_version = {"version": newest + 1, "value": secrets.token_urlsafe(32), "created_at": now}
        session.add(TenantSecret(tenant_id=scope.tenant_id, purpose=purpose, **new_version))
        details = {"version": newest + 1, "grace_days": grace.total_seconds() / 86_400}
        scope.audit(session, "rotate", f"secret of {purpose}", **details)
    return versions(scope, purpose)


def _require_few(session: Session, purpose: str, mine: tuple[Any, ...], now: datetime) -> None:
    """Raises Conflict when one more version of a secret would be too many."""
    good = select(func.count(), func.min(TenantSecret.ends_at)).where(*mine, TenantSecret.ends_at > now)
    versions, first_end = session.execute(good).one()
    if first_end is not None and versions >= MOST_VERSIONS:
        raise Conflict(
            f"The secret of {purpose} has {versions} valid versions, which is the limit: rotate it after "
            f"{first_end.astimezone(UTC):%Y-%m-%d %H:%M} UTC, when the first of them ends, or with a grace of 0, which "
            "ends all of them."
        )


def _stored(scope: Scope, purpose: str) -> str:
    """The first version of a secret, made when there is none."""
    mine = {"tenant_id": scope.tenant_id, "purpose": purpose, "version": FIRST_VERSION}
    statement = select(TenantSecret.value).filter_by(**mine)
    with scope.records() as session:
        secret = session.scalar(statement)
        if secret is None:
            value, now = secrets.token_urlsafe(32), scope.clock.now()
            insertion = insert(TenantSecret).values(**mine, value=value, created_at=now)
            session.execute(insertion.on_conflict_do_nothing())
            secret = session.scalars(statement).one()
    return secret


def seal_secrets(stores: Stores) -> int:
    """Seal every stored secret with the first key, those of other keys too; how many were. Raises Invalid without one.

    Each tenant has a row of it in its audit log.
    """
    with stores.records.session() as session:
        sealed = sealed_values.seal_all(session.connection(), stores.records.keys)
        for tenant_id, secrets_of_tenant in sealed.items():
            session.add(
                AuditEntry(
                    tenant_id=tenant_id,
                    at=stores.clock.now(),
                    actor="operator",
                    action="seal",
                    object="secrets",
                    details={"secrets": secrets_of_tenant, "key": stores.records.keys.first},
                )
            )
    return sealed.total()
