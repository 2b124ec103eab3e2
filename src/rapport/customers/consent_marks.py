"""Attributes of consent: marking one, and bringing the values that are stored into the one form, Yes and No.

Until an attribute is converted, and where values come in past the rules, whoever asks whether to write reads the words
by the same rule; converting makes conditions and the wire see one form.
"""

# ruff: noqa: S608 - statements are put together of constants and names of columns

from dataclasses import replace

import structlog
from sqlalchemy import select

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.customers.attributes import COLUMN_TYPES, CONSENT, WORDS, AttributeInfo, attributes, save
from rapport.customers.consent import consents, kind_of
from rapport.customers.models import Attribute, ConsentConversion
from rapport.customers.writes import locks
from rapport.customers.writes.attribute_writes import EPOCH, PROFILE_DAYS
from rapport.errors import Invalid, NotFound
from rapport.stores import Stores
from rapport.stores.checks import Check
from rapport.stores.progress import with_progress
from rapport.stores.warehouse import identifier

log = structlog.get_logger("rapport.customers")
MOST_FREQUENT = 20


def mark(scope: Scope, name: str, kind: str) -> AttributeInfo:
    """Say that an attribute is one of consent: permission (its Yes permits) or blocked (its Yes forbids); else empty.

    What is stored is converted at once. Raises NotFound, and Invalid for a built-in one that means the opposite.
    """
    info = attributes(scope).get(name.upper())
    if info is None:
        raise NotFound(f"There is no attribute {name!r}.")
    if kind == kind_of(info.consent):
        return info
    if name.upper() in CONSENT:
        raise Invalid(f"consent: {info.real_field_name} is built in as {kind_of(info.consent)}.")
    marked = replace(info, consent=consents(scope).of(kind))
    save(scope, marked)
    with scope.records() as session:
        scope.audit(session, "change", f"attribute {info.real_field_name}", consent=kind)
    if marked.consent is not None:
        convert(scope, marked)
    return marked


def convert_all(stores: Stores) -> None:
    """Bring every tenant's attributes of consent into their one form that are not yet. May be repeated freely."""
    with stores.records.session() as session:
        tenants = list(session.scalars(select(Tenant.id).order_by(Tenant.id)))
    for tenant_id in with_progress("attributes of consent are brought into one form", tenants):
        scope = scope_of(stores, tenant_id, actor="migration")
        for info in _unconverted(scope):
            convert(scope, info)


def _unconverted(scope: Scope) -> list[AttributeInfo]:
    with scope.reads() as session:
        of_tenant = ConsentConversion.tenant_id == scope.tenant_id
        done = set(session.scalars(select(ConsentConversion.real_field_name).where(of_tenant)))
        marked = session.scalars(
            select(Attribute.real_field_name).where(Attribute.tenant_id == scope.tenant_id, Attribute.consent != "")
        )
        unconverted = {*CONSENT, *(name.upper() for name in marked)} - done
    return [info for name, info in attributes(scope).items() if name in unconverted] if unconverted else []


def convert(scope: Scope, info: AttributeInfo) -> None:
    """Convert the values of an attribute of consent and keep what could not be read, in log, audit log and records."""
    unread: list[tuple[str, int]] = []
    changed = 0
    if info.field_type in WORDS:
        with locks.writing(scope):
            changed, unread = _converted(scope, info)
    report = {
        "customers": changed,
        "unread_customers": sum(count for _, count in unread),
        "unread": dict(unread[:MOST_FREQUENT]),
    }
    with scope.records() as session:
        key = {"tenant_id": scope.tenant_id, "real_field_name": info.real_field_name.upper()}
        session.merge(ConsentConversion(**key, converted_at=scope.clock.now(), **report))
        if changed:
            scope.audit(session, "convert", f"consent {info.real_field_name}", **report)
    if changed:
        log.warning("consent converted", tenant_id=scope.tenant_id, attribute=info.real_field_name, **report)


def _converted(scope: Scope, info: AttributeInfo) -> tuple[int, list[tuple[str, int]]]:
    """How many customers had another form, and the values that are neither yes nor no, the most frequent first."""
    assert info.consent is not None  # noqa: S101 - tells the type checker
    column, warehouse = identifier(info.real_field_name), scope.warehouse
    unconverted = f"{column} IS NOT NULL AND {column} NOT IN ('Yes', 'No')"
    tables = [("customers", "", unconverted)]
    days = warehouse.rows(PROFILE_DAYS, data_date=scope.data_date() or EPOCH)
    tables += [("profiles", f"IN PARTITION '{day}' ", f"data_date = '{day}' AND {unconverted}") for (day,) in days]
    changed = int(warehouse.value(f"SELECT count() FROM customers WHERE {unconverted}"))
    unread = warehouse.rows(f"""
        SELECT assumeNotNull({column}) AS word, count() FROM customers
        WHERE {unconverted} AND {info.consent.unread_sql(column)} GROUP BY word ORDER BY count() DESC, word
    """)
    # One that holds only consent has few different values, but a column of other texts may be marked by mistake.
    value = f"CAST({info.consent.sql(column)}, '{COLUMN_TYPES[info.field_type]}')"
    for table, partition, condition in tables:
        if warehouse.value(f"SELECT count() FROM {table} WHERE {condition}"):  # a mutation of nothing is not free
            warehouse.execute(f"ALTER TABLE {table} UPDATE {column} = {value} {partition}WHERE {unconverted}")
    return changed, [(str(word), int(count)) for word, count in unread]


def conversion_checks(stores: Stores) -> list[Check]:
    """What could not be read when attributes of consent were converted, for `rapport doctor` and `rapport migrate`."""
    query = select(ConsentConversion).where(ConsentConversion.unread_customers > 0)
    with stores.records.session() as session:
        rows = list(session.scalars(query.order_by(ConsentConversion.tenant_id, ConsentConversion.real_field_name)))
    return [Check("consent", "warning", _sentence(row)) for row in rows]


def _sentence(row: ConsentConversion) -> str:
    examples = ", ".join(repr(word) for word in list(row.unread)[:5])
    return (
        f"tenant {row.tenant_id}: {row.unread_customers} values of {row.real_field_name} were neither yes nor no "
        f"({examples}) and count as not to be written to since {row.converted_at:%Y-%m-%d}"
    )
