"""The OpenAPI document says what the server answers, and how to begin."""

import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import httpx
import jsonschema_rs
import pytest

from rapport.app import openapi_document
from rapport.wording import WORDS

Operation = dict[str, Any]
PAGES = ("/unsubscribe/", "/preferences/", "/preference-link/")
OWN_FORM = {
    "Apps",
    "Embedded Messaging",
    "Events",
    "Mail",
    "Preference Center",
    "Preference page",
    "SMS",
    "Storage",
    "Unsubscribe",
    "Web Inbox",
    "operations",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def whole(document: dict[str, Any], found: Any) -> Any:
    while "$ref" in found:
        target: Any = document
        for part in found["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        found = target
    return found


def responses(document: dict[str, Any], operation: Operation) -> dict[str, Any]:
    return {status: whole(document, found) for status, found in operation["responses"].items()}


def test_no_operation_answers_what_the_framework_assumes(document: dict[str, Any]) -> None:
    assert not [path for _, path, operation in operations(document) if "422" in operation["responses"]]
    assert "ValidationError" not in json.dumps(document)


def test_no_choice_of_objects_has_one_as_its_default(document: dict[str, Any]) -> None:
    """openapi-python-client leaves out every operation that takes or answers such a member."""
    schemas = document["components"]["schemas"]
    chosen = [
        f"{name}.{member}"
        for name, schema in schemas.items()
        for member, found in schema.get("properties", {}).items()
        if {"oneOf", "anyOf"} & found.keys() and isinstance(found.get("default"), dict)
    ]
    assert not chosen and "goal" in schemas["SeriesNew"]["properties"]


def test_every_error_has_the_form_of_its_family(document: dict[str, Any]) -> None:
    seen = 0
    for method, path, operation in operations(document):
        errors = {status: found for status, found in responses(document, operation).items() if status >= "400"}
        where = f"{method} {path}"
        if OWN_FORM.isdisjoint(operation["tags"]):
            assert {"400", "401", "403", "404", "429", "503"} <= errors.keys(), where
            assert ("413" in errors) == ("requestBody" in operation), where
        for status, found in errors.items():
            form = "application/problem+json" if path.startswith("/manage/") else "application/json"
            form = "text/html" if path.startswith(PAGES) else form
            assert form in found["content"], f"{where} {status}"
            assert ("Retry-After" in found.get("headers", {})) == (status in ("429", "503")), f"{where} {status}"
            seen += 1
    assert seen > 1000


def test_pages_tell_how_many_rows_they_have(document: dict[str, Any]) -> None:
    tops = {
        operation["operationId"]: parameter
        for _, _, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "$top"
    }
    executed = tops["GetCustomerExecutionDetailsByCampaign"]
    assert executed["schema"]["default"] == 10_000
    assert "at most 200000" in executed["description"] and "RAPPORT_MAX_EXECUTION_PAGE" in executed["description"]
    assert all("default" in one["schema"] or one["description"].endswith("all") for one in tops.values())


def test_only_calls_with_a_key_ask_for_one(document: dict[str, Any]) -> None:
    without = {path for _, path, operation in operations(document) if "security" not in operation}
    assert {"/v1/events", "/unsubscribe/{token}", "/health", "/current/general/login"} <= without
    assert not {path for path in without if path.startswith("/manage/") or "/Get" in path}


def test_what_is_answered_is_what_is_described(document: dict[str, Any], api: httpx.Client) -> None:
    calls = [
        ("get", "/manage/v1/series/{series_id}", "/manage/v1/series/99", {}),
        ("get", "/manage/v1/series", "/manage/v1/series?limit=x", {}),
        ("post", "/manage/v1/brands", "/manage/v1/brands", {"json": {}}),
        ("get", "/manage/v1/brands", "/manage/v1/brands", {"headers": {"X-API-KEY": "wrong"}}),
        ("get", "/current/actions/GetActionName", "/Actions/GetActionName", {}),
        ("get", "/current/actions/GetActionName", "/Actions/GetActionName?ActionID=9", {}),
        ("get", "/current/actions/GetActionName", "/Actions/GetActionName", {"headers": {"X-API-KEY": "wrong"}}),
        ("post", "/v1/events", "/v1/events", {"json": {}}),
    ]
    for method, path, url, more in calls:
        answer = api.request(method, url, **more)
        operation = document["paths"][path][method]
        described = responses(document, operation)[str(answer.status_code)]
        shown = described["content"][answer.headers["content-type"]]["schema"]
        assert answer.status_code >= 400
        jsonschema_rs.validate(whole(document, shown), answer.json())


@pytest.mark.parametrize("path", ["/manage/v1/brands", "/current/customers/UpsertCustomer"])
def test_too_large_a_body_is_answered_as_described(
    document: dict[str, Any], base_url: str, api: httpx.Client, path: str
) -> None:
    connection = HTTPConnection(base_url.removeprefix("http://"))
    connection.putrequest("POST", path)
    connection.putheader("X-API-KEY", api.headers["x-api-key"])
    connection.putheader("Content-Length", str(1 << 40))
    connection.endheaders()
    answer = connection.getresponse()
    operation = document["paths"][path].get("post") or document["paths"][path]["put"]
    shown = responses(document, operation)["413"]["content"][answer.headers["content-type"]]["schema"]
    body = json.loads(answer.read())
    connection.close()
    assert answer.status == 413
    jsonschema_rs.validate(whole(document, shown), body)
    assert "larger than 1048576 bytes" in str(body)


def test_the_introduction_says_how_to_begin(document: dict[str, Any]) -> None:
    said = document["info"]["description"]
    for word in ("X-API-KEY", "/current/", "/manage/v1/", "problem+json", "Retry-After", "`$top`", "`$skip`"):
        assert word in said
    for method, path in re.findall(r"`(GET|POST) (\S+)`", said):
        assert method.lower() in document["paths"][path]


def test_every_parameter_says_what_it_means(document: dict[str, Any]) -> None:
    bare = [
        f"{path} {parameter['name']}"
        for _, path, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if not parameter["description"]
    ]
    assert bare == []


@pytest.mark.parametrize("name", ["SeriesNew", "OneTimeBody", "TriggeredNew", "Group", "GroupChannel", "QuietHours"])
def test_what_a_campaign_is_built_of_says_what_it_means(document: dict[str, Any], name: str) -> None:
    obvious = {"name", "tags", "schedule", "rules"}
    members = document["components"]["schemas"][name]["properties"]
    assert [
        one for one, told in members.items() if "description" not in told and one not in obvious | {"trigger"}
    ] == []


def patterns(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("pattern"), str):
            yield part["pattern"]
        for value in part.values():
            yield from patterns(value)
    elif isinstance(part, list):
        for value in part:
            yield from patterns(value)


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    components = {f"#/components/{kind}/{name}" for kind, members in document["components"].items() for name in members}
    assert set(references(document)) <= components


def test_every_pattern_has_words(document: dict[str, Any]) -> None:
    """Or who sends something else would be answered with the pattern itself."""
    bodies = [operation.get("requestBody") for _, _, operation in operations(document)]
    parameters = [operation.get("parameters") for _, path, operation in operations(document) if "/manage/" in path]
    used = set(patterns([bodies, parameters, document["components"]["schemas"]]))
    # A Decimal is no text and has a pattern of its own in the document.
    assert {one for one in used if not one.startswith("^(?!")} <= WORDS.keys()
    assert len(used) > 5


def test_conditions_refer_to_their_schema_wherever_they_are_taken_or_given(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for names, schema in ((("definition", "customer_conditions"), "Condition"), (("conditions",), "EventCondition")):
        places = {
            f"{name}.{member}": json.dumps(found)
            for name, one in schemas.items()
            for member, found in one.get("properties", {}).items()
            if member in names
        }
        assert len(places) >= 4
        assert [place for place, found in places.items() if f'"#/components/schemas/{schema}"' not in found] == []
    assert "x-condition" not in json.dumps(document)


def test_every_example_of_a_condition_fits_its_schema(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in (name for name in schemas if name.endswith("Condition")):
        shown = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        for example in schemas[name].get("examples", ()):
            jsonschema_rs.validate(shown, example)


def test_an_address_alone_leads_to_the_document(base_url: str) -> None:
    answer = httpx.get(base_url, follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, "/docs")
