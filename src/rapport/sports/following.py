"""The calls of a brand one after the other, for those who follow its inventory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import func as sql
from sqlalchemy import select, text

from rapport.access.scope import Scope
from rapport.sports.definitions import Kind, RecordKey
from rapport.sports.models import SportsCall
from rapport.sports.reading import COLUMNS, FROM, OF_BRAND, ReadRecord, read_record

PRESENT = text(f"""
    SELECT {COLUMNS} {FROM} WHERE {OF_BRAND} AND (record.kind, record.event_key, record.record_key) IN (
        SELECT kind, event_key, record_key
        FROM json_to_recordset(CAST(:keys AS json)) AS named (kind text, event_key text, record_key text)
    )
""")  # noqa: S608 - ours


@dataclass(frozen=True)
class Change:
    """What became of a record of a call, and the record as it is by now; None where it is gone."""

    key: RecordKey
    outcome: str
    record: ReadRecord | None


@dataclass(frozen=True)
class FollowedCall:
    """A call of a feed, by its number, with what became of its records in their order."""

    number: int
    at: datetime
    changes: Sequence[Change]


def kept_calls(scope: Scope, brand: str) -> tuple[int, int]:
    """The numbers of the oldest call that is kept and of the newest one; zeros before the first."""
    numbers = select(sql.min(SportsCall.number), sql.max(SportsCall.number)).where(
        SportsCall.tenant_id == scope.tenant_id, SportsCall.brand_group_id == brand
    )
    with scope.reads() as session:
        oldest, newest = session.execute(numbers).one()
    return oldest or 0, newest or 0


def next_call(scope: Scope, brand: str, after: int) -> FollowedCall | None:
    """The first call after the one with a number; None where there is none yet."""
    later = select(SportsCall).where(
        SportsCall.tenant_id == scope.tenant_id, SportsCall.brand_group_id == brand, SportsCall.number > after
    )
    with scope.reads() as session:
        call = session.scalars(later.order_by(SportsCall.number).limit(1)).first()
    if call is None:
        return None
    present = _present(scope, brand, call.outcomes)
    keys = [_key(entry) for entry in call.outcomes]
    changes = [Change(key, entry["outcome"], present.get(key)) for key, entry in zip(keys, call.outcomes, strict=True)]
    return FollowedCall(call.number, call.at, changes)


def _present(scope: Scope, brand: str, entries: Sequence[Mapping[str, str]]) -> dict[RecordKey, ReadRecord]:
    bound = {"tenant_id": scope.tenant_id, "brand": brand, "keys": orjson.dumps(list(entries)).decode()}
    with scope.reads() as session:
        records = map(read_record, session.execute(PRESENT, bound))
        return {RecordKey(record.kind, record.event_key, record.record_key): record for record in records}


def _key(entry: Mapping[str, str]) -> RecordKey:
    return RecordKey(Kind(entry["kind"]), entry["event_key"], entry["record_key"])
