"""Servers of apps make and change templates of in-app messages, under names of their own."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from in_app_world import World, installed, world

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.apps import definitions

PATH = "/v1/templates/in-app"
CONTENT = {"title": "Hello [%FIRST_NAME:there%]", "text": "News"}


@pytest.fixture(scope="module")
def shop(scope: Scope) -> World:
    made = world(scope)
    installed(made, "Anna")
    return made


@pytest.fixture(scope="module")
def server(base_url: str, shop: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, headers=shop.server, timeout=60) as client:
        yield client


def body(uid: str, name: str = "", **members: Any) -> dict[str, Any]:
    return {"name": name or f"Template {uid}", "uid": uid, "content": CONTENT} | members


def test_a_template_is_made_changed_and_sent(shop: World, server: httpx.Client) -> None:
    made = server.post(PATH, json=body("spring-1"))
    assert made.status_code == 201, made.text
    told = made.json()
    assert {name: told[name] for name in ("name", "uid", "content", "appId")} == {
        **body("spring-1"),
        "appId": shop.app.id,
    }
    assert told["dynamicContentTags"] == ["FIRST_NAME:there"]
    assert told["createdAt"].endswith("Z") and told["updatedAt"].endswith("Z")
    changed = server.put(f"{PATH}/spring-1", json=body("spring-2", "Renamed", content={"title": "Hi"}))
    assert (changed.status_code, changed.json()["uid"], changed.json()["dynamicContentTags"]) == (200, "spring-2", [])
    assert server.put(f"{PATH}/spring-1", json=body("spring-1")).status_code == 404
    for uid, status in (("spring-2", 202), ("spring-1", 404)):
        sent = server.post("/v2/in-app", json={"target": {"userIds": ["Anna"]}, "templateId": uid})
        assert sent.status_code == status, sent.text


def test_what_is_taken_or_wrong_is_refused(server: httpx.Client) -> None:
    assert server.post(PATH, json=body("taken", "Taken")).status_code == 201
    for wrong, words in [
        (body("taken", "Another"), "uid 'taken' is that of another template."),
        (body("free", "Taken"), "Taken"),
        (body("no blanks", "Blanks"), "uid"),
        (body("x" * 256, "Long"), "uid"),
        (body("free", "n" * 256), "name"),
        (body("free", content={}), "content"),
        (body("free", content="text"), "content"),
        (body("free", content={"title": "[%IF:[%A%]%]"}), "is not a customer attribute"),
        ({"uid": "free", "content": CONTENT}, "name is required"),
    ]:
        answer = server.post(PATH, json=wrong)
        assert (answer.status_code, words in answer.text) == (422, True), answer.text
    assert server.post(PATH, content=b"[").status_code == 422


def test_only_the_apps_own_server_may(shop: World, base_url: str, server: httpx.Client) -> None:
    assert server.post(PATH, json=body("mine")).status_code == 201
    for headers in ({}, shop.device):
        assert httpx.post(base_url + PATH, json=body("device"), headers=headers).status_code == 401
    other = world(create_tenant(shop.scope.stores, f"neighbour of templates {time.time_ns()}", "UTC", "EUR"))
    assert httpx.put(f"{base_url}{PATH}/mine", json=body("mine"), headers=other.server).status_code == 404
    assert httpx.post(base_url + PATH, json=body("mine"), headers=other.server).status_code == 201


def test_an_app_without_a_channel_has_no_templates(scope: Scope, base_url: str) -> None:
    lonely = create_tenant(scope.stores, f"without channels {time.time_ns()}", "UTC", "EUR")
    made = definitions.create_app(lonely, "Shop", {}, for_web=False)
    answer = httpx.post(base_url + PATH, json=body("one"), auth=(made.app.api_key, str(made.server_key)))
    assert (answer.status_code, answer.json()) == (404, "The app has no in-app channel.")
