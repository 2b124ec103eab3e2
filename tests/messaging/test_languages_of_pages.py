"""The page on which people unsubscribe, in the language of whoever opens it and in words of the tenant's own."""

import re
from collections.abc import Iterator

import httpx
import pytest

from rapport.access.scope import Scope
from rapport.access.service import update_tenant
from rapport.channels import service as channels
from rapport.channels.messages import Origin
from rapport.messaging.contactability import page_words, suppressions
from rapport.messaging.languages import accepted, language_code

PEOPLE = [["Gerda", "Deutsch"], ["Paul", "fr_CA"], ["Rita", "xx"], ["Nora", None]]
FINNISH = {
    "title": "Peruuta <tilaus>",
    "question": "Mitkä viestit?",
    "similar": "Tällaiset",
    "everything": "Kaikki & kaikki",
    "button": "Peruuta",
    "done": "Peruttu",
    "done_text": "Ei enää.",
}


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    channels.create_channel(scope, "Letters", "email", id=504)
    scope.warehouse.insert("customers", ["customer_id", "LANGUAGE"], PEOPLE)


@pytest.fixture
def own_words(scope: Scope) -> Iterator[None]:
    arabic = dict.fromkeys(FINNISH, "نعم")
    update_tenant(
        scope, {"settings": {"messaging": {"usual_language": "fi", "unsubscribe_page": {"fi": FINNISH, "ar": arabic}}}}
    )
    yield
    update_tenant(scope, {"settings": {"messaging": None}})


def page(scope: Scope, base_url: str, who: str, asks: str = "", channel: int = 504) -> str:
    link = suppressions.unsubscribe_links(scope)(who, Origin(channel))
    return httpx.get(base_url + "/unsubscribe/" + link.rpartition("/")[2], headers={"Accept-Language": asks}).text


def language(text: str) -> str:
    found = re.search(r'<html lang="([a-z]+)" dir="([a-z]+)">', text)
    assert found, text
    return found[1]


@pytest.mark.parametrize(
    ("who", "asks", "expected"),
    [
        ("Gerda", "en", "de"),
        ("Paul", "", "fr"),
        ("Rita", "es-MX,es;q=0.9", "es"),
        ("Nora", "pl", "pl"),
        ("Nora", "", "en"),
        ("Nora", "ja, zh;q=0.5", "en"),
        ("Stranger", "it;q=0.2, nl;q=0.8", "nl"),
    ],
)
def test_the_customer_s_language_comes_before_the_browser_s(
    scope: Scope, base_url: str, who: str, asks: str, expected: str
) -> None:
    assert language(page(scope, base_url, who, asks)) == expected


def test_the_answer_is_in_the_language_of_the_question(scope: Scope, base_url: str) -> None:
    asked = page(scope, base_url, "Gerda")
    assert "Welche Nachrichten?" in asked and "Abmelden" in asked
    (hidden,) = re.findall(r'name="language" value="([a-z]+)"', asked)
    link = base_url + "/unsubscribe/" + suppressions.unsubscribe_links(scope)("Gerda", Origin(504)).rpartition("/")[2]
    done = httpx.post(link, data={"scope": "channel", "language": hidden}).text
    assert "Sie sind abgemeldet" in done and language(done) == "de"
    strange = httpx.post(link, data={"language": '"><script>'}, headers={"Accept-Language": "sv"}).text
    assert language(strange) == "sv" and "script" not in strange


def test_an_address_that_nobody_made_is_told_in_the_browser_s_language(base_url: str) -> None:
    answer = httpx.get(base_url + "/unsubscribe/x", headers={"Accept-Language": "ja, fr-CH;q=0.9"})
    assert (answer.status_code, language(answer.text)) == (404, "fr") and "n&#x27;est pas valide" in answer.text
    assert language(httpx.post(base_url + "/unsubscribe/x").text) == "en"
    assert page_words.INVALID.keys() == page_words.BUILT_IN.keys()


def test_words_of_one_s_own_stand_beside_and_before_others(scope: Scope, base_url: str, own_words: None) -> None:
    text = page(scope, base_url, "Nora")
    assert language(text) == "fi" and "Peruuta &lt;tilaus&gt;" in text and "Kaikki &amp; kaikki" in text
    assert "Tällaiset" in page(scope, base_url, "Nora", channel=999)
    assert 'lang="ar" dir="rtl"' in page(scope, base_url, "Nora", "ar-EG")
    assert language(page(scope, base_url, "Gerda")) == "de"


def test_words_that_are_not_all_there_are_refused(api: httpx.Client) -> None:
    for bad in (
        {"unsubscribe_page": {"fi": {**FINNISH, "button": ""}}},
        {"unsubscribe_page": {"fi": {"title": "x"}}},
        {"unsubscribe_page": {"Finnish": FINNISH}},
        {"unsubscribe_page": {"fi": {**FINNISH, "footer": "x"}}},
        {"usual_language": "<b>"},
    ):
        answer = api.patch("/manage/v1/tenants/current", json={"settings": {"messaging": bad}})
        assert answer.status_code == 400, bad


def test_a_wish_is_not_held_up_by_what_cannot_be_read(scope: Scope, base_url: str) -> None:
    update_tenant(scope, {"settings": {"messaging": {"language_attribute": "NO_SUCH"}}})
    assert language(page(scope, base_url, "Gerda", "da")) == "da"
    update_tenant(scope, {"settings": {"messaging": None}})


def test_texts_and_headers_that_name_languages() -> None:
    named = {"de": "de", "DE_at": "de", " German ": "de", "Français": "fr", "pt-BR": "pt", "xx": "xx", "": ""}
    assert {text: language_code(text) for text in named} == named
    assert accepted("da, en-GB;q=0.8, en;q=0.7, de;q=0, *;q=0.1") == ["da", "en", "en", "*"]
    assert accepted(";;q=,=,\x00,de;q=zz") == ["=", "\x00"] and accepted("," * 9999) == []
