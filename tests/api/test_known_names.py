"""The management API refuses what it does not know: members of bodies, query parameters, fields of forms."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from rapport.app import openapi_document

PATHS = {path: item for path, item in openapi_document()["paths"].items() if path.startswith("/manage/v1")}
CALLS = [(method, path) for path, item in PATHS.items() for method in item]
# Only the operator of the machine may call these, and no key.
OPERATED = ("/manage/v1/operator", "/manage/v1/tenants")
FILLED = {"data_date": "2026-03-09", "count_id": "0" * 32}


def schemas_in(document: dict[str, Any], part: Any, seen: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every named schema that a part of the document leads to."""
    if isinstance(part, list):
        for one in part:
            yield from schemas_in(document, one, seen)
    if not isinstance(part, dict):
        return
    name = str(part.get("$ref", "")).rpartition("/")[2]
    if name and name not in seen:
        seen.add(name)
        found = document["components"]["schemas"][name]
        yield name, found
        yield from schemas_in(document, found, seen)
    for one in part.values():
        yield from schemas_in(document, one, seen)


def test_bodies_take_no_members_that_are_not_described() -> None:
    document = openapi_document()
    bodies = [
        PATHS[path][method]["requestBody"]["content"] for method, path in CALLS if "requestBody" in PATHS[path][method]
    ]
    json = [one["application/json"] for one in bodies if "application/json" in one]
    assert len(json) > 30
    open_ = [
        name
        for name, schema in schemas_in(document, json, set())
        if "properties" in schema and schema.get("additionalProperties") is not False
    ]
    assert open_ == []


@pytest.mark.parametrize(("method", "path"), [one for one in CALLS if not one[1].startswith(OPERATED)])
def test_parameters_that_are_not_described_are_refused(api: httpx.Client, method: str, path: str) -> None:
    url = re.sub(r"\{(\w+)\}", lambda found: FILLED.get(found[1], "1"), path)
    answer = api.request(method, url, params={"surely_unknown": "2030-01-01"})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("surely_unknown is not a parameter of this call; it takes ")


def test_what_was_ignored_before_is_named(api: httpx.Client) -> None:
    answer = api.get("/manage/v1/campaigns", params={"since": "2026-11-20"})
    assert answer.json()["detail"] == (
        "since is not a parameter of this call; it takes series_id, state, execution_date, first, last, limit, offset."
    )
    definition = {"all": []}
    answer = api.post("/manage/v1/target-groups/size", json={"definition": definition, "data_date": "2026-03-01"})
    assert (answer.status_code, answer.json()["detail"]) == (
        400,
        "data_date is not known here; there is definition.",
    )
    form = {"kind": "customers", "dryrun": "true"}
    answer = api.post("/manage/v1/imports", data=form, files={"file": ("a.csv", b"CustomerID\n1\n")})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("dryrun is not a field of this call; it takes file, kind, mode,")


def test_every_list_is_read_by_pages(api: httpx.Client) -> None:
    """The answer with everything is what the pages come to, for whoever asks every list alike."""
    plain = [path for path in PATHS if "get" in PATHS[path] and "{" not in path and not path.startswith(OPERATED)]
    plain = [path for path in plain if "/exports/" not in path]  # files
    lists = {path for path in plain if isinstance(api.get(path).json(), list)}
    lists -= {
        "/manage/v1/lifecycle-stages",
        "/manage/v1/value-segments",
        "/manage/v1/model-fits",
        "/manage/v1/forecasts",
    }  # few
    lists -= {"/manage/v1/event-intake/user-jwt-keys", "/manage/v1/unsubscribe-links/secrets"}  # likewise
    lists -= {"/manage/v1/event-log", "/manage/v1/event-log/counts"}  # read on by the time of the last entry
    assert {"/manage/v1/actions", "/manage/v1/channels", "/manage/v1/attributes"} <= lists
    for path in sorted(lists):
        whole = api.get(path).json()
        first, rest = (api.get(path, params=one).json() for one in ({"limit": 1}, {"limit": 1000, "offset": 1}))
        assert first == whole[:1] and rest == whole[1:], path
