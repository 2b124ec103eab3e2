"""UniqueMessageIDs: a request that succeeded is not carried out again, also where two arrive at once."""

import hashlib
from datetime import timedelta
from typing import Any

from rapport.access.scope import Scope
from rapport.access.tenant_settings import settings_or_defaults
from rapport.errors import Conflict
from rapport.transactional.settings import TransactionalSettings

# A part of the statement that enters a request, where all else for it stands. It answers the digest, and nothing where
# the UniqueMessageID was used: whoever comes second waits for the first, and is refused when that has committed.
CLAIM = """
    INSERT INTO transactional_request_keys (tenant_id, digest, kept_until)
    SELECT :tenant_id, CAST(:digest AS text), :kept_until FROM standing
    WHERE stands AND CAST(:digest AS text) IS NOT NULL
    ON CONFLICT (tenant_id, digest) DO UPDATE SET kept_until = excluded.kept_until
        WHERE transactional_request_keys.kept_until <= :accepted_at
    RETURNING digest
"""
USED = "Request for this UniqueMessageID has succeeded before"


def claim(scope: Scope, unique_id: str) -> dict[str, Any]:
    """What CLAIM binds beside the tenant and the instant: a digest of a UniqueMessageID, or none if it is empty."""
    days = settings_or_defaults(scope, TransactionalSettings).unique_id_days
    digest = hashlib.sha256(unique_id.encode("utf-8", "surrogatepass")).hexdigest() if unique_id else None
    return {"digest": digest, "kept_until": scope.clock.now() + timedelta(days=days)}


def used() -> Conflict:
    """The error for a request whose UniqueMessageID was used."""
    return Conflict(USED)
