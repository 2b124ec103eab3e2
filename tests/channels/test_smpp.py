"""SMPP 3.4 to a real centre on loopback: binds, windows, long texts, throttling, lost connections, receipts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from gateway_server import eventually
from sms_centre import SmsCentre, sms_centre

from rapport.access.scope import Scope
from rapport.channels import opening
from rapport.channels import service as channels
from rapport.channels.messages import Message, Origin, Receipt
from rapport.channels.models import Channel
from rapport.channels.sms import submissions
from rapport.channels.sms.smpp import SmppTransport
from rapport.errors import Unavailable

SMS = 493
SETTINGS: dict[str, Any] = {
    "via": "smpp",
    "host": "127.0.0.1",
    "system_id": "northwind",
    "password": "pass",
    "sender": "Northwind",
    "window": 5,
    "timeout_seconds": 5,
}


@pytest.fixture
def centre() -> Iterator[SmsCentre]:
    with sms_centre() as server:
        yield server


@contextmanager
def opened(scope: Scope, centre: SmsCentre, **settings: Any) -> Iterator[SmppTransport]:
    channel = Channel(
        tenant_id=scope.tenant_id, id=SMS, kind="sms", settings={**SETTINGS, "port": centre.port, **settings}
    )
    transport = opening.transport(scope, channel)
    assert isinstance(transport, SmppTransport)
    try:
        yield transport
    finally:
        transport.close()


def message(place: int, text: str = "Hello", to: str = "") -> Message:
    token = f"token{place:030d}"
    return Message(
        f"{place:040x}", f"C{place}", to or f"+4917139200{place:02d}", text=text, return_token=token, origin=Origin(SMS)
    )


def became(receipts: list[Receipt]) -> dict[int, tuple[str, str, bool]]:
    return {int(each.message_id, 16): (each.outcome, each.reason, each.permanent) for each in receipts}


def test_messages_are_submitted_within_the_window(scope: Scope, centre: SmsCentre) -> None:
    with opened(scope, centre) as transport:
        receipts = list(transport.send(message(place) for place in range(30)))
        assert became(receipts) == dict.fromkeys(range(30), ("sent", "", False))
        assert (centre.binds, centre.bound) == (1, 1)
        transport.check()
    assert sorted(each.to for each in centre.submissions) == [f"4917139200{place:02d}" for place in range(30)]
    sent = centre.submissions[0]
    assert (sent.source, sent.text, sent.coding, sent.esm_class, sent.registered) == (
        (5, 0, "Northwind"),
        "Hello",
        0,
        0,
        1,
    )
    kept = submissions.tokens_of(scope, SMS, [each.given_id for each in centre.submissions])
    assert len(set(kept.values())) == 30
    eventually(lambda: centre.bound == 0)


@pytest.mark.parametrize(
    ("sender", "source"), [("+4915112345678", (1, 1, "4915112345678")), ("55055", (3, 0, "55055"))]
)
def test_a_sender_is_a_number_or_a_short_code_or_letters(
    scope: Scope, centre: SmsCentre, sender: str, source: tuple[int, int, str]
) -> None:
    with opened(scope, centre, sender=sender) as transport:
        list(transport.send([message(1)]))
    assert centre.submissions[0].source == source


def test_a_long_text_is_put_together_again_by_its_headers(scope: Scope, centre: SmsCentre) -> None:
    texts = {1: "long €uro " * 40, 2: "Łódź " * 40}
    with opened(scope, centre) as transport:
        receipts = list(transport.send(message(place, text) for place, text in texts.items()))
    assert {each.outcome for each in receipts} == {"sent"} and len(receipts) == 2
    for place, coding in ((1, 0), (2, 8)):
        parts = [each for each in centre.submissions if each.to.endswith(f"0{place}")]
        headers = [part.octets[:6] for part in parts]
        assert [(header[0], header[1], header[2]) for header in headers] == [(5, 0, 3)] * len(parts)
        assert len({header[3] for header in headers}) == 1, "one reference"
        assert [(header[4], header[5]) for header in headers] == [(len(parts), n) for n in range(1, len(parts) + 1)]
        assert all(part.esm_class == 0x40 and part.coding == coding and len(part.octets) <= 140 + 19 for part in parts)
        text = "".join(part.text for part in sorted(parts, key=lambda part: part.octets[5]))
        assert text.replace("\x1be", "€") == texts[place]


def test_what_the_centre_refuses_is_told_as_it_is(scope: Scope, centre: SmsCentre) -> None:
    with opened(scope, centre) as transport:
        receipts = became(list(transport.send(message(place) for place in (1, 50, 99))))
        assert receipts == {
            1: ("sent", "", False),
            50: ("failed", "SMS centre refused it 0x08", False),
            99: ("failed", "no such number", True),
        }
        assert became(list(transport.send([message(50)]))) == {50: ("sent", "", False)}


def test_a_centre_that_wants_less_gets_the_same_message_a_moment_later(scope: Scope, centre: SmsCentre) -> None:
    with opened(scope, centre) as transport:
        receipts = became(list(transport.send(message(place) for place in range(50, 70))))
    assert receipts[58] == ("sent", "", False)
    assert centre.asked["491713920058"] == 3 and centre.to["491713920058"] == 1
    assert all(times == 1 for times in centre.to.values())


def test_a_bind_that_was_lost_is_opened_again(scope: Scope, centre: SmsCentre) -> None:
    with opened(scope, centre, window=1) as transport:
        centre.hang_up_after = 3
        receipts = became(list(transport.send(message(place) for place in range(10))))
        assert receipts.pop(2) == ("failed", "SMS centre did not answer", False)
        assert set(receipts.values()) == {("sent", "", False)}
        assert centre.binds == 2


def test_a_centre_that_is_away_is_told_from_one_that_refuses(scope: Scope, centre: SmsCentre) -> None:
    with opened(scope, centre, password="wrong") as transport:
        (receipt,) = transport.send([message(1)])
        assert (receipt.reason, receipt.away) == ("SMS centre refused the login", False)
        with pytest.raises(Unavailable, match="The SMS centre refused the login"):
            transport.check()
    with opened(scope, replace_port(centre)) as transport:
        (receipt,) = transport.send([message(1)])
        assert (receipt.reason, receipt.away, receipt.permanent) == ("SMS centre cannot be reached", True, False)


def replace_port(centre: SmsCentre) -> SmsCentre:
    with sms_centre() as gone:
        return replace(centre, port=gone.port)


def test_a_silent_centre_is_asked_whether_it_is_there_and_left(scope: Scope, centre: SmsCentre) -> None:
    with opened(scope, centre, enquire_seconds=0.1, timeout_seconds=1) as transport:
        list(transport.send([message(1)]))
        eventually(lambda: centre.enquiries > 0)
        centre.held = True
        began = time.monotonic()
        (receipt,) = transport.send([message(2)])
        assert receipt.reason == "SMS centre did not answer" and time.monotonic() - began < 10
        centre.held = False
        assert [each.outcome for each in transport.send([message(3)])] == ["sent"]


def test_no_more_leaves_in_a_second_than_the_settings_allow(scope: Scope, centre: SmsCentre) -> None:
    with opened(scope, centre, per_second=50) as transport:
        began = time.monotonic()
        list(transport.send(message(place) for place in range(20)))
        assert time.monotonic() - began >= 19 / 50


def test_settings_are_checked(scope: Scope) -> None:
    for settings, words in (({"host": ""}, "settings.host is required"), ({"system_id": ""}, "settings.system_id is")):
        with pytest.raises(Exception, match=words):
            channels.create_channel(scope, "Centre", "sms", settings={**SETTINGS, **settings})
