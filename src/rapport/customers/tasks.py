"""Durable work of customers: writes of attributes with their callbacks, and erasure."""

import uuid
from typing import Any

import httpx
import structlog
from sqlalchemy import text

from rapport.access.scope import Scope, current_scope
from rapport.customers import attribute_writes, new_attributes, personal_columns, pii
from rapport.customers.models import AttributeJob
from rapport.stores import Stores, work
from rapport.stores.addresses import PublicTransport

log = structlog.get_logger("rapport.customers")
ATTEMPTS = 5
TIMEOUT = 10.0


@work.workflow("customers.attribute_job")
def attribute_job(tenant_id: int, job_id: str) -> None:
    """Carry out a job, then tell its outcome."""
    carry_out(tenant_id, job_id)
    try:
        call_back(tenant_id, job_id)
    except Exception as error:
        log.warning("callback failed", tenant=tenant_id, job=job_id, reason=str(error)[:200])
        give_up(tenant_id, job_id)


@work.step("customers.carry_out")
def carry_out(tenant_id: int, job_id: str) -> None:
    """Do what a job says, once; a job that has an outcome is left alone."""
    scope = current_scope(tenant_id)
    with scope.records() as session:
        job = session.get_one(AttributeJob, (tenant_id, job_id))
    if job.outcome is not None or job.payload is None:
        return
    outcome = _outcome(scope, job)
    with scope.records() as session:
        job = session.get_one(AttributeJob, (tenant_id, job_id))
        # The values may identify somebody, so they are not kept any longer than they are needed.
        job.outcome, job.payload, job.finished_at = outcome, None, scope.clock.now()


def _outcome(scope: Scope, job: AttributeJob) -> dict[str, Any]:
    assert job.payload is not None
    if job.kind == "add":
        return new_attributes.add(scope, job)
    if job.kind == "tell":
        return job.payload
    faults = attribute_writes.update_values(scope, job.payload["items"])
    outcome: dict[str, Any] = {"isSuccess": not faults, "requestId": job.id}
    return {**outcome, "errors": [fault.shown() for fault in faults]} if faults else outcome


@work.step("customers.call_back", attempts=ATTEMPTS)
def call_back(tenant_id: int, job_id: str) -> None:
    """Post a job's outcome to its callback; anything but a 2xx is tried again."""
    scope = current_scope(tenant_id)
    with scope.records() as session:
        job = session.get_one(AttributeJob, (tenant_id, job_id))
    if job.callback_url is None or job.callback_state == "delivered":
        return
    transport = PublicTransport(scope.stores.settings.allow_private_addresses)
    with httpx.Client(transport=transport, trust_env=False, timeout=TIMEOUT) as client:
        client.post(job.callback_url, json=job.outcome).raise_for_status()
    _set_state(scope, job_id, "delivered")


@work.step("customers.give_up")
def give_up(tenant_id: int, job_id: str) -> None:
    """Note that the callback could not be reached."""
    _set_state(current_scope(tenant_id), job_id, "failed")


def _set_state(scope: Scope, job_id: str, state: str) -> None:
    with scope.records() as session:
        session.get_one(AttributeJob, (scope.tenant_id, job_id)).callback_state = state


def erase_again(scope: Scope) -> None:
    """Have what identifies persons who were removed looked for again, in attributes that are marked since."""
    if pii.removed_pseudonyms(scope):
        work.enqueue("jobs", f"erase-{uuid.uuid4()}", erase, scope.tenant_id)


@work.workflow("customers.erase")
def erase(tenant_id: int) -> None:
    """Rewrite what the warehouse keeps, so that bytes of removed persons leave the disk."""
    rewrite(tenant_id)


@work.step("customers.rewrite")
def rewrite(tenant_id: int) -> None:
    """Anonymise every removed person in every table and drop what the tables were before."""
    pii.rewrite(current_scope(tenant_id))


OPEN = """
    SELECT DISTINCT tenant_id FROM attributes WHERE pii_reason = '' AND NOT is_pii AND source IN ('batch', 'api')
"""


def look_at_attributes(stores: Stores) -> None:
    """Have attributes of before looked at, whether they identify people."""
    with stores.records.reading() as connection:
        for tenant_id in connection.execute(text(OPEN)).scalars().all():
            work.enqueue("jobs", f"marks-{tenant_id}-{uuid.uuid4()}", mark_attributes, tenant_id)


@work.workflow("customers.mark_attributes")
def mark_attributes(tenant_id: int) -> None:
    """Mark attributes of before that identify people, and clear them for persons who were removed."""
    _mark_attributes(tenant_id)


@work.step("customers.mark")
def _mark_attributes(tenant_id: int) -> None:
    scope = current_scope(tenant_id)
    found = personal_columns.look_at(scope, personal_columns.open_attributes(scope))
    if found:
        told = {info.real_field_name: info.pii_reason for info in found}
        log.warning("attributes are marked as identifying", tenant=tenant_id, attributes=told)
        pii.rewrite(scope)
