"""What comes back about transactional mail: opens, clicks, bounces and complaints under the message in the log."""

import re
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from urllib.parse import urlsplit

import httpx
import pytest
from campaign_mail import Mailbox
from transactional_world import BRAND, CHANNEL, SEND_FINAL, body, ended, final, mails_to, person

from rapport.access.scope import Scope
from rapport.app import mail_event_sinks
from rapport.channels import service as channels
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns import events
from rapport.delivery.returns.events import Happening
from rapport.delivery.returns.recorder import record_all
from rapport.messaging import templates
from rapport.messaging.tracking.tokens import TokenReader
from rapport.transactional.messages import TransactionalSender

LINKED = 32
HTML = '<p><a href="https://shop.example/orders/[%TRANS:ORDER_ID%]">your order</a></p>'
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
SCANNER = {"User-Agent": "Mozilla/5.0"}


@pytest.fixture(scope="module", autouse=True)
def tracked(shop: Scope, sender: TransactionalSender) -> Iterator[None]:
    """The channel tracks opens and clicks, and has a template with a link."""
    channels.update_channel(shop, CHANNEL, settings={"brand_id": BRAND, "tracking": True})
    templates.save_template(shop, CHANNEL, "Order", "Order", HTML, id=LINKED)
    yield
    shop.clock.set(None)


def page_of(mail: EmailMessage) -> str:
    return str(mail.get_body(("html",)).get_content())  # type: ignore[union-attr]


def follow(base_url: str, page: str, attribute: str, headers: dict[str, str] = BROWSER) -> httpx.Response:
    """Fetch the first address of an attribute of a page."""
    address = re.findall(f'{attribute}="(http[^"]+)"', page)[0]
    return httpx.get(base_url + urlsplit(address).path, headers=headers, follow_redirects=False)


def record(scope: Scope) -> None:
    record_all(scope.stores, mail_event_sinks(), timedelta(0))


def became(api: httpx.Client, email: str) -> dict[str, bool]:
    (row,) = api.get("/TransactionalMail/GetTransactionalUserMetrics", params={"Email": email}).json()
    return {name: row[name] for name in ("Delivered", "Opened", "Clicked", "SpamReported", "Bounced")}


def send(api: httpx.Client, box: Mailbox, scope: Scope, **request: object) -> tuple[str, EmailMessage]:
    """Send one mail and let half an hour go by, in which people read theirs: the address and the mail."""
    email = person()
    content = final(email, **request) if "Html" in request else body(email, TemplateID=LINKED)
    answer = api.post(SEND_FINAL if "Html" in request else "/TransactionalMail/SendTransactionalMail", json=content)
    ended(api, answer.json()["SendID"])
    scope.clock.set(scope.clock.now() + timedelta(minutes=30))
    (mail,) = mails_to(box, email)
    return email, mail


def test_a_click_leads_on_and_is_entered_with_the_open(
    api: httpx.Client, box: Mailbox, shop: Scope, base_url: str
) -> None:
    email, mail = send(api, box, shop)
    answer = follow(base_url, page_of(mail), "href")
    assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/orders/A-1009")
    record(shop)
    assert became(api, email) == {
        "Delivered": True,
        "Opened": True,
        "Clicked": True,
        "SpamReported": False,
        "Bounced": False,
    }


def test_final_content_is_sent_as_it_is_but_for_its_pixel(
    api: httpx.Client, box: Mailbox, shop: Scope, base_url: str
) -> None:
    html = '<p>[%NOT_A_TAG%] <a href="https://shop.example/reset/secret">reset</a></p>'
    email, mail = send(api, box, shop, Html=html)
    page = page_of(mail)
    assert page.startswith(html), page
    assert follow(base_url, page, "src").status_code == 200
    record(shop)
    assert (became(api, email)["Opened"], became(api, email)["Clicked"]) == (True, False)


def test_what_a_machine_opens_does_not_count(api: httpx.Client, box: Mailbox, shop: Scope, base_url: str) -> None:
    email, mail = send(api, box, shop)
    assert follow(base_url, page_of(mail), "src", SCANNER).status_code == 200
    record(shop)
    assert became(api, email)["Opened"] is False


@pytest.mark.parametrize(
    ("kind", "member", "stops"),
    [
        (MailEventKind.PERMANENT, "Bounced", True),
        (MailEventKind.COMPLAINT, "SpamReported", True),
        (MailEventKind.TEMPORARY, "Bounced", False),
        (MailEventKind.BLOCK, "Bounced", False),
    ],
)
def test_what_comes_back_later_is_entered_and_stops_further_mail_if_it_is_for_good(
    api: httpx.Client, box: Mailbox, shop: Scope, kind: MailEventKind, member: str, stops: bool
) -> None:
    email, mail = send(api, box, shop)
    message = TokenReader(shop.stores).read(str(mail["X-Rapport-Message"]))
    events.accept(shop.stores, [Happening(message, kind, shop.clock.now())])
    record(shop)
    assert became(api, email)[member] is stops
    answer = api.post("/TransactionalMail/SendTransactionalMail", json=body(email))
    (entry,) = ended(api, answer.json()["SendID"])
    assert entry["state"] == ("suppressed" if stops else "sent")
