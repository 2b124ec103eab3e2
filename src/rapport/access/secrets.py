"""Secrets that Rapport itself makes, one a tenant and purpose (signing links, for instance)."""

import secrets
from weakref import WeakKeyDictionary

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.models import TenantSecret
from rapport.access.scope import Scope
from rapport.stores.records import Records

# A secret never changes once it is made, so that it is read once in the life of a process.
_KNOWN: WeakKeyDictionary[Records, dict[tuple[int, str], str]] = WeakKeyDictionary()


def tenant_secret(scope: Scope, purpose: str) -> str:
    """The tenant's secret for a purpose, made at its first use and constant afterwards."""
    known = _KNOWN.setdefault(scope.stores.records, {})
    if (scope.tenant_id, purpose) not in known:
        known[scope.tenant_id, purpose] = _stored(scope, purpose)
    return known[scope.tenant_id, purpose]


def _stored(scope: Scope, purpose: str) -> str:
    wanted = select(TenantSecret.value).where(
        TenantSecret.tenant_id == scope.tenant_id, TenantSecret.purpose == purpose
    )
    with scope.records() as session:
        found = session.scalar(wanted)
        if found is None:
            made = insert(TenantSecret).values(
                tenant_id=scope.tenant_id, purpose=purpose, value=secrets.token_urlsafe(32)
            )
            session.execute(made.on_conflict_do_nothing())
            found = session.scalars(wanted).one()
    return found
