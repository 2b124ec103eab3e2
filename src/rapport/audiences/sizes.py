"""Sizes of all target groups by data date, so that how an audience grows can be told."""

from collections.abc import Collection, Sequence
from datetime import date, timedelta

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences import queries
from rapport.audiences.groups import computing_order, target_group, target_groups
from rapport.audiences.membership import compute_own
from rapport.audiences.models import DailySize, Snapshot, TargetGroup
from rapport.audiences.schema import schema
from rapport.conditions import Condition, Schema
from rapport.errors import Away, RapportError

log = structlog.get_logger("rapport.audiences")
# Groups that are counted by one statement: what their histories read is held at the same time.
AT_ONCE = 20
KEPT = timedelta(days=1100)
FAULTS = (RapportError, ClickHouseError)


def note_sizes(scope: Scope, data_date: date, computed: Collection[int]) -> None:
    """Keep the size of every group in use on a data date; computed are those whose members were just stored for it.

    Only groups that others name get members; the rest are counted, many by one statement. One that cannot be counted
    is logged and has no size for the day. Raises Away.
    """
    groups = target_groups(scope)
    done, failed = {*computed}, set[int]()
    for number in computing_order(scope, {needed for group in groups for needed in group.depends_on}):
        if number in done:
            continue
        (done if _is_computed(scope, number, data_date) else failed).add(number)
    sizes = _stored(scope, done, data_date)
    uncounted = [group for group in groups if group.id not in {*sizes, *failed} and failed.isdisjoint(group.depends_on)]
    sizes |= _counted(scope, uncounted, schema(scope, data_date)) if uncounted else {}
    _keep(scope, groups, sizes, data_date)


def _is_computed(scope: Scope, target_group_id: int, data_date: date) -> bool:
    try:
        compute_own(scope, target_group_id, data_date)
    except Away:
        raise
    except FAULTS:
        log.exception("target group failed", tenant_id=scope.tenant_id, target_group_id=target_group_id)
        return False
    return True


def _stored(scope: Scope, target_group_ids: Collection[int], data_date: date) -> dict[int, int]:
    """Sizes by id of groups whose members are stored."""
    statement = select(Snapshot.target_group_id, Snapshot.size).where(
        Snapshot.tenant_id == scope.tenant_id,
        Snapshot.data_date == data_date,
        Snapshot.target_group_id.in_(sorted(target_group_ids)),
    )
    with scope.reads() as session:
        return {row.target_group_id: row.size for row in session.execute(statement)}


def _counted(scope: Scope, groups: Sequence[TargetGroup], on: Schema) -> dict[int, int]:
    """Sizes by id of groups, each counted by its definition."""
    sizes: dict[int, int] = {}
    parsed: dict[int, Condition] = {}
    for group in groups:
        try:
            parsed[group.id] = group.condition
            conditions.to_counts([parsed[group.id]], on)
        except RapportError as error:
            parsed.pop(group.id, None)
            log.warning("target group not counted", tenant_id=scope.tenant_id, id=group.id, reason=error.message)
    numbers = list(parsed)
    for first in range(0, len(numbers), AT_ONCE):
        batch = numbers[first : first + AT_ONCE]
        try:
            sizes |= _together(scope, {number: parsed[number] for number in batch}, on)
        except ClickHouseError:
            sizes |= _one_by_one(scope, {number: parsed[number] for number in batch}, on)
    return sizes


def _one_by_one(scope: Scope, batch: dict[int, Condition], on: Schema) -> dict[int, int]:
    """Sizes of groups of which the engine cannot count all at once: one may be too large for it."""
    sizes: dict[int, int] = {}
    for number, condition in batch.items():
        try:
            sizes |= _together(scope, {number: condition}, on)
        except ClickHouseError:
            log.exception("target group not counted", tenant_id=scope.tenant_id, id=number)
    return sizes


def _together(scope: Scope, batch: dict[int, Condition], on: Schema) -> dict[int, int]:
    compiled = conditions.to_counts(list(batch.values()), on)
    sizes = dict.fromkeys(batch, 0)
    for part in scope.warehouse.customer_slices(*queries.READ, *compiled.tables):
        for number, count in zip(batch, part.row(compiled.sql, **compiled.parameters) or (), strict=True):
            sizes[number] += int(count)
    return sizes


def _keep(scope: Scope, groups: Sequence[TargetGroup], sizes: dict[int, int], data_date: date) -> None:
    rows = [
        {"tenant_id": scope.tenant_id, "target_group_id": group.id, "data_date": data_date}
        | {"version": group.version, "size": sizes[group.id]}
        for group in groups
        if group.id in sizes
    ]
    old = (DailySize.tenant_id == scope.tenant_id, DailySize.data_date < data_date - KEPT)
    with scope.records() as session:
        session.execute(delete(DailySize).where(*old))
        if not rows:
            return
        statement = insert(DailySize).values(rows)
        values = {"version": statement.excluded.version, "size": statement.excluded.size}
        key = ["tenant_id", "target_group_id", "data_date"]
        session.execute(statement.on_conflict_do_update(index_elements=key, set_=values))
        parameters = {"tenant_id": scope.tenant_id, "data_date": data_date, "now": scope.clock.now()}
        session.execute(text(queries.TELL_SIZES), parameters)


def sizes_of(scope: Scope, target_group_id: int, first: date | None, last: date | None) -> list[DailySize]:
    """The sizes of a group by data date, oldest first, between two days if they are given. Raises NotFound."""
    target_group(scope, target_group_id)
    statement = select(DailySize).where(
        DailySize.tenant_id == scope.tenant_id, DailySize.target_group_id == target_group_id
    )
    if first is not None:
        statement = statement.where(DailySize.data_date >= first)
    if last is not None:
        statement = statement.where(DailySize.data_date <= last)
    with scope.reads() as session:
        return list(session.scalars(statement.order_by(DailySize.data_date)))
