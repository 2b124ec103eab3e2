"""What customers can bet on now: open events, and the open markets and selections of some of them.

Open is what is shown and active with everything above it, and has neither started nor finished. An event has started
when the feed says so, or when its time has come.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.sports.definitions import ANCESTORS, Kind
from rapport.sports.reading import ancestors, with_ancestors

# Of these events, those that start soonest, the rules choose; more would take long for each request.
MOST_EVENTS, MOST_OFFERS = 2000, 5000
PARTICIPANTS = re.compile(r" vs?\.? | @ | - |[,;|\n]")


@dataclass(frozen=True)
class OfferFilter:
    """Which events are offer_filter. Categories are keys or names, in any case; empty or None: any."""

    category: str | None = None
    categories: Collection[str] = ()
    excluded_categories: Collection[str] = ()
    starts_before: datetime | None = None


@dataclass(frozen=True)
class OpenEvent:
    """An event. league is its category with the type, or the class, that it hangs on; participants in lower case."""

    key: str
    league: tuple[str, str]
    participants: frozenset[str]
    display_order: int | None
    starts_at: datetime | None
    members: Mapping[str, Any]


@dataclass(frozen=True)
class OpenOffer:
    """A market or selection of an event. The market of a selection without one has an empty key and name."""

    kind: Kind
    event_key: str
    key: str
    market_key: str
    market_name: str
    selection_name: str
    display_order: int | None
    members: Mapping[str, Any]


ABOVE_EVENT = len(ANCESTORS[Kind.EVENT])


def _above(kind: Kind, column: str) -> str:
    """A column of the record of a kind above an event, '' where there is none."""
    whens = " ".join(
        f"WHEN ancestor_{number}.kind = '{kind}' THEN ancestor_{number}.{column}"
        for number in range(1, ABOVE_EVENT + 1)
    )
    return f"CASE {whens} ELSE '' END"


# The key and the names of an event's category, in lower case.
LABELS = f"""(lower({_above(Kind.CATEGORY, "record_key")}) || ARRAY(
    SELECT lower(name) FROM unnest(string_to_array({_above(Kind.CATEGORY, "names")}, E'\\n')) AS name))"""  # noqa: S608 - ours
EVENTS = text(f"""
    SELECT record.record_key, {_above(Kind.CATEGORY, "record_key")} AS category,
        {_above(Kind.TYPE, "record_key")} AS type_key, {_above(Kind.CLASS, "record_key")} AS class_key,
        record.display_order, record.starts_at, record.members
    FROM (
        SELECT * FROM sports_records AS event
        WHERE event.tenant_id = :tenant_id AND event.brand_group_id = :brand AND event.kind = '{Kind.EVENT}'
            AND event.is_shown AND event.is_active
            AND (event.starts_at IS NULL OR event.starts_at > :now)
            AND (CAST(:starts_before AS timestamptz) IS NULL OR event.starts_at < :starts_before)
            AND NOT event.members @> '{{"isEventStarted": true}}' AND NOT event.members @> '{{"isEventFinished": true}}'
        ORDER BY event.starts_at, event.record_key LIMIT {MOST_EVENTS}
    ) AS record {ancestors(ABOVE_EVENT)}
    WHERE {with_ancestors("is_shown", ABOVE_EVENT)} AND {with_ancestors("is_active", ABOVE_EVENT)}
        AND (CAST(:category AS text) IS NULL OR :category = ANY({LABELS}))
        AND (CAST(:categories AS text[]) = '{{}}' OR :categories && {LABELS})
        AND NOT CAST(:excluded AS text[]) && {LABELS}
    ORDER BY record.starts_at, record.record_key
""")  # noqa: S608 - ours
# The events are open: only what stands between is looked at.
OFFERS = text(f"""
    SELECT record.event_key, record.record_key, CASE ancestor_1.kind WHEN '{Kind.MARKET}' THEN ancestor_1.record_key
        ELSE '' END AS market_key, CASE ancestor_1.kind WHEN '{Kind.MARKET}' THEN ancestor_1.names ELSE '' END
        AS market_names, record.names, record.display_order, record.members
    FROM unnest(CAST(:events AS text[])) WITH ORDINALITY AS event (key, place) CROSS JOIN LATERAL (
        SELECT * FROM sports_records AS offer WHERE offer.tenant_id = :tenant_id AND offer.brand_group_id = :brand
            AND offer.kind = :kind AND offer.event_key = event.key LIMIT {MOST_OFFERS}
    ) AS record {ancestors(1)}
    WHERE {with_ancestors("is_shown", 1)} AND {with_ancestors("is_active", 1)}
        AND (CAST(:least AS numeric) IS NULL OR record.decimal_odds >= :least)
        AND (CAST(:most AS numeric) IS NULL OR record.decimal_odds <= :most)
    ORDER BY event.place, record.record_key LIMIT {MOST_OFFERS}
""")  # noqa: S608 - ours
EVENTS_OF_SELECTIONS = text(f"""
    SELECT DISTINCT event.key
    FROM unnest(CAST(:events AS text[])) AS event (key), unnest(CAST(:selections AS text[])) AS selection (key)
    CROSS JOIN LATERAL (
        SELECT 1 FROM sports_records AS record WHERE record.tenant_id = :tenant_id AND record.brand_group_id = :brand
            AND record.kind = '{Kind.SELECTION}' AND record.event_key = event.key AND record.record_key = selection.key
        LIMIT 1
    ) AS record
""")  # noqa: S608 - ours


def open_events(scope: Scope, brand: str, offer_filter: OfferFilter) -> list[OpenEvent]:
    """The open events of a brand group among the MOST_EVENTS that start soonest, in that order."""
    bound = {
        "tenant_id": scope.tenant_id,
        "brand": brand,
        "now": scope.clock.now(),
        "starts_before": offer_filter.starts_before,
        "category": offer_filter.category and offer_filter.category.lower(),
        "categories": [label.lower() for label in offer_filter.categories],
        "excluded": [label.lower() for label in offer_filter.excluded_categories],
    }
    with scope.reads() as session:
        rows = session.execute(EVENTS, bound).all()
    return [
        OpenEvent(
            key=row.record_key,
            league=(row.category, row.type_key or row.class_key),
            participants=frozenset(_participants(row.members)),
            display_order=row.display_order,
            starts_at=row.starts_at,
            members=row.members,
        )
        for row in rows
    ]


def _participants(members: Mapping[str, Any]) -> Iterator[str]:
    """Those that an event names apart, or else those that its name tells."""
    apart = [members[name] for name in ("homeName", "awayName", "participants") if members.get(name)]
    for names in apart or [members.get("eventName") or ""]:
        yield from participants_named(names)


def participants_named(names: str) -> list[str]:
    """The participants that the name of an event, or a list of them, tells; in lower case."""
    return [name for part in PARTICIPANTS.split(names) if (name := part.strip().lower())]


def open_offers(
    scope: Scope, brand: str, kind: Kind, events: Sequence[str], least_odds: float | None, most_odds: float | None
) -> list[OpenOffer]:
    """The open markets or selections of open events, at most MOST_OFFERS, those of the first events first."""
    bound = {"tenant_id": scope.tenant_id, "brand": brand, "kind": kind, "events": list(events)}
    with scope.reads() as session:
        rows = session.execute(OFFERS, {**bound, "least": least_odds, "most": most_odds}).all()
    is_market = kind is Kind.MARKET
    return [
        OpenOffer(
            kind=kind,
            event_key=row.event_key,
            key=row.record_key,
            market_key=row.record_key if is_market else row.market_key,
            market_name=(row.names if is_market else row.market_names).partition("\n")[0],
            selection_name="" if is_market else row.names.partition("\n")[0],
            display_order=row.display_order,
            members=row.members,
        )
        for row in rows
    ]


def events_of(scope: Scope, brand: str, events: Sequence[str], selections: Collection[str]) -> set[str]:
    """Which of some events have one of some selections, by their keys."""
    if not events or not selections:
        return set()
    bound = {"tenant_id": scope.tenant_id, "brand": brand, "events": list(events), "selections": list(selections)}
    with scope.reads() as session:
        return set(session.scalars(EVENTS_OF_SELECTIONS, bound))
