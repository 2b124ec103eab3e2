"""Ids that look like one another: of one customer, perhaps, and kept apart only by how they were written.

Ids look alike when they are the same without blanks and invisible characters, in the compatible normal form,
ignoring case altogether, and without .0 behind a number. Of two different ids that look alike at least one
is odd: it has a character beyond the visible ones of ASCII, or ends with .0. So only odd ids and those that look
like an odd one are compared.
"""

from rapport.customers.plans import Plan
from rapport.customers.staging import Stage
from rapport.customers.suspicions import EXAMPLES, Suspicion, counted, told_apart

ODD = "match(id, '[^!-~]|[.]0+$')"
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


def look_alikes(stage: Stage, plan: Plan) -> list[Suspicion]:
    """Groups of staged ids that look like one another, or like stored ones."""
    compared = COMPARED[plan.kind.name]
    return [_groups(stage, column, called, tables) for column, called, tables in compared if plan.has(column)]


def _groups(stage: Stage, column: str, called: str, tables: tuple[str, ...]) -> Suspicion:
    parts = [(stage.table("good"), 1), *((table, 0) for table in tables)]
    ids = " UNION ALL ".join(
        f"SELECT {column} AS id, {staged} AS staged FROM {table}"  # noqa: S608 - our tables
        for table, staged in parts
    )
    if not stage.warehouse.value(f"SELECT count() FROM (SELECT id FROM ({ids}) WHERE {ODD} LIMIT 1)"):  # noqa: S608 - ours
        return Suspicion("similar_ids", "", 0)
    sql = GROUPS.format(examples=EXAMPLES, look=LOOK, ids=ids, odd=ODD)
    count, groups = stage.warehouse.row(sql) or (0, [])
    message = (
        f"{counted(count, f'{called} looks', f'{called}s look')} like another one but for blanks, invisible "
        "characters, forms of a letter or .0 behind a number; ids that differ so count as different."
    )
    return Suspicion("similar_ids", message, count, tuple(told_apart(sorted(one)) for one in groups))
