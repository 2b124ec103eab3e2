"""Whom a channel must not reach, by id and by address, in a table aside."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from rapport.access.scope import Scope
from rapport.channels import addresses
from rapport.channels import service as channels
from rapport.channels.kinds import registry
from rapport.channels.kinds.base import OWN_ID, AddressForm
from rapport.customers import attributes
from rapport.messaging.contactability import preferences, rules, suppressed_addresses, topic_wishes
from rapport.messaging.contactability.purposes import ANYTHING, Purpose
from rapport.messaging.contactability.survey import profiles_stand, survey
from rapport.stores.warehouse import identifier

# The rules of a channel by fault, from 1.
FAULTED = (
    rules.NO_PERMISSION,
    rules.NO_ADDRESS,
    rules.LISTED,
    rules.TOPIC,
    rules.PREFERENCE,
    rules.SAME_ADDRESS,
    rules.ELSEWHERE,
    rules.NO_DEVICE,
    rules.EXCLUDED,
)
# Outcome and reason of a channel on which a customer cannot be reached, by fault; see faults for the others.
FAULTS = (("", ""), *(rule.outcome_and_reason() for rule in FAULTED))
# Why somebody is kept off a channel whatever else is known, with the fault of each.
KEPT_OFF = {rule.reason: FAULTED.index(rule) + 1 for rule in rules.BY_WISH}
SAME_ADDRESS = FAULTED.index(rules.SAME_ADDRESS) + 1
SUPPRESSED_TABLE = """
    CREATE TABLE {suppressed} (list UInt16, fault UInt8, customer_id String, mark String)
    ENGINE = {engine}
"""
SUPPRESSED_ORDER = "list, fault, customer_id"
NO_TABLE = "DROP TABLE IF EXISTS {table}"
PROFILES = "FROM profiles WHERE data_date = {data_date:Date}"
# The customers, in lower case, whose address is one that gets nothing.
BY_ADDRESS = """
    INSERT INTO {table} (list, fault, customer_id)
    SELECT {{list:UInt16}}, multiIf({faults}), lowerUTF8(customer_id)
    FROM (
        SELECT customer_id, {mark} AS mark_of_address, {mark_of_digits} AS mark_of_digits
        FROM (SELECT customer_id, {key} AS key_of_address {profiles})
    )
    WHERE mark_of_address IN {kept} OR mark_of_digits IN {kept}
"""
MARKS = "(SELECT mark FROM {table} WHERE list = {{list:UInt16}} AND mark != ''{more})"
IS_MARKED = "mark_of_address IN {marks} OR mark_of_digits IN {marks}"
# The customers, in lower case, who are not among those that a channel or a topic has.
NOT_AMONG = """
    INSERT INTO {table} (list, fault, customer_id)
    SELECT {{list:UInt16}}, {fault}, lowerUTF8(customer_id) FROM (SELECT customer_id {profiles})
    WHERE lowerUTF8(customer_id) NOT IN (SELECT customer_id FROM {among})
"""
AMONG_TABLE = "CREATE TABLE {table} (customer_id String) ENGINE = {engine}"


@dataclass(frozen=True)
class KeptOff:
    """Whom the templates of a purpose, or of none, on a channel must not reach: list is a number within the run."""

    list: int
    channel_id: int
    purpose: Purpose = ANYTHING
    groups: tuple[int, ...] = ()


def faults() -> list[tuple[str, str]]:
    """Outcome and reason by fault: FAULTS and, after them, an address that has not the form of its kind of channel."""
    return [*FAULTS, *(rules.BAD_ADDRESS.outcome_and_reason(form.fault) for form in registry.address_forms())]


def fault_of(rule: rules.Rule) -> int:
    """The fault of a rule of FAULTED."""
    return FAULTED.index(rule) + 1


def fault_of_form(form: AddressForm) -> int:
    """The fault of an address that has not this form."""
    return len(FAULTS) + registry.address_forms().index(form)


def stand(scope: Scope, kept_off: KeptOff, data_date: date, profiles: str | None = None) -> str:
    """A text that changes with whatever load_suppressed goes by; empty when it would find nobody.

    That is what was said, and the profiles: what profiles_stand tells now, when the caller has asked.
    """
    digest = preferences.digest(scope, kept_off.channel_id, kept_off.purpose)
    if not digest and not kept_off.purpose.opt_in:
        return ""
    attribute = channels.channel(scope, kept_off.channel_id).address_attribute
    return f"{kept_off.purpose} {digest} {attribute} {data_date} {profiles or profiles_stand(scope, data_date)}"


def create_suppressed(scope: Scope, table: str) -> None:
    """Make the empty table aside that load_suppressed fills, of this name."""
    engine = scope.warehouse.engine_aside(SUPPRESSED_ORDER)
    scope.warehouse.execute(SUPPRESSED_TABLE.format(suppressed=identifier(table), engine=engine))


def load_suppressed(
    scope: Scope,
    table: str,
    kept_off: KeptOff,
    data_date: date,
    among: str = "",
    stand: str | None = None,
    **parameters: Any,
) -> None:
    """Bring those kept off a channel into a table aside, in lower case: ids compare ignoring case.

    Who has the address of somebody who is kept off is too, by the profiles of data_date; among narrows these down.
    stand: what profiles_stand tells now, when the caller has asked.
    """
    suppressions = preferences.suppressions(scope, kept_off.channel_id, kept_off.purpose)
    ids = (str(customer_id).lower() for customer_id in suppressions["customer_id"].to_pylist())
    _insert(scope, table, kept_off, suppressions["reason"].to_pylist(), "customer_id", list(ids))
    parameters |= {"data_date": data_date}
    if kept_off.purpose.opt_in:
        subscribed = [customer_id.lower() for customer_id in topic_wishes.subscribed(scope, kept_off.purpose)]
        _add_all_but(scope, table, kept_off, rules.TOPIC, subscribed, f"{PROFILES}{among}", parameters)
    attribute = channels.channel(scope, kept_off.channel_id).address_attribute
    marks = suppressed_addresses.of_channel(scope, kept_off.channel_id, kept_off.purpose)
    if not marks or attribute == OWN_ID:
        return
    for reason, reason_marks in sorted(marks.items()):
        _insert(scope, table, kept_off, [reason] * len(reason_marks), "mark", reason_marks)
    is_plain = attribute.upper() in survey(scope, data_date, (), {attribute}, stand).plain
    _add_by_address(scope, table, kept_off, attribute, is_plain, f"{PROFILES}{among}", parameters)


def load_without_device(scope: Scope, table: str, kept_off: KeptOff, data_date: date) -> None:
    """Bring the customers of a data date whom a channel does not reach for want of a device into the same table."""
    channel = channels.channel(scope, kept_off.channel_id)
    if not channel.behaviour.needs_device:
        return
    reached = channel.behaviour.with_device(scope, channel.settings)
    if reached is not None:
        _add_all_but(scope, table, kept_off, rules.NO_DEVICE, reached, PROFILES, {"data_date": data_date})


def _add_all_but(
    scope: Scope,
    table: str,
    kept_off: KeptOff,
    rule: rules.Rule,
    customers: Collection[str],
    profiles: str,
    parameters: dict[str, Any],
) -> None:
    aside = f"{table}_among"
    scope.warehouse.execute(NO_TABLE.format(table=identifier(aside)))
    engine = scope.warehouse.engine_aside("customer_id")
    scope.warehouse.execute(AMONG_TABLE.format(table=identifier(aside), engine=engine))
    if customers:
        scope.warehouse.insert_arrow(aside, pa.table({"customer_id": pa.array(list(customers), pa.string())}))
    sql = NOT_AMONG.format(table=identifier(table), among=identifier(aside), fault=fault_of(rule), profiles=profiles)
    scope.warehouse.execute(sql, list=kept_off.list, **parameters)
    scope.warehouse.execute(NO_TABLE.format(table=identifier(aside)))


def _insert(scope: Scope, table: str, kept_off: KeptOff, reasons: list[str], column: str, values: list[str]) -> None:
    if not values:
        return
    columns = {
        "list": pa.array([kept_off.list] * len(values), pa.uint16()),
        "fault": pa.array([KEPT_OFF[reason] for reason in reasons], pa.uint8()),
        column: pa.array(values, pa.string()),
    }
    scope.warehouse.insert_arrow(table, pa.table(columns))


def _add_by_address(
    scope: Scope,
    table: str,
    kept_off: KeptOff,
    attribute: str,
    is_plain: bool,
    profiles: str,
    parameters: dict[str, Any],
) -> None:
    aside = f"{table}_domains"
    address = attributes.rendered(attributes.find(scope, [attribute])[0])
    texts = f"SELECT {address} AS text {profiles}"
    domains = "" if is_plain else addresses.decode_domains(scope.warehouse, aside, texts, **parameters)
    *earlier, last = KEPT_OFF.values()
    branches = [
        f"{IS_MARKED.format(marks=MARKS.format(table=identifier(table), more=f' AND fault = {fault}'))}, {fault}"
        for fault in earlier
    ]
    sql = BY_ADDRESS.format(
        table=identifier(table),
        key=addresses.key_sql(address, domains, plain=is_plain),
        mark=suppressed_addresses.MARK.format(key="key_of_address"),
        mark_of_digits=suppressed_addresses.MARK_OF_DIGITS.format(key="key_of_address"),
        profiles=profiles,
        kept=MARKS.format(table=identifier(table), more=""),
        faults=", ".join([*branches, str(last)]),
    )
    scope.warehouse.execute(
        sql, list=kept_off.list, address_secret=suppressed_addresses.address_secret(scope), **parameters
    )
    if domains:
        scope.warehouse.execute(NO_TABLE.format(table=identifier(aside)))
