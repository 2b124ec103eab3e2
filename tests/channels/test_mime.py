"""A message keeps to the limits of lines and headers, whatever its texts hold, and no text becomes a header."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.channels import mime
from rapport.channels.messages import Message
from rapport.channels.settings import EmailSettings

NOW = datetime(2026, 3, 9, tzinfo=UTC)
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "List-Unsubscribe"]
PIECES = ["a", " ", "é", "🎉", "\r", "\n", ":", '"', "\\", "<", ">", ",", "=?utf-8?q?x?=", "\0"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=150).map("".join)


def composed(subject: str = "s", name: str = "", unsubscribe: str = "<https://a.example/u>") -> bytes:
    settings = EmailSettings.model_construct(from_address="club@shop.example", from_name=name)
    message = Message("m1", "Q1", "q1@mail.example", subject, "t", headers={"List-Unsubscribe": unsubscribe})
    return mime.compose(message, settings, NOW)


def require_limits(content: bytes) -> None:
    head = content.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert all(len(word) <= 75 for line in head for word in line.split() if word.startswith(b"=?"))
    assert [line.split(b":")[0].decode() for line in head if line[:1] != b" "][: len(HEADERS)] == HEADERS


@given(TEXTS, TEXTS, TEXTS)
def test_no_text_breaks_a_header(subject: str, name: str, unsubscribe: str) -> None:
    content = composed(subject, name, unsubscribe)
    require_limits(content)
    parsed = message_from_bytes(content, policy=policy.default)
    assert [address.addr_spec for address in parsed["From"].addresses] == ["club@shop.example"]


@pytest.mark.parametrize("name", ["🎉" * 200, "Café " * 40, 'A "quoted", name', "=?utf-8?q?fake?=", "x" * 200])
def test_a_senders_name_arrives_as_it_is(name: str) -> None:
    content = composed(name=name)
    require_limits(content)
    given, address = parseaddr(message_from_bytes(content)["From"])
    assert (str(make_header(decode_header(given))), address) == (name.strip(), "club@shop.example")


@pytest.mark.parametrize("letter", ["a", "é"])
def test_a_subject_without_end_is_cut(letter: str) -> None:
    content = composed(subject=letter * 1_000_000)
    require_limits(content)
    assert message_from_bytes(content, policy=policy.default)["Subject"] == letter * 1000


@given(TEXTS, st.sampled_from(["Subject", "From", "X-" + "n" * 74]))
def test_encoded_words_say_what_the_text_does(text: str, name: str) -> None:
    encoded = mime._words(name, text)
    lines = f"{name}: {encoded}".split("\r\n ")
    assert all(len(line) <= 76 for line in lines[1:])
    assert all(len(word) <= 75 for word in encoded.split())
    assert str(make_header(decode_header(encoded.replace("\r\n", "")))) == text
