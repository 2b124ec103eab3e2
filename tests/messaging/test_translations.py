"""Templates in several languages, snippets and the look of a brand: as saved, previewed, sent and shown again."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from urllib.parse import urlsplit

import httpx
import pytest
from campaign_mail import Mailbox, mailbox
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_profiles,
    add_series,
    customer,
    group,
    publish,
)

from rapport.access.scope import Scope
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels.brands import brands
from rapport.messaging import templates

DUE = NOW + timedelta(hours=1)
LETTER = f"/manage/v1/channels/{EMAIL}/templates/1"
FOOTER = "/manage/v1/snippets/footer"
ADDRESS = "Northwind Ltd, 1 High Street, Leeds"
LOOK = {
    "postal_address": ADDRESS,
    "logo_url": "https://cdn.example/logo.png",
    "website_url": "https://shop.example",
    "color": "#ffee00",
    "text_color": "#112233",
}
OWN = {
    "name": "Hello",
    "subject": "Hi [%FIRST_NAME%]",
    "html": '<h1 style="color:[%BRAND:COLOR%]">Dear [%FIRST_NAME%]</h1><p>[%AS_MONEY:CUSTOMER_ID%] [%AS_DATE:'
    'CURRENT_DATE%]</p><a href="[%VIEW_IN_BROWSER%]">View</a>[%SNIPPET:footer%]',
    "translations": {
        "de": {
            "subject": "Hallo [%FIRST_NAME%]",
            "html": "<p>Heute ist der [%AS_DATE:CURRENT_DATE%]</p>"
            '<a href="[%VIEW_IN_BROWSER%]">Ansehen</a>[%SNIPPET:FOOTER%]',
        },
        "fr": {"subject": "Bonjour [%FIRST_NAME%]"},
    },
}
SNIPPET = {
    "html": '<p>[%BRAND:NAME%], [%BRAND:POSTAL_ADDRESS%] <a href="[%UNSUB%]">Stop</a></p>',
    "translations": {"de": {"html": '<p>Ihr [%BRAND:NAME%] <a href="[%UNSUB%]">Abmelden</a></p>'}},
}
MONTHS = (
    "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober",
    "November", "Dezember",
)  # fmt: skip
READERS = {0: None, 1: "German", 2: "de-AT", 3: "French", 4: "da"}
SUBJECTS = ["Hi C00000", "Hallo C00001", "Hallo C00002", "Bonjour C00003", "Hi C00004"]


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def sent(scope: Scope, box: Mailbox, base_url: str, api: httpx.Client) -> Iterator[Scope]:
    """A campaign was sent to readers of several languages."""
    settings = scope.stores.settings
    before, settings.public_url = settings.public_url, base_url
    scope.clock.set(NOW)
    add_profiles(scope, [customer(number, LANGUAGE=language) for number, language in READERS.items()])
    scope.warehouse.insert("customers", ["customer_id"], [[f"C{number:05d}"] for number in READERS])
    publish(scope)
    add_channels(scope, box.port, tracking=True)
    brand = api.get("/manage/v1/brands").json()[0]
    changed = {"settings": {**brand["settings"], **LOOK}}
    assert api.patch(f"/manage/v1/brands/{brand['id']}", json=changed).status_code == 200
    assert api.put(FOOTER, json=SNIPPET).status_code == 200
    saved = api.put(LETTER, json=OWN)
    assert saved.status_code == 200, saved.text
    series = add_series(
        scope,
        add_group(scope, "Dutch", "NL"),
        [group(add_action(scope).id, (EMAIL, 1))],
        rules={"include_all": True},
        control_share=0,
    )
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)
    scope.clock.set(DUE)
    tasks.execute_due(scope)
    yield scope
    settings.public_url = before


def pages(box: Mailbox) -> list[str]:
    mails = sorted(box.messages, key=lambda mail: str(mail["To"]))
    return [str(mail.get_body(("html",)).get_content()) for mail in mails]  # type: ignore[union-attr]


def test_each_reader_gets_its_language_with_snippets_and_brand(sent: Scope, box: Mailbox) -> None:
    assert [str(mail["Subject"]) for mail in sorted(box.messages, key=lambda mail: str(mail["To"]))] == SUBJECTS
    own, german, austrian, french, danish = pages(box)
    name = brands.brands(sent)[0].name
    assert all(f"{name}, {ADDRESS}" in page and ">Stop<" in page for page in (own, french, danish))
    assert all(f"Ihr {name}" in page and ">Abmelden<" in page for page in (german, austrian))
    assert "color:#ffee00" in own.replace(" ", "")
    day = f"{TODAY:%Y}"
    assert f"{TODAY:%B} {TODAY.day}, {day}" in own
    assert f"{TODAY.day}. {MONTHS[TODAY.month - 1]} {day}" in german
    assert f"{TODAY:%B}" not in french, "what it leaves out it has of the template, in formats of its own"
    assert not any("[%" in page for page in pages(box))


def test_a_message_is_shown_with_the_snippet_that_it_had(
    sent: Scope, box: Mailbox, base_url: str, api: httpx.Client
) -> None:
    sent.clock.set(DUE + timedelta(hours=1))
    changed = {"html": "<p>Another footer</p>", "translations": {}}
    assert api.put(FOOTER, json=changed).json()["version"] == 2
    german = pages(box)[1]
    link = next(unescape(each) for each in re.findall('href="([^"]+)"', german) if "/view/" in each)
    page = httpx.get(base_url + urlsplit(link).path)
    assert (page.status_code, ">Abmelden<" in page.text, "Another footer" in page.text) == (200, True, False)
    assert "Another footer" in api.post(f"{LETTER}/preview", json={"language": "de"}).json()["html"]
    assert api.put(FOOTER, json=SNIPPET).json()["version"] == 3
    listed = api.get(f"{FOOTER}/versions").json()
    assert [version["version"] for version in listed] == [3, 2, 1]
    assert api.put(FOOTER, json=SNIPPET).json()["version"] == 3, "the same content is no version"


def test_pages_for_recipients_show_the_brand(sent: Scope, box: Mailbox, base_url: str) -> None:
    link = next(unescape(each) for each in re.findall('href="([^"]+)"', pages(box)[0]) if "/unsubscribe/" in each)
    page = httpx.get(base_url + urlsplit(link).path)
    assert f'<a href="{LOOK["website_url"]}"><img src="{LOOK["logo_url"]}"' in page.text
    assert ADDRESS in page.text
    # Black on yellow: the letters are those that can be read.
    assert "background:#ffee00;color:#000" in page.text
    assert "img-src" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("asked", "subject"),
    [
        ({}, "Hi "),
        ({"language": "de"}, "Hallo "),
        ({"customer_id": "C00003"}, "Bonjour C00003"),
        ({"customer_id": "C00003", "language": "de-CH"}, "Hallo C00003"),
        ({"values": {"LANGUAGE": "fr"}}, "Bonjour "),
    ],
)
def test_a_preview_is_in_a_language(sent: Scope, api: httpx.Client, asked: dict[str, object], subject: str) -> None:
    shown = api.post(f"{LETTER}/preview", json=asked).json()
    assert shown["subject"] == subject.strip()


def test_the_template_says_what_it_needs_and_warns_by_language(sent: Scope, api: httpx.Client) -> None:
    stored = api.get(LETTER).json()
    assert stored["attributes_used"] == ["FIRST_NAME", "LANGUAGE"]
    assert stored["translations"]["fr"]["subject"] == "Bonjour [%FIRST_NAME%]"
    # The German footer has no postal address.
    assert {warning["language"] for warning in stored["warnings"] if warning["check"] == "postal_address"} == {"de"}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"translations": {"German": {"subject": "x"}}}, "de-AT"),
        ({"translations": {"de": {"subject": "[%NOPE%]"}}}, "translations.de: subject contains '[%NOPE%]'"),
        ({"translations": {"de": {"html": "<p>[%IF:CITY%]x</p>"}}}, "translations.de: html, condition block 0"),
        ({"html": "<p>[%SNIPPET:nowhere%]</p>"}, "there is no snippet NOWHERE."),
        ({"html": '<p title="[%SNIPPET:footer%]">x</p>'}, "a snippet can only stand between elements"),
        ({"html": "<p>x</p>" + "[%SNIPPET:footer%]" * 5000}, "html must not have more than 400000 characters"),
        ({"translations": {"de": {"words": "x"}}}, "words"),
    ],
)
def test_what_cannot_be_saved_is_named(sent: Scope, api: httpx.Client, change: dict[str, object], error: str) -> None:
    before = api.get(LETTER).json()
    refused = api.put(LETTER, json={**OWN, **change})
    assert refused.status_code == 400
    assert error in refused.text
    assert api.get(LETTER).json() == before


@pytest.mark.parametrize(
    ("name", "body", "status", "error"),
    [
        ("footer", {"html": "<p>[%TRANS:ORDER%]</p>"}, 400, f"Template 1 of channel {EMAIL} uses it: html contains"),
        ("footer", {"html": " "}, 400, "html or text is required."),
        ("inner", {"html": "<p>[%SNIPPET:footer%]</p>"}, 400, "cannot contain another one, such as FOOTER."),
        ("inner", {"text": "[%IF:CITY%]x"}, 400, "no closing"),
        ("2nd", {"text": "x"}, 400, "name must begin with a letter"),
    ],
)
def test_snippets_that_cannot_be(
    sent: Scope, api: httpx.Client, name: str, body: dict[str, str], status: int, error: str
) -> None:
    refused = api.put(f"/manage/v1/snippets/{name}", json=body)
    assert (refused.status_code, error in refused.text) == (status, True), refused.text


def test_a_snippet_in_use_stays(sent: Scope, api: httpx.Client) -> None:
    refused = api.delete(FOOTER)
    assert refused.status_code == 409
    assert f"it is used by template 1 of channel {EMAIL}." in refused.text
    assert [each["id"] for each in api.get(FOOTER).json()["templates"]] == [1]
    assert api.put("/manage/v1/snippets/Spare", json={"text": "a < b"}).json()["name"] == "SPARE"
    assert api.delete("/manage/v1/snippets/SPARE").status_code == 204
    assert api.get("/manage/v1/snippets/spare").status_code == 404


def test_a_version_is_restored_with_its_translations(sent: Scope, api: httpx.Client) -> None:
    path = f"/manage/v1/channels/{EMAIL}/templates/77"
    own = {"name": "Kept", "subject": "a", "text": "b", "translations": {"de": {"subject": "c"}}}
    assert api.put(path, json=own).json()["version"] == 1
    assert api.put(path, json={**own, "translations": {}}).json()["translations"] == {}
    assert api.get(f"{path}/versions/1").json()["translations"]["de"]["subject"] == "c"
    assert api.post(f"{path}/versions/1/restore").json()["translations"]["de"]["subject"] == "c"
    assert templates.template(sent, EMAIL, 77).version == 3
