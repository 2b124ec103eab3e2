"""Warehouse SQL of messaging."""

from collections.abc import Iterator, Sequence
from datetime import date

from rapport.access.pseudonyms import PSEUDONYM, pseudonym_secret
from rapport.access.scope import Scope
from rapport.channels import addresses as channel_addresses
from rapport.customers import attributes as customer_attributes
from rapport.customers.attributes import AttributeInfo
from rapport.customers.states import STORED_SOURCES
from rapport.customers.writes import attribute_writes

KNOWN = f"SELECT customer_id FROM customers WHERE {PSEUDONYM} IN {{marks:Array(String)}}"  # noqa: S608 - a constant
# A server takes bound values in an address of limited length.
MARKS_AT_ONCE = IDS_AT_ONCE = 2000
NO_DAY = date(1970, 1, 1)


def addresses(scope: Scope, attributes: Sequence[str], customer_ids: Sequence[str]) -> list[tuple[str, str]]:
    """What customers have in attributes that hold addresses: id in lower case and text, from file, API and profile."""
    infos, ids = customer_attributes.find(scope, attributes, "address_attribute"), list(customer_ids)
    addresses_of_customers: set[tuple[str, str]] = set()
    for begin in range(0, len(ids), IDS_AT_ONCE):
        part = ids[begin : begin + IDS_AT_ONCE]
        spelled = sorted({*part, *attribute_writes.spellings(scope, part).values()})
        for sql in _address_queries(scope, infos):
            rows = scope.warehouse.rows(sql, ids=spelled, data_date=scope.data_date() or NO_DAY)
            addresses_of_customers.update(
                (str(customer_id).lower(), text) for customer_id, *texts in rows for text in texts if text
            )
    return sorted(addresses_of_customers)


def at_address(scope: Scope, infos: Sequence[AttributeInfo], keys: Sequence[str], most: int) -> list[str]:
    """The customers, by id, who have one of some keys of addresses in an attribute, from file, API or profile."""
    customer_ids: set[str] = set()
    for table, where, present in _tables_of(infos):
        condition = " OR ".join(
            f"{channel_addresses.key_sql(customer_attributes.rendered(info))} IN {{keys:Array(String)}}"
            for info in present
        )
        sql = f"SELECT DISTINCT customer_id FROM {table} WHERE ({condition}){where} ORDER BY customer_id LIMIT {most}"  # noqa: S608 - ours
        rows = scope.warehouse.rows(sql, keys=list(keys), data_date=scope.data_date() or NO_DAY)
        customer_ids.update(str(customer_id) for (customer_id,) in rows)
    return sorted(customer_ids)[:most]


def _tables_of(
    infos: Sequence[AttributeInfo],
) -> Iterator[tuple[str, str, Sequence[AttributeInfo]]]:
    """Where values of attributes are: a table, which of its rows are of now, and the attributes that it has."""
    for table, where in (("customers", ""), ("profiles", " AND data_date = {data_date:Date}")):
        present = [info for info in infos if table == "profiles" or info.source in STORED_SOURCES]
        if present:
            yield table, where, present


def _address_queries(scope: Scope, infos: Sequence[AttributeInfo]) -> Iterator[str]:
    for table, where, present in _tables_of(infos):
        columns = ", ".join(customer_attributes.rendered(info) for info in present)
        yield f"SELECT customer_id, {columns} FROM {table} WHERE customer_id IN {{ids:Array(String)}}{where}"  # noqa: S608 - ours


def known(scope: Scope, marks: Sequence[str]) -> list[str]:
    """The CustomerIDs of those customers whose pseudonym is among marks."""
    secret = pseudonym_secret(scope)
    parts = [list(marks[begin : begin + MARKS_AT_ONCE]) for begin in range(0, len(marks), MARKS_AT_ONCE)]
    rows = (scope.warehouse.rows(KNOWN, marks=part, pseudonym_secret=secret) for part in parts)
    return [str(customer_id) for part in rows for (customer_id,) in part]
