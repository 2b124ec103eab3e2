"""What identifies removed persons, found by SQL in texts and properties of the warehouse.

A property goes when its name says that it identifies, when its value is an e-mail address or a phone number, when
it is JSON with a member of such a name, or when it repeats what the person's identifying attributes said.
"""

# ruff: noqa: S608 - statements are put together of constants and names of tables and columns

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rapport.access.scope import Scope
from rapport.customers.privacy.personal_names import named_personal
from rapport.customers.privacy.personal_values import (
    NUMBER,
    PersonalTexts,
    digits,
    folded,
    holds_email,
    is_phone,
    members,
)
from rapport.stores.warehouse import identifier

# The attribute that a parameter called `name` is a value of, if it is one's: standard events prefix it.
ATTRIBUTE_NAMED = "replaceOne(upper(name), 'OOTB_', '')"
IDS, VALUES, KNOWN = "erase_ids", "erase_values", "erase_known"
ERASED = f"customer_id IN (SELECT customer_id FROM {IDS})"
PROPERTIED = ("transactions", "transaction_items", "activity_events")
TEXT_TYPES = ("Nullable(String)", "LowCardinality(Nullable(String))")
MAKE_VALUES = f"""
    CREATE TABLE IF NOT EXISTS {VALUES} (customer_id String, text String) ENGINE = MergeTree ORDER BY customer_id
    SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""
MAKE_KNOWN = f"""
    CREATE TABLE {KNOWN} (customer_id String, texts Array(String), numbers Array(String))
    ENGINE = Join(ANY, LEFT, customer_id)
"""
FILL_KNOWN = f"""
    INSERT INTO {KNOWN}
    SELECT customer_id, groupUniqArray({folded("text")}),
        groupUniqArrayIf({digits("text")}, length({digits("text")}) >= {PersonalTexts.FEWEST_DIGITS}
            AND match(text, '^{NUMBER.replace(chr(92), chr(92) * 2)}$'))
    FROM {VALUES} WHERE lengthUTF8(trim(text)) >= {PersonalTexts.SHORTEST} GROUP BY customer_id
"""
NAMES = f"""
    SELECT DISTINCT arrayJoin(arrayConcat(mapKeys(properties), arrayFlatten(arrayMap(
        text -> {members("text")}, mapValues(properties)
    )))) FROM {{table}} WHERE {{where}}
"""


def _staged_texts(scope: Scope, columns: Iterable[str]) -> Iterator[str]:
    """SQL, by table, of what the identifying columns say of the persons in erase_ids."""
    for table in ("customers", "profiles"):
        present = scope.warehouse.columns(table)
        texts = ", ".join(f"ifNull(toString({identifier(column)}), '')" for column in columns if column in present)
        if texts:
            yield f"""
                SELECT DISTINCT customer_id, arrayJoin(arrayFilter(text -> text != '', [{texts}])) AS text
                FROM {table} WHERE {ERASED}
            """


def keep_texts(scope: Scope, columns: Sequence[str]) -> None:
    """Note what the identifying columns say of the persons in erase_ids, to find it elsewhere, until `rewrite` has."""
    scope.warehouse.execute(MAKE_VALUES)
    for sql in _staged_texts(scope, columns):
        scope.warehouse.execute(f"INSERT INTO {VALUES} {sql}")


def staged_texts(scope: Scope, columns: Sequence[str]) -> PersonalTexts:
    """What the identifying columns say of the persons in erase_ids."""
    return PersonalTexts(str(text) for sql in _staged_texts(scope, columns) for _, text in scope.warehouse.rows(sql))


def own_texts(scope: Scope, customer_ids: Iterable[str]) -> PersonalTexts:
    """What was noted of persons whose data is still to be rewritten. Call it under locks.writing."""
    if not scope.warehouse.columns(VALUES):
        return PersonalTexts([])
    keys = {customer_id.lower() for customer_id in customer_ids}
    rows = scope.warehouse.rows(f"SELECT DISTINCT customer_id, text FROM {VALUES}")
    return PersonalTexts(text for customer_id, text in rows if customer_id.lower() in keys)


def make_known(scope: Scope) -> None:
    """Make what `identifies` joins, of what was noted. Call it under locks.writing."""
    scope.warehouse.execute(MAKE_VALUES)
    scope.warehouse.execute(f"DROP TABLE IF EXISTS {KNOWN} SYNC")
    scope.warehouse.execute(MAKE_KNOWN)
    scope.warehouse.execute(FILL_KNOWN)


def drop_known(scope: Scope) -> None:
    """Drop it, and what was noted."""
    for table in (KNOWN, VALUES):
        scope.warehouse.execute(f"DROP TABLE IF EXISTS {table} SYNC")


def shaped(text: str) -> str:
    """SQL: whether a text identifies somebody by its shape."""
    return f"({holds_email(text)} OR {is_phone(text)})"


def identifies(scope: Scope, text: str) -> str:
    """SQL: whether a text identifies the customer of its row. Needs make_known."""
    join_table = f"{scope.warehouse.name}.{KNOWN}"  # a change of parts knows no current database
    repeats_text = (
        f"arrayExists(known -> position({folded(text)}, known) > 0, joinGet('{join_table}', 'texts', customer_id))"
    )
    repeats_number = (
        f"arrayExists(known -> position({digits(text)}, known) > 0, joinGet('{join_table}', 'numbers', customer_id))"
    )
    return f"({shaped(text)} OR {repeats_text} OR {repeats_number})"


def cleared(condition: str, value: str, type_: str) -> str:
    """SQL of a value that is NULL under a condition, its bytes with it: the engine keeps those behind a plain NULL."""
    base_type = (
        type_.removeprefix("LowCardinality(").removesuffix(")") if type_.startswith("LowCardinality(") else type_
    )
    quoted = base_type.replace("'", "\\'")
    return f"if({condition}, materialize(CAST(NULL, '{quoted}')), {value})"


def kept_properties(identifying: str) -> str:
    """SQL: properties without those that identify. Binds hidden and personal, as `property_names` gives them.

    identifying is SQL of whether the text `value` does.
    """
    named = f"has({{hidden:Array(String)}}, {ATTRIBUTE_NAMED}) OR has({{personal:Array(String)}}, name)"
    nested = f"hasAny({members('value')}, {{personal:Array(String)}})"
    return f"mapFilter((name, value) -> NOT ({named} OR {identifying} OR {nested}), properties)"


def property_names(scope: Scope, table: str, where: str, hidden: Iterable[str]) -> dict[str, Any]:
    """What kept_properties binds: identifying attributes' names, and those among the rows' names that say so."""
    names = [
        name for (name,) in scope.warehouse.rows(NAMES.replace("{table}", identifier(table)).replace("{where}", where))
    ]
    return {"hidden": sorted(hidden), "personal": [name for name in names if named_personal(name)]}


def other_texts(scope: Scope, table: str, identifying: Iterable[str]) -> list[str]:
    """The columns of customers or profiles that hold texts and are not marked as identifying."""
    marked = set(identifying)
    return [
        name for name, type_ in scope.warehouse.columns(table).items() if type_ in TEXT_TYPES and name not in marked
    ]
