"""Rows that do not say everything: what they leave out stays as it is in the row that they replace."""

from rapport.customers.importing.column_plans import Plan
from rapport.customers.importing.staging import KEPT, Stage
from rapport.stores.warehouse import identifier, literal

SETTINGS = """
    SETTINGS join_algorithm = 'grace_hash', max_bytes_before_external_group_by = 500000000,
        max_partitions_per_insert_block = 0
"""


def fill_absent_values(stage: Stage, plan: Plan) -> None:
    """Make staged rows whole from the rows of the same key that are stored. Call it under locks.writing."""
    good, filled, table = stage.table("good"), stage.table("filled"), plan.kind.table
    columns = list(stage.warehouse.columns(table))
    names = ", ".join(identifier(column) for column in columns)
    values = ", ".join(_value(plan, column) for column in columns)
    old = ", ".join(f"{identifier(column)} AS old_{column}" for column in columns)
    key = ", ".join(plan.kind.key)
    same = " AND ".join(f"staged.{column} = old.old_{column}" for column in plan.kind.key)
    stage.create("filled", f"AS {table}")
    stage.warehouse.execute(f"""
        INSERT INTO {filled} ({names})
        SELECT {values} FROM {good} AS staged
        LEFT JOIN (
            SELECT 1 AS is_stored, {old} FROM {table} WHERE ({key}) IN (SELECT {key} FROM {good})
        ) AS old ON {same}
        {SETTINGS}
    """)  # noqa: S608 - names of columns
    stage.warehouse.execute(f"EXCHANGE TABLES {filled} AND {good}")


def _value(plan: Plan, column: str) -> str:
    staged, stored = f"staged.{identifier(column)}", f"old.old_{column}"
    if column == "properties":
        return _properties(plan, staged, stored)
    fields = {field.column for field in plan.kind.fields} - {*plan.kind.key, plan.kind.customer_column}
    if column not in fields or (column == plan.kind.time_column and not plan.has(column)):
        return staged
    absent = f"old.is_stored = 1 AND has(staged.{KEPT}, {literal(column)})" if plan.has(column) else "old.is_stored = 1"
    value = f"if({absent}, {stored}, {staged})"
    for field in plan.kind.fields:
        if field.implies and field.implies[0] == column:
            value = f"if({_value(plan, field.column)} != '', {field.implies[1]}, {value})"
    return value


def _properties(plan: Plan, staged: str, stored: str) -> str:
    """SQL of the stored properties that a row does not speak of, with those that it brings."""
    named = ", ".join(literal(name) for name, _ in plan.properties)
    is_given = f"has(CAST([{named}], 'Array(String)'), name) AND NOT has(staged.{KEPT}, concat('.', name))"
    remaining = f"mapFilter((name, value) -> NOT ({is_given}), {stored})"
    return f"if(old.is_stored = 1, mapUpdate({remaining}, {staged}), {staged})"
