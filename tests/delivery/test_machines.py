"""Persons and machines: by what they say of themselves, by time, and by clicks on everything at once."""

from datetime import UTC, datetime, timedelta

import pytest

from rapport.delivery.models import MailEvent, MailEventKind
from rapport.delivery.returns.machines import clicks_at_once, is_machine

WRITTEN = datetime(2026, 3, 10, 8, tzinfo=UTC)
LATER = WRITTEN + timedelta(minutes=20)
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"


@pytest.mark.parametrize(
    ("agent", "machine"),
    [
        (BROWSER, False),
        (GMAIL, False),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", False),
        ("Mozilla/5.0", True),
        ("", True),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)", True),
        ("Barracuda Sentinel (EE)", True),
        ("python-requests/2.32", True),
        ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0", True),
        (
            "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15 BingPreview/1.0b",
            True,
        ),
    ],
)
def test_by_what_it_says_of_itself(agent: str, machine: bool) -> None:
    assert is_machine({"user-agent": agent}, "GET", WRITTEN, LATER) is machine


def test_by_time_method_and_prefetching() -> None:
    headers = {"user-agent": BROWSER}
    assert is_machine(headers, "GET", WRITTEN, WRITTEN + timedelta(seconds=1))
    assert not is_machine(headers, "GET", WRITTEN, WRITTEN + timedelta(seconds=10))
    assert is_machine(headers, "HEAD", WRITTEN, LATER)
    assert is_machine({**headers, "sec-purpose": "prefetch;prerender"}, "GET", WRITTEN, LATER)
    assert is_machine({**headers, "x-purpose": "preview"}, "GET", None, LATER)


def click(number: int, link: int, seconds: float, key: str = "a") -> MailEvent:
    at = LATER + timedelta(seconds=seconds)
    return MailEvent(id=number, kind=MailEventKind.CLICKED, message_key=key, link_id=link, at=at)


def test_by_clicks_on_several_links_at_once() -> None:
    scanner = [click(1, 1, 0), click(2, 2, 0.5), click(3, 3, 1)]
    assert clicks_at_once(scanner) == {1, 2, 3}
    assert clicks_at_once([*scanner, click(4, 4, 60)]) == {1, 2, 3}
    assert clicks_at_once([click(1, 1, 0), click(2, 1, 0.1), click(3, 1, 0.2)]) == set(), "a double click"
    assert clicks_at_once([click(1, 1, 0), click(2, 2, 10), click(3, 3, 20)]) == set(), "a reader"
    assert clicks_at_once([click(1, 1, 0), click(2, 2, 0, "b"), click(3, 3, 0, "c")]) == set(), "three readers"
