"""The JSON Schema of conditions, made of what the parser and the evaluators go by: operators, kinds, histories.

The parser alone refuses a condition, with a sentence. The schema is for whoever writes one: it says no less about the
form, but leaves to the parser the limits that it cannot say (levels, sums over a definition, decimals, years).
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from rapport.conditions.comparing import operators_of
from rapport.conditions.histories.base import History
from rapport.conditions.histories.filters import TEXT
from rapport.conditions.histories.registry import histories
from rapport.conditions.language.literals import (
    FIRST_DAY,
    LAST_DAY,
    MAX_DAYS,
    MAX_DECIMALS,
    MAX_ID,
    MAX_NUMBER,
    MAX_TEXT,
)
from rapport.conditions.language.operators import Operator, Takes, takes
from rapport.conditions.language.parsing import MAX_DEPTH, MAX_HISTORIES, MAX_NODES, MAX_VALUES, PROPERTIES
from rapport.conditions.language.spelling import with_plain_operators
from rapport.conditions.measures import DATES, Measure, measure_kind
from rapport.conditions.schema import DATED, LISTS, NUMERIC, Kind

Described = dict[str, Any]
# In a model, stands for the component that it names: a document puts the reference in its place.
MARK = "x-condition"
CONDITION, EVENT_CONDITION = "Condition", "EventCondition"
REFERENCE = "#/components/schemas/{}"

ConditionJson = Annotated[
    dict[str, Any], AfterValidator(with_plain_operators), WithJsonSchema({"type": "object", MARK: CONDITION})
]
EventConditionJson = Annotated[
    dict[str, Any], AfterValidator(with_plain_operators), WithJsonSchema({"type": "object", MARK: EVENT_CONDITION})
]

ID: Described = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
DAYS: Described = {"type": "integer", "minimum": 0, "maximum": MAX_DAYS}
DAY: Described = {"type": "string", "format": "date"}
TYPES: dict[str, Described] = {
    "string": {"type": "string", "maxLength": MAX_TEXT, "pattern": r"^[^\x00]+$"},
    "number": {"type": "number", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER},
    "boolean": {"type": "boolean"},
}
KINDS = {
    "text": (Kind.TEXT,),
    "numbers": NUMERIC,
    "dates": DATED,
    "booleans": (Kind.BOOLEAN,),
    "lists": LISTS,
}
EXAMPLE: Described = {
    "all": [
        {"attribute": "COUNTRY", "operator": "in", "value": ["DE", "AT"]},
        {"history": "transactions", "measure": "sum", "window": {"days": 90}, "operator": "greater", "value": 100},
        {"not": {"history": "campaigns", "window": {"days": 7}}},
    ]
}
ABOUT = (
    "A condition says which customers are meant. It has exactly one of the members all, any, not, attribute, history, "
    f"group, list, customers and reachable. At most {MAX_DEPTH} levels, {MAX_NODES} conditions, {MAX_HISTORIES} of "
    f"them on histories, and {MAX_VALUES} listed values. Numbers have at most {MAX_DECIMALS} decimals, dates the years "
    f"{FIRST_DAY.year} to {LAST_DAY.year}. See docs/conditions.md."
)
ABOUT_EVENT = "A condition on the parameters of an event, which it names as attributes."


def components() -> dict[str, Described]:
    """The schemas of conditions by the names of their components."""
    by_component = {f"{_camel(history.name)}{CONDITION}": history for history in histories()}
    schemas = {
        CONDITION: _one_of(
            [*_combinations(CONDITION), "AttributeCondition", "HistoryCondition", *_others()], ABOUT, EXAMPLE
        ),
        EVENT_CONDITION: _one_of(
            [*_combinations(EVENT_CONDITION), "AttributeCondition"],
            ABOUT_EVENT,
            {"attribute": "amount", "operator": "greater_or_equal", "value": 50},
        ),
        "HistoryCondition": _one_of(by_component, "A comparison of a measure of what a customer did or got.")
        | {
            "discriminator": {
                "propertyName": "history",
                "mapping": {history.name: REFERENCE.format(name) for name, history in by_component.items()},
            }
        },
        "AttributeCondition": _attribute(),
        "HistoryWindow": _window(),
    }
    schemas |= _combinations(CONDITION) | _combinations(EVENT_CONDITION) | _others()
    for name, history in by_component.items():
        schemas[name] = _history(history)
        schemas[f"{_camel(history.name)}Filters"] = _filters(history)
    return schemas


def _camel(name: str) -> str:
    return name.title().replace("_", "")


def _ref(name: str) -> Described:
    return {"$ref": REFERENCE.format(name)}


def _one_of(names: Iterable[str], description: str, *examples: Described) -> Described:
    shown: Described = {"examples": list(examples)} if examples else {}
    return {"description": description, "oneOf": [_ref(name) for name in names], **shown}


def _object(
    description: str, members: dict[str, Described], required: Sequence[str], *examples: Described
) -> Described:
    return {
        "type": "object",
        "description": description,
        "properties": members,
        "required": list(required),
        "additionalProperties": False,
        "examples": list(examples),
    }


def _combinations(component: str) -> dict[str, Described]:
    """All, any and not, of conditions of one sort."""
    part, example = _ref(component), {"attribute": "COUNTRY", "operator": "equals", "value": "DE"}
    parts = {"type": "array", "items": part}
    return {
        f"All{component}": _object(
            "Every part is true; without parts, always.", {"all": parts}, ["all"], {"all": [example]}
        ),
        f"Any{component}": _object(
            "At least one part is true.", {"any": {**parts, "minItems": 1}}, ["any"], {"any": [example]}
        ),
        f"Not{component}": _object("The part is false.", {"not": part}, ["not"], {"not": example}),
    }


def _others() -> dict[str, Described]:
    customers = {"type": "array", "items": dict(TEXT), "minItems": 1}
    channel = _object("The channel.", {"channel": dict(ID)}, ["channel"], {"channel": 15})
    return {
        "GroupCondition": _object(
            "A member of a target group on the same data date.", {"group": dict(ID)}, ["group"], {"group": 12}
        ),
        "ListCondition": _object("On a stored list of customers.", {"list": dict(ID)}, ["list"], {"list": 3}),
        "CustomersCondition": _object(
            "One of these customers, ignoring case.", {"customers": customers}, ["customers"], {"customers": ["C1"]}
        ),
        "ReachableCondition": _object(
            "A campaign would reach the customer on a channel.",
            {"reachable": channel},
            ["reachable"],
            {"reachable": {"channel": 15}},
        ),
    }


# Comparisons


class _Form:
    """Operators that take values of one form."""

    def __init__(self, operand: Takes, types: tuple[str, ...]) -> None:
        self.operand, self.types, self.operators = operand, types, list[Operator]()

    def value(self) -> Described:
        """The schema of a value."""
        value = _any_of([TYPES[name] for name in self.types])
        schemas = {
            Takes.ONE: value,
            Takes.LIST: {"type": "array", "items": value, "minItems": 1},
            Takes.PAIR: _any_of(
                [{"type": "array", "items": TYPES[name], "minItems": 2, "maxItems": 2} for name in self.types]
            ),
            Takes.DAYS: dict(DAYS),
            Takes.PERCENT: {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
        }
        return schemas[self.operand]


def _any_of(schemas: list[Described]) -> Described:
    return dict(schemas[0]) if len(schemas) == 1 else {"anyOf": schemas}


def _type(kind: Kind) -> str:
    """The JSON type of what a kind is compared with."""
    if kind in NUMERIC or kind is Kind.NUMBERS:
        return "number"
    return "boolean" if kind is Kind.BOOLEAN else "string"


def _forms(kinds: Iterable[Kind], percentile: bool = False) -> list[_Form]:
    """The forms that comparisons of some kinds have, with the operators of each."""
    forms: dict[tuple[Takes, tuple[str, ...]], _Form] = {}
    operators = {kind: operators_of(kind, percentile=percentile) for kind in kinds}
    for operator in Operator:
        fitting = {_type(kind) for kind, fitting_operators in operators.items() if operator in fitting_operators}
        if fitting:
            operand = takes(operator)
            is_typed = operand in (Takes.ONE, Takes.LIST, Takes.PAIR)
            types = tuple(name for name in TYPES if name in fitting) if is_typed else ()
            forms.setdefault((operand, types), _Form(operand, types)).operators.append(operator)
    return list(forms.values())


def _compared(forms: Sequence[_Form], kinds: Iterable[str]) -> dict[str, Described]:
    """The members operator and value, of all forms together; kinds are those of KINDS that are compared."""
    operators = {operator for form in forms for operator in form.operators}
    used = {name for form in forms for name in form.types} | {"number" for form in forms if form.operand is Takes.DAYS}
    scalars = [schema for name, schema in TYPES.items() if name in used]
    return {
        "operator": {
            "type": "string",
            "enum": [operator.value for operator in Operator if operator in operators],
            "description": f"The operator. {_words_of_operators(operators, kinds)}",
        },
        "value": {
            "anyOf": [*scalars, {"type": "array", "items": {"anyOf": scalars}}],
            "description": "One value, a list of values, a lower and an upper one, or a number of days, as the "
            "operator requires; left out if it takes no value",
        },
    }


def _words_of_operators(operators: set[Operator], kinds: Iterable[str]) -> str:
    by_kind = []
    for name in kinds:
        own = [operator for operator in operators_of(KINDS[name][0], percentile=True) if operator in operators]
        by_kind.append(f"{name}: {', '.join(own)}")
    return f"For {'; for '.join(by_kind)}."


def _asking(operators: Iterable[Operator], **more: Described) -> Described:
    """What holds of a comparison with one of some operators."""
    return {"properties": {"operator": {"enum": [operator.value for operator in operators]}, **more}}


def _chain(branches: Sequence[tuple[Described, Described]]) -> Described:
    """The first branch whose condition holds says what else must; where none does, nothing will do."""
    chain: Described = {"not": {}}
    for when, then in reversed(branches):
        chain = {"if": when, "then": then, "else": chain}
    return chain


def _value(form: _Form) -> Described:
    """What a form demands of the member value."""
    if form.operand is Takes.NOTHING:
        return {"not": {"required": ["value"]}}
    return {"properties": {"value": form.value()}, "required": ["value"]}


def _attribute() -> Described:
    forms = _forms(Kind, percentile=True)
    members = {
        "attribute": {**TEXT, "description": "See GET /manage/v1/condition-attributes"},
        **_compared(forms, KINDS),
    }
    described = _object(
        "A comparison of an attribute of the customer, or of a parameter of an event. A comparison with a missing "
        "value is false, and a negative operator is exactly the negation of its positive one.",
        members,
        ["attribute", "operator"],
        {"attribute": "COUNTRY", "operator": "in", "value": ["DE", "AT"]},
    )
    return described | _chain([(_asking(form.operators), _value(form)) for form in forms])


# Histories


def _history(history: History[Any]) -> Described:
    dates = [measure for measure in history.measures if measure in DATES]
    numbers = [measure for measure in history.measures if measure not in DATES]
    of_numbers, of_dates = _forms_of_measures(history, numbers), _forms_of_measures(history, dates)
    members: dict[str, Described] = {
        "history": {"type": "string", "const": history.name},
        "measure": {
            "type": "string",
            "enum": [measure.value for measure in history.measures],
            "description": "What is computed over the rows; without one, they are counted",
        },
        "where": _ref(f"{_camel(history.name)}Filters"),
        "window": _ref("HistoryWindow"),
        **_compared([*of_numbers, *of_dates], ("numbers", "dates")),
    }
    described = _object(history.description, members, ["history"], {"history": history.name, "window": {"days": 90}})
    return described | _chain(
        [
            (_counting_at_least(), {"properties": {"value": TYPES["number"]}}),
            *_branches(numbers, of_numbers, ["operator"]),
            *_branches(dates, of_dates, ["operator", "measure"]),
        ]
    )


def _forms_of_measures(history: History[Any], measures: Sequence[Measure]) -> list[_Form]:
    return _forms([measure_kind(history.time_kind, measure) for measure in measures])


def _counting_at_least() -> Described:
    """A count without an operator: of so many rows or more, or of any."""
    return {"not": {"required": ["operator"]}, "properties": {"measure": {"const": Measure.COUNT.value}}}


def _branches(
    measures: Sequence[Measure], forms: Iterable[_Form], required: list[str]
) -> list[tuple[Described, Described]]:
    named = {"enum": [measure.value for measure in measures]}
    return [(_asking(form.operators, measure=named) | {"required": required}, _value(form)) for form in forms]


def _window() -> Described:
    members = {
        "days": {**DAYS, "description": "Today and this number of days before"},
        "from": {**DAY, "description": "The first day; without one, from the beginning"},
        "to": {**DAY, "description": "The last day; without one, to the end"},
    }
    described = _object(
        "Which days of a history count: the last ones, or between two; without a window, all.",
        members,
        [],
        {"days": 90},
    )
    return described | {"if": {"required": ["days"]}, "then": {"maxProperties": 1}}


def _filters(history: History[Any]) -> Described:
    members = {
        filter_.name: {**_one_or_more(filter_.values.json_schema()), "description": filter_.description}
        for filter_ in history.filters
    }
    if history.properties:
        members[PROPERTIES] = {
            "type": "object",
            "description": "Properties of a row: values by the name of the property",
            "propertyNames": dict(TEXT),
            "additionalProperties": _one_or_more(dict(TEXT)),
        }
    return _object(f"Which {history.title} count: for each member, one of its values must match.", members, [], {})


def _one_or_more(value: Described) -> Described:
    return {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}
