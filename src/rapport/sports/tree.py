"""The inventory of a brand as a tree: records with what hangs on them, down to a depth."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text

from rapport.access.scope import Scope
from rapport.errors import Invalid, NotFound
from rapport.sports.definitions import Kind, RecordKey
from rapport.sports.odds import Price
from rapport.sports.reading import ACTIVE, FROM, OF_BRAND, SHOWN

MOST_NODES = 2000
COLUMNS = """{0}.kind, {0}.event_key, {0}.record_key, {0}.parent_kind, {0}.parent_event_key, {0}.parent_key, {0}.names,
    {0}.display_order, {0}.starts_at, {0}.numerator, {0}.denominator, {0}.decimal_odds"""
IS_CHILD = """{child}.tenant_id = :tenant_id AND {child}.brand_group_id = :brand
    AND {child}.parent_kind = tree.kind AND {child}.parent_event_key = tree.event_key
    AND {child}.parent_key = tree.record_key"""
TREE = f"""
    WITH RECURSIVE tree AS (
        SELECT {COLUMNS.format("record")}, {SHOWN} AS shown, {ACTIVE} AS active, 1 AS depth
        {FROM} WHERE {OF_BRAND} AND {{root}}
        UNION ALL
        SELECT {COLUMNS.format("record")}, tree.shown AND record.is_shown, tree.active AND record.is_active,
            tree.depth + 1
        FROM tree JOIN sports_records AS record ON {IS_CHILD.format(child="record")}
        WHERE tree.depth < :depth
    )
    SELECT tree.*, (SELECT count(*) FROM sports_records AS child WHERE {IS_CHILD.format(child="child")}) AS children
    FROM tree LIMIT :most
"""  # noqa: S608 - ours
ROOTS = text(TREE.format(root="record.parent_kind = ''"))
ROOT = text(
    TREE.format(root="record.kind = :kind AND record.event_key = :event_key AND record.record_key = :record_key")
)


@dataclass
class Node:
    """A record and what hangs on it; number_of_children counts also those below the depth that was asked for."""

    key: RecordKey
    name: str
    shown: bool
    active: bool
    display_order: int | None
    starts_at: datetime | None
    price: Price
    number_of_children: int
    children: list["Node"] = field(default_factory=list)


def tree(scope: Scope, brand: str, root: RecordKey | None, depth: int) -> list[Node]:
    """The records without a parent, or one record, with so many levels below, in the order in which they are shown.

    Raises NotFound for a record that is not there, Invalid for more than MOST_NODES records.
    """
    bound: dict[str, Any] = {"tenant_id": scope.tenant_id, "brand": brand, "depth": depth, "most": MOST_NODES + 1}
    with scope.reads() as session:
        if root is None:
            rows = session.execute(ROOTS, bound).all()
        else:
            rows = session.execute(ROOT, {**bound, **root._asdict()}).all()
    if root is not None and not rows:
        raise NotFound(f"There is no {root.kind} {root.record_key!r}.")
    if len(rows) > MOST_NODES:
        raise Invalid(f"depth: the tree has more than {MOST_NODES} records; ask for less depth, or begin at a record.")
    return _grown(rows)


def _grown(rows: Sequence[Row[Any]]) -> list[Node]:
    nodes = {_key(row): (row, _node(row)) for row in rows}
    roots: list[Node] = []
    for row, node in nodes.values():
        parent = nodes.get(RecordKey(row.parent_kind, row.parent_event_key, row.parent_key))
        siblings = parent[1].children if parent else roots
        siblings.append(node)
    for siblings in (roots, *(node.children for _, node in nodes.values())):
        siblings.sort(key=_place)
    return roots


def _key(row: Row[Any]) -> RecordKey:
    return RecordKey(Kind(row.kind), row.event_key, row.record_key)


def _node(row: Row[Any]) -> Node:
    return Node(
        key=_key(row),
        name=row.names.partition("\n")[0],
        shown=row.shown,
        active=row.active,
        display_order=row.display_order,
        starts_at=row.starts_at,
        price=Price(row.numerator, row.denominator, row.decimal_odds),
        number_of_children=row.children,
    )


def _place(node: Node) -> tuple[Any, ...]:
    """What records of one parent are sorted by: display order, start and key, those without one last."""
    starts_at = node.starts_at.timestamp() if node.starts_at else float("inf")
    return (
        node.display_order is None,
        node.display_order or 0,
        list(Kind).index(node.key.kind),
        starts_at,
        node.key.record_key,
    )
