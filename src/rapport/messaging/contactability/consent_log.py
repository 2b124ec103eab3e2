"""The log of consent: every change of what somebody agreed to get, as it was made. Rows are added and never changed.

The one exception is an erasure, which puts the pseudonym in the place of the person and takes away from where it came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope
from rapport.messaging.models import ConsentChange, WishSource
from rapport.stores.parts import Part, part

LONGEST_WORDING = 2000
ADD = text("""
    INSERT INTO consent_changes
        (tenant_id, customer_key, customer_id, topic_id, channel_id, agreed, source, actor, wording, changed_at)
    SELECT :tenant_id, key, id, topic, channel, yes, :source, :actor, :wording, :changed_at
    FROM unnest(CAST(:keys AS text[]), CAST(:ids AS text[]), CAST(:topics AS text[]), CAST(:channels AS integer[]),
        CAST(:agreed AS boolean[])) AS changed (key, id, topic, channel, yes)
""")
FORGET = text("""
    UPDATE consent_changes SET customer_key = :pseudonym, customer_id = '', actor = split_part(actor, ' from ', 1)
    WHERE tenant_id = :tenant_id AND customer_key = :key
""")


@dataclass(frozen=True)
class Changed:
    """What one person agreed to, or does so no more: a topic (empty: all messages) on a channel (0: any).

    key is the id in lower case, a pseudonym, or names an address by its mark; then customer_id is empty.
    """

    key: str
    customer_id: str
    channel_id: int
    agreed: bool
    topic_id: str = ""


def note(
    scope: Scope, session: Session, changes: Sequence[Changed], source: WishSource | str, wording: str = ""
) -> None:
    """Add changes to the log, in the caller's transaction. The actor is that of the scope."""
    if changes:
        common = {
            "tenant_id": scope.tenant_id,
            "source": str(source),
            "actor": scope.actor[:200],
            "wording": wording[:LONGEST_WORDING],
            "changed_at": scope.clock.now(),
        }
        values = {
            "keys": [change.key for change in changes],
            "ids": [change.customer_id for change in changes],
            "topics": [change.topic_id for change in changes],
            "channels": [change.channel_id for change in changes],
            "agreed": [change.agreed for change in changes],
        }
        session.execute(ADD, {**common, **values})


def changes(
    scope: Scope,
    customer_id: str | None = None,
    topic_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
    offset: int = 0,
) -> Part[ConsentChange]:
    """The log, newest first: of one person (also after an erasure), one topic, from since on and before until."""
    statement = select(ConsentChange).where(ConsentChange.tenant_id == scope.tenant_id)
    if customer_id is not None:
        keys = [customer_id.lower(), pseudonym(scope, customer_id)]
        statement = statement.where(ConsentChange.customer_key.in_(keys))
    if topic_id is not None:
        statement = statement.where(ConsentChange.topic_id == topic_id.lower())
    if since is not None:
        statement = statement.where(ConsentChange.changed_at >= since)
    if until is not None:
        statement = statement.where(ConsentChange.changed_at < until)
    with scope.reads() as session:
        return part(session, statement.order_by(ConsentChange.id.desc()), limit, offset)


def forget(scope: Scope, session: Session, customer_id: str) -> None:
    """Put the pseudonym of a person in the place of its id."""
    parameters = {"tenant_id": scope.tenant_id, "key": customer_id.lower(), "pseudonym": pseudonym(scope, customer_id)}
    session.execute(FORGET, parameters)
