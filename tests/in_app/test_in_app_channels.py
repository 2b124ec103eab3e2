"""Campaigns, triggered campaigns and tests on in-app channels: what is stored for whom, and for whom nothing is."""

from datetime import timedelta

import httpx
import pytest
from asked_firings import campaign, fire, firing
from campaign_tenant import (
    DATA_DATE,
    NOW,
    TODAY,
    add_action,
    add_group,
    add_profiles,
    add_series,
    group,
    outcomes,
    publish,
)
from campaign_tenant import customer as profile
from gateway_server import eventually
from in_app_world import CHANNEL, DETAILS, World, installed, world

from rapport.access.scope import Scope
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels import opening
from rapport.channels import service as channels
from rapport.channels.messages import Message, Origin
from rapport.in_app.personal import messages_of
from rapport.realtime.matching import releasing
from rapport.realtime.sending import Sender


@pytest.fixture(scope="module")
def shop(scope: Scope) -> World:
    """Customers 1 and 2 have the app and said yes, 3 said no, 4 said nothing, 5 has no app."""
    scope.clock.set(NOW)
    shop = world(scope)
    add_profiles(scope, [profile(number, FIRST_NAME=f"Name {number}") for number in range(1, 6)])
    publish(scope)
    for number, consent in ((1, True), (2, True), (3, False), (4, None)):
        installed(shop, f"C{number:05d}", consent=consent)
    installed(shop, "C00002", consent=False)
    return shop


def test_a_campaign_is_stored_for_those_who_agreed(shop: World) -> None:
    scope = shop.scope
    target = add_group(scope, "Dutch", "NL")
    series = add_series(
        scope, target, [group(add_action(scope).id, (CHANNEL, 1))], rules={"include_all": True}, control_share=0
    )
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    scope.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(scope)
    assert outcomes(scope, number) == [
        ("C00001", CHANNEL, "sent", "stored"),
        ("C00002", CHANNEL, "sent", "stored"),
        ("C00003", CHANNEL, "no address", "no reachable device"),
        ("C00004", CHANNEL, "no address", "no reachable device"),
        ("C00005", CHANNEL, "no address", "no reachable device"),
    ]
    [message] = [each for each in messages_of(scope, "C00001") if each.campaign_id == number]
    assert (message.content["title"], message.inbox) == (
        "Hi Name 1",
        {"title": "Dear Name 1", "subtitle": "News", "image_path": "", "from": "2026-01-01T00:00:00Z"},
    )
    assert (message.presented_when, message.badge, message.data) == ("next-open", {"inc": 1}, {"sku": "none"})
    assert message.expires_at == message.sent_at + timedelta(days=7)
    assert (message.campaign_id, message.template_id, message.channel_id) == (number, 1, CHANNEL)
    assert not [each for each in messages_of(scope, "C00003") if each.campaign_id == number]


def test_a_triggered_campaign_is_stored_at_once(shop: World) -> None:
    day = campaign(shop.scope, places=[{"channel_id": CHANNEL, "template_id": 1}])
    firings = fire(shop.scope, day, "C00002", "C00005")
    sender = Sender(shop.scope.stores)
    sender.start()
    try:
        with shop.scope.records() as session:
            releasing.release(shop.scope, session, firings)
        eventually(lambda: all(firing(shop.scope, number).state == "done" for number in firings))
    finally:
        sender.stop()
    assert [firing(shop.scope, number).outcome for number in firings] == ["sent", "no address"]
    assert messages_of(shop.scope, "C00002")[-1].campaign_id == day.id


def test_what_is_sent_again_after_a_kill_is_stored_once(shop: World) -> None:
    """A process that was killed between storing and its receipt sends the same messages again under their ids."""
    channel = channels.channel(shop.scope, CHANNEL)
    origin = Origin(CHANNEL, template_id=1)
    messages = [
        Message(f"again-{name}", name, name, details=DETAILS, origin=origin) for name in ("C00001", "C00002", "C00003")
    ]
    transport = opening.transport(shop.scope, channel)
    first = [receipt.outcome for receipt in transport.send(messages)]
    before = [message.id for message in messages_of(shop.scope, "C00001")]
    assert [receipt.outcome for receipt in opening.transport(shop.scope, channel).send(messages)] == first
    assert sorted(first) == ["sent", "sent", "suppressed"]
    assert [message.id for message in messages_of(shop.scope, "C00001")] == before


def test_values_that_make_no_message_fail_for_one_customer_alone(shop: World) -> None:
    transport = opening.transport(shop.scope, channels.channel(shop.scope, CHANNEL))
    faulty = {"inbox": {"title": ""}}
    receipts = {
        receipt.message_id: (receipt.outcome, receipt.reason, receipt.permanent)
        for receipt in transport.send(
            [
                Message("faulty", "C00001", "C00001", details=faulty),
                Message("fine", "C00001", "C00001", details=DETAILS),
            ]
        )
    }
    assert receipts == {
        "faulty": ("failed", "its values make no valid message", True),
        "fine": ("sent", "stored", False),
    }


def test_channels_and_templates_say_what_is_wrong_with_them(shop: World, api: httpx.Client) -> None:
    home = "/manage/v1/channels"
    unknown = api.post(home, json={"name": "Other", "kind": "in_app", "settings": {"app_id": 99}})
    assert (unknown.status_code, unknown.json()["detail"]) == (
        400,
        "settings.app_id must be an app of yours: there is no app 99.",
    )
    by_mail = api.post(home, json={"name": "Other", "kind": "in_app", "address_attribute": "EMAIL"})
    assert by_mail.status_code == 400 and "must be CUSTOMER_ID" in by_mail.json()["detail"]
    for details, words in [
        ({}, "An in-app template needs details.content, or details.inbox."),
        ({"presented_when": "later", "content": {"a": 1}}, "details.presented_when: must be"),
        ({"presented_when": "never", "content": {"a": 1}}, "details.inbox is required of a message that is never"),
        ({"surface": "session", "inbox": {"title": "T"}}, "details.inbox is for in-app messages"),
        ({"content": {"a": "[%NO_SUCH_ATTRIBUTE%]"}}, "NO_SUCH_ATTRIBUTE"),
        ({"content": {"a": 1}, "tickle": {"title": "T"}}, "details.tickle.message"),
    ]:
        answer = api.post(f"{home}/{CHANNEL}/templates", json={"name": "T", "details": details})
        assert answer.status_code == 400 and words in answer.json()["detail"], answer.text
    shown = api.get(f"{home}/{CHANNEL}/templates/1").json()["details"]
    assert shown["inbox"]["title"] == "Dear [%FIRST_NAME:customer%]"


def test_a_channel_may_do_without_consent_and_be_tried(shop: World, api: httpx.Client) -> None:
    body = {"name": "Service", "kind": "in_app", "settings": {"requires_consent": False, "app_id": shop.app.id}}
    made = api.post("/manage/v1/channels", json=body)
    assert made.status_code == 201, made.text
    home = f"/manage/v1/channels/{made.json()['id']}"
    assert api.post(f"{home}/templates", json={"id": 5, "name": "S", "details": DETAILS}).status_code == 201
    answer = api.post(f"{home}/test-messages", json={"to": "C00003", "template_id": 5, "values": {"FIRST_NAME": "Kim"}})
    assert answer.json()["outcome"] == "sent", answer.text
    [message] = messages_of(shop.scope, "C00003")
    assert (message.app_id, message.content["title"]) == (shop.app.id, "Hi Kim")
