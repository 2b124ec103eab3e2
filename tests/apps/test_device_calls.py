"""Devices without an SDK, what browsers load, what counts of pushes, and installs as management shows them."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from app_clients import AppClient, app_client, device_of, event, milliseconds
from sqlalchemy import text

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.apps.devices import Refusal, note_refusals
from rapport.apps.models import Install
from rapport.apps.retention import drop_old
from rapport.channels.messages import Origin
from rapport.channels.push.numbers import number_of
from rapport.delivery.models import MailEvent

HEX = "f00dbabe" * 8
IOS = {"token": HEX, "type": 1, "iosTokenType": 1, "bundleId": "com.example.shop", "userId": "Device-1"}


@pytest.fixture(scope="module")
def app(api: httpx.Client, scope: Scope) -> Iterator[AppClient]:
    with app_client(api, scope) as client:
        yield client


@pytest.fixture(scope="module")
def neighbour_api(base_url: str, scope: Scope) -> Iterator[httpx.Client]:
    neighbour = create_tenant(scope.stores, f"neighbour of devices {time.time_ns()}", "UTC", "USD")
    _, secret = keys.create_key(neighbour, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as client:
        yield client


def path(install_id: str, call: str = "push-token") -> str:
    return f"/v1/app-installs/{install_id}/{call}"


def stored(app: AppClient, install_id: str) -> Install:
    install = app.install(install_id)
    assert install is not None
    return install


def come_back(scope: Scope, campaign_id: int) -> list[tuple[str, str, int, int, datetime]]:
    """What came back about messages of a campaign and is not recorded yet."""
    with scope.reads() as session:
        events = session.query(MailEvent).filter_by(tenant_id=scope.tenant_id, source_id=campaign_id)
        rows = events.order_by(MailEvent.id)
        return [(row.kind, row.customer_id, row.channel_id, row.template_id, row.at) for row in rows]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_device_is_added_with_its_customer(app: AppClient, method: str) -> None:
    install_id = f"device {method}"
    answer = app.device.request(method, path(install_id), json=IOS | {"token": HEX.upper(), "userId": "Device-1"})
    assert (answer.status_code, answer.content) == (204, b"")
    install = stored(app, install_id)
    assert (install.customer_id, install.token, install.is_production) == ("Device-1", HEX, True)
    assert app.device.request(method, path(install_id), json=IOS | {"iosTokenType": 2}).status_code == 204
    assert stored(app, install_id).is_production is False


def test_only_put_leaves_the_customer_out(app: AppClient) -> None:
    fcm = {"token": "fcm-1", "type": 2}
    answer = app.device.post(path("put"), json=fcm)
    assert (answer.status_code, answer.json()) == (422, "userId is required: the CustomerID of the user.")
    assert app.install("put") is None
    app.device.post(path("put"), json=fcm | {"userId": "Device-2"}).raise_for_status()
    assert app.device.put(path("put"), json=fcm | {"token": "fcm-2"}).status_code == 204
    assert (stored(app, "put").customer_id, stored(app, "put").token) == ("Device-2", "fcm-2")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "The body is not valid JSON."),
        (b"[]", "The body must be a JSON object."),
        ({**IOS, "userId": "null"}, "The user identifier identifies nobody."),
        ({**IOS, "type": 7}, "type must be 1 (APNs), 2 (FCM), 3 (web push), 4 (Safari) or 5 (HMS)."),
        ({**IOS, "token": "not hex"}, "token is not a token of type 1."),
        ({**IOS, "token": None}, "token must be a text."),
        ({**IOS, "areNotificationsEnabled": "yes"}, "areNotificationsEnabled must be true or false."),
    ],
)
def test_a_device_that_is_not_described_is_refused(app: AppClient, body: Any, sentence: str) -> None:
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    answer = app.device.post(path("refused"), **sent)
    assert (answer.status_code, answer.json()) == (422, sentence)
    assert app.install("refused") is None


def test_a_removed_device_stays_with_its_customer(app: AppClient) -> None:
    app.device.post(path("removed"), json={"token": "fcm-3", "type": 2, "userId": "Device-3"}).raise_for_status()
    for _ in range(2):
        assert app.device.delete(path("removed")).status_code == 204
    install = stored(app, "removed")
    assert (install.token, install.customer_id) == (None, "Device-3")
    assert app.device.delete(path("never-there")).status_code == 204
    assert app.install("never-there") is None


def test_device_calls_need_keys_of_the_app(app: AppClient, base_url: str, neighbour_api: httpx.Client) -> None:
    other = neighbour_api.post("/manage/v1/apps", json={"name": "Other"}).json()
    app.device.post(path("mine"), json={"token": "mine", "type": 2, "userId": "Mine-1"}).raise_for_status()
    with httpx.Client(base_url=base_url) as client:
        for auth in (None, (app.api_key, other["secret_key"]), (other["api_key"], app.secret_key)):
            assert client.post(path("guarded"), json=IOS, auth=auth).status_code == 401
            assert client.delete(path("mine"), auth=auth).status_code == 401
            assert client.post(path("mine", "opens"), json={"id": 1}, auth=auth).status_code == 401
        theirs = (other["api_key"], other["secret_key"])
        assert client.delete(path("mine"), auth=theirs).status_code == 204
    assert stored(app, "mine").token == "mine"
    assert app.server.post(path("by-server"), json=IOS | {"token": "ab" * 32}).status_code == 204


def test_old_sdks_are_answered(app: AppClient) -> None:
    tracked = {"os": {"id": 1, "version": "12"}, "app": {"bundle": "com.example.old"}}
    assert app.device.put("/v1/app-installs/old", json=tracked).status_code == 204
    assert (stored(app, "old").os, stored(app, "old").bundle_id) == ("iOS 12", "com.example.old")
    assert app.device.put(path("old", "location"), json={"lat": 1, "lng": 2}).status_code == 204
    assert app.device.get(path("old", "channels")).json() == []


def test_opens_of_a_push_count_for_its_campaign(app: AppClient, scope: Scope) -> None:
    number = number_of(scope, Origin(channel_id=901, campaign_id=7001, template_id=31))
    app.device.post(path("opens"), json={"token": "fcm-4", "type": 2, "userId": "Opens-1"}).raise_for_status()
    assert app.device.post(path("opens", "opens"), json={"id": number}).status_code == 204
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    reports = [
        event("k.message.delivered", {"type": 1, "id": number}, timestamp=milliseconds(at)),
        event("k.message.opened", {"type": 1, "id": number}, timestamp=milliseconds(at), userId="opens-1"),
        event("k.message.dismissed", {"type": 1, "id": number}),
        event("k.message.opened", {"type": 2, "id": number}),
        event("k.message.opened", {"type": 1, "id": number + 1000}),
        event("k.message.opened", {"type": 1, "id": 2**40}),
    ]
    for _ in range(2):
        assert app.sent("opens", *reports).json()["message"] == "6 of 6 events"
    rows = come_back(scope, 7001)
    assert [row[:4] for row in rows] == [
        ("opened", "Opens-1", 901, 31),
        ("delivered", "Opens-1", 901, 31),
        ("opened", "Opens-1", 901, 31),
    ]
    assert [row[4] for row in rows[1:]] == [at, at]


def test_an_open_counts_for_whose_the_install_was_and_for_nobody_else(app: AppClient, scope: Scope) -> None:
    number = number_of(scope, Origin(channel_id=901, campaign_id=7003, template_id=31))

    def opened(customer_id: str) -> dict[str, Any]:
        return event("k.message.opened", {"type": 1, "id": number}, userId=customer_id)

    def associated(customer_id: str) -> dict[str, Any]:
        return event("k.stats.userAssociated", {"id": customer_id})

    app.sent("claims", opened("Claims-1"), opened("claims"))  # nobody is known yet
    batch = [associated("Claims-1"), opened("Claims-1"), opened("Claims-2"), associated("Claims-2"), opened("Claims-2")]
    assert app.sent("claims", *batch).json()["message"] == "5 of 5 events"
    app.sent("claims", opened("Claims-1"))
    assert [customer_id for _, customer_id, *_ in come_back(scope, 7003)] == ["Claims-1", "Claims-2"]


def test_opens_that_nobody_known_made_count_for_nobody(
    app: AppClient, scope: Scope, neighbour_api: httpx.Client, base_url: str
) -> None:
    number = number_of(scope, Origin(channel_id=901, campaign_id=7002, template_id=31))
    app.tell("nobody", "k.message.opened", {"type": 1, "id": number})
    other = neighbour_api.post("/manage/v1/apps", json={"name": f"Other {uuid.uuid4()}"}).json()
    with httpx.Client(base_url=base_url, auth=(other["api_key"], other["secret_key"])) as theirs:
        opened = [event("k.message.opened", {"type": 1, "id": number}, userId="Theirs-1")]
        assert theirs.post(path("theirs", "events"), json=opened).status_code == 200
    assert come_back(scope, 7002) == []


@pytest.mark.parametrize(("body", "status"), [({}, 422), ({"id": "x"}, 422), ({"id": True}, 422), ({"id": "77"}, 204)])
def test_an_open_names_a_message(app: AppClient, body: Any, status: int) -> None:
    assert app.device.post(path("opens", "opens"), json=body).status_code == status


def test_browsers_load_the_configuration_of_the_web_app(api: httpx.Client, scope: Scope, base_url: str) -> None:
    asked = {"tenantId": scope.tenant_id, "installId": str(uuid.uuid4())}
    with httpx.Client(base_url=base_url) as browser:
        answer = browser.get("/v2/web/config", params=asked)
        assert (answer.status_code, answer.json()) == (404, "No app of this tenant is for web sites.")
        web = {"icon_url": "https://shop.example/i.png", "prompts": {"bell": {"type": "bell", "uuid": "u"}}}
        with app_client(api, scope, for_web=True, web=web) as app:
            answer = browser.get("/v2/web/config", params=asked)
            shown = api.get(f"/manage/v1/apps/{app.id}").json()
            assert answer.json() == {
                "publicKey": shown["vapid_public_key"],
                "keys": {"apiKey": app.api_key, "secretKey": app.secret_key},
                "iconUrl": "https://shop.example/i.png",
                "prompts": web["prompts"],
            }
            again = browser.get("/v2/web/config", params=asked, headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert answer.headers["access-control-allow-origin"] == "*"
            older = app.device.get("/v1/web/config").json()
            assert older == {
                "publicKey": shown["vapid_public_key"],
                "iconUrl": "https://shop.example/i.png",
                "prompts": web["prompts"],
                "safariPushId": None,
            }
            api.post(f"/manage/v1/apps/{app.id}/rotate-keys", json={"secret_key": True}).raise_for_status()
            assert browser.get("/v2/web/config", params=asked).json()["keys"]["secretKey"] != app.secret_key
            assert browser.get("/v1/web/config").status_code == 401
        assert browser.get("/v2/web/config", params={"tenantId": 2**31 - 1}).status_code == 404
        assert browser.get("/v2/web/config", params={"tenantId": "x"}).status_code == 400


def test_management_shows_installs_and_errors(
    app: AppClient, api: httpx.Client, scope: Scope, neighbour_api: httpx.Client
) -> None:
    home = f"/manage/v1/apps/{app.id}"
    for number in (1, 2):
        body = {"token": f"shown-{number}", "type": 5, "userId": f"Shown-{number}"}
        app.device.post(path(f"shown-{number}"), json=body).raise_for_status()
    listed = api.get(f"{home}/installs", params={"customer_id": "SHOWN-2"})
    assert [install["install_id"] for install in listed.json()] == ["shown-2"]
    assert listed.headers["x-total-count"] == "1"
    assert "token" not in listed.json()[0]
    newest = api.get(f"{home}/installs", params={"limit": 2}).json()
    assert [install["install_id"] for install in newest] == ["shown-2", "shown-1"]
    shown = api.get(f"{home}/installs/shown-1").json()
    assert (shown["push_service"], shown["token"], shown["customer_id"]) == ("hms", "shown-1", "Shown-1")
    install = stored(app, "shown-1")
    for status in (500, 404):
        note_refusals(scope, [Refusal(device_of(install), "hms", status, f"reason {status}")])
    note_refusals(scope, [Refusal(device_of(stored(app, "shown-2")), "hms", 0, "no answer")])
    errors = api.get(f"{home}/push-errors", params={"install_id": "shown-1"}).json()
    assert [(error["status"], error["reason"], error["customer_id"]) for error in errors] == [
        (404, "reason 404", "Shown-1"),
        (500, "reason 500", "Shown-1"),
    ]
    assert len(api.get(f"{home}/push-errors").json()) == 3
    for call in ("installs", "installs/shown-1", "push-errors"):
        assert api.get(f"/manage/v1/apps/999/{call}").status_code == 404
    theirs = neighbour_api.post("/manage/v1/apps", json={"name": f"Other {uuid.uuid4()}"}).json()["id"]
    other = f"/manage/v1/apps/{theirs}"
    assert neighbour_api.get(f"{other}/installs", params={"customer_id": "Shown-2"}).json() == []
    assert neighbour_api.get(f"{other}/installs/shown-2").status_code == 404
    assert neighbour_api.delete(f"{other}/installs/shown-2").status_code == 404
    assert neighbour_api.get(f"{other}/push-errors").json() == []
    assert api.delete(f"{home}/installs/shown-1").status_code == 204
    assert api.delete(f"{home}/installs/shown-1").status_code == 404
    assert app.install("shown-1") is None


def test_old_errors_and_keys_of_events_go(app: AppClient, scope: Scope) -> None:
    app.tell("kept", "k.fg")
    note_refusals(scope, [Refusal(device_of(stored(app, "kept")), "fcm", 500, "old")])

    def counts() -> list[int]:
        tables = ("device_event_keys", "provider_errors")
        sql = "SELECT count(*) FROM {} WHERE tenant_id = :tenant"
        with scope.reads() as session:
            return [session.scalar(text(sql.format(table)), {"tenant": scope.tenant_id}) or 0 for table in tables]

    before, now = counts(), datetime.now(UTC)
    for days, left in ((29, before), (32, [0, 0])):
        with scope.records() as session:
            for table in ("device_event_keys", "provider_errors"):
                drop_old(session, table, "(0,0)", "(100000,0)", now + timedelta(days=days))
        assert counts() == left
    assert min(before) > 0


def test_identifying_data_goes_and_the_install_stays(app: AppClient, scope: Scope, api: httpx.Client) -> None:
    app.device.post(path("anonymised"), json={"token": "pii-1", "type": 2, "userId": "Pii-1"}).raise_for_status()
    body = {"CustomerID": "Pii-1", "Attributes": []}
    assert api.put("/current/customers/UpsertCustomer", json=body).status_code == 200
    answer = api.post("/current/customers/RemoveCustomerPII", json={"CustomerIDs": ["Pii-1"]})
    assert answer.status_code == 200, answer.text
    assert (stored(app, "anonymised").token, stored(app, "anonymised").customer_id) == (None, "Pii-1")
