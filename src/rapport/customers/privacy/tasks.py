"""Durable work of customers: erasure."""

import uuid

import structlog
from sqlalchemy import text

from rapport.access.scope import Scope, current_scope
from rapport.customers.privacy import anonymisation, personal_columns
from rapport.customers.states import AttributeSource
from rapport.customers.writes.writer import writer_of
from rapport.stores import Stores, current
from rapport.stores.workflows import work

log = structlog.get_logger("rapport.customers")


@work.workflow("customers.attribute_job")
def attribute_job(tenant_id: int, job_id: str) -> None:
    """Begun by an earlier release, in which each write was a workflow: have the tenant's carried out in order."""
    writer_of(current()).carry_out(tenant_id)


def erase_again(scope: Scope) -> None:
    """Have what identifies persons who were removed looked for again, in attributes that are marked since."""
    if anonymisation.removed_pseudonyms(scope):
        work.enqueue(work.Queue.JOBS, f"erase-{uuid.uuid4()}", erase, scope.tenant_id)


@work.workflow("customers.erase")
def erase(tenant_id: int) -> None:
    """Rewrite what the warehouse keeps, so that bytes of removed persons leave the disk."""
    rewrite(tenant_id)


@work.step("customers.rewrite")
def rewrite(tenant_id: int) -> None:
    """Anonymise every removed person in every table and drop what the tables were before."""
    anonymisation.rewrite(current_scope(tenant_id))


OPEN = f"""
    SELECT DISTINCT tenant_id FROM attributes WHERE pii_reason = '' AND NOT is_pii
        AND source IN ('{AttributeSource.BATCH}', '{AttributeSource.API}')
"""  # noqa: S608 - ours


def look_at_attributes(stores: Stores) -> None:
    """Have attributes of before looked at, whether they identify people."""
    with stores.records.reading() as connection:
        for tenant_id in connection.execute(text(OPEN)).scalars().all():
            work.enqueue(work.Queue.JOBS, f"marks-{tenant_id}-{uuid.uuid4()}", mark_attributes, tenant_id)


@work.workflow("customers.mark_attributes")
def mark_attributes(tenant_id: int) -> None:
    """Mark attributes of before that identify people, and clear them for persons who were removed."""
    _mark_attributes(tenant_id)


@work.step("customers.mark")
def _mark_attributes(tenant_id: int) -> None:
    scope = current_scope(tenant_id)
    marked = personal_columns.look_at(scope, personal_columns.open_attributes(scope))
    if marked:
        reasons = {info.real_field_name: info.pii_reason for info in marked}
        log.warning("attributes are marked as identifying", tenant=tenant_id, attributes=reasons)
        anonymisation.rewrite(scope)
