"""The attribute OptimailUnsubscribed, which is kept as the suppression lists say.

It is Yes for a customer who is suppressed on a channel of a marketing brand or on all channels, by id or by an e-mail
address that the customer has, for another reason than a bounce; No for everybody else. It is written soon after each
change of the lists, in the order of writes of customers, and once a day for all, since addresses change, too. What
anybody else writes into it is replaced then.
"""

from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels import addresses as channel_addresses
from rapport.channels import service as channels
from rapport.channels.brands import brands
from rapport.channels.kinds.base import OWN_ID
from rapport.channels.models import Channel
from rapport.customers import attributes, new_attributes
from rapport.customers.attributes import AttributeInfo
from rapport.customers.models import AttributeJob
from rapport.customers.states import AttributeSource
from rapport.customers.writes import attribute_writes, locks, ordering
from rapport.customers.writes.attribute_writes import CustomerValues
from rapport.customers.writes.writer import writer_of
from rapport.messaging import queries
from rapport.messaging.contactability import suppressed_addresses
from rapport.messaging.models import EVERY_CHANNEL
from rapport.stores.warehouse import identifier

NAME = "OptimailUnsubscribed"
ATTRIBUTE = AttributeInfo(
    NAME,
    "Optimail Unsubscribed",
    "Whether the customer is on the unsubscribe list of e-mail (Yes/No); kept by Rapport",
    "Varchar",
    AttributeSource.API,
)
YES, NO = "Yes", "No"
KIND = "unsubscribed"  # of writes in line
AT_ONCE = 10_000
MARKS_TABLE = f"{attribute_writes.PREFIX}unsubscribed_marks"
BY_ID = text("""
    SELECT DISTINCT customer_key FROM suppressions
    WHERE tenant_id = :tenant_id AND channel_id = ANY(CAST(:channels AS integer[])) AND reason <> 'bounced'
        AND customer_id <> '' AND (CAST(:keys AS text[]) IS NULL OR customer_key = ANY(CAST(:keys AS text[])))
""")
BY_MARK = text("""
    SELECT DISTINCT mark FROM suppressed_addresses
    WHERE tenant_id = :tenant_id AND channel_id = ANY(CAST(:channels AS integer[])) AND app_key = ''
        AND listed = :listed AND reason <> 'bounced'
        AND (CAST(:marks AS text[]) IS NULL OR mark = ANY(CAST(:marks AS text[])))
""")


def follow(scope: Scope, session: Session, customer_ids: Collection[str] = (), marks: Collection[str] = ()) -> None:
    """Have the attribute written anew of customers, and of those who have addresses (by mark), once the caller commits.

    Tenants without a marketing brand have no such attribute.
    """
    if (customer_ids or marks) and _email_channels(scope):
        payload = {"items": [{"customer": customer_id} for customer_id in customer_ids], "marks": sorted(marks)}
        _accept(scope, session, payload)


def refresh(scope: Scope) -> None:
    """Write it anew of everybody, where the tenant has it. Once a day, before the profiles of the day are written.

    So they have it from the beginning: a change of them afterwards has every unit of the day look again whom it must
    not reach.
    """
    if NAME.upper() in attributes.attributes(scope):
        with ordering.writing(scope):
            _write(scope, set(), set(), everybody=True)
            locks.require_writing(scope)


def declare(scope: Scope) -> None:
    """Have the attribute, with No for every customer, if the tenant has it not yet."""
    if NAME.upper() not in attributes.attributes(scope):
        attributes.declare(scope, [ATTRIBUTE])
        new_attributes.fill_empty(scope, ATTRIBUTE, NO)


def _accept(scope: Scope, session: Session, payload: dict[str, Any]) -> None:
    ordering.accept(session, scope.tenant_id, scope.clock.now(), KIND, payload)
    stores, tenant_id = scope.stores, scope.tenant_id
    event.listen(session, "after_commit", lambda _: writer_of(stores).carry_out(tenant_id), once=True)


def _email_channels(scope: Scope) -> list[Channel]:
    """The channels of brands for marketing."""
    marketing = brands.marketing_brands(scope)
    return [channel for channel in channels.channels(scope) if channel.settings.get("brand_id") in marketing]


def carry_out(scope: Scope, jobs: Sequence[AttributeJob]) -> list[dict[str, Any] | None]:
    """Write the attribute of the customers whom jobs name. Call it under locks.writing."""
    declare(scope)
    payloads = [job.payload or {} for job in jobs]
    ids = {item["customer"] for payload in payloads for item in payload.get("items", ())}
    marks = {mark for payload in payloads for mark in payload.get("marks", ())}
    everybody = any(payload.get("everybody") for payload in payloads)  # as earlier releases put it in line
    _write(scope, ids, marks, everybody=everybody)
    return [None] * len(jobs)


ordering.register_handler(KIND, carry_out)


def _write(scope: Scope, ids: set[str], marks: set[str], *, everybody: bool) -> None:
    """Write the attribute of customers by id and of those who have addresses, by mark, or of everybody."""
    used = _email_channels(scope)
    if everybody:
        new_attributes.fill_empty(scope, ATTRIBUTE, NO)
        ids |= _known_as_yes(scope) | _on_list(scope, used)
        marks |= _marks_on_list(scope, used)
    known_ids = attribute_writes.spellings(scope, ids)
    customers = sorted({*known_ids.values(), *_with_address(scope, used, marks)})
    for begin in range(0, len(customers), AT_ONCE):
        part = customers[begin : begin + AT_ONCE]
        unsubscribed = _unsubscribed(scope, used, part)
        values = {customer: YES if customer.lower() in unsubscribed else NO for customer in part}
        attribute_writes.overwrite(scope, [CustomerValues(customer, {NAME: word}) for customer, word in values.items()])


def _unsubscribed(scope: Scope, used: Sequence[Channel], customers: Sequence[str]) -> set[str]:
    """Those of some customers, by id in lower case, of whom it is Yes."""
    keys = [customer.lower() for customer in customers]
    listed = _on_list(scope, used, keys)
    names = _address_attributes(used)
    present = queries.addresses(scope, names, customers) if names else []
    marks_of = suppressed_addresses.marks_kept_of(scope, [address for _, address in present])
    marked = _marks_on_list(scope, used, sorted({mark for marks in marks_of for mark in marks}))
    return listed | {
        customer for (customer, _), marks in zip(present, marks_of, strict=True) if not marked.isdisjoint(marks)
    }


def _on_list(scope: Scope, used: Sequence[Channel], keys: Sequence[str] | None = None) -> set[str]:
    """The customers of a list, by id in lower case; only those among keys, if given."""
    parameters = {"tenant_id": scope.tenant_id, "channels": _places(used), "keys": keys}
    with scope.stores.records.reading() as connection:
        return {str(key) for (key,) in connection.execute(BY_ID, parameters)}


def _marks_on_list(scope: Scope, used: Sequence[Channel], marks: Sequence[str] | None = None) -> set[str]:
    """The addresses of a list, by mark; only those among marks, if given."""
    parameters = {"tenant_id": scope.tenant_id, "channels": _places(used), "marks": marks}
    with scope.stores.records.reading() as connection:
        rows = connection.execute(BY_MARK, {**parameters, "listed": suppressed_addresses.SUPPRESSED})
        return {str(mark) for (mark,) in rows}


def _places(used: Sequence[Channel]) -> list[int]:
    return [EVERY_CHANNEL, *(channel.id for channel in used)]


def _address_attributes(used: Sequence[Channel]) -> list[str]:
    return sorted({channel.address_attribute for channel in used} - {OWN_ID})


def _known_as_yes(scope: Scope) -> set[str]:
    sql = f"SELECT customer_id FROM customers WHERE {identifier(NAME)} = {{yes:String}}"  # noqa: S608 - a constant
    return {str(customer_id) for (customer_id,) in scope.warehouse.rows(sql, yes=YES)}


def _with_address(scope: Scope, used: Sequence[Channel], marks: Collection[str]) -> list[str]:
    """The customers who have addresses, given by mark."""
    names = _address_attributes(used)
    if not marks or not names:
        return []
    table, warehouse = identifier(MARKS_TABLE), scope.warehouse
    warehouse.execute(f"DROP TABLE IF EXISTS {table} SYNC")
    warehouse.execute(f"CREATE TABLE {table} (mark String) ENGINE = MergeTree ORDER BY mark")
    warehouse.insert_arrow(MARKS_TABLE, pa.table({"mark": pa.array(sorted(marks), pa.string())}))
    tests = " OR ".join(
        f"{pattern.format(key=channel_addresses.key_sql(attributes.rendered(info)))} IN (SELECT mark FROM {table})"  # noqa: S608 - ours
        for info in attributes.find(scope, names)
        for pattern in (suppressed_addresses.MARK, suppressed_addresses.MARK_OF_DIGITS)
    )
    sql = f"SELECT customer_id FROM customers WHERE {tests}"  # noqa: S608 - ours
    rows = warehouse.rows(sql, address_secret=suppressed_addresses.address_secret(scope))
    warehouse.execute(f"DROP TABLE {table} SYNC")
    return [str(customer_id) for (customer_id,) in rows]
