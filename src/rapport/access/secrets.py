"""Secrets that Rapport itself makes, one a tenant and purpose (signing links, for instance)."""

import secrets

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.models import TenantSecret
from rapport.access.scope import Scope


def tenant_secret(scope: Scope, purpose: str) -> str:
    """The tenant's secret for a purpose, made at its first use and constant afterwards."""
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
