"""Accepted writes of attributes: kept in the records first, carried out in their order right after."""

import uuid
from collections.abc import Callable
from typing import Any

import orjson
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.customers.identity import NOBODY, identifies_nobody
from rapport.customers.models import AttributeJob
from rapport.customers.privacy import anonymisation, tasks
from rapport.customers.privacy.personal_values import PersonalTexts
from rapport.customers.states import CallbackState
from rapport.customers.writes import attribute_writes, locks, ordering
from rapport.customers.writes.attribute_writes import Fault
from rapport.customers.writes.writer import writer_of
from rapport.errors import Invalid, NotFound
from rapport.hosts import checked_url
from rapport.stores.records.json_text import holds_null
from rapport.stores.records.spellings import NOT_ASCII
from rapport.stores.workflows import work

MAX_CUSTOMERS = 1000
MAX_ATTRIBUTES = 10
# Requests with a person among the items still to be written or the faults that were told.
NAMING = text(
    """
    tenant_id = :tenant_id AND EXISTS (
        SELECT 1 FROM jsonb_path_query(jsonb_build_array(payload, outcome), '$[*].*[*].*') AS value
        WHERE lower((value #>> '{}') COLLATE "C") = :person OR (value #>> '{}') NOT_ASCII
    )
""".replace("NOT_ASCII", NOT_ASCII)
)


def add_attribute(scope: Scope, name: str, type_: str, default: str | None, callback_url: str | None) -> str:
    """Accept a new attribute; the outcome goes to the callback. Answers the job's id. Raises Invalid."""
    if not name.strip() or not type_.strip():
        raise Invalid("Name and Type must not be empty.")
    return _accept(scope, ordering.ADD, {"name": name.strip(), "type": type_, "default": default}, callback_url)


def update_attributes(scope: Scope, items: list[dict[str, Any]], callback_url: str | None) -> str:
    """Accept values of existing customers: items as attribute_writes.update_values takes them.

    Answers the request's id, which the callback repeats. Raises Invalid for too many of them.
    """
    if not items:
        raise Invalid("CustomerNewAttributesValuesList must not be empty.")
    if len(items) > MAX_CUSTOMERS:
        raise Invalid(f"CustomerNewAttributesValuesList must have at most {MAX_CUSTOMERS} customers, not {len(items)}.")
    for item in items:
        if len(item["values"]) > MAX_ATTRIBUTES:
            raise Invalid(f"Attributes of {item['customer']!r} must be at most {MAX_ATTRIBUTES}.")
    return _accept(scope, ordering.UPDATE, {"items": items}, callback_url)


def remove_pii(
    scope: Scope, customer_ids: list[str], elsewhere: Callable[[PersonalTexts], None] | None = None
) -> list[str]:
    """Mask these persons at once and have the disk rewritten after; the ids that nobody ever had.

    elsewhere takes what identified them out of what is held besides, before it is forgotten with the disk.
    """
    failed, own = anonymisation.remember(scope, customer_ids)
    if elsewhere is not None:
        elsewhere(own)
    work.enqueue(work.Queue.JOBS, f"erase-{uuid.uuid4()}", tasks.erase, scope.tenant_id)
    return failed


def upsert(
    scope: Scope,
    customer_id: str,
    values: list[list[Any]],
    callback_url: str | None,
    kept: Callable[[list[Fault]], None] | None = None,
) -> dict[str, Any]:
    """Write one customer, new or not, at once; the outcome is the answer, and is posted to a callback if given.

    It is newer than whatever was accepted before. values are pairs of an attribute's name and value; kept is told of
    those that say nothing, so that what is known stays. Raises Invalid for an id or a callback that cannot be.
    """
    customer_id = customer_id.strip()
    if not customer_id:
        raise Invalid("CustomerId must not be empty.")
    if "\0" in customer_id:
        raise Invalid("CustomerId contains a character U+0000, which no text may have.")
    if identifies_nobody(customer_id):
        raise Invalid(f"CustomerId {customer_id!r} {NOBODY}.")
    callback_url = _checked(scope, callback_url)
    with ordering.writing(scope):
        faults = attribute_writes.upsert_customer(scope, customer_id, values)
        locks.require_writing(scope)
    nothing = [fault for fault in faults if fault.nothing]
    if nothing and kept is not None:
        kept(nothing)
    errors = [fault.shown() for fault in faults if fault.error]
    outcome = {"isSuccess": not errors, "errors": errors}
    if callback_url:
        _add_callback(scope, outcome, callback_url)
    return outcome


def job(scope: Scope, job_id: str) -> AttributeJob:
    """A job by id. Raises NotFound."""
    with scope.reads() as session:
        attribute_job = session.get(AttributeJob, (scope.tenant_id, job_id))
    if attribute_job is None:
        raise NotFound(f"There is no request {job_id}.")
    return attribute_job


def _checked(scope: Scope, callback_url: str | None) -> str | None:
    """A callback URL that may be posted to, None when there is none. Raises Invalid for one that never would be."""
    return (
        checked_url(callback_url, "CallbackURL", allow_private=scope.stores.settings.allow_private_addresses)
        if callback_url
        else None
    )


def _accept(scope: Scope, kind: str, payload: dict[str, Any], callback_url: str | None) -> str:
    callback_url = _checked(scope, callback_url)
    if holds_null(orjson.dumps(payload)):
        raise Invalid("The body contains a character U+0000, which no text may have.")
    with scope.records() as session:
        job_id = ordering.accept(session, scope.tenant_id, scope.clock.now(), kind, payload, callback_url)
        scope.audit(session, f"{kind} attributes", f"request {job_id}")
    writer_of(scope.stores).carry_out(scope.tenant_id)
    return job_id


def _add_callback(scope: Scope, outcome: dict[str, Any], callback_url: str) -> None:
    job_id, now = str(uuid.uuid4()), scope.clock.now()
    attribute_job = AttributeJob(
        tenant_id=scope.tenant_id, id=job_id, kind="tell", outcome=outcome, callback_url=callback_url
    )
    attribute_job.callback_state, attribute_job.created_at, attribute_job.finished_at = CallbackState.WAITING, now, now
    with scope.records() as session:
        session.add(attribute_job)
        scope.audit(session, "tell attributes", f"request {job_id}")


def naming(scope: Scope, customer_id: str) -> list[dict[str, Any]]:
    """What requests hold of a person: values still to be written, and faults that were told."""
    with scope.records() as session:
        return [
            {
                "id": attribute_job.id,
                "kind": attribute_job.kind,
                "created_at": attribute_job.created_at,
                "holds": _entries(attribute_job, customer_id),
            }
            for attribute_job in _jobs_naming(scope, session, customer_id)
        ]


def forget(scope: Scope, customer_id: str) -> None:
    """Take a person out of requests: values still to be written, and faults that were told."""
    with scope.records() as session:
        for attribute_job in _jobs_naming(scope, session, customer_id):
            if attribute_job.payload is not None:
                attribute_job.payload = _without(attribute_job.payload, customer_id)
            if attribute_job.outcome is not None:
                attribute_job.outcome = _without(attribute_job.outcome, customer_id)


def _jobs_naming(scope: Scope, session: Session, customer_id: str) -> list[AttributeJob]:
    parameters = {"tenant_id": scope.tenant_id, "person": customer_id.lower()}
    candidates = session.scalars(select(AttributeJob).where(NAMING), parameters)
    return [attribute_job for attribute_job in candidates if _entries(attribute_job, customer_id)]


def _names(entry: Any, customer_id: str) -> bool:
    return customer_id.lower() in (str(entry.get(name, "")).lower() for name in ("customer", "customerId"))


def _entries(attribute_job: AttributeJob, customer_id: str) -> list[Any]:
    lists = [
        (content or {}).get(name, [])
        for content in (attribute_job.payload, attribute_job.outcome)
        for name in ("items", "errors")
    ]
    return [entry for entries in lists for entry in entries if _names(entry, customer_id)]


def _without(content: dict[str, Any], customer_id: str) -> dict[str, Any]:
    lists = [name for name in ("items", "errors") if name in content]
    return content | {name: [entry for entry in content[name] if not _names(entry, customer_id)] for name in lists}
