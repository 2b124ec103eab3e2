"""UniqueMessageIDs: a request that succeeded is not carried out again, also where two arrive at once."""

import hashlib
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import settings_or_defaults
from rapport.errors import Conflict
from rapport.transactional.settings import TransactionalSettings

# Whoever comes second waits for the first, and is refused when that has committed.
CLAIM = text("""
    INSERT INTO transactional_request_keys (tenant_id, digest, kept_until) VALUES (:tenant_id, :digest, :until)
    ON CONFLICT (tenant_id, digest) DO UPDATE SET kept_until = excluded.kept_until
        WHERE transactional_request_keys.kept_until <= :now
    RETURNING digest
""")
USED = "Request for this UniqueMessageID has succeeded before"


def claim(scope: Scope, session: Session, unique_id: str) -> None:
    """Remember a UniqueMessageID if the caller's transaction commits. Raises Conflict for one that was used."""
    now = scope.clock.now()
    days = settings_or_defaults(scope, TransactionalSettings).unique_id_days
    digest = hashlib.sha256(unique_id.encode("utf-8", "surrogatepass")).hexdigest()
    parameters = {"tenant_id": scope.tenant_id, "digest": digest, "now": now, "until": now + timedelta(days=days)}
    if session.execute(CLAIM, parameters).first() is None:
        raise Conflict(USED)
