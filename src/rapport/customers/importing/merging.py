"""From the staging table to the table that is read: duplicates, spellings of CustomerIDs, swap.

The new state of a table is built aside and takes the table's place in one step. What is built is the
old state where the file does not speak of it.
"""

import re
from dataclasses import dataclass, field

from rapport.access.scope import Scope
from rapport.customers.attributes import attributes
from rapport.customers.consent import Consent
from rapport.customers.identity import is_name, says_nothing_sql
from rapport.customers.importing.column_plans import Plan
from rapport.customers.importing.partial_rows import fill_absent_values
from rapport.customers.importing.staging import KEPT, Stage, put_aside
from rapport.customers.privacy.scrubbing import TEXT_TYPES, cleared, shaped
from rapport.customers.states import AttributeSource, ImportMode
from rapport.stores.warehouse import Database, identifier, literal
from rapport.stores.warehouse.slices import BYTES_A_KEY

ROOM_FOR_ROWS = 4  # keys that a row of customers takes the room of, when two tables of them are joined
PARTITIONS = """
    SELECT DISTINCT partition_id FROM system.parts
    WHERE database = {database:String} AND table = {table:String} AND active
"""
# The name of a part as it was inserted: in a merged one rows have numbers, which updates elsewhere could be meant by.
UNMERGED = re.compile("_0$")
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


def key_hash(plan: Plan) -> str:
    """SQL of a number for a row's primary key: two keys have the same one very rarely, which is looked at then."""
    return f"cityHash64({key_sql(plan)})"


def has_duplicates(stage: Stage, plan: Plan) -> bool:
    """Whether a primary key comes twice in the file, found in parts of which each fits into memory."""
    good, key, judged = stage.table("good"), key_sql(plan), f"NOT {put_aside(plan)}"
    sql = f"SELECT countIf({judged}) - uniqExactIf({key_hash(plan)}, {judged}) FROM {good}"  # noqa: S608 - ours
    return any(part.value(sql) for part in stage.warehouse.hash_slices({good: key}, stage.count("good")))


def passes_over_keys(stage: Stage, rows: int) -> int:
    """In how many parts the keys of so many rows are compared, so that each fits into memory as a set of hashes."""
    return rows // stage.warehouse.at_once(BYTES_A_KEY) + 1


def matching(stage: Stage, plan: Plan, passes: int, number: int, brought: str = "1") -> str:
    """SQL of how many stored rows that meet a condition (brought) have a key of the file, in one of the passes.

    Items without numbers have the key of their transaction.
    """
    hashed = f"cityHash64({_replaced_key(plan)})"
    part = f"{hashed} % {passes} = {number}" if passes > 1 else "1"
    staged = f"SELECT {hashed} FROM {stage.table('good')} WHERE {part}"  # noqa: S608 - ours
    return f"SELECT count() FROM {plan.kind.table} WHERE {brought} AND {part} AND {hashed} IN ({staged})"  # noqa: S608 - ours


def _replaced_key(plan: Plan) -> str:
    return "transaction_id" if plan.kind.name == "items" and not plan.has("line_number") else key_sql(plan)


def merge(scope: Scope, stage: Stage, plan: Plan, mode: str, rows: int, *, removed: bool) -> Counts:
    """Put the staged rows, so many, in their table's place. Call it under locks.writing.

    removed: whether there are customers among them who were removed, see masking.stage_removed.
    """
    if plan.kind.name == "customers":
        return _merge_customers(scope, stage, plan, mode, rows, removed)
    counts = Counts(new=rows, ignored_columns=list(plan.ignored))
    if mode == ImportMode.FULL:
        counts.removed = _count(stage.warehouse, plan.kind.table) - _keep_others(stage, plan)
        swap(stage, "good", plan.kind.table)
        return counts
    if plan.partial:
        fill_absent_values(stage, plan)
    passes, good, table = passes_over_keys(stage, rows), stage.table("good"), plan.kind.table
    # The hashes tell that there is nothing to replace at a fraction of the memory that the keys take.
    matches = " + ".join(f"({matching(stage, plan, passes, number)})" for number in range(passes))
    sql = f"SELECT groupUniqArray(_part), (SELECT count() FROM {table}), {matches} FROM {good}"  # noqa: S608 - our tables
    parts, stored, matched = stage.warehouse.row(sql) or ([], 0, 0)
    if not stored:
        swap(stage, "good", table)
    elif not matched and len(parts) == 1:
        attach(stage, "good", table)
    else:
        counts.updated = _clone_without_staged(stage, plan, passes if matched else 0)
        counts.new -= counts.updated
        attach(stage, "good", stage.table("next"))
        swap(stage, "next", table)
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
    """Exchange a staged table with the one that is read, at once. Raises what Stage.replacing raises."""
    with stage.replacing(stage.table(part)):
        stage.warehouse.execute(f"EXCHANGE TABLES {stage.table(part)} AND {identifier(table)}")


def attach(stage: Stage, part: str, table: str) -> None:
    """Add the rows of a staged table to another; at once, when they are one part of it. Raises as swap() does."""
    with stage.replacing(stage.table(part)):
        for (partition,) in stage.warehouse.rows(f"SELECT DISTINCT _partition_id FROM {stage.table(part)}"):  # noqa: S608 - ours
            stage.warehouse.execute(f"ALTER TABLE {table} ATTACH PARTITION ID '{partition}' FROM {stage.table(part)}")


def _count(warehouse: Database, table: str) -> int:
    return int(warehouse.value(f"SELECT count() FROM {table}"))  # noqa: S608 - our table


def stored_or_staged(stage: Stage, table: str) -> int:
    """How many rows the larger of the file and a table has."""
    counts = f"(SELECT count() FROM {stage.table('good')}), (SELECT count() FROM {table})"  # noqa: S608 - our tables
    return int(stage.warehouse.value(f"SELECT greatest({counts})"))


def _clone_without_staged(stage: Stage, plan: Plan, passes: int) -> int:
    """Make `next`, the table without the rows that the file replaces; how many those are."""
    next_, good, key = stage.create("next", f"CLONE AS {plan.kind.table}"), stage.table("good"), _replaced_key(plan)
    before = _count(stage.warehouse, next_) if passes else 0
    for number in range(passes):
        part = f"cityHash64({key}) % {passes} = {number}"
        stage.warehouse.execute(
            f"DELETE FROM {next_} WHERE {part} AND ({key}) IN (SELECT {key} FROM {good} WHERE {part})"  # noqa: S608 - ours
        )
    return before - _count(stage.warehouse, next_) if passes else 0


def _merge_customers(scope: Scope, stage: Stage, plan: Plan, mode: str, rows: int, removed: bool) -> Counts:
    warehouse, next_, good = stage.warehouse, stage.table("next"), stage.table("good")
    attributes_by_name, types = attributes(scope), warehouse.columns("customers")
    columns = [column for column in types if column != "customer_id"]
    infos = {column: attributes_by_name[column.upper()] for column in columns if column.upper() in attributes_by_name}
    pii = {column for column, info in infos.items() if info.is_pii}
    api = {column for column, info in infos.items() if info.source == AttributeSource.API}
    kept = {column for column in columns if column in api or (mode != ImportMode.FULL and not plan.has(column))}
    hidden = {
        column: _hidden(stage, column, column in pii)
        for column in columns
        if removed and (column in pii or types[column] in TEXT_TYPES)
    }
    contacts = {column for column in pii - kept if plan.has(column) and types[column] in TEXT_TYPES}
    refusals = {column: info.consent for column, info in infos.items() if info.consent and column not in kept}
    values = [
        _customer_value(
            plan, column, column in kept, types[column], hidden.get(column), column in contacts, refusals.get(column)
        )
        for column in columns
    ]
    old_columns = sorted(columns if plan.partial else kept | contacts | set(refusals))
    old = ", ".join(["customer_id AS old_id", *(f"{identifier(column)} AS old_{column}" for column in old_columns)])
    names = ", ".join(["customer_id", *(identifier(column) for column in columns)])
    stage.create("next", "AS customers")
    keys = dict.fromkeys((good, "customers"), "lowerUTF8(customer_id)")
    stored = _count(warehouse, "customers")
    for part in warehouse.hash_slices(keys, ROOM_FOR_ROWS * max(rows, stored)):
        part.execute(f"""
            INSERT INTO {next_} ({names})
            SELECT if(old.old_id = '', staged.customer_id, old.old_id), {", ".join(values)}
            FROM {good} AS staged
            LEFT JOIN (
                SELECT {old} FROM customers WHERE lowerUTF8(customer_id) IN (SELECT lowerUTF8(customer_id) FROM {good})
            ) AS old ON lowerUTF8(staged.customer_id) = lowerUTF8(old.old_id)
            {SPILL}
        """)  # noqa: S608 - names of columns
    counts, parts = Counts(ignored_columns=list(plan.ignored)), set[str]()
    both = f"""
        SELECT countIf(customer_id IN (SELECT customer_id FROM customers)), groupUniqArray(_part) FROM {next_}
    """  # noqa: S608 - ours
    for part in warehouse.customer_slices(next_, "customers"):
        updated, names_of_parts = part.row(both) or (0, [])
        counts.updated += updated
        parts.update(names_of_parts)
    counts.new = rows - counts.updated
    if mode == ImportMode.FULL:
        counts.removed = stored - counts.updated
    elif not counts.updated and len(parts) == 1 and UNMERGED.search(min(parts)):
        attach(stage, "next", "customers")
        return counts
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


def _customer_value(
    plan: Plan, column: str, kept: bool, type_: str, hidden: str | None, is_contact: bool, consent: Consent | None
) -> str:
    """SQL of a customer's value.

    is_contact: an address or a name; a word for nothing replaces none that is known. consent: what says nothing, a
    blank or a column that a full load lacks, takes no refusal away.
    """
    if kept:
        return f"old.old_{column}"
    value = f"staged.{identifier(column)}" if plan.has(column) else "NULL"
    if consent is not None:
        value = f"ifNull({value}, {consent.refusal_sql(f'old.old_{column}')})"
    if not plan.has(column):
        return value
    if is_contact:
        nothing = says_nothing_sql(f"ifNull({value}, 'known')", name=is_name(column))
        value = f"if({nothing}, nullIf(old.old_{column}, ''), {value})"
    value = cleared(hidden, value, type_) if hidden else value
    return f"if(has(staged.{KEPT}, {literal(column)}), old.old_{column}, {value})" if plan.partial else value
