"""The page of preferences in a real browser without scripts, its signed links, and links that are asked for."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest
from browser import Page, browser
from campaign_mail import Mailbox, mailbox
from gateway_server import eventually
from sqlalchemy import func, select, text

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.app import create_app
from rapport.channels import service as channels
from rapport.channels.messages import Origin
from rapport.commands.connections import configured
from rapport.delivery.preference_mail import PreferenceLinkSender
from rapport.messaging import templates
from rapport.messaging.contactability import consent_log, preferences, suppressions
from rapport.messaging.message_writer import MessageWriter
from rapport.messaging.models import BrandGroup, PreferenceLinkRequest, Topic
from rapport.messaging.topics import brand_groups, subscriptions, topics
from rapport.messaging.topics.preference_links import PreferenceLink, link_to
from rapport.messaging.topics.topics import TopicContent
from rapport.stores import Stores
from served_app import running

MAIL, SMS = 504, 505
SUBMIT = "main form button"


@pytest.fixture
def scope(stores: Stores, request: pytest.FixtureRequest) -> Iterator[Scope]:
    """A tenant for each test: what was said in one is no preference in another."""
    yield create_tenant(stores, f"{request.node.name[:60]}-{time.time_ns()}", "Europe/Berlin", "EUR")
    stores.clock.set(None)


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as made:
        yield made


@pytest.fixture
def group(scope: Scope, box: Mailbox) -> BrandGroup:
    settings = {"host": "127.0.0.1", "port": box.port, "from_address": "shop@example.com"}
    channels.create_channel(scope, "Letters", "email", id=MAIL, settings=settings)
    channels.create_channel(scope, "SMS", "external", id=SMS, address_attribute="MOBILE_NUMBER")
    people = [
        ["Ann", "ann@example.com", None],
        ["Ann 2", "ANN@example.com", None],
        ["Bea", "bea@example.com", "German"],
    ]
    scope.warehouse.insert("customers", ["customer_id", "EMAIL", "LANGUAGE"], people)
    return brand_groups.create_brand_group(scope, "Northwind", {15: [MAIL], 493: [SMS]})


@pytest.fixture
def tips(scope: Scope, group: BrandGroup) -> Topic:
    topics.create_topic(scope, group.id, TopicContent("Notices", "About <your> account", mandatory=True))
    topics.create_topic(scope, group.id, TopicContent("Secret", hidden=True))
    return topics.create_topic(scope, group.id, TopicContent("Tips & more", "Short notes", "Once a week"))


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as made:
        yield made


def url(scope: Scope, base_url: str, group: BrandGroup, *customer_ids: str) -> str:
    link = link_to(scope, PreferenceLink(group.id, customer_ids))
    return f"{base_url}/preferences/{link.rpartition('/')[2]}"


def subscribed(scope: Scope, group: BrandGroup, topic: Topic, customer_id: str) -> tuple[int, ...]:
    states = subscriptions.preferences(scope, group.id, customer_id).topics
    return next(state.subscribed for state in states if state.topic.id == topic.id)


def test_a_person_leaves_and_comes_back_in_a_browser(
    scope: Scope, base_url: str, group: BrandGroup, tips: Topic, page: Page
) -> None:
    address = url(scope, base_url, group, "Bea")
    page.open(address)
    told = page.roles()
    assert ("heading", "Ihre Nachrichten") in told, "in the customer's language"
    assert ("group", "Tips & more") in told and ("checkbox", "E-mail") in told and ("button", "Speichern") in told
    text_of_page = page.value("document.body.innerText")
    assert "About <your> account" in text_of_page and "Short notes. Once a week" in text_of_page
    assert "Secret" not in text_of_page
    assert page.value("document.documentElement.lang") == "de"
    assert page.value("document.querySelectorAll('script').length") == 0
    assert subscribed(scope, group, tips, "Bea") == (15, 493), "to look changes nothing"
    page.click(f"input[value='{tips.id}/15']")
    page.click("input[name=stopped][value='493']")
    page.click(SUBMIT, leads_on=True)
    assert page.value("document.querySelector('h1').innerText") == "Ihre Auswahl ist gespeichert"
    assert subscribed(scope, group, tips, "Bea") == (493,)
    assert preferences.unreachable(scope, SMS, ["Bea"]) == {"Bea": "suppression list"}
    page.open(address)
    assert page.value(f"document.querySelector(\"input[value='{tips.id}/15']\").checked") is False
    assert page.value("document.querySelector('input[name=stopped][value=\"493\"]').checked") is True
    page.click(f"input[value='{tips.id}/15']")
    page.click("input[name=stopped][value='493']")
    page.click(SUBMIT, leads_on=True)
    assert subscribed(scope, group, tips, "Bea") == (15, 493)
    assert preferences.unreachable(scope, SMS, ["Bea"]) == {}
    log = [(one.topic_id, one.channel_id, one.agreed, one.source) for one in consent_log.changes(scope, "Bea")]
    assert log == [
        ("", SMS, True, "page"),
        (tips.id, 15, True, "page"),
        ("", SMS, False, "page"),
        (tips.id, 15, False, "page"),
    ]
    wordings = [one.wording for one in consent_log.changes(scope, "Bea")]
    assert wordings[0] == "Nichts auf diesem Weg"
    assert wordings[1] == "Ihre Nachrichten\nNotices: About <your> account\nTips & more: Short notes"


def test_who_unsubscribed_from_everything_comes_back_by_the_page(
    scope: Scope, base_url: str, group: BrandGroup, tips: Topic
) -> None:
    suppressions.suppress(scope, "Ann")
    suppressions.suppress_addresses(scope, ["ann@example.com"], MAIL, "unsubscribed")
    address = url(scope, base_url, group, "Ann")
    shown = httpx.get(address).text
    assert shown.count(" checked") == 2 + 1 + 1, "topics, e-mail and everything"
    assert (
        httpx.post(address, data={"topic": tips.id, "subscribed": f"{tips.id}/15", "stopped": "15"}).status_code == 200
    )
    sent_to = {"Ann": "ann@example.com"}
    assert preferences.unreachable(scope, MAIL, ["Ann"], addresses=sent_to) == {"Ann": "suppression list"}
    assert preferences.unreachable(scope, SMS, ["Ann"]) == {}
    httpx.post(address, data={"topic": tips.id, "subscribed": f"{tips.id}/15"})
    assert preferences.unreachable(scope, MAIL, ["Ann"], addresses=sent_to) == {}
    assert subscribed(scope, group, tips, "Ann") == (15,)


def test_a_bounced_address_does_not_come_back_by_the_page(scope: Scope, base_url: str, group: BrandGroup) -> None:
    suppressions.suppress(scope, "Bounced", MAIL, "bounced")
    httpx.post(url(scope, base_url, group, "Bounced"), data={})
    assert preferences.unreachable(scope, MAIL, ["Bounced"]) == {"Bounced": "suppression list"}


def test_a_scanner_changes_nothing_and_a_forged_link_is_none(
    scope: Scope, base_url: str, group: BrandGroup, tips: Topic
) -> None:
    address = url(scope, base_url, group, "Scanned")
    for _ in range(3):
        answer = httpx.get(address)
    assert answer.headers["cache-control"] == "no-store" and answer.headers["referrer-policy"] == "no-referrer"
    assert "form-action 'self'" in answer.headers["content-security-policy"]
    assert consent_log.changes(scope, "Scanned") == []
    for forged in (address[:-2] + "xx", re.sub(r"\.v1\.", ".v2.", address), f"{base_url}/preferences/1"):
        for method in ("GET", "POST"):
            answer = httpx.request(method, forged)
            assert answer.status_code == 404 and "This address is not valid" in answer.text
    unsubscribing = suppressions.unsubscribe_links(scope)("Scanned", Origin(MAIL)).rpartition("/")[2]
    assert httpx.get(f"{base_url}/preferences/{unsubscribing}").status_code == 404


def test_the_tag_of_a_template_leads_to_the_page(scope: Scope, base_url: str, group: BrandGroup, tips: Topic) -> None:
    html = '<p><a href="[%PREFERENCE_CENTER%]">Choose</a></p>'
    template = templates.save_template(scope, MAIL, "With a link", "Hi", html, id=41)
    channel = channels.channel(scope, MAIL)
    letter = MessageWriter(scope, channel, template, Origin(MAIL)).write("m1", "Ann", "ann@example.com", {}, {})
    link = re.search(r'href="([^"]+/preferences/[^"]+)"', letter.html)
    assert link, letter.html
    assert httpx.get(f"{base_url}/preferences/{link[1].rpartition('/')[2]}").status_code == 200


@pytest.fixture
def sender(stores: Stores) -> Iterator[PreferenceLinkSender]:
    made = PreferenceLinkSender(stores)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def own_url(stores: Stores) -> Iterator[str]:
    """A server that counts who asks for links for itself."""
    with running(configured(create_app(stores), stores.settings, port=0)) as url:
        yield url


def test_a_link_is_sent_to_who_asks_and_the_answer_tells_nothing(
    scope: Scope, own_url: str, group: BrandGroup, tips: Topic, box: Mailbox, page: Page, sender: PreferenceLinkSender
) -> None:
    suppressions.suppress(scope, "Ann")
    asking = f"{own_url}/preference-link/{scope.tenant_id}/{group.id}"
    page.open(asking)
    assert ("textbox", "E-mail address") in page.roles()
    page.type("input[type=email]", "Ann@example.com")
    page.click(SUBMIT, leads_on=True)
    answer = page.value("document.querySelector('main').innerText")
    for other in ("ann@example.com", "nobody@example.com", "no address", ""):
        again = httpx.post(asking, data={"address": other})
        assert again.status_code == 200
        assert re.sub(r"<[^>]+>", " ", again.text).split()[-len(answer.split()) :] == answer.split()

    def is_over() -> bool:
        with scope.records() as session:
            left = session.scalar(text("SELECT count(*) FROM messages WHERE tenant_id = :id"), {"id": scope.tenant_id})
            held = select(func.count()).where(
                PreferenceLinkRequest.tenant_id == scope.tenant_id, PreferenceLinkRequest.address != ""
            )
            return not left and not session.scalar(held)

    eventually(is_over)
    assert [letter["To"] for letter in box.messages] == ["ann@example.com"], "asked for twice, sent once"
    body = box.messages[0].get_body(("plain",))
    assert body is not None
    link = re.search(r"http\S+/preferences/(\S+)", body.get_content())
    assert link
    opened = f"{own_url}/preferences/{link[1]}"
    httpx.post(opened, data={"topic": tips.id})
    assert [subscribed(scope, group, tips, who) for who in ("Ann", "Ann 2")] == [(), ()], "all who have the address"
    scope.clock.set(scope.clock.now() + timedelta(hours=25))
    assert httpx.get(opened).status_code == 404
    scope.clock.set(None)


def test_links_are_not_asked_for_without_end(own_url: str, scope: Scope, group: BrandGroup) -> None:
    asking = f"{own_url}/preference-link/{scope.tenant_id}/{group.id}"
    answers = [httpx.post(asking, data={"address": "x@example.com"}).status_code for _ in range(15)]
    assert answers == [200] * 10 + [429] * 5
    wrong = f"{own_url}/preference-link/{scope.tenant_id}/{quote('not a group')}"
    assert httpx.get(wrong).status_code == 404
