"""What is in the inventory of a brand, at which prices selections were offered, and what became of records."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, text

from rapport.access.scope import Scope
from rapport.sports.definitions import Kind
from rapport.sports.models import SportsPrice
from rapport.sports.odds import Price
from rapport.stores.parts import Part, part

# A selection has a market, an event, a type, a class and a category above it.
MOST_ANCESTORS = len(Kind) - 1
LIKE_ESCAPES = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})


@dataclass(frozen=True)
class RecordFilter:
    """Which records are asked for. None: any. text is searched in all names of a record, in any case."""

    kind: Kind | None = None
    parent_kind: Kind | None = None
    parent_key: str | None = None
    event_key: str | None = None
    text: str | None = None
    shown: bool | None = None
    active: bool | None = None
    starts_from: datetime | None = None
    starts_to: datetime | None = None


@dataclass(frozen=True)
class LogFilter:
    """Which entries of the log are asked for, of which calls: those up to a number. None: any."""

    outcome: str | None = None
    record_key: str | None = None
    last_call: int | None = None


@dataclass(frozen=True)
class ReadRecord:
    """A record. shown and active hold for it with everything above it."""

    kind: Kind
    event_key: str
    record_key: str
    parent_kind: str
    parent_key: str
    names: str
    shown: bool
    active: bool
    starts_at: datetime | None
    price: Price
    members: dict[str, Any]
    created_at: datetime
    updated_at: datetime


def ancestors(most: int) -> str:
    """Joins of so many records above one (record), each by the key of the last: ancestor_1, ancestor_2 and so on.

    Each is found by its key, whatever the planner thinks of how many there are.
    """
    joins, child = [], "record"
    for number in range(1, most + 1):
        joins.append(f"""LEFT JOIN LATERAL (
            SELECT * FROM sports_records AS parent WHERE parent.tenant_id = :tenant_id
                AND parent.brand_group_id = :brand AND parent.kind = {child}.parent_kind
                AND parent.event_key = {child}.parent_event_key AND parent.record_key = {child}.parent_key LIMIT 1
        ) AS ancestor_{number} ON true""")  # noqa: S608 - ours
        child = f"ancestor_{number}"
    return " ".join(joins)


def with_ancestors(column: str, most: int) -> str:
    """SQL of whether a column holds for a record and so many above it."""
    above = (f"coalesce(ancestor_{number}.{column}, true)" for number in range(1, most + 1))
    return "(" + " AND ".join([f"record.{column}", *above]) + ")"


SHOWN, ACTIVE = (with_ancestors(column, MOST_ANCESTORS) for column in ("is_shown", "is_active"))
FROM = f"FROM sports_records AS record {ancestors(MOST_ANCESTORS)}"
OF_BRAND = "record.tenant_id = :tenant_id AND record.brand_group_id = :brand"
COLUMNS = f"""record.kind, record.event_key, record.record_key, record.parent_kind, record.parent_key, record.names,
    {SHOWN} AS shown, {ACTIVE} AS active, record.starts_at, record.numerator, record.denominator,
    record.decimal_odds, record.members, record.created_at, record.updated_at"""
KIND_ORDER = f"array_position(ARRAY[{', '.join(repr(str(kind)) for kind in Kind)}], CAST(record.kind AS text))"
ORDER = f"{KIND_ORDER}, record.display_order NULLS LAST, record.starts_at, record.event_key, record.record_key"
CONDITIONS = {
    "kind": "record.kind = :kind",
    "parent_kind": "record.parent_kind = :parent_kind",
    "parent_key": "record.parent_key = :parent_key",
    "event_key": "record.event_key = :event_key",
    "text": "record.names ILIKE :text",
    "shown": f"{SHOWN} = :shown",
    "active": f"{ACTIVE} = :active",
    "starts_from": "record.starts_at >= :starts_from",
    "starts_to": "record.starts_at < :starts_to",
}

# Bound work: a call has up to 500 records.
LOG_CALLS = 1000
OF_CALLS = f"""FROM (
        SELECT number, at, outcomes FROM sports_calls
        WHERE tenant_id = :tenant_id AND brand_group_id = :brand AND number <= coalesce(:last_call, number)
        ORDER BY number DESC LIMIT {LOG_CALLS}
    ) AS newest CROSS JOIN LATERAL ROWS FROM (
        jsonb_to_recordset(newest.outcomes) AS (kind text, event_key text, record_key text, outcome text)
    ) WITH ORDINALITY AS entry (kind, event_key, record_key, outcome, place)
    WHERE (CAST(:outcome AS text) IS NULL OR entry.outcome = :outcome)
        AND (CAST(:record_key AS text) IS NULL OR entry.record_key = :record_key)"""  # noqa: S608 - ours
LOG = text(f"""SELECT newest.number, entry.place - 1, newest.at, entry.kind, entry.event_key, entry.record_key,
    entry.outcome {OF_CALLS} ORDER BY newest.number DESC, entry.place LIMIT :limit OFFSET :offset""")
LOGGED = text(f"SELECT count(*) {OF_CALLS}")


def records(scope: Scope, brand: str, record_filter: RecordFilter, limit: int, offset: int) -> Part[ReadRecord]:
    """Records of a brand group, by kind, display order, start and key."""
    bound = {name: value for name, value in vars(record_filter).items() if value is not None}
    where = " AND ".join([OF_BRAND, *(CONDITIONS[name] for name in bound)])
    if record_filter.text is not None:
        bound["text"] = f"%{record_filter.text.translate(LIKE_ESCAPES)}%"
    bound |= {"tenant_id": scope.tenant_id, "brand": brand}
    paged = f"SELECT {COLUMNS} {FROM} WHERE {where} ORDER BY {ORDER} LIMIT :limit OFFSET :offset"
    with scope.reads() as session:
        rows = session.execute(text(paged), {**bound, "limit": limit, "offset": offset}).all()
        total = session.scalar(text(f"SELECT count(*) {FROM} WHERE {where}"), bound)
    return Part([read_record(row) for row in rows], int(total or 0))


def read_record(row: Row[Any]) -> ReadRecord:
    """A record from a row of COLUMNS."""
    return ReadRecord(
        kind=Kind(row.kind),
        event_key=row.event_key,
        record_key=row.record_key,
        parent_kind=row.parent_kind,
        parent_key=row.parent_key,
        names=row.names,
        shown=row.shown,
        active=row.active,
        starts_at=row.starts_at,
        price=Price(row.numerator, row.denominator, row.decimal_odds),
        members=row.members,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def prices(scope: Scope, brand: str, event_key: str, selection_key: str, limit: int, offset: int) -> Part[SportsPrice]:
    """The prices that a selection has had, the newest first."""
    mine = select(SportsPrice).where(
        SportsPrice.tenant_id == scope.tenant_id,
        SportsPrice.brand_group_id == brand,
        SportsPrice.event_key == event_key,
        SportsPrice.selection_key == selection_key,
    )
    with scope.reads() as session:
        return part(session, mine.order_by(SportsPrice.at.desc(), SportsPrice.number.desc()), limit, offset)


@dataclass(frozen=True)
class LoggedRecord:
    """What became of a record of a call; place is its number there, from 0."""

    call: int
    place: int
    at: datetime
    kind: Kind
    event_key: str
    record_key: str
    outcome: str


def log(scope: Scope, brand: str, log_filter: LogFilter, limit: int, offset: int) -> Part[LoggedRecord]:
    """What became of the records of the newest LOG_CALLS calls that are asked about, the newest call first."""
    bound = {"tenant_id": scope.tenant_id, "brand": brand, **vars(log_filter)}
    with scope.reads() as session:
        rows = session.execute(LOG, {**bound, "limit": limit, "offset": offset}).all()
        total = session.scalar(LOGGED, bound)
    entries = [
        LoggedRecord(number, place, at, Kind(kind), event_key, record_key, outcome)
        for number, place, at, kind, event_key, record_key, outcome in rows
    ]
    return Part(entries, int(total or 0))
