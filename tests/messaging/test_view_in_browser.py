"""The link that shows a message in a browser: as it was sent, harmless, and gone with its customer or template."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from email.message import EmailMessage
from html import unescape
from urllib.parse import urlsplit

import httpx
import pytest
from browser import browser
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
from rapport.delivery.values import attribute_values
from rapport.messaging import templates
from rapport.messaging.contactability import suppressions
from rapport.messaging.tracking.rewriting import IMAGE
from rapport.persons import service as persons

DUE = NOW + timedelta(hours=1)
PERSONS, TEXT_ONLY, DELETED = 9, 2, 3
HTML = (
    '[%IF:VIEW_IN_BROWSER%]<p><a href="[%view_in_browser%]">View in browser</a></p>[%END:IF%]'
    "<h1>Dear [%FIRST_NAME%],</h1><p>[%PROMO_CODE%] until [%CURRENT_DATE:dd.MM.yyyy%]</p>"
    '<img src="https://cdn.example/hat.png" alt="A hat">'
    '<a href="https://shop.example/sale">the sale</a> <a href="https://shop.example/me?c=[%CUSTOMER_ID%]">yours</a> '
    '<a href="[%UNSUBSCRIBE_URL%]">unsubscribe</a>'
)
PIXEL = re.compile(re.escape(IMAGE).replace(re.escape("[%RAPPORT_PIXEL%]"), '[^"]+'))


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def sent(scope: Scope, box: Mailbox, base_url: str) -> Iterator[Scope]:
    """A campaign was sent, a third of it without HTML; since then its template and its customers have changed."""
    settings = scope.stores.settings
    before, settings.public_url = settings.public_url, base_url
    scope.clock.set(NOW)
    add_profiles(scope, [customer(number, FIRST_NAME=f"<Åsa> {number}") for number in range(PERSONS)])
    publish(scope)
    add_channels(scope, box.port, tracking=True)
    templates.save_template(scope, EMAIL, "Hello", "Hi [%FIRST_NAME%]", HTML, id=1)
    plain = "Hi <[%FIRST_NAME%]>, see [%VIEW_IN_BROWSER%], or stop: [%UNSUB%]."
    templates.save_template(scope, EMAIL, "Plain", "Plain", text=plain, id=TEXT_ONLY)
    templates.save_template(scope, EMAIL, "Deleted", "Deleted", HTML, id=DELETED)
    action = add_action(scope, codes=("SAVE10",)).id
    series = add_series(
        scope,
        add_group(scope, "Dutch", "NL"),
        [group(action, (EMAIL, template), share=1 / 3) for template in (1, TEXT_ONLY, DELETED)],
        rules={"include_all": True},
        control_share=0,
    )
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)
    scope.clock.set(DUE)
    tasks.execute_due(scope)
    assert len(box.messages) == PERSONS
    scope.clock.set(DUE + timedelta(days=1))
    templates.save_template(scope, EMAIL, "Hello", "Other", "<p>Other words</p>", id=1)
    add_profiles(scope, [customer(number, FIRST_NAME=f"Anew {number}") for number in range(PERSONS)], TODAY)
    publish(scope, TODAY)
    yield scope
    settings.public_url = before


@pytest.fixture(autouse=True)
def later(sent: Scope) -> None:
    sent.clock.set(DUE + timedelta(days=1, minutes=30))


def mails(box: Mailbox, subject: str = "Hi ") -> list[EmailMessage]:
    mails = [mail for mail in box.messages if str(mail["Subject"]).startswith(subject)]
    return sorted(mails, key=lambda mail: str(mail["To"]))


def number_of(mail: EmailMessage) -> int:
    return int(str(mail["To"])[1:6])


def page_of(mail: EmailMessage, kind: str = "html") -> str:
    return str(mail.get_body((kind,)).get_content())  # type: ignore[union-attr]


def links_of(page: str) -> list[str]:
    return [unescape(link) for link in re.findall('href="([^"]+)"', page)]


def view(base_url: str, address: str, language: str = "") -> httpx.Response:
    return httpx.get(base_url + urlsplit(address).path, headers={"Accept-Language": language})


def test_a_message_is_shown_as_it_was_sent_but_for_the_pixel(sent: Scope, box: Mailbox, base_url: str) -> None:
    mail = mails(box)[0]
    page = page_of(mail)
    address = links_of(page)[0]
    assert "/view/" in address and len(PIXEL.findall(page)) == 1
    answer = view(base_url, address)
    body = answer.text.partition("<body>")[2].removesuffix("</body></html>")
    assert (answer.status_code, body) == (200, PIXEL.sub("", page.strip()))
    name = f"&lt;Åsa&gt; {number_of(mail)}"
    assert f"<h1>Dear {name},</h1>" in body and "SAVE10 until 10.03.2026" in body
    assert f"<title>Hi {name}</title>" in answer.text and "/o/" not in answer.text
    assert answer.headers["x-robots-tag"] == "noindex" and answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'none'" and any(part.startswith("sandbox ") for part in policy)
    assert not any("allow-scripts" in part or part.startswith("script-src") for part in policy)
    own = links_of(answer.text)[2]
    followed = httpx.get(base_url + urlsplit(own).path, follow_redirects=False)
    assert followed.headers["location"] == f"https://shop.example/me?c=C{number_of(mail):05d}"


def test_a_message_without_html_is_shown_as_text_with_links(sent: Scope, box: Mailbox, base_url: str) -> None:
    mail = mails(box, "Plain")[0]
    address, stop = re.findall(r"http\S+[^\s.,]", page_of(mail, "plain"))
    answer = view(base_url, address)
    assert answer.status_code == 200 and f"Hi &lt;&lt;Åsa&gt; {number_of(mail)}&gt;, see " in answer.text
    assert links_of(answer.text) == [address, stop]


def test_its_link_to_unsubscribe_works(sent: Scope, box: Mailbox, base_url: str) -> None:
    mail = mails(box)[1]
    page = view(base_url, links_of(page_of(mail))[0]).text
    answer = httpx.post(base_url + urlsplit(links_of(page)[-1]).path)
    assert answer.status_code == 200
    assert len(suppressions.list_suppressions(sent, f"C{number_of(mail):05d}", EMAIL)) == 1


def test_its_links_work_in_a_browser(sent: Scope, box: Mailbox) -> None:
    mail = mails(box)[2]
    with browser() as page:
        page.open(links_of(page_of(mail))[0])
        assert ("heading", f"Dear <Åsa> {number_of(mail)},") in page.roles() and ("image", "A hat") in page.roles()
        page.click('a[href*="/unsubscribe/"]', leads_on=True)
        page.click("form button", leads_on=True)
        assert page.value("document.querySelector('h1').innerText") == "You are unsubscribed"


def test_no_other_address_shows_a_message(sent: Scope, box: Mailbox, base_url: str) -> None:
    address, sale, _, stop = links_of(page_of(mails(box)[0]))
    token = urlsplit(address).path.removeprefix("/view/")
    tracked = urlsplit(sale).path.split("/")[2]
    altered = token[:20] + ("A" if token[20] != "A" else "B") + token[21:]
    for other in (altered, token[:-4], tracked, "x", "%00", urlsplit(stop).path.rpartition("/")[2]):
        assert view(base_url, f"/view/{other}").status_code == 404, other
    for kind in ("l", "o"):
        assert httpx.get(f"{base_url}/{kind}/{token}/1", follow_redirects=False).status_code == 404
    answer = view(base_url, "/view/x", "de")
    assert '<html lang="de"' in answer.text and "ungültig" in answer.text


def test_previews_have_a_link_that_says_what_it_is(sent: Scope, base_url: str) -> None:
    answer = view(base_url, "/view/preview")
    assert answer.status_code == 200 and "In a message that a campaign sends" in answer.text


def test_values_are_those_of_the_day_while_their_profiles_are_kept(sent: Scope) -> None:
    def name_on(day: date | None) -> str | None:
        return attribute_values(sent, ["C00004"], {"FIRST_NAME"}, day)["C00004"]["FIRST_NAME"]

    assert name_on(TODAY) == "<Åsa> 4"
    assert name_on(TODAY + timedelta(days=1)) == name_on(TODAY + timedelta(days=9)) == "Anew 4"
    assert name_on(DATA_DATE) == name_on(None) == "Anew 4", "there is no profile of before: it is the present one"


def test_what_is_gone_is_shown_to_nobody(sent: Scope, box: Mailbox, base_url: str) -> None:
    erased, kept, _ = mails(box, "Deleted")
    address = links_of(page_of(erased))[0]
    persons.erase(sent, f"C{number_of(erased):05d}")
    answer = view(base_url, address, "fr, en;q=0.5")
    assert answer.status_code == 410 and "Ce message n'est plus disponible" in unescape(answer.text)
    other = links_of(page_of(kept))[0]
    assert view(base_url, other).status_code == 200
    templates.delete_template(sent, EMAIL, DELETED)
    assert view(base_url, other).status_code == 410
