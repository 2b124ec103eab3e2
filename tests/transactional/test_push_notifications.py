"""Push messages that servers of a company send: accepted, scheduled, canceled, killed in between, and reported."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apprise
import httpx
import pytest
from apprise.plugins.kumulos import NotifyKumulos
from gateway_server import eventually
from sqlalchemy import select, update

sys.path.append(str(Path(__file__).parents[1] / "channels"))

import apns_server
from apns_server import ApnsServer
from push_tenant import add_channel, add_install

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.apps import definitions
from rapport.apps.definitions import MadeApp
from rapport.apps.models import Install
from rapport.audiences import groups
from rapport.channels import service as channels
from rapport.delivery.models import OutboxMessage
from rapport.messaging import templates
from rapport.stores import Stores
from rapport.transactional.models import PushNotification, PushRecipient
from rapport.transactional.pushes import erasure
from rapport.transactional.pushes.messages import PushSender

CONTENT = {"title": "Order shipped", "message": "It is on its way"}


@pytest.fixture(scope="module")
def apns(stores: Stores) -> Iterator[ApnsServer]:
    present = stores.settings.apns_url
    with apns_server.serving() as server:
        stores.settings.apns_url = server.url
        yield server
        stores.settings.apns_url = present


@pytest.fixture(scope="module")
def made(scope: Scope) -> MadeApp:
    app = definitions.create_app(scope, "Shop", {}, for_web=False)
    add_channel(scope)
    for who, token in {"Ann": "aa01", "Bob": "bb01", "Cid": None}.items():
        add_install(scope, app.app.id, who, token, install_id=f"i-{who}", time_zone="Asia/Tokyo")
    add_install(scope, app.app.id, None, "cc01", install_id="i-nobody", time_zone="America/New_York")
    return app


def client_of(base_url: str, app: MadeApp) -> httpx.Client:
    return httpx.Client(base_url=base_url, auth=(app.app.api_key, app.server_key or ""), timeout=60)


@pytest.fixture(scope="module")
def client(base_url: str, made: MadeApp) -> Iterator[httpx.Client]:
    with client_of(base_url, made) as opened:
        yield opened


@pytest.fixture(scope="module")
def sender(stores: Stores, apns: ApnsServer, made: MadeApp) -> Iterator[PushSender]:
    running = PushSender(stores)
    running.start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def nothing_taken(apns: ApnsServer) -> None:
    apns.taken.clear()


def recipients(scope: Scope, number: int) -> dict[str, PushRecipient]:
    with scope.records() as session:
        rows = session.scalars(select(PushRecipient).where(PushRecipient.notification_id == number))
        return {row.customer_id or row.install_id: row for row in rows}


def ended(scope: Scope, number: int) -> dict[str, tuple[str, str]]:
    eventually(lambda: all(row.ended_at for row in recipients(scope, number).values()))
    return {who: (row.state, row.reason) for who, row in recipients(scope, number).items()}


def asked(client: httpx.Client, target: dict[str, Any], **more: Any) -> int:
    answer = client.post("/v2/notifications", json={"target": target, "content": CONTENT, **more})
    assert answer.status_code == 202, answer.text
    return int(answer.json()["notification"]["id"])


def test_customers_get_it_on_their_devices(
    client: httpx.Client, sender: PushSender, scope: Scope, apns: ApnsServer, base_url: str, made: MadeApp
) -> None:
    more = {"url": "https://shop.example/1", "data": {"order": 5}, "runBackgroundHandler": True}
    number = asked(client, {"broadcast": False, "userIds": ["ann", "Bob", "Cid", "Dan"]}, **more)
    assert ended(scope, number) == {"ann": ("sent", ""), "Bob": ("sent", "")}
    payload = apns.by_token()["aa01"][0].payload
    mark = payload["custom"]["a"].pop("k.message")["data"]["id"]
    assert payload == {
        "aps": {
            "alert": {"title": "Order shipped", "body": "It is on its way"},
            "mutable-content": 1,
            "content-available": 1,
        },
        "custom": {"u": "https://shop.example/1", "a": {"order": 5}},
    }
    assert sorted(apns.by_token()) == ["aa01", "bb01"]
    device = (made.app.api_key, made.secret_key or "")
    assert httpx.post(f"{base_url}/v1/app-installs/i-Ann/opens", json={"id": mark}, auth=device).status_code == 204
    rows = recipients(scope, number)
    assert rows["ann"].opened_at is not None and rows["Bob"].opened_at is None


def test_installs_and_everybody(client: httpx.Client, sender: PushSender, scope: Scope, apns: ApnsServer) -> None:
    number = asked(client, {"installIds": ["i-nobody", "i-none"]})
    assert ended(scope, number) == {"i-nobody": ("sent", "")}
    everybody = asked(client, {"broadcast": True, "excludeInstallIds": ["i-Bob"]})
    assert ended(scope, everybody) == {"Ann": ("sent", ""), "i-nobody": ("sent", "")}
    assert Counter(taken.token for taken in apns.taken) == {"cc01": 2, "aa01": 1}


def test_a_template_says_what_the_request_does_not(
    client: httpx.Client, sender: PushSender, scope: Scope, apns: ApnsServer
) -> None:
    channel = next(one for one in channels.channels(scope) if one.kind == "push")
    details = {"url": "https://shop.example/of/[%CUSTOMER_ID%]", "data": {"list": "sale", "order": 1}, "sound": "ping"}
    texts = ("Hello [%FIRST_NAME:there%]", "", "Only [%CITY%]today")
    template = templates.create_template(scope, channel.id, "Sale now", *texts, details=details)
    by_name = client.post("/v2/notifications", json={"target": {"userIds": ["Ann"]}, "templateId": "Sale now"})
    assert by_name.status_code == 202, by_name.text
    assert ended(scope, by_name.json()["notification"]["id"]) == {"Ann": ("sent", "")}
    over = {"content": {"message": "Until midnight"}, "data": {"order": 5}, "templateId": template.id}
    over |= {"target": {"userIds": ["Bob"]}}
    assert ended(scope, client.post("/v2/notifications", json=over).json()["notification"]["id"]) == {
        "Bob": ("sent", "")
    }
    shown = {token: taken[0].payload for token, taken in apns.by_token().items()}
    assert [shown[token]["aps"]["alert"] for token in ("aa01", "bb01")] == [
        {"title": "Hello there", "body": "Only today"},
        {"title": "Hello there", "body": "Until midnight"},
    ]
    assert [shown[token]["custom"]["u"] for token in ("aa01", "bb01")] == [
        "https://shop.example/of/Ann",
        "https://shop.example/of/Bob",
    ]
    assert [shown[token]["custom"]["a"]["order"] for token in ("aa01", "bb01")] == [1, 5]
    later = {"target": {"userIds": ["Ann"]}, "templateId": template.id, "schedule": {"sendAt": "2099-01-01 00:00"}}
    number = client.post("/v2/notifications", json=later).json()["notification"]["id"]
    templates.delete_template(scope, channel.id, template.id)
    with scope.records() as session:
        mine = OutboxMessage.tenant_id == scope.tenant_id
        session.execute(update(OutboxMessage).where(mine).values(due_at=datetime.now(UTC)))
    sender.wake()
    assert ended(scope, number) == {"Ann": ("failed", "the template is gone")}


def test_a_segment_is_a_target_group(client: httpx.Client, sender: PushSender, scope: Scope) -> None:
    today = scope.today()
    rows = [[today, who, "NL" if who in ("Ann", "Cid") else "BE"] for who in ("Ann", "Bob", "Cid")]
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "COUNTRY"], rows)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=today))
    condition = {"attribute": "COUNTRY", "operator": "equals", "value": "NL"}
    group = groups.create_target_group(scope, "Dutch", condition)
    for name, value in (("segment", "Dutch"), ("segmentId", group.id), ("segmentUuid", str(group.id))):
        assert ended(scope, asked(client, {name: value})) == {"Ann": ("sent", "")}
    answer = client.post(
        "/v2/notifications", json={"target": {"segment": "Dutch", "excludeInstallIds": ["i-Ann"]}, "content": CONTENT}
    )
    assert (answer.status_code, "None of the targeted users" in answer.text) == (400, True)


def test_the_older_flat_form(client: httpx.Client, sender: PushSender, scope: Scope) -> None:
    answer = client.post("/notifications", json={"userIds": ["Ann"], **CONTENT, "isBackground": False})
    assert answer.status_code == 202
    assert ended(scope, answer.json()["notification"]["id"]) == {"Ann": ("sent", "")}


def test_what_is_scheduled_waits_and_can_be_canceled(
    client: httpx.Client, sender: PushSender, scope: Scope, apns: ApnsServer
) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=2)).replace(second=0, microsecond=0)
    schedule = {"sendAt": f"{soon:%Y-%m-%d %H:%M}", "strategy": "utc", "pastTimes": "ignore"}
    number = asked(client, {"userIds": ["Ann"]}, scheduled=True, schedule=schedule)
    mine = OutboxMessage.tenant_id == scope.tenant_id
    with scope.records() as session:
        waiting = session.scalars(select(OutboxMessage).where(mine, OutboxMessage.due_at > datetime.now(UTC))).all()
    assert [message.due_at for message in waiting] == [soon]
    assert client.delete(f"/v2/notifications/{number}").status_code == 204
    assert ended(scope, number) == {"Ann": ("skipped", "canceled")}
    assert client.delete(f"/v2/notifications/{number}").status_code == 409
    assert client.delete("/v2/notifications/999999").status_code == 404
    assert apns.taken == []


def test_a_local_time_comes_in_each_zone(client: httpx.Client, sender: PushSender, scope: Scope) -> None:
    """At a time that has passed in Tokyo and not in New York."""
    in_new_york = datetime.now(UTC) - timedelta(hours=2)
    schedule = {"sendAt": in_new_york.strftime("%Y-%m-%dT%H:%M"), "strategy": "local", "pastTimes": "ignore"}
    number = asked(client, {"broadcast": True}, schedule=schedule)
    rows = recipients(scope, number)
    assert (rows["Ann"].state, rows["Ann"].reason) == ("skipped", "the time had passed in the zone of the device")
    assert rows["i-nobody"].state == "pending"
    assert client.delete(f"/v2/notifications/{number}").status_code == 204


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"target": {"userIds": ["Ann"]}}, 422, "content is required"),
        ({"target": {"userIds": ["Ann"]}, "content": {"title": "x"}}, 422, "content.message is required"),
        ({"content": CONTENT}, 422, "target is required"),
        ({"target": {}, "content": CONTENT}, 422, "target must have exactly one"),
        ({"target": {"userIds": ["Ann"], "broadcast": True}, "content": CONTENT}, 422, "target must have exactly one"),
        ({"target": {"channels": ["x"]}, "content": CONTENT}, 422, "target.channels is not supported"),
        (
            {"target": {"segment": "Nobody"}, "content": CONTENT},
            422,
            "target.segment: there is no target group 'Nobody'",
        ),
        ({"target": {"segmentId": [1]}, "content": CONTENT}, 422, "segmentId must be an ID or a name"),
        ({"target": {"segment": 1, "userIds": ["Ann"]}, "content": CONTENT}, 422, "target must have exactly one"),
        ({"target": {"userIds": ["Ann"]}, "templateId": "none"}, 422, "has no template 'none'"),
        ({"target": {"userIds": ["Ann"]}, "templateId": 7, "content": {"title": 5}}, 422, "content.title"),
        ({"target": {"userIds": [True]}, "content": CONTENT}, 422, "target.userIds must be a list of texts"),
        ({"target": {"userIds": ["x"] * 1001}, "content": CONTENT}, 422, "at most 1000"),
        ({"target": {"userIds": ["Ann"]}, "content": CONTENT, "url": "javascript:x"}, 422, "url"),
        ({"target": {"userIds": ["Ann"]}, "content": CONTENT, "data": {"k.message": 1}}, 422, "data"),
        ({"target": {"userIds": ["Ann"]}, "content": CONTENT, "scheduled": True}, 422, "schedule is required"),
        (
            {"target": {"userIds": ["Ann"]}, "content": CONTENT, "schedule": {"sendAt": "soon"}},
            422,
            "schedule.sendAt must be a time",
        ),
        (
            {"target": {"userIds": ["Ann"]}, "content": CONTENT, "schedule": {"sendAt": "2020-01-01 00:00"}},
            422,
            "schedule.sendAt has passed",
        ),
        ({"target": {"userIds": ["Cid", "Dan"]}, "content": CONTENT}, 400, "None of the targeted users"),
        ([], 422, "The body must be a JSON object"),
    ],
)
def test_what_cannot_be_sent_is_refused_whole(
    client: httpx.Client, scope: Scope, body: Any, status: int, words: str
) -> None:
    with scope.records() as session:
        before = len(session.scalars(select(PushNotification.id)).all())
    answer = client.post("/v2/notifications", json=body)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    with scope.records() as session:
        assert len(session.scalars(select(PushNotification.id)).all()) == before


def test_the_server_key_alone_opens_it(base_url: str, made: MadeApp, client: httpx.Client, stores: Stores) -> None:
    body = {"target": {"userIds": ["Ann"]}, "content": CONTENT}
    for auth in [(made.app.api_key, made.secret_key or ""), (made.app.api_key, "x" * 36), None]:
        assert httpx.post(f"{base_url}/v2/notifications", json=body, auth=auth).status_code == 401
    number = asked(client, body["target"], schedule={"sendAt": "2099-01-01 00:00"})
    other = create_tenant(stores, f"Other {time.time_ns()}", "UTC")
    theirs = definitions.create_app(other, "Other", {}, for_web=False)
    with client_of(base_url, theirs) as elsewhere:
        assert elsewhere.delete(f"/v2/notifications/{number}").status_code == 404
        assert elsewhere.post("/v2/notifications", json=body).status_code == 422, "no channel serves the app"
    assert client.delete(f"/v2/notifications/{number}").status_code == 204


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("status", "pleased"), [(200, True), (202, False)])
def test_apprise_sends_and_is_pleased_where_the_channel_says_200(
    client: httpx.Client,
    sender: PushSender,
    scope: Scope,
    apns: ApnsServer,
    base_url: str,
    made: MadeApp,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    pleased: bool,
) -> None:
    channel = next(one for one in channels.channels(scope) if one.kind == "push")
    channels.update_channel(scope, channel.id, settings={**channel.settings, "accept_status": status})
    monkeypatch.setattr(NotifyKumulos, "notify_url", f"{base_url}/v2/notifications")
    try:
        caller = apprise.Apprise()
        assert caller.add(f"kumulos://{made.app.api_key}/{made.server_key}/")
        assert bool(caller.notify(title="Hello", body="From apprise")) is pleased
    finally:
        channels.update_channel(scope, channel.id, settings=channel.settings)
    eventually(lambda: len(apns.taken) == 3)
    assert {taken.payload["aps"]["alert"]["body"] for taken in apns.taken} == {"From apprise"}


def test_an_erased_person_is_taken_out(client: httpx.Client, scope: Scope, sender: PushSender, made: MadeApp) -> None:
    eve = add_install(scope, made.app.id, "Eve", "ee01")
    number = asked(client, {"userIds": ["Eve"]}, schedule={"sendAt": "2099-01-01 00:00"})
    assert list(recipients(scope, number)) == ["Eve"]
    assert erasure.forget_customer(scope, "eve") == 1
    assert recipients(scope, number) == {}
    with scope.records() as session:
        assert session.get_one(PushNotification, number).content == ""
        session.delete(session.get_one(Install, (scope.tenant_id, made.app.id, eve)))


def test_one_install_gets_a_test_push(scope: Scope, api: httpx.Client, made: MadeApp, apns: ApnsServer) -> None:
    path = f"/manage/v1/apps/{made.app.id}/installs"
    sent = api.post(f"{path}/i-nobody/test-push", json={"title": "Hello", "message": "It works"})
    assert (sent.status_code, sent.json()["outcome"]) == (200, "sent")
    [taken] = apns.taken
    assert taken.token == "cc01"
    assert taken.payload["aps"]["alert"] == {"title": "Hello", "body": "It works"}
    without = api.post(f"{path}/i-Cid/test-push", json={}).json()
    assert (without["outcome"] != "sent", without["reason"]) == (True, "no device")
    assert api.post(f"{path}/nothing/test-push", json={}).status_code == 404
    assert len(apns.taken) == 1
