"""Apps fetch messages and overlays as the SDKs do, and tell what became of them; opens count as those of mail do."""

import re
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from in_app_world import CHANNEL, World, basic, installed, world

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.delivery.models import MailEvent
from rapport.in_app.contents import InAppContent
from rapport.in_app.personal import messages_of
from rapport.in_app.storing import NewMessage, Purpose, store
from rapport.messaging.tracking.tokens import message_key

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000")
NONE = Purpose()
NOW = datetime(2026, 3, 2, 14, 0, 0, 750_000, tzinfo=UTC)
TIMES = ("updatedAt", "openedAt", "readAt", "sentAt", "expiresAt", "inboxDeletedAt")


@pytest.fixture(scope="module")
def shop(scope: Scope) -> Iterator[World]:
    scope.clock.set(NOW)
    yield world(scope)
    scope.clock.set(None)


@pytest.fixture(autouse=True)
def at_the_same_time(shop: World) -> None:
    """Tests move the clock."""
    shop.scope.clock.set(NOW)


@pytest.fixture(scope="module")
def app(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, timeout=60) as client:
        yield client


def add(shop: World, user: str, *contents: dict[str, Any], purpose: Purpose = NONE) -> list[int]:
    messages = [
        NewMessage(uuid.uuid4().hex, user, InAppContent.model_validate(said), purpose=purpose) for said in contents
    ]
    with shop.scope.records() as session:
        return list(store(shop.scope, session, messages).values())


def fetched(shop: World, app: httpx.Client, user: str, after: str | None = None) -> list[dict[str, Any]]:
    answer = app.get(f"/v1/users/{user}/messages", params={"after": after} if after else {}, headers=shop.device)
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def tell(shop: World, app: httpx.Client, install_id: str, event_type: str, **data: Any) -> None:
    event = {"type": event_type, "uuid": str(uuid.uuid4()), "timestamp": int(time.time() * 1000), "data": data}
    answer = app.post(f"/v1/app-installs/{install_id}/events", json=[event], headers=shop.device)
    assert (answer.status_code, answer.json()["message"]) == (200, "1 of 1 events"), answer.text


def test_messages_have_the_members_and_types_that_no_sdk_breaks_at(shop: World, app: httpx.Client) -> None:
    installed(shop, "fetcher")
    inbox = {"title": "T", "image_path": "/1/a.png", "from": "2026-01-01T10:00:00.5+02:00"}
    whole = {"content": {"a": None}, "inbox": inbox, "data": {"x": 1}, "badge": {"set": 3}, "ttl": {"expires_in": 2}}
    first, second = add(shop, "fetcher", {"content": {"a": 1}, "presented_when": "next-open"}, whole)
    plain, full = fetched(shop, app, "FETCHER")
    assert plain == {
        "id": first,
        "presentedWhen": "next-open",
        "content": {"a": 1, "rapport": {"id": first, "surface": "in-app"}},
        "data": None,
        "badge": None,
        "inbox": None,
        "updatedAt": "2026-03-02T14:00:00+0000",
        "openedAt": None,
        "readAt": None,
        "sentAt": "2026-03-02T14:00:00+0000",
        "expiresAt": None,
        "inboxDeletedAt": None,
    }
    expected = {"title": "T", "subtitle": "", "imagePath": "/1/a.png", "from": "2026-01-01T08:00:00+0000", "to": None}
    assert (full["id"], full["inbox"], full["data"], full["badge"]) == (second, expected, {"x": 1}, {"set": 3})
    assert (full["expiresAt"], full["updatedAt"]) == ("2026-03-04T14:00:00+0000", "2026-03-02T14:00:01+0000")
    assert all(isinstance(row["id"], int) and row["id"] >= 1 for row in (plain, full))
    assert all(row[name] is None or TIME.fullmatch(row[name]) for row in (plain, full) for name in TIMES)
    assert fetched(shop, app, "fetcher", "2026-03-02T14:00:00Z") == [full]
    assert fetched(shop, app, "fetcher", "2026-03-02T14:00:01Z") == []
    assert app.get("/v1/users/fetcher/messages?after=2026-03-02T14:00:00+0000", headers=shop.device).json() == [full]


def test_who_may_not_ask_or_asks_for_nobody_is_refused(shop: World, app: httpx.Client) -> None:
    installed(shop, "mine")
    installed(shop, None, install_id="device-1")
    path = "/v1/users/mine/messages"
    assert app.get(path).status_code == 401
    assert app.get(path, headers=basic(shop.app.api_key, "wrong")).status_code == 401
    assert app.get(path, headers=shop.server).json() == []
    assert fetched(shop, app, "device-1") == []
    assert app.get("/v1/users/nobody/messages", headers=shop.device).status_code == 404
    late = app.get(path, params={"after": "yesterday"}, headers=shop.device)
    assert (late.status_code, late.json()) == (422, "after must be a time such as 2026-01-01T09:00:00Z.")
    other = world(create_tenant(shop.scope.stores, f"neighbour of in-app {time.time_ns()}", "UTC", "EUR"))
    add(shop, "mine", {"content": {"a": 1}})
    installed(other, "mine")
    assert fetched(other, app, "mine") == []
    assert len(fetched(shop, app, "mine")) == 1


def test_states_reach_the_other_devices_of_the_user_and_opens_of_campaigns_count(
    shop: World, app: httpx.Client
) -> None:
    for install_id in ("phone", "tablet"):
        installed(shop, "Reader", install_id=install_id)
    installed(shop, "stranger", install_id="stranger")
    purpose = Purpose(CHANNEL, 1, campaign_id=77)
    [number] = add(shop, "Reader", {"content": {"a": 1}, "inbox": {"title": "T"}}, purpose=purpose)
    [row] = fetched(shop, app, "reader")
    after = row["updatedAt"].replace("+0000", "Z")
    tell(shop, app, "stranger", "k.message.opened", type=2, id=number)
    assert fetched(shop, app, "reader", after) == []
    steps = [("delivered", None), ("opened", "openedAt"), ("clicked", None), ("dismissed", None), ("read", "readAt")]
    for name, column in [*steps, ("inbox.deleted", "inboxDeletedAt")]:
        tell(shop, app, "phone", f"k.message.{name}", type=2, id=number)
        rows = fetched(shop, app, "reader", after)
        if column is None:
            assert rows == []
        else:
            assert [each[column] for each in rows] == ["2026-03-02T14:00:00+0000"], name
            assert rows[0]["updatedAt"].replace("+0000", "Z") > after
            after = rows[0]["updatedAt"].replace("+0000", "Z")
    [stored] = messages_of(shop.scope, "reader")
    with shop.scope.reads() as session:
        mine = session.query(MailEvent).filter_by(tenant_id=shop.scope.tenant_id, source_id=77).order_by(MailEvent.id)
        counted = [(event.kind, event.customer_id, event.message_key, event.channel_id) for event in mine]
    key = message_key(stored.message_id)
    assert counted == [(kind, "Reader", key, CHANNEL) for kind in ("delivered", "opened", "clicked")]
    tell(shop, app, "phone", "k.message.opened", type=1, id=number)
    assert fetched(shop, app, "reader", after) == [], "a push of the same number is another message"


def test_the_newest_overlay_is_told_until_a_device_has_shown_it(shop: World, app: httpx.Client) -> None:
    installed(shop, "gamer", install_id="gamer")
    path = "/api/v1/users/gamer/messages/mobile"

    def asked(kind: str) -> httpx.Response:
        return app.get(path, params={"messageType": kind}, headers=shop.device)

    assert asked("session").status_code == 204
    old, new, at_once = add(
        shop, "gamer", *({"content": {"a": kind}, "surface": kind} for kind in ("session", "session", "immediate"))
    )
    told = asked("session")
    expected = {"a": "session", "rapport": {"id": new, "surface": "overlay"}}
    assert told.json() == {"id": new, "content": expected, "data": None}
    assert asked("immediate").json()["id"] == at_once
    assert fetched(shop, app, "gamer") == []
    for outcome, stays in (("defer", True), ("timeout", True), ("discard", False)):
        tell(shop, app, "gamer", "optimove.om.intercepted", id=new, outcome=outcome)
        assert asked("session").json()["id"] == (new if stays else old), outcome
    tell(shop, app, "gamer", "optimove.om.dismissed", id=old)
    assert asked("session").status_code == 204
    tell(shop, app, "gamer", "optimove.om.opened", id=at_once)
    assert asked("immediate").status_code == 204
    wrong = asked("weekly")
    assert (wrong.status_code, wrong.json()) == (422, "messageType must be session or immediate.")
    assert app.get("/api/v1/users/nobody/messages/mobile?messageType=session", headers=shop.device).status_code == 404
    add(shop, "gamer", {"content": {"a": 1}, "surface": "session", "ttl": {"expires_in": 1, "units": "m"}})
    shop.scope.clock.advance(timedelta(minutes=2))
    assert asked("session").status_code == 204
