"""Push messages of campaigns and firings: a template and its details, outcomes, retries, and tests by hand."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import apns_server
import httpx
import push_services
import pytest
from apns_server import ApnsServer
from asked_firings import campaign, fire, firing
from campaign_tenant import DATA_DATE, NOW, TODAY, add_action, add_group, add_series, group, outcomes, publish
from gateway_server import eventually
from push_tenant import ACCOUNTS, PUSH, add_app, add_install
from sqlalchemy import select, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.apps.states import TokenType
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import occurrence, plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels import service as channels
from rapport.channels.models import Channel
from rapport.channels.push import numbers
from rapport.delivery import pacing
from rapport.delivery.models import OutboxMessage
from rapport.messaging import templates
from rapport.realtime.matching import releasing
from rapport.realtime.sending import Sender

TEMPLATE = {
    "id": 7,
    "name": "Sale",
    "subject": "Hello [%FIRST_NAME:you%]",
    "text": "Only today, [%FIRST_NAME:you%]",
    "details": {
        "url": "https://shop.example/[%CUSTOMER_ID%]",
        "data": {"sku": 5, "for": "[%FIRST_NAME%]"},
        "badge": {"inc": 1},
        "buttons": [{"id": "buy", "text": "Buy, [%FIRST_NAME%]"}],
        "collapse_key": "sale",
    },
}
CUSTOMERS = {"A": "aa01", "B": "bb01", "C": None, "dead": "dead01", "late": "1a7e"}


@pytest.fixture(scope="module")
def apns(scope: Scope) -> Iterator[ApnsServer]:
    present = scope.stores.settings.apns_url
    with apns_server.serving() as server:
        scope.stores.settings.apns_url = server.url
        yield server
        scope.stores.settings.apns_url = present


@pytest.fixture(scope="module")
def app_id(scope: Scope) -> int:
    return add_app(scope)


@pytest.fixture(scope="module")
def tenant(scope: Scope, api: httpx.Client, apns: ApnsServer, app_id: int) -> Scope:
    with scope.records() as session:
        settings = {"campaigns": {"retry_delays": [0], "messages_per_day": 99}}
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=settings))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    names = ["data_date", "customer_id", "COUNTRY", "FIRST_NAME", "ALLOW_PUSH"]
    rows = [[DATA_DATE, who, "NL", f"Name of {who}", "No" if who == "B" else "Yes"] for who in CUSTOMERS]
    scope.warehouse.insert("profiles", names, rows)
    publish(scope)
    for who, token in CUSTOMERS.items():
        add_install(scope, app_id, who, token, badge=3)
    body = {"name": "Push", "kind": "push", "settings": {**ACCOUNTS, "app_id": app_id}}
    made = api.post("/manage/v1/channels", json=body)
    assert made.status_code == 201, made.text
    shown = made.json()
    assert (shown["id"], shown["permission_attribute"]) == (PUSH, "ALLOW_PUSH")
    secrets = {shown["settings"][name] for name in ("apns_key", "fcm_service_account", "hms_app_secret")}
    assert secrets == {"********"}
    saved = api.post(f"/manage/v1/channels/{PUSH}/templates", json=TEMPLATE)
    assert saved.status_code == 201, saved.text
    return scope


def test_a_campaign_reaches_the_devices_of_its_customers(tenant: Scope, apns: ApnsServer, app_id: int) -> None:
    refusals = [(503, {}, "ServiceUnavailable")]

    def answer(taken: apns_server.Taken) -> Any:
        if taken.token == "1a7e" and refusals:
            return refusals.pop()
        return (410, {}, "Unregistered") if taken.token == "dead01" else apns_server.OK

    apns.answer = answer
    apns.taken.clear()
    add_group(tenant, "Dutch", "NL")
    action = add_action(tenant).id
    series = add_series(tenant, 1, [group(action, (PUSH, 7))], rules={"include_all": True}, control_share=0)
    number = plan_next_run(tenant, series.id, TODAY)
    processing.prepare_members(tenant, number, DATA_DATE)
    assert processing.process(tenant, number, DATA_DATE) == "scheduled"
    tenant.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(tenant)
    assert outcomes(tenant, number) == [
        ("A", PUSH, "sent", ""),
        ("B", PUSH, "suppressed", "no permission"),
        ("C", PUSH, "no address", "no reachable device"),
        ("dead", PUSH, "failed", "APNs answered 410 Unregistered"),
        ("late", PUSH, "sent", ""),
    ]
    by_token = apns.by_token()
    assert {token: len(taken) for token, taken in by_token.items()} == {"aa01": 1, "dead01": 1, "1a7e": 2}
    (taken,) = by_token["aa01"]
    mark = taken.payload["custom"]["a"].pop("k.message")
    assert taken.payload == {
        "aps": {
            "alert": {"title": "Hello Name of A", "body": "Only today, Name of A"},
            "mutable-content": 1,
            "badge": 4,
        },
        "custom": {
            "u": "https://shop.example/A",
            "a": {
                "sku": 5,
                "for": "Name of A",
                "k.buttons": [{"id": "buy", "text": "Buy, Name of A"}],
                "badge_inc": 1,
            },
            "badge_inc": 1,
        },
    }
    assert taken.headers["apns-collapse-id"] == "sale"
    origin = numbers.origins_of(tenant, {mark["data"]["id"]})[mark["data"]["id"]]
    assert (mark["type"], origin.campaign_id, origin.channel_id, origin.template_id) == (1, number, PUSH, 7)


def google(request: push_services.Request) -> push_services.Reply:
    if request.path == "/token":
        return 200, {}, {"access_token": "g-1", "expires_in": 3600}
    return 200, {}, {"name": "projects/shop-1/messages/1"}


def due_run(tenant: Scope, name: str, devices: list[tuple[str, str, TokenType]]) -> int:
    """A run that is due to customers with these devices, by a channel and an app of its own."""
    app_id = add_app(tenant, name)
    channel = channels.create_channel(tenant, name, "push", settings={**ACCOUNTS, "app_id": app_id})
    template = templates.create_template(tenant, channel.id, "Hello", "Hi", "", "There").id
    for who, token, kind in devices:
        add_install(tenant, app_id, who, token, kind)
    places = [group(add_action(tenant, name).id, (channel.id, template))]
    rules = {"include_all": True}
    series = add_series(tenant, add_group(tenant, name, "NL"), places, rules=rules, control_share=0)
    tenant.clock.set(NOW)
    number = plan_next_run(tenant, series.id, TODAY)
    processing.prepare_members(tenant, number, DATA_DATE)
    processing.process(tenant, number, DATA_DATE)
    tenant.clock.set(NOW + timedelta(hours=1))
    return number


def under_way(tenant: Scope, number: int) -> dict[str, tuple[str, str]]:
    """How the messages of a run stand."""
    row = OutboxMessage
    query = select(row.customer_id, row.state, row.reason)
    with tenant.reads() as session:
        rows = session.execute(query.where(row.tenant_id == tenant.tenant_id, row.source_id == number)).all()
    return {who: (state, reason) for who, state, reason in rows}


AWAY = ("pending", "APNs cannot be reached")


def test_a_provider_that_is_away_holds_up_no_other(tenant: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tenant.stores.settings
    monkeypatch.setattr(pacing, "FIRST_WAIT", 0.05)
    with apns_server.serving() as closed:
        port = closed.port
    apple, android = TokenType.APNS, TokenType.FCM
    devices = [("A", "aa11", apple), ("C", "g-c", android), ("dead", "dd11", apple), ("dead", "g-dead", android)]
    number = due_run(tenant, "With a provider that is away", devices)
    with push_services.serving(google) as fcm, ThreadPoolExecutor() as thread:
        monkeypatch.setattr(settings, "apns_url", f"http://127.0.0.1:{port}")
        monkeypatch.setattr(settings, "fcm_url", fcm.url)
        monkeypatch.setattr(settings, "fcm_token_url", f"{fcm.url}/token")
        run = thread.submit(tasks.execute_due, tenant)
        wanted = {"A": AWAY, "C": ("sent", ""), "dead": ("sent", "")}
        eventually(lambda: under_way(tenant, number) == wanted)
        tokens = [each.json()["message"]["token"] for each in fcm.requests if each.path != "/token"]
        assert sorted(tokens) == ["g-c", "g-dead"] and occurrence(tenant, number).state == "executing"
        with apns_server.serving(port=port) as back:
            run.result(60)
    assert [taken.token for taken in back.taken if taken.token == "aa11"] == ["aa11"]
    told = {row[0]: row[2] for row in outcomes(tenant, number)}
    assert told == {"A": "sent", "B": "suppressed", "C": "sent", "dead": "sent", "late": "no address"}


def test_what_waits_for_a_provider_too_long_fails(tenant: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(tenant.stores.settings, "apns_url", "http://127.0.0.1:9")
    number = due_run(tenant, "With a provider that is gone", [("A", "aa21", TokenType.APNS)])
    with ThreadPoolExecutor() as thread:
        run = thread.submit(tasks.execute_due, tenant)
        eventually(lambda: under_way(tenant, number) == {"A": AWAY})
        tenant.clock.set(NOW + timedelta(hours=14))
        run.result(60)
    told = {row[0]: row[2:] for row in outcomes(tenant, number)}
    assert told["A"] == ("failed", "Not sent: it could be sent only more than 12 hours late.")


def test_a_firing_reaches_the_devices_at_once(tenant: Scope, apns: ApnsServer) -> None:
    apns.answer = lambda taken: apns_server.OK
    apns.taken.clear()
    day = campaign(tenant, places=[{"channel_id": PUSH, "template_id": 7}])
    made = fire(tenant, day, "A", "C")
    sender = Sender(tenant.stores)
    sender.start()
    try:
        with tenant.records() as session:
            releasing.release(tenant, session, made)
        eventually(lambda: all(firing(tenant, one).state == "done" for one in made))
    finally:
        sender.stop()
    ended = [(one.outcome, one.reason) for one in (firing(tenant, number) for number in made)]
    assert ended == [("sent", ""), ("no address", "no reachable device")]
    (taken,) = apns.taken
    mark = taken.payload["custom"]["a"]["k.message"]["data"]["id"]
    assert numbers.origins_of(tenant, {mark})[mark].campaign_id == day.id


def test_a_message_can_be_tried_on_a_customer(tenant: Scope, apns: ApnsServer, api: httpx.Client) -> None:
    apns.answer = lambda taken: apns_server.OK
    apns.taken.clear()
    body = {"to": "late", "template_id": 7, "values": {"FIRST_NAME": "Kim"}}
    answer = api.post(f"/manage/v1/channels/{PUSH}/test-messages", json=body)
    assert answer.json().get("outcome") == "sent", answer.text
    assert apns.taken[0].payload["aps"]["alert"]["title"] == "Hello Kim"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"apns_key": "no key", "apns_key_id": "K", "apns_team_id": "T"}, "settings.apns_key must be the text"),
        ({"apns_key_id": "K"}, "settings.apns_key is needed to reach iOS devices."),
        ({"fcm_service_account": json.dumps({"project_id": "x"})}, "settings.fcm_service_account must be the JSON"),
        ({"hms_app_id": "1"}, "settings.hms_app_secret is needed to reach devices of Huawei."),
        ({"app_id": 99}, "settings.app_id must be an app of the tenant, and there is no app 99."),
        ({"contact": "someone"}, "settings.contact"),
    ],
)
def test_accounts_that_are_not_whole_are_refused(
    api: httpx.Client, tenant: Scope, settings: dict[str, Any], words: str
) -> None:
    answer = api.post("/manage/v1/channels", json={"name": "Other", "kind": "push", "settings": settings})
    assert answer.status_code == 400 and words in answer.json()["detail"], answer.text


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({"text": ""}, "A push template needs a text, or details.background"),
        ({"text": "x", "html": "<p>x</p>"}, "A push template has a title (subject) and a text, and no html."),
        ({"text": "x", "details": {"url": "javascript:x"}}, "details.url"),
        ({"text": "x", "details": {"data": {"k.message": 1}}}, "details.data"),
    ],
)
def test_templates_that_no_device_can_show_are_refused(
    api: httpx.Client, tenant: Scope, template: dict[str, Any], words: str
) -> None:
    answer = api.post(f"/manage/v1/channels/{PUSH}/templates", json={"name": "Other", **template})
    assert answer.status_code == 400 and words in answer.json()["detail"], answer.text


def test_secrets_stay_where_they_are_given_masked(api: httpx.Client, tenant: Scope) -> None:
    shown = api.get(f"/manage/v1/channels/{PUSH}").json()["settings"]
    kept = api.patch(f"/manage/v1/channels/{PUSH}", json={"settings": {**shown, "timeout_seconds": 5}})
    assert kept.status_code == 200, kept.text
    with tenant.records() as session:
        assert session.get_one(Channel, (tenant.tenant_id, PUSH)).settings["apns_key"] == ACCOUNTS["apns_key"]
