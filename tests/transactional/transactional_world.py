"""A transactional brand with a template, and how its calls are made."""

import itertools
from email.message import EmailMessage
from typing import Any

import httpx
from campaign_mail import Mailbox
from gateway_server import eventually
from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.brands import brands
from rapport.channels.brands.models import BrandKind
from rapport.channels.models import Channel
from rapport.messaging import templates
from rapport.transactional.models import Recipient

BRAND, CHANNEL = 12, 612
RECEIPT = 31
SUBJECT = "Order [%TRANS:FIRST_NAME%]"
HTML = "<p>Dear [%FIRST_NAME%], thank you for [%TRANS:ORDER_ID%].</p>"
SEND = "/TransactionalMail/SendTransactionalMail"
SEND_FINAL = "/TransactionalMail/SendFinalizedTransactionalMail"
NUMBERS = itertools.count(1)


def add_stream(scope: Scope, port: int) -> Channel:
    settings = {"host": "127.0.0.1", "port": port, "from_address": "orders@shop.example", "from_name": "Shop"}
    brands.create_brand(scope, "Shop, transactional", BrandKind.TRANSACTIONAL, BRAND, settings)
    channel = channels.create_channel(scope, "Transactional", "email", id=CHANNEL, settings={"brand_id": BRAND})
    templates.save_template(scope, CHANNEL, "Receipt", SUBJECT, HTML, id=RECEIPT)
    return channel


def person() -> str:
    """An address that nobody else has."""
    return f"person{next(NUMBERS)}@mail.example"


def tags(**values: Any) -> list[dict[str, Any]]:
    return [{"Tag": f"[%TRANS:{name}%]", "Value": value} for name, value in values.items()]


ALL_TAGS = tags(FIRST_NAME="Pat", ORDER_ID="A-1009")


def body(*emails: str, **more: Any) -> dict[str, Any]:
    recipients = [{"Email": email, "Personalizations": ALL_TAGS} for email in emails]
    return {"TemplateID": RECEIPT, "Recipients": recipients, **more}


def final(*emails: str, **more: Any) -> dict[str, Any]:
    recipients = [{"Email": email} for email in emails]
    content = {"FromEmail": "info@shop.example", "Subject": "Your order", "Html": "<p>Thank you</p>"}
    return {"BrandID": BRAND, **content, "Recipients": recipients, **more}


def sent(api: httpx.Client, *emails: str, **more: Any) -> int:
    """The SendID of mail that was accepted whole."""
    answer = api.post(SEND, json=body(*emails, **more))
    assert (answer.status_code, answer.json()["Error"]) == (200, None), answer.text
    return int(answer.json()["SendID"])


def logged(api: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    answer = api.get("/manage/v1/transactional/messages", params=query)
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.json()
    return entries


def ended(api: httpx.Client, send_id: int) -> list[dict[str, Any]]:
    """The messages of a send, oldest first, once all have ended."""
    eventually(lambda: all(entry["ended_at"] for entry in logged(api, send_id=send_id)))
    return sorted(logged(api, send_id=send_id), key=lambda entry: entry["id"])


def mails_to(box: Mailbox, address: str) -> list[EmailMessage]:
    return [mail for mail in box.messages if mail["To"] == address]


def recipients(scope: Scope, send_id: int) -> list[Recipient]:
    with scope.reads() as session:
        return list(session.scalars(select(Recipient).where(Recipient.send_id == send_id).order_by(Recipient.id)))
