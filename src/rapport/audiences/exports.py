"""The members of a target group with attributes of theirs, read in pieces of bounded size."""

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa

from rapport.access.scope import Scope
from rapport.audiences.groups import target_group
from rapport.audiences.membership import ensure_members, snapshot
from rapport.audiences.queries import MEMBERS_WITH
from rapport.audiences.schema import current_date
from rapport.customers import attributes as customer_attributes
from rapport.errors import Invalid
from rapport.stores.warehouse import identifier

AT_ONCE = 50_000
MOST_ATTRIBUTES = 100


def export_members(
    scope: Scope, target_group_id: int, names: Sequence[str], data_date: date | None = None
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """CustomerID and attributes (RealFieldNames, texts as on the wire) of the members on a date, by CustomerID.

    On the newest data date when none is named. The profile of the date must be kept. What is taken out is entered in
    the audit log. Raises NotFound for the group, the date or an attribute, Invalid for too many or the same one twice.
    """
    group, day = target_group(scope, target_group_id), data_date or current_date(scope)
    if len(names) > MOST_ATTRIBUTES or len({name.upper() for name in names}) < len(names):
        raise Invalid(f"attributes must be at most {MOST_ATTRIBUTES}, each named once.")
    infos = customer_attributes.find(scope, names, "attributes")
    if snapshot(scope, group.id, day) is None:
        ensure_members(scope, {group.id}, day)
    attributes = [info.real_field_name for info in infos]
    columns = [f"{customer_attributes.rendered(info)} AS {identifier(f'of_{info.real_field_name}')}" for info in infos]
    exported = [f"profile.{identifier(f'of_{name}')}" for name in attributes]
    sql = MEMBERS_WITH.format(
        columns=", ".join(["customer_id AS known_id", *columns]), exported="".join(f", {column}" for column in exported)
    )
    with scope.records() as session:
        scope.audit(session, "export", f"target group {group.id}", data_date=day.isoformat(), attributes=attributes)
    schema = pa.schema([(name, pa.string()) for name in ("CustomerID", *attributes)])
    return schema, _pieces(scope, sql, schema, {"data_date": day.isoformat(), "target_group": group.id})


def _pieces(scope: Scope, sql: str, schema: pa.Schema, parameters: dict[str, object]) -> Iterator[pa.RecordBatch]:
    after = ""
    while rows := scope.warehouse.rows(sql, **parameters, after=after, at_once=AT_ONCE):
        after = str(rows[-1][0])
        columns = [[None if value is None else str(value) for value in column] for column in zip(*rows, strict=True)]
        yield pa.record_batch(columns, schema=schema)
