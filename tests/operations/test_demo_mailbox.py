"""The demo's mailbox in a browser, and what its simulated customers do with their mail."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from urllib.parse import urlsplit

import httpx
import pytest

from rapport.app import create_app
from rapport.demo import mailbox as demo_mailbox
from rapport.demo.mail_programs import BOUNCE_RATE, CLICK_RATE, OPEN_RATE, UNSUBSCRIBE_RATE, DeedKind, deeds
from rapport.demo.mailbox import MOST_LETTERS, Mailbox
from rapport.demo.pages import pages_of
from rapport.stores import Stores
from served_app import serving

HTML = (
    '<p onclick="alert(1)">Hello <b>Ada</b></p><script>document.title = "no"</script>'
    '<a href="http://127.0.0.1:1/l/token/7">the sale</a> <a href="http://127.0.0.1:1/unsubscribe/x">stop</a>'
    '<img src="{pixel}" alt=""><img src="https://cdn.example/hat.png" alt="A hat">'
)


def letter(number: int, pixel: str = "http://127.0.0.1:1/o/token.gif") -> EmailMessage:
    mail = EmailMessage()
    mail["Message-ID"], mail["From"], mail["To"] = f"<{number}@x.example>", "Shop <hello@x.example>", "ada@x.example"
    mail["Subject"], mail["Date"] = f"Letter {number} <i>æ</i>", "Sun, 29 Nov 2026 09:30:00 +0100"
    mail["List-Unsubscribe"] = "<http://127.0.0.1:1/unsubscribe/x>"
    mail.set_content(f"Plain {number} <b>")
    mail.add_alternative(HTML.format(pixel=pixel), subtype="html")
    return mail


def send(box: Mailbox, *mails: EmailMessage, recipients: int = 1) -> None:
    to = [f"ada{number}@x.example" for number in range(recipients)]
    with smtplib.SMTP("127.0.0.1", box.port) as client:
        for mail in mails:
            client.send_message(mail, "bounce+token@x.example", to)


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with demo_mailbox.mailbox(7) as box:
        yield box


@pytest.fixture(scope="module")
def home(stores: Stores, box: Mailbox) -> Iterator[str]:
    app = create_app(stores)
    app.routes.extend(pages_of(box).routes)
    with serving(app) as base_url:
        yield f"{base_url}/demo/mailbox"


def test_the_last_letters_are_listed_and_shown(box: Mailbox, home: str) -> None:
    send(box, *(letter(number) for number in range(6)), recipients=100)
    newest = box.letters()[0].number
    assert newest == box.messages and len(box.letters()) == MOST_LETTERS
    answer = httpx.get(home)
    assert "script" not in answer.headers["content-security-policy"] and answer.headers["x-robots-tag"] == "noindex"
    first = answer.text.index(f'/demo/mailbox/{newest}"')
    assert first < answer.text.index(f'/demo/mailbox/{newest - 1}"')
    assert "Letter 5 &lt;i&gt;æ&lt;/i&gt;" in answer.text and "2026-11-29 09:30" in answer.text
    assert httpx.get(home, params={"q": "LETTER 3 ada77"}).text.count("<li>") == 1
    assert httpx.get(f"{home}/{newest}", params={"show": "text"}).text.count("Plain 5 &lt;b&gt;") == 1
    assert "Content-Transfer-Encoding" in httpx.get(f"{home}/{newest}", params={"show": "source"}).text
    assert "<dt>List-Unsubscribe</dt><dd>&lt;http" in httpx.get(f"{home}/{newest}").text
    for number, status in ((1, 404), (2**31 - 1, 404), (0, 400), (10**120, 400), ("x", 400)):
        assert httpx.get(f"{home}/{number}").status_code == status
        assert httpx.get(f"{home}/{number}/html").status_code == status


def test_html_is_framed_and_loads_nothing_unless_asked(box: Mailbox, home: str) -> None:
    send(box, letter(1))
    path = f"{home}/{box.letters()[0].number}"
    shown = httpx.get(path).text
    assert f'<iframe src="{urlsplit(path).path}/html" sandbox="allow-popups ' in shown and "allow-scripts" not in shown
    assert "Load pictures" in shown and "Load pictures" not in httpx.get(path, params={"pictures": True}).text
    framed, loading = httpx.get(f"{path}/html"), httpx.get(f"{path}/html", params={"pictures": True})
    assert framed.text == loading.text and HTML[:30] in framed.text
    policies = [answer.headers["content-security-policy"] for answer in (framed, loading)]
    assert all("default-src 'none'" in policy and "sandbox" in policy for policy in policies)
    assert "img-src data:;" in policies[0] and "img-src data: http: https:;" in policies[1]
    assert not any("script" in policy for policy in policies)
    assert framed.headers["x-frame-options"] == "SAMEORIGIN"


def test_no_other_server_has_the_pages(base_url: str) -> None:
    assert httpx.get(f"{base_url}/demo/mailbox").status_code == 404


def test_readers_do_what_rates_say_and_the_same_again(box: Mailbox) -> None:
    """1,500 letters: each share is within five standard deviations of its rate."""
    count = 1500
    written = letter(0).as_bytes()
    contents = [written.replace(b"<0@x.example>", f"<{number}@x.example>".encode()) for number in range(count)]
    done = [deed for content in contents for deed in deeds(3, content, "back@x.example")]
    by_kind = {kind: [deed for deed in done if deed.kind == kind] for kind in DeedKind}
    rates = zip((DeedKind.LOAD, DeedKind.FOLLOW, DeedKind.UNSUBSCRIBE, DeedKind.SEND_BACK), RATES, strict=True)
    for kind, rate in rates:
        spread = (rate * (1 - rate) / count) ** 0.5
        assert abs(len(by_kind[kind]) / count - rate) < 5 * spread, kind
    opened = {deed.message_id for deed in by_kind[DeedKind.LOAD]}
    assert {deed.message_id for deed in by_kind[DeedKind.FOLLOW]} <= opened
    assert {deed.address for deed in by_kind[DeedKind.FOLLOW]} == {"http://127.0.0.1:1/l/token/7"}
    assert {deed.address for deed in by_kind[DeedKind.LOAD]} == {"http://127.0.0.1:1/o/token.gif"}
    assert all(0 <= deed.share < 1 for deed in done)
    assert done == [deed for content in contents for deed in deeds(3, content, "back@x.example")]
    assert done != [deed for content in contents for deed in deeds(4, content, "back@x.example")]


RATES = (OPEN_RATE, CLICK_RATE, UNSUBSCRIBE_RATE, BOUNCE_RATE)


def test_what_readers_do_is_told_once(box: Mailbox) -> None:
    box.deeds()
    send(box, *(letter(number) for number in range(30)))
    expected = [deed for number in range(30) for deed in deeds(7, letter(number).as_bytes(), "bounce+token@x.example")]
    assert sorted(map(repr, box.deeds())) == sorted(map(repr, expected)) and box.deeds() == []
