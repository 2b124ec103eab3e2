"""One person in real time: what is held of it, and erasure of it. A person is a customer and its visitors."""

import uuid
from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope, current_scope
from rapport.campaigns import service as campaigns
from rapport.customers import service as customers
from rapport.realtime.visitors import VISITOR
from rapport.stores import work

ATTEMPTS = 3
STAGED = "write_erased"
MINE = "visitor_id IN {ids:Array(String)}"
HIDE = f"DELETE FROM visitor_events WHERE visitor_id IN (SELECT visitor_id FROM {STAGED})"  # noqa: S608 - ours

VISITORS = text("""
    SELECT visitor_id FROM visitors WHERE tenant_id = :tenant_id AND lower(customer_id) = :person ORDER BY visitor_id
""")
# What names a person, by table: a column of person ids as person_of makes them, or the ids as they were given.
GIVEN = "(lower(customer_id) = :person OR (customer_id = '' AND visitor_id = ANY(CAST(:visitors AS text[]))))"
PERSON = "person = ANY(CAST(:persons AS text[]))"
LOGGED = "person = ANY(CAST(:logged AS text[]))"
FIRINGS = f"SELECT id FROM trigger_firings WHERE tenant_id = :tenant_id AND {PERSON}"  # noqa: S608 - ours
HELD = {
    "accepted_events": GIVEN,
    "event_log": LOGGED,
    "visitors": "lower(customer_id) = :person",
    "trigger_states": PERSON,
    "trigger_firings": PERSON,
    "firing_messages": f"firing_id IN ({FIRINGS})",
}
SELECT = "SELECT * FROM {table} WHERE tenant_id = :tenant_id AND {naming} ORDER BY 1, 2"
DELETE = "DELETE FROM {table} WHERE tenant_id = :tenant_id AND {naming}"
THEIR_VISITORS = text("""
    SELECT visitor_id FROM visitors
    WHERE tenant_id = :tenant_id AND lower(customer_id) = ANY(CAST(:persons AS text[]))
""")
FORGET_LOG = text("""
    DELETE FROM event_log WHERE tenant_id = :tenant_id AND (
        person = ANY(CAST(:persons AS text[]))
        OR person IN (SELECT lower(v) FROM unnest(CAST(:visitors AS text[])) AS v)
    )
""")
THEIRS = """
    tenant_id = :tenant_id AND (
        person = ANY(CAST(:persons AS text[]))
        OR person IN (SELECT 'v:' || v FROM unnest(CAST(:visitors AS text[])) AS v)
    )
"""
WAITING = """
    tenant_id = :tenant_id AND (
        lower(customer_id) = ANY(CAST(:persons AS text[]))
        OR (customer_id = '' AND visitor_id = ANY(CAST(:visitors AS text[])))
    )
"""
# Where parameters of events are kept: table, the column as JSON, whose rows those are.
PARAMETERS = (
    ("accepted_events", "parameters", WAITING),
    ("trigger_firings", "parameters", THEIRS),
    ("trigger_states", "opened -> 'parameters'", f"jsonb_typeof(opened -> 'parameters') = 'object' AND {THEIRS}"),
)
CHANGED = {
    "accepted_events": "parameters = CAST(:kept AS jsonb)",
    "trigger_firings": "parameters = CAST(:kept AS jsonb)",
    "trigger_states": "opened = jsonb_set(opened, '{parameters}', CAST(:kept AS jsonb))",
}
# Firings hold messages, so these go first.
ORDER = ("firing_messages", "trigger_firings", "trigger_states", "accepted_events", "event_log", "visitors")


def held(scope: Scope, customer_id: str) -> dict[str, list[dict[str, Any]]]:
    """Everything that is held of a person, rows by table; without rows when nobody has the id."""
    with scope.records() as session:
        bound = _bound(session, scope, customer_id)
        found = {table: _rows(session, table, bound) for table in HELD}
    sql = f"SELECT * FROM visitor_events WHERE {MINE} ORDER BY seq"  # noqa: S608 - ours
    found["visitor_events"] = orjson.loads(scope.warehouse.json_rows(sql, {"ids": bound["visitors"]}))
    return found


def _rows(session: Session, table: str, bound: dict[str, Any]) -> list[dict[str, Any]]:
    sql = SELECT.format(table=table, naming=HELD[table])
    found = session.execute(text(sql), bound).mappings()
    return [{name: value for name, value in row.items() if name != "tenant_id"} for row in found]


def _bound(session: Session, scope: Scope, customer_id: str) -> dict[str, Any]:
    person = customer_id.lower()
    known = {"tenant_id": scope.tenant_id, "person": person}
    visitors = list(session.execute(VISITORS, known).scalars())
    persons = [person, *(VISITOR + one for one in visitors)]
    logged = [person, *(one.lower() for one in visitors)]
    return {**known, "visitors": visitors, "persons": persons, "logged": logged}


def forget(scope: Scope, customer_id: str) -> None:
    """Take a person out: waiting events, log, visitors with their history, triggers' states, firings. May be repeated.

    Call it before the warehouse is cleared, since what waits would be written there. The disk is cleared by
    durable work after.
    """
    with scope.records() as session:
        bound = _bound(session, scope, customer_id)
        for table in ORDER:
            session.execute(text(DELETE.format(table=table, naming=HELD[table])), bound)
    if bound["visitors"]:
        _hide(scope, bound["visitors"])
        for visitor in bound["visitors"]:
            campaigns.purge(scope, VISITOR + visitor)
    work.enqueue("erasures", f"visitors-{uuid.uuid4()}", purge_visitors, scope.tenant_id)


def anonymise(scope: Scope, customer_ids: Iterable[str]) -> None:
    """Drop what the log has of these persons, and identifying parameters of what waits, fired or may fire for them.

    Call it when customers.remove_pii has noted who they are.
    """
    customer_ids = list(customer_ids)
    _, hidden = customers.identifying_names(scope, ())
    own = customers.own_texts(scope, customer_ids)
    persons = sorted({one.lower() for one in customer_ids})
    bound = {"tenant_id": scope.tenant_id, "persons": persons}
    with scope.records() as session:
        bound["visitors"] = list(session.execute(THEIR_VISITORS, bound).scalars())
        session.execute(FORGET_LOG, bound)
        for table, column, naming in PARAMETERS:
            _anonymise_table(session, (table, column, naming), bound, hidden, own)


def _anonymise_table(
    session: Session, place: tuple[str, str, str], bound: dict[str, Any], hidden: set[str], own: customers.OwnTexts
) -> None:
    table, column, naming = place
    sql = f"SELECT CAST(ctid AS text), {column} FROM {table} WHERE {naming} FOR UPDATE"  # noqa: S608 - ours
    change = text(f"UPDATE {table} SET {CHANGED[table]} WHERE ctid = CAST(:row AS tid)")  # noqa: S608 - ours
    for row, parameters in session.execute(text(sql), bound).all():
        kept = {
            name: value
            for name, value in parameters.items()
            if not customers.is_identifying(name, value, hidden) and not own.are_in(str(value))
        }
        if kept != parameters:
            session.execute(change, {"row": row, "kept": orjson.dumps(kept).decode()})


def _hide(scope: Scope, visitors: list[str]) -> None:
    """Hide visitors' events. The ids stand in a table, since the engine keeps the text of a change in a file."""
    with customers.writing(scope):
        scope.warehouse.execute(f"DROP TABLE IF EXISTS {STAGED} SYNC")
        scope.warehouse.execute(f"CREATE TABLE {STAGED} (visitor_id String) ENGINE = MergeTree ORDER BY visitor_id")
        scope.warehouse.insert(STAGED, ["visitor_id"], [(one,) for one in visitors])
        scope.warehouse.execute(HIDE)
        scope.warehouse.execute(f"DROP TABLE {STAGED} SYNC")


@work.workflow("realtime.purge_visitors")
def purge_visitors(tenant_id: int) -> None:
    """Clear the disk of hidden events of visitors, those that became a customer's included."""
    _leave_disk(tenant_id)


@work.step("realtime.leave_disk", ATTEMPTS)
def _leave_disk(tenant_id: int) -> None:
    customers.leave_disk(current_scope(tenant_id), "visitor_events")
