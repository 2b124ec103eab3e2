"""Mail of a campaign and all that comes back: links that are followed, bounces over SMTP and LMTP, webhooks."""

import base64
import json
import re
import smtplib
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
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
from sqlalchemy import text

from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope
from rapport.app import mail_event_sinks
from rapport.campaigns.cycle import tasks
from rapport.campaigns.measurement import results
from rapport.campaigns.occurrences import occurrence, plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels import service as channels
from rapport.channels.messages import Origin
from rapport.delivery.models import MailEventKind
from rapport.delivery.returns.events import Happening, accept
from rapport.delivery.returns.inbound import InboundMail
from rapport.delivery.returns.recorder import record_all
from rapport.messaging import templates
from rapport.messaging.contactability import suppressions
from rapport.messaging.message_writer import MessageWriter
from rapport.messaging.tracking.tokens import TokenReader
from rapport.persons import service as persons
from rapport.stores.workers.base import running

DUE = NOW + timedelta(hours=1)
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
PERSONS = 20
HTML = (
    '<p>Dear [%FIRST_NAME%], <a href="https://shop.example/sale?a=1&amp;b=2">the sale</a>, '
    '<a href="https://shop.example/me?c=[%CUSTOMER_ID%]&amp;n=[%FIRST_NAME%]">yours</a>, '
    '<a href="https://shop.example/3">three</a>, <a href="mailto:shop@example.com">write</a>, '
    '<a href="[%UNSUBSCRIBE_URL%]">unsubscribe</a></p>'
)
OPENED, CLICKED, DROPPED, SPAM, BOUNCED, MACHINE_OPENED, MACHINE_CLICKED = 2, 3, 5, 6, 7, 102, 103


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as server:
        yield server


@pytest.fixture(scope="module")
def campaign(scope: Scope, box: Mailbox) -> int:
    """A campaign of mail to PERSONS customers, which has been sent."""
    scope.clock.set(NOW)
    add_profiles(scope, [customer(number, FIRST_NAME=f"Åsa {number}") for number in range(PERSONS)])
    publish(scope)
    add_channels(scope, box.port, tracking=True, provider="postmark", events_key="word")
    templates.save_template(scope, EMAIL, "Hello", "Hi [%FIRST_NAME%]", HTML, id=1)
    series = add_series(
        scope,
        add_group(scope, "Dutch", "NL"),
        [group(add_action(scope).id, (EMAIL, 1))],
        rules={"include_all": True},
        control_share=0,
    )
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    scope.clock.set(DUE)
    tasks.execute_due(scope)
    assert len(box.messages) == PERSONS
    return number


@pytest.fixture(autouse=True)
def later(campaign: int, scope: Scope) -> None:
    scope.clock.set(DUE + timedelta(minutes=30))


def mail_to(box: Mailbox, number: int) -> EmailMessage:
    return next(mail for mail in box.messages if str(mail["To"]).startswith(f"c{number:05d}@"))


def page_of(mail: EmailMessage) -> str:
    return str(mail.get_body(("html",)).get_content())  # type: ignore[union-attr]


def links_of(mail: EmailMessage) -> list[str]:
    return [link.replace("&amp;", "&") for link in re.findall('href="([^"]+)"', page_of(mail))]


def pixel_of(mail: EmailMessage) -> str:
    return urlsplit(re.findall('src="([^"]+)"', page_of(mail))[0]).path


def follow(base_url: str, link: str, headers: dict[str, str] = BROWSER, method: str = "GET") -> httpx.Response:
    return httpx.request(method, base_url + urlsplit(link).path, headers=headers, follow_redirects=False)


def record(scope: Scope) -> None:
    record_all(scope.stores, mail_event_sinks(), timedelta(0))


def events_of(scope: Scope, campaign_id: int, number: int) -> list[int]:
    sql = """SELECT event_id FROM campaign_interactions WHERE campaign_id = {id:UInt32} AND customer_id = {who:String}
        AND recipient_group_id = 1 AND template_id = 1 AND channel_id = 504 AND action_id = 2 ORDER BY event_id"""
    return [int(event) for (event,) in scope.warehouse.rows(sql, id=campaign_id, who=f"C{number:05d}")]


def is_suppressed(scope: Scope, number: int) -> str:
    listed = suppressions.list_suppressions(scope, f"C{number:05d}", EMAIL)
    return listed[0].reason if len(listed) else ""


def token_of(mail: EmailMessage) -> str:
    return str(mail["X-Rapport-Message"])


def test_links_lead_where_the_template_says(scope: Scope, box: Mailbox, campaign: int, base_url: str) -> None:
    mail = mail_to(box, 1)
    sale, own, _, write, unsubscribe = links_of(mail)
    assert write == "mailto:shop@example.com" and "/unsubscribe/" in unsubscribe
    answer = follow(base_url, sale)
    assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/sale?a=1&b=2")
    assert "no-store" in answer.headers["cache-control"]
    destination = follow(base_url, own).headers["location"]
    assert destination == "https://shop.example/me?c=C00001&n=%C3%85sa%201"
    text = str(mail.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert "shop.example/sale" not in text
    plain_link = re.findall(r"(http\S+/l/\S+/\d+)\)", text)[0]
    assert follow(base_url, plain_link).headers["location"] == "https://shop.example/sale?a=1&b=2"
    record(scope)
    assert events_of(scope, campaign, 1) == [OPENED, CLICKED]
    follow(base_url, sale)
    record(scope)
    assert events_of(scope, campaign, 1) == [OPENED, CLICKED], "the same on the same day is one"


def test_no_link_leads_elsewhere(box: Mailbox, base_url: str) -> None:
    sale, own, *_ = links_of(mail_to(box, 2))
    token, number, signed = urlsplit(own).path.removeprefix("/l/").split("/")
    other = urlsplit(links_of(mail_to(box, 3))[1]).path.split("/")[-1]
    evil = base64.urlsafe_b64encode(b"12345678https://evil.example").decode().rstrip("=")
    for path in (
        f"/l/{token}/{number}/{evil}",
        f"/l/{token}/{number}/{other}",
        f"/l/{token}/999999",
        f"/l/{token}/99999999999999999999",
        f"/l/{token}/-1",
        f"/l/{token[:-3]}abc/{number}",
        f"/l/x/{number}",
        f"/l/{token}/999999?url=https://evil.example",
    ):
        answer = httpx.get(base_url + path, headers=BROWSER, follow_redirects=False)
        assert answer.status_code == 404 and "location" not in answer.headers, path
    assert follow(base_url, f"{sale}?to=https://evil.example").headers["location"].startswith("https://shop.example/")
    assert signed


def test_the_pixel_tells_of_an_open_whoever_asks(scope: Scope, box: Mailbox, campaign: int, base_url: str) -> None:
    for headers in (BROWSER, BROWSER):
        answer = httpx.get(base_url + pixel_of(mail_to(box, 4)), headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
        assert "no-store" in answer.headers["cache-control"] and answer.content.startswith(b"GIF89a")
    assert httpx.get(f"{base_url}/o/nonsense.gif").content == answer.content
    httpx.get(base_url + pixel_of(mail_to(box, 5)), headers={"User-Agent": "Mozilla/5.0"})
    record(scope)
    assert events_of(scope, campaign, 4) == [OPENED]
    assert events_of(scope, campaign, 5) == [MACHINE_OPENED]
    follow(base_url, pixel_of(mail_to(box, 5)))
    record(scope)
    assert events_of(scope, campaign, 5) == [OPENED, MACHINE_OPENED], "a person may open it after the machine"


def test_a_scanner_that_follows_everything_is_no_reader(
    scope: Scope, box: Mailbox, campaign: int, base_url: str
) -> None:
    for link in links_of(mail_to(box, 6)):
        if link.startswith("http"):
            assert follow(base_url, link).status_code in (200, 302)
    follow(base_url, links_of(mail_to(box, 7))[0], method="HEAD")
    record(scope)
    assert events_of(scope, campaign, 6) == [MACHINE_CLICKED]
    assert events_of(scope, campaign, 7) == [MACHINE_CLICKED]
    assert is_suppressed(scope, 6) == "", "its GET of the unsubscribe link changes nothing"


def reacted(scope: Scope, campaign_id: int) -> Counter[str]:
    groups = {of_group.recipient_group_id: of_group for of_group in results.results(scope, campaign_id).groups}
    return Counter(groups[1].interactions)


def test_machines_are_counted_apart_in_results(scope: Scope, box: Mailbox, campaign: int, base_url: str) -> None:
    record(scope)
    before = reacted(scope, campaign)
    follow(base_url, links_of(mail_to(box, 16))[0])
    follow(base_url, pixel_of(mail_to(box, 17)), {"User-Agent": "Mozilla/5.0"})
    record(scope)
    assert reacted(scope, campaign) - before == {"opened": 1, "clicked": 1, "machine opened": 1}


def test_links_are_counted_each_time(
    scope: Scope, box: Mailbox, campaign: int, api: httpx.Client, base_url: str
) -> None:
    def counted() -> dict[str, tuple[int, int]]:
        rows = api.get(f"/manage/v1/campaigns/{campaign}/links").json()
        assert {(row["channel_id"], row["template_id"]) for row in rows} <= {(EMAIL, 1)}
        return {row["url"]: (row["clicks"], row["machine_clicks"]) for row in rows}

    record(scope)
    before = counted()
    sale, own, *_ = links_of(mail_to(box, 18))
    for link, method in ((sale, "GET"), (sale, "GET"), (sale, "HEAD"), (own, "GET")):
        follow(base_url, link, method=method)
    record(scope)
    for url, persons_clicks, machine_clicks in (
        ("https://shop.example/sale?a=1&b=2", 2, 1),
        ("https://shop.example/me?c=[%CUSTOMER_ID%]&n=[%FIRST_NAME%]", 1, 0),
    ):
        first, second = before.get(url, (0, 0))
        assert counted()[url] == (first + persons_clicks, second + machine_clicks)


def bounce(token: str, status: str, diagnostic: str) -> bytes:
    return f"""From: MAILER-DAEMON@mx.example
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; somebody@example.com
Action: failed
Status: {status}
Diagnostic-Code: smtp; {diagnostic}

--b
Content-Type: text/rfc822-headers

Subject: Hi
X-Rapport-Message: {token}
X-Long: {"x" * 3000}

--b--
""".encode()


def started(inbound: InboundMail) -> int:
    while not inbound.port:
        assert inbound.is_alive
    return inbound.port


def test_bounces_and_complaints_come_in_over_smtp(scope: Scope, box: Mailbox, campaign: int) -> None:
    gone, full, blocked, cross = (token_of(mail_to(box, number)) for number in (8, 9, 10, 11))
    inbound = InboundMail(scope.stores)
    with running(inbound), smtplib.SMTP("127.0.0.1", started(inbound)) as smtp:
        for _ in range(2):
            smtp.sendmail("", [f"bounce+{gone.upper()}@b.example"], bounce(gone, "5.1.1", "550 5.1.1 unknown"))
        smtp.sendmail("", [f"bounce+{full}@b.example"], bounce(full, "5.2.2", "552 5.2.2 mailbox full"))
        smtp.sendmail("", ["postmaster@b.example"], bounce(blocked, "5.7.1", "550 5.7.1 spam"))
        feedback = f"Feedback-Type: abuse\nVersion: 1\nOriginal-Mail-From: <bounce+{cross}@b.example>\n"
        report = (
            'From: fbl@isp.example\nMIME-Version: 1.0\nContent-Type: multipart/report; boundary="c"\n\n'
            f"--c\nContent-Type: message/feedback-report\n\n{feedback}\n--c--\n"
        )
        smtp.sendmail("fbl@isp.example", ["fbl@b.example"], report)
        forged = gone[:-4] + "aaaa"
        for address in ("ann@example.com", f"bounce+{forged}@b.example", "bounce+x@b.example"):
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                smtp.sendmail("x@evil.example", [address], b"Subject: relay me\n\n")
        smtp.sendmail("", [f"bounce+{token_of(mail_to(box, 12))}@b.example"], b"Subject: Out of office\n\nUntil Monday")
    record(scope)
    assert [events_of(scope, campaign, number) for number in range(8, 13)] == [
        [BOUNCED],
        [DROPPED],
        [DROPPED],
        [SPAM],
        [],
    ]
    reasons = [is_suppressed(scope, number) for number in range(8, 13)]
    assert reasons == ["bounced", "", "", "complaint", ""]


def test_lmtp_answers_for_each_recipient(scope: Scope, box: Mailbox, campaign: int) -> None:
    token = token_of(mail_to(box, 13))
    scope.stores.settings.bounce_protocol = "lmtp"
    inbound = InboundMail(scope.stores)
    try:
        with running(inbound), smtplib.LMTP("127.0.0.1", started(inbound)) as lmtp:
            to = ["postmaster@b.example", f"bounce+{token}@b.example"]
            lmtp.sendmail("", to, bounce(token, "5.1.1", "550 5.1.1 unknown"))
            assert lmtp.getreply()[0] == 250, "smtplib reads one answer of the two"
            assert lmtp.docmd("NOOP")[0] == 250
    finally:
        scope.stores.settings.bounce_protocol = "smtp"
    record(scope)
    assert (events_of(scope, campaign, 13), is_suppressed(scope, 13)) == ([BOUNCED], "bounced")


def test_a_provider_reports_by_its_webhook(
    scope: Scope, box: Mailbox, campaign: int, api: httpx.Client, base_url: str
) -> None:
    mail = mail_to(box, 14)
    assert mail["X-PM-Metadata-rapport"] == token_of(mail)
    shown = api.get(f"/manage/v1/channels/{EMAIL}/mail-events").json()
    assert shown["provider"] == "postmark"
    path = base_url + urlsplit(shown["url"]).path
    body = {
        "RecordType": "Bounce",
        "Type": "HardBounce",
        "BouncedAt": DUE.isoformat(),
        "Metadata": {"rapport": token_of(mail)},
    }

    def post(url: str, content: object, password: str = "word") -> int:
        return httpx.post(url, content=json.dumps(content), auth=("any", password)).status_code

    assert post(path, body, "wrong") == 401
    assert post(path[:-1] + ("0" if path[-1] != "0" else "1"), body) == 404
    assert post(path.replace("/postmark/", "/sendgrid/"), body) == 404
    for content in ({**body, "Type": "New"}, {**body, "Metadata": {"rapport": "x"}}, {"RecordType": "Later"}, []):
        assert post(path, content) == 204
    assert httpx.post(path, content=b"no json", auth=("any", "word")).status_code == 400
    record(scope)
    assert events_of(scope, campaign, 14) == []
    assert post(path, body) == 204
    record(scope)
    assert (events_of(scope, campaign, 14), is_suppressed(scope, 14)) == ([BOUNCED], "bounced")
    suppressions.allow(scope, "C00014", EMAIL)
    assert post(path, body) == 204
    record(scope)
    assert is_suppressed(scope, 14) == "", "who replays a call changes nothing"


def wait_until_cleared(scope: Scope) -> None:
    """Wait for the end of the erasure, so that the engines do not stop amid it."""
    under_way = text("SELECT count(*) FROM dbos.workflow_status WHERE status IN ('PENDING', 'ENQUEUED')")
    while True:
        with scope.records() as session:
            if not session.scalar(under_way):
                return
        time.sleep(0.05)


def test_a_complaint_of_an_erased_person_names_nobody(scope: Scope, box: Mailbox) -> None:
    token = token_of(mail_to(box, 15))
    link = page_of(mail_to(box, 15)).partition("/o/")[2].partition(".gif")[0]
    persons.erase(scope, "C00015")
    for known in (token, link):
        message = TokenReader(scope.stores).read(known)
        accept(scope.stores, [Happening(message, MailEventKind.COMPLAINT, scope.clock.now())])
    record(scope)
    listed = suppressions.list_suppressions(scope, channel_id=EMAIL)
    assert not any("00015" in row.customer_key or "00015" in row.customer_id for row in listed)
    assert pseudonym(scope, "C00015") in {row.customer_key for row in listed}
    wait_until_cleared(scope)


def test_tracking_can_be_turned_off(scope: Scope, box: Mailbox, campaign: int) -> None:
    channel = channels.channel(scope, EMAIL)
    template = templates.template(scope, EMAIL, 1)
    origin = Origin(EMAIL, campaign, 1)
    for wish, public_url, tracked in (
        (True, "", True),
        (None, "", False),
        (None, "https://r.example", True),
        (False, "https://r.example", False),
    ):
        channel.settings = {**channel.settings, "tracking": wish}
        scope.stores.settings.public_url = public_url
        message = MessageWriter(scope, channel, template, origin).write("a" * 40, "C1", "c1@example.com", {}, {})
        scope.stores.settings.public_url = ""
        assert ("/l/" in message.html and "/o/" in message.html) is tracked
        assert message.return_token, "what comes back is told by it, tracked or not"
    assert occurrence(scope, campaign).state == "successful"
