"""Popups: a page that reports an event is told in the answer what to show; what it reports of them counts."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from gateway_server import eventually
from senders import Sender, app_event
from trigger_world import fill, trigger

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.app import mail_event_sinks
from rapport.channels import service as channels
from rapport.delivery.returns.recorder import record_all
from rapport.errors import Invalid
from rapport.messaging import templates
from rapport.realtime import service as realtime
from rapport.stores import Stores
from rapport.stores.workers.base import running

POPUP = 700
HTML = "<p>Hello [%FIRST_NAME:you%], [%EVENT.brand%]</p><a href='https://shop.example'>Go</a>"
OPENED, CLICKED = 2, 3


@pytest.fixture(scope="module")
def shop(stores: Stores) -> Iterator[Scope]:
    """A tenant with a campaign of popups on add_to_cart, whose workers run."""
    made = create_tenant(stores, f"popups {time.time_ns()}", "Europe/Berlin", "EUR")
    now = datetime.now(UTC)
    fill(made, [{"customer_id": f"P{number}", "FIRST_NAME": f"N{number}"} for number in range(9)])
    made.clock.set(None)
    channels.create_channel(made, "Popups", "web_popup", id=POPUP)
    templates.save_template(made, POPUP, "Hello", html=HTML, id=1, details={"delay_seconds": 3})
    group = {"action_id": 2, "channels": [{"channel_id": POPUP, "template_id": 1}]}
    trigger(made, groups=[group], visitors=True)
    assert made.clock.now() - now < timedelta(minutes=5)
    with running(*realtime.workers(stores)):
        yield made


@pytest.fixture(scope="module")
def page(base_url: str, shop: Scope) -> Iterator[Sender]:
    made = Sender(base_url, shop)
    yield made
    made.client.close()


def report(page: Sender, name: str, visitor: str, customer: str | None = None, **context: Any) -> dict[str, Any]:
    sent = app_event(page.scope, event=name, visitor=visitor, customer=customer, context=context)
    answer = page.app([sent], "/v1/realtime/{}/reportEvent")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def displayed(popup: dict[str, Any], *names: str) -> dict[str, Any]:
    """What a page says of a popup that it shows: by the names of the event, from the answer."""
    members = {
        "campaign_detail_id": "campaignDetailId",
        "template_id": "templateId",
        "action_channel_id": "actionChannelId",
        "send_id": "sendId",
    }
    return {name: popup["Metadata"][members[name]] for name in names or members}


def interactions(scope: Scope, customer: str) -> list[int]:
    record_all(scope.stores, mail_event_sinks(), timedelta(0))
    sql = "SELECT event_id FROM campaign_interactions WHERE customer_id = {who:String} AND channel_id = 700 ORDER BY 1"
    return [int(code) for (code,) in scope.warehouse.rows(sql, who=customer)]


def test_the_answer_to_an_event_has_the_popup_that_it_sets_off(page: Sender) -> None:
    answer = report(page, "add_to_cart", "page-1", "P1", brand="Acme")
    assert answer["IsSuccess"] is True
    assert "<p>Hello N1, Acme</p>" in answer["Data"]
    told = answer["Metadata"]
    assert (told["delayValue"], told["templateId"], told["actionChannelId"]) == (3, 1, POPUP)
    assert isinstance(told["campaignDetailId"], int) and told["sendId"]
    assert told["recurrenceLeft"] is None and told["recurrenceFrameStopTime"] is None


def test_a_popup_is_told_until_it_was_shown_and_counted_once(page: Sender, shop: Scope) -> None:
    first = report(page, "add_to_cart", "page-2", "P2", brand="Acme")
    again = report(page, "set_page_visit", "page-2", "P2", customURL="/", pageTitle="Home")
    assert again["Data"] == first["Data"] and again["Metadata"] == first["Metadata"]
    for _ in range(2):
        assert report(page, "web_popup_displayed", "page-2", "P2", **displayed(first))["Data"] is False
    assert report(page, "set_page_visit", "page-2", "P2", customURL="/", pageTitle="Home")["Data"] is False
    for _ in range(2):
        report(page, "web_popup_clicked", "page-2", "P2", **displayed(first))
    eventually(lambda: interactions(shop, "P2") == [OPENED, CLICKED])


def test_older_sdks_name_the_campaign_only(page: Sender, shop: Scope) -> None:
    first = report(page, "add_to_cart", "page-3", "P3", brand="Acme")
    report(page, "web_popup_displayed", "page-3", "P3", **displayed(first, "campaign_detail_id", "template_id"))
    assert report(page, "set_page_visit", "page-3", "P3", customURL="/", pageTitle="Home")["Data"] is False
    eventually(lambda: interactions(shop, "P3") == [OPENED])


def test_a_visitor_whom_nobody_knows_gets_popups_too(page: Sender) -> None:
    answer = report(page, "add_to_cart", "0a0a0a0a-somebody", brand="Acme")
    assert "<p>Hello you, Acme</p>" in answer["Data"]


def test_others_see_nothing_of_it_and_their_reports_change_nothing(page: Sender, shop: Scope) -> None:
    first = report(page, "add_to_cart", "page-4", "P4", brand="Acme")
    assert report(page, "set_page_visit", "page-5", "P5", customURL="/", pageTitle="Home")["Data"] is False
    report(page, "web_popup_displayed", "page-5", "P5", **displayed(first))
    assert report(page, "set_page_visit", "page-4", "P4", customURL="/", pageTitle="Home")["Data"] == first["Data"]
    assert interactions(shop, "P5") == []


def test_clicks_in_a_popup_are_reported_by_the_page_itself(page: Sender) -> None:
    answer = report(page, "add_to_cart", "page-6", "P6", brand="Acme")
    (script,) = re.findall("<script>(.*)</script>", answer["Data"])
    assert "web_popup_clicked" in script and answer["Metadata"]["sendId"] in script


def test_where_there_is_no_popup_nothing_is_waited_for(base_url: str, scope: Scope) -> None:
    sender = Sender(base_url, scope)
    begun = time.monotonic()
    answer = sender.app([app_event(scope, event="add_to_cart", visitor="none")], "/v1/realtime/{}/reportEvent")
    assert answer.json()["Data"] is False and time.monotonic() - begun < 1.5
    sender.client.close()


def test_a_popup_needs_html(shop: Scope) -> None:
    with pytest.raises(Invalid, match="A web popup template needs html"):
        templates.save_template(shop, POPUP, "Empty", "subject", text="text", id=2)
    with pytest.raises(Invalid, match="delay_seconds"):
        templates.save_template(shop, POPUP, "Late", html=HTML, id=2, details={"delay_seconds": -1})
