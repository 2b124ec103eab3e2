"""One person in real time: what is held of it, and erasure of it. A person is a customer and its visitors."""

import uuid
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.personal_data import Texts
from rapport.access.scope import Scope, current_scope
from rapport.customers.person_ids import VISITOR
from rapport.customers.privacy import anonymisation, hidden_rows
from rapport.customers.writes import locks
from rapport.delivery import outbox
from rapport.delivery.models import Source, State
from rapport.inbox import forgetting
from rapport.realtime.events.owners import IS_FIRST
from rapport.realtime.matching.evaluating import with_parameters
from rapport.realtime.states import FiringState
from rapport.redemptions import published
from rapport.stores.records.spellings import is_one_of, spellings_of
from rapport.stores.workflows import work

ATTEMPTS = 3
STAGED = "write_erased"
MINE = "visitor_id IN {ids:Array(String)}"
HIDE = f"DELETE FROM visitor_events WHERE visitor_id IN (SELECT visitor_id FROM {STAGED})"  # noqa: S608 - ours

# Every visitor that persons ever were; and those that they were first, whose doings before that are theirs.
VISITORS = """
    SELECT DISTINCT owner.visitor_id FROM visitor_owners AS owner
    WHERE owner.tenant_id = :tenant_id AND owner.person = ANY(CAST(:ids AS text[])) AND {only} ORDER BY owner.visitor_id
"""
EVER, FIRST = text(VISITORS.format(only="true")), text(VISITORS.format(only=IS_FIRST))
# What names a person, by table: a column of person ids as person_of makes them, or the ids as they were given.
IS_CUSTOMER = is_one_of("customer_id")
GIVEN = f"({IS_CUSTOMER} OR (customer_id = '' AND visitor_id = ANY(CAST(:visitors AS text[]))))"
THEIR_VISITORS = "person = ANY(CAST(:ids AS text[]))"
# Of a visitor that nobody is any more by now, nothing stays.
THEIR_OWNERS = f"""({THEIR_VISITORS} OR visitor_id IN (
    SELECT visitor_id FROM visitors WHERE tenant_id = :tenant_id AND {THEIR_VISITORS}
))"""  # noqa: S608 - ours
PERSON = "person = ANY(CAST(:persons AS text[]))"
LOGGED = "person = ANY(CAST(:logged AS text[]))"
FIRINGS = f"SELECT id FROM trigger_firings WHERE tenant_id = :tenant_id AND {PERSON}"  # noqa: S608 - ours
HELD = {
    "accepted_events": GIVEN,
    "event_log": LOGGED,
    "visitor_owners": THEIR_OWNERS,
    "visitors": THEIR_VISITORS,
    "trigger_states": PERSON,
    "trigger_firings": PERSON,
}
# Rewards of which nobody was told: no message of their firing has left or is leaving.
LOCK_MESSAGES = text(f"""
    SELECT id FROM messages WHERE tenant_id = :tenant_id AND source = '{Source.FIRING}' AND source_id IN ({FIRINGS})
    ORDER BY id FOR UPDATE
""")  # noqa: S608 - ours
REWARDED_IN_VAIN = text(f"""
    {FIRINGS} AND state = '{FiringState.SENDING}' AND rewards IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM messages
        WHERE messages.tenant_id = :tenant_id AND messages.source = '{Source.FIRING}'
            AND messages.source_id = trigger_firings.id AND messages.state IN ('{State.CLAIMED}', '{State.SENT}')
    )
""")  # noqa: S608 - ours
# The messages of these firings, which delivery keeps with those of campaigns.
MESSAGES = f"source = '{Source.FIRING}' AND source_id IN ({FIRINGS})"
SELECT = "SELECT * FROM {table} WHERE tenant_id = :tenant_id AND {naming} ORDER BY 1, 2"
DELETE = "DELETE FROM {table} WHERE tenant_id = :tenant_id AND {naming}"
FORGET_LOG = text(DELETE.format(table="event_log", naming=LOGGED))
THEIRS = f"tenant_id = :tenant_id AND {PERSON}"
WAITING = f"tenant_id = :tenant_id AND {GIVEN}"
# A batch under way holds the events and states that it makes firings of, so these go first: it is waited for, or
# finds them gone. The sender holds messages before their firings, so it is waited for in this order, too.
ORDER = (
    "accepted_events",
    "trigger_states",
    "trigger_firings",
    "event_log",
    "visitor_owners",
    "visitors",
)
# In the same order, where parameters of events are kept: table, the column as JSON, whose rows those are.
PARAMETERS = (
    ("accepted_events", "parameters", WAITING),
    ("trigger_states", "opened", f"jsonb_typeof(opened) = 'object' AND {THEIRS}"),
    ("trigger_firings", "parameters", THEIRS),
)


def held(scope: Scope, customer_id: str) -> dict[str, list[dict[str, Any]]]:
    """Everything that is held of a person, rows by table; without rows when nobody has the id."""
    with scope.records() as session:
        names = _names(scope, session, [customer_id])
        tables = {table: _rows(session, table, naming, names) for table, naming in HELD.items()}
        tables["firing_messages"] = _rows(session, "messages", MESSAGES, names)
    tables["inbox_messages_of_visitors"] = forgetting.held(scope, [VISITOR + visitor for visitor in names["first"]])
    sql = f"SELECT * FROM visitor_events WHERE {MINE} ORDER BY seq"  # noqa: S608 - ours
    tables["visitor_events"] = orjson.loads(scope.warehouse.json_rows(sql, {"ids": names["first"]}))
    return tables


def _rows(session: Session, table: str, naming: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    sql = SELECT.format(table=table, naming=naming)
    rows = session.execute(text(sql), names).mappings()
    return [{name: value for name, value in row.items() if name != "tenant_id"} for row in rows]


def _names(scope: Scope, session: Session, customer_ids: Iterable[str]) -> dict[str, Any]:
    """What names persons in the records, in every spelling."""
    ids = sorted({customer_id.lower() for customer_id in customer_ids})
    parameters = {"tenant_id": scope.tenant_id, "ids": ids}
    visitors = list(session.execute(EVER, parameters).scalars())
    first = list(session.execute(FIRST, parameters).scalars())
    return {
        **parameters,
        "spellings": spellings_of(session, scope.tenant_id, "accepted_events", "customer_id", ids),
        "visitors": visitors,
        "first": first,
        "persons": [*ids, *(VISITOR + visitor for visitor in first)],
        "logged": [*ids, *(visitor.lower() for visitor in visitors)],
    }


def forget(scope: Scope, customer_id: str, follow: Callable[[str], None]) -> int:
    """Take a person out: waiting events, log, visitors with their history, triggers' states, firings. May be repeated.

    How many rows of the records those were.

    Budgets of promotions get back the rewards of which the person was not told.

    Call it before the warehouse is cleared, since what waits would be written there. follow has the accounts cleared
    of a visitor that the person was. The disk is cleared by durable work after.
    """
    with scope.records() as session:
        names = _names(scope, session, [customer_id])
        session.execute(LOCK_MESSAGES, names)
        published.take_back_of_firings(scope, session, session.scalars(REWARDED_IN_VAIN, names).all())
        fired = [(scope.tenant_id, firing_id) for firing_id in session.scalars(text(FIRINGS), names)]
        rows = outbox.drop_sources(session, Source.FIRING, fired)
        for table in ORDER:
            done = session.execute(text(DELETE.format(table=table, naming=HELD[table])), names)
            rows += done.rowcount  # type: ignore[attr-defined]
        rows += forgetting.forget(scope, session, [VISITOR + visitor for visitor in names["first"]])
    if names["first"]:
        _hide(scope, names["first"])
        for visitor in names["first"]:
            follow(VISITOR + visitor)
    work.enqueue(work.Queue.ERASURES, f"visitors-{uuid.uuid4()}", purge_visitors, scope.tenant_id)
    return rows


def anonymise(scope: Scope, customer_ids: Iterable[str], own: Texts) -> None:
    """Drop what the log has of these persons, and identifying parameters of what waits, fired or may fire for them.

    Call it when customers.remove_pii has noted who they are. own: what identified them.
    """
    customer_ids = list(customer_ids)
    _, hidden = anonymisation.identifying_names(scope, ())
    with scope.records() as session:
        names = _names(scope, session, customer_ids)
        session.execute(FORGET_LOG, names)
        for table, column, naming in PARAMETERS:
            _anonymise_table(session, (table, column, naming), names, hidden, own)


def _anonymise_table(
    session: Session, target: tuple[str, str, str], names: dict[str, Any], hidden: set[str], own: Texts
) -> None:
    table, column, naming = target
    sql = f"SELECT CAST(ctid AS text), {column} FROM {table} WHERE {naming} FOR UPDATE"  # noqa: S608 - ours
    set_to = f"{column} = CAST(:kept AS jsonb)"
    change = text(f"UPDATE {table} SET {set_to} WHERE ctid = CAST(:row AS tid)")  # noqa: S608 - ours

    def kept(parameters: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value
            for name, value in parameters.items()
            if not anonymisation.is_identifying(name, value, hidden) and not own.are_in(str(value))
        }

    for row, stored in session.execute(text(sql), names).all():
        left = with_parameters(stored, kept) if column == "opened" else kept(stored)
        if left != stored:
            session.execute(change, {"row": row, "kept": orjson.dumps(left).decode()})


def _hide(scope: Scope, visitors: list[str]) -> None:
    """Hide visitors' events. The ids stand in a table, since the engine keeps the text of a change in a file."""
    with locks.writing(scope):
        scope.warehouse.execute(f"DROP TABLE IF EXISTS {STAGED} SYNC")
        scope.warehouse.execute(f"CREATE TABLE {STAGED} (visitor_id String) ENGINE = MergeTree ORDER BY visitor_id")
        scope.warehouse.insert(STAGED, ["visitor_id"], [(visitor,) for visitor in visitors])
        scope.warehouse.execute(HIDE)
        scope.warehouse.execute(f"DROP TABLE {STAGED} SYNC")


@work.workflow("realtime.purge_visitors")
def purge_visitors(tenant_id: int) -> None:
    """Clear the disk of hidden events of visitors, those that became a customer's included."""
    _leave_disk(tenant_id)


@work.step("realtime.leave_disk", ATTEMPTS)
def _leave_disk(tenant_id: int) -> None:
    hidden_rows.leave_disk(current_scope(tenant_id), "visitor_events")
