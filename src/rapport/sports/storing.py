"""Requests change the inventory of a brand: all of their records or none, in order, in a few statements."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.errors import Invalid
from rapport.sports.definitions import (
    KEYS,
    KINDS,
    PARENT_KEYS,
    Operation,
    RecordKey,
    SentRecord,
    ancestors_of,
    decimal_of,
    is_active,
    is_shown,
    names_of,
    parent_of,
)
from rapport.sports.odds import NO_PRICE, Price, of_decimal, of_fraction
from rapport.stores.records import hold
from rapport.stores.workers.listening import Topic, publish

# Of a selection, and of a brand.
MOST_PRICES, MOST_CALLS = 500, 20_000
PRICE_MEMBERS = frozenset({"numPrice", "denPrice", "decPrice"})
OF_BRAND = "stored.tenant_id = :tenant_id AND stored.brand_group_id = :brand"
NAMED = "json_to_recordset(CAST(:keys AS json)) AS named (kind text, event_key text, record_key text)"
IS_NAMED = """stored.kind = named.kind AND stored.event_key = named.event_key
    AND stored.record_key = named.record_key"""
# Each by its key, whatever the planner thinks of how many there are.
FIND = text(f"""
    SELECT stored.kind, stored.event_key, stored.record_key, CAST(stored.members AS text), stored.parent_kind,
        stored.parent_event_key, stored.parent_key, stored.numerator, stored.denominator, stored.decimal_odds,
        stored.prices
    FROM {NAMED} CROSS JOIN LATERAL (
        SELECT * FROM sports_records AS stored WHERE {OF_BRAND} AND {IS_NAMED} LIMIT 1
    ) AS stored
""")  # noqa: S608 - ours
# Prices stand in a ring of places, so that each further one takes the place of the oldest.
STORE = text("""
    WITH changed AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS changed (kind text, event_key text, record_key text,
            parent_kind text, parent_event_key text, parent_key text, names text, is_shown bool, is_active bool,
            display_order int, starts_at timestamptz, numerator bigint, denominator bigint, decimal_odds numeric,
            prices int, has_new_price bool, members jsonb)
    ), stored AS (
        INSERT INTO sports_records (tenant_id, brand_group_id, kind, event_key, record_key, parent_kind,
            parent_event_key, parent_key, names, is_shown, is_active, display_order, starts_at, numerator, denominator,
            decimal_odds, prices, members, created_at, updated_at)
        SELECT :tenant_id, :brand, kind, event_key, record_key, parent_kind, parent_event_key, parent_key, names,
            is_shown, is_active, display_order, starts_at, numerator, denominator, decimal_odds, prices, members, :now,
            :now
        FROM changed
        ON CONFLICT (tenant_id, brand_group_id, kind, event_key, record_key) DO UPDATE SET
            parent_kind = excluded.parent_kind, parent_event_key = excluded.parent_event_key,
            parent_key = excluded.parent_key, names = excluded.names, is_shown = excluded.is_shown,
            is_active = excluded.is_active, display_order = excluded.display_order, starts_at = excluded.starts_at,
            numerator = excluded.numerator, denominator = excluded.denominator, decimal_odds = excluded.decimal_odds,
            prices = excluded.prices, members = excluded.members, updated_at = excluded.updated_at
    )
    INSERT INTO sports_prices (tenant_id, brand_group_id, event_key, selection_key, place, number, at, numerator,
        denominator, decimal_odds)
    SELECT :tenant_id, :brand, event_key, record_key, (prices - 1) % :most, prices - 1, :now, numerator, denominator,
        decimal_odds
    FROM changed WHERE has_new_price
    ON CONFLICT (tenant_id, brand_group_id, event_key, selection_key, place) DO UPDATE SET
        number = excluded.number, at = excluded.at, numerator = excluded.numerator,
        denominator = excluded.denominator, decimal_odds = excluded.decimal_odds
""")
NOTE_CALL = text("""
    INSERT INTO sports_calls (tenant_id, brand_group_id, number, at, outcomes)
    SELECT :tenant_id, CAST(:brand AS text), coalesce(max(number), 0) + 1, :now, CAST(:outcomes AS jsonb)
    FROM sports_calls WHERE tenant_id = :tenant_id AND brand_group_id = :brand
    RETURNING number
""")
FORGET_CALLS = text("""
    DELETE FROM sports_calls WHERE tenant_id = :tenant_id AND brand_group_id = :brand AND number <= :last
""")
DELETE = text(f"""
    WITH RECURSIVE doomed AS (
        SELECT stored.kind, stored.event_key, stored.record_key
        FROM {NAMED} JOIN sports_records AS stored ON {OF_BRAND} AND {IS_NAMED}
        UNION
        SELECT stored.kind, stored.event_key, stored.record_key
        FROM doomed JOIN sports_records AS stored ON {OF_BRAND} AND stored.parent_kind = doomed.kind
            AND stored.parent_event_key = doomed.event_key AND stored.parent_key = doomed.record_key
    )
    DELETE FROM sports_records AS stored USING doomed WHERE {OF_BRAND}
        AND stored.kind = doomed.kind AND stored.event_key = doomed.event_key AND stored.record_key = doomed.record_key
""")  # noqa: S608 - ours


class Outcome(StrEnum):
    """What became of a record of a request."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it is, or will be, in the inventory."""

    members: Mapping[str, Any] = field(default_factory=dict)
    parent: RecordKey | None = None
    price: Price = NO_PRICE
    prices: int = 0  # that it has had before


NOTHING = Stored()


@dataclass
class Changes:
    """What a request does: the records as it leaves them, what became of each of its own, in order."""

    before: dict[RecordKey, Stored]
    after: dict[RecordKey, Stored] = field(default_factory=dict)
    outcomes: list[tuple[RecordKey, Outcome]] = field(default_factory=list)

    def present(self, key: RecordKey) -> Stored | None:
        """A record as it is by now."""
        return self.after.get(key) or self.before.get(key)


def change(scope: Scope, brand: str, operation: Operation, sent: Sequence[SentRecord]) -> None:
    """Carry out a request on the inventory of a brand group of the tenant.

    Raises Invalid, and changes nothing, where the parent of a record is neither stored nor earlier in the request.
    """
    bound = {"tenant_id": scope.tenant_id, "brand": brand, "now": scope.clock.now()}
    with scope.records() as session:
        # Requests of a brand follow one another, so that no parent leaves while a child arrives.
        hold(session, scope.tenant_id, f"sports {brand}")
        changes = Changes(_stored(session, bound, sent))
        if operation is Operation.DELETE:
            _delete(session, bound, sent, changes)
        else:
            _merge(sent, changes, operation)
            _store(session, bound, changes)
        _note_call(session, bound, changes.outcomes)


def _note_call(session: Session, bound: Mapping[str, Any], outcomes: Sequence[tuple[RecordKey, Outcome]]) -> None:
    """Note what became of the records of a call, and forget the oldest of too many calls."""
    entries = [{**_named(key), "outcome": outcome} for key, outcome in outcomes]
    number = session.execute(NOTE_CALL, {**bound, "outcomes": _json(entries)}).scalar_one()
    session.execute(FORGET_CALLS, {**bound, "last": number - MOST_CALLS})
    publish(session, Topic.SPORTS, bound["tenant_id"])


def _stored(session: Session, bound: Mapping[str, Any], sent: Sequence[SentRecord]) -> dict[RecordKey, Stored]:
    """The records that a request names, and those that they may come to hang on."""
    named = {record.key for record in sent}
    named.update(key for record in sent for key in ancestors_of(record.key, record.members))
    before = _find(session, bound, named)
    # A record whose parent's key is cleared hangs on the next one that it had named before.
    cleared = [record.key for record in sent if record.key in before and None in record.members.values()]
    further = {ancestor for key in cleared for ancestor in ancestors_of(key, before[key].members)} - named
    return before | _find(session, bound, further) if further else before


def _find(session: Session, bound: Mapping[str, Any], keys: Iterable[RecordKey]) -> dict[RecordKey, Stored]:
    rows = session.execute(FIND, {**bound, "keys": _json(map(_named, keys))})
    return {
        RecordKey(KINDS[kind], event_key, record_key): Stored(
            orjson.loads(members),
            RecordKey(KINDS[parent_kind], *parent) if parent_kind else None,
            Price(numerator, denominator, decimal_odds),
            prices,
        )
        for (
            kind,
            event_key,
            record_key,
            members,
            parent_kind,
            *parent,
            numerator,
            denominator,
            decimal_odds,
            prices,
        ) in rows
    }


def _merge(sent: Sequence[SentRecord], changes: Changes, operation: Operation) -> None:
    """Have records as they are after the request. Raises Invalid for a parent that is not there."""
    for place, record in enumerate(sent):
        present = changes.present(record.key)
        if present is None and operation is Operation.UPDATE:
            changes.outcomes.append((record.key, Outcome.UNKNOWN))
            continue
        base = present if present is not None and operation is Operation.UPDATE else NOTHING
        members = {name: value for name, value in {**base.members, **record.members}.items() if value is not None}
        may_move = base.parent is None or not PARENT_KEYS[record.key.kind].isdisjoint(record.members)
        parent = parent_of(record.key, members) if may_move else base.parent
        if parent is not None and parent != base.parent and changes.present(parent) is None:
            raise Invalid(
                f"[{place}].{KEYS[parent.kind]}: the {parent.kind} {parent.record_key!r} is neither stored nor earlier "
                "in the request."
            )
        try:
            price = priced(base.price, record.members)
        except ValueError as error:
            raise Invalid(f"[{place}]{error}.") from error
        changes.after[record.key] = Stored(_with_price(members, price), parent, price)
        changes.outcomes.append((record.key, Outcome.CREATED if present is None else Outcome.UPDATED))


def priced(before: Price, members: Mapping[str, Any]) -> Price:
    """The price of a selection after a change: of whichever form came, else as before; null takes it away.

    Where both forms came, both stay as they are. Raises ValueError for half of a fraction whose other half is missing.
    """
    if not members.keys() & PRICE_MEMBERS:
        return before
    decimal = members.get("decPrice")
    price = NO_PRICE if decimal is None else of_decimal(decimal_of(decimal))
    if members.get("numPrice") is None and members.get("denPrice") is None:
        return price
    numerator = members.get("numPrice", before.numerator)
    denominator = members.get("denPrice", before.denominator)
    if numerator is None or denominator is None:
        raise ValueError(f".{'numPrice' if numerator is None else 'denPrice'} is missing: a fraction needs both")
    fraction = of_fraction(numerator, denominator)
    return fraction if decimal is None else fraction._replace(decimal=price.decimal)


def _with_price(members: dict[str, Any], price: Price) -> dict[str, Any]:
    """Members with the price in both forms, or without one."""
    if price.decimal is None:
        return members
    return {**members, "numPrice": price.numerator, "denPrice": price.denominator, "decPrice": float(price.decimal)}


def _store(session: Session, bound: Mapping[str, Any], changes: Changes) -> None:
    rows = []
    for key, stored in changes.after.items():
        before = changes.before.get(key) or NOTHING
        is_new = stored.price != before.price
        rows.append(_row(key, stored) | {"prices": before.prices + is_new, "has_new_price": is_new})
    if rows:
        session.execute(STORE, {**bound, "most": MOST_PRICES, "rows": _json(rows)})


def _row(key: RecordKey, stored: Stored) -> dict[str, Any]:
    parent = stored.parent
    return {
        **_named(key),
        "parent_kind": parent.kind if parent else "",
        "parent_event_key": parent.event_key if parent else "",
        "parent_key": parent.record_key if parent else "",
        "names": names_of(key, stored.members),
        "is_shown": is_shown(stored.members),
        "is_active": is_active(key, stored.members),
        "display_order": stored.members.get("displayOrder"),
        "starts_at": stored.members.get("eventDateTime"),
        "numerator": stored.price.numerator,
        "denominator": stored.price.denominator,
        "decimal_odds": stored.price.decimal and str(stored.price.decimal),
        "members": stored.members,
    }


def _delete(session: Session, bound: Mapping[str, Any], sent: Sequence[SentRecord], changes: Changes) -> None:
    """Remove records with all below them; one that is named again is unknown by then."""
    removed: set[RecordKey] = set()
    for record in sent:
        is_there = record.key in changes.before and record.key not in removed
        removed.add(record.key)
        changes.outcomes.append((record.key, Outcome.DELETED if is_there else Outcome.UNKNOWN))
    session.execute(DELETE, {**bound, "keys": _json(map(_named, removed))})


def _named(key: RecordKey) -> dict[str, str]:
    return {"kind": key.kind, "event_key": key.event_key, "record_key": key.record_key}


def _json(rows: Iterable[Mapping[str, Any]]) -> str:
    return orjson.dumps(list(rows)).decode()
