"""Tokens of events and keys of X-User-JWT that were ended: a restore of a backup from before ends them again."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.realtime.events.user_jwts import fingerprint
from rapport.realtime.models import EventToken, UserJwtKey


def end_again(scope: Scope, until: Mapping[str, datetime]) -> int:
    """Let what was ended, by hashes, be good until then and no longer; how many a restore had made good again."""
    with scope.records() as session:
        tokens = session.scalars(select(EventToken).where(EventToken.tenant_id == scope.tenant_id))
        keys = session.scalars(select(UserJwtKey).where(UserJwtKey.tenant_id == scope.tenant_id))
        ends = [(credential, until.get(credential.hash)) for credential in tokens] + [
            (credential, until.get(fingerprint(credential))) for credential in keys
        ]
        changed = [
            (credential, end)
            for credential, end in ends
            if end is not None and (credential.ends_at is None or credential.ends_at > end)
        ]
        for credential, end in changed:
            credential.ends_at = end
        if changed:
            scope.audit(session, "end", "tokens and keys that were ended since the backup", ended=len(changed))
    return len(changed)
