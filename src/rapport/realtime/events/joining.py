"""The histories of visitors who were identified: from the events of visitors to those of their customers."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import select, text

from rapport.access.scope import Scope
from rapport.customers import activity
from rapport.customers.privacy import anonymisation, scrubbing
from rapport.customers.writes import locks
from rapport.realtime.events.names import Names
from rapport.realtime.events.owners import owners
from rapport.realtime.models import Visitor

AT_ONCE = 1000
# A table that the engine joins: statements that change rows are kept in a file, so they name no one. Its name is
# of those that a killed write leaves, which the next write drops.
JOINED = "write_visitors"
CREATE = f"""
    CREATE TABLE {JOINED} (visitor_id String, customer_id String, masked UInt8)
    ENGINE = Join(ANY, LEFT, visitor_id)
"""
THEIRS = f"visitor_id IN (SELECT visitor_id FROM {JOINED})"  # noqa: S608 - ours
SPAN = f"SELECT count(), min(seq), max(seq) FROM visitor_events WHERE {THEIRS}"  # noqa: S608 - ours
KEPT = scrubbing.kept_properties(scrubbing.shaped("value"))
# What a killed run has copied is not copied again.
COPIED = f"""
    SELECT event_id, event_type_id, joinGet('{JOINED}', 'customer_id', visitor_id), event_at,
        if(joinGet('{JOINED}', 'masked', visitor_id), {KEPT}, properties),
        visitor_id, origin, seq
    FROM visitor_events
    WHERE {THEIRS} AND (seq, event_id) NOT IN (
        SELECT seq, event_id FROM activity_events
        WHERE seq BETWEEN {{first:UInt64}} AND {{last:UInt64}} AND visitor_id != ''
    )
"""  # noqa: S608 - ours
NOTHING_HIDDEN: dict[str, Any] = {"hidden": [], "personal": []}
DELETE = f"DELETE FROM visitor_events WHERE {THEIRS}"  # noqa: S608 - ours
MARK = text("""
    UPDATE visitors SET joined = true
    FROM json_to_recordset(CAST(:rows AS json)) AS moved(visitor_id text, customer_id text)
    WHERE tenant_id = :tenant_id AND visitors.visitor_id = moved.visitor_id AND visitors.customer_id = moved.customer_id
""")


def join(scope: Scope, names: Names) -> int:
    """Move the histories of visitors identified since; how many visitors. Call it where events are filed."""
    statement = select(Visitor.visitor_id, Visitor.customer_id).where(
        Visitor.tenant_id == scope.tenant_id, Visitor.joined.is_(False), Visitor.customer_id != ""
    )
    with scope.records() as session:
        customers_of_visitors = [(row.visitor_id, row.customer_id) for row in session.execute(statement.limit(AT_ONCE))]
        owned = owners(scope, session, (visitor for visitor, _ in customers_of_visitors))
    if not customers_of_visitors:
        return 0
    with locks.writing_if_free(scope) as free:
        if not free:
            return 0
        # Before anybody knew a visitor it was whoever it was first.
        _move(
            scope, names, [(visitor, owned.first(visitor) or customer) for visitor, customer in customers_of_visitors]
        )
    rows = orjson.dumps(
        [{"visitor_id": visitor, "customer_id": customer} for visitor, customer in customers_of_visitors]
    ).decode()
    with scope.records() as session:
        session.execute(MARK, {"tenant_id": scope.tenant_id, "rows": rows})
    return len(customers_of_visitors)


def _move(scope: Scope, names: Names, customers_of_visitors: Sequence[tuple[str, str]]) -> None:
    warehouse = scope.warehouse
    spelled = names.customers(scope, {customer for _, customer in customers_of_visitors})
    removed, hidden = anonymisation.identifying_names(scope, spelled.values())
    rows: list[tuple[Any, ...]] = [
        (visitor, spelled[customer], int(spelled[customer] in removed)) for visitor, customer in customers_of_visitors
    ]
    warehouse.execute(f"DROP TABLE IF EXISTS {JOINED} SYNC")
    warehouse.execute(CREATE)
    warehouse.insert(JOINED, ["visitor_id", "customer_id", "masked"], rows)
    count, first, last = warehouse.rows(SPAN)[0]
    if count:
        masks = scrubbing.property_names(scope, "visitor_events", THEIRS, hidden) if removed else NOTHING_HIDDEN
        activity.copy_activity(scope, COPIED, first=first, last=last, **masks)
        warehouse.execute(DELETE)
    warehouse.execute(f"DROP TABLE {JOINED} SYNC")
