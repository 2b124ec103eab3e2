"""Addresses of a channel to which nothing whatever goes: messages to them bounced for good, or their holders complained
or answered with a keyword.

They are kept among the suppressed addresses, under the reason, by themselves: for messages that who unsubscribed gets
too.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.messaging.contactability import suppressed_addresses
from rapport.messaging.contactability.suppressions import BOUNCED
from rapport.messaging.models import Undeliverable, WishSource

# What a campaign learned of an address counts here, too, and who has it is kept beside it.
AMONG = text(f"""
    SELECT mark, customer_key, listed FROM suppressed_addresses
    WHERE tenant_id = :tenant_id AND channel_id = :channel_id AND app_key = ''
        AND (mark = ANY(CAST(:marks AS text[])) OR customer_key = ANY(CAST(:persons AS text[])))
        AND (listed = ANY(CAST(:reasons AS text[])) OR reason = '{BOUNCED}' OR source = '{WishSource.KEYWORD}')
    ORDER BY listed
""")  # noqa: S608 - constants


def keep(scope: Scope, session: Session, channel_id: int, reason: Undeliverable, marks: Iterable[str]) -> None:
    """Write to addresses, by mark, no more on a channel. Runs in the caller's transaction; may be repeated."""
    new = suppressed_addresses.keep_marks(scope, session, channel_id, filter(None, marks), reason)
    if new:
        scope.audit(session, "suppress", f"addresses on channel {channel_id}", reason=reason, addresses=new)


def among(scope: Scope, channel_id: int, addressed: Sequence[tuple[str, str]]) -> list[str]:
    """Why nothing goes to addresses on a channel, each given as its mark and its holder's id in lower case (empty where
    that is not known), in the same order; empty of those that can be written to.
    """
    parameters = {
        "tenant_id": scope.tenant_id,
        "marks": sorted({mark for mark, _ in addressed} - {""}),
        "persons": sorted({person for _, person in addressed} - {""}),
        "channel_id": channel_id,
        "reasons": [reason.value for reason in Undeliverable],
    }
    with scope.stores.records.reading() as connection:
        rows = connection.execute(AMONG, parameters).all()
    of_marks = {row.mark: str(row.listed) for row in rows}
    of_persons = {row.customer_key: str(row.listed) for row in rows}
    return [of_marks.get(mark) or of_persons.get(person) or "" for mark, person in addressed]
