"""Ids that look like one another: of one customer, perhaps, and kept apart only by how they were written.

Ids look alike when they are the same without blanks and invisible characters, in the compatible normal form,
ignoring case altogether, and without .0 behind a number. Of two different ids that look alike at least one
is odd: it has a character beyond the visible ones of ASCII, or ends with .0. So only odd ids and those that look
like an odd one are compared.
"""

from rapport.customers.importing.column_plans import Plan
from rapport.customers.importing.file_warnings import EXAMPLES, FileWarning, as_example, counted
from rapport.customers.importing.staging import Stage

ODD = "match(id, '[^!-~]|[.]0+$')"
# The same of ids that only files bring, which have no control characters: most are known without a pattern.
ODD_OF_FILES = "NOT isASCII(id) OR position(id, ' ') > 0 OR (endsWith(id, '0') AND match(id, '[.]0+$'))"
PLAINLY = "replaceRegexpAll(lowerUTF8(upperUTF8(normalizeUTF8NFKC(id))), '[\\\\s\\\\pZ\\\\pC]+', '')"
LOOK = f"if({ODD}, replaceRegexpOne({PLAINLY}, '^([0-9]+)[.]0+$', '\\\\1'), lowerUTF8(id))"
# Per kind the columns of ids, what they are called, and the stored columns that hold such ids.
COMPARED = {
    "customers": (("customer_id", "CustomerID", ("customers",)),),
    "transactions": (
        ("customer_id", "CustomerID", ("customers", "transactions")),
        ("transaction_id", "Transaction_ID", ("transactions",)),
    ),
    "items": (
        ("customer_id", "CustomerID", ("customers",)),
        ("product_id", "Item_ID", ("products",)),
    ),
    "products": (("product_id", "Item_ID", ("products",)),),
    "activity": (("customer_id", "CustomerID", ("customers",)),),
}
GROUPS = """
    SELECT count(), groupArray({examples})(ids) FROM (
        SELECT {look} AS look, groupUniqArray(4)(id) AS ids
        FROM ({ids}) WHERE look IN (SELECT {look} FROM ({ids}) WHERE {odd})
        GROUP BY look HAVING uniqExact(lowerUTF8(id)) > 1 AND max(staged) = 1 ORDER BY look
    )
"""


def figures_sql(plan: Plan) -> dict[str, str]:
    """SQL of figures about staged rows, by name: without any odd id, staged or stored, nothing can look alike."""
    return {
        f"similar {column}": " + ".join([f"countIf({_odd(column)})", *(_some_odd(column, table) for table in tables)])
        for column, _, tables in _compared(plan)
    }


def look_alikes(stage: Stage, plan: Plan, signs: frozenset[str]) -> list[FileWarning]:
    """Groups of staged ids that look like one another, or like stored ones; signs are the names of those seen."""
    compared = [ids for ids in _compared(plan) if f"similar {ids[0]}" in signs]
    return [_groups(stage, column, label, tables) for column, label, tables in compared]


def _compared(plan: Plan) -> list[tuple[str, str, tuple[str, ...]]]:
    return [ids for ids in COMPARED[plan.kind.name] if plan.has(ids[0])]


def _some_odd(column: str, table: str) -> str:
    return f"(SELECT count() FROM (SELECT 1 FROM {table} WHERE {_odd(column, table)} LIMIT 1))"  # noqa: S608 - ours


def _odd(column: str, table: str = "") -> str:
    return (ODD if table == "customers" else ODD_OF_FILES).replace("id", column)


def _groups(stage: Stage, column: str, label: str, tables: tuple[str, ...]) -> FileWarning:
    parts = [(stage.table("good"), 1), *((table, 0) for table in tables)]
    ids = " UNION ALL ".join(
        f"SELECT {column} AS id, {staged} AS staged FROM {table}"  # noqa: S608 - our tables
        for table, staged in parts
    )
    sql = GROUPS.format(examples=EXAMPLES, look=LOOK, ids=ids, odd=ODD)
    count, groups = stage.warehouse.row(sql) or (0, [])
    message = (
        f"{counted(count, f'{label} looks', f'{label}s look')} like another one but for blanks, invisible "
        "characters, forms of a letter or .0 behind a number; ids that differ so count as different."
    )
    return FileWarning("similar_ids", message, count, tuple(as_example(sorted(group)) for group in groups))
