"""Servers of apps send in-app messages: at once and at a time, to whom, refused with which words, and none lost."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from gateway_server import eventually
from in_app_world import CHANNEL, World, basic, installed, world
from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.delivery import outbox
from rapport.delivery.models import OutboxMessage, Source
from rapport.in_app.personal import messages_of
from rapport.messaging import templates
from rapport.messaging.contactability import suppressions
from rapport.transactional.in_app_sends import InAppSender
from rapport.transactional.models import InAppSend


@pytest.fixture(scope="module")
def shop(scope: Scope) -> World:
    shop = world(scope)
    installed(shop, "Anna", time_zone="Asia/Tokyo")
    installed(shop, "Ben")
    installed(shop, "Cleo", consent=False)
    return shop


@pytest.fixture(scope="module")
def server(base_url: str, shop: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, headers=shop.server, timeout=60) as client:
        yield client


@pytest.fixture
def sender(shop: World) -> Iterator[None]:
    running = InAppSender(shop.scope.stores)
    running.start()
    yield
    running.stop()


def body(*users: str, **members: Any) -> dict[str, Any]:
    return {"target": {"userIds": list(users)}, "templateId": "1"} | members


def sent(server: httpx.Client, *users: str, **members: Any) -> int:
    answer = server.post("/v2/in-app", json=body(*users, **members))
    assert answer.status_code == 202, answer.text
    return int(answer.json()["notification"]["id"])


def entered(scope: Scope, number: int) -> dict[str, datetime | None]:
    """The messages of a send that are in the outbox, with when they are due."""
    query = select(OutboxMessage).filter_by(tenant_id=scope.tenant_id, source=Source.IN_APP, source_id=number)
    with scope.reads() as session:
        return {row.customer_id: row.due_at for row in session.scalars(query)}


def is_forgotten(scope: Scope, number: int) -> bool:
    with scope.reads() as session:
        return session.get(InAppSend, (scope.tenant_id, number)) is None and not entered(scope, number)


@pytest.mark.usefixtures("sender")
def test_a_message_is_sent_at_once_with_what_the_request_sets(shop: World, server: httpx.Client) -> None:
    members = {
        "presentedWhen": "immediately",
        "ttl": {"expiresIn": 3, "units": "h"},
        "inbox": {"title": "Yours", "imageUrl": "/9/x.png", "availability": {"to": "2030-01-01T00:00:00Z"}},
        "badge": {"set": 4},
        "data": {"order": 17},
    }
    number = sent(server, "anna", "Cleo", "nobody", templateId="Welcome", **members)
    eventually(lambda: is_forgotten(shop.scope, number))
    [message] = messages_of(shop.scope, "Anna")
    assert (message.presented_when, message.badge, message.data) == ("immediately", {"set": 4}, {"order": 17})
    assert message.inbox == {"title": "Yours", "subtitle": "", "image_path": "/9/x.png", "to": "2030-01-01T00:00:00Z"}
    assert message.expires_at == message.sent_at + timedelta(hours=3)
    assert message.content["title"] == "Hi there", "tags have their defaults"
    assert (message.send_id, message.campaign_id, message.channel_id) == (number, 0, CHANNEL)
    assert not messages_of(shop.scope, "Cleo") and not messages_of(shop.scope, "nobody")


@pytest.mark.usefixtures("sender")
def test_who_has_unsubscribed_gets_none(shop: World, server: httpx.Client) -> None:
    installed(shop, "Dora")
    suppressions.suppress(shop.scope, "Dora", CHANNEL, "unsubscribed")
    number = sent(server, "Dora")
    eventually(lambda: is_forgotten(shop.scope, number))
    assert not messages_of(shop.scope, "Dora")


def test_what_is_planned_waits_by_utc_or_by_the_clock_of_each_device(shop: World, server: httpx.Client) -> None:
    day = (datetime.now(UTC) + timedelta(days=3)).date()
    local = sent(server, "Anna", "Ben", schedule={"sendAt": f"{day} 09:30", "strategy": "local"})
    berlin = datetime.fromisoformat(f"{day}T09:30").replace(tzinfo=shop.scope.time_zone)
    tokyo = datetime.fromisoformat(f"{day}T09:30:00+09:00")
    assert entered(shop.scope, local) == {"Anna": tokyo, "Ben": berlin}
    utc = sent(server, "Anna", schedule={"sendAt": f"{day} 09:30"})
    assert entered(shop.scope, utc) == {"Anna": datetime.fromisoformat(f"{day}T09:30:00+00:00")}


def test_requests_are_refused_before_anything_is_written(shop: World, server: httpx.Client, base_url: str) -> None:
    for wrong, status, words in [
        (body(), 422, "target.userIds: must have at least 1"),
        ({"templateId": "1"}, 422, "target is required"),
        (body(*map(str, range(1001))), 422, "target.userIds: must have at most 1000"),
        (body("Anna", templateId="99"), 404, "There is no in-app template '99'."),
        (body("nobody"), 400, "None of the users in target.userIds has the app."),
        (body("Anna", presentedWhen="later"), 422, "presentedWhen: must be"),
        (body("Anna", inbox={"title": ""}), 422, "details.inbox.title"),
        (body("Anna", ttl={"expiresIn": 0}), 422, "details.ttl.expires_in"),
        (body("Anna", notification={"title": "T"}), 422, "notification.message is required"),
        (body("Anna", schedule={"sendAt": "soon"}), 422, "schedule.sendAt must be a time"),
        (body("Anna", schedule={"sendAt": "2020-01-01 09:30"}), 422, "schedule.sendAt has passed."),
        (body("Anna", schedule={"sendAt": "2999-01-01 09:30"}), 422, "within 365 days"),
    ]:
        answer = server.post("/v2/in-app", json=wrong)
        assert (answer.status_code, words in answer.json()) == (status, True), answer.text
    assert httpx.post(f"{base_url}/v2/in-app", json=body("Anna"), headers=shop.device).status_code == 401
    assert httpx.post(f"{base_url}/v2/in-app", json=body("Anna")).status_code == 401
    other = world(create_tenant(shop.scope.stores, f"neighbour of senders {time.time_ns()}", "UTC", "EUR"))
    answer = httpx.post(f"{base_url}/v2/in-app", json=body("Anna"), headers=other.server)
    assert (answer.status_code, answer.json()) == (400, "None of the users in target.userIds has the app.")
    assert httpx.post(f"{base_url}/v2/in-app", headers=basic(shop.app.api_key, "x")).status_code == 401


def test_a_kill_between_storing_and_settling_loses_nothing_and_stores_nothing_twice(
    shop: World, server: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends after the message is stored and before the outbox knows; the next one claims it again."""
    installed(shop, "Emil")
    number = sent(server, "Emil")
    killed = InAppSender(shop.scope.stores)
    stored: list[int] = []

    def end(*_: Any) -> int:
        stored.append(len(messages_of(shop.scope, "Emil")))
        raise RuntimeError("the process is gone")

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "settle", end)
        killed.start()
        eventually(lambda: stored == [1])
        killed.stop()
    assert list(entered(shop.scope, number)) == ["Emil"]
    with shop.scope.records() as session:
        claimed = session.scalars(select(OutboxMessage).filter_by(source=Source.IN_APP, source_id=number)).one()
        claimed.due_at = datetime.now(UTC) - timedelta(seconds=1)  # its claim has run out
    following = InAppSender(shop.scope.stores)
    following.start()
    try:
        eventually(lambda: is_forgotten(shop.scope, number))
    finally:
        following.stop()
    assert len(messages_of(shop.scope, "Emil")) == 1


@pytest.mark.usefixtures("sender")
def test_a_send_whose_template_has_gone_ends(shop: World, server: httpx.Client) -> None:
    day = (datetime.now(UTC) + timedelta(days=1)).date()
    templates.save_template(shop.scope, CHANNEL, "Short lived", id=9, details={"content": {"a": 1}})
    number = sent(server, "Ben", templateId="9", schedule={"sendAt": f"{day} 09:30"})
    templates.delete_template(shop.scope, CHANNEL, 9)
    with shop.scope.records() as session:
        waiting = session.scalars(select(OutboxMessage).filter_by(source=Source.IN_APP, source_id=number)).one()
        waiting.due_at = None
        outbox.publish(session, outbox.Topic.MESSAGES)
    eventually(lambda: is_forgotten(shop.scope, number))
    assert not messages_of(shop.scope, "Ben")
