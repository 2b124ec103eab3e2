"""Whose a visitor was at a time: devices change hands, and what somebody did on one stays with who it was then."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.customers.person_ids import person_of

if TYPE_CHECKING:
    from rapport.realtime.models import Firing

# That owner, a row of visitor_owners, is the first of its visitor: what the visitor did before anybody knew it is hers.
IS_FIRST = """NOT EXISTS (
    SELECT 1 FROM visitor_owners AS earlier
    WHERE earlier.tenant_id = owner.tenant_id AND earlier.visitor_id = owner.visitor_id AND earlier.since < owner.since
)"""
HISTORY = text("""
    SELECT visitor_id, since, customer_id FROM visitor_owners
    WHERE tenant_id = :tenant_id AND visitor_id = ANY(CAST(:visitors AS text[])) ORDER BY visitor_id, since
""")
# The visitors whose doings of before anybody knew them are a person's, and those of some whom nobody knows yet.
NAMED = text(f"""
    SELECT owner.visitor_id FROM visitor_owners AS owner
    WHERE owner.tenant_id = :tenant_id AND owner.person = :person AND {IS_FIRST}
    UNION
    SELECT visitor_id FROM unnest(CAST(:visitors AS text[])) AS named(visitor_id)
    WHERE NOT EXISTS (
        SELECT 1 FROM visitor_owners AS owner
        WHERE owner.tenant_id = :tenant_id AND owner.visitor_id = named.visitor_id
    )
""")  # noqa: S608 - ours
# Where the customer is another than before. What is older than the last word about a visitor counts only when it is
# older than the first, too.
OWN = text("""
    INSERT INTO visitor_owners (tenant_id, visitor_id, since, customer_id, person)
    SELECT link.tenant_id, link.visitor_id, link.at, link.customer_id, link.person
    FROM json_to_recordset(CAST(:rows AS json)) AS link(
        tenant_id int, visitor_id text, at timestamptz, customer_id text, person text
    )
    LEFT JOIN LATERAL (
        SELECT min(owner.since) AS first, (array_agg(owner.person ORDER BY owner.since DESC))[1] AS person
        FROM visitor_owners AS owner WHERE owner.tenant_id = link.tenant_id AND owner.visitor_id = link.visitor_id
    ) AS history ON true
    LEFT JOIN visitors AS known
        ON known.tenant_id = link.tenant_id AND known.visitor_id = link.visitor_id AND known.customer_id <> ''
    WHERE history.first IS NULL OR link.at < history.first
        OR (link.at >= coalesce(known.identified_at, link.at) AND link.person <> history.person)
    ORDER BY link.tenant_id, link.visitor_id
    ON CONFLICT (tenant_id, visitor_id, since) DO UPDATE
    SET customer_id = excluded.customer_id, person = excluded.person
""")


@dataclass(frozen=True, slots=True)
class Owners:
    """The customers that some visitors were, by visitor in order of time."""

    by_visitor: dict[str, tuple[list[datetime], list[str]]]

    def at(self, visitor_id: str, at: datetime) -> str:
        """The customer that a visitor was at a time, before the first the first; empty for one whom nobody knows."""
        since, customers = self.by_visitor.get(visitor_id, ((), ()))
        return customers[max(bisect_right(since, at) - 1, 0)] if customers else ""

    def first(self, visitor_id: str) -> str:
        """The customer that a visitor was first; empty for one whom nobody knows."""
        return self.by_visitor[visitor_id][1][0] if visitor_id in self.by_visitor else ""


def owners(scope: Scope, session: Session, visitor_ids: Iterable[str]) -> Owners:
    """Whose visitors were; one statement, none when none is asked for."""
    ids = sorted({visitor_id for visitor_id in visitor_ids if visitor_id})
    histories: dict[str, tuple[list[datetime], list[str]]] = defaultdict(lambda: ([], []))
    if ids:
        for visitor, since, customer in session.execute(HISTORY, {"tenant_id": scope.tenant_id, "visitors": ids}):
            histories[visitor][0].append(since)
            histories[visitor][1].append(customer)
    return Owners(dict(histories))


def persons_named(scope: Scope, customer_id: str, visitor_id: str) -> tuple[str, ...]:
    """The person ids under which is kept what belongs to somebody whom a client names by either id, or by both.

    Of a visitor that became a customer it belongs to that customer alone. Apps put the visitor id in the place of the
    customer id where they know no customer.
    """
    visitors = sorted({name for name in (customer_id, visitor_id) if name})
    person = customer_id.lower() if customer_id != visitor_id else ""
    parameters = {"tenant_id": scope.tenant_id, "person": person, "visitors": visitors}
    with scope.reads() as session:
        own = session.scalars(NAMED, parameters).all()
    return (*([person] if person else []), *(person_of("", visitor) for visitor in own))


def found_out(scope: Scope, session: Session, waiting: "Sequence[Firing]") -> dict[str, str]:
    """The customers that visitors of firings turned out to be since, by person; without those whom nobody knows."""
    visitor_owners = owners(scope, session, (firing.customer_id for firing in waiting if firing.is_visitor))
    customers_by_person = {
        firing.person: visitor_owners.first(firing.customer_id) for firing in waiting if firing.is_visitor
    }
    return {person: customer for person, customer in customers_by_person.items() if customer}


def keep_owners(connection: Connection, owned: Sequence[tuple[int, str, datetime, str]]) -> None:
    """Note whose visitors are (tenant, visitor, time, customer), in order of time. Call it before visitors change."""
    rounds: dict[int, list[dict[str, Any]]] = defaultdict(list)
    rounds_of_visitor = Counter[tuple[int, str]]()
    for tenant_id, visitor, at, customer in owned:
        row = {
            "tenant_id": tenant_id,
            "visitor_id": visitor,
            "at": at,
            "customer_id": customer,
            "person": customer.lower(),
        }
        rounds[rounds_of_visitor[tenant_id, visitor]].append(row)
        rounds_of_visitor[tenant_id, visitor] += 1
    for rows in rounds.values():  # of one visitor each is laid on the one before
        connection.execute(OWN, {"rows": orjson.dumps(rows).decode()})
