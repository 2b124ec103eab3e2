"""Size and sample of a definition now; counts that run aside, can be canceled, and are remembered with their age."""

import hashlib
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from heapq import nsmallest
from typing import Any

import orjson
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import delete, select, update

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences import queries
from rapport.audiences.groups import target_group, target_groups
from rapport.audiences.membership import ensure_members
from rapport.audiences.models import Count, TargetGroup
from rapport.audiences.names import Definition
from rapport.audiences.schema import NOT_MODELLED, schema
from rapport.audiences.states import CountState
from rapport.channels import service as channels
from rapport.conditions import Compiled, Condition, Schema
from rapport.errors import Away, Conflict, NotFound, RapportError
from rapport.stores import Stores
from rapport.stores.turns import FairQueues
from rapport.stores.warehouse import Database

COUNTS_AT_ONCE = 2
LONGEST_COUNT = timedelta(minutes=10)
KEPT = timedelta(days=7)
# Counts of a tenant that wait for their turn; what comes beyond is told to come again.
MOST_WAITING = 100
CROWDED = "So many counts of this tenant are under way that no more can wait: try again, or cancel some."


def _compiled(scope: Scope, condition: Condition, on: Schema) -> Compiled:
    """The SELECT of a condition, once the groups that it names are stored for the date."""
    needed = conditions.groups_in(condition)
    if needed:
        ensure_members(scope, needed, on.data_date)
    return conditions.to_sql(condition, on)


def _count(warehouse: Database, compiled: Compiled, count_id: str = "") -> int:
    sql = queries.COUNT.format(members=compiled.sql)
    if count_id:
        sql = f"{_tag(count_id)}{sql} SETTINGS max_execution_time = {LONGEST_COUNT.seconds}"
    return sum(
        int(part.value(sql, **compiled.parameters))
        for part in warehouse.customer_slices(*queries.READ, *compiled.tables)
    )


def size_now(scope: Scope, condition: Condition) -> int:
    """How many customers of the newest data date a condition selects, counted now. Raises Invalid."""
    return _count(scope.warehouse, _compiled(scope, condition, schema(scope)))


def check_modelled(scope: Scope) -> None:
    """Raises Conflict before the first daily cycle, when that nobody is selected says nothing of a definition."""
    if scope.data_date() is None:
        raise Conflict(NOT_MODELLED)


def reach_now(scope: Scope, condition: Condition) -> dict[int, int]:
    """How many of the customers that a condition selects now each channel reaches, by channel. Raises Invalid."""
    on = schema(scope)
    used = [channel.id for channel in channels.channels(scope)]
    if not used:
        return {}
    ensure_members(scope, conditions.groups_in(condition), on.data_date)
    reachable = [conditions.Every((condition, conditions.Reachable(number))) for number in used]
    compiled, reached = conditions.to_counts(reachable, on), dict.fromkeys(used, 0)
    for part in scope.warehouse.customer_slices(*queries.READ, *compiled.tables):
        for number, count in zip(used, part.row(compiled.sql, **compiled.parameters) or (), strict=True):
            reached[number] += int(count)
    return reached


def sample_now(scope: Scope, condition: Condition, n: int) -> list[str]:
    """Up to n customer ids that a condition selects, spread evenly and the same every time. Raises Invalid."""
    compiled = _compiled(scope, condition, schema(scope))
    sql = queries.SAMPLE.format(members=compiled.sql)
    parts = scope.warehouse.customer_slices(*queries.READ, *compiled.tables)
    rows = (row for part in parts for row in part.rows(sql, **compiled.parameters, sample=n))
    return [customer_id for _, customer_id in nsmallest(n, rows)]


def size_target_group(scope: Scope, target_group_id: int) -> TargetGroup:
    """Count a group now and remember the size with its age. Raises NotFound, or Conflict as check_modelled does."""
    group = target_group(scope, target_group_id)
    on = schema(scope)
    size = _count(scope.warehouse, _compiled(scope, group.condition, on))
    if not size:
        check_modelled(scope)
    with scope.records() as session:
        session.add(group)
        group.size, group.size_date, group.sized_at = size, on.data_date, scope.clock.now()
    return group


# Counts that run aside


class Counting:
    """The threads of a process that count, in which tenants take turns."""

    def __init__(self, stores: Stores) -> None:
        self._threads = ThreadPoolExecutor(COUNTS_AT_ONCE, thread_name_prefix="count")
        self._turns = FairQueues[Callable[[], None]](COUNTS_AT_ONCE)
        self._lock = threading.Lock()

    def check(self, tenant_id: int) -> None:
        """Raises Away for a tenant with so many counts that no more can wait."""
        with self._lock:
            if self._turns.waiting(tenant_id) >= MOST_WAITING:
                raise Away(CROWDED)

    def put(self, tenant_id: int, count: Callable[[], None]) -> None:
        """Have something counted when it is the tenant's turn."""
        with self._lock:
            self._turns.join(tenant_id, count)
            self._begin()

    def stop(self) -> None:
        """Begin no more counts; those that have begun are not waited for, and are failed after a while."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        for tenant_id, count in self._turns.admitted():
            self._threads.submit(self._carry_out, tenant_id, count)

    def _carry_out(self, tenant_id: int, count: Callable[[], None]) -> None:
        try:
            count()
        finally:
            with self._lock:
                self._turns.give_back(tenant_id)
                self._begin()


def _counting(scope: Scope) -> Counting:
    return scope.stores.workers.only(Counting, scope.stores)


def _digest(scope: Scope, definition: Definition) -> str:
    versions = [(group.id, group.version) for group in target_groups(scope)]
    counted = [definition.raw, versions if conditions.groups_in(definition.condition) else []]
    return hashlib.sha256(orjson.dumps(counted, option=orjson.OPT_SORT_KEYS)).hexdigest()


def start_count(scope: Scope, definition: Definition, *, refresh: bool = False) -> Count:
    """Begin to count a definition aside. One that was counted for the same data date is answered as it was, unless
    refresh. Raises Away when too many of the tenant's counts wait already."""
    on = schema(scope)
    digest = _digest(scope, definition)
    if not refresh and (earlier := _known(scope, digest, on.data_date)):
        return earlier
    _counting(scope).check(scope.tenant_id)
    count = Count(
        tenant_id=scope.tenant_id,
        id=uuid.uuid4().hex,
        digest=digest,
        data_date=on.data_date,
        state=CountState.RUNNING,
        error="",
        started_at=scope.clock.now(),
    )
    with scope.records() as session:
        old = (Count.tenant_id == scope.tenant_id, Count.started_at < scope.clock.now() - KEPT)
        session.execute(delete(Count).where(*old))
        session.add(count)
    _counting(scope).put(scope.tenant_id, partial(_run, scope, count.id, definition.condition, on))
    return count


def _known(scope: Scope, digest: str, data_date: date) -> Count | None:
    chosen = (Count.tenant_id == scope.tenant_id, Count.digest == digest, Count.data_date == data_date)
    newest = select(Count).where(*chosen, Count.state == CountState.DONE).order_by(Count.finished_at.desc()).limit(1)
    with scope.reads() as session:
        return session.scalar(newest)


def _tag(count_id: str) -> str:
    return f"/* count {count_id} */ "


def _run(scope: Scope, count_id: str, condition: Condition, on: Schema) -> None:
    began = time.perf_counter()
    try:
        if count(scope, count_id).state != CountState.RUNNING:
            return
        size = _count(scope.warehouse, _compiled(scope, condition, on), count_id)
        if not size:
            check_modelled(scope)
        _finish(scope, count_id, CountState.DONE, size=size, seconds=time.perf_counter() - began)
    except RapportError as error:
        _finish(scope, count_id, CountState.FAILED, error=error.message)
    except ClickHouseError:
        _finish(scope, count_id, CountState.FAILED, error="The warehouse could not count this definition.")


def _finish(scope: Scope, count_id: str, state: str, **values: Any) -> None:
    """End a running count; one that has ended, as by a cancel, stays as it is."""
    chosen = (Count.tenant_id == scope.tenant_id, Count.id == count_id, Count.state == CountState.RUNNING)
    with scope.records() as session:
        session.execute(update(Count).where(*chosen).values(state=state, finished_at=scope.clock.now(), **values))


def count(scope: Scope, count_id: str) -> Count:
    """A count by id; one whose process died is failed after a while. Raises NotFound."""
    with scope.reads() as session:
        stored = session.get(Count, (scope.tenant_id, count_id))
    if stored is None:
        raise NotFound(f"There is no count {count_id}.")
    if stored.state == CountState.RUNNING and scope.clock.now() - stored.started_at > LONGEST_COUNT:
        _finish(scope, count_id, CountState.FAILED, error="The count did not end.")
        return count(scope, count_id)
    return stored


def cancel_count(scope: Scope, count_id: str) -> Count:
    """Stop a running count; one that has ended stays as it is. Raises NotFound."""
    if count(scope, count_id).state == CountState.RUNNING:
        _finish(scope, count_id, CountState.CANCELED)
        scope.warehouse.execute(queries.KILL, None, tag=_tag(count_id))
    return count(scope, count_id)
