"""The page within apps that shows messages, in a real browser, with a host as apps on Android and iOS have it."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from browser import Page, browser

ANDROID = "window.told = []; window.Android = {postClientMessage: text => window.told.push(JSON.parse(text))};"
IOS = "window.told = []; window.webkit = {messageHandlers: {inAppHost: {postMessage: said => window.told.push(said)}}};"
CONTENT = {
    "title": "<b>Sale</b>",
    "text": "Two days\nonly.",
    "accent": "#006400",
    "background": "url(https://evil.example.com)",
    "buttons": [
        {"label": "Look", "actions": [{"type": "openUrl", "data": {"url": "shop://sale"}}]},
        {
            "label": "Rate",
            "actions": [
                {"type": "trackConversionEvent", "data": {"eventType": "rated", "data": {"stars": 5}}},
                {"type": "formatDisk"},
                {"type": "openUrl", "data": {"url": "javascript:alert(1)"}},
            ],
        },
    ],
    "rapport": {"id": 905, "surface": "in-app"},
}
CLOSE = {"type": "closeMessage", "data": None}


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser(scripts=True) as page:
        yield page


def opened(page: Page, base_url: str, host: str) -> None:
    """Load the page into a host that is there before the page's own script runs."""
    page.before_each_page(host)
    page.open(f"{base_url}/iar")
    assert said(page) == [{"type": "READY", "data": None}]


def said(page: Page) -> list[dict[str, Any]]:
    """What the page has told its host since it was asked last."""
    return list(page.value("window.told.splice(0)"))


def tell(page: Page, type: str, data: Any = None) -> None:
    page.value(f"window.postHostMessage({json.dumps({'type': type, 'data': data})})")


@pytest.mark.parametrize("host", [ANDROID, IOS], ids=["android", "ios"])
def test_a_message_is_shown_pressed_and_closed(page: Page, base_url: str, host: str) -> None:
    opened(page, base_url, host)
    tell(page, "PRESENT_MESSAGE", CONTENT)
    assert said(page) == [{"type": "MESSAGE_OPENED", "data": None}]
    roles = [each for each in page.roles() if each[0] in ("dialog", "heading", "button")]
    assert roles == [
        ("dialog", "<b>Sale</b>"),
        ("heading", "<b>Sale</b>"),
        ("button", "Close"),
        ("button", "Look"),
        ("button", "Rate"),
    ]
    assert page.value("getComputedStyle(document.querySelector('main')).backgroundColor") == "rgb(255, 255, 255)"
    assert page.value("getComputedStyle(document.querySelector('#buttons button')).backgroundColor") == "rgb(0, 100, 0)"
    page.click("#buttons button:nth-child(1)")
    clicked = {"eventType": "k.message.clicked", "data": {"type": 2, "id": 905, "button": 1}}
    look = {"type": "openUrl", "data": {"url": "shop://sale"}}
    actions = [{"type": "trackConversionEvent", "data": clicked}, CLOSE, look]
    assert said(page) == [{"type": "EXECUTE_ACTIONS", "data": {"actions": actions}}]
    page.click("#buttons button:nth-child(2)")
    rated = {"type": "trackConversionEvent", "data": {"eventType": "rated", "data": {"stars": 5}}}
    assert said(page) == [{"type": "EXECUTE_ACTIONS", "data": {"actions": [CLOSE, rated]}}]
    page.click("#close")
    assert said(page) == [{"type": "EXECUTE_ACTIONS", "data": {"actions": [CLOSE]}}]
    tell(page, "CLOSE_MESSAGE")
    assert said(page) == [{"type": "MESSAGE_CLOSED", "data": None}]
    assert page.value("document.querySelector('main').hidden") is True


def test_an_overlay_speaks_in_commands(page: Page, base_url: str) -> None:
    opened(page, base_url, ANDROID)
    tell(page, "SET_NOTCH_INSETS", {"insetTop": 30, "insetLeft": 0})
    tell(page, "PRESENT_MESSAGE", CONTENT | {"layout": "full", "rapport": {"id": 906, "surface": "overlay"}})
    assert page.value("getComputedStyle(document.body).paddingTop") == "30px"

    def event(type: str, data: Any) -> dict[str, Any]:
        return {"type": type, "immediateFlush": True, "data": data}

    shown = {"close": False, "events": [event("optimove.om.opened", {})], "executeSdkActions": []}
    assert said(page) == [{"type": "MESSAGE_OPENED", "data": None}, {"type": "COMMAND", "data": shown}]
    page.click("#buttons button:nth-child(1)")
    [command] = said(page)
    assert command["data"] == {
        "close": True,
        "events": [event("optimove.om.clicked", {"button": 1})],
        "executeSdkActions": [{"type": "OPEN_DEEP_LINK", "data": {"url": "shop://sale"}}],
    }
    page.click("#close")
    [command] = said(page)
    assert command["data"]["close"] and command["data"]["events"] == [event("optimove.om.dismissed", {})]


def test_what_cannot_be_shown_is_told(page: Page, base_url: str) -> None:
    opened(page, base_url, ANDROID)
    for content in ({}, None, [], {"title": 5}, {"image": "javascript:alert(1)"}):
        tell(page, "PRESENT_MESSAGE", content)
        assert said(page) == [{"type": "PRESENTATION_ERROR", "data": None}]
    tell(page, "PRESENT_MESSAGE", {"title": "Only", "closable": False, "buttons": []})
    assert page.value("document.querySelector('#close').hidden") is False, "a message that cannot be closed"


def test_the_page_may_load_pictures_only_and_has_a_host_of_its_own(base_url: str) -> None:
    page = httpx.get(f"{base_url}/iar")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "img-src https: http: data:" in policy and "sha256-" in policy
    by_host = httpx.get(f"{base_url}/", headers={"Host": "iar.example.com"})
    assert (by_host.status_code, by_host.text) == (200, page.text)
    assert httpx.get(f"{base_url}/").headers["location"] == "/docs"
