"""Keys, users and tokens that were ended: a restore of a backup from before must not make them good again.

They are noted beside the data (see access.kept) by hashes, with the time until which each is good.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, select, update

from rapport.access import kept
from rapport.access.digests import digest
from rapport.access.models import ApiKey, KeyStatus, LoginToken, User
from rapport.access.scope import Scope


def keep_ended(scope: Scope, until: Mapping[str, datetime]) -> None:
    """Note what is good no longer than until a time, by its hash. It ends also where it cannot be noted."""
    if until:
        kept.keep_wish(scope, kept.END, {}, [[hashed, at.isoformat()] for hashed, at in until.items()])


def end_again(scope: Scope, until: Mapping[str, datetime]) -> int:
    """Disable API keys and remove users that were ended; how many a restore had made good again."""
    with scope.records() as session:
        mine = (ApiKey.tenant_id == scope.tenant_id, ApiKey.hash.in_(until), ApiKey.status == KeyStatus.ACTIVE)
        disabled = len(
            session.scalars(update(ApiKey).where(*mine).values(status=KeyStatus.DISABLED).returning(ApiKey.id)).all()
        )
        if disabled:
            scope.audit(session, "disable", "keys that were ended since the backup", keys=disabled)
        users = session.scalars(select(User).where(User.tenant_id == scope.tenant_id))
        user_ids = [user.id for user in users if digest(user.password_hash) in until]
        for table, column in ((LoginToken, LoginToken.user_id), (User, User.id)):
            session.execute(delete(table).where(table.tenant_id == scope.tenant_id, column.in_(user_ids)))
        if user_ids:
            scope.audit(session, "delete", "users that were removed since the backup", users=len(user_ids))
    return disabled + len(user_ids)
