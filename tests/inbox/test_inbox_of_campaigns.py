"""Messages of campaigns in inboxes: how they get there, how clients of either version read them, what is counted."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from campaign_tenant import (
    DATA_DATE,
    NOW,
    TODAY,
    add_action,
    add_group,
    add_profiles,
    add_series,
    customer,
    group,
    outcomes,
    publish,
)
from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.app import mail_event_sinks
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels import service as channels
from rapport.delivery.returns.recorder import record_all
from rapport.inbox.models import InboxMessage
from rapport.messaging import templates
from rapport.messaging.topics import brand_groups

DUE = NOW + timedelta(hours=1)
LATER = DUE + timedelta(minutes=30)
INBOX, PERSONS = 495, 8
GET, COUNT, REPORT = (
    "/api/v2/embedded-messages/get",
    "/api/v2/embedded-messages/get-unread-messages-count",
    "/api/v2/events/report",
)
LISTED, STATUS, METRICS = "/api/v1/messages", "/api/v1/messages/status", "/api/v1/messages/metrics"
OPENED, CLICKED, DELETED = 2, 3, 104
SENT_AT = "2026-03-10T08:30:00.000Z"
DETAILS = {
    "media": "/7/spring.png",
    "url": "https://shop.example/[%FIRST_NAME%]",
    "payload": {"kind": "offer", "for": "[%FIRST_NAME%]", "gone": None, "deep": [{"a": None, "b": 1}, None]},
    "layout_type": 3,
    "expires_after_hours": 48,
}


@pytest.fixture(scope="module")
def campaign(scope: Scope) -> int:
    """A campaign on an inbox channel to PERSONS customers, which has been sent."""
    scope.clock.set(NOW)
    add_profiles(scope, [customer(number, FIRST_NAME=f"N{number}") for number in range(PERSONS)])
    publish(scope)
    assert channels.create_channel(scope, "Site", "inbox").id == INBOX
    templates.save_template(scope, INBOX, "Offer", "Hi [%FIRST_NAME%]", text="20% off", id=1, details=DETAILS)
    series = add_series(
        scope,
        add_group(scope, "Dutch", "NL"),
        [group(add_action(scope).id, (INBOX, 1))],
        rules={"include_all": True},
        control_share=0,
    )
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    scope.clock.set(DUE)
    tasks.execute_due(scope)
    return number


@pytest.fixture(scope="module")
def brand(scope: Scope, campaign: int) -> str:
    return brand_groups.create_brand_group(scope, "Northwind", {495: [INBOX]}).id


@pytest.fixture(autouse=True)
def later(brand: str, scope: Scope) -> None:
    scope.clock.set(LATER)


@pytest.fixture(scope="module")
def client(base_url: str, scope: Scope, brand: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, params={"tenantId": scope.tenant_id, "brandId": brand}) as made:
        yield made


def name(number: int) -> str:
    return f"C{number:05d}"


def inbox(client: httpx.Client, number: int) -> list[dict[str, Any]]:
    answer = client.post(GET, params={"customerId": name(number)})
    assert answer.status_code == 200, answer.text
    messages: list[dict[str, Any]] = answer.json()["containers"].get("Inbox", [])
    return messages


def event(message: dict[str, Any], kind: str, **more: Any) -> dict[str, Any]:
    context = {"messageId": message["id"], "containerId": ""}
    told = {"timestamp": "2026-03-10T08:45:00.5Z", "uuid": f"{time.monotonic_ns()}", "context": context}
    return {"eventType": f"embedded-message.{kind}", "customerId": message["customerId"], **told, **more}


def report(client: httpx.Client, *events: dict[str, Any]) -> None:
    answer = client.post(REPORT, json=list(events))
    assert (answer.status_code, answer.content) == (204, b""), answer.text


def unread(client: httpx.Client, number: int) -> int:
    return int(client.get(COUNT, params={"CUSTOMERID": name(number)}).json()["unread_count"])


def interactions(scope: Scope, campaign: int, number: int) -> list[int]:
    record_all(scope.stores, mail_event_sinks(), timedelta(0))
    sql = """SELECT event_id FROM campaign_interactions WHERE campaign_id = {id:UInt32} AND customer_id = {who:String}
        AND template_id = 1 AND channel_id = 495 ORDER BY event_id"""
    return [int(code) for (code,) in scope.warehouse.rows(sql, id=campaign, who=name(number))]


def test_everybody_has_the_message_once(scope: Scope, campaign: int) -> None:
    assert [row[2] for row in outcomes(scope, campaign)] == ["sent"] * PERSONS
    with scope.records() as session:  # other tests delete some
        stored = session.scalars(select(InboxMessage.person).where(InboxMessage.tenant_id == scope.tenant_id))
        assert sorted(stored) == [name(number).lower() for number in range(PERSONS)]


def test_a_message_has_the_members_that_clients_insist_on_and_no_null(client: httpx.Client, campaign: int) -> None:
    (message,) = inbox(client, 0)
    assert message == {
        "id": message["id"],
        "customerId": "C00000",
        "isVisitor": False,
        "templateId": 1,
        "title": "Hi N0",
        "content": "20% off",
        "media": "/7/spring.png",
        "url": "https://shop.example/N0",
        "payload": {"kind": "offer", "for": "N0", "deep": [{"b": 1}]},
        "engagementId": str(campaign),
        "campaignKind": 2,
        "executionDateTime": SENT_AT,
        "messageLayoutType": 3,
        "expiryDate": "2026-03-12T08:30:00.000Z",
        "containerId": "Inbox",
        "createdAt": SENT_AT,
        "updatedAt": SENT_AT,
    }


def test_read_unread_and_clicked(scope: Scope, client: httpx.Client, campaign: int) -> None:
    (message,) = inbox(client, 1)
    assert unread(client, 1) == 1
    read = event(message, "read")
    report(client, read)
    assert inbox(client, 1)[0]["readAt"] == "2026-03-10T08:45:00.500Z"
    assert unread(client, 1) == 0
    report(client, event(message, "unread"))
    report(client, read)  # which was reported before: the message stays unread
    assert "readAt" not in inbox(client, 1)[0] and unread(client, 1) == 1
    assert interactions(scope, campaign, 1) == [OPENED]
    report(client, event(message, "clicked"))
    assert unread(client, 1) == 1
    assert interactions(scope, campaign, 1) == [OPENED, CLICKED]


def test_a_deleted_message_is_gone_and_does_not_come_back(scope: Scope, client: httpx.Client, campaign: int) -> None:
    (message,) = inbox(client, 2)
    report(client, event(message, "deleted"))
    assert inbox(client, 2) == [] and unread(client, 2) == 0
    assert interactions(scope, campaign, 2) == [DELETED]
    report(client, event(message, "read"))
    assert inbox(client, 2) == [] and interactions(scope, campaign, 2) == [DELETED]


def test_v1_lists_marks_counts_and_deletes(scope: Scope, client: httpx.Client, campaign: int, brand: str) -> None:
    (message,) = client.get(LISTED, params={"customerId": name(3)}).json()
    assert message == inbox(client, 3)[0]
    of_brand = {"tenantId": str(scope.tenant_id), "brandId": brand}
    bare = httpx.Client(base_url=client.base_url)  # iOS names tenant and brand in the body only
    told = {"messageId": message["id"], "customerId": name(3), "campaignKind": 2, "engagementId": str(campaign)}
    read = {**of_brand, "statusMetrics": [{**told, "readAt": 1773132301250}]}
    assert bare.put(STATUS, json=read).status_code == 204
    (shown,) = client.get(LISTED, params={"customerId": name(3)}).json()
    assert shown["readAt"] == 1773132301250 and shown["executionDateTime"] == SENT_AT
    by_container = client.post("/API/v1/Embedded-Messages/Get-Embedded-Messages", params={"CustomerId": name(3)})
    assert by_container.json() == {"containers": {"Inbox": [shown]}}
    assert client.post("/api/v1/embeddedMessages/getEmbeddedMessages", params={"customerId": name(3)}).json() == {
        "containers": {"Inbox": [shown]}
    }
    assert bare.put(STATUS, json={**of_brand, "statusMetrics": [told]}).status_code == 204
    assert unread(client, 3) == 1
    click = {key: value for key, value in told.items() if key != "messageId"} | {"event": 1, "now": "2026-03-10T10:00"}
    clicked = bare.post(METRICS, json={"TENANTID": scope.tenant_id, "brandId": brand, "messageMetrics": [click]})
    assert clicked.status_code == 204
    assert interactions(scope, campaign, 3) == [OPENED, CLICKED]
    for _ in range(2):
        assert client.delete(f"{LISTED}/{message['id'].upper()}").status_code == 204
    assert client.get(LISTED, params={"customerId": name(3)}).json() == []
    assert interactions(scope, campaign, 3) == [OPENED, CLICKED, DELETED]
    unknown = client.delete(LISTED, params={"id": "0a0a0a0a-0000-4000-8000-000000000001"})
    assert unknown.status_code == 404
    bare.close()


def test_the_first_apps_put_their_clicks(scope: Scope, client: httpx.Client, campaign: int) -> None:
    (message,) = inbox(client, 4)
    body = {"statusMetrics": [{"messageId": message["id"], "customerId": name(4)}]}
    assert client.put(METRICS, json=body).status_code == 204
    assert interactions(scope, campaign, 4) == [OPENED, CLICKED]
    assert unread(client, 4) == 1


def test_messages_of_somebody_else_are_left_alone(scope: Scope, client: httpx.Client, campaign: int) -> None:
    (message,) = inbox(client, 5)
    report(client, event(message, "deleted", customerId=name(6)))
    assert len(inbox(client, 5)) == 1
    assert interactions(scope, campaign, 5) == interactions(scope, campaign, 6) == []


def test_another_tenant_sees_and_changes_nothing(
    scope: Scope, client: httpx.Client, base_url: str, brand: str, campaign: int
) -> None:
    other = create_tenant(scope.stores, f"other-{time.time_ns()}", "UTC", "EUR")
    channels.create_channel(other, "Site", "inbox")
    theirs = brand_groups.create_brand_group(other, "Other", {495: [INBOX]}).id
    (message,) = inbox(client, 7)
    with httpx.Client(base_url=base_url, params={"tenantId": other.tenant_id, "brandId": theirs}) as stranger:
        assert stranger.post(GET, params={"customerId": name(7)}).json() == {"containers": {}}
        assert unread(stranger, 7) == 0
        report(stranger, event(message, "deleted"))
        assert stranger.delete(f"{LISTED}/{message['id']}").status_code == 404
    with httpx.Client(base_url=base_url, params={"tenantId": other.tenant_id, "brandId": brand}) as mixed:
        answer = mixed.post(GET, params={"customerId": name(7)})
        assert (answer.status_code, answer.json()) == (400, "brandId is not the id of a brand group of the tenant.")
    assert len(inbox(client, 7)) == 1


def test_a_message_leaves_when_it_expires(scope: Scope, client: httpx.Client, campaign: int) -> None:
    scope.clock.set(DUE + timedelta(hours=48) - timedelta(seconds=1))
    assert len(inbox(client, 7)) == 1 and unread(client, 7) == 1
    scope.clock.set(DUE + timedelta(hours=48))
    assert inbox(client, 7) == [] and unread(client, 7) == 0


def test_a_brand_group_is_known_as_soon_as_it_is_made(scope: Scope, client: httpx.Client) -> None:
    about = {"customerId": name(1)}
    assert client.post(GET, params=about).status_code == 200, "the tenant has just been read"
    made = brand_groups.create_brand_group(scope, "New", {495: [INBOX]}).id
    assert client.post(GET, params={**about, "brandId": made}).status_code == 200
