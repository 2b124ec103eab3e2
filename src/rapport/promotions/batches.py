"""Many customers decided about in one statement of the warehouse."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from rapport.access.scope import Scope
from rapport.conditions import Facts, Kind
from rapport.conditions.language.nodes import attributes_in
from rapport.promotions.deciding import Context, Decision, Validator
from rapport.promotions.evaluation import GIVEN_KINDS, given_column, given_definitions, trees_sql, with_given
from rapport.stores.warehouse import identifier

# How the values of a kind come in JSON.
GIVEN_TYPES = {
    Kind.TEXT: "Nullable(String)",
    Kind.FLOAT: "Nullable(Float64)",
    Kind.BOOLEAN: "Nullable(Bool)",
    Kind.INSTANT: "Nullable(Int64)",
    Kind.TEXTS: "Array(String)",
    Kind.NUMBERS: "Array(Float64)",
}
# A longer statement takes the engine more time to read than the customers do, and in the end it refuses it.
LONGEST = 100_000
DECIDED = """
    SELECT position, {failing}{inputs}
    FROM (
        SELECT asked.position AS position{inputs}{leaves}
        FROM (
            SELECT context.1 AS position, context.2 AS customer_id{given}
            FROM (SELECT arrayJoin(JSONExtract({{contexts:String}}, 'Array(Tuple(UInt32, String{types}))')) AS context)
        ) AS asked
        INNER JOIN (
            SELECT customer_id{columns} FROM profiles
            WHERE data_date = {{data_date:Date}}
                AND customer_id IN (SELECT arrayJoin(JSONExtract({{ids:String}}, 'Array(String)')))
        ) AS profile USING (customer_id)
    )
"""


def decided(scope: Scope, validator: Validator, contexts: Sequence[Context]) -> dict[int, Decision]:
    """What is decided about contexts whose customers have a profile under the id as it was given, by their places.

    The rest is to be looked for by key: ids in another spelling, customers loaded since, unknown ones; everybody if the
    trees are too large for one statement.
    """
    data_date = validator.data_date
    if data_date is None or validator.measures:
        return {}
    attributes = [validator.attributes(context) for context in contexts]
    sql, parameters = _statement(validator, attributes, contexts)
    if len(sql) > LONGEST:
        return {}
    ids = orjson.dumps(list({context.customer_id for context in contexts})).decode()
    rows = scope.warehouse.rows(sql, **parameters, data_date=data_date, ids=ids)
    of_session, count = validator.session_inputs, len(validator.trees)
    alike: dict[tuple[Any, ...], Decision] = {}
    decisions: dict[int, Decision] = {}
    for position, *values in rows:
        own_values, customer_id = attributes[position], contexts[position].customer_id
        # Whoever fails for the same branches, and has the same values that rewards are computed from, gets the same.
        key = (*values, *map(own_values.get, of_session))
        decision = alike.get(key)
        if decision is None:
            all_values = own_values | dict(zip(validator.inputs, values[count:], strict=True))
            facts = Facts(customer_id, validator.schema.today, all_values)
            decision = alike[key] = validator.decision(facts, values[0], values[1:count])
        decisions[position] = decision.of(customer_id)
    return decisions


def _statement(
    validator: Validator, attributes: Sequence[Mapping[str, Any]], contexts: Sequence[Context]
) -> tuple[str, dict[str, Any]]:
    schema = with_given(validator.schema, validator.properties)
    trees, parameters = trees_sql(validator.trees, schema)
    kinds = {name: GIVEN_KINDS[definition.type] for name, definition in given_definitions(validator.properties).items()}
    compared = set().union(
        *(attributes_in(condition) for tree in validator.trees for condition in tree.conditions), validator.inputs
    )
    asked, own = sorted(compared & kinds.keys()), sorted(compared - kinds.keys())
    columns = [identifier(schema.attributes[name].name) for name in own]
    inputs = [identifier(schema.attributes[name].name) for name in validator.inputs]
    leaves = [f"{sql} AS {name}" for tree in trees for name, sql in tree.leaves.items()]
    sql = DECIDED.format(
        failing=", ".join(f"{tree.failing} AS failing_{number}" for number, tree in enumerate(trees)),
        inputs=_listed(inputs),
        leaves=_listed(leaves),
        given=_listed(_given(name, kinds[name], place) for place, name in enumerate(asked, 3)),
        types=_listed(GIVEN_TYPES[kinds[name]] for name in asked),
        columns=_listed(columns),
    )
    parameters["contexts"] = orjson.dumps(
        [
            (place, context.customer_id, *(_plain(values.get(name), kinds[name]) for name in asked))
            for place, (context, values) in enumerate(zip(contexts, attributes, strict=True))
        ]
    ).decode()
    return sql, parameters


def _listed(columns: Any) -> str:
    return "".join(f", {column}" for column in columns)


def _given(name: str, kind: Kind, place: int) -> str:
    value = f"context.{place}"
    if kind is Kind.INSTANT:
        value = f"fromUnixTimestamp64Micro({value}, 'UTC')"
    return f"{value} AS {identifier(given_column(name))}"


def _plain(value: Any, kind: Kind) -> Any:
    if value is None:
        return [] if kind in (Kind.TEXTS, Kind.NUMBERS) else None
    if isinstance(value, datetime):
        return int(value.timestamp()) * 1_000_000 + value.microsecond
    return value
