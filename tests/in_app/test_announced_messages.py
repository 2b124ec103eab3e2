"""A push message announces an in-app message: the device is told which one to fetch; the message is stored anyway."""

import json
from collections.abc import Iterator
from typing import Any

import push_services
import pytest
from in_app_world import CHANNEL, DETAILS, World, installed, world
from push_services import SERVICE_ACCOUNT, Request, Service

from rapport.access.scope import Scope
from rapport.apps.states import TokenType
from rapport.channels import opening
from rapport.channels import service as channels
from rapport.channels.messages import Message
from rapport.in_app.personal import messages_of

TICKLE = {"title": "News", "message": "For you", "url": "shop://news", "data": {"sku": 4}}
refusing = False


def google(request: Request) -> push_services.Reply:
    if request.path == "/token":
        return 200, {}, {"access_token": "g-1", "expires_in": 3600, "token_type": "Bearer"}
    return (403, {}, {"error": {"code": 403}}) if refusing else (200, {}, {"name": "projects/shop-1/messages/1"})


@pytest.fixture(scope="module")
def fcm() -> Iterator[Service]:
    with push_services.serving(google) as service:
        yield service


@pytest.fixture(scope="module")
def shop(scope: Scope, fcm: Service) -> Iterator[World]:
    settings = scope.stores.settings
    before = settings.fcm_url, settings.fcm_token_url
    settings.fcm_url, settings.fcm_token_url = fcm.url, f"{fcm.url}/token"
    shop = world(scope)
    channels.create_channel(scope, "Push", "push", settings={"fcm_service_account": SERVICE_ACCOUNT})
    installed(shop, "Anna", token="anna-token", token_type=TokenType.FCM, token_key="anna")
    yield shop
    settings.fcm_url, settings.fcm_token_url = before


@pytest.fixture(autouse=True)
def nothing_pushed(fcm: Service) -> None:
    fcm.requests.clear()


def sent(shop: World, name: str, **details: Any) -> list[str]:
    transport = opening.transport(shop.scope, channels.channel(shop.scope, CHANNEL))
    try:
        message = Message(name, "Anna", "Anna", details={**DETAILS, **details})
        return [receipt.outcome for receipt in transport.send([message])]
    finally:
        transport.close()


def pushed(fcm: Service) -> list[dict[str, Any]]:
    """What Google was given since it was asked last, the data of each message."""
    requests = [request for request in fcm.requests if request.path != "/token"]
    fcm.requests.clear()
    return [dict(request.json()["message"]["data"]) for request in requests]


def test_a_push_tells_the_device_which_message_to_fetch(shop: World, fcm: Service) -> None:
    assert sent(shop, "announced", tickle=TICKLE) == ["sent"]
    *_, message = messages_of(shop.scope, "Anna")
    [data] = pushed(fcm)
    custom = json.loads(data["custom"])
    assert (data["title"], data["alert"], custom["u"]) == ("News", "For you", "shop://news")
    assert custom["a"]["k.deepLink"] == {"type": 1, "data": {"id": message.id}}
    assert custom["a"]["sku"] == 4
    assert sent(shop, "silent") == ["sent"]
    assert pushed(fcm) == []


def test_a_push_tells_the_device_to_ask_for_an_overlay(shop: World, fcm: Service) -> None:
    assert sent(shop, "overlay", tickle=TICKLE, surface="immediate", inbox=None) == ["sent"]
    [data] = pushed(fcm)
    assert json.loads(data["custom"])["a"]["k.deepLink"]["type"] == 2


def test_a_refused_push_takes_nothing_from_the_message(shop: World, fcm: Service) -> None:
    global refusing
    refusing = True
    try:
        before = len(messages_of(shop.scope, "Anna"))
        assert sent(shop, "refused", tickle=TICKLE) == ["sent"]
        assert len(messages_of(shop.scope, "Anna")) == before + 1
        assert pushed(fcm)
    finally:
        refusing = False
