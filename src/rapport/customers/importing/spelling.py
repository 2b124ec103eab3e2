"""Staged rows meet what is there: CustomerIDs take the spelling first seen, items learn of their transaction."""

from collections.abc import Iterator

from rapport.customers.importing.column_plans import Plan
from rapport.customers.importing.merging import ROOM_FOR_ROWS, SPILL, Counts, stored_or_staged, swap
from rapport.customers.importing.staging import Stage, columns
from rapport.stores.warehouse import Database

UNKNOWN_TABLE = "(customer_id String, key String, first_day Date) ENGINE = MergeTree ORDER BY customer_id"
HAS_UNKNOWN = """
    SELECT count() FROM (
        SELECT 1 FROM {good} WHERE customer_id NOT IN (SELECT customer_id FROM customers) LIMIT 1
    )
"""
# Staged rows are in order of CustomerID, so the aggregation keeps nothing in memory.
STAGE_UNKNOWN = """
    INSERT INTO {unknown}
    SELECT customer_id, lowerUTF8(customer_id) AS key, first_day FROM (
        SELECT customer_id, {first_day} AS first_day FROM {good} GROUP BY customer_id
    ) WHERE customer_id NOT IN (SELECT customer_id FROM customers)
    SETTINGS optimize_aggregation_in_order = 1
"""
RESPELL = """
    INSERT INTO {spellings}
    SELECT unknown.customer_id, if(known.spelling = '', first.spelling, known.spelling) AS spelling
    FROM {unknown} AS unknown
    INNER JOIN (
        SELECT key, min(customer_id) AS spelling FROM {unknown} GROUP BY key
    ) AS first ON first.key = unknown.key
    LEFT JOIN (
        SELECT lowerUTF8(customer_id) AS key, customer_id AS spelling FROM customers
        WHERE lowerUTF8(customer_id) IN (SELECT key FROM {unknown})
    ) AS known ON known.key = unknown.key
    WHERE spelling != unknown.customer_id
"""


def respell(stage: Stage, plan: Plan) -> Counts:
    """Give the staged rows the known spelling of their CustomerID; counts CustomerIDs that nobody has."""
    names = {part: stage.table(part) for part in ("good", "unknown", "spellings")}
    warehouse, time = stage.warehouse, plan.kind.time_column
    has_unknown = HAS_UNKNOWN.format(**names)
    if not any(part.value(has_unknown) for part in warehouse.customer_slices(names["good"], "customers")):
        return Counts()
    stage.create("unknown", UNKNOWN_TABLE)
    for part in warehouse.customer_slices(names["good"], "customers"):
        part.execute(STAGE_UNKNOWN.format(**names, first_day=f"toDate(min({time}))"))
    stage.create("spellings", "(customer_id String, spelling String) ENGINE = MergeTree ORDER BY customer_id")
    for part in _by_key(stage):
        part.execute(RESPELL.format(**names))
    if stage.count("spellings"):
        _rewrite(stage)
    unknown = f"""
        SELECT uniqExact(key) FROM {names["unknown"]}
        WHERE key NOT IN (SELECT lowerUTF8(customer_id) FROM customers)
    """  # noqa: S608 - our tables
    return Counts(unknown_customers=sum(int(part.value(unknown)) for part in _by_key(stage)))


def _by_key(stage: Stage) -> Iterator[Database]:
    """Slices of unknown and known customers by the CustomerID ignoring case."""
    keys = {stage.table("unknown"): "key", "customers": "lowerUTF8(customer_id)"}
    customers = int(stage.warehouse.value("SELECT count() FROM customers"))
    return stage.warehouse.hash_slices(keys, ROOM_FOR_ROWS * max(stage.count("unknown"), customers))


def _rewrite(stage: Stage) -> None:
    good, spellings = stage.table("good"), stage.table("spellings")
    others = ", ".join(f"{column}" for column in stage.warehouse.columns(good) if column != "customer_id")
    stage.warehouse.execute(f"""
        INSERT INTO {good} (customer_id, {others})
        SELECT spelled.spelling, {others} FROM {good} AS staged
        INNER JOIN {spellings} AS spelled ON spelled.customer_id = staged.customer_id
    """)  # noqa: S608 - our tables
    stage.warehouse.execute(f"DELETE FROM {good} WHERE customer_id IN (SELECT customer_id FROM {spellings})")  # noqa: S608 - ours


def create_unknown_customers(stage: Stage) -> int:
    """Make a customer of every CustomerID that nobody has, registered on the day of its first transaction."""
    warehouse, unknown, created = stage.warehouse, stage.table("unknown"), stage.table("created")
    # A copy links to the parts only, so updates that still lie beside them are made part of them first.
    warehouse.execute("ALTER TABLE customers APPLY PATCHES")
    stage.create("created", "CLONE AS customers")
    for part in _by_key(stage):
        part.execute(f"""
            INSERT INTO {created} (customer_id, REGISTRATION_DATE)
            SELECT min(customer_id), min(first_day) FROM {unknown}
            WHERE key NOT IN (SELECT lowerUTF8(customer_id) FROM customers) GROUP BY key
        """)  # noqa: S608 - our tables
    created_count = stage.count("created") - int(warehouse.value("SELECT count() FROM customers"))
    swap(stage, "created", "customers")
    return created_count


def complete_items(stage: Stage, plan: Plan) -> None:
    """Give items the customer and time of their transaction; those of an unknown transaction are left out."""
    if plan.has("customer_id") and plan.has("transaction_time"):
        return
    good, whole = stage.table("good"), stage.table("whole")
    warehouse = stage.warehouse
    stage.create("whole", f"AS {good}")
    others = ", ".join(column for column in columns(plan) if column not in ("customer_id", "transaction_time"))
    keys = dict.fromkeys((good, "transactions"), "transaction_id")
    for part in warehouse.hash_slices(keys, stored_or_staged(stage, "transactions")):
        part.execute(f"""
            INSERT INTO {whole} (customer_id, transaction_time, {others})
            SELECT parent.customer_id, parent.transaction_time, {others} FROM {good} AS item
            INNER JOIN (
                SELECT transaction_id AS id, any(customer_id) AS customer_id, any(transaction_time) AS transaction_time
                FROM transactions WHERE transaction_id IN (SELECT transaction_id FROM {good}) GROUP BY transaction_id
            ) AS parent ON parent.id = item.transaction_id
            {SPILL}
        """)  # noqa: S608 - our tables
    warehouse.execute(f"EXCHANGE TABLES {whole} AND {good}")
