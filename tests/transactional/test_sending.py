"""What an application asks to be sent arrives: once, with its values and files, from whom it should."""

import base64
import threading
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
from campaign_mail import Mailbox
from gateway_server import eventually
from sqlalchemy import select, update
from transactional_world import (
    BRAND,
    CHANNEL,
    RECEIPT,
    SEND,
    SEND_FINAL,
    body,
    ended,
    final,
    logged,
    mails_to,
    person,
    recipients,
    sent,
    tags,
)

from rapport.access.scope import Scope
from rapport.delivery.models import OutboxMessage, Source
from rapport.messaging.contactability import suppressions
from rapport.transactional.messages import TransactionalSender
from rapport.transactional.models import Attachment

pytestmark = pytest.mark.usefixtures("sender")
USED = "Request for this UniqueMessageID has succeeded before"


def page(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def test_each_recipient_gets_a_message_with_values_of_its_own(api: httpx.Client, shop: Scope, box: Mailbox) -> None:
    first, second = person(), person()
    request = body(first, second)
    request["Recipients"][1]["Personalizations"] = tags(FIRST_NAME="<Kim & Co>", ORDER_ID=7)
    answer = api.post(SEND, json=request)
    assert answer.status_code == 200
    assert answer.json() == {"IsSuccess": True, "SendID": answer.json()["SendID"], "Error": None}
    entries = ended(api, answer.json()["SendID"])
    assert [(entry["email"], entry["state"], entry["template_id"]) for entry in entries] == [
        (first, "sent", RECEIPT),
        (second, "sent", RECEIPT),
    ]
    (one,), (other,) = mails_to(box, first), mails_to(box, second)
    assert (one["From"], one["Subject"]) == ("Shop <orders@shop.example>", "Order Pat")
    assert one["Message-ID"] == f"<{entries[0]['message_id']}@shop.example>"
    assert "List-Unsubscribe" not in one, "nobody unsubscribes from what they need"
    assert "thank you for A-1009" in page(one)
    assert "Dear &lt;Kim &amp; Co&gt;, thank you for 7." in page(other)
    with shop.reads() as session:
        of_sends = select(OutboxMessage).where(
            OutboxMessage.tenant_id == shop.tenant_id, OutboxMessage.source == Source.TRANSACTIONAL
        )
        assert list(session.scalars(of_sends)) == [], "the log has what became of them"


@pytest.mark.parametrize(
    "personalizations",
    [
        [{"tag": "first_name", "value": "Pat"}, {"TAG": "[% trans : ORDER_ID %]", "VALUE": "A-1009"}],
        [{"[%FIRST_NAME%]": "Pat"}, {"TRANS:ORDER_ID": "A-1009"}],
        {"FIRST_NAME": "Pat", "[%TRANS:ORDER_ID%]": "A-1009"},
        [{"Name": "FIRST_NAME", "Value": "Pat"}, {"Key": "ORDER_ID", "Value": "A-1009"}],
    ],
)
def test_tags_are_named_in_many_ways(api: httpx.Client, box: Mailbox, personalizations: Any) -> None:
    email = person()
    request = {"templateid": str(RECEIPT), "RECIPIENTS": [{"email": email, "personalizations": personalizations}]}
    answer = api.post("/current/transactionalmail/sendtransactionalmail", json=request)
    assert answer.status_code == 200, answer.text
    ended(api, answer.json()["SendID"])
    assert "Dear Pat, thank you for A-1009." in page(mails_to(box, email)[0])


def test_missing_tags_are_empty_and_named(api: httpx.Client, box: Mailbox) -> None:
    one, other = person(), person()
    request = body(one, other)
    request["Recipients"][1]["Personalizations"] = tags(FIRST_NAME="", OTHER="x")
    answer = api.post(SEND, json=request)
    assert answer.status_code == 206
    assert answer.json()["IsSuccess"] is True
    assert answer.json()["Error"] == "No value for the tags [%TRANS:ORDER_ID%], which are empty."
    ended(api, answer.json()["SendID"])
    assert "Dear , thank you for ." in page(mails_to(box, other)[0])


def test_what_is_no_address_fails_alone(api: httpx.Client, box: Mailbox) -> None:
    email = person()
    answer = api.post(SEND, json=body("nobody", email, "a@b@c"))
    assert answer.status_code == 206
    assert answer.json()["Error"] == (
        "Not an e-mail address: Recipients[0].Email, Recipients[2].Email. The message is sent to all others."
    )
    entries = ended(api, answer.json()["SendID"])
    assert [(entry["state"], entry["reason"]) for entry in entries] == [
        ("failed", "not an e-mail address"),
        ("sent", ""),
        ("failed", "not an e-mail address"),
    ]
    assert len(mails_to(box, email)) == 1


FILE = {"Content": "JVBERi0xLjQK", "Type": "application/pdf", "FileName": "a.pdf"}
MALFORMED = [
    ({"TemplateID": None}, "TemplateID"),
    ({"TemplateID": "x"}, "TemplateID"),
    ({"Recipients": []}, "Recipients"),
    ({"Recipients": None}, "Recipients"),
    ({"Recipients": [{}]}, "Recipients[0].Email is required."),
    ({"Recipients": [{"Email": "nobody"}]}, "Recipients[0].Email is not an e-mail address."),
    ({"Recipients": [{"Email": "a@b.example"}] * 201}, "Recipients: must have at most 200 items."),
    ({"Recipients": [{"Email": "a@b.example", "Personalizations": "x"}]}, "Recipients[0].Personalizations"),
    (
        {"Recipients": [{"Email": "a@b.example", "Personalizations": tags(FIRST_NAME="x" * 50_000)}]},
        "Recipients[0].Personalizations: must have at most 50000 bytes.",
    ),
    ({"ScheduleTime": "tomorrow"}, "ScheduleTime: must be a time in UTC as YYYY-MM-DD HH:mm:ss."),
    ({"UniqueMessageID": "x" * 255}, "UniqueMessageID"),
    ({"Attachments": [FILE | {"Content": "%"}]}, "Attachments[0].Content: must be base64."),
    ({"Attachments": [FILE | {"Type": "pdf"}]}, "Attachments[0].Type: must be a media type such as application/pdf."),
    ({"Attachments": [FILE | {"FileName": "/"}]}, "Attachments[0].FileName: must not be blank."),
    ({"Attachments": [{"Content": "JVBERi0xLjQK"}]}, "Attachments[0].Type is required."),
]


@pytest.mark.parametrize(("change", "said"), MALFORMED, ids=[str(number) for number in range(len(MALFORMED))])
def test_malformed_requests_are_refused_whole(api: httpx.Client, change: dict[str, Any], said: str) -> None:
    answer = api.post(SEND, json=body(person()) | change)
    assert answer.status_code == 400
    assert answer.json()["IsSuccess"] is False and answer.json()["SendID"] is None
    assert answer.json()["Error"].startswith(said), answer.json()["Error"]


def test_what_is_no_json(api: httpx.Client) -> None:
    answer = api.post(SEND, content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["Error"]) == (400, "The body is not valid JSON.")


def test_an_unknown_template_or_brand(api: httpx.Client) -> None:
    answer = api.post(SEND, json=body(person(), TemplateID=404))
    assert answer.status_code == 200
    assert answer.json() == {"IsSuccess": False, "SendID": None, "Error": "Invalid template"}
    answer = api.post(SEND_FINAL, json=final(person(), BrandID=404))
    assert answer.status_code == 404
    assert answer.json() == {"IsSuccess": False, "SendID": None, "Error": "There is no transactional brand 404."}


def test_only_requests_that_succeeded_are_remembered(api: httpx.Client, shop: Scope, box: Mailbox) -> None:
    email, key = person(), "order-7/confirmation"
    assert api.post(SEND, json=body("nobody", UniqueMessageID=key)).status_code == 400
    assert api.post(SEND, json=body(email, UniqueMessageID=key, TemplateID=404)).json()["IsSuccess"] is False
    ended(api, sent(api, email, UniqueMessageID=key))
    for path, request in ((SEND, body(email)), (SEND_FINAL, final(email))):
        answer = api.post(path, json=request | {"UniqueMessageID": key})
        assert answer.status_code == 409
        assert answer.json() == {"IsSuccess": False, "SendID": None, "Error": USED}
    ended(api, sent(api, email, UniqueMessageID=key.upper()))
    assert len(mails_to(box, email)) == 2
    try:
        shop.clock.set(shop.clock.now() + timedelta(days=29))
        assert api.post(SEND, json=body(email, UniqueMessageID=key)).status_code == 409
        shop.clock.set(shop.clock.now() + timedelta(days=1, minutes=1))
        assert api.post(SEND, json=body(email, UniqueMessageID=key)).status_code == 200
    finally:
        shop.clock.set(None)


def test_of_requests_at_once_with_the_same_id_one_succeeds(api: httpx.Client, box: Mailbox) -> None:
    email, statuses, begin = person(), [], threading.Barrier(8)

    def ask() -> None:
        begin.wait()
        statuses.append(api.post(SEND, json=body(email, UniqueMessageID="at once")).status_code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 7
    (entry,) = logged(api, email=email)
    ended(api, entry["send_id"])
    assert len(mails_to(box, email)) == 1


def test_scheduled_mail_waits_for_its_time(
    api: httpx.Client, shop: Scope, box: Mailbox, sender: TransactionalSender
) -> None:
    later, past = person(), person()
    hour = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S")
    waiting = sent(api, later, ScheduleTime=hour)
    ended(api, sent(api, past, ScheduleTime="2024-02-10 18:30:00"))
    (entry,) = logged(api, send_id=waiting)
    assert (entry["state"], entry["due_at"]) == ("pending", hour.replace(" ", "T") + "Z")
    assert mails_to(box, later) == []
    (recipient,) = recipients(shop, waiting)
    with shop.records() as session:
        message = (OutboxMessage.tenant_id == shop.tenant_id, OutboxMessage.source_id == recipient.id)
        session.execute(update(OutboxMessage).where(*message).values(due_at=datetime.now(UTC)))
    sender.wake()
    ended(api, waiting)
    assert len(mails_to(box, later)) == 1


def test_files_arrive_as_they_are_and_are_dropped(api: httpx.Client, shop: Scope, box: Mailbox) -> None:
    email = person()
    contents = {"Rechnung für Zoë.pdf": bytes(range(256)) * 500, "b.txt": b"plain\n"}
    files = [
        {"Content": base64.encodebytes(content).decode(), "Type": "application/pdf", "FileName": f"C:\\tmp\\{name}"}
        for name, content in contents.items()
    ]
    files[1]["Type"] = "message/rfc822"
    send_id = sent(api, email, Attachments=files)
    ended(api, send_id)
    (mail,) = mails_to(box, email)
    arrived = list(mail.iter_attachments())
    assert {part.get_filename(): part.get_content() for part in arrived} == contents
    assert [part.get_content_type() for part in arrived] == ["application/pdf", "application/octet-stream"]
    assert mail.get_content_type() == "multipart/mixed"
    assert "Dear Pat" in page(mail)
    with shop.reads() as session:
        assert list(session.scalars(select(Attachment).where(Attachment.send_id == send_id))) == []


def test_files_of_ten_megabytes_are_taken_and_no_more(api: httpx.Client, box: Mailbox, base_url: str) -> None:
    email, most = person(), 10 * 1024 * 1024
    half = base64.b64encode(bytes(most // 2)).decode()
    files = [FILE | {"Content": half}, FILE | {"Content": half}]
    ended(api, sent(api, email, Attachments=files))
    (mail,) = mails_to(box, email)
    assert sum(len(part.get_content()) for part in mail.iter_attachments()) == most
    answer = api.post(SEND, json=body(email, Attachments=[*files, FILE | {"Content": half[:4000]}]))
    assert (answer.status_code, answer.json()["Error"]) == (400, "Attachments must have at most 10 MB in all.")
    answer = api.post(SEND, json=body(email, Attachments=[FILE | {"Content": half * 4}]))
    assert answer.status_code == 413
    answer = httpx.post(f"{base_url}{SEND}", json=body(email, Attachments=[FILE | {"Content": half * 4}]))
    assert answer.status_code == 401


def test_final_content_goes_out_as_it_stands(api: httpx.Client, box: Mailbox) -> None:
    one, other = person(), person()
    html = "<p>[%FIRST_NAME%] [%TRANS:X%] <b>as it is</b></p><script>1</script>"
    request = final(one, other, Html=html, FromName="Zoë", ReplyTo="help@other.example", PlainText="plain [%X%]")
    answer = api.post(SEND_FINAL, json=request)
    assert (answer.status_code, answer.json()["Error"]) == (200, None)
    entries = ended(api, answer.json()["SendID"])
    assert [(entry["email"], entry["template_id"], entry["brand_id"]) for entry in entries] == [
        (one, None, BRAND),
        (other, None, BRAND),
    ]
    (mail,) = mails_to(box, one)
    assert mails_to(box, other), "each gets a message of its own"
    assert (mail["From"], mail["Reply-To"], mail["Subject"]) == (
        "Zoë <info@shop.example>",
        "help@other.example",
        "Your order",
    )
    assert page(mail).strip() == html
    plain = mail.get_body(("plain",))
    assert plain is not None and plain.get_content().strip() == "plain [%X%]"
    shown = api.get(f"/manage/v1/transactional/messages/{entries[0]['id']}/preview").json()
    assert shown["html"] == "<p>[%FIRST_NAME%] [%TRANS:X%] <b>as it is</b></p>", "it is shown without its script"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"FromEmail": "x@elsewhere.example"},
            "FromEmail must be an address of a domain that the brand sends from",
        ),
        ({"FromEmail": "nobody"}, "FromEmail: must be an e-mail address."),
        ({"ReplyTo": "nobody"}, "ReplyTo: must be an e-mail address."),
        ({"Subject": ""}, "Subject"),
        ({"Html": None}, "Html"),
        ({"BrandID": None}, "BrandID"),
    ],
)
def test_malformed_final_mail(api: httpx.Client, change: dict[str, Any], said: str) -> None:
    answer = api.post(SEND_FINAL, json=final(person()) | change)
    assert answer.status_code == 400
    assert answer.json()["Error"].startswith(said), answer.json()["Error"]


def test_a_refused_address_gets_nothing_more_until_it_is_let_in(api: httpx.Client, shop: Scope, box: Mailbox) -> None:
    bad, fine = "bad-7@mail.example", person()
    (entry,) = ended(api, sent(api, bad))
    assert (entry["state"], entry["reason"]) == ("failed", "recipient rejected 550 5.1.1")
    assert entry["bounced_at"] is not None
    eventually(lambda: api.get("/manage/v1/suppressions/of-address", params={"address": bad}).json())
    (entry,) = ended(api, sent(api, "BAD-7@mail.example"))
    assert (entry["state"], entry["reason"], entry["bounced_at"]) == ("suppressed", "hard bounce", None)
    suppressions.allow_address(shop, bad, CHANNEL)
    (entry,) = ended(api, sent(api, bad))
    assert entry["state"] == "failed", "it is tried again"
    assert ended(api, sent(api, fine))[0]["state"] == "sent"


def test_who_unsubscribed_gets_transactional_mail(api: httpx.Client, shop: Scope, box: Mailbox) -> None:
    email = person()
    suppressions.suppress_addresses(shop, [email], CHANNEL, "unsubscribed")
    suppressions.suppress_addresses(shop, [email], 0, "unsubscribed")
    assert ended(api, sent(api, email))[0]["state"] == "sent"
    assert len(mails_to(box, email)) == 1


def test_a_temporary_refusal_is_tried_again(api: httpx.Client, shop: Scope, box: Mailbox) -> None:
    api.patch("/manage/v1/tenants/current", json={"settings": {"transactional": {"retry_delays": [0.1]}}})
    try:
        (entry,) = ended(api, sent(api, "later-once@mail.example"))
        assert (entry["state"], entry["reason"]) == ("sent", "")
    finally:
        api.patch("/manage/v1/tenants/current", json={"settings": {"transactional": {"retry_delays": None}}})


def test_a_template_that_is_gone_is_told(api: httpx.Client, shop: Scope) -> None:
    hour = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%d %H:%M:%S")
    content = {"name": "Gone", "subject": "x", "text": "x"}
    number = api.post(f"/manage/v1/channels/{CHANNEL}/templates", json=content).json()["id"]
    send_id = sent(api, person(), TemplateID=number, ScheduleTime=hour)
    api.delete(f"/manage/v1/channels/{CHANNEL}/templates/{number}")
    (entry,) = ended(api, send_id)
    assert (entry["state"], entry["bounced_at"]) == ("failed", None)
    assert entry["reason"] == f"There is no template {number} on channel {CHANNEL}."
