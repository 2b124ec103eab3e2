"""Links into apps, banners, and attributes that servers of apps set."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from app_clients import AppClient, app_client

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant

TARGET = {"link_data": {"screen": "product", "id": 9}, "title": "Coat", "description": ""}


@pytest.fixture
def app(api: httpx.Client, scope: Scope) -> Iterator[AppClient]:
    with app_client(api, scope) as client:
        yield client


def home(app: AppClient) -> str:
    return f"/manage/v1/apps/{app.id}"


def test_a_link_leads_into_the_app_and_is_counted(app: AppClient, api: httpx.Client) -> None:
    saved = api.put(f"{home(app)}/deep-links/coat", json=TARGET)
    assert saved.status_code == 200, saved.text
    for deferred in ("0", "1", "0"):
        answer = app.device.get("/v1/deeplinks/coat", params={"wasDeferred": deferred, "utm_source": "mail"})
        assert answer.json() == {"linkData": TARGET["link_data"], "content": {"title": "Coat"}}
    shown = api.get(f"{home(app)}/deep-links").json()
    assert [(link["slug"], link["uses"], link["deferred_uses"]) for link in shown] == [("coat", 3, 1)]
    changed = api.put(f"{home(app)}/deep-links/coat", json=TARGET | {"title": "Blue coat"}).json()
    assert (changed["title"], changed["uses"]) == ("Blue coat", 3)
    assert api.delete(f"{home(app)}/deep-links/coat").status_code == 204
    assert api.delete(f"{home(app)}/deep-links/coat").status_code == 404
    assert app.device.get("/v1/deeplinks/coat").status_code == 404


def test_a_link_ends(app: AppClient, api: httpx.Client) -> None:
    soon, past = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) - timedelta(seconds=1)
    for slug, members in (
        ("over", {"expires_at": past.isoformat()}),
        ("twice", {"most_uses": 2, "expires_at": soon.isoformat()}),
    ):
        api.put(f"{home(app)}/deep-links/{slug}", json=TARGET | members).raise_for_status()
    answer = app.device.get("/v1/deeplinks/over")
    assert (answer.status_code, answer.json()) == (410, "This deep link has expired.")
    assert [app.device.get("/v1/deeplinks/twice").status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("slug", ["a b", "a.b", "x" * 101])
def test_a_slug_is_plain(app: AppClient, api: httpx.Client, slug: str) -> None:
    assert api.put(f"{home(app)}/deep-links/{slug}", json=TARGET).status_code == 400


def test_banners_are_listed_and_taps_counted(app: AppClient, api: httpx.Client) -> None:
    settings = {"title": "Get the app", "uid": "another"}
    api.put(f"{home(app)}/banners/spring", json={"settings": settings}).raise_for_status()
    asked = {"webInstallId": "browser-1"}
    assert app.device.get("/v1/banners", params=asked).json() == [{"title": "Get the app", "uid": "spring"}]
    for uid in ("spring", "spring", "gone"):
        body = {"webInstallId": "browser-1", "fingerprint": {"components": []}}
        assert app.device.post(f"/v1/banners/{uid}/taps", json=body).status_code == 204
    assert [(banner["uid"], banner["taps"]) for banner in api.get(f"{home(app)}/banners").json()] == [("spring", 2)]
    assert api.delete(f"{home(app)}/banners/spring").status_code == 204
    assert app.device.get("/v1/banners").json() == []


def test_links_and_banners_are_an_apps_own(app: AppClient, api: httpx.Client, scope: Scope, base_url: str) -> None:
    api.put(f"{home(app)}/deep-links/mine", json=TARGET).raise_for_status()
    api.put(f"{home(app)}/banners/mine", json={"settings": {}}).raise_for_status()
    neighbour = create_tenant(scope.stores, f"neighbour of links {time.time_ns()}", "UTC", "USD")
    _, key = keys.create_key(neighbour, "tests", "tests@example.com", "Admin")
    with (
        httpx.Client(base_url=base_url, headers={"X-API-KEY": key}, timeout=60) as theirs,
        app_client(theirs, neighbour) as their_app,
        app_client(api, scope) as another,
    ):
        for other in (their_app, another):
            assert other.device.get("/v1/deeplinks/mine").status_code == 404
            assert other.device.get("/v1/banners").json() == []
        for call in ("deep-links", "banners"):
            assert theirs.get(f"{home(their_app)}/{call}").json() == []
            assert theirs.delete(f"{home(their_app)}/{call}/mine").status_code == 404
            assert api.get(f"/manage/v1/apps/999/{call}").status_code == 404
    with httpx.Client(base_url=base_url) as stranger:
        for path in ("/v1/deeplinks/mine", "/v1/banners"):
            assert stranger.get(path).status_code == 401


def test_a_server_sets_attributes_of_a_user(app: AppClient, api: httpx.Client) -> None:
    created = api.post("/manage/v1/attributes", json={"name": "TOWN", "field_type": "Varchar", "api_updatable": True})
    assert created.status_code < 300, created.text
    path = "/v1/users/Attributed-1/attributes"
    assert app.device.put(path, json={"TOWN": "Oslo"}).status_code == 401  # the secret key is in every copy of the app
    answer = app.server.put(path, json={"TOWN": "Oslo", "UNKNOWN": 1})
    assert answer.status_code == 200
    assert answer.json()["isSuccess"] is False
    assert ["UNKNOWN" in str(error) for error in answer.json()["errors"]] == [True]
    held = api.get("/manage/v1/persons/Attributed-1").json()["warehouse"]["customers"]
    assert [row["TOWN"] for row in held] == ["Oslo"]
    assert app.server.put(path, content=b"[]").status_code == 422
    assert app.server.put("/v1/users/null/attributes", json={"TOWN": "Oslo"}).status_code == 422
