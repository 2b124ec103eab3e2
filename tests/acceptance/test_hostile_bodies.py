"""Whatever stands in a body, a path or a query for a text or number, no operation answers with a server error."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
from example_bodies import LONG_WORK, Operation, leaves, operations, replaced

PLACE = "@@hostile@@"
# What stands in the place of each leaf, as JSON: what an engine, a parser or a model may not take.
HOSTILE = {
    "half of a surrogate pair": r'"\ud83d"',
    "a null character": r'"a\u0000b"',
    "a large number": "9" * 30,
    "lists in lists": "[" * 60 + "]" * 60,
}
# What stands in the place of a parameter, percent-encoded.
HOSTILE_PARAMETERS = ("a%00b", "%ED%A0%BD", "9" * 400, "-" + "9" * 30, "%5B" * 200, "%27%22%60%5C", "x" * 3000, "%20")
# What stands in the place of all of them at once.
MONSTROUS = {"a long number": "9" * 400, "lists in lists": "[" * 5_000 + "]" * 5_000}


def filled(operation: Operation, made: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The address of an operation, with ids of what was made, and its query."""
    path = operation.path
    for place, name in operation.parameters:
        if place == "path":
            path = path.replace(f"{{{name}}}", made.get(name, "1"))
    return path, {name: "1" for place, name in operation.parameters if (place, name) == ("query", "ChannelID")}


def parameter_of(collection: str, paths: Iterable[str]) -> str | None:
    """The name of the path parameter by which an item of a collection is addressed."""
    found = (re.fullmatch(re.escape(collection) + r"/\{(\w+)\}", path) for path in paths)
    return next((match[1] for match in found if match), None)


@pytest.fixture(scope="module")
def changing(api: httpx.Client) -> list[Operation]:
    found = [one for one in operations(api.get("/openapi.json").json()) if one.body is not None]
    return [one for one in found if one.path not in LONG_WORK and "/operator/" not in one.path]


@pytest.fixture(scope="module")
def made(api: httpx.Client, changing: list[Operation]) -> dict[str, str]:
    """Ids of what the example bodies make, by the name of the path parameter that they are for."""
    intake = api.get("/manage/v1/event-intake", params={"reveal": "true"}).json()
    ids = {"tenantToken": intake["sdk_token"]["value"], "tenantID": str(intake["tenant_id"])}
    paths, accepted = api.get("/openapi.json").json()["paths"], 0
    for operation in changing:
        path, query = filled(operation, ids)
        answer = api.request(operation.method, path, params=query, json=operation.body)
        assert answer.status_code < 500, (operation.path, answer.text)
        accepted += answer.status_code < 300
        parameter = parameter_of(operation.path, paths)
        if answer.status_code == 201 and parameter:
            item = answer.json()
            ids[parameter] = str(item.get("id", item.get("name")))
    assert accepted > 25, "the bodies are no examples"
    return ids


def test_never_a_server_error(api: httpx.Client, changing: list[Operation], made: dict[str, str]) -> None:
    headers, faults, asked = {"Content-Type": "application/json"}, [], 0
    for operation in changing:
        path, query = filled(operation, made)
        ways = [way for way, leaf in leaves(operation.body) if not isinstance(leaf, bool | None)]
        bodies = [(json.dumps(replaced(operation.body, way, PLACE)), HOSTILE) for way in ways]
        everywhere = operation.body
        for way in ways:
            everywhere = replaced(everywhere, way, PLACE)
        for marked, hostile in [*bodies, (json.dumps(everywhere), MONSTROUS)]:
            for what, value in hostile.items():
                body = marked.replace(f'"{PLACE}"', value)
                answer = api.request(operation.method, path, params=query, content=body, headers=headers)
                asked += 1
                if answer.status_code >= 500:
                    faults.append((operation.method, path, what, marked, answer.text[:200]))
    assert faults == []
    assert asked > 800


def test_nor_for_parameters(api: httpx.Client, made: dict[str, str]) -> None:
    """Each parameter of each operation has one of the hostile values, in turn, while the others are good."""
    document = api.get("/openapi.json").json()
    faults, asked, values = [], 0, itertools.cycle(HOSTILE_PARAMETERS)
    for path, method, told in all_operations(document):
        named = [(one["in"], one["name"]) for one in told.get("parameters", []) if one["in"] in ("path", "query")]
        for hostile in named:
            value = next(values)
            given = {one: value if one == hostile else made.get(one[1], "1") for one in named}
            parts = {name: text for (place, name), text in given.items() if place == "path"}
            query = "&".join(f"{name}={text}" for (place, name), text in given.items() if place == "query")
            address = re.sub(r"\{(\w+)\}", lambda match, parts=parts: parts[match[1]], path)
            answer = api.request(method, f"{address}?{query}", json={} if "requestBody" in told else None)
            asked += 1
            if answer.status_code >= 500:
                faults.append((method, path, hostile, value[:20], answer.text[:200]))
    assert faults == []
    assert asked > 300


def all_operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of every operation that is no long work."""
    for path, item in document["paths"].items():
        if path not in LONG_WORK and "/operator/" not in path:
            yield from ((path, method.upper(), told) for method, told in item.items())
