"""Whom a channel must not reach, by id and by address, in a table aside of a run."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from rapport.access.scope import Scope
from rapport.campaigns import queries
from rapport.channels import service as channels
from rapport.customers import service as customers
from rapport.messaging import service as messaging
from rapport.stores.warehouse import identifier

PROFILES = "FROM profiles WHERE data_date = {data_date:Date}"
PROFILES_STAND = """
    SELECT count(), toString(sum(cityHash64(name, hash_of_all_files))) FROM system.parts
    WHERE database = {database:String} AND table = 'profiles' AND active
"""
# The customers, in lower case, whose address is one that gets nothing.
BY_ADDRESS = """
    INSERT INTO {table} (list, fault, customer_id)
    SELECT {{list:UInt16}}, if(its_mark IN (SELECT mark FROM {table} WHERE list = {{list:UInt16}} AND fault = {first}),
        {first}, {second}), lowerUTF8(customer_id)
    FROM (SELECT customer_id, {mark} AS its_mark {profiles})
    WHERE its_mark IN (SELECT mark FROM {table} WHERE list = {{list:UInt16}} AND mark != '')
"""


@dataclass(frozen=True)
class KeptOff:
    """Whom the templates of an app, or of none, on a channel must not reach: list is a number within the run."""

    list: int
    channel_id: int
    app_id: str
    groups: tuple[int, ...] = ()


def stand(scope: Scope, wanted: KeptOff, data_date: date) -> str:
    """A text that changes with whatever load_suppressed goes by; empty when it would find nobody.

    That is what was said, and the profiles: parts of the table are never changed, only replaced.
    """
    said = messaging.kept_off_digest(scope, wanted.channel_id, wanted.app_id)
    if not said:
        return ""
    attribute = channels.channel(scope, wanted.channel_id).address_attribute
    parts = scope.warehouse.row(PROFILES_STAND, database=scope.warehouse.name)
    return f"{wanted.app_id} {said} {attribute} {data_date} {parts}"


def load_suppressed(scope: Scope, table: str, wanted: KeptOff, data_date: date, among: str = "", **bound: Any) -> None:
    """Bring those kept off a channel into a table aside, in lower case: ids compare ignoring case.

    Who has the address of somebody who is kept off is too, by the profiles of data_date; among narrows these down.
    """
    told = messaging.suppressions(scope, wanted.channel_id, wanted.app_id)
    ids = (str(one).lower() for one in told["customer_id"].to_pylist())
    _insert(scope, table, wanted, told["reason"].to_pylist(), "customer_id", list(ids))
    attribute = channels.channel(scope, wanted.channel_id).address_attribute
    marks = messaging.suppressed_marks(scope, wanted.channel_id, wanted.app_id)
    if not marks or attribute == channels.OWN_ID:
        return
    for reason, some in sorted(marks.items()):
        _insert(scope, table, wanted, [reason] * len(some), "mark", some)
    _add_by_address(scope, table, wanted, attribute, f"{PROFILES}{among}", {"data_date": data_date, **bound})


def _insert(scope: Scope, table: str, wanted: KeptOff, reasons: list[str], column: str, values: list[str]) -> None:
    if not values:
        return
    columns = {
        "list": pa.array([wanted.list] * len(values), pa.uint16()),
        "fault": pa.array([queries.KEPT_OFF[reason] for reason in reasons], pa.uint8()),
        column: pa.array(values, pa.string()),
    }
    scope.warehouse.insert_arrow(table, pa.table(columns))


def _add_by_address(
    scope: Scope, table: str, wanted: KeptOff, attribute: str, profiles: str, bound: dict[str, Any]
) -> None:
    aside = f"{table}_domains"
    address = customers.rendered(customers.find(scope, [attribute])[0])
    domains = channels.decode_domains(scope.warehouse, aside, f"SELECT {address} AS text {profiles}", **bound)
    first, second = queries.KEPT_OFF.values()
    sql = BY_ADDRESS.format(
        table=identifier(table),
        mark=messaging.MARK.format(key=channels.key_sql(address, domains)),
        profiles=profiles,
        first=first,
        second=second,
    )
    scope.warehouse.execute(sql, list=wanted.list, address_secret=messaging.address_secret(scope), **bound)
    scope.warehouse.execute(queries.NO_TABLE.format(table=identifier(aside)))
