"""Records of daily cycles: one row a tenant, data date and run."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import cast, func, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from rapport.access.scope import Scope
from rapport.campaigns.models import Cycle
from rapport.campaigns.states import CycleState
from rapport.errors import Conflict, NotFound
from rapport.stores.parts import Part, part


@dataclass(frozen=True)
class CycleResult:
    """What a cycle did: seconds by step, in order."""

    data_date: date
    run: int
    state: str
    steps: list[dict[str, Any]]
    error: str

    @property
    def seconds(self) -> float:
        """All steps together."""
        return round(sum(float(step["seconds"]) for step in self.steps), 3)


def execution_date(data_date: date) -> date:
    """The day whose campaigns the cycle of a data date processes."""
    return data_date + timedelta(days=1)


def key(scope: Scope, data_date: date, run: int) -> str:
    """The key of a cycle's durable work."""
    return f"cycle:{scope.tenant_id}:{data_date.isoformat()}:{run}"


def begin(scope: Scope, data_date: date, *, again: bool = True) -> int:
    """The run under way for a date, else (if there was none, or again) a new one. Concurrent callers get the same.

    Raises Conflict for a day that is not over: published, it would stand before every real one.
    """
    if data_date >= scope.today():
        raise Conflict(f"data_date must be a past day, at the latest {scope.today() - timedelta(days=1)}.")
    with scope.records() as session:
        last: Cycle | None = session.scalar(_of(scope, data_date).order_by(Cycle.run.desc()).limit(1))
        if last is not None and (last.state == CycleState.RUNNING or not again):
            return last.run
        run = 0 if last is None else last.run + 1
        values = {"tenant_id": scope.tenant_id, "data_date": data_date, "run": run, "state": CycleState.RUNNING}
        values |= {"steps": [], "error": "", "started_at": scope.clock.now()}
        session.execute(insert(Cycle).values(**values).on_conflict_do_nothing())
    return run


def _of(scope: Scope, data_date: date) -> Any:
    return select(Cycle).where(Cycle.tenant_id == scope.tenant_id, Cycle.data_date == data_date)


def state_of(scope: Scope, data_date: date) -> str:
    """The state of the last cycle of a date; empty when there was none."""
    with scope.reads() as session:
        last: Cycle | None = session.scalar(_of(scope, data_date).order_by(Cycle.run.desc()).limit(1))
    return last.state if last else ""


def under_way(scope: Scope) -> list[date]:
    """The data dates whose cycles are running."""
    query = select(Cycle.data_date).where(Cycle.tenant_id == scope.tenant_id, Cycle.state == CycleState.RUNNING)
    with scope.reads() as session:
        return list(session.scalars(query.distinct().order_by(Cycle.data_date)))


def _get(scope: Scope, session: Any, data_date: date, run: int) -> Cycle:
    cycle: Cycle | None = session.get(Cycle, (scope.tenant_id, data_date, run))
    if cycle is None:
        raise NotFound(f"There is no cycle {run} of {data_date}.")
    return cycle


def note(scope: Scope, data_date: date, run: int, name: str, seconds: float) -> None:
    """Enter the time that a step took; a repeated step keeps one entry."""
    with scope.records() as session:
        cycle = _get(scope, session, data_date, run)
        others = [step for step in cycle.steps if step["name"] != name]
        cycle.steps = [*others, {"name": name, "seconds": seconds}]


def note_all(scope: Scope, data_date: date, run: int, seconds: Mapping[str, float]) -> None:
    """Enter the times of steps, by name, outside a durable step: when a cycle is resumed, those that it has stay."""
    entries = [{"name": name, "seconds": step_seconds} for name, step_seconds in seconds.items()]
    if not entries:
        return
    with scope.records() as session:
        session.execute(
            update(Cycle)
            .where(Cycle.tenant_id == scope.tenant_id, Cycle.data_date == data_date, Cycle.run == run)
            .where(~Cycle.steps.contains([{"name": entries[-1]["name"]}]))
            .values(steps=Cycle.steps + cast(entries, JSONB))
        )


def end(scope: Scope, data_date: date, run: int, error: str) -> None:
    """Enter the end of a cycle."""
    with scope.records() as session:
        cycle = _get(scope, session, data_date, run)
        cycle.state, cycle.error = (CycleState.FAILED, error) if error else (CycleState.FINISHED, "")
        cycle.finished_at = scope.clock.now()


def row(scope: Scope, data_date: date, run: int | None = None) -> Cycle:
    """The record of a cycle by date, the last run when none is named. Raises NotFound."""
    with scope.records() as session:
        if run is None:
            run = session.scalar(_of(scope, data_date).with_only_columns(func.max(Cycle.run)))
        if run is None:
            raise NotFound(f"There is no cycle of {data_date}.")
        return _get(scope, session, data_date, run)


def result(scope: Scope, data_date: date, run: int | None = None) -> CycleResult:
    """A cycle by date, the last run when none is named. Raises NotFound."""
    cycle = row(scope, data_date, run)
    return CycleResult(cycle.data_date, cycle.run, cycle.state, cycle.steps, cycle.error)


def cycles(scope: Scope, limit: int = 100, offset: int = 0) -> Part[Cycle]:
    """The tenant's cycles, newest first."""
    query = select(Cycle).where(Cycle.tenant_id == scope.tenant_id)
    with scope.reads() as session:
        return part(session, query.order_by(Cycle.data_date.desc(), Cycle.run.desc()), limit, offset)
