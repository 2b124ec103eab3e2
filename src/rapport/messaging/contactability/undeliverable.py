"""Addresses of a channel to which nothing whatever goes: mail to them bounced for good, or their holders complained.

They are kept among the suppressed addresses, under the reason, by themselves: for mail that who unsubscribed gets too.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.messaging.contactability import suppressed_addresses
from rapport.messaging.models import Undeliverable

AMONG = text("""
    SELECT mark, max(listed) FROM suppressed_addresses
    WHERE tenant_id = :tenant_id AND mark = ANY(CAST(:marks AS text[])) AND channel_id = :channel_id
        AND app_key = '' AND listed = ANY(CAST(:reasons AS text[]))
    GROUP BY mark
""")


def keep(scope: Scope, session: Session, channel_id: int, reason: Undeliverable, marks: Iterable[str]) -> None:
    """Write to addresses, by mark, no more on a channel. Runs in the caller's transaction; may be repeated."""
    new = suppressed_addresses.keep_marks(scope, session, channel_id, filter(None, marks), reason)
    if new:
        scope.audit(session, "suppress", f"addresses on channel {channel_id}", reason=reason, addresses=new)


def among(scope: Scope, channel_id: int, marks: Sequence[str]) -> dict[str, str]:
    """Why nothing goes to addresses on a channel, by mark; those that can be written to are absent."""
    parameters = {
        "tenant_id": scope.tenant_id,
        "marks": sorted(set(marks)),
        "channel_id": channel_id,
        "reasons": [reason.value for reason in Undeliverable],
    }
    with scope.stores.records.reading() as connection:
        return {str(mark): str(reason) for mark, reason in connection.execute(AMONG, parameters)}
