"""How long in-app messages are kept, and who may fetch them where users prove who they are."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from in_app_world import World, installed, world
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.in_app import retention
from rapport.in_app.contents import InAppContent
from rapport.in_app.personal import messages_of
from rapport.in_app.storing import NewMessage, store

NOW = datetime(2026, 3, 2, 14, tzinfo=UTC)
SECRET = "0123456789abcdef0123456789abcdef"
KEYS = "/manage/v1/event-intake/user-jwt-keys"
INBOX = {"title": "T"}
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def shop(scope: Scope) -> Iterator[World]:
    scope.clock.set(NOW)
    made = world(scope)
    installed(made, "Anna", install_id="phone")
    yield made
    scope.clock.set(None)


def add(shop: World, user: str, **content: Any) -> int:
    message = NewMessage(uuid.uuid4().hex, user, InAppContent.model_validate({"content": {"a": 1}, **content}))
    with shop.scope.records() as session:
        (number,) = store(shop.scope, session, [message]).values()
        return number


def done(shop: World, number: int, column: str, at: datetime) -> None:
    with shop.scope.records() as session:
        statement = f"UPDATE in_app_messages SET {column} = :at WHERE tenant_id = :t AND id = :n"
        session.execute(text(statement), {"at": at, "t": shop.scope.tenant_id, "n": number})


def kept_after(shop: World, length: timedelta) -> list[int]:
    """The messages that are there once all pages were gone through, so long after NOW."""
    with shop.scope.records() as session:
        retention.drop_old(session, "(0,0)", "(4294967290,0)", NOW + length)
    return [message.id for message in messages_of(shop.scope, "keeper")]


def test_what_has_ended_is_dropped_and_what_may_still_be_shown_stays(shop: World) -> None:
    expiring = add(shop, "keeper", ttl={"expires_in": 5})
    opened = add(shop, "keeper")
    in_inbox = add(shop, "keeper", inbox=INBOX)
    deleted = add(shop, "keeper", inbox=INBOX)
    unseen = add(shop, "keeper")
    done(shop, opened, "opened_at", NOW + 10 * DAY)
    done(shop, in_inbox, "opened_at", NOW + 10 * DAY)
    done(shop, deleted, "inbox_deleted_at", NOW + 15 * DAY)
    assert kept_after(shop, retention.KEPT + 4 * DAY) == [expiring, opened, in_inbox, deleted, unseen]
    assert kept_after(shop, retention.KEPT + 6 * DAY) == [opened, in_inbox, deleted, unseen]
    assert kept_after(shop, retention.KEPT + 11 * DAY) == [in_inbox, deleted, unseen]
    assert kept_after(shop, retention.KEPT + 16 * DAY) == [in_inbox, unseen]
    assert kept_after(shop, timedelta(days=3000)) == [in_inbox, unseen]


def test_messages_are_fetched_by_whom_they_are_for(shop: World, base_url: str, api: httpx.Client) -> None:
    add(shop, "Anna")
    made = api.post(KEYS, json={"algorithm": "HS256", "secret": SECRET})
    able = {"X-Optimove-Auth-Capable": "1"}

    def asked(user: str, who: str = "", **headers: str) -> int:
        claims = {"sub": who, "exp": time.time() + 600}
        proof = {"X-User-JWT": jwt.encode(claims, SECRET, "HS256")} if who else {}
        path = f"{base_url}/v1/users/{user}/messages"
        return httpx.get(path, headers={**shop.device, **proof, **headers}).status_code

    try:
        assert [asked("Anna", "Anna"), asked("ANNA", "anna", **able)] == [200, 200]
        assert [asked("Anna", "Ben"), asked("Anna", **able), asked("Anna", **{"X-User-JWT": "x"})] == [401, 401, 401]
        assert [asked("phone", **able), asked("Anna")] == [200, 200], "devices, and apps that cannot prove it"
        overlay = f"{base_url}/api/v1/users/Anna/messages/mobile?messageType=session"
        assert httpx.get(overlay, headers={**shop.device, **able}).status_code == 401
    finally:
        api.delete(f"{KEYS}/{made.json()['id']}").raise_for_status()
