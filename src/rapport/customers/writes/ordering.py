"""Accepted writes of customers, carried out in the order in which they were acknowledged.

Each gets a number in the transaction that accepts it. Of a tenant one such transaction runs at a time, so that
numbers are in order of commits; and whoever writes by its own carries out first what was accepted before.
Carrying out is safe to repeat: a kill between a write and the note that it is done writes the same again, before
anything newer.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import orjson
import structlog
from sqlalchemy import Connection, bindparam, delete, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.customers import new_attributes
from rapport.customers.models import UNTOLD, AttributeJob, TableExchange
from rapport.customers.states import CallbackState
from rapport.customers.writes import attribute_writes, locks
from rapport.errors import Unavailable
from rapport.stores import Stores
from rapport.stores.records.locks import Lock, take_for_transaction

log = structlog.get_logger("rapport.customers")
ADD, UPDATE = "add", "update"
# Writes that are carried out together, at most 1,000 customers each.
AT_ONCE = 20
ACCEPT = text("""
    INSERT INTO attribute_jobs (tenant_id, id, kind, payload, callback_url, callback_state, created_at)
    VALUES (:tenant_id, :id, :kind, CAST(:payload AS jsonb), :callback_url, :callback_state, :now)
""").bindparams(bindparam("callback_url", type_=AttributeJob.callback_url.type))
# What is taken here is told by whoever took it; of rows that another takes the next are taken.
TAKE_OUTCOMES = text(f"""
    UPDATE attribute_jobs AS job SET callback_state = '{CallbackState.TAKEN}', callback_url = NULL
    FROM (
        SELECT tenant_id, id, callback_url FROM attribute_jobs
        WHERE {UNTOLD} ORDER BY seq LIMIT :most FOR UPDATE SKIP LOCKED
    ) AS untold
    WHERE job.tenant_id = untold.tenant_id AND job.id = untold.id
    RETURNING job.tenant_id, job.id, untold.callback_url, job.outcome
""").columns(  # noqa: S608 - a condition of ours
    callback_url=AttributeJob.callback_url.type, outcome=AttributeJob.outcome.type
)
IN_LINE = (AttributeJob.finished_at.is_(None), text("outcome IS NULL"))
WAITING = select(AttributeJob.tenant_id).where(*IN_LINE).distinct()
# What was cut off is put right by whoever takes the lock next, see locks.drop_noted.
OF_TENANTS = WAITING.union(select(TableExchange.tenant_id))
FAULTS = (SQLAlchemyError, Unavailable)  # what the engines raise when they are away


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a write, for the callback that was given with it."""

    tenant_id: int
    job_id: str
    callback_url: str
    body: dict[str, Any]


# What carries out writes of a kind, in their order, under locks.writing: the outcomes to tell, None for none.
WriteHandler = Callable[[Scope, Sequence[AttributeJob]], Sequence[dict[str, Any] | None]]


def accept(
    connection: Connection | Session,
    tenant_id: int,
    now: datetime,
    kind: str,
    payload: dict[str, Any],
    callback_url: str | None = None,
) -> str:
    """Put a write in line, in the caller's transaction, which should end soon after; its id.

    A transaction that puts some of several tenants in line takes the tenants in order of their ids.
    """
    job_id = str(uuid.uuid4())
    take_for_transaction(connection, Lock.WRITES_AND_EVENT_TYPES, tenant_id)
    parameters = {
        "tenant_id": tenant_id,
        "id": job_id,
        "kind": kind,
        "payload": orjson.dumps(payload).decode(),
        "callback_url": callback_url,
        "callback_state": CallbackState.WAITING if callback_url else CallbackState.NONE,
        "now": now,
    }
    connection.execute(ACCEPT, parameters)
    return job_id


def _update(scope: Scope, jobs: Sequence[AttributeJob]) -> list[dict[str, Any] | None]:
    calls, accepted = [(job.payload or {})["items"] for job in jobs], [job.created_at for job in jobs]
    faults = attribute_writes.update_values(scope, calls, accepted)
    return [_updated(job, of_job) for job, of_job in zip(jobs, faults, strict=True)]


def _updated(job: AttributeJob, faults: Sequence[attribute_writes.Fault]) -> dict[str, Any]:
    outcome: dict[str, Any] = {"isSuccess": not faults, "requestId": job.id}
    return {**outcome, "errors": [fault.shown() for fault in faults]} if faults else outcome


def _add(scope: Scope, jobs: Sequence[AttributeJob]) -> list[dict[str, Any] | None]:
    return [new_attributes.add(scope, job) for job in jobs]


_handlers: dict[str, WriteHandler] = {ADD: _add, UPDATE: _update}


def register_handler(kind: str, handler: WriteHandler) -> None:
    """Let a package carry out the writes of a kind that it accepts."""
    _handlers[kind] = handler


def tenants_waiting(stores: Stores) -> list[int]:
    """The tenants of whom some write is in line, or whose tables were being exchanged when a process ended."""
    with stores.records.reading() as connection:
        return list(connection.execute(OF_TENANTS).scalars())


@contextmanager
def writing(scope: Scope) -> Iterator[None]:
    """locks.writing for a write that is newer than all in line: those are carried out first."""
    with locks.writing(scope):
        while carry_out(scope):
            pass
        yield


def carry_out_if_free(scope: Scope) -> bool:
    """Carry out what was accepted until now, for who is to read it; whether nothing of it is in line any more.

    False while another holds the tables of customers, or has to find a write that cannot be carried out.
    """
    waiting = WAITING.where(AttributeJob.tenant_id == scope.tenant_id).limit(1)
    with scope.stores.records.reading() as connection:
        if connection.execute(waiting).first() is None:
            return True
    with locks.writing_if_free(scope) as free:
        try:
            while free and carry_out(scope):
                pass
        except FAULTS:
            raise
        except Exception:
            log.exception("writes cannot be carried out together", tenant=scope.tenant_id)
            return False
    return free


def carry_out(scope: Scope, *, one_by_one: bool = False) -> bool:
    """Carry out the oldest writes in line; whether there may be more. Call it under locks.writing.

    With one_by_one each is carried out alone, and one that cannot be fails: whoever calls does so when they have failed
    together again and again.
    """
    in_line = select(AttributeJob).where(AttributeJob.tenant_id == scope.tenant_id, *IN_LINE)
    with scope.reads() as session:
        jobs = list(session.scalars(in_line.order_by(AttributeJob.seq).limit(AT_ONCE)))
    for kind, alike in groupby(jobs, key=lambda job: job.kind):
        together = list(alike)
        for batch in [[job] for job in together] if one_by_one else [together]:
            outcomes = _outcomes(scope, kind, batch, one_by_one)
            # Another may have put a table of before in place if the lock was lost meanwhile: it is written again then.
            locks.require_writing(scope)
            _finish(scope, batch, outcomes)
    return len(jobs) == AT_ONCE


def _outcomes(
    scope: Scope, kind: str, jobs: Sequence[AttributeJob], one_by_one: bool
) -> Sequence[dict[str, Any] | None]:
    try:
        return _handlers[kind](scope, jobs)
    except FAULTS:
        raise
    except Exception:
        if not one_by_one:
            raise
        log.exception("write given up", tenant=scope.tenant_id, jobs=[job.id for job in jobs])
        return [{"isSuccess": False, "requestId": job.id, "errors": []} for job in jobs]


def _finish(scope: Scope, jobs: Sequence[AttributeJob], outcomes: Sequence[dict[str, Any] | None]) -> None:
    """Note outcomes. The values may identify somebody, so they are not kept any longer than they are needed."""
    now = scope.clock.now()
    with scope.records() as session:
        for job, outcome in zip(jobs, outcomes, strict=True):
            this_job = (AttributeJob.tenant_id == scope.tenant_id, AttributeJob.id == job.id)
            if outcome is None:
                session.execute(delete(AttributeJob).where(*this_job))
            else:
                done = {"outcome": outcome, "payload": None, "finished_at": now}
                session.execute(update(AttributeJob).where(*this_job).values(**done))


def take_outcomes(session: Session, most: int) -> list[Outcome]:
    """Outcomes nobody has told yet, of all tenants, oldest first; the caller tells them in the same transaction."""
    return [Outcome(*row) for row in session.execute(TAKE_OUTCOMES, {"most": most})]
