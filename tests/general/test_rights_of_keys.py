"""Keys of less than their access type covers, and keys that end or that nobody uses."""

import re
from datetime import timedelta

import httpx
import pytest
from fastapi.routing import APIRoute

from rapport.access import keys
from rapport.access.roles import SECTIONS
from rapport.access.scope import Scope
from rapport.api.routers import MANAGEMENT
from rapport.api.sections import changes_nothing

KEY = {"nickname": "least", "contact_email": "least@example.com", "access_type": "Admin"}
INFO, DATA = ("GET", "/current/apikey/GetApiKeyInfo"), ("GET", "/current/general/GetLastDataUpdate")
UPSERT = ("PUT", "/current/customers/UpsertCustomer")
BRANDS, NEW_BRAND = ("GET", "/manage/v1/brands"), ("POST", "/manage/v1/brands")
IMPORTS, NEW_IMPORT = ("GET", "/manage/v1/imports"), ("POST", "/manage/v1/imports")
KEYS, NEW_KEY, SERIES = ("GET", "/manage/v1/keys"), ("POST", "/manage/v1/keys"), ("GET", "/manage/v1/series")
EVERY = (INFO, DATA, UPSERT, BRANDS, NEW_BRAND, IMPORTS, NEW_IMPORT, KEYS, NEW_KEY, SERIES)


def made(api: httpx.Client, **given: object) -> httpx.Client:
    answer = api.post("/manage/v1/keys", json={**KEY, **given})
    assert answer.status_code == 201, answer.text
    return httpx.Client(base_url=api.base_url, headers={"X-API-KEY": answer.json()["key"]}, timeout=60)


@pytest.mark.parametrize(
    ("given", "covered"),
    [
        ({}, set(EVERY)),
        ({"rights": "read"}, {INFO, DATA, BRANDS, IMPORTS, KEYS, SERIES}),
        ({"rights": "data-in"}, {INFO, UPSERT, IMPORTS, NEW_IMPORT}),
        ({"sections": ["brands", "series"]}, {INFO, BRANDS, NEW_BRAND, SERIES}),
        ({"sections": ["brands", "imports"], "rights": "read"}, {INFO, BRANDS, IMPORTS}),
        ({"access_type": "Transactional", "rights": "read"}, {INFO, DATA}),
        ({"access_type": "Transactional", "rights": "data-in"}, {INFO, UPSERT}),
        ({"access_type": "Integrations", "rights": "read"}, {INFO, DATA}),
    ],
)
def test_a_key_does_what_its_rights_and_sections_leave(
    api: httpx.Client, given: dict[str, object], covered: set[tuple[str, str]]
) -> None:
    with made(api, **given) as client:
        # Without a body nothing is written: what is covered is answered 2xx or 400.
        answers = {one: client.request(*one).status_code for one in EVERY}
    assert {one for one, status in answers.items() if status != 403} == covered
    assert {status for status in answers.values() if status != 403} <= {200, 400}


@pytest.mark.parametrize(
    "given",
    [
        {"rights": "write"},
        {"sections": ["keys"]},
        {"sections": ["users"]},
        {"sections": ["brands"], "access_type": "Transactional"},
        {"rights": "data-in", "access_type": "Integrations"},
        {"rights": "data-in", "sections": ["brands"]},
        {"expires_on": "soon"},
    ],
)
def test_rights_that_there_are_not_are_refused(api: httpx.Client, given: dict[str, object]) -> None:
    answer = api.post("/manage/v1/keys", json={**KEY, **given})
    assert (answer.status_code, next(iter(given)) in answer.json()["detail"]) == (400, True)


def test_sections_are_those_of_the_management_api() -> None:
    there = {route.path.split("/")[3] for router in MANAGEMENT for route in router.routes}  # type: ignore[attr-defined]
    assert there - {"keys", "users", "operator"} == set(SECTIONS)


def test_a_key_that_reads_sees_no_secret(api: httpx.Client) -> None:
    listener = {"event_type_id": 1, "url": "http://127.0.0.1:9/x"}
    secret = api.post("/manage/v1/listeners", json=listener).json()["secret"]
    assert secret in api.get("/manage/v1/listeners").text
    with made(api, rights="read") as client:
        assert [one["secret"] for one in client.get("/manage/v1/listeners").json()] == [""]
        assert client.get("/manage/v1/event-intake").status_code == 200
        assert client.get("/manage/v1/event-intake", params={"reveal": True}).status_code == 403


def test_a_key_that_reads_asks_by_post_what_changes_nothing(api: httpx.Client) -> None:
    routes = [route for router in MANAGEMENT for route in router.routes if isinstance(route, APIRoute)]
    posts = {route.path: changes_nothing(route) for route in routes if "POST" in route.methods}
    assert {path for path, asks in posts.items() if asks} == {
        f"/manage/v1/{path}"
        for path in (
            "eligibility",
            "promotions/{promotion_id}/explanation",
            "target-groups/size",
            "target-groups/sample",
            "target-groups/sentence",
            "series/{series_id}/dry-run",
            "triggers/{trigger_id}/dry-run",
            "triggers/{trigger_id}/test",
            "channels/{channel_id}/templates/{template_id}/preview",
            "templates/check",
        )
    }
    with made(api, rights="read") as reader, made(api, rights="read", sections=["brands"]) as other:
        for path, asks in posts.items():
            if "/operator/" in path or path == "/manage/v1/tenants":
                continue
            asked = re.sub(r"{\w+}", "999", path)
            assert (reader.post(asked).status_code != 403) == asks, path
            assert "/brands" in path or other.post(asked).status_code == 403, path
        definition = {"definition": {"attribute": "COUNTRY", "operator": "equals", "value": "NL"}}
        assert reader.post("/manage/v1/target-groups/sentence", json=definition).status_code == 200
    document = api.get("/openapi.json").json()["paths"]
    assert document["/manage/v1/eligibility"]["post"]["x-changes-nothing"] is True


def test_a_key_ends_after_a_year_unless_it_is_to_live_for_ever(api: httpx.Client, scope: Scope) -> None:
    a_year_on = (scope.today() + timedelta(days=365)).isoformat()
    for given, ends_on in (({}, a_year_on), ({"expires_on": None}, a_year_on), ({"expires_on": "never"}, None)):
        answer = api.post("/manage/v1/keys", json={**KEY, **given})
        assert (answer.status_code, answer.json()["expires_on"]) == (201, ends_on)


def test_keys_that_nobody_uses_are_told(api: httpx.Client, scope: Scope) -> None:
    forgotten = api.post("/manage/v1/keys", json={**KEY, "expires_on": "never"}).json()
    assert not forgotten["unused"]
    scope.clock.advance(timedelta(days=91))
    try:
        unused = {one["id"]: one["unused"] for one in api.get("/manage/v1/keys").json()}
        assert unused[forgotten["id"]]
        check = keys.keys_check(scope.stores)
        assert (check.outcome, "not used for 90 days" in check.detail) == ("warning", True)
    finally:
        scope.clock.set(None)
