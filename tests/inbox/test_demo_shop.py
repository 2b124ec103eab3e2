"""The demo's shop in a real browser: its inbox, and messages that come to the browser itself."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from browser import Page, browser
from push_services import Browser, Request, Service
from push_services import serving as serving_push
from trigger_world import fill, trigger
from webhook_receiver import eventually

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.app import create_app, mail_event_sinks
from rapport.customers import event_types
from rapport.delivery.returns.recorder import record_all
from rapport.demo.run import DemoResult
from rapport.demo.shop import HOME_PATH, shop_of
from rapport.demo.site import ALLOWED, Site, set_up_site
from rapport.demo.visits import EVENTS
from rapport.messaging.topics import brand_groups
from rapport.realtime import service as realtime
from rapport.stores import Stores
from rapport.stores.workers.base import running
from served_app import serving

ADA, BEA = "C0000001", "C0000003"
DELIVERED = 1
KEYS = ("admin_key", "integrations_key", "transactional_key")
NOBODY = dict.fromkeys(("data_dir", *KEYS, "last_data_date", "sports_brand_id"), "")
NOTHING = dict.fromkeys(("customers", "campaigns", "messages", "events", "firings", "trigger_id", "seconds"), 0)


@pytest.fixture(scope="module")
def shop(stores: Stores) -> Iterator[tuple[Scope, Site]]:
    """A tenant with the shop's site and its triggered campaigns, whose workers run."""
    made = create_tenant(stores, f"shop {time.time_ns()}", "Europe/Amsterdam", "EUR")
    fill(made, [{"customer_id": ADA, "FIRST_NAME": "Ada"}, {"customer_id": BEA, "FIRST_NAME": "Bea"}])
    made.clock.set(None)
    for name in ("product_viewed", "checkout_completed", ALLOWED):
        event_types.declare_event_type(made, name, EVENTS[name])
    site = set_up_site(made)
    for event, reached in (
        ("checkout_completed", {"channel_id": site.inbox, "template_id": site.thanks}),
        (ALLOWED, {"channel_id": site.push, "template_id": site.hello}),
    ):
        trigger(made, {"kind": "simple", "event": event}, groups=[{"action_id": 2, "channels": [reached]}])
    with running(*realtime.workers(stores)):
        yield made, site


@pytest.fixture(scope="module")
def address(stores: Stores, shop: tuple[Scope, Site]) -> Iterator[str]:
    """Where the shop is."""
    scope, site = shop
    brand_id = brand_groups.create_brand_group(scope, "Calluna", {490: [site.push], 495: [site.inbox]}).id
    about: dict[str, Any] = {"tenant_id": scope.tenant_id, "brand_id": brand_id, "shoppers": [ADA, BEA]}
    app = create_app(stores)
    app.routes.extend(shop_of(DemoResult(server_token="", **NOBODY, **NOTHING, **about)).routes)
    with serving(app) as url:
        yield url


@pytest.fixture(scope="module")
def push_service() -> Iterator[Service]:
    """The push service of the browser."""

    def taken(request: Request) -> tuple[int, dict[str, str], Any]:
        return 201, {}, None

    with serving_push(taken) as service:
        yield service


@pytest.fixture(scope="module")
def subscriber(push_service: Service) -> Browser:
    return Browser(f"{push_service.url}/browser/1")


@pytest.fixture
def page(address: str, subscriber: Browser) -> Iterator[Page]:
    """A browser in the shop, as Ada. Its push service is the one of the test: a real one is beyond loopback."""
    subscribe = f"""PushManager.prototype.subscribe = async (options) => {{
        window.subscribedFor = options.applicationServerKey;
        return {{toJSON: () => ({subscriber.subscription})}};
    }}"""
    with browser(scripts=True) as made:
        made.allow("notifications", address)
        made.before_each_page(subscribe)
        made.open(address + HOME_PATH)
        yield made


def bell(page: Page) -> str:
    return str(page.value("document.querySelector('#bell > span')?.shadowRoot.querySelector('.bell').ariaLabel"))


def status(page: Page) -> str:
    return str(page.value("document.querySelector('[role=status]').textContent"))


def prompt(page: Page) -> tuple[str, list[str]]:
    """In which state the prompt is, and which buttons it shows."""
    state = str(page.value("document.querySelector('#prompt:not([hidden])')?.dataset.state ?? ''"))
    shown = "[...document.querySelectorAll('#prompt:not([hidden]) button:not([hidden])')].map(each => each.textContent)"
    return state, page.value(shown)


def test_an_order_is_thanked_for_in_the_inbox_of_the_page(page: Page) -> None:
    eventually(lambda: bell(page) == "Messages")
    assert ("combobox", "You are") in page.roles() and ("button", "Buy Coffee no. 1") in page.roles()
    page.click("[data-does=buy]")
    eventually(lambda: bell(page) == "Messages, 1 unread")
    assert status(page).startswith("Thank you for your order")
    page.value("document.querySelector('#bell > span').shadowRoot.querySelector('.bell').click()")
    text = "document.querySelector('#bell > span').shadowRoot.querySelector('.content')?.textContent"
    eventually(lambda: page.value(text) == "We are packing your order of 24.9 euros.")


def test_whoever_allows_messages_is_written_to_in_the_browser(
    page: Page, address: str, shop: tuple[Scope, Site], push_service: Service, subscriber: Browser
) -> None:
    eventually(lambda: prompt(page) == ("ask", ["Allow messages", "Not now"]))
    page.click("[data-does=allow]")
    eventually(lambda: prompt(page) == ("on", ["Stop messages"]))
    config = httpx.get(f"{address}/v2/web/config", params={"tenantId": shop[0].tenant_id}).json()
    assert page.value("window.subscribedFor") == config["publicKey"]
    eventually(lambda: len(push_service.requests) == 1)
    content = subscriber.read(push_service.requests[0].body)
    assert (content["title"], content["msg"]) == ("Hello, Ada", "From now on, Calluna can write to you here.")
    page.deliver_push(address, json.dumps(content))
    # Chromium forgets a notification that is asked for before it is on the screen: ask after its delivery is reported.
    eventually(lambda: DELIVERED in interactions(*shop))
    look = "navigator.serviceWorker.ready.then(r => r.getNotifications()).then(l => window.shown = l.map(n => n.title))"
    eventually(lambda: page.value(f"{look}; window.shown") == ["Hello, Ada"])
    page.click("[data-does=stop]")
    eventually(lambda: prompt(page)[0] == "ask")
    assert status(page) == "No more messages come to this browser."


def interactions(scope: Scope, site: Site) -> list[int]:
    record_all(scope.stores, mail_event_sinks(), timedelta(0))
    sql = "SELECT event_id FROM campaign_interactions WHERE customer_id = {who:String} AND channel_id = {push:UInt32}"
    return [int(code) for (code,) in scope.warehouse.rows(sql, who=ADA, push=site.push)]


def test_one_can_be_another_customer_and_need_not_allow_anything(page: Page) -> None:
    eventually(lambda: prompt(page)[0] == "ask")
    page.click("[data-does=later]")
    eventually(lambda: prompt(page)[0] == "")
    page.value("document.querySelector('#who').value = 'C0000003'")
    page.click("header form button", leads_on=True)
    assert page.value("document.querySelector('#who').value") == BEA
    assert page.value("document.querySelector('#bell script').dataset.customer") == BEA
    eventually(lambda: bell(page) == "Messages" and prompt(page)[0] == "")


def test_pages_of_links_are_there_and_strangers_are_nobody(address: str) -> None:
    for path in ("", "/orders", "/no such page"):
        answer = httpx.get(f"{address}/demo/shop{path}", params={"customer": "<b>"}, follow_redirects=True)
        assert answer.status_code == 200 and f'data-customer="{ADA}"' in answer.text and "<b>" not in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "&lt;i&gt;" in httpx.get(f"{address}/demo/shop/<i>").text
    assert httpx.get(f"{address}/demo/shop/logo.svg").headers["content-type"].startswith("image/svg+xml")
