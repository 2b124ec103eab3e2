"""Members of target groups on a data date: computed set-based, kept as a snapshot that only a recomputation changes."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences import queries
from rapport.audiences.groups import computing_order, target_group, versions_of
from rapport.audiences.models import Snapshot, TargetGroup
from rapport.audiences.schema import current_date, schema
from rapport.customers import attributes
from rapport.errors import NotFound
from rapport.stores.records import hold

MEMBERS = "target_group_members"


def compute_members(scope: Scope, target_group_id: int, data_date: date) -> int:
    """Store the members of a group for a data date, those of the groups it depends on first; gives its size.

    Members that were stored before are replaced at once, so a reader sees the old or the new, never
    less. Raises NotFound, Conflict, Invalid when an attribute of the definition is gone.
    """
    size = 0
    for number in computing_order(scope, {target_group(scope, target_group_id).id}):
        size = compute_own(scope, number, data_date)
    return size


def compute_own(scope: Scope, target_group_id: int, data_date: date) -> int:
    """Store the members of a group for a data date, by the stored ones of the groups it depends on; gives its size."""
    with scope.records() as session:
        hold(session, scope.tenant_id, f"members {target_group_id}")
        versions = versions_of(scope, target_group_id)
        group = session.get_one(TargetGroup, (scope.tenant_id, target_group_id))
        size = _store(scope, group, data_date)
        _note(scope, session, group, data_date, size, versions)
    return size


@attributes.attributes_read_once()
def _store(scope: Scope, group: TargetGroup, data_date: date) -> int:
    compiled = conditions.to_sql(group.condition, schema(scope, data_date))
    partition: dict[str, Any] = {"data_date": data_date.isoformat(), "target_group": group.id}
    warehouse = scope.warehouse
    parts = list(warehouse.customer_slices(*queries.READ, *compiled.tables))

    def stored(table: str) -> int:
        return int(warehouse.value(queries.STORED.format(table=table), **partition))

    def fill(table: str) -> int:
        for part in parts:
            part.execute(
                queries.FILL.format(table=table, members=compiled.sql), None, **compiled.parameters, **partition
            )
        return stored(table)

    # One statement of so few is seen as a whole or not at all, and what a kill leaves unnoted is replaced as any other.
    if len(parts) == 1 and not stored(MEMBERS):
        return fill(MEMBERS)
    aside = f"{MEMBERS}_aside_{group.id}"
    warehouse.execute(queries.MAKE_ASIDE.format(aside=aside))
    size = fill(aside)
    # The engine refuses to put nothing in a partition's place.
    warehouse.execute((queries.REPLACE if size else queries.CLEAR).format(**partition, aside=aside))
    warehouse.execute(queries.DROP_ASIDE.format(aside=aside))
    return size


def _note(
    scope: Scope, session: Session, group: TargetGroup, data_date: date, size: int, versions: dict[str, int]
) -> None:
    values: dict[str, Any] = {"versions": versions, "size": size, "computed_at": scope.clock.now()}
    key = {"tenant_id": scope.tenant_id, "target_group_id": group.id, "data_date": data_date}
    statement = insert(Snapshot).values(**key, **values)
    session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
    if group.size_date is None or data_date >= group.size_date:
        group.size, group.size_date, group.sized_at = size, data_date, values["computed_at"]


def ensure_members(scope: Scope, group_ids: set[int], data_date: date) -> None:
    """Store the members of groups for a data date, unless they are and no definition behind them has changed since.

    Raises NotFound when the profile of the date is not kept.
    """
    for number in computing_order(scope, group_ids):
        target_group(scope, number)
        stored = snapshot(scope, number, data_date)
        if stored is not None and stored.versions == versions_of(scope, number):
            continue
        if not scope.warehouse.value(queries.HAS_PROFILE, data_date=data_date.isoformat()):
            raise NotFound(f"There is no profile of {data_date.isoformat()} to compute target group {number} on.")
        compute_own(scope, number, data_date)


def members(scope: Scope, target_group_id: int, data_date: date | None, limit: int, offset: int = 0) -> list[str]:
    """A page of the customer ids of a group on a data date, the newest when None, in order of id.

    They are the stored ones; where none are stored and the profile of the date is kept, they are
    computed as the definition now reads, and stored. Raises NotFound.
    """
    target_group(scope, target_group_id)
    day = data_date or current_date(scope)
    if snapshot(scope, target_group_id, day) is None:
        ensure_members(scope, {target_group_id}, day)
    parameters = {"data_date": day.isoformat(), "target_group": target_group_id}
    rows = scope.warehouse.rows(queries.MEMBERS, **parameters, page_top=limit, page_skip=offset)
    return [customer_id for (customer_id,) in rows]


def newest_snapshots(scope: Scope, target_group_ids: Iterable[int]) -> dict[int, date]:
    """The newest date for which members of each group are stored; groups without any are absent."""
    statement = select(Snapshot.target_group_id, func.max(Snapshot.data_date)).where(
        Snapshot.tenant_id == scope.tenant_id, Snapshot.target_group_id.in_(sorted(target_group_ids))
    )
    with scope.reads() as session:
        return {row[0]: row[1] for row in session.execute(statement.group_by(Snapshot.target_group_id))}


def snapshot(scope: Scope, target_group_id: int, data_date: date) -> Snapshot | None:
    """What is known of the stored members of a group for a data date; None when there are none."""
    with scope.reads() as session:
        return session.get(Snapshot, (scope.tenant_id, target_group_id, data_date))
