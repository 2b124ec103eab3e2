"""Writes of attribute values through the API: both the customers and the current profiles, at once."""

import uuid
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from rapport.access import kept
from rapport.access.pseudonyms import pseudonyms
from rapport.access.scope import Scope
from rapport.customers.attribute_values import typed_value
from rapport.customers.attributes import COLUMN_TYPES, AttributeInfo, attributes
from rapport.customers.identity import identifies_nobody, is_name, says_nothing
from rapport.customers.models import Removed
from rapport.customers.privacy.personal_values import identifies
from rapport.customers.states import STORED_SOURCES, AttributeSource
from rapport.customers.writes import attribute_times
from rapport.stores.warehouse import identifier

INVALID_CUSTOMER = "INVALID_CUSTOMER"
INVALID_FIELD = "INVALID_FIELD"
INVALID_VALUE = "INVALID_VALUE"
UNAVAILABLE = "UPDATE_FIELD_TEMPORARY_UNAVAILABLE"
# Of an address, a name or a consent nothing is told: by a word for nothing, which does not fit, or by an empty text.
NOTHING, EMPTY = "NOTHING", "EMPTY"
PREFIX = "write_"
TEXTS = ("Nvarchar", "Varchar")
# A server takes bound values in an address of limited length.
IDS_AT_ONCE = 2000
KNOWN_AS_GIVEN = "SELECT customer_id FROM customers WHERE customer_id IN {ids:Array(String)}"
KNOWN_OTHERWISE = "SELECT customer_id FROM customers WHERE lowerUTF8(customer_id) IN {keys:Array(String)}"
# Profiles from the present one on: also that of a day whose cycle has built it and not yet published it.
PROFILE_DAYS = "SELECT DISTINCT data_date FROM profiles WHERE data_date >= {data_date:Date} ORDER BY data_date"
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Fault:
    """Why one value was not written. nothing: it tells nothing of the customer, so that what is known stays.

    error is empty for an empty text, which is no error. already_known: it could only fill what is empty, and another
    value is known.
    """

    error: str
    customer_id: str
    real_field_name: str
    nothing: bool = False
    already_known: bool = False

    def shown(self) -> dict[str, str]:
        """The fault as callbacks and answers show it."""
        return {"error": self.error, "customerId": self.customer_id, "realFieldName": self.real_field_name}


@dataclass(frozen=True)
class CustomerValues:
    """Values of one customer by names of attributes; create makes a customer who is not known yet.

    at is when it was so, by which what comes late is told; without it the values are the newest. fills: the values
    come from somebody who may be anyone, so they fill what nobody has told yet and replace nothing.
    """

    customer_id: str
    values: dict[str, Any]
    create: bool = False
    at: datetime | None = None
    fills: bool = False


def spellings(scope: Scope, customer_ids: Iterable[str]) -> dict[str, str]:
    """The known spelling of each CustomerID by its lower-case form; unknown ones are absent. Any number of them."""
    ids, spellings_by_key = list(customer_ids), dict[str, str]()
    for begin in range(0, len(ids), IDS_AT_ONCE):
        batch = ids[begin : begin + IDS_AT_ONCE]
        spellings_by_key.update(
            (customer_id.lower(), customer_id) for (customer_id,) in scope.warehouse.rows(KNOWN_AS_GIVEN, ids=batch)
        )
        # Only for the rest all customers are looked through.
        missing = list({customer_id.lower() for customer_id in batch} - spellings_by_key.keys())
        if missing:
            spellings_by_key.update(
                (customer_id.lower(), customer_id)
                for (customer_id,) in scope.warehouse.rows(KNOWN_OTHERWISE, keys=missing)
            )
    return spellings_by_key


def spelling(scope: Scope, customer_id: str) -> str | None:
    """The known spelling of a CustomerID, compared ignoring case; None for an unknown customer."""
    exact = scope.warehouse.value("SELECT customer_id FROM customers WHERE customer_id = {id:String}", id=customer_id)
    return exact or spellings(scope, [customer_id]).get(customer_id.lower())


def update_values(
    scope: Scope, calls: Sequence[list[dict[str, Any]]], accepted: Sequence[datetime] = ()
) -> list[list[Fault]]:
    """Write what is valid of calls in their order; the faults of each. Call it under locks.writing.

    A call is [{"customer": id, "values": [[name, value], ...]}, ...]. Of a value that comes twice the last stays.
    accepted are the times of the calls, where they are not of now.
    """
    infos, values_by_customer = attributes(scope), dict[str, dict[str, Any]]()
    known_ids = spellings(scope, {item["customer"] for items in calls for item in items})
    times: dict[str, attribute_times.Times] = {}
    timed_calls = zip(calls, accepted or [scope.clock.now()] * len(calls), strict=True)
    faults = [_gather(infos, known_ids, items, values_by_customer, times, at) for items, at in timed_calls]
    _apply(scope, _masked(scope, infos, values_by_customer), infos)
    attribute_times.note(scope, times)
    return faults


def _gather(
    infos: dict[str, AttributeInfo],
    known_ids: dict[str, str],
    items: list[dict[str, Any]],
    values_by_customer: dict[str, dict[str, Any]],
    times: dict[str, attribute_times.Times],
    at: datetime,
) -> list[Fault]:
    """Lay the valid values of a call over those that are wanted already, with its time; the faults of the rest."""
    faults = []
    for item in items:
        customer = None if identifies_nobody(item["customer"]) else known_ids.get(item["customer"].lower())
        for name, value in item["values"]:
            fault, info, typed = _checked(infos, name, value, updating=True)
            if customer is None:
                fault = INVALID_CUSTOMER
            if fault:
                faults.append(_fault(fault, item["customer"], name))
            elif customer is not None and info is not None:
                values_by_customer.setdefault(customer, {})[info.real_field_name] = typed
                times.setdefault(customer, {})[info.real_field_name] = at
    return faults


def upsert_customer(scope: Scope, customer_id: str, values: list[list[Any]]) -> list[Fault]:
    """Write one customer's valid values, creating the customer when unknown; the faults of the rest.

    Call it under ordering.writing.
    """
    infos, faults, valid_values = attributes(scope), [], {}
    for name, value in values:
        fault, info, typed = _checked(infos, name, value, updating=False)
        if fault:
            faults.append(_fault(fault, customer_id, name))
        elif info is not None:
            valid_values[info.real_field_name] = typed
    known_id = spelling(scope, customer_id)
    masked = _masked(scope, infos, {known_id or customer_id: valid_values})
    if known_id is None:
        _create(scope, customer_id, masked[customer_id])
    else:
        _apply(scope, masked, infos)
    attribute_times.note(scope, {known_id or customer_id: dict.fromkeys(valid_values, scope.clock.now())})
    return _worth_telling(scope, infos, {customer_id.lower(): known_id} if known_id else {}, faults)


def overwrite(scope: Scope, updates: Sequence[CustomerValues]) -> list[Fault]:
    """Write what customers' own events say of them. Call it under locks.writing.

    Names that are no writable attribute are passed over, and values of before the attribute was last told. What is
    there already is not written again.
    """
    infos, faults = attributes(scope), list[Fault]()
    known_ids = spellings(scope, (update.customer_id for update in updates))
    values_by_customer: dict[str, dict[str, Any]] = {}
    last_times = attribute_times.times_of(scope, known_ids.values())
    times: dict[str, attribute_times.Times] = {}
    filled = _before_filling(scope, infos, known_ids, [update for update in updates if update.fills])
    for update in updates:
        customer = known_ids.get(update.customer_id.lower())
        if customer is None and update.create:
            known_ids[update.customer_id.lower()] = customer = update.customer_id
            _create(scope, customer, {})
        for name, value in update.values.items() if customer is not None else ():
            fault, info, typed = _checked(infos, name, value, updating=False)
            if fault in (INVALID_VALUE, NOTHING, EMPTY):
                faults.append(_fault(fault, update.customer_id, name))
            elif info is not None and not fault and customer is not None:
                attribute = info.real_field_name
                customer_times = last_times.setdefault(customer, {})
                if update.fills:  # no time of it is noted, so that whoever may replace it does, however late
                    current = values_by_customer.get(customer, {}).get(
                        attribute, filled.get(customer, {}).get(attribute)
                    )
                    if attribute in customer_times or current not in (None, ""):
                        if _plainly(current) != _plainly(typed):
                            faults.append(Fault(INVALID_VALUE, update.customer_id, name, already_known=True))
                        continue
                elif update.at is not None:
                    if update.at < customer_times.get(attribute, update.at):
                        continue
                    customer_times[attribute] = times.setdefault(customer, {})[attribute] = update.at
                values_by_customer.setdefault(customer, {})[attribute] = typed
    _apply(scope, _changed(scope, _masked(scope, infos, values_by_customer), _long_ago(scope, times)), infos)
    attribute_times.note(scope, times)
    return _worth_telling(scope, infos, known_ids, faults)


def _before_filling(
    scope: Scope, infos: dict[str, AttributeInfo], known_ids: dict[str, str], updates: Sequence[CustomerValues]
) -> dict[str, dict[str, Any]]:
    """What customers have in the attributes that updates fill, by customer and name of the attribute."""
    names = {name.strip().upper() for update in updates for name in update.values} & infos.keys()
    customers = {known_ids[update.customer_id.lower()] for update in updates if update.customer_id.lower() in known_ids}
    return _present(scope, sorted(customers), sorted(infos[name].real_field_name for name in names))


def _long_ago(scope: Scope, times: dict[str, attribute_times.Times]) -> set[tuple[str, str]]:
    """Customers and attributes that are told so late that nobody knows any more what was told meanwhile."""
    before = scope.clock.now() - attribute_times.KEPT
    return {
        (customer, name)
        for customer, customer_times in times.items()
        for name, at in customer_times.items()
        if at < before
    }


def _changed(
    scope: Scope, values_by_customer: dict[str, dict[str, Any]], long_ago: Container[tuple[str, str]]
) -> dict[str, dict[str, Any]]:
    """Those of the values that differ from what the customers have; of what is told long ago those that they lack."""
    present = _present(
        scope, list(values_by_customer), sorted({name for values in values_by_customer.values() for name in values})
    )

    def differs(customer: str, name: str, value: Any) -> bool:
        current = present.get(customer, {}).get(name)
        return _plainly(current) != _plainly(value) and ((customer, name) not in long_ago or current in (None, ""))

    changed = {
        customer: {name: value for name, value in values.items() if differs(customer, name, value)}
        for customer, values in values_by_customer.items()
    }
    return {customer: values for customer, values in changed.items() if values}


def _present(scope: Scope, ids: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What customers have in some attributes, by their known spelling and the attribute's name."""
    present: dict[str, dict[str, Any]] = {}
    columns = ", ".join(["customer_id", *map(identifier, names)])
    sql = f"SELECT {columns} FROM customers WHERE customer_id IN {{ids:Array(String)}}"  # noqa: S608 - names of columns
    for begin in range(0, len(ids) if names else 0, IDS_AT_ONCE):
        for customer, *values in scope.warehouse.rows(sql, ids=ids[begin : begin + IDS_AT_ONCE]):
            present[customer] = dict(zip(names, values, strict=True))
    return present


def _worth_telling(
    scope: Scope, infos: dict[str, AttributeInfo], known_ids: dict[str, str], faults: list[Fault]
) -> list[Fault]:
    """Faults without empty texts for what is not known either."""

    def attribute_of(fault: Fault) -> tuple[str, str]:
        name = infos[fault.real_field_name.strip().upper()].real_field_name
        return known_ids.get(fault.customer_id.lower(), ""), name

    empty = [attribute_of(fault) for fault in faults if not fault.error]
    present = _present(scope, [customer for customer, _ in empty], sorted({name for _, name in empty}))
    filled = {(customer, name) for customer, name in empty if present.get(customer, {}).get(name)}
    return [fault for fault in faults if fault.error or attribute_of(fault) in filled]


def _plainly(value: Any) -> Any:
    """A value as the warehouse gives it back."""
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


def _checked(
    infos: dict[str, AttributeInfo], name: str, value: Any, updating: bool
) -> tuple[str, AttributeInfo | None, Any]:
    info = infos.get(name.strip().upper())
    if info is None:
        return INVALID_FIELD, None, None
    if info.source not in STORED_SOURCES or (
        updating and info.source == AttributeSource.BATCH and not info.api_updatable
    ):
        return UNAVAILABLE, info, None
    if info.is_pii and info.field_type in TEXTS and (fault := _nothing(info, value, updating)):
        return fault, info, None
    if info.consent is not None and not updating and value is not None and info.consent.read(value) is None:
        return EMPTY, info, None
    try:
        return "", info, typed_value(info, value)
    except ValueError:
        return INVALID_VALUE, info, None


def _nothing(info: AttributeInfo, value: Any, updating: bool) -> str:
    """The fault of an address or a name that is told to be nothing; an update clears one by an empty text."""
    if not says_nothing(value, name=is_name(info.real_field_name)):
        return ""
    if not str(value).strip():
        return "" if updating else EMPTY
    return NOTHING


def _fault(fault: str, customer_id: str, name: str) -> Fault:
    error = {NOTHING: INVALID_VALUE, EMPTY: ""}.get(fault, fault)
    return Fault(error, customer_id, name, nothing=fault in (NOTHING, EMPTY))


def _masked(
    scope: Scope, infos: dict[str, AttributeInfo], values_by_customer: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The same without identifying values of removed persons, who stay anonymous whatever is written."""
    keys = dict(zip(pseudonyms(scope, values_by_customer), values_by_customer, strict=True))
    with scope.reads() as session:
        query = select(Removed.key).where(Removed.tenant_id == scope.tenant_id, Removed.key.in_(keys))
        removed = {keys[key] for key in session.scalars(query)}
    pii = {info.real_field_name for info in infos.values() if info.is_pii}
    return {
        customer: {
            name: value
            for name, value in values.items()
            if not (customer in removed and (name in pii or _is_shaped(value)))
        }
        for customer, values in values_by_customer.items()
    }


def _is_shaped(value: Any) -> bool:
    return isinstance(value, str) and identifies(value)


def _keep_consent(scope: Scope, values_by_customer: dict[str, dict[str, Any]], infos: dict[str, AttributeInfo]) -> None:
    """Note beside the data what is written of consent."""
    consents = {
        customer: {name: value for name, value in values.items() if infos[name.upper()].consent is not None}
        for customer, values in values_by_customer.items()
    }
    consents = {customer: values for customer, values in consents.items() if values}
    kept.keep_wish(scope, kept.CONSENT, {}, list(zip(pseudonyms(scope, consents), consents.values(), strict=True)))


def _create(scope: Scope, customer_id: str, values: dict[str, Any]) -> None:
    row = {"customer_id": customer_id, "REGISTRATION_DATE": scope.today(), **values}
    scope.warehouse.insert("customers", list(row), [tuple(row.values())])
    days = [day for (day,) in scope.warehouse.rows(PROFILE_DAYS, data_date=scope.data_date() or EPOCH)]
    scope.warehouse.insert("profiles", ["data_date", *row], [(day, *row.values()) for day in days])


def _apply(scope: Scope, values_by_customer: dict[str, dict[str, Any]], infos: dict[str, AttributeInfo]) -> None:
    """Write values through a table that the engine joins: one statement a table, however many customers."""
    names = sorted({name for values in values_by_customer.values() for name in values})
    if not names:
        return
    _keep_consent(scope, values_by_customer, infos)
    warehouse, table = scope.warehouse, f"{PREFIX}{uuid.uuid4().hex}"
    drop_leftovers(scope)
    columns = [f"{identifier(name)} {_plain(infos[name.upper()])}, {identifier('has_' + name)} UInt8" for name in names]
    warehouse.execute(
        f"CREATE TABLE {table} (customer_id String, {', '.join(columns)}) ENGINE = Join(ANY, LEFT, customer_id)"
    )
    rows = [
        (customer, *(cell for name in names for cell in (values.get(name), name in values)))
        for customer, values in values_by_customer.items()
    ]
    warehouse.insert(table, ["customer_id", *(cell for name in names for cell in (name, f"has_{name}"))], rows)
    sets = ", ".join(
        f"{identifier(name)} = if(joinGet('{table}', 'has_{name}', customer_id) = 1, "
        f"joinGet('{table}', '{name}', customer_id), {identifier(name)})"
        for name in names
    )
    matching = f"customer_id IN (SELECT customer_id FROM {table})"  # noqa: S608 - our table
    warehouse.execute(f"UPDATE customers SET {sets} WHERE {matching}")  # noqa: S608 - names of columns
    sql = f"UPDATE profiles SET {sets} WHERE data_date >= {{data_date:Date}} AND {matching}"  # noqa: S608 - names of columns
    warehouse.execute(sql, data_date=scope.data_date() or EPOCH)
    warehouse.execute(f"DROP TABLE {table} SYNC")


def _plain(info: AttributeInfo) -> str:
    return COLUMN_TYPES["Nvarchar" if info.field_type == "Varchar" else info.field_type]


def drop_leftovers(scope: Scope) -> None:
    """Drop tables that a killed write left. Call it under locks.writing."""
    sql = "SELECT name FROM system.tables WHERE database = {database:String} AND startsWith(name, {prefix:String})"
    for (name,) in scope.warehouse.rows(sql, database=scope.warehouse.name, prefix=PREFIX):
        scope.warehouse.execute(f"DROP TABLE IF EXISTS {identifier(name)} SYNC")
