"""The web SDK of the npm package optimove-websdk: its events reach us, it tells who a visitor is, it shows popups."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from senders import Sender, app_event, logged, stored
from trigger_world import fill, trigger
from web_page import installed, said_by_page

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.messaging import templates
from rapport.realtime import service as realtime
from rapport.realtime.events import visitors
from rapport.realtime.popups import KNOWN_SECONDS
from rapport.stores.workers.base import running

POPUP = 700
# What a shop does; the SDK sends again what is still on its way, so that the page waits.
VISIT = """
  const first = optimoveSDK.API.getVisitorId();
  await sdk.setPageVisit('https://Shop.example/Bicycles', 'Bicycles', 'catalogue');
  await wait(500);
  await said(done => optimoveSDK.API.reportEvent('basket_filled', { amount: 12.5, note: 'two' }, done));
  await said(done => optimoveSDK.API.setUserId('Web-1', done));
  await said(done => optimoveSDK.API.setUserEmail('web-1@example.com', done));
  const { API } = optimoveSDK;
  console.log(JSON.stringify({ first, later: API.getVisitorId(), version: API.getConfigurationVersion() }));
"""
BUY = """
  await said(done => optimoveSDK.API.reportEvent('add_to_cart', { brand: 'Acme' }, done));
  await until(() => document.body.textContent.includes('Hello'));
  const shown = document.body.textContent;
  await wait(500);
  console.log(JSON.stringify({ shown, visitor: optimoveSDK.API.getVisitorId() }));
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("web-sdk"))


@pytest.fixture(scope="module")
def visit(packages: Path, sender: Sender, scope: Scope, api: httpx.Client) -> dict[str, Any]:
    """What a page says once a visitor has become a customer, and the events that are stored of it."""
    declared = {"name": "basket_filled", "parameters": {"amount": "Number", "note": "String"}}
    api.post("/manage/v1/event-types", json=declared).raise_for_status()
    said = said_by_page(packages, VISIT, sender)
    mine = (said["first"], said["later"])
    return said | {"rows": [row for row in stored(scope) if row["visitor_id"] in mine]}


def test_what_the_sdk_reports_reaches_us_once(scope: Scope, visit: dict[str, Any]) -> None:
    assert visit["version"] == "1.0.0"
    assert [row["event"] for row in visit["rows"]] == [
        "optimove_sdk_metadata",
        "set_page_visit",
        "basket_filled",
        "set_user_id_event",
        "set_email_event",
    ]
    by_name = {row["event"]: row["parameters"] for row in visit["rows"]}
    assert by_name["set_page_visit"]["customURL"] == "shop.example/bicycles"
    assert by_name["set_page_visit"]["pageTitle"] == "Bicycles"
    assert (by_name["basket_filled"]["amount"], by_name["basket_filled"]["note"]) == (12.5, "two")
    assert by_name["set_email_event"]["email"] == "web-1@example.com"
    assert by_name["optimove_sdk_metadata"]["app_ns"] == "shop.example"
    assert [entry["reason"] for entry in logged(scope)] == []


def test_the_sdk_says_who_the_visitor_is(scope: Scope, visit: dict[str, Any]) -> None:
    assert visit["later"] == visitors.derived_from("Web-1") != visit["first"]
    with scope.records() as session:
        assert visitors.customer_of(scope, session, [visit["first"]]) == {visit["first"]: "Web-1"}


@pytest.fixture
def popups(scope: Scope) -> Iterator[None]:
    """A campaign that shows a popup to whoever adds to the cart; its workers run."""
    fill(scope)
    scope.clock.set(None)
    channels.create_channel(scope, "Popups", "web_popup", id=POPUP)
    templates.save_template(scope, POPUP, "Hello", html="<p>Hello of [%EVENT.brand%]</p>", id=1)
    trigger(scope, groups=[{"action_id": 2, "channels": [{"channel_id": POPUP, "template_id": 1}]}], visitors=True)
    time.sleep(KNOWN_SECONDS + 0.1)  # the process may have read a moment ago that there is none
    with running(*realtime.workers(scope.stores)):
        yield


@pytest.mark.usefixtures("popups")
def test_the_sdk_shows_a_popup_and_says_so(packages: Path, sender: Sender, scope: Scope) -> None:
    said = said_by_page(packages, BUY, sender)
    assert "Hello of Acme" in said["shown"]
    # A popup is told of until the page has said that it was shown.
    context = {"customURL": "/", "pageTitle": "Home"}
    later = app_event(scope, event="set_page_visit", visitor=said["visitor"], context=context)
    assert sender.app([later], "/v1/realtime/{}/reportEvent").json()["Data"] is False
