"""Customer attributes: what exists, of which type, and how a value is rendered for the wire.

RealFieldName is the attribute's name on the wire and its column's name in the warehouse; names
compare ignoring case. Sources: batch (files), api (AddCustomerAttribute), calculated (features of
the daily cycle), model (its results).
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.customers.consent import BLOCKED, PERMISSION, Consent, Consents, consents, kind_of
from rapport.customers.models import Attribute
from rapport.customers.states import STORED_SOURCES, AttributeSource
from rapport.errors import Conflict, Invalid
from rapport.stores import Stores
from rapport.stores.warehouse import IDENTIFIER, identifier

# FieldType on the wire -> the column's type in the warehouse.
COLUMN_TYPES = {
    "Bigint": "Nullable(Int64)",
    "Int": "Nullable(Int32)",
    "Decimal": "Nullable(Decimal(19, 4))",
    "Date": "Nullable(Date32)",
    "Datetime": "Nullable(DateTime('UTC'))",
    "Nvarchar": "Nullable(String)",
    "Varchar": "LowCardinality(Nullable(String))",
}


NUMERIC = ("Bigint", "Int", "Decimal")


@dataclass(frozen=True)
class AttributeInfo:
    """One attribute as rules and readers see it.

    pii_reason says how is_pii came about: by its name, its values, decided by a person, none (it was looked at and
    is not personal); empty where nobody has looked.
    """

    real_field_name: str
    alias: str
    description: str
    field_type: str
    source: str
    is_pii: bool = False
    api_updatable: bool = False
    max_length: int | None = None
    # How files write its decimals (see numerals), and the name of a file's column that it was made of (see headers).
    forms: tuple[str, ...] = ()
    header: str = ""
    pii_reason: str = ""
    consent: Consent | None = None

    @property
    def consent_kind(self) -> str:
        """permission when its Yes permits to write, blocked when it forbids it; empty when it is not about consent."""
        return kind_of(self.consent)


def _batch(name: str, field_type: str, description: str, pii: bool = False, updatable: bool = False) -> AttributeInfo:
    alias = name.replace("_", " ").title()
    return AttributeInfo(name, alias, description, field_type, AttributeSource.BATCH, pii, updatable)


BUILT_IN = (
    _batch("REGISTRATION_DATE", "Date", "Day the customer registered"),
    _batch("EMAIL", "Nvarchar", "E-mail address", pii=True),
    _batch("MOBILE_NUMBER", "Nvarchar", "Mobile number", pii=True),
    _batch("DATE_OF_BIRTH", "Date", "Date of birth", pii=True),
    _batch("IS_OPTIN", "Varchar", "Whether promotional messages are allowed at all (Yes/No)", updatable=True),
    _batch("ALLOW_EMAIL", "Varchar", "Whether e-mail is allowed (Yes/No)", updatable=True),
    _batch("ALLOW_SMS", "Varchar", "Whether SMS is allowed (Yes/No)", updatable=True),
    _batch("ALLOW_PUSH", "Varchar", "Whether push is allowed (Yes/No)", updatable=True),
    _batch("IS_EMAIL_VERIFIED", "Varchar", "Whether the e-mail address is verified (Yes/No)"),
    _batch("IS_SMS_VERIFIED", "Varchar", "Whether the mobile number is verified (Yes/No)"),
    _batch("IS_BLOCKED", "Varchar", "Whether the customer is blocked, for instance for fraud (Yes/No)"),
    _batch("IS_TEST", "Varchar", "Whether this is a test account (Yes/No)"),
    _batch("GENDER", "Varchar", "Male, Female or Unknown"),
    _batch("COUNTRY", "Varchar", "Country of residence"),
    _batch("CITY", "Nvarchar", "City of residence"),
    _batch("ADDRESS", "Nvarchar", "Postal address", pii=True),
    _batch("FIRST_NAME", "Nvarchar", "First name", pii=True),
    _batch("LAST_NAME", "Nvarchar", "Last name", pii=True),
    _batch("LANGUAGE", "Varchar", "Preferred language"),
    _batch("CURRENCY", "Varchar", "Preferred currency"),
    _batch("LAST_UPDATED", "Datetime", "When the customer's record last changed at its source"),
)


# Built-in attributes of consent, by what their Yes says; tenants mark others: see consent_marks.
CONSENT = {
    "IS_OPTIN": PERMISSION,
    "ALLOW_EMAIL": PERMISSION,
    "ALLOW_SMS": PERMISSION,
    "ALLOW_PUSH": PERMISSION,
    "IS_BLOCKED": BLOCKED,
    "IS_TEST": BLOCKED,
}
WORDS = ("Nvarchar", "Varchar")
# Not as objects: most steps read all attributes, of which there may be hundreds.
STORED = (
    Attribute.real_field_name,
    Attribute.alias,
    Attribute.description,
    Attribute.field_type,
    Attribute.source,
    Attribute.is_pii,
    Attribute.api_updatable,
    Attribute.max_length,
    Attribute.forms,
    Attribute.header,
    Attribute.pii_reason,
    Attribute.consent,
)

DIGEST = text("""
    SELECT sha256(convert_to(string_agg(CAST(attribute AS text), '' ORDER BY real_field_name), 'UTF8'))
    FROM attributes AS attribute WHERE tenant_id = :tenant_id
""")
MOST_KNOWN = 256  # tenants
# What a tenant's attributes were read of: the digest of their rows, and how consent is read.
Known = tuple[bytes | None, Consents, dict[str, AttributeInfo]]

_read: ContextVar[dict[int, dict[str, AttributeInfo]] | None] = ContextVar("attributes_read", default=None)


@contextmanager
def attributes_read_once() -> Iterator[None]:
    """Within the block the attributes of a tenant are read once, for work that asks for them often and adds none."""
    before = _read.set({})
    try:
        yield
    finally:
        _read.reset(before)


def attributes(scope: Scope) -> dict[str, AttributeInfo]:
    """Every attribute of the tenant by upper-case name, in order of name."""
    cache = _read.get()
    if cache is None:
        return dict(_known(scope))
    if scope.tenant_id not in cache:
        cache[scope.tenant_id] = _known(scope)
    return dict(cache[scope.tenant_id])


def _known(scope: Scope) -> dict[str, AttributeInfo]:
    return scope.stores.workers.only(KnownAttributes, scope.stores).of(scope)


class KnownAttributes:
    """The attributes of tenants as they were last read: most work asks for them, and they seldom change.

    Rows are read again when their digest has changed, which the records tell in a fraction of the time.
    """

    def __init__(self, _: Stores) -> None:
        self._of_tenants: OrderedDict[int, Known] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, scope: Scope) -> dict[str, AttributeInfo]:
        """Every attribute of a tenant by upper-case name, in order of name."""
        reading = consents(scope)
        with scope.reads() as session:
            digest = _digest(scope, session)
            known = self._of_tenant(scope.tenant_id)
            if known is not None and known[:2] == (digest, reading):
                return known[2]
            infos = _stored(scope, session, reading)
            is_of_digest = _digest(scope, session) == digest
        if is_of_digest:
            with self._lock:
                self._of_tenants[scope.tenant_id] = digest, reading, infos
                if len(self._of_tenants) > MOST_KNOWN:
                    self._of_tenants.popitem(last=False)
        return infos

    def _of_tenant(self, tenant_id: int) -> Known | None:
        with self._lock:
            if tenant_id in self._of_tenants:
                self._of_tenants.move_to_end(tenant_id)  # who is asked about is kept
            return self._of_tenants.get(tenant_id)

    def stop(self) -> None:
        """There is nothing to end."""


def _digest(scope: Scope, session: Session) -> bytes | None:
    """Of all that is stored of a tenant's attributes; None when it has none of its own."""
    digest: bytes | None = session.scalar(DIGEST, {"tenant_id": scope.tenant_id})
    return digest


def _stored(scope: Scope, session: Session, reading: Consents) -> dict[str, AttributeInfo]:
    rows = session.execute(select(*STORED).where(Attribute.tenant_id == scope.tenant_id)).all()
    marks = {row.real_field_name.upper(): row.consent for row in rows} | CONSENT
    added = (
        AttributeInfo(
            row.real_field_name,
            row.alias,
            row.description,
            row.field_type,
            row.source,
            row.is_pii,
            row.api_updatable,
            row.max_length,
            tuple(row.forms),
            row.header,
            row.pii_reason,
        )
        for row in rows
    )
    infos_by_name = {info.real_field_name.upper(): info for info in (*BUILT_IN, *added)}
    consents_by_name = {name: reading.of(kind) for name, kind in marks.items()}
    return {
        name: replace(info, consent=consent) if (consent := consents_by_name.get(name)) else info
        for name, info in sorted(infos_by_name.items())
    }


def forbidding(scope: Scope) -> list[str]:
    """The upper-case names of the attributes beside the built-in ones whose Yes says not to write, on any channel."""
    marked = attributes(scope).items()
    return [name for name, info in marked if name not in CONSENT and kind_of(info.consent) == BLOCKED]


def find(scope: Scope, names: Iterable[str], parameter: str = "CustomerAttributes") -> list[AttributeInfo]:
    """The attributes of these names, in order. Raises Invalid naming the first unknown one."""
    attributes_by_name = attributes(scope)
    infos = []
    for name in names:
        info = attributes_by_name.get(name.strip().upper())
        if info is None:
            raise Invalid(f"{parameter} names {name.strip()!r}, which is not a customer attribute.")
        infos.append(info)
    return infos


def rendered(info: AttributeInfo, column: str | None = None) -> str:
    """SQL that gives an attribute as Nullable(String): decimals with four places, dates as YYYY-MM-DD."""
    column = column or identifier(info.real_field_name)
    if info.field_type == "Decimal":
        return f"toDecimalString({column}, 4)"
    return f"toString({column})"


def equals(info: AttributeInfo, text: str) -> str:
    """SQL of whether an attribute has the value that the SQL of a text tells.

    Numbers are compared as such, consent by what its words mean, texts in any case.
    """
    if info.consent:
        return f"{rendered(info)} = {info.consent.sql(text)} AND NOT {info.consent.unread_sql(text)}"
    if info.field_type in NUMERIC:
        # Many places, so that what differs beyond the four that are kept does not count as equal.
        return f"{identifier(info.real_field_name)} = toDecimal128OrNull({text}, 18)"
    return f"lowerUTF8({rendered(info)}) = lowerUTF8({text})"


def declare(scope: Scope, new: Iterable[AttributeInfo]) -> None:
    """Make attributes exist: a row in the records and a column in the warehouse. Known names are left as they are.

    Batch and api attributes become columns of customers and profiles, calculated and model ones of
    profiles only. Raises Invalid for a name that cannot be a column or a type that is not one of
    COLUMN_TYPES, Conflict when a name exists with another type.
    """
    attributes_by_name, added = attributes(scope), dict[str, AttributeInfo]()
    for info in new:
        name = info.real_field_name.upper()
        present = attributes_by_name.get(name) or added.get(name)
        if present is None:
            _check(info)
            added[name] = info
        elif present.field_type != info.field_type:
            raise Conflict(f"Attribute {info.real_field_name} exists with type {present.field_type}.")
    _add(scope, list(added.values()))


def _check(info: AttributeInfo) -> None:
    if not IDENTIFIER.match(info.real_field_name) or info.real_field_name.lower() in (
        "customer_id",
        "data_date",
    ):
        raise Invalid(f"{info.real_field_name!r} cannot be the name of an attribute.")
    if info.field_type not in COLUMN_TYPES:
        raise Invalid(f"The type of {info.real_field_name} must be one of {', '.join(COLUMN_TYPES)}.")


def _add(scope: Scope, infos: list[AttributeInfo]) -> None:
    stored = [info for info in infos if info.source in STORED_SOURCES]
    for table, table_infos in (("customers", stored), ("profiles", infos)):
        columns = [f"{identifier(info.real_field_name)} {COLUMN_TYPES[info.field_type]}" for info in table_infos]
        if columns:
            added = ", ".join(f"ADD COLUMN IF NOT EXISTS {column}" for column in columns)
            scope.warehouse.execute(f"ALTER TABLE {table} {added}")
    save(scope, *infos)


def forget(scope: Scope, info: AttributeInfo) -> None:
    """Take an attribute out of the records."""
    with scope.records() as session:
        session.execute(
            delete(Attribute).where(
                Attribute.tenant_id == scope.tenant_id, Attribute.real_field_name == info.real_field_name
            )
        )


def save(scope: Scope, *infos: AttributeInfo) -> None:
    """Keep what attributes are in the records; for a built-in one this takes the place of the default."""
    with scope.records() as session:
        for info in infos:
            session.merge(_record(scope, info))


def _record(scope: Scope, info: AttributeInfo) -> Attribute:
    return Attribute(
        tenant_id=scope.tenant_id,
        real_field_name=info.real_field_name,
        alias=info.alias,
        description=info.description,
        field_type=info.field_type,
        source=info.source,
        is_pii=info.is_pii,
        api_updatable=info.api_updatable,
        max_length=info.max_length,
        forms=list(info.forms),
        header=info.header,
        consent=kind_of(info.consent),
        pii_reason=info.pii_reason,
        created_at=scope.clock.now(),
    )
