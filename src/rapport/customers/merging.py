"""From the staging table to the table that is read: duplicates, spellings of CustomerIDs, swap.

The new state of a table is built aside and takes the table's place in one step. What is built is the
old state where the file does not speak of it.
"""

from dataclasses import dataclass, field

from rapport.access.scope import Scope
from rapport.customers.attributes import attributes
from rapport.customers.identity import is_name, says_nothing_sql
from rapport.customers.partial_rows import keep_unsaid
from rapport.customers.plans import Plan
from rapport.customers.scrubbing import TEXT_TYPES, cleared, shaped
from rapport.customers.staging import KEPT, Stage
from rapport.stores.slices import BYTES_A_KEY
from rapport.stores.warehouse import Database, identifier, literal

ROOM_FOR_ROWS = 4  # keys that a row of customers takes the room of, when two tables of them are joined
PARTITIONS = """
    SELECT DISTINCT partition_id FROM system.parts
    WHERE database = {database:String} AND table = {table:String} AND active
"""
SPILL = "SETTINGS join_algorithm = 'grace_hash'"


@dataclass
class Counts:
    """What an import did to its table. unknown_customers are CustomerIDs of no known customer."""

    new: int = 0
    updated: int = 0
    removed: int = 0
    unknown_customers: int = 0
    created_customers: int = 0
    ignored_columns: list[str] = field(default_factory=list)


def key_sql(plan: Plan) -> str:
    """SQL of a row's primary key as it is compared: CustomerIDs ignoring case."""
    if plan.kind.name == "customers":
        return "lowerUTF8(customer_id)"
    return ", ".join(plan.kind.key)


def has_duplicates(stage: Stage, plan: Plan) -> bool:
    """Whether a primary key comes twice in the file."""
    good, key = stage.table("good"), key_sql(plan)
    sql = f"SELECT count() - uniqExact(sipHash64({key})) FROM {good}"  # noqa: S608 - ours
    return any(part.value(sql) for part in stage.warehouse.hash_slices({good: key}, stage.count("good")))


def passes_over_keys(stage: Stage) -> int:
    """In how many parts the keys of the file are compared, so that each fits into memory as a set of hashes."""
    return stage.count("good") // stage.warehouse.at_once(BYTES_A_KEY) + 1


def merge(scope: Scope, stage: Stage, plan: Plan, mode: str, removed: bool) -> Counts:
    """Put the staged rows in their table's place. Call it under locks.writing.

    removed: whether there are customers among them who were removed, see masking.stage_removed.
    """
    if plan.kind.name == "customers":
        return _merge_customers(scope, stage, plan, mode, removed)
    counts = Counts(ignored_columns=list(plan.ignored))
    if mode == "full":
        counts.new = stage.count("good")
        counts.removed = _count(stage.warehouse, plan.kind.table) - _keep_others(stage, plan)
        swap(stage, "good", plan.kind.table)
        return counts
    if plan.partial:
        keep_unsaid(stage, plan)
    counts.updated = _clone_without_staged(stage, plan)
    counts.new = stage.count("good") - counts.updated
    _attach(stage, "good", "next")
    swap(stage, "next", plan.kind.table)
    return counts


def _keep_others(stage: Stage, plan: Plan) -> int:
    """Add to `good` what no file brought: events that came in real time. How many those are."""
    if plan.kind.name != "activity":
        return 0
    good, table = stage.table("good"), plan.kind.table
    before = stage.count("good")
    for part in stage.warehouse.hash_slices({good: "event_id", table: "event_id"}, before):
        part.execute(f"""
            INSERT INTO {good} SELECT * FROM {table}
            WHERE origin != 'file' AND event_id NOT IN (SELECT event_id FROM {good})
            SETTINGS max_partitions_per_insert_block = 0
        """)  # noqa: S608 - our tables
    return stage.count("good") - before


def swap(stage: Stage, part: str, table: str) -> None:
    """Exchange a staged table with the one that is read, at once."""
    stage.warehouse.execute(f"EXCHANGE TABLES {stage.table(part)} AND {identifier(table)}")


def _count(warehouse: Database, table: str) -> int:
    return int(warehouse.value(f"SELECT count() FROM {table}"))  # noqa: S608 - our table


def stored_or_staged(stage: Stage, table: str) -> int:
    """How many rows the larger of the file and a table has."""
    return max(stage.count("good"), _count(stage.warehouse, table))


def _clone_without_staged(stage: Stage, plan: Plan) -> int:
    """Make `next`, the table without the rows that the file replaces; how many those are."""
    table, next_, good = plan.kind.table, stage.table("next"), stage.table("good")
    stage.warehouse.execute(f"CREATE TABLE {next_} CLONE AS {table}")
    if not _count(stage.warehouse, table):
        return 0
    key = "transaction_id" if plan.kind.name == "items" and not plan.has("line_number") else key_sql(plan)
    before = _count(stage.warehouse, next_)
    passes = passes_over_keys(stage)
    for number in range(passes):
        # The hash finds that there is nothing to replace at a fraction of the memory that the keys take.
        part = f"sipHash64({key}) % {passes} = {number}"
        staged = f"SELECT sipHash64({key}) FROM {good} WHERE {part}"  # noqa: S608 - ours
        if stage.warehouse.value(f"SELECT count() FROM {table} WHERE {part} AND sipHash64({key}) IN ({staged})"):  # noqa: S608 - ours
            stage.warehouse.execute(
                f"DELETE FROM {next_} WHERE {part} AND ({key}) IN (SELECT {key} FROM {good} WHERE {part})"  # noqa: S608 - ours
            )
    return before - _count(stage.warehouse, next_)


def _attach(stage: Stage, source: str, target: str) -> None:
    for (partition,) in stage.warehouse.rows(PARTITIONS, database=stage.warehouse.name, table=stage.table(source)):
        stage.warehouse.execute(
            f"ALTER TABLE {stage.table(target)} ATTACH PARTITION ID '{partition}' FROM {stage.table(source)}"
        )


def _merge_customers(scope: Scope, stage: Stage, plan: Plan, mode: str, removed: bool) -> Counts:
    warehouse, next_, good = stage.warehouse, stage.table("next"), stage.table("good")
    known = attributes(scope)
    types = warehouse.columns("customers")
    columns = [column for column in types if column != "customer_id"]
    pii = {column for column in columns if column.upper() in known and known[column.upper()].is_pii}
    api = {name for name, info in known.items() if info.source == "api"}
    kept = {column for column in columns if column.upper() in api or (mode != "full" and not plan.has(column))}
    hidden = {
        column: _hidden(stage, column, column in pii)
        for column in columns
        if removed and (column in pii or types[column] in TEXT_TYPES)
    }
    told = {column for column in pii - kept if plan.has(column) and types[column] in TEXT_TYPES}
    values = [
        _customer_value(plan, column, column in kept, types[column], hidden.get(column), column in told)
        for column in columns
    ]
    asked = sorted(columns if plan.partial else kept | told)
    old = ", ".join(["customer_id AS old_id", *(f"{identifier(column)} AS old_{column}" for column in asked)])
    names = ", ".join(["customer_id", *(identifier(column) for column in columns)])
    warehouse.execute(f"CREATE TABLE {next_} AS customers")
    keys = dict.fromkeys((good, "customers"), "lowerUTF8(customer_id)")
    for part in warehouse.hash_slices(keys, ROOM_FOR_ROWS * stored_or_staged(stage, "customers")):
        part.execute(f"""
            INSERT INTO {next_} ({names})
            SELECT if(old.old_id = '', staged.customer_id, old.old_id), {", ".join(values)}
            FROM {good} AS staged
            LEFT JOIN (
                SELECT {old} FROM customers WHERE lowerUTF8(customer_id) IN (SELECT lowerUTF8(customer_id) FROM {good})
            ) AS old ON lowerUTF8(staged.customer_id) = lowerUTF8(old.old_id)
            {SPILL}
        """)  # noqa: S608 - names of columns
    counts = Counts(ignored_columns=list(plan.ignored))
    both = f"SELECT count() FROM {next_} WHERE customer_id IN (SELECT customer_id FROM customers)"  # noqa: S608 - ours
    counts.updated = sum(int(part.value(both)) for part in warehouse.customer_slices(next_, "customers"))
    counts.new = _count(warehouse, next_) - counts.updated
    if mode == "full":
        counts.removed = _count(warehouse, "customers") - counts.updated
    else:
        for part in warehouse.customer_slices(next_, "customers"):
            part.execute(f"""
                INSERT INTO {next_} ({names}) SELECT {names} FROM customers
                WHERE customer_id NOT IN (SELECT customer_id FROM {next_})
            """)  # noqa: S608 - names of columns
    swap(stage, "next", "customers")
    return counts


def _hidden(stage: Stage, column: str, pii: bool) -> str:
    """SQL of whether a staged value is not loaded, since it identifies a person who was removed."""
    removed = f"lowerUTF8(staged.customer_id) IN (SELECT key FROM {stage.table('removed')})"  # noqa: S608 - ours
    value = f"ifNull(staged.{identifier(column)}, '')"
    return removed if pii else f"{removed} AND {shaped(value)}"


def _customer_value(plan: Plan, column: str, kept: bool, type_: str, hidden: str | None, told: bool) -> str:
    """SQL of a customer's value. told: an address or a name; a word for nothing replaces none that is known."""
    if kept:
        return f"old.old_{column}"
    if not plan.has(column):
        return "NULL"
    value = f"staged.{identifier(column)}"
    if told:
        nothing = says_nothing_sql(f"ifNull({value}, 'known')", is_name(column))
        value = f"if({nothing}, nullIf(old.old_{column}, ''), {value})"
    value = cleared(hidden, value, type_) if hidden else value
    return f"if(has(staged.{KEPT}, {literal(column)}), old.old_{column}, {value})" if plan.partial else value
