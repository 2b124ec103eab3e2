"""Visitors: persons whom only events know. One becomes a customer when an event names both.

Whoever was identified last by the sender's time counts. A visitor may be merged into another before
anybody knows who it is; whoever is then identified brings all of the merged ones along.

Visitor ids are random, so that only the device knows its own; but for those that SDKs make of a customer's id, which
anybody can work out. An app, whose token is public, makes no such visitor of a customer another one's.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.customers import identity
from rapport.realtime.events.owners import keep_owners
from rapport.realtime.models import Visitor
from rapport.realtime.states import Origin
from rapport.stores.records.locks import Lock, take_for_transaction

SET_USER_ID, STITCH = "set_user_id_event", "stitch_event"
# Parameters that name a person, by event.
IDS = {
    SET_USER_ID: ("userId", "originalVisitorId", "updatedVisitorId"),
    STITCH: ("sourcePublicCustomerId", "sourceVisitorId", "targetVsitorId", "targetVisitorId"),
}
# Those of them that name a customer.
OF_CUSTOMERS = {SET_USER_ID: "userId", STITCH: "sourcePublicCustomerId"}
DERIVED_LENGTH = 16


def derived_from(user_id: str) -> str:
    """The visitor that an SDK goes on as once an app has set a user id: the beginning of the id's SHA-1."""
    return hashlib.sha1(user_id.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()[:DERIVED_LENGTH]


OF_NOBODY = frozenset(
    derived_from(word)
    for word in ("", "undefined", "null", "NULL", "Null", "None", "none", "nil", "NaN", "nan", "0", "[object Object]")
)
LONGEST_ID = 255
# Whom a process has seen identified, so that each further event of a person costs no statement; that it still is
# the same customer is noted from time to time, for an event of another that comes late.
REMEMBERED = 200_000
RENEWED = timedelta(minutes=10)

# Rows come in order of their key, so that two processes never wait for each other crosswise.
IDENTIFY = text("""
    INSERT INTO visitors AS known (tenant_id, visitor_id, customer_id, person, same_as, identified_at, joined, derived)
    SELECT tenant_id, visitor_id, customer_id, person, '', at, false, derived
    FROM json_to_recordset(CAST(:rows AS json)) AS link(
        tenant_id int, visitor_id text, customer_id text, person text, at timestamptz, derived boolean
    )
    ORDER BY tenant_id, visitor_id
    ON CONFLICT (tenant_id, visitor_id) DO UPDATE
    SET customer_id = excluded.customer_id, person = excluded.person, identified_at = excluded.identified_at,
        joined = known.joined AND known.person = excluded.person,
        derived = excluded.derived OR (known.derived AND known.person = excluded.person)
    WHERE known.customer_id = '' OR known.identified_at < excluded.identified_at
       OR (known.identified_at = excluded.identified_at AND known.person <> excluded.person)
""")
# Whose visitors are whose ids were made of the customers' own.
OWN_IDS = text("""
    SELECT visitor.tenant_id, visitor.visitor_id, visitor.person
    FROM json_to_recordset(CAST(:rows AS json)) AS link(tenant_id int, visitor_id text)
    JOIN visitors AS visitor
        ON visitor.tenant_id = link.tenant_id AND visitor.visitor_id = link.visitor_id AND visitor.derived
""")
# Who a visitor was merged into: one step leads to whoever stands for all of them.
ROOTS = text("""
    SELECT visitor_id, same_as FROM visitors
    WHERE tenant_id = :tenant_id AND visitor_id IN (:visitor, :other) AND same_as <> ''
""")
FOLLOW = text("UPDATE visitors SET same_as = :root WHERE tenant_id = :tenant_id AND same_as = :visitor")
MERGE = text("""
    INSERT INTO visitors (tenant_id, visitor_id, customer_id, person, same_as, identified_at, joined)
    VALUES (:tenant_id, :visitor, '', '', :root, :at, false)
    ON CONFLICT (tenant_id, visitor_id) DO UPDATE SET same_as = excluded.same_as
""")
# Everybody who is the same as one of these visitors, and is nobody yet.
SPREAD = text("""
    WITH named AS (
        SELECT visitor.tenant_id, visitor.customer_id, visitor.person, visitor.identified_at,
            coalesce(nullif(visitor.same_as, ''), visitor.visitor_id) AS root
        FROM json_to_recordset(CAST(:rows AS json)) AS link(tenant_id int, visitor_id text)
        JOIN visitors AS visitor
            ON visitor.tenant_id = link.tenant_id AND visitor.visitor_id = link.visitor_id AND visitor.customer_id <> ''
    ),
    following AS (
        SELECT merged.tenant_id, merged.visitor_id, named.customer_id, named.person, named.identified_at
        FROM named JOIN visitors AS merged
            ON merged.tenant_id = named.tenant_id AND merged.same_as = named.root AND merged.same_as <> ''
                AND merged.customer_id = ''
        UNION
        SELECT tenant_id, root, customer_id, person, identified_at FROM named
    ),
    spread AS (
        INSERT INTO visitors AS known (tenant_id, visitor_id, customer_id, person, same_as, identified_at, joined)
        SELECT DISTINCT ON (tenant_id, visitor_id) tenant_id, visitor_id, customer_id, person, '', identified_at, false
        FROM following ORDER BY tenant_id, visitor_id, identified_at DESC
        ON CONFLICT (tenant_id, visitor_id) DO UPDATE
        SET customer_id = excluded.customer_id, person = excluded.person, identified_at = excluded.identified_at,
            joined = false
        WHERE known.customer_id = ''
        RETURNING tenant_id, visitor_id, identified_at, customer_id, person
    )
    INSERT INTO visitor_owners (tenant_id, visitor_id, since, customer_id, person) SELECT * FROM spread
    ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class Link:
    """What an event says of a visitor: the customer it is, or (same_as) the visitor it is merged into."""

    tenant_id: int
    visitor_id: str
    customer_id: str
    same_as: str
    at: datetime
    stated: bool  # said by an event that exists to say it, not by one that just names both
    by_app: bool = False

    @property
    def is_derived(self) -> bool:
        """Whether the visitor's id is the one that an SDK makes of this customer's."""
        return bool(self.customer_id) and self.visitor_id == derived_from(self.customer_id)

    @property
    def may_take(self) -> bool:
        """Whether the visitor's id may have been made of another customer's than this one's."""
        return bool(self.customer_id) and len(self.visitor_id) == DERIVED_LENGTH and not self.is_derived


def is_nobody(person_id: str) -> bool:
    """Whether an id of a customer or a visitor identifies nobody, or is the visitor that an SDK makes of such an id."""
    return identity.identifies_nobody(person_id) or person_id.lower() in OF_NOBODY


def customer_of(scope: Scope, session: Session, visitor_ids: Iterable[str]) -> dict[str, str]:
    """The customer behind each visitor that was identified; the others are absent."""
    ids = [visitor_id for visitor_id in set(visitor_ids) if visitor_id]
    if not ids:
        return {}
    statement = select(Visitor.visitor_id, Visitor.customer_id).where(
        Visitor.tenant_id == scope.tenant_id, Visitor.visitor_id.in_(ids), Visitor.customer_id != ""
    )
    return {row.visitor_id: row.customer_id for row in session.execute(statement)}


def customers_named(event: str, customer_id: str, parameters: dict[str, Any]) -> set[str]:
    """The customers whom an event names, as person ids: whom it is about, and whom it says a visitor to be."""
    other = _id(parameters, OF_CUSTOMERS[event]) if event in OF_CUSTOMERS else ""
    return {name.lower() for name in (customer_id, other) if name}


def links(
    tenant_id: int,
    event: str,
    customer_id: str,
    visitor_id: str,
    parameters: dict[str, Any],
    at: datetime,
    origin: str = Origin.SERVER,
) -> list[Link]:
    """What an event says of visitors; nothing for most, and for a vendor's, who reports of messages only."""
    if origin == Origin.METRIC:
        return []
    event_links, by_app = list[Link](), origin == Origin.SDK
    if event == SET_USER_ID:
        customer = _id(parameters, "userId") or customer_id
        names = (_id(parameters, "originalVisitorId"), _id(parameters, "updatedVisitorId"), visitor_id)
        named = [visitor for visitor in dict.fromkeys(names) if visitor and customer]
        event_links = [Link(tenant_id, visitor, customer, "", at, True, by_app) for visitor in named]
    elif event == STITCH:
        event_links = _stitched(tenant_id, parameters, customer_id, at, by_app)
    elif customer_id and visitor_id:
        event_links = [Link(tenant_id, visitor_id, customer_id, "", at, False, by_app)]
    return event_links


def _stitched(tenant_id: int, parameters: dict[str, Any], customer_id: str, at: datetime, by_app: bool) -> list[Link]:
    # The vendor misspells the target's name.
    target = _id(parameters, "targetVsitorId") or _id(parameters, "targetVisitorId")
    source, customer = _id(parameters, "sourceVisitorId"), _id(parameters, "sourcePublicCustomerId") or customer_id
    if customer:
        both = dict.fromkeys((target, source))
        return [Link(tenant_id, visitor, customer, "", at, True, by_app) for visitor in both if visitor]
    if target and source and target != source:
        return [Link(tenant_id, target, "", source, at, True, by_app)]
    return []


def _id(parameters: dict[str, Any], name: str) -> str:
    value = parameters.get(name)
    text = value.strip() if isinstance(value, str) and len(value) <= LONGEST_ID else ""
    return "" if is_nobody(text) else text


class Links:
    """Keeps links in the records, leaving out what this process has kept lately."""

    def __init__(self) -> None:
        self._remembered: dict[tuple[int, str], tuple[str, datetime]] = {}

    def are_new(self, event_links: Iterable[Link]) -> bool:
        """Whether there is any to be kept."""
        return any(self._is_new(link) for link in event_links)

    def _is_new(self, link: Link) -> bool:
        customer_id, at = self._remembered.get((link.tenant_id, link.visitor_id), ("", link.at))
        return link.stated or customer_id != link.customer_id or link.at - at >= RENEWED

    def keep(self, connection: Connection, event_links: Iterable[Link]) -> list[Link]:
        """Write links in a transaction of the caller, who calls `kept` with those written once it has committed."""
        new = _without_taking(connection, [link for link in event_links if self._is_new(link)])
        saying = sorted((link for link in new if link.customer_id), key=lambda link: link.at)
        named = {(link.tenant_id, link.visitor_id): link for link in saying}
        changed = [(link.tenant_id, link.visitor_id) for link in named.values()]
        if named:
            keep_owners(connection, [(link.tenant_id, link.visitor_id, link.at, link.customer_id) for link in saying])
            connection.execute(IDENTIFY, {"rows": _rows(named.values())})
        for link in new:
            if link.same_as:
                changed += _merged(connection, link)
        if changed:
            rows = [{"tenant_id": tenant_id, "visitor_id": visitor} for tenant_id, visitor in changed]
            connection.execute(SPREAD, {"rows": orjson.dumps(rows).decode()})
        return new

    def kept(self, event_links: Sequence[Link]) -> None:
        """Remember links that are in the records."""
        if len(self._remembered) > REMEMBERED:
            self._remembered.clear()
        for link in event_links:
            if link.customer_id and self._is_new(link):
                self._remembered[link.tenant_id, link.visitor_id] = (link.customer_id, link.at)


def _without_taking(connection: Connection, event_links: list[Link]) -> list[Link]:
    """The same without what apps say of visitors whose ids were made of another customer's id."""
    suspected = {(link.tenant_id, link.visitor_id) for link in event_links if link.by_app and link.may_take}
    if not suspected:
        return event_links
    rows = [{"tenant_id": tenant_id, "visitor_id": visitor} for tenant_id, visitor in suspected]
    own_ids = connection.execute(OWN_IDS, {"rows": orjson.dumps(rows).decode()})
    whose = {(row.tenant_id, row.visitor_id): row.person for row in own_ids}
    whose |= {(link.tenant_id, link.visitor_id): link.customer_id.lower() for link in event_links if link.is_derived}

    def takes(link: Link) -> bool:
        person = link.customer_id.lower()
        return link.by_app and link.may_take and whose.get((link.tenant_id, link.visitor_id), person) != person

    return [link for link in event_links if not takes(link)]


def _merged(connection: Connection, link: Link) -> list[tuple[int, str]]:
    """Merge a visitor, and whoever was merged into it, into another; those that stood for either of them."""
    parameters = {"tenant_id": link.tenant_id, "visitor": link.visitor_id, "other": link.same_as}
    take_for_transaction(connection, Lock.VISITOR_MERGES, link.tenant_id)
    roots = {row.visitor_id: row.same_as for row in connection.execute(ROOTS, parameters)}
    merged, root = roots.get(link.visitor_id, link.visitor_id), roots.get(link.same_as, link.same_as)
    if merged != root:
        parameters = {"tenant_id": link.tenant_id, "visitor": merged, "root": root, "at": link.at}
        connection.execute(FOLLOW, parameters)
        connection.execute(MERGE, parameters)
    return [(link.tenant_id, merged), (link.tenant_id, root)]


def _rows(event_links: Iterable[Link]) -> str:
    names = [
        {
            "tenant_id": link.tenant_id,
            "visitor_id": link.visitor_id,
            "customer_id": link.customer_id,
            "person": link.customer_id.lower(),
            "at": link.at,
            "derived": link.is_derived,
        }
        for link in event_links
    ]
    return orjson.dumps(names).decode()
