"""Customers of a run who share an address: they fall on the same side of every split, and one of them is written to.

Who shares an address with whom, over all addresses that the run's channels go to, is found first: those customers are
divided as if they were the one with the lowest id. On each channel the lowest id that can be reached gets the message.
"""

# ruff: noqa: S608 - statements are put together of constants, checked identifiers and numbers

from collections.abc import Sequence
from datetime import date
from typing import Any

from rapport.access.scope import Scope
from rapport.channels import addresses as channel_addresses
from rapport.conditions.outcomes import Outcome
from rapport.messaging.contactability.kept_off import SAME_ADDRESS
from rapport.stores.warehouse import identifier

ADDRESSES = """
    CREATE TABLE {addresses} (address UInt64, customer_id String) ENGINE = {engine}
"""
ADDRESSES_ORDER = "address, customer_id"
FILL_ADDRESSES = """
    INSERT INTO {addresses}
    SELECT arrayJoin(arrayDistinct(arrayFilter(hash -> hash != 0, {hashes}))) AS address, member.customer_id
    FROM ({members}) AS member
    INNER JOIN (SELECT customer_id AS known_id, {columns} FROM profiles WHERE data_date = {{data_date:Date}}) AS profile
        ON profile.known_id = member.customer_id
    SETTINGS join_algorithm = 'full_sorting_merge'
"""
SHARED = "SELECT address FROM {addresses} GROUP BY address HAVING count() > 1"
KEEP_SHARED = f"""
    INSERT INTO {{shared}} SELECT address, customer_id FROM {{addresses}} WHERE address IN (
        {SHARED} SETTINGS optimize_aggregation_in_order = 1
    )
"""
UNITS = "CREATE TABLE {units} (customer_id String, unit String) ENGINE = Join(ANY, LEFT, customer_id)"
LOWEST_ID = """
    INSERT INTO {units} SELECT customer_id, min(lowest) FROM (
        SELECT customer_id, min(customer_id) OVER (PARTITION BY address) AS lowest FROM {shared}
    ) GROUP BY customer_id
"""
# Who shares with somebody who shares with a third one belongs to the three.
LOWEST_UNIT = """
    INSERT INTO {next} SELECT customer_id, min(lowest) FROM (
        SELECT customer_id, min(joinGet('{units}', 'unit', customer_id)) OVER (PARTITION BY address) AS lowest
        FROM {shared}
    ) GROUP BY customer_id
"""
DIFFER = "SELECT count() FROM {next} WHERE unit != joinGet('{units}', 'unit', customer_id)"

TWICE = "CREATE TABLE {twice} (customer_id String, positions Array(UInt8)) ENGINE = Join(ANY, LEFT, customer_id)"
FILL_TWICE = """
    INSERT INTO {twice} SELECT customer_id, groupArray(position) FROM (
        SELECT customer_id, position, row_number() OVER (PARTITION BY position, address ORDER BY customer_id) AS place
        FROM (SELECT * FROM {stage} WHERE customer_id IN (SELECT customer_id FROM {units}))
        ARRAY JOIN addresses AS address, faults AS fault, arrayEnumerate(faults) AS position
        WHERE verdict = '' AND fault = 0 AND address != 0
    )
    WHERE place > 1 GROUP BY customer_id
"""
SKIP = f"""
    ALTER TABLE {{stage}} UPDATE faults = arrayMap(
        (fault, position) -> if(
            fault = 0 AND has(joinGet('{{twice}}', 'positions', customer_id), position), {SAME_ADDRESS}, fault
        ),
        faults, arrayEnumerate(faults)
    )
    WHERE customer_id IN (SELECT customer_id FROM {{twice}})
"""
NOT_REACHED = f"""
    ALTER TABLE {{stage}} UPDATE verdict = '{Outcome.UNREACHABLE}'
    WHERE verdict = '' AND NOT ({{reachable}}) AND customer_id IN (SELECT customer_id FROM {{twice}})
"""
HELD = "CREATE TABLE {held} (address UInt64) ENGINE = {engine}"
FILL_HELD = """
    INSERT INTO {held} SELECT DISTINCT arrayJoin(arrayFilter(hash -> hash != 0, {hashes})) FROM (
        SELECT customer_id AS known_id, {columns} FROM profiles WHERE data_date = {{data_date:Date}} AND {held_out}
    ) AS profile
"""
ASIDE = ("held", "addresses", "shared", "units", "units_next", "twice", "domains")


class SharedAddresses:
    """The tables of a run about shared addresses. keys are SQL, over a profile, of the addresses by channel."""

    def __init__(self, scope: Scope, prefix: str, keys: Sequence[str]) -> None:
        self._scope, self._prefix, self._keys = scope, prefix, keys

    def _run(self, sql: str, settings: dict[str, Any] | None = None, **more: Any) -> None:
        self._scope.warehouse.execute(sql, settings, **more)

    def _named(self, sql: str, **more: str) -> str:
        """A statement with the names of the tables, which changes of the stage find in no database by themselves."""
        database = self._scope.warehouse.name
        return sql.format(**{suffix: f"{database}.{self._prefix}_{suffix}" for suffix in ASIDE}, **more)

    def find(self, members: str, columns: str, data_date: date, **parameters: Any) -> bool:
        """Find who shares an address; whether anybody does."""
        engine = self._scope.warehouse.engine_aside(ADDRESSES_ORDER)
        self._run(self._named(ADDRESSES, engine=engine))
        hashes = self._distinct
        statement = self._named(FILL_ADDRESSES, hashes=f"[{', '.join(hashes)}]", members=members, columns=columns)
        self._run(statement, data_date=data_date, **parameters)
        if not self._scope.warehouse.rows(self._named(f"{SHARED} LIMIT 1 SETTINGS optimize_aggregation_in_order = 1")):
            return False
        self._run(self._named(ADDRESSES.replace("{addresses}", "{shared}"), engine=engine))
        self._run(self._named(KEEP_SHARED))
        self._run(self._named(UNITS))
        self._run(self._named(LOWEST_ID))
        while len(hashes) > 1 and self._joined():
            pass
        return True

    def _joined(self) -> bool:
        """Join units that share a member; whether there were any."""
        self._run(self._named(UNITS.replace("{units}", "{units_next}")))
        self._run(self._named(LOWEST_UNIT.replace("{next}", "{units_next}")))
        differ = self._scope.warehouse.value(self._named(DIFFER.replace("{next}", "{units_next}")))
        self._run(self._named("DROP TABLE {units}"))
        self._run(self._named("RENAME TABLE {units_next} TO {units}"))
        return bool(differ)

    @property
    def _distinct(self) -> list[str]:
        """SQL of the addresses of a customer, each attribute once."""
        return [_hash(key) for key in sorted({key for key in self._keys if key})]

    def of_held_out(self, columns: str, held_out: str, **parameters: Any) -> str:
        """SQL of whether a member has an address of somebody, in the run or not, whom a condition holds out.

        held_out is the condition, on customer_id; columns are those of the profile.
        """
        self._run(self._named(HELD, engine=self._scope.warehouse.engine_aside("address")))
        hashes = f"[{', '.join(self._distinct)}]"
        self._run(self._named(FILL_HELD, hashes=hashes, columns=columns, held_out=held_out), **parameters)
        held_table = self._named("{held}")
        return " OR ".join(f"{address_hash} IN (SELECT address FROM {held_table})" for address_hash in self._distinct)

    @property
    def hashes(self) -> str:
        """SQL of the addresses of a member by channel of the run, 0 for none."""
        return f"[{', '.join(_hash(key) if key else 'toUInt64(0)' for key in self._keys)}]"

    @property
    def unit(self) -> str:
        """SQL of the id by which a member is divided: its own, or the lowest of those it shares an address with."""
        unit = self._named("joinGet('{units}', 'unit', member.customer_id)")
        return f"if({unit} = '', member.customer_id, {unit})"

    def skip(self, stage: str, reachable: str) -> None:
        """Give whoever is not the lowest id of an address that fault on the channel, in the stage."""
        self._run(self._named(TWICE))
        self._run(self._named(FILL_TWICE, stage=stage))
        if self._scope.warehouse.value(self._named("SELECT count() FROM {twice}")):
            self._run(self._named(SKIP, stage=stage))
            self._run(self._named(NOT_REACHED, stage=stage, reachable=reachable))

    @property
    def tables(self) -> list[str]:
        """The names of the tables, made or not."""
        return [identifier(f"{self._prefix}_{suffix}") for suffix in ASIDE]


def _hash(key: str) -> str:
    return f"arrayMap(text -> if(text = '', toUInt64(0), sipHash64(text)), [{key}])[1]"


def decoded(scope: Scope, prefix: str, addresses: Sequence[str], data_date: date) -> str:
    """The table of the punycode domains among addresses (SQL over a profile), or nothing: see channels.key_sql."""
    selects = (
        f"SELECT {address} AS text FROM profiles AS profile WHERE data_date = {{data_date:Date}}"
        for address in addresses
    )
    texts = " UNION ALL ".join(selects)
    return (
        channel_addresses.decode_domains(scope.warehouse, f"{prefix}_domains", texts, data_date=data_date)
        if texts
        else ""
    )
