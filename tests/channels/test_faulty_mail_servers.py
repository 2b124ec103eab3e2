"""Whatever a mail server does at any point: each message has one receipt, which is true, and no other is harmed."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from faulty_mail_server import (
    HARMLESS,
    HEARD,
    NOT_TAKEN,
    Fault,
    FaultyMailServer,
    Point,
    assert_true_sums,
    faults_at,
    faulty_mail_server,
)
from rapport.channels import connection_pool
from rapport.channels.email import EmailTransport
from rapport.channels.messages import Message, Receipt
from rapport.channels.settings import EmailSettings
from rapport.settings import Settings
from rapport.stores.clock import Clock

# A silence takes as long as the first; all other faults are met at once, however long a busy machine takes.
SILENCE_SECONDS, WAIT_SECONDS = 0.3, 30
CONNECTIONS, MESSAGES = 2, 8
ROUNDS = 1000
# Points before any message: what fails there says nothing of one.
OPENING = (Point.GREETING, Point.EHLO, Point.STARTTLS, Point.TLS, Point.AUTH)
LOGIN, TLS = {"username": "mailer", "password": "s3cret"}, "opportunistic"


@pytest.fixture(scope="module", params=[False, True], ids=["step by step", "in one go"])
def server(request: pytest.FixtureRequest) -> Iterator[FaultyMailServer]:
    with faulty_mail_server(pipelines=request.param, has_tls=True) as started:
        yield started


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_pool, "DOWN_SECONDS", 0.002)


def transport(server: FaultyMailServer, **more: object) -> EmailTransport:
    way = {"host": "127.0.0.1", "port": server.port, "from_address": "club@shop.example", "connections": CONNECTIONS}
    channel = EmailSettings.model_validate({**way, "timeout_seconds": WAIT_SECONDS, **more})
    return EmailTransport(channel, Settings(allow_private_addresses=True), Clock())


def letters(numbers: range) -> dict[str, Message]:
    return {f"m{n}": Message(f"m{n}", f"Q{n}", f"q{n}@mail.example", "Hi", ".\n.Hello\n.") for n in numbers}


def sent_in_the_end(opened: EmailTransport, messages: dict[str, Message]) -> dict[str, list[Receipt]]:
    """The receipts of each message, which is tried again until it was sent, or refused for good."""
    receipts: dict[str, list[Receipt]] = {name: [] for name in messages}
    left = messages
    for _ in range(ROUNDS):
        answers = list(opened.send(left.values()))
        assert sorted(receipt.message_id for receipt in answers) == sorted(left), "one receipt each"
        for receipt in answers:
            receipts[receipt.message_id].append(receipt)
        left = {
            receipt.message_id: messages[receipt.message_id]
            for receipt in answers
            if receipt.outcome == "failed" and not receipt.permanent
        }
        if not left:
            return receipts
    raise AssertionError(f"still not sent: {receipts}")


def cases(pipelines: bool) -> list[Any]:
    """What comes before a message, or after it, is the same whether servers take the envelope in one go."""
    return [
        pytest.param(pipelines, point, fault, id=f"{fault} at {point}{' in one go' if pipelines else ''}")
        for point in Point
        for fault in faults_at(point)
        if not pipelines or point not in (*OPENING, Point.QUIT)
    ]


@pytest.mark.parametrize(("server", "point", "fault"), [*cases(False), *cases(True)], indirect=["server"])
def test_a_fault_at_any_point(server: FaultyMailServer, point: Point, fault: Fault) -> None:
    server.forget()
    server.per_connection = 2  # connections are opened again and again
    if point is Point.RSET:  # which only comes after a refusal
        server.order(Point.RCPT, [Fault.DEFERRED] * 2)
    server.order(point, [fault] * 2, every=1 if point in (Point.RSET, Point.QUIT) else 2)
    is_encrypted = point in (Point.STARTTLS, Point.TLS)
    way = {"security": TLS if is_encrypted else "none", **(LOGIN if point in OPENING else {})}
    opened = transport(server, **way, timeout_seconds=SILENCE_SECONDS if fault is Fault.SILENT else WAIT_SECONDS)
    messages = letters(range(MESSAGES))
    receipts = sent_in_the_end(opened, messages)
    opened.close()
    assert server.met[point, fault] == 2 or point is Point.QUIT
    assert_true_sums(server, {messages[name].to: own[-1].outcome for name, own in receipts.items()})
    in_doubt = point is Point.CONTENT and fault not in (*HEARD, *NOT_TAKEN)
    assert server.doubtful.total() == (2 if in_doubt else 0)
    if fault in HARMLESS and point is not Point.RSET:
        assert all(len(own) == 1 for own in receipts.values())
    if (point, fault) == (Point.TLS, Fault.GARBAGE):
        return  # may be taken for a wrong setting
    failures = [receipt for own in receipts.values() for receipt in own if receipt.outcome == "failed"]
    is_met_later = (point, fault) == (Point.AUTH, Fault.TWICE)
    if point in OPENING and fault is not Fault.REFUSED and not is_met_later:
        assert all(receipt.away for receipt in failures), "nothing was asked about a message"
    else:
        assert not any(receipt.away for receipt in failures)


@pytest.mark.parametrize(("point", "stage"), [(Point.MAIL, "sender"), (Point.RCPT, "recipient")])
def test_a_refusal_is_heard_although_the_connection_ends(server: FaultyMailServer, point: Point, stage: str) -> None:
    server.forget()
    server.order(point, [Fault.CLOSING], every=1)
    opened = transport(server)
    (receipt,) = opened.send(letters(range(1)).values())
    opened.close()
    assert receipt == Receipt("m0", "failed", f"{stage} deferred 421 4.3.2")


def test_old_connections_that_end_while_no_new_one_is_taken_say_nothing_of_a_message(server: FaultyMailServer) -> None:
    server.forget()
    server.per_connection, server.most_in_all, server.content_seconds = 1, CONNECTIONS, 0.2
    opened = transport(server)
    assert {receipt.outcome for receipt in opened.send(letters(range(CONNECTIONS)).values())} == {"sent"}
    (receipt,) = opened.send(letters(range(CONNECTIONS, CONNECTIONS + 1)).values())
    opened.close()
    assert receipt.outcome == "failed"
    assert receipt.away, "each connection ended before it was asked about the message"


def test_a_server_that_takes_fewer_connections_gets_fewer(server: FaultyMailServer) -> None:
    server.forget()
    server.most_open = 1
    opened = transport(server, connections=6)
    receipts = list(opened.send(letters(range(60)).values()))
    opened.close()
    assert {receipt.outcome for receipt in receipts} == {"sent"} and len(server.acknowledged) == 60


def test_what_waits_for_a_connection_is_told_when_the_last_one_has_ended(server: FaultyMailServer) -> None:
    server.forget()
    server.most_in_all = 1
    server.order(Point.CONTENT, [Fault.ENDED], every=3)
    opened = transport(server, connections=6)
    became = Counter(receipt.became for receipt in opened.send(letters(range(60)).values()))
    opened.close()
    assert became == {"sent": 2, "deferred": 1, "away": 57}
