"""Erased persons: their wishes stay, under a pseudonym in place of the id."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope
from rapport.messaging.contactability import consent_log, suppressed_addresses
from rapport.messaging.models import ERASED, ChannelPreference, Exclusion, Suppression, TopicSubscription
from rapport.messaging.tracking import short_links

KEEP_ADDRESSES = text("""
    INSERT INTO suppressed_addresses
        (tenant_id, mark, channel_id, app_key, customer_key, listed, added_at, reason, source)
    SELECT tenant_id, mark, channel_id, app_key, :pseudonym, listed, added_at, reason, source FROM suppressed_addresses
    WHERE tenant_id = :tenant_id AND customer_key = :key
    ON CONFLICT DO NOTHING
""")
DROP_NAMED = text("DELETE FROM suppressed_addresses WHERE tenant_id = :tenant_id AND customer_key = :key")


# A yes to a topic ends with the person: whoever comes back under the id has to say it again.
DROP_YES = text("DELETE FROM topic_subscriptions WHERE tenant_id = :tenant_id AND customer_key = :key AND subscribed")
DROP_REQUESTS = text("""
    DELETE FROM preference_link_requests WHERE tenant_id = :tenant_id AND mark = ANY(CAST(:marks AS text[]))
""")

DROP_REPLIES = text("""
    DELETE FROM keyword_replies WHERE tenant_id = :tenant_id AND mark = ANY(CAST(:marks AS text[]))
""")


def forget(scope: Scope, customer_id: str, marks: Sequence[str]) -> int:
    """Keep what a person said about being written to, but not who it is; how many wishes those are. May be repeated.

    marks are those of the person's addresses, of which nothing else is kept.
    """
    mark = pseudonym(scope, customer_id)
    with scope.records() as session:
        wishes = _rename(scope, session, Suppression, customer_id, mark, ["created_at", "reason", "source"])
        wishes += _rename(scope, session, ChannelPreference, customer_id, mark, ["updated_at", "mode", "app_id"])
        wishes += _rename(
            scope, session, Exclusion, customer_id, mark, ["ends_at", "reason", "made_by", "lifted_at", "lifted_by"]
        )
        parameters = {"tenant_id": scope.tenant_id, "key": customer_id.lower(), "pseudonym": mark, "marks": list(marks)}
        session.execute(DROP_YES, parameters)
        wishes += _rename(scope, session, TopicSubscription, customer_id, mark, ["updated_at", "subscribed"])
        consent_log.forget(scope, session, customer_id)
        suppressed_addresses.forget_addresses(scope, session, marks)
        session.execute(DROP_REQUESTS, parameters)
        session.execute(DROP_REPLIES, parameters)
        short_links.forget(scope, session, [customer_id])
        session.execute(KEEP_ADDRESSES, parameters)
        session.execute(DROP_NAMED, parameters)
    return wishes


def _rename(
    scope: Scope,
    session: Session,
    table: type[Suppression] | type[ChannelPreference] | type[Exclusion] | type[TopicSubscription],
    customer_id: str,
    mark: str,
    kept_columns: list[str],
) -> int:
    """Give the rows of a person the pseudonym; how many those are.

    What was said last, under the id, takes the place of older rows.
    """
    mine = (table.tenant_id == scope.tenant_id, table.customer_key == customer_id.lower())
    key = [column.name for column in table.__table__.primary_key]
    rows = session.scalars(select(table).where(*mine)).all()
    for row in rows:
        values: dict[str, Any] = {name: getattr(row, name) for name in [*key, *kept_columns]}
        statement = insert(table).values(values | {"customer_key": mark, "customer_id": ERASED})
        changes = {name: values[name] for name in kept_columns}
        session.execute(statement.on_conflict_do_update(index_elements=key, set_=changes))
    session.execute(delete(table).where(*mine))
    return len(rows)
