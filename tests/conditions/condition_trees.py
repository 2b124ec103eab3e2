"""Random conditions as JSON, valid for the schema of condition_world."""

from datetime import UTC
from typing import Any

from condition_world import COLUMNS, DAYS, INSTANTS, NUMBERS, TEXTS, VALUES, WALLS
from hypothesis import strategies as st

from rapport.conditions import Kind, operators_of
from rapport.conditions.histories.interactions import INTERACTIONS
from rapport.conditions.histories.registry import HISTORIES
from rapport.conditions.language.operators import Operator, Takes, takes

text_values = st.one_of(
    st.sampled_from([text for text in TEXTS if text]),
    # Letters that Python's Unicode does not know may fold otherwise in the engine, whose Unicode is newer.
    st.text(st.characters(exclude_categories=("Cs", "Cn"), exclude_characters="\0"), min_size=1, max_size=6),
)
number_values = st.one_of(
    st.sampled_from([float(number) for number in NUMBERS]),
    st.integers(-5, 2_000_000),
    st.decimals(-100, 100, places=6).map(float),
)
day_values = st.sampled_from([day.isoformat() for day in DAYS])
moment_values = st.one_of(
    day_values,
    st.sampled_from([wall.isoformat() for wall in WALLS]),
    st.sampled_from([instant.astimezone(UTC).isoformat() for instant in INSTANTS]),
)
ONE: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: text_values,
    Kind.INTEGER: number_values,
    Kind.DECIMAL: number_values,
    Kind.FLOAT: number_values,
    Kind.DATE: day_values,
    Kind.TIME: moment_values,
    Kind.INSTANT: moment_values,
    Kind.BOOLEAN: st.sampled_from(VALUES[Kind.BOOLEAN]),
    Kind.TEXTS: text_values,
    Kind.NUMBERS: number_values,
}


def operand(operator: Operator, kind: Kind) -> st.SearchStrategy[Any]:
    """JSON members of a comparison beside its operator."""
    one = ONE[kind]
    values = {
        Takes.NOTHING: st.none(),
        Takes.ONE: one,
        Takes.LIST: st.lists(one, min_size=1, max_size=4),
        Takes.PAIR: day_pairs if kind in (Kind.DATE, Kind.TIME, Kind.INSTANT) else st.tuples(one, one).map(sorted),
        Takes.DAYS: st.sampled_from([0, 1, 7, 30, 400]),
        Takes.PERCENT: st.sampled_from([1, 9.5, 10, 100]),
    }
    return values[takes(operator)]


day_pairs = st.tuples(day_values, day_values).map(sorted)


@st.composite
def comparison(draw: st.DrawFn, kind: Kind, percentile: bool = False) -> dict[str, Any]:
    operator = draw(st.sampled_from(operators_of(kind, percentile=percentile)))
    found = {"operator": operator.value}
    if takes(operator) is not Takes.NOTHING:
        found["value"] = draw(operand(operator, kind))
    return found


@st.composite
def attribute(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(COLUMNS)))
    return {"attribute": name, **draw(comparison(COLUMNS[name][1], name == "T_PERCENTILE"))}


windows = st.one_of(
    st.just({}),
    st.sampled_from([0, 1, 3, 30, 400]).map(lambda days: {"days": days}),
    day_pairs.map(lambda pair: {"from": pair[0], "to": pair[1]}),
    day_values.map(lambda day: {"from": day}),
    day_values.map(lambda day: {"to": day}),
)
FILTERS = {
    "campaign": [11, 12, 21, 31],
    "series": [1, 2, 3],
    "action": [1, 2],
    "channel": [502, 504],
    "template": [5, 6],
    "event_type": [7, 8],
    "event": list(INTERACTIONS),
    "outcome": ["sent", "targeted", "control"],
    "type": ["order", "Refund", "deposit"],
    "status": ["paid", "CANCELED"],
    "platform": ["web", "APP"],
    "promo_code": ["Spring", "other"],
    "product": ["p1", "P2", "P3"],
    "category": ["shoes", "STRASSE", "straße"],
}
MEASURE_KINDS = {"first_date": None, "last_date": None, "count": Kind.INTEGER}


@st.composite
def history(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(HISTORIES)))
    source = HISTORIES[name]
    measure = draw(st.sampled_from([one.value for one in source.measures]))
    kind = MEASURE_KINDS.get(measure, Kind.DECIMAL) or source.time_kind
    chosen = draw(st.lists(st.sampled_from(sorted(source.filter_by_name)), unique=True, max_size=2))
    where = {one: draw(st.lists(st.sampled_from(FILTERS[one]), min_size=1, max_size=2)) for one in chosen}
    if source.properties and draw(st.booleans()):
        where["properties"] = {"page": draw(st.sampled_from(["home", ["CART", "x"]]))}
    found = {"history": name, "measure": measure, "where": where, "window": draw(windows)}
    # An average is a quotient of floats, which nobody compares for being in a list.
    return found | draw(comparison(kind).filter(lambda one: measure != "average" or "in" not in one["operator"]))


others = st.one_of(
    st.sampled_from([1, 2, 3, 4]).map(lambda number: {"group": number}),
    st.sampled_from([1, 2, 3]).map(lambda number: {"list": number}),
    st.lists(st.integers(0, 60).map(lambda i: f"CÜ{i}"), min_size=1, max_size=4).map(lambda ids: {"customers": ids}),
)
trees = st.recursive(
    st.one_of(attribute(), attribute(), history(), others),
    lambda part: st.one_of(
        st.lists(part, max_size=4).map(lambda parts: {"all": parts}),
        st.lists(part, min_size=1, max_size=4).map(lambda parts: {"any": parts}),
        part.map(lambda one: {"not": one}),
    ),
    max_leaves=8,
)
