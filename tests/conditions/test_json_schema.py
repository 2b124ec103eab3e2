"""The JSON Schema of conditions and the parser agree: what one takes, the other does."""

import ast
import copy
import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from condition_trees import trees
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_parsing import FAULTS

from rapport.app import openapi_document
from rapport.conditions import parse
from rapport.conditions.histories.registry import histories
from rapport.conditions.language.json_schema import CONDITION, EVENT_CONDITION
from rapport.conditions.language.parsing import PROPERTIES
from rapport.conditions.language.spelling import with_plain_operators
from rapport.errors import Invalid

ROOT = Path(__file__).parents[2]
COMPONENTS = openapi_document()["components"]["schemas"]
quick = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=100)
NODES = {"all", "any", "not", "attribute", "history", "group", "list", "customers", "reachable"}
# What a schema cannot say: sums over a definition, its depth, the order of two values, exact decimals and years.
LEFT_TO_PARSER = re.compile(
    r"nested deeper than|more than \d+ (conditions|values)|surrogate|decimals|the lower first|the years|before from"
)


def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": COMPONENTS}}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


VALIDATOR = validator(CONDITION)


def fault(data: Any) -> str | None:
    """What the parser says against a condition; None when nothing, or only what a schema cannot say."""
    try:
        parse(data)
    except Invalid as error:
        return None if LEFT_TO_PARSER.search(error.message) else error.message
    return None


# Conditions drawn from the schema


def drawn(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema describes, as far as schemas of conditions go."""
    if "$ref" in schema:
        return NAMED[schema["$ref"].rpartition("/")[2]]
    if choices := schema.get("oneOf") or schema.get("anyOf"):
        return st.one_of([drawn(one) for one in choices])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return TYPES[schema["type"]](schema)


def text(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") == "date":
        return st.dates(date(1901, 1, 1), date(2298, 12, 31)).map(str)
    assert set(schema) <= {"type", "maxLength", "pattern", "description"}, "a form that is not drawn yet"
    letters = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
    return st.text(letters, min_size=1, max_size=5).filter(str.strip)


def number(schema: dict[str, Any]) -> st.SearchStrategy[float]:
    low, high = schema.get("minimum", 1), min(schema["maximum"], 10**6)
    return st.integers(max(low, -(10**6)), high) | st.sampled_from([0.5, 99.99])


def members(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "propertyNames" in schema:
        return st.dictionaries(drawn(schema["propertyNames"]), drawn(schema["additionalProperties"]), max_size=2)
    return st.one_of([of_branch(schema, branch) for branch in branches(schema)])


def branches(schema: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The ways to meet a schema: each if with its then. Where no else says that nothing will do, none of them too."""
    while "if" in schema:
        yield [schema["if"], schema["then"]]
        if "else" not in schema:
            break
        schema = schema["else"]
    if schema != {"not": {}}:
        yield []


def of_branch(schema: dict[str, Any], branch: list[dict[str, Any]]) -> st.SearchStrategy[Any]:
    properties, required = dict(schema["properties"]), set(schema["required"])
    for part in branch:
        for name, narrowed in part.get("properties", {}).items():
            properties[name] = narrowed
        required.update(part.get("required", ()))
    without = {name for part in branch for name in part.get("not", {}).get("required", ())}
    optional = {name: drawn(one) for name, one in properties.items() if name not in required | without}
    found = st.fixed_dictionaries({name: drawn(properties[name]) for name in sorted(required)}, optional=optional)
    if any("maxProperties" in part for part in branch) or ("if" in schema and not branch):
        return found.filter(validator_of(schema).is_valid)
    return found


def validator_of(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({**schema, "components": {"schemas": COMPONENTS}})


TYPES = {
    "string": text,
    "integer": lambda schema: st.integers(schema["minimum"], schema["maximum"]),
    "number": number,
    "boolean": lambda schema: st.booleans(),
    "array": lambda schema: st.lists(
        drawn(schema["items"]), min_size=schema.get("minItems", 0), max_size=schema.get("maxItems", 3)
    ),
    "object": members,
}
NAMED = {name: st.deferred(lambda name=name: drawn(COMPONENTS[name])) for name in COMPONENTS if "Condition" in name}
NAMED |= {name: drawn(one) for name, one in COMPONENTS.items() if name.endswith("Filters") or name == "HistoryWindow"}


@quick
@given(data=NAMED[CONDITION])
def test_what_the_schema_describes_is_parsed(data: Any) -> None:
    assert fault(data) is None
    assert VALIDATOR.is_valid(data), list(VALIDATOR.iter_errors(data))


@settings(quick, max_examples=30)
@given(data=NAMED[EVENT_CONDITION])
def test_a_condition_on_an_event_is_a_condition_on_attributes_only(data: Any) -> None:
    assert fault(data) is None and VALIDATOR.is_valid(data)
    assert not validator(EVENT_CONDITION).is_valid({"all": [data, {"group": 1}]})


@quick
@given(data=trees)
def test_conditions_that_mean_something_fit_the_schema(data: Any) -> None:
    VALIDATOR.validate(data)


# Conditions that somebody spoiled

ODD = [None, True, 0, -1, 1.5, "", " ", "x", [], ["x", None], [1, "x"], {}, {"x": 1}, "2026-13-01", 10**19, "a\0"]


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every container with every key or index of it."""
    keys = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    return [place for key in keys for place in [(data, key), *places(data[key])]]


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    data = copy.deepcopy(draw(NAMED[CONDITION]))
    container, key = draw(st.sampled_from(places(data)))
    how = draw(st.sampled_from(["other", "drop", "rename", "add"]))
    if how == "other" or isinstance(container, list):
        container[key] = draw(st.sampled_from(ODD))
    elif how == "drop":
        del container[key]
    elif how == "rename":
        container[draw(st.sampled_from([*sorted(NODES), "operator", "value", "days", "x"]))] = container.pop(key)
    else:
        container[draw(st.sampled_from([*sorted(NODES), "measure", "value", "x"]))] = draw(st.sampled_from(ODD))
    return data


@settings(quick, max_examples=500)
@given(data=spoiled())
def test_what_the_parser_refuses_for_its_form_the_schema_refuses(data: Any) -> None:
    if message := fault(data):
        assert not VALIDATOR.is_valid(data), message


FORMS = [(data, message) for data, message in FAULTS if fault(data) and "nan" not in repr(data)]


@pytest.mark.parametrize(("data", "message"), FORMS, ids=[message[:50] for _, message in FORMS])
def test_each_fault_of_form_is_one_of_the_schema(data: Any, message: str) -> None:
    assert not VALIDATOR.is_valid(data)


# Conditions that are written down


def in_tests() -> Iterator[Any]:
    """The conditions among the constants of tests."""
    named = re.compile(rf'"({"|".join(NODES)})": ')
    for source in (path.read_text() for path in sorted((ROOT / "tests").rglob("*.py"))):
        for node in ast.walk(ast.parse(source)) if named.search(source) else ():
            if isinstance(node, ast.Dict):
                try:
                    yield ast.literal_eval(node)
                except ValueError:
                    continue


def in_documents() -> Iterator[Any]:
    """The conditions among the JSON of documents, in blocks or in sentences."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    decoder = json.JSONDecoder()
    for text_of_page in (page.read_text() for page in pages):
        for begin in (found.start() for found in re.finditer(r"\{", text_of_page)):
            try:
                yield decoder.raw_decode(text_of_page, begin)[0]
            except ValueError:
                continue


@pytest.mark.parametrize(("written", "at_least"), [(in_tests, 60), (in_documents, 10)])
def test_every_condition_that_is_written_down_fits_the_schema(written: Any, at_least: int) -> None:
    seen = 0
    for data in written():
        if NODES & data.keys():
            try:
                parse(data)
            except Invalid:
                continue
            VALIDATOR.validate(with_plain_operators(data))
            seen += 1
    assert seen >= at_least


def test_the_page_lists_each_history_with_its_filters_and_measures() -> None:
    page = (ROOT / "docs" / "conditions.md").read_text().partition("## Histories")[2].partition("\n## ")[0]
    rows = [re.findall(r"`(\w+)`", line) for line in page.splitlines() if line.startswith("| `")]
    assert rows == [
        [
            history.name,
            *history.filter_by_name,
            *([PROPERTIES] if history.properties else []),
            *(measure.value for measure in history.measures),
        ]
        for history in histories()
    ]
