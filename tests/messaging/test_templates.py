"""Templates: what tags become, escaping by place, sanitising, plain text, ids and validation."""

import re
import time
from contextlib import suppress
from datetime import date, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import inspect, update

from least_time import stays_within
from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.messages import Content
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging import rendering, templates
from rapport.messaging.content import sanitised
from rapport.messaging.editions import Editions
from rapport.messaging.models import Template
from rapport.messaging.plain_texts import text_of
from rapport.messaging.tags import addresses, checking, scanning
from rapport.messaging.tags.compiling import Compiled
from rapport.messaging.tags.scanning import TextKind


@pytest.fixture(scope="module", autouse=True)
def two_channels(scope: Scope) -> None:
    channels.create_channel(scope, "Email", "email")
    channels.create_channel(scope, "SMS", "external")


def made(subject: str = "s", html: str = "", text: str = "") -> Template:
    return Template(tenant_id=1, channel_id=504, id=1, name="t", subject=subject, html=html, text=text)


def test_texts_of_details_are_filled_however_deep() -> None:
    template = made(text="t")
    template.details = {"url": "https://x.test/?c=[%CITY%]", "buttons": [{"text": "[%CITY:here%]", "id": "b"}], "n": 3}
    filled = {"url": "https://x.test/?c=Oslo", "buttons": [{"text": "Oslo", "id": "b"}], "n": 3}
    assert rendered(template, {"CITY": "Oslo"}, {}).details == filled
    assert rendered(template, {}, {}).details["buttons"][0]["text"] == "here"
    assert {field.key for field in rendering.compiled(template).fields} == {"CITY"}


def rendered(template: Template, values: dict[str, str | None], extra: dict[str, Any]) -> Content:
    return rendering.render(template, "Q1", values, extra, datetime(2026, 3, 7, 15, 4, 5))


def test_values_defaults_and_extras() -> None:
    template = made(
        "Hi [%first_name:dear friend%]",
        '<p>[%FIRST_NAME:you%] of [%CITY%]: [%PROMO_CODE%]</p>[%PRODUCTS%]<a href="[%UNSUB%]">stop</a>',
    )
    extra = {
        "promo_code": "SPRING&10",
        "products": ["Hat", {"name": "Coat <red>"}],
        "unsubscribe_url": "https://x.example/u",
    }
    known = rendered(template, {"FIRST_NAME": "Kim & Co", "CITY": None}, extra)
    assert known.subject == "Hi Kim & Co"
    assert known.html == (
        "<p>Kim &amp; Co of : SPRING&amp;10</p><ul><li>Hat</li><li>Coat &lt;red&gt;</li></ul>"
        '<a href="https://x.example/u">stop</a>'
    )
    assert known.text == "Kim & Co of : SPRING&10\n\n- Hat\n- Coat <red>\nstop (https://x.example/u)"
    unknown = rendered(template, {"FIRST_NAME": ""}, {})
    assert unknown.subject == "Hi dear friend"
    assert "[%" not in unknown.html + unknown.text


@pytest.mark.parametrize(
    ("html", "value", "expected"),
    [
        ("<p>[%X%]</p>", '<script>"', "<p>&lt;script&gt;&quot;</p>"),
        ('<img alt="[%X%]">', '" onerror="x', '<img alt="&quot; onerror=&quot;x">'),
        ('<a href="[%X%]">a</a>', "javascript:alert(1)", '<a href="">a</a>'),
        ('<a href="[%X%]">a</a>', " JavaScript:alert(1)", '<a href="">a</a>'),
        ('<a href="[%X%]">a</a>', "https://s.example/?a=1&b=2", '<a href="https://s.example/?a=1&amp;b=2">a</a>'),
        (
            '<a href="https://s.example/?q=[%X%]&z=1">a</a>',
            "a b&c=d",
            '<a href="https://s.example/?q=a%20b%26c%3Dd&z=1">a</a>',
        ),
        ('<a href="https://s.example/">[%X%]</a>', "a b", '<a href="https://s.example/">a b</a>'),
    ],
)
def test_a_value_is_written_as_its_place_asks(html: str, value: str, expected: str) -> None:
    assert rendered(made(html=html), {"X": value}, {}).html == expected


@pytest.mark.parametrize(
    "piece",
    [
        "[%A:",
        "[%A%]",
        '<a href="',
        "[% ",
        "[%A:x",
        '"[%A%]',
        "[%A:%]",
        "[%A",
        "{{",
        '<a href="[%A%]">',
        "<a href='",
        "<a b=",
        "<!--",
        "<style>",
        "<p [%A%] ",
        "<a href=x[%A%]",
        "</",
        "[%IF:A%]",
        "[%IF:[%A%]",
        "[%IF:A==''%]x[%END:IF%]",
        "[%END:IF%]",
        "[%UPPER:",
        '<a href="[%IF:A%]x[%END:IF%]',
    ],
)
@pytest.mark.parametrize("kind", [TextKind.TEXT, TextKind.HTML])
def test_ten_times_the_text_takes_about_ten_times_as_long(piece: str, kind: TextKind) -> None:
    def seconds(times: int) -> float:
        text, began = piece * times, time.thread_time()
        Compiled(text, kind)
        checking.problems(text, kind, checking.Rules(None, transactional=True, blocks=9**9, branches=9**9))
        addresses.defused(text)
        addresses.misplaced(text)
        return time.thread_time() - began

    assert stays_within(lambda: seconds(5_000), lambda: seconds(500), 30, 0.005)


@pytest.mark.parametrize("beginning", ['<a href="', '<a href="https://', '<p style="', "<style>", "<p>"])
@pytest.mark.parametrize("filling", ["[%A%]", " ", " [%A%]", "x[%A%]:", "[%IF:A%]x[%END:IF%]", "[%IF:A%]"])
def test_many_tags_of_one_place_take_no_longer(beginning: str, filling: str) -> None:
    def seconds(times: int) -> float:
        page, began = beginning + filling * times, time.thread_time()
        Compiled(addresses.defused(page), TextKind.HTML)
        addresses.misplaced(page)
        scanning.malformed(page, TextKind.HTML)
        return time.thread_time() - began

    assert stays_within(lambda: seconds(5_000), lambda: seconds(500), 30, 0.005)


def test_a_value_holding_a_tag_is_not_filled_again() -> None:
    content = rendered(made("[%X%]", "<p>[%X%]</p>"), {"X": "[%CUSTOMER_ID%]"}, {})
    assert (content.subject, content.html) == ("[%CUSTOMER_ID%]", "<p>[%CUSTOMER_ID%]</p>")


@pytest.mark.parametrize("part", ["html", "text", "subject"])
def test_values_do_not_make_a_message_without_end(part: str) -> None:
    template = made(**{"html": "<p>a</p>", part: "[%X%]" * 10_000})
    assert len(rendered(template, {"X": "x" * 100}, {}).html) >= len("<p>a</p>")
    with pytest.raises(Invalid, match=r"^The message must not be longer than 4000000 characters with its values"):
        rendered(template, {"X": "x" * 10_000}, {})


def test_a_subject_stays_one_line() -> None:
    assert rendered(made("Hi [%X%]"), {"X": "a\r\nBcc: b@example.com"}, {}).subject == "Hi a Bcc: b@example.com"


def test_sanitising_keeps_what_mails_need_and_nothing_that_acts() -> None:
    html = (
        '<style>p{color:red}</style><table width="100%" cellpadding="0"><tr><td style="color:blue">x</td></tr></table>'
        '<script>alert(1)</script><p onclick="x()">y</p><iframe src="https://a.example"></iframe>'
        '<form action="/"><input name="a"></form><a href="javascript:alert(1)">z</a><a href=\'[%UNSUB%]\'>u</a>'
    )
    clean = sanitised(html)
    for kept in ("<style>p{color:red}</style>", 'width="100%"', 'style="color:blue"', 'href="[%UNSUB%]"', "<p>y</p>"):
        assert kept in clean
    for gone in ("script", "onclick", "iframe", "form", "input", "javascript", "alert"):
        assert gone not in clean


SAID = {"tags": "html has more than 10000 tags.", "formatting": "html has too much formatting, such as <b> or <font>"}


@pytest.mark.parametrize(
    ("html", "told"),
    [
        ("<div>" * 20_000, "tags"),
        ("<div></div>" * 9_000, "tags"),
        ("<p>" + "".join(f"<b a{number}>" for number in range(1_000)) + "</p>" + "<p>x</p>" * 1_000, "formatting"),
        ("".join(f'<i a{number} b="</i>">' for number in range(800)) + "<p>x" * 800, "formatting"),
        ("".join(f"<u a{number}><!--</u>-->" for number in range(800)) + "<p>x" * 800, "formatting"),
    ],
)
def test_what_would_take_long_to_sanitise_is_refused(api: httpx.Client, html: str, told: str) -> None:
    answer = api.put("/manage/v1/channels/504/templates/7", json={"name": "n", "subject": "s", "html": html})
    assert (answer.status_code, answer.json()["detail"].startswith(SAID[told])) == (400, True), answer.text


def test_a_template_has_a_hundred_thousand_characters(api: httpx.Client) -> None:
    for part in ("html", "text"):
        body = {"name": "long", "subject": "s", part: "x" * 100_000}
        assert api.put("/manage/v1/channels/504/templates/8", json=body).status_code == 200
        assert api.put("/manage/v1/channels/504/templates/8", json=body | {part: "x" * 100_001}).status_code == 400
    assert api.delete("/manage/v1/channels/504/templates/8").status_code == 204


def test_what_mails_are_made_of_is_sanitised() -> None:
    cell = '<td style="a"><p><b>Hat</b> <font color="red">10 <br> <i>Euro</i></font> <a href="https://x.example">x</a></p></td>'
    page = "<table>" + f"<tr>{cell * 5}</tr>" * 100 + "</table>"
    assert sanitised(page).count("<b>Hat</b>") == 500


@pytest.mark.parametrize(
    "piece",
    ["<div>", "<b>", "<b a='x'>x</b>", "<b <", "<b a ", "<b a=b ", "<b><br>", "<br ", "<!--", "<a><p>", "&amp;"],
)
def test_to_sanitise_ten_times_as_much_takes_about_ten_times_as_long(piece: str) -> None:
    def seconds(times: int) -> float:
        began = time.thread_time()
        with suppress(Invalid):
            addresses.misplaced(piece * times)
            text_of(sanitised(piece * times))
        return time.thread_time() - began

    assert stays_within(lambda: seconds(20_000), lambda: seconds(2_000), 15, 0.02)


def test_plain_text_of_html() -> None:
    html = """<style>a{}</style><h1>Hi  [%FIRST_NAME%]</h1><p>One &amp;
        two<br>three</p><ul><li>a</li><li>b</li></ul><a href="https://x.example">https://x.example</a>"""
    assert text_of(html) == "Hi [%FIRST_NAME%]\n\nOne & two\nthree\n\n- a\n- b\nhttps://x.example"


def test_attributes_used_are_real_ones(scope: Scope) -> None:
    template = templates.save_template(
        scope,
        504,
        "Spring",
        "Hi [%first_name%]",
        "<p>[%CITY:town%] [%PROMO_CODE%] [%UNSUB%]</p>",
        "[%FIRST_NAME%] [%COUNTRY%]",
    )
    assert Editions(scope, template).attributes == ["CITY", "COUNTRY", "FIRST_NAME"]
    for part in ({"subject": "[%NOPE%]"}, {"html": "<p>[%NOPE:x%]</p>"}, {"text": "[%NOPE%]"}):
        content = {"subject": "s", "html": "<p>a</p>", **part}
        with pytest.raises(Invalid, match=r"^\w+ contains '\[%NOPE.*': 'NOPE' is not a customer attribute, nor"):
            templates.save_template(scope, 504, "Bad", **content)
    with pytest.raises(Invalid, match=r"\[%TRANS:ORDER%\] is for transactional messages only"):
        templates.save_template(scope, 504, "Bad", "[%TRANS:ORDER%]", "<p>a</p>")


def test_what_else_is_refused(scope: Scope) -> None:
    with pytest.raises(NotFound):
        templates.save_template(scope, 999, "A", "s", "<p>a</p>")
    for name, subject, html in [
        ("", "s", "<p>a</p>"),
        ("A", "", "<p>a</p>"),
        ("A", "s", ""),
        ("A", "s", "<script>1</script>"),
    ]:
        with pytest.raises(Invalid):
            templates.save_template(scope, 504, name, subject, html)
    with pytest.raises(NotFound):
        templates.template(scope, 504, 10**12)


def test_ids_are_per_channel_and_skip_given_ones(scope: Scope) -> None:
    taken = {template.id for template in templates.listed_templates(scope, 505)}
    assert taken == set()
    ids = [
        templates.save_template(scope, 505, name, id=id).id
        for name, id in [("a", None), ("b", 2), ("c", None), ("d", None)]
    ]
    assert ids == [1, 2, 3, 4]
    assert templates.save_template(scope, 505, "renamed", id=2).name == "renamed"
    with pytest.raises(Conflict):
        templates.create_template(scope, 505, "e", id=2)
    listed = templates.listed_templates(scope, 505)
    assert [template.name for template in listed] == ["a", "renamed", "c", "d"]
    assert all({"html", "text"} <= inspect(template).unloaded for template in listed), "content is read one at a time"


@pytest.mark.parametrize(
    "text",
    [
        "Hi [%FIRST NAME%]",
        "Hi [%FIRST_NAME|upper%]",
        "Hi [%FIRST_NAME",
        "[%FIRST_NAME%] and [%%]",
        "Hi {{ first_name }}",
        "{% if x %}Hi{% endif %}",
        "Hi *|FNAME|*",
        "Hi ${first_name}",
        "Hi %%FirstName%%",
    ],
)
@pytest.mark.parametrize("part", ["subject", "html", "text"])
def test_what_looks_like_a_tag_and_is_none_is_refused(scope: Scope, part: str, text: str) -> None:
    content = {"subject": "S", "html": "", "text": "T", part: text}
    with pytest.raises(Invalid, match=f"^{part} contains .*, which is not a tag; write "):
        templates.save_template(scope, 504, "Malformed", **content)


def test_a_message_is_shown_as_a_customer_would_get_it(scope: Scope, api: httpx.Client) -> None:
    path, day = "/manage/v1/channels/504/templates", date(2026, 3, 9)
    scope.warehouse.insert("customers", ["customer_id"], [("Kim-1",)])
    scope.warehouse.insert(
        "profiles", ["data_date", "customer_id", "FIRST_NAME", "CITY"], [(day, "Kim-1", "Kim <3", "Oslo")]
    )
    names = ["data_date", "customer_id", "recommendation_type", "priority", "product_id"]
    scope.warehouse.insert("product_recommendations", names, [(day, "Kim-1", 1, 2, "P2"), (day, "Kim-1", 1, 1, "P1")])
    scope.warehouse.insert("products", ["product_id", "name"], [("P1", "Hat")])
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=day))
    html = "<p>[%FIRST_NAME%] of [%CITY%], [%PROMO_CODE%] [%EVENT.price%]</p>[%PRODUCTS%]<a href='[%UNSUB%]'>no</a>"
    made = api.post(path, json={"name": "Real", "subject": "For [%FIRST_NAME%]", "html": html}).json()["id"]
    asked = {"customer_id": "kim-1", "promo_code": "A1", "recommended_products": 2, "values": {"city": "Bergen"}}
    asked["values"]["event.price"] = "12.50"
    shown = api.post(f"{path}/{made}/preview", json=asked).json()
    assert shown["subject"] == "For Kim <3"
    assert "<p>Kim &lt;3 of Bergen, A1 12.50</p><ul><li>Hat</li><li>P2</li></ul>" in shown["html"]
    link = re.search(r'href="([^"]+)"', shown["html"])
    assert link is not None
    assert api.post(httpx.URL(link[1]).path).status_code == 404, "it unsubscribes nobody"
    unknown = api.post(f"{path}/{made}/preview", json={"customer_id": "nobody"})
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "There is no customer nobody.")
    assert api.post(f"{path}/{made}/preview", json={}).json()["subject"] == "For"


def test_templates_are_managed(api: httpx.Client) -> None:
    path = "/manage/v1/channels/504/templates"
    body = {
        "id": 77,
        "name": "T",
        "subject": "Hi [%FIRST_NAME:you%]",
        "html": "<p onclick='x'>[%CITY%] [%PRODUCTS%]</p>",
    }
    saved = api.post(path, json=body)
    assert saved.status_code == 201
    assert (saved.json()["html"], saved.json()["attributes_used"]) == (
        "<p>[%CITY%] [%PRODUCTS%]</p>",
        ["CITY", "FIRST_NAME"],
    )
    assert api.post(path, json=body).status_code == 409
    assert api.post(path, json={**body, "id": 78, "subject": "[%NOPE%]"}).status_code == 400
    beside = api.post(path, json={**body, "id": 78, "details": {"badge": 1}})
    assert (beside.status_code, beside.json()["detail"]) == (
        400,
        "There is no badge in details; nothing can be set there.",
    )
    preview = api.post(f"{path}/77/preview", json={"values": {"city": "Oslo"}, "products": ["Hat"]})
    assert preview.json() == {
        "subject": "Hi you",
        "text": "Oslo \n- Hat\n",
        "html": "<p>Oslo <ul><li>Hat</li></ul></p>",
        "details": {},
        "text_size": None,
    }
    put = api.put(f"{path}/77", json={"name": "T2", "subject": "s", "text": "t"})
    assert (put.json()["name"], put.json()["html"]) == ("T2", "")
    assert 77 in [row["id"] for row in api.get("/manage/v1/templates", params={"channel_id": 504}).json()]
    assert 77 not in [row["id"] for row in api.get("/manage/v1/templates", params={"channel_id": 505}).json()]
    assert api.delete(f"{path}/77").status_code == 204
    assert api.delete(f"{path}/77").status_code == 404
