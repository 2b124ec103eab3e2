"""E-mail over a real SMTP server: headers, classification, reuse of connections, back-pressure."""

import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mail_server import MailServer, serving
from talking_server import scripted

from rapport.channels import connection_pool
from rapport.channels.addresses import recipient
from rapport.channels.email import EmailTransport
from rapport.channels.messages import MESSAGES, Message, Receipt
from rapport.channels.relaying import relay
from rapport.channels.replies import Refused, Stage, receipt_of
from rapport.channels.routes import Route
from rapport.channels.settings import EmailSettings
from rapport.errors import Unavailable
from rapport.settings import Settings
from rapport.stores import Stores
from rapport.stores.clock import Clock


@pytest.fixture(scope="module")
def server_settings(stores: Stores) -> Settings:
    return stores.settings


@pytest.fixture
def server() -> Iterator[MailServer]:
    with serving() as started:
        yield started


def transport(server: MailServer, settings: Settings, **more: object) -> EmailTransport:
    given = {
        "host": "127.0.0.1",
        "port": server.port,
        "from_address": "club@shop.example",
        "timeout_seconds": 5,
        **more,
    }
    return EmailTransport(EmailSettings.model_validate(given), settings, Clock())


def message(number: int, to: str | None = None, **more: object) -> Message:
    return Message(f"c1-{number}", f"Q{number}", to or f"q{number}@mail.example", "Hi", "Hello", **more)  # type: ignore[arg-type]


def sent(transport: EmailTransport, messages: list[Message]) -> dict[str, Receipt]:
    try:
        receipts = list(transport.send(messages))
    finally:
        transport.close()
    assert len(receipts) == len(messages)
    return {receipt.message_id: receipt for receipt in receipts}


def counted() -> dict[str, float]:
    """Attempts by mail until now, by what became of them."""
    names = ("sent", "refused", "deferred", "away")
    return {name: MESSAGES.labels("email", name)._value.get() for name in names}


def test_headers_and_both_bodies(server: MailServer, server_settings: Settings) -> None:
    headers = {
        "List-Unsubscribe": "<https://rapport.example/unsubscribe/3001.abc>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "From": "evil@example.com",
    }
    one = Message("c7-Q1", "Q1", "q1@mail.example", "Grüße\r\nBcc: x@example.com", "Hällo", "<p>Hällo</p>", headers)
    channel = transport(server, server_settings, from_name="Café Club", reply_to="help@shop.example")
    assert sent(channel, [one])["c7-Q1"] == Receipt("c7-Q1", "sent")
    (mail,) = server.arrived
    assert mail["From"] == "Café Club <club@shop.example>"
    assert mail["Subject"] == "Grüße Bcc: x@example.com"
    assert mail["Bcc"] is None
    assert (mail["Message-ID"], mail["Reply-To"], mail["To"]) == (
        "<c7-Q1@shop.example>",
        "help@shop.example",
        "q1@mail.example",
    )
    assert mail["List-Unsubscribe"] == headers["List-Unsubscribe"]
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert abs(mail["Date"].datetime.timestamp() - time.time()) < 60
    assert mail.get_body(("plain",)).get_content().strip() == "Hällo"  # type: ignore[union-attr]
    assert mail.get_body(("html",)).get_content().strip() == "<p>Hällo</p>"  # type: ignore[union-attr]


def test_a_reply_ends_its_own_recipient_only(server: MailServer, server_settings: Settings) -> None:
    targets = [
        "550-a@mail.example",
        "451-b@mail.example",
        "ok@mail.example",
        "552-c@mail.example",
        "no address",
        "x@y\nz",
    ]
    given = [message(number, to) for number, to in enumerate(targets)]
    before = counted()
    receipts = sent(transport(server, server_settings, connections=1), given)
    became = {"sent": 1.0, "refused": 4.0, "deferred": 1.0, "away": 0.0}
    assert {name: number - before[name] for name, number in counted().items()} == became
    assert [(r.outcome, r.reason, r.permanent) for r in (receipts[f"c1-{n}"] for n in range(6))] == [
        ("failed", "recipient rejected 550 5.1.1", True),
        ("failed", "recipient deferred 451 4.1.1", False),
        ("sent", "", False),
        ("failed", "recipient rejected 552 5.1.1", True),
        ("failed", "not an e-mail address", True),
        ("failed", "not an e-mail address", True),
    ]
    assert server.recipients == ["ok@mail.example"]
    assert server.connections == 1, "a refused recipient does not cost the connection"


@pytest.mark.parametrize(
    ("attribute", "answer", "reason", "permanent"),
    [
        ("data_answer", "554 5.7.1 looks like spam", "content rejected 554 5.7.1", True),
        ("data_answer", "451 4.3.0 try later", "content deferred 451 4.3.0", False),
        ("mail_answer", "550 5.7.1 sender not allowed", "sender deferred 550 5.7.1", False),
    ],
)
def test_stages_of_refusal(
    server: MailServer, server_settings: Settings, attribute: str, answer: str, reason: str, permanent: bool
) -> None:
    setattr(server, attribute, answer)
    receipts = sent(transport(server, server_settings), [message(1)])
    assert receipts["c1-1"] == Receipt("c1-1", "failed", reason, permanent)


def test_a_connection_that_the_server_ended_costs_no_message(server: MailServer, server_settings: Settings) -> None:
    server.per_connection = 3
    receipts = sent(transport(server, server_settings, connections=2), [message(n) for n in range(20)])
    assert {receipt.outcome for receipt in receipts.values()} == {"sent"}
    assert sorted(server.recipients) == sorted(f"q{n}@mail.example" for n in range(20))


def test_ended_connections_are_not_tried_one_after_the_other(server: MailServer, server_settings: Settings) -> None:
    server.wait, server.per_connection = 0.05, 2
    channel = transport(server, server_settings, connections=2)
    for round_ in range(2):  # both connections are open and idle, and the server has had enough of both
        list(channel.send([message(2 * round_), message(2 * round_ + 1)]))
    assert server.connections == 2
    (receipt,) = channel.send([message(9)])
    channel.close()
    assert receipt.outcome == "sent" and server.recipients.count("q9@mail.example") == 1


def test_several_in_flight_on_a_bounded_number_of_connections(server: MailServer, server_settings: Settings) -> None:
    server.wait = 0.05
    drawn = 0

    def source() -> Iterator[Message]:
        nonlocal drawn
        for number in range(60):
            drawn += 1
            yield message(number)

    channel = transport(server, server_settings, connections=4)
    receipts = channel.send(source())
    next(receipts)
    assert drawn <= 9, "messages are drawn only as fast as they leave"
    assert len(list(receipts)) == 59
    channel.close()
    assert (server.most_open, server.connections) == (4, 4)


def test_a_silent_server_is_a_temporary_failure(server: MailServer, server_settings: Settings) -> None:
    server.wait = 3
    receipts = sent(transport(server, server_settings, timeout_seconds=0.3), [message(1)])
    assert receipts["c1-1"] == Receipt("c1-1", "failed", "mail server did not answer in time", False)


def test_no_server_fails_every_message_after_a_few_tries(
    server_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_pool, "DOWN_SECONDS", 1000.0)
    tries: list[Route] = []

    class Counted(relay.Connection):
        def __init__(self, route: Route) -> None:
            tries.append(route)
            super().__init__(route)

    with serving() as server:
        pass
    channel = transport(server, server_settings)
    with pytest.raises(Unavailable, match="cannot be reached"):
        channel.check()
    monkeypatch.setattr(relay, "Connection", Counted)
    receipts = sent(channel, [message(n) for n in range(500)])
    assert {(r.outcome, r.reason, r.permanent) for r in receipts.values()} == {
        ("failed", "mail server cannot be reached", False)
    }
    assert 1 <= len(tries) <= channel._settings.connections, "the rest fail at once, without a try of their own"


def test_login(server_settings: Settings) -> None:
    with serving(auth=True) as server:
        good = transport(server, server_settings, username="mailer", password="s3cret")
        good.check()
        assert sent(good, [message(1)])["c1-1"].outcome == "sent"
        bad = transport(server, server_settings, username="mailer", password="wrong-secret", connections=1)
        with pytest.raises(Unavailable) as raised:
            bad.check()
        assert raised.value.message == "The mail server cannot be used: mail server refused the login."
        refused = sent(bad, [message(1), message(2)])
        assert refused == {name: Receipt(name, "failed", "mail server refused the login") for name in ("c1-1", "c1-2")}


def test_tls_that_the_server_does_not_offer_is_not_done_without(server: MailServer, server_settings: Settings) -> None:
    receipts = sent(transport(server, server_settings, security="starttls"), [message(1)])
    assert receipts["c1-1"].outcome == "failed"
    assert server.arrived == []


def test_an_odd_message_id_becomes_its_digest(server: MailServer, server_settings: Settings) -> None:
    odd = Message("c1-Q 1>\n", "Q", "q@mail.example", "s", "t")
    again = Message("c1-Q 1>\n", "Q", "q@mail.example", "s", "t")
    sent(transport(server, server_settings), [odd])
    sent(transport(server, server_settings), [again])
    first, second = (mail["Message-ID"] for mail in server.arrived)
    assert first == second
    assert len(first) == len("<@shop.example>") + 64


@pytest.mark.parametrize("trusted", [False, True])
def test_a_certificate_is_checked(
    server_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(tls=context) as server:
        receipts = sent(transport(server, server_settings, host="localhost", security="starttls"), [message(1)])
        assert receipts["c1-1"].reason == ("" if trusted else "mail server has no valid certificate")
        assert len(server.arrived) == trusted


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, made with the openssl program."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl program here")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *names], check=True, capture_output=True, timeout=60)
    return certificate, key


AWKWARD = [
    "",
    ".",
    "..\n.\nx",
    "a" * 3000,
    "=_rapport_part",
    "--=_rapport_part--",
    "tab\t \ntrail ",
    "\r\nCRLF\rCR",
    "🎉" * 500,
    "From x",
]


@pytest.mark.parametrize("content", AWKWARD)
def test_any_content_arrives_as_it_was(server: MailServer, server_settings: Settings, content: str) -> None:
    one = Message("m", "Q", "q@mail.example", content, content, f"<p>{content}</p>")
    sent(transport(server, server_settings), [one])
    (mail,) = server.arrived
    assert mail["Subject"] == " ".join(content.split())[:1000]
    expected = content.replace("\r\n", "\n").replace("\r", "\n")
    for subtype, wanted in (("plain", expected), ("html", f"<p>{expected}</p>")):
        part = mail.get_body((subtype,))
        assert part is not None
        assert part.get_content().removesuffix("\n").replace("\r\n", "\n") == wanted.removesuffix("\n")
    assert not mail.defects


@pytest.mark.parametrize(
    ("address", "to"),
    [
        ("a.b+c@mail.example", "a.b+c@mail.example"),
        ("o'neil@mail.example", "o'neil@mail.example"),
        ("<a@mail.example>", "a@mail.example"),
        ("zoë@mail.example", "zoë@mail.example"),
        ("anna@müller.example", "anna@xn--mller-kva.example"),
        ("Anna@MÜLLER.example", "Anna@xn--mller-kva.example"),
        ("a@straße.example", "a@xn--strae-oqa.example"),
        ("\u7528\u6237@\u4f8b\u5b50.example", "\u7528\u6237@xn--fsqu00a.example"),
        ("a@b@c.example", None),
        ("a,b@mail.example", None),
        ("a@mail.example, b@mail.example", None),
        ("a@mail.example\nBcc: b@mail.example", None),
        ("@mail.example", None),
        ("a@", None),
        ("a@-.", None),
        ("a@mail!.example", None),
        ("a@" + "x" * 64 + "\u00fc.example", None),
        ("\u00fc" * 40 + "@mail.example", None),
        ("a@" + "sub." * 70 + "example", None),
    ],
)
def test_what_a_server_is_told_of_an_address(address: str, to: str | None) -> None:
    if to is not None:
        assert recipient(address) == to
        return
    with pytest.raises(ValueError):
        recipient(address)


def test_international_domains_and_local_parts_arrive(server: MailServer, server_settings: Settings) -> None:
    addresses = ["anna@m\u00fcller.example", "j\u00f6rg@example.com", "Anna <anna2@example.com>", "plain@example.com"]
    messages = [message(n, to, subject_extra=None) if False else message(n, to) for n, to in enumerate(addresses)]
    receipts = sent(transport(server, server_settings, connections=1), messages)
    assert {receipt.outcome for receipt in receipts.values()} == {"sent"}
    assert sorted(server.recipients) == [
        "anna2@example.com",
        "anna@xn--mller-kva.example",
        "j\u00f6rg@example.com",
        "plain@example.com",
    ]
    assert sorted(str(one["To"]) for one in server.arrived) == sorted(server.recipients)


def test_a_server_without_other_letters_refuses_one_recipient_only(server_settings: Settings) -> None:
    with serving(international=False) as server:
        messages = [message(1, "j\u00f6rg@example.com"), message(2), message(3, "anna@m\u00fcller.example")]
        receipts = sent(transport(server, server_settings, connections=1), messages)
    assert receipts["c1-1"] == Receipt("c1-1", "failed", "recipient rejected 553 5.6.7", True)
    assert receipts["c1-2"].outcome == receipts["c1-3"].outcome == "sent"


@pytest.mark.parametrize(
    "to",
    [
        "a@example.com;b@example.com",
        "anna5@example,com",
        "a@example.com\r\nRCPT TO:<b@example.com>",
        "a\x00@example.com",
        "\ud83d@example.com",
        "a@" + "x" * 300 + ".example",
        "not an address",
    ],
)
def test_what_is_no_address_fails_for_good_and_alone(server: MailServer, server_settings: Settings, to: str) -> None:
    receipts = sent(transport(server, server_settings), [message(1, to), message(2)])
    assert receipts["c1-1"] == Receipt("c1-1", "failed", "not an e-mail address", True)
    assert receipts["c1-2"].outcome == "sent"


def test_odd_content_is_mended_and_begins_no_header(server: MailServer, server_settings: Settings) -> None:
    subject = "Hi \ud83d \x00 \u202e\r\nBcc: other@example.com"
    odd = Message("c1-1", "Q1", "q1@mail.example", subject, "Hello \ud83d", html="<p>\udc00</p>")
    assert sent(transport(server, server_settings), [odd])["c1-1"].outcome == "sent"
    arrived = server.arrived[0]
    assert arrived["Bcc"] is None and arrived["Subject"] == "Hi Bcc: other@example.com"
    assert server.recipients == ["q1@mail.example"]


@pytest.mark.parametrize("pipelines", [False, True])
@pytest.mark.parametrize(
    ("attribute", "answer", "reason", "permanent"),
    [
        ("mail_answer", "550 5.7.1 sender not allowed", "sender deferred 550 5.7.1", False),
        ("data_answer", "554 5.7.1 looks like spam", "content rejected 554 5.7.1", True),
        ("data_answer", "", "", False),
    ],
)
def test_a_dialogue_in_one_go_ends_as_one_step_by_step(
    server: MailServer,
    server_settings: Settings,
    pipelines: bool,
    attribute: str,
    answer: str,
    reason: str,
    permanent: bool,
) -> None:
    server.pipelines = pipelines
    setattr(server, attribute, answer)
    outcome = "failed" if answer else "sent"
    messages = [message(1), message(2, "550-a@mail.example"), message(3, "zo\u00eb@mail.example")]
    receipts = sent(transport(server, server_settings, connections=1), messages)
    assert receipts["c1-1"] == Receipt("c1-1", outcome, reason, permanent)
    assert receipts["c1-3"] == Receipt("c1-3", outcome, reason, permanent)
    if attribute == "data_answer":
        assert receipts["c1-2"] == Receipt("c1-2", "failed", "recipient rejected 550 5.1.1", True)
    assert server.recipients == ([] if answer else ["q1@mail.example", "zo\u00eb@mail.example"])
    assert server.connections == 1, "a refusal does not cost the connection"


def test_content_follows_an_envelope_in_one_go_as_it_was(server: MailServer, server_settings: Settings) -> None:
    server.pipelines = True
    lines = "..\n.\nx\n" * 3
    sent(transport(server, server_settings), [Message("m", "Q", "q@mail.example", "s", lines)])
    (mail,) = server.arrived
    assert mail.get_content().replace("\r\n", "\n").rstrip("\n") == lines.rstrip("\n")


def test_an_envelope_in_one_go_is_repeated_on_a_new_connection(server: MailServer, server_settings: Settings) -> None:
    server.pipelines, server.per_connection = True, 3
    receipts = sent(transport(server, server_settings, connections=2), [message(n) for n in range(20)])
    assert {receipt.outcome for receipt in receipts.values()} == {"sent"}
    assert sorted(server.recipients) == sorted(f"q{n}@mail.example" for n in range(20))


def test_a_server_that_goes_on_after_it_refused_the_recipient_gets_no_content(server_settings: Settings) -> None:
    """One that asks for the content all the same would take what follows for a message."""
    replies = ["220 hi", "250-there\r\n250 PIPELINING", "250 ok", "550 5.1.1 nobody", "354 go on"]
    with scripted(replies) as (port, heard):
        way = {"host": "127.0.0.1", "port": port, "from_address": "club@shop.example", "timeout_seconds": 5}
        opened = EmailTransport(EmailSettings.model_validate(way), server_settings, Clock())
        receipts = sent(opened, [message(1)])
    assert receipts["c1-1"] == Receipt("c1-1", "failed", "recipient rejected 550 5.1.1", True)
    assert heard() == ["ehlo", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize("offered", [False, True])
def test_opportunistic_tls_is_used_where_it_is_offered(
    server_settings: Settings, tmp_path: Path, offered: bool
) -> None:
    context = None
    if offered:
        certificate, key = self_signed(tmp_path)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
    with serving(tls=context) as server:
        receipts = sent(transport(server, server_settings, security="opportunistic"), [message(1)])
        assert receipts["c1-1"].outcome == "sent", "whatever the certificate"
        assert server.encrypted == [offered]


def test_opportunistic_tls_sends_no_password_in_clear(server_settings: Settings) -> None:
    with serving(auth=True) as server:
        login = {"username": "mailer", "password": "s3cret", "security": "opportunistic"}
        receipts = sent(transport(server, server_settings, **login), [message(1)])
        assert receipts["c1-1"].reason == "mail server does not support what the channel asks for"
        assert server.arrived == []


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ("450 4.2.0 Greylisted, please come back in 00:04:59", 299),
        ("451 4.7.1 Greylisting in action, retry after 300 seconds", 300),
        ("421 4.7.0 Try again in 10 minutes", 600),
        ("451 4.3.2 please wait about 2 hours", 7200),
        ("452 4.2.2 mailbox full", 0),
        ("550 5.7.1 blocked for 24 hours", 0),
        ("450 4.2.0 come back in 90 hours", 4 * 3600),
    ],
)
def test_servers_say_when_to_come_back(answer: str, seconds: float) -> None:
    code, _, words = answer.partition(" ")
    assert receipt_of("m", Refused(Stage.RECIPIENT, int(code), words)).retry_after == seconds
