"""Tracked links and tokens: what is rewritten, what is not, and that nothing of it can be forged."""

import base64
import re
from datetime import timedelta

import pytest

from rapport.access.scope import Scope
from rapport.channels.messages import Content
from rapport.errors import NotFound
from rapport.messaging.contactability import suppressions
from rapport.messaging.models import Template
from rapport.messaging.tracking import links, rewriting
from rapport.messaging.tracking.rewriting import MARK, MOST_LINKS, tracked
from rapport.messaging.tracking.tokens import MessageToken, SentFor, TokenReader, TokenWriter, message_key
from rapport.messaging.tracking.tracking import Tracking

MESSAGE_ID = "0123456789abcdef0123456789abcdef01234567"
UNTRACKED = (
    "mailto:shop@example.com",
    "tel:+3112345",
    "#top",
    "[%UNSUB%]",
    "[%UNSUBSCRIBE_URL%]",
    "/relative",
    "https://",
)


def numbered(urls: list[str]) -> dict[str, int]:
    return {url: number for number, url in enumerate(urls, start=1)}


def writer(scope: Scope) -> TokenWriter:
    return TokenWriter(scope, SentFor.CAMPAIGN, 7731, 504, 11)


def test_links_of_html_become_numbers_and_a_pixel_is_added() -> None:
    page = '<p><a href="https://shop.example/a?x=1&amp;y=2">A</a> <a href="https://shop.example/a?x=1&amp;y=2">again</a></p>'
    content = tracked(page, "", numbered)
    assert content.html.count('href="[%RAPPORT_CLICK%]/1"') == 2
    assert "shop.example" not in content.html and "[%RAPPORT_PIXEL%]" in content.html
    assert not content.signs
    seen: list[str] = []
    tracked(page, "", lambda urls: seen.extend(urls) or numbered(list(urls)))  # type: ignore[func-returns-value]
    assert seen == ["https://shop.example/a?x=1&y=2"]


@pytest.mark.parametrize("address", UNTRACKED)
def test_what_is_no_link_to_a_page_is_left_alone(address: str) -> None:
    page = f'<a href="{address}">x</a>'
    assert tracked(page, address, numbered).html.startswith(page)
    assert tracked(page, address, numbered).text == address


def test_plain_text_is_tracked_without_the_end_of_the_sentence() -> None:
    text = "Look (https://shop.example/a), or at https://shop.example/b. Bye [%UNSUBSCRIBE_URL%]"
    expected = "Look ([%RAPPORT_CLICK%]/1), or at [%RAPPORT_CLICK%]/2. Bye [%UNSUBSCRIBE_URL%]"
    assert tracked("", text, numbered).text == expected


def test_images_and_styles_keep_their_addresses() -> None:
    page = '<img src="https://cdn.example/x.png"><link href="https://cdn.example/x.css"><p>https://shop.example</p>'
    assert tracked(page, "", numbered).html.startswith(page)


def test_of_very_many_links_the_first_are_tracked() -> None:
    page = "".join(f'<a href="https://shop.example/{number}">x</a>' for number in range(MOST_LINKS + 5))
    assert tracked(page, "", numbered).html.count("[%RAPPORT_CLICK%]") == MOST_LINKS


def test_an_address_with_placeholders_is_signed_when_it_is_filled() -> None:
    page = '<a href="https://shop.example/?c=[%CUSTOMER_ID%]">x</a>'
    content = tracked(page, "Go to https://shop.example/?c=[%CUSTOMER_ID%].", numbered)
    assert content.signs
    filled = content.html.replace("[%CUSTOMER_ID%]", "Q%201&amp;b=%22")
    signed = rewriting.signed_page(filled, lambda number, url: f"<{number} {url}>")
    assert signed.startswith('<a href="&lt;1 https://shop.example/?c=Q%201&amp;b=%22&gt;">x</a>')
    text = rewriting.signed_text(content.text.replace("[%CUSTOMER_ID%]", "Q1"), lambda number, url: f"<{number} {url}>")
    assert text == "Go to <1 https://shop.example/?c=Q1>."
    broken = rewriting.signed_text(content.text.replace("[%CUSTOMER_ID%]", "Q 1"), lambda number, url: "never")
    assert MARK not in broken and "never" not in broken


def test_what_fills_a_whole_address_may_be_no_page() -> None:
    content = tracked('<a href="[%LINK%]">x</a>', "", numbered)
    signed = rewriting.signed_page(
        content.html.replace("[%LINK%]", "mailto:me@example.com"), lambda number, url: "never"
    )
    assert signed.startswith('<a href="mailto:me@example.com">x</a>')


def test_tokens_tell_the_message_and_survive_another_case(scope: Scope) -> None:
    scope.clock.set(None)
    reader = TokenReader(scope.stores)
    tokens = writer(scope)
    returned = tokens.return_token(MESSAGE_ID)
    assert len(returned) <= 57, "an address has room for 64 characters, some of them of the brand's"
    expected = MessageToken(scope.tenant_id, SentFor.CAMPAIGN, 7731, 504, 11, message_key(MESSAGE_ID))
    assert reader.read(returned) == reader.read(returned.upper()) == expected
    message = reader.read(tokens.link_token(MESSAGE_ID, "Zoë/1"))
    assert (message.customer_id, message.message_key) == ("Zoë/1", MESSAGE_ID[:16])
    assert message.written_at is not None and abs((scope.clock.now() - message.written_at).total_seconds()) < 60


def test_largest_numbers_fit_into_an_address(scope: Scope) -> None:
    tokens = TokenWriter(scope, SentFor.TRANSACTIONAL, 2**31 - 1, 2**31 - 1, 2**31 - 1)
    assert len(tokens.return_token("any id at all")) <= 57


def test_no_token_can_be_forged(scope: Scope) -> None:
    reader, tokens = TokenReader(scope.stores), writer(scope)
    for token in (tokens.return_token(MESSAGE_ID), tokens.link_token(MESSAGE_ID, "Q1")):
        for place in range(len(token)):
            other = token[:place] + ("b" if token[place] != "b" else "c") + token[place + 1 :]
            with pytest.raises(NotFound):
                reader.read(other)
    for nonsense in ("", "x", "a" * 50, "A" * 60, "é" * 40, base64.urlsafe_b64encode(b"\x02" + b"\xff" * 60).decode()):
        with pytest.raises(NotFound):
            reader.read(nonsense)


def test_a_destination_is_good_for_its_message_and_link_only(scope: Scope) -> None:
    reader, tokens = TokenReader(scope.stores), writer(scope)
    mine, other = tokens.link_token(MESSAGE_ID, "Q1"), tokens.link_token(MESSAGE_ID, "Q2")
    signed = tokens.signed_destination(mine, 5, "https://shop.example/é")
    assert reader.destination(mine, 5, signed) == "https://shop.example/é"
    for token, number, text in ((other, 5, signed), (mine, 6, signed), (mine, 5, signed[:-2] + "AA"), (mine, 5, "")):
        with pytest.raises(NotFound):
            reader.destination(token, number, text)


def test_rotated_secrets_are_read_as_long_as_they_are_good(scope: Scope) -> None:
    before = writer(scope).link_token(MESSAGE_ID, "Q1")
    suppressions.rotate_link_keys(scope, timedelta(days=1))
    assert TokenReader(scope.stores).read(before).customer_id == "Q1"
    suppressions.rotate_link_keys(scope, timedelta(0))
    with pytest.raises(NotFound):
        TokenReader(scope.stores).read(before)
    assert TokenReader(scope.stores).read(writer(scope).link_token(MESSAGE_ID, "Q1")).customer_id == "Q1"


def test_addresses_are_kept_once_and_stay(scope: Scope) -> None:
    first = links.link_ids(scope, ["https://a.example/", "https://b.example/"])
    assert (
        links.link_ids(scope, ["https://b.example/", "https://c.example/"])["https://b.example/"]
        == first["https://b.example/"]
    )
    assert links.destination(scope, first["https://a.example/"]) == "https://a.example/"
    with pytest.raises(NotFound):
        links.destination(scope, 99_999)


def test_a_template_is_tracked_whole(scope: Scope) -> None:
    page = '<p><a href="https://shop.example/x">x</a> <a href="[%UNSUB%]">bye</a></p>'
    template = Template(tenant_id=scope.tenant_id, channel_id=504, id=11, name="T", subject="S", html=page, text="")
    tracking = Tracking(scope, template, writer(scope))
    values = tracking.values("TOKEN")
    assert re.fullmatch(r"http.*/l/TOKEN", values["RAPPORT_CLICK"])
    assert re.fullmatch(r"http.*/o/TOKEN[.]gif", values["RAPPORT_PIXEL"])
    assert "RAPPORT_CLICK" in tracking.template.text, "the text that is made of the HTML has the links, too"
    content = Content("S", "t", "h")
    assert tracking.signed(content, "TOKEN") is content
