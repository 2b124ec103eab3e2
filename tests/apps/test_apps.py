"""Apps over the management API: made with keys of their own, changed, rotated and deleted; whom their keys open."""

import base64
import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from app_clients import device_of
from sqlalchemy import text

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.apps import definitions, service
from rapport.apps.devices import Refusal, note_refusals, token_ended
from rapport.apps.models import Install, ProviderError
from rapport.errors import Unauthorized

APPS = "/manage/v1/apps"
AT = datetime(2026, 3, 2, 14, tzinfo=UTC)


@pytest.fixture(scope="module")
def neighbour(scope: Scope) -> Scope:
    """Another tenant."""
    return create_tenant(scope.stores, f"neighbour of apps {time.time_ns()}", "UTC", "USD")


@pytest.fixture(scope="module")
def neighbour_api(base_url: str, neighbour: Scope) -> Iterator[httpx.Client]:
    _, secret = keys.create_key(neighbour, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as client:
        yield client


def created(api: httpx.Client, **members: Any) -> dict[str, Any]:
    answer = api.post(APPS, json={"name": f"Shop {uuid.uuid4()}"} | members)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def installed(scope: Scope, app_id: int, install_id: str, customer_id: str | None = None, **members: Any) -> Install:
    install = Install(
        tenant_id=scope.tenant_id,
        app_id=app_id,
        install_id=install_id,
        customer_id=customer_id,
        person=customer_id and customer_id.lower(),
        created_at=AT,
        **{"seen_at": AT} | members,
    )
    with scope.records() as session:
        session.add(install)
    return install


def test_an_app_has_keys_of_its_own_which_are_shown_once(scope: Scope, api: httpx.Client) -> None:
    app = created(api, name="  Northwind Shop ")
    assert app["name"] == "Northwind Shop"
    assert str(uuid.UUID(app["api_key"], version=4)) == app["api_key"]
    assert len(app["secret_key"]) == len(app["server_key"]) == 36
    assert app["secret_key"] != app["server_key"]
    credentials = json.loads(base64.b64decode(app["sdk_credentials"]))
    assert credentials == [1, "eu-central-2", app["api_key"], app["secret_key"]]
    point = base64.urlsafe_b64decode(app["vapid_public_key"] + "=")
    assert (len(point), point[0]) == (65, 4)  # a point of P-256, not compressed
    shown = api.get(f"{APPS}/{app['id']}").json()
    assert shown == {name: app[name] for name in app if name not in ("secret_key", "server_key", "sdk_credentials")}
    assert shown in api.get(APPS).json()
    with scope.reads() as session:
        stored = session.execute(
            text("SELECT * FROM device_apps WHERE tenant_id = :t AND id = :i"), {"t": scope.tenant_id, "i": app["id"]}
        ).one()
    assert app["server_key"] not in str(stored)


def test_each_app_has_other_keys(api: httpx.Client) -> None:
    first, second = created(api), created(api)
    for member in ("id", "api_key", "secret_key", "server_key", "vapid_public_key"):
        assert first[member] != second[member]


def test_a_name_is_taken_in_any_case(api: httpx.Client) -> None:
    created(api, name="Taken")
    answer = api.post(APPS, json={"name": "TAKEN"})
    assert (answer.status_code, answer.json()["detail"]) == (409, "There is an app named 'TAKEN' already.")


def test_one_app_is_for_the_web(api: httpx.Client) -> None:
    first, second = created(api, for_web=True), created(api, for_web=True)
    assert [api.get(f"{APPS}/{app['id']}").json()["for_web"] for app in (first, second)] == [False, True]
    web = {"icon_url": "https://shop.example/i.png", "prompts": {"bell": {"type": "bell"}}, "safari_push_id": ""}
    changed = api.patch(f"{APPS}/{first['id']}", json={"for_web": True, "web": web, "name": f"{first['name']}!"})
    assert changed.status_code == 200, changed.text
    assert changed.json() == api.get(f"{APPS}/{first['id']}").json()
    assert {name: changed.json()[name] for name in ("for_web", "web", "name")} == {
        "for_web": True,
        "web": web,
        "name": f"{first['name']}!",
    }
    assert api.get(f"{APPS}/{second['id']}").json()["for_web"] is False


def test_keys_open_what_they_are_for(scope: Scope, api: httpx.Client) -> None:
    app = created(api)
    for key, opens in ((app["secret_key"], (True, False)), (app["server_key"], (True, True))):
        for need_server, good in zip((False, True), opens, strict=True):
            if good:
                whose, opened = service.authenticated(scope.stores, basic(app["api_key"], key), need_server=need_server)
                assert (whose.tenant_id, opened.id, opened.api_key) == (scope.tenant_id, app["id"], app["api_key"])
            else:
                with pytest.raises(Unauthorized, match=r"^The app's credentials are not valid\.$"):
                    service.authenticated(scope.stores, basic(app["api_key"], key), need_server=need_server)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic  ",
        "Basic ~~~",
        "Bearer abc",
        "Basic " + "QUJD" * 100,
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        basic("", ""),
        basic("a\0b", "c"),
    ],
)
def test_other_headers_open_nothing(scope: Scope, header: str) -> None:
    with pytest.raises(Unauthorized):
        service.authenticated(scope.stores, header, need_server=False)


def test_keys_of_another_app_open_nothing(scope: Scope, api: httpx.Client, neighbour_api: httpx.Client) -> None:
    mine, other = created(api), created(neighbour_api)
    for key in (other["secret_key"], other["server_key"], "", mine["api_key"]):
        with pytest.raises(Unauthorized):
            service.authenticated(scope.stores, basic(mine["api_key"], key), need_server=False)


def test_rotated_keys_are_refused_at_once(scope: Scope, api: httpx.Client) -> None:
    app = created(api)
    rotated = api.post(f"{APPS}/{app['id']}/rotate-keys", json={"server_key": True}).json()
    assert (rotated["secret_key"], rotated["sdk_credentials"]) == (None, None)
    good = {app["secret_key"]: True, app["server_key"]: False, rotated["server_key"]: True}
    rotated = api.post(f"{APPS}/{app['id']}/rotate-keys", json={"secret_key": True}).json()
    good |= {app["secret_key"]: False, rotated["secret_key"]: True}
    assert rotated["server_key"] is None
    assert rotated["vapid_public_key"] == app["vapid_public_key"]
    for key, opens in good.items():
        if opens:
            service.authenticated(scope.stores, basic(app["api_key"], key), need_server=False)
        else:
            with pytest.raises(Unauthorized):
                service.authenticated(scope.stores, basic(app["api_key"], key), need_server=False)


def test_a_deleted_app_takes_its_installs_along(scope: Scope, api: httpx.Client) -> None:
    app, kept = created(api), created(api)
    gone = installed(scope, app["id"], "gone", "Deleted-1")
    installed(scope, kept["id"], "kept", "Deleted-1")
    note_refusals(scope, [Refusal(device_of(gone), "fcm", 500, "INTERNAL")])
    assert api.delete(f"{APPS}/{app['id']}").status_code == 204
    assert api.get(f"{APPS}/{app['id']}").json()["detail"] == f"There is no app {app['id']}."
    assert [install.install_id for install in service.installs_of(scope, ["Deleted-1"])["Deleted-1"]] == ["kept"]
    with pytest.raises(Unauthorized):
        service.authenticated(scope.stores, basic(app["api_key"], app["secret_key"]), need_server=False)
    with scope.reads() as session:
        assert session.query(ProviderError).filter_by(tenant_id=scope.tenant_id, app_id=app["id"]).count() == 0


def test_apps_of_a_neighbour_are_not_there(api: httpx.Client, neighbour_api: httpx.Client, neighbour: Scope) -> None:
    created(api)
    theirs = [created(neighbour_api)["id"] for _ in range(2)][-1]
    mine = {app["id"] for app in api.get(APPS).json()}
    unknown = max(mine | {theirs}) + 1
    own = api.get(f"{APPS}/{max(mine)}").json()
    for call in (
        lambda: neighbour_api.get(f"{APPS}/{unknown}"),
        lambda: neighbour_api.patch(f"{APPS}/{unknown}", json={"name": "x"}),
        lambda: neighbour_api.post(f"{APPS}/{unknown}/rotate-keys", json={"server_key": True}),
        lambda: neighbour_api.delete(f"{APPS}/{unknown}"),
    ):
        assert call().status_code == 404
    assert own["api_key"] not in {app["api_key"] for app in neighbour_api.get(APPS).json()}
    assert {app.tenant_id for app in definitions.apps(neighbour)} == {neighbour.tenant_id}


def test_installs_of_customers(scope: Scope, api: httpx.Client, neighbour: Scope, neighbour_api: httpx.Client) -> None:
    first, second, theirs = created(api)["id"], created(api)["id"], created(neighbour_api)["id"]
    installed(scope, first, "old", "Änne-1")
    installed(scope, second, "new", "ÄNNE-1", seen_at=AT.replace(hour=15))
    installed(scope, first, "nobody's")
    installed(neighbour, theirs, "theirs", "Änne-1")
    by_customer = service.installs_of(scope, ["änne-1", "nobody", "Änne-1"])
    assert {who: [install.install_id for install in installs] for who, installs in by_customer.items()} == {
        "änne-1": ["new", "old"],
        "Änne-1": ["new", "old"],
    }
    of_first = service.installs_of(scope, ["Änne-1"], app_id=first)
    assert [install.install_id for install in of_first["Änne-1"]] == ["old"]
    assert service.installs_of(scope, []) == {}


def test_a_token_ends_unless_another_took_its_place(scope: Scope, api: httpx.Client) -> None:
    app_id = created(api)["id"]
    install = installed(scope, app_id, "ending", "Ending-1", token="fcm-1", token_type=2, token_key="k1")
    assert token_ended(scope, device_of(install)._replace(token="fcm-0"), "UNREGISTERED") is False
    assert service.installs_of(scope, ["Ending-1"])["Ending-1"][0].token == "fcm-1"
    assert token_ended(scope, device_of(install), "UNREGISTERED") is True
    ended = service.installs_of(scope, ["Ending-1"])["Ending-1"][0]
    assert (ended.token, ended.token_type, ended.token_end_reason) == (None, None, "UNREGISTERED")
    assert ended.token_ended_at is not None
