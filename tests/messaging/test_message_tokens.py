"""Tokens of messages say what was written into them, however short or long that is, and nothing else is one."""

import base64
import binascii
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.access.models import TenantSecret
from rapport.access.scope import Scope
from rapport.errors import NotFound
from rapport.messaging.tracking.tokens import (
    FORMS,
    RETURN_FORM,
    RETURN_TOKEN,
    SentFor,
    TokenReader,
    TokenWriter,
    message_key,
    newest_secret,
)

NUMBERS = st.one_of(st.integers(0, 200), st.integers(0, 2**62))


@pytest.fixture(scope="module")
def secret(scope: Scope) -> TenantSecret:
    return newest_secret(scope)


@pytest.fixture(scope="module")
def reader(scope: Scope) -> TokenReader:
    return TokenReader(scope.stores)


@given(
    source_id=NUMBERS,
    channel_id=st.integers(0, 2**31),
    template_id=st.integers(0, 2**31),
    message_id=st.text(st.sampled_from("0123456789abcdef"), min_size=40, max_size=40),
    customer_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    sent_for=st.sampled_from(SentFor),
)
@settings(deadline=None)
def test_what_is_written_is_read(
    scope: Scope,
    secret: TenantSecret,
    reader: TokenReader,
    source_id: int,
    channel_id: int,
    template_id: int,
    message_id: str,
    customer_id: str,
    sent_for: SentFor,
) -> None:
    writer = TokenWriter(scope, sent_for, source_id, channel_id, template_id, newest=secret)
    place = (scope.tenant_id, sent_for, source_id, channel_id, template_id, message_key(message_id))
    token = writer.link_token(message_id, customer_id)
    link = reader.read(token)
    assert (link.tenant_id, link.sent_for, link.source_id, link.channel_id, link.template_id, link.message_key) == place
    assert link.customer_id == customer_id
    returned = reader.read(writer.return_token(message_id).upper())
    assert (returned.source_id, returned.channel_id, returned.template_id) == (source_id, channel_id, template_id)
    signed = writer.signed_destination(token, 7, "https://shop.example/")
    assert reader.destination(token, 7, signed) == "https://shop.example/"
    view = writer.view_token(message_id, customer_id)
    assert reader.read_view(view) == link
    for other in (view, writer.return_token(message_id)[:-1]):
        with pytest.raises(NotFound):
            reader.read(other)
    for other in (token, writer.return_token(message_id)):
        with pytest.raises(NotFound):
            reader.read_view(other)
    for other in (token[:-1], token[1:], token[:-2] + "AA"):
        if other != token:
            with pytest.raises(NotFound):
                reader.read(other)


@pytest.mark.parametrize("tenant", [b"\x05", b"\xff" * 9 + b"\x00", b"\xff" * 20])
def test_a_token_of_no_tenant_is_refused_as_any_other(reader: TokenReader, tenant: bytes) -> None:
    for head in (b"\x12", b"\x22", b"\xf2"):
        body = head + b"\x01" + tenant + bytes(30)
        with pytest.raises(NotFound, match="This address is not valid"):
            reader.read(base64.urlsafe_b64encode(body).decode().rstrip("="))


def test_the_shortest_token_of_a_link_whose_letters_are_those_of_a_return_path_is_read(
    scope: Scope, secret: TenantSecret, reader: TokenReader
) -> None:
    """Some of very many short tokens have only letters and digits of base32, at lengths that base32 does not have."""
    writer = TokenWriter(scope, SentFor.CAMPAIGN, 1, 1, 1, newest=secret)
    for number in range(3000):
        message_id = f"{number:040x}"
        assert reader.read(writer.link_token(message_id, "12"[: number % 3])).message_key == message_key(message_id)


def test_the_token_of_a_link_that_base32_can_be_read_of_too_is_that_of_a_link(
    scope: Scope, secret: TenantSecret, reader: TokenReader
) -> None:
    """About one token in a thousand is one, by the numbers and the time in it; the tenant's number may rule it out."""
    ambiguous: list[tuple[str, str]] = []
    for number in range(40_000):
        written_at = datetime.fromtimestamp(1_500_000_000 + 10_007 * number, UTC)
        numbers = (number % 60 + 1, 500 + number % 16, number % 7 + 1)
        writer = TokenWriter(scope, SentFor.CAMPAIGN, *numbers, newest=secret, written_at=written_at)
        customer_id = "C0000177"[: 1 + number % 8]
        token = writer.link_token(f"{number:040x}", customer_id)
        if could_be_return_path(token):
            ambiguous.append((token, customer_id))
    if not ambiguous:
        pytest.skip(f"the number of tenant {scope.tenant_id} is written with a sign that base32 has not")
    for token, customer_id in ambiguous:
        assert reader.read(token).customer_id == customer_id


def could_be_return_path(token: str) -> bool:
    """Whether only its signature tells that a token is no return path."""
    with suppress(binascii.Error):
        padded = token.upper() + "=" * (-len(token) % 8)
        return bool(RETURN_TOKEN.fullmatch(token)) and base64.b32decode(padded)[0] % FORMS == RETURN_FORM
    return False
