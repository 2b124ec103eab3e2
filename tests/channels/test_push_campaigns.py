"""Push messages of campaigns and firings: a template and its details, outcomes, retries, and tests by hand."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import apns_server
import httpx
import pytest
from apns_server import ApnsServer
from asked_firings import campaign, fire, firing
from campaign_tenant import DATA_DATE, NOW, TODAY, add_action, add_group, add_series, group, outcomes, publish
from gateway_server import eventually
from push_tenant import ACCOUNTS, PUSH, add_app, add_install
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels.models import Channel
from rapport.channels.push import numbers
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
