"""What is done to a mail before it leaves, what speaks against it, and its plain text."""

import random
import re

import httpx
import pytest

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.brands import brands
from rapport.channels.messages import Content
from rapport.messaging import content_checks, rendering, templates
from rapport.messaging.content import sanitised
from rapport.messaging.inlining import inlined
from rapport.messaging.plain_texts import text_of

CHECK = "/manage/v1/templates/check"
TOO_MANY = "There are 1001 links. At most 1000 of a template can be tracked."
LINK = '<a href="[%UNSUB%]">Stop</a>'


@pytest.fixture(scope="module", autouse=True)
def mail(scope: Scope) -> None:
    brands.create_brand(scope, "Shop", id=7, settings={"postal_address": "Shop Ltd,\n1 High Street, Leeds"})
    brands.create_brand(scope, "Receipts", brands.BrandKind.TRANSACTIONAL, id=8)
    channels.create_channel(scope, "Email", "email", settings={"brand_id": 7})
    channels.create_channel(scope, "Receipts", "email", id=520, settings={"brand_id": 8})


def test_rules_are_written_into_elements_and_conditions_stay_where_they_are(scope: Scope) -> None:
    html = (
        "<style>td{color:red}.big{font-size:20px !important}@media (max-width:1px){td{color:blue}}</style>"
        '<style media="print">td{color:black}</style>'
        "<table>[%IF:CITY=='Oslo'%]<tr><td class=\"big\">[%CITY:town%]</td></tr>[%END:IF%]</table>"
        '<a href="https://x.example/?a=[%CITY%]&amp;b=1">x</a>'
    )
    template = templates.save_template(scope, 504, "Styles", "s", html)
    shown = rendering.render(template, "Q1", {"CITY": "Oslo"}, {}, scope.now_local()).html
    assert re.search(r'<td class="big" style="[^"]*color: ?red[^"]*">Oslo</td>', shown), shown
    assert "font-size" in shown.partition('class="big"')[2]
    assert "@media (max-width:1px)" in shown
    assert "black" not in shown.partition("<table>")[2]
    assert 'href="https://x.example/?a=Oslo&amp;b=1"' in shown
    other = rendering.render(template, "Q1", {"CITY": "Bergen"}, {}, scope.now_local()).html
    assert "<td" not in other


def test_a_page_without_styles_stays_as_it_is() -> None:
    assert inlined("<p>[%X%]<br>&nbsp;</p>") == "<p>[%X%]<br>&nbsp;</p>"


def test_styles_without_end_are_not_written_into_elements() -> None:
    rules = "<style>p{" + "".join(f"a{number}:b;" for number in range(5_000)) + "}</style>"
    assert inlined(rules + "<p>x</p>" * 2_000) is None
    assert inlined(rules + "<p>x</p>" * 100) is None
    assert {remark.check for remark in content_checks.general_remarks(Content("s", "", rules + "<p>x</p>" * 100))} == {
        content_checks.ContentCheck.STYLES
    }


def test_nothing_that_acts_comes_out_of_styles() -> None:
    draw = random.Random(7)
    signs = ["{", "}", '"', "'", "\\", "/*", "*/", ";", ":", "p", "color", "red", "<", ">", "</", "&quot;", "url(", ")"]
    signs += ["onclick=x", "\\22", "--a", "expression(", "\n", "@media", "é", "<!--", "-->", "[%X%]", ' onload="x"']
    for _ in range(2_000):
        rules = "".join(draw.choice(signs) for _ in range(20))
        page = sanitised(f"<style>p{{{rules}}}</style><p class=a>x</p>")
        made = inlined(page)
        assert made is not None
        assert sanitised(made) == made
        assert not re.search(r"<[^>]*\son\w+\s*=[^>]*>", re.sub(r'"[^"]*"|<style>.*?</style>', "", made, flags=re.S))


def test_a_title_is_no_text() -> None:
    assert sanitised("<html><head><title>Mail</title></head><body><p>x</p></body></html>") == "<p>x</p>"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<ul><li>a</li><li>b<ol><li>c</li><li>d</li></ol></li></ul><p>e</p>", "- a\n- b\n  1. c\n  2. d\n\ne"),
        (
            "<table><tr><th>Name</th><th>Price</th></tr><tr><td>Hat</td><td>12 EUR</td></tr></table>",
            "Name | Price\nHat | 12 EUR",
        ),
        ("<table><tr><td><p>a</p></td><td></td><td><p>b</p></td></tr></table>", "a\n\nb"),
        ('<a href="https://x.example/"><img src="a.png" alt="Our  shop"></a>', "Our shop (https://x.example/)"),
        ('<a href="https://x.example/"><img src="a.png"></a>', "https://x.example/"),
        (
            '<a href="https://x.example/">x.example</a> <a href="mailto:a@x.example">a@x.example</a>',
            "x.example a@x.example",
        ),
        ('<a href="#top">Top</a><hr><a href="[%UNSUB%]">Stop</a>', "Top\n---\nStop ([%UNSUB%])"),
        ("<h1>One</h1><p>two<br>three</p><dl><dt>a</dt><dd>b</dd></dl>", "One\n\ntwo\nthree\n\na\nb"),
        ("[%IF:A&gt;1%]<p>x</p>[%END:IF%]", "[%IF:A>1%]\nx\n[%END:IF%]"),
    ],
)
def test_plain_text(html: str, expected: str) -> None:
    assert text_of(html) == expected


def found(api: httpx.Client, **content: object) -> set[tuple[str, str]]:
    answer = api.post(CHECK, json=content)
    assert answer.status_code == 200, answer.text
    return {(warning["check"], warning["part"]) for warning in answer.json()["warnings"]}


def test_marketing_mail_has_a_way_out_and_an_address(api: httpx.Client) -> None:
    bare = {"subject": "Hello", "html": "<p>Hi</p>", "text": "Hi"}
    parts = ("html", "text")
    expected = {(check, part) for check in ("unsubscribe_link", "postal_address") for part in parts}
    assert found(api, **bare, channel_id=504) == expected
    whole = {
        "html": f"<p>Shop Ltd<br>1 High Street<br>Leeds</p>{LINK}",
        "text": "[%UNSUB%] Shop Ltd 1 high street Leeds",
    }
    assert found(api, subject="Hello", **whole, channel_id=504) == set()
    assert found(api, **bare, channel_id=520) == set()
    assert found(api, **bare) == set()
    assert api.post(CHECK, json={**bare, "channel_id": 99}).status_code == 404


@pytest.mark.parametrize(
    ("html", "message"),
    [
        ('<a href="www.shop.example">x</a>', "An address does not begin with https://: 'www.shop.example'."),
        ('<a href="/a">x</a><img src="b.png">', "An address does not begin with https://: '/a', 'b.png'."),
        ('<a href="http://localhost:8000/">x</a>', "An address leads to a private host: 'http://localhost:8000/'."),
        ('<a href="https://192.168.1.7/a">x</a>', "An address leads to a private host: 'https://192.168.1.7/a'."),
        ('<a href="https://wiki.intranet/">x</a>', "An address leads to a private host: 'https://wiki.intranet/'."),
        ('<a href="">x</a>', "A link leads nowhere: ''."),
        (
            '<a href="https://a.example/">x</a>' * 1001,
            TOO_MANY,
        ),
        ('<a href="[%UNSUB%]">x</a><a href="https://[%CITY%].x.example">x</a><a href="#a">a</a>', None),
        ('<a href="mailto:a@x.example">x</a><a href="https://8.8.8.8/">x</a>', None),
        ("<p>" + "ж" * 60_000, "The HTML has 120 kB with its styles. Gmail shows about the first 100 kB only."),
    ],
)
def test_links_and_size(api: httpx.Client, html: str, message: str | None) -> None:
    warnings = api.post(CHECK, json={"subject": "Hello", "html": html}).json()["warnings"]
    assert [warning["message"] for warning in warnings] == ([] if message is None else [message])


@pytest.mark.parametrize(
    ("subject", "text", "expected"),
    [
        ("Free money", "Get Rich Quick", {("spam_words", "subject"), ("spam_words", "text")}),
        ("SPRING OFFERS", "x", {("spam_words", "subject")}),
        ("Spring!!", "x", {("spam_words", "subject")}),
        ("Spring! [%FIRST_NAME:FRIEND%]", "Risky freedom", set()),
    ],
)
def test_words(api: httpx.Client, subject: str, text: str, expected: set[tuple[str, str]]) -> None:
    assert found(api, subject=subject, text=text) == expected


def test_a_save_tells_what_speaks_against_it_and_errors_refuse_it(api: httpx.Client) -> None:
    saved = api.post("/manage/v1/channels/504/templates", json={"name": "W", "subject": "Hello", "html": "<p>x</p>"})
    assert saved.status_code == 201
    assert [warning["check"] for warning in saved.json()["warnings"]] == ["unsubscribe_link", "postal_address"]
    checked = api.post(CHECK, json={"subject": "[%NOPE%]", "mjml": "<mjml><mj-body></mj-body></mjml>"}).json()
    assert ([problem["part"] for problem in checked["problems"]], checked["warnings"]) == (["subject"], [])
