"""Accepted writes of attributes: kept in the records first, carried out by durable work right after."""

import re
import uuid
from typing import Any

import orjson

from rapport.access.scope import Scope
from rapport.customers import attribute_writes, pii, tasks
from rapport.customers.models import AttributeJob
from rapport.errors import Invalid, NotFound
from rapport.stores import work
from rapport.stores.addresses import Unresolved, resolve_public

MAX_CUSTOMERS = 1000
MAX_ATTRIBUTES = 10
MAX_URL = 2000
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def add_attribute(scope: Scope, name: str, type_: str, default: str | None, callback_url: str | None) -> str:
    """Accept a new attribute; the outcome goes to the callback. Answers the job's id. Raises Invalid."""
    if not name.strip() or not type_.strip():
        raise Invalid("Name and Type must not be empty.")
    return _accept(scope, "add", {"name": name.strip(), "type": type_, "default": default}, callback_url)


def update_attributes(scope: Scope, items: list[dict[str, Any]], callback_url: str | None) -> str:
    """Accept values of existing customers: items as attribute_writes.update_values takes them.

    Answers the request's id, which the callback repeats. Raises Invalid for too many of them.
    """
    if not items:
        raise Invalid("CustomerNewAttributesValuesList must not be empty.")
    if len(items) > MAX_CUSTOMERS:
        raise Invalid(f"CustomerNewAttributesValuesList must hold at most {MAX_CUSTOMERS} customers, not {len(items)}.")
    for item in items:
        if len(item["values"]) > MAX_ATTRIBUTES:
            raise Invalid(f"Attributes of {item['customer']!r} must be at most {MAX_ATTRIBUTES}.")
    return _accept(scope, "update", {"items": items}, callback_url)


def remove_pii(scope: Scope, customer_ids: list[str]) -> list[str]:
    """Mask these persons at once and have the disk rewritten after; the ids that nobody ever had."""
    failed = pii.remember(scope, customer_ids)
    work.enqueue("jobs", f"erase-{uuid.uuid4()}", tasks.erase, scope.tenant_id)
    return failed


def upsert(scope: Scope, customer_id: str, values: list[list[Any]], callback_url: str | None) -> dict[str, Any]:
    """Write one customer, new or not, at once; the outcome is the answer, and is posted to a callback if given.

    values are pairs of an attribute's name and value. Raises Invalid for an id or a callback that cannot be.
    """
    if not customer_id.strip():
        raise Invalid("CustomerId must not be empty.")
    check_callback(scope, callback_url or None)
    faults = [fault.shown() for fault in attribute_writes.upsert_customer(scope, customer_id.strip(), values)]
    outcome = {"isSuccess": not faults, "errors": faults}
    if callback_url:
        _accept(scope, "tell", outcome, callback_url)
    return outcome


def job(scope: Scope, job_id: str) -> AttributeJob:
    """A job by id. Raises NotFound."""
    with scope.records() as session:
        found = session.get(AttributeJob, (scope.tenant_id, job_id))
    if found is None:
        raise NotFound(f"There is no request {job_id}.")
    return found


def check_callback(scope: Scope, url: str | None) -> None:
    """Raise Invalid for a callback URL that would never be posted to; a name that does not resolve now may later."""
    if url is None:
        return
    if len(url) > MAX_URL:
        raise Invalid(f"CallbackURL must be at most {MAX_URL} characters.")
    try:
        resolve_public(url, scope.stores.settings.allow_private_addresses)
    except Unresolved:
        return
    except Invalid as error:
        raise Invalid(f"CallbackURL: {error.message}") from error


def _accept(scope: Scope, kind: str, payload: dict[str, Any], callback_url: str | None) -> str:
    callback_url = callback_url or None
    check_callback(scope, callback_url)
    if NUL.search(orjson.dumps(payload)):
        raise Invalid("The body holds a character U+0000, which no text may have.")
    job_id = str(uuid.uuid4())
    with scope.records() as session:
        session.add(
            AttributeJob(
                tenant_id=scope.tenant_id,
                id=job_id,
                kind=kind,
                payload=payload,
                callback_url=callback_url,
                callback_state="waiting" if callback_url else "none",
                created_at=scope.clock.now(),
            )
        )
        scope.audit(session, f"{kind} attributes", f"request {job_id}")
    work.enqueue("jobs", f"attributes-{job_id}", tasks.attribute_job, scope.tenant_id, job_id)
    return job_id
