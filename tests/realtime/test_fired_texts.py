"""Triggers that send text messages and fill inboxes: an event comes in by HTTP, and the message goes out."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_server import eventually
from senders import Sender, app_event
from trigger_world import fill, trigger

sys.path.append(str(Path(__file__).parents[1] / "channels"))

from sms_provider import SETTINGS, SmsProvider, sms_provider

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.channels import service as channels
from rapport.channels.sms.incoming import Answer
from rapport.delivery import transports
from rapport.delivery.returns.text_messages import TextMessages
from rapport.messaging import templates
from rapport.messaging.topics import brand_groups
from rapport.realtime import service as realtime
from rapport.stores import Stores
from rapport.stores.workers.base import running

TEXTS, INBOX = 493, 495
# Numbers that are kept for stories.
NUMBERS = {"P1": "0171 3920001", "P2": "+491713920002", "P3": "", "P4": "+491713920004"}


@pytest.fixture(scope="module")
def provider() -> Iterator[SmsProvider]:
    with sms_provider() as server:
        yield server


@pytest.fixture(scope="module")
def shop(stores: Stores, provider: SmsProvider) -> Iterator[Scope]:
    """A tenant that texts whoever levels up, and puts a message into the inbox of whoever fills the cart."""
    made = create_tenant(stores, f"fired texts {time.time_ns()}", "Europe/Berlin", "EUR")
    rows = [{"customer_id": who, "FIRST_NAME": f"N{who}", "MOBILE_NUMBER": number} for who, number in NUMBERS.items()]
    fill(made, rows)
    made.clock.set(None)
    settings = {**SETTINGS, "url": provider.url, "tracking": False}
    channels.create_channel(made, "Texts", "sms", id=TEXTS, settings=settings)
    templates.save_template(made, TEXTS, "Level", text="Hi [%FIRST_NAME%], level [%EVENT.amount%]!", id=1)
    channels.create_channel(made, "Site", "inbox", id=INBOX)
    templates.save_template(made, INBOX, "Cart", "[%EVENT.brand%] waits", text="Dear [%FIRST_NAME:guest%]", id=1)
    of_text = {"action_id": 2, "channels": [{"channel_id": TEXTS, "template_id": 1}]}
    trigger(made, {"kind": "simple", "event": "level_up"}, groups=[of_text])
    of_inbox = {"action_id": 2, "channels": [{"channel_id": INBOX, "template_id": 1}]}
    trigger(made, groups=[of_inbox], visitors=True)
    with running(*realtime.workers(stores)):
        yield made
    transports.transports(stores).tidy(idle=0)


@pytest.fixture(scope="module")
def app(base_url: str, shop: Scope) -> Iterator[Sender]:
    made = Sender(base_url, shop)
    yield made
    made.client.close()


def report(app: Sender, event: str, customer: str | None, visitor: str = "device", **context: Any) -> None:
    sent = app_event(app.scope, event=event, visitor=visitor, customer=customer, context=context)
    answer = app.app([sent], "/v1/realtime/{}/reportEvent")
    assert answer.status_code == 200, answer.text


def became(scope: Scope, customer: str, firings: int = 1) -> list[tuple[str, str]]:
    """Outcomes and reasons of the firings of a customer, oldest first, once so many are filed."""
    sql = """
        SELECT outcome, reason FROM campaign_outcomes WHERE customer_id = {who:String} AND channel_id > 0
        ORDER BY firing_id
    """
    eventually(lambda: len(scope.warehouse.rows(sql, who=customer)) == firings)
    return [(str(outcome), str(reason)) for outcome, reason in scope.warehouse.rows(sql, who=customer)]


def test_an_event_sends_a_text_message(app: Sender, shop: Scope, provider: SmsProvider) -> None:
    report(app, "level_up", "P1", "device-1", amount=7)
    assert became(shop, "P1") == [("sent", "")]
    assert provider.texts["+491713920001"] == "Hi NP1, level 7!"
    report(app, "level_up", "P3", "device-3", amount=8)
    assert became(shop, "P3") == [("no address", "")]


def test_who_answered_stop_gets_none_by_the_next_event(app: Sender, shop: Scope, provider: SmsProvider) -> None:
    report(app, "level_up", "P2", "device-2", amount=1)
    assert became(shop, "P2") == [("sent", "")]
    TextMessages().answer(shop, TEXTS, Answer("+491713920002", "STOP", shop.clock.now()))
    report(app, "level_up", "P2", "device-2", amount=2)
    assert became(shop, "P2", 2)[1] == ("suppressed", "suppression list")
    assert provider.asked["+491713920002"] == 1


def inbox(app: Sender, base_url: str, brand: str, **who: str) -> list[dict[str, Any]]:
    parameters = {"tenantId": app.scope.tenant_id, "brandId": brand, **who}
    answer = httpx.post(f"{base_url}/api/v2/embedded-messages/get", params=parameters)
    assert answer.status_code == 200, answer.text
    messages: list[dict[str, Any]] = answer.json()["containers"].get("Inbox", [])
    return messages


def test_an_event_puts_a_message_into_the_inbox(app: Sender, shop: Scope, base_url: str) -> None:
    brand = brand_groups.create_brand_group(shop, "Northwind", {495: [INBOX]}).id
    report(app, "add_to_cart", "P4", "device-4", brand="Acme")
    report(app, "add_to_cart", None, "0b0b0b0b-somebody", brand="Ajax")
    assert became(shop, "P4") == [("sent", "")]
    eventually(lambda: inbox(app, base_url, brand, customerId="P4"))
    eventually(lambda: inbox(app, base_url, brand, visitorId="0b0b0b0b-somebody"))
    (mine,) = inbox(app, base_url, brand, customerId="P4")
    (guests,) = inbox(app, base_url, brand, visitorId="0b0b0b0b-somebody")
    assert (mine["title"], mine["content"], mine["isVisitor"]) == ("Acme waits", "Dear NP4", False)
    assert (guests["title"], guests["content"], guests["isVisitor"]) == ("Ajax waits", "Dear guest", True)
