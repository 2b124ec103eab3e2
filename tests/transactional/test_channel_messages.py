"""Transactional messages by SMS, in inboxes and in apps: to whom they go, what they say, what becomes of them."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from gateway_server import eventually
from in_app_world import World, installed, world
from sms_provider import SETTINGS, SmsProvider, sms_provider
from transactional_world import ended, logged
from webhook_receiver import receiving

from rapport.access.scope import Scope
from rapport.app import mail_event_sinks
from rapport.channels import service as channels
from rapport.channels.sms.incoming import Answer
from rapport.customers.writes import locks
from rapport.delivery import transports
from rapport.delivery.returns.recorder import record_all
from rapport.delivery.returns.text_messages import TextMessages
from rapport.messaging import templates
from rapport.messaging.contactability import suppressions
from rapport.messaging.topics import brand_groups
from rapport.notifications.deliverer import Deliverer
from rapport.persons import service as persons
from rapport.stores import Stores
from rapport.transactional.messages import TransactionalSender

SEND = "/manage/v1/transactional/messages"
SMS, INBOX, IN_APP = 493, 495, 427
CODE, NOTE = 1, 2
# Numbers that are kept for stories.
NUMBERS = {"A": "0171 3920001", "B": "+49 171 3920002", "C": "", "D": "no number", "E": "+491713920005"}


@pytest.fixture(scope="module")
def provider() -> Iterator[SmsProvider]:
    with sms_provider() as server:
        yield server


@pytest.fixture(scope="module")
def shop(scope: Scope, provider: SmsProvider) -> Iterator[World]:
    """A tenant with channels for SMS, inboxes and in-app messages, and customers with numbers, one without."""
    made = world(scope)
    settings = {**SETTINGS, "url": provider.url}
    channels.create_channel(scope, "Texts", "sms", id=SMS, settings=settings)
    channels.create_channel(scope, "Site", "inbox", id=INBOX)
    code = "[%FIRST_NAME:Hello%], your code is [%TRANS:CODE%]. https://shop.example/orders"
    templates.save_template(scope, SMS, "Code", text=code, id=CODE)
    templates.save_template(scope, INBOX, "Note", "Order [%TRANS:ORDER_ID%]", text="For [%CUSTOMER_ID%]", id=NOTE)
    with locks.writing(scope):
        scope.warehouse.insert("customers", ["customer_id", "MOBILE_NUMBER"], [list(row) for row in NUMBERS.items()])
    yield made
    transports.transports(scope.stores).tidy(idle=0)


@pytest.fixture(scope="module", autouse=True)
def sending(stores: Stores, shop: World) -> Iterator[TransactionalSender]:
    made = TransactionalSender(stores)
    made.start()
    yield made
    made.stop()


def customers(*ids: str, **values: str) -> list[dict[str, Any]]:
    return [{"customer_id": each, "values": values} for each in ids]


def asked(api: httpx.Client, channel_id: int, recipients: list[dict[str, Any]], **more: Any) -> httpx.Response:
    return api.post(SEND, json={"channel_id": channel_id, "recipients": recipients, **more})


def accepted(api: httpx.Client, channel_id: int, recipients: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    answer = asked(api, channel_id, recipients, **more)
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


def became(api: httpx.Client, send_id: int) -> list[tuple[str | None, str, str, str]]:
    return [(each["customer_id"], each["email"], each["state"], each["reason"]) for each in ended(api, send_id)]


def test_a_text_goes_to_customers_and_numbers_and_whoever_cannot_be_reached_is_named(
    api: httpx.Client, provider: SmsProvider
) -> None:
    people = customers("a", "B", "C", "D", "nobody", CODE="4711", FIRST_NAME="Pat")
    people += [{"address": "0171 3920006", "values": {"code": 12}}, {"address": "call me"}]
    answer = accepted(api, SMS, people, template_id=CODE)
    assert answer["recipients"] == [
        shown("A", "+491713920001"),
        shown("B", "+491713920002"),
        shown("C", None, "no address"),
        shown("D", "no number", "not a phone number"),
        shown("nobody", None, "there is no such customer"),
        shown(None, "+491713920006"),
        shown(None, "call me", "not a phone number", ["CODE"]),
    ]
    assert became(api, answer["send_id"]) == [
        ("A", "+491713920001", "sent", ""),
        ("B", "+491713920002", "sent", ""),
        ("C", "", "failed", "no address"),
        ("D", "no number", "failed", "not a phone number"),
        ("nobody", "", "failed", "there is no such customer"),
        (None, "+491713920006", "sent", ""),
        (None, "call me", "failed", "not a phone number"),
    ]
    said = {number: provider.texts[number].partition("http") for number in ("+491713920001", "+491713920006")}
    assert said["+491713920001"][0] == "Pat, your code is 4711. "
    assert said["+491713920006"][0] == "Hello, your code is 12. "
    links = {link for _, _, link in said.values()}
    assert len(links) == 2 and not any("shop.example" in link for link in links), "short and tracked, each its own"
    of_a = next(each for each in logged(api, customer_id="A") if each["send_id"] == answer["send_id"])
    shown_text = api.get(f"/manage/v1/transactional/messages/{of_a['id']}/preview").json()
    assert shown_text["text"] == "Pat, your code is 4711. https://shop.example/orders"
    assert (of_a["brand_id"], of_a["channel_id"], of_a["template_id"]) == (None, SMS, CODE)


def shown(customer_id: str | None, address: str | None, reason: str = "", missing: list[str] | None = None) -> Any:
    members = {"customer_id": customer_id, "address": address, "accepted": not reason}
    return {**members, "reason": reason, "missing_values": missing or []}


def test_a_click_on_a_short_link_is_in_the_log(
    api: httpx.Client, base_url: str, shop: World, provider: SmsProvider
) -> None:
    answer = accepted(api, SMS, customers("B", CODE="click me"), template_id=CODE)
    ended(api, answer["send_id"])
    text = next(post["text"] for post in provider.posts if "click me" in post["text"])
    link = text[text.index("https://" if "https://" in text else "http://") :]
    path = httpx.URL(link).path
    clicked = httpx.get(base_url + path, headers={"User-Agent": "Mozilla/5.0"}, follow_redirects=False)
    while not clicked.headers["location"].startswith("https://shop.example"):
        clicked = httpx.get(base_url + httpx.URL(clicked.headers["location"]).path, follow_redirects=False)
    assert clicked.headers["location"] == "https://shop.example/orders"
    record_all(shop.scope.stores, mail_event_sinks(), timedelta())


def test_own_content_is_filled_and_its_links_stay(api: httpx.Client, provider: SmsProvider) -> None:
    own = {"text": "Reset: https://shop.example/reset/[%TRANS:KEY%] or https://shop.example/help"}
    answer = accepted(api, SMS, customers("E", KEY="k1"), content=own)
    assert became(api, answer["send_id"]) == [("E", "+491713920005", "sent", "")]
    assert provider.texts["+491713920005"] == "Reset: https://shop.example/reset/k1 or https://shop.example/help"


def test_only_customers_get_a_link_to_unsubscribe(api: httpx.Client, base_url: str, provider: SmsProvider) -> None:
    both = [*customers("B"), {"address": "+491713920015"}]
    answer = accepted(api, SMS, both, content={"text": "Stop: [%UNSUB:call us%]"})
    assert [each[2] for each in became(api, answer["send_id"])] == ["sent", "sent"]
    assert provider.texts["+491713920015"] == "Stop: call us"
    link = httpx.URL(provider.texts["+491713920002"].removeprefix("Stop: "))
    page = httpx.get(base_url + link.path, follow_redirects=False)
    assert page.status_code in (301, 302, 303, 307, 308) and "/unsubscribe/" in page.headers["location"]


def test_who_unsubscribed_is_reached_and_who_answered_stop_is_not(
    api: httpx.Client, shop: World, provider: SmsProvider
) -> None:
    scope = shop.scope
    with scope.records() as session:
        suppressions.suppress_many(scope, session, SMS, "unsubscribed", ["B"])
    by_id = accepted(api, SMS, customers("B", CODE="1"), template_id=CODE)
    assert became(api, by_id["send_id"]) == [("B", "+491713920002", "sent", "")]
    incoming = TextMessages()
    for number in ("0171 3920001", "+491713920007"):
        incoming.answer(scope, SMS, Answer(number, "Stop", scope.clock.now()))
    stopped = [*customers("A", CODE="2"), {"address": "+49 171 3920007"}, {"address": "+491713920008"}]
    answer = accepted(api, SMS, stopped, template_id=CODE)
    assert [each[2:] for each in became(api, answer["send_id"])] == [
        ("suppressed", "suppression list"),
        ("suppressed", "suppression list"),
        ("sent", ""),
    ]
    for number in ("0171 3920001", "+491713920007"):
        incoming.answer(scope, SMS, Answer(number, "start", scope.clock.now()))
    again = accepted(api, SMS, customers("A", CODE="3"), template_id=CODE)
    assert became(api, again["send_id"])[0][2] == "sent"


def test_a_number_that_does_not_exist_is_asked_about_once(api: httpx.Client, provider: SmsProvider) -> None:
    nobody = [{"address": "+491713920099"}]
    first = accepted(api, SMS, nobody, content={"text": "Hello"})
    assert became(api, first["send_id"]) == [(None, "+491713920099", "failed", "no such number")]
    second = accepted(api, SMS, nobody, content={"text": "Hello"})
    assert became(api, second["send_id"]) == [(None, "+491713920099", "suppressed", "hard bounce")]
    assert provider.asked["+491713920099"] == 1


def test_a_message_stands_in_the_inbox_and_opening_it_is_in_the_log(
    api: httpx.Client, base_url: str, shop: World
) -> None:
    brand = brand_groups.create_brand_group(shop.scope, "Northwind", {495: [INBOX]}).id
    answer = accepted(api, INBOX, customers("C", ORDER_ID="A-1009"), template_id=NOTE)
    assert answer["recipients"] == [shown("C", None)]
    assert became(api, answer["send_id"]) == [("C", "", "sent", "")]
    who = {"tenantId": shop.scope.tenant_id, "brandId": brand, "customerId": "C"}
    eventually(lambda: httpx.post(f"{base_url}/api/v2/embedded-messages/get", params=who).status_code == 200)
    (message,) = httpx.post(f"{base_url}/api/v2/embedded-messages/get", params=who).json()["containers"]["Inbox"]
    assert (message["title"], message["content"]) == ("Order A-1009", "For C")
    read = {
        "eventType": "embedded-message.read",
        "timestamp": datetime.now(UTC).isoformat(),
        "uuid": uuid.uuid4().hex,
        "customerId": "C",
        "context": {"messageId": message["id"], "containerId": ""},
    }
    told = httpx.post(
        f"{base_url}/api/v2/events/report", params={"tenantId": shop.scope.tenant_id, "brandId": brand}, json=[read]
    )
    assert told.status_code == 204, told.text

    def opened() -> bool:
        record_all(shop.scope.stores, mail_event_sinks(), timedelta())
        return all(each["opened_at"] for each in logged(api, send_id=answer["send_id"]))

    eventually(opened)


def test_an_app_shows_the_message_to_whoever_consented(api: httpx.Client, base_url: str, shop: World) -> None:
    with locks.writing(shop.scope):
        shop.scope.warehouse.insert("customers", ["customer_id"], [["has-app"], ["said-no"], ["no-app"]])
    installed(shop, "has-app")
    installed(shop, "said-no", consent=False)
    own = {"details": {"presented_when": "immediately", "content": {"title": "Code [%TRANS:CODE%]"}}}
    answer = accepted(api, IN_APP, customers("has-app", "said-no", "no-app", CODE="77"), content=own)
    assert [(each["accepted"], each["reason"]) for each in answer["recipients"]] == [
        (True, ""),
        (False, "no reachable device"),
        (False, "no reachable device"),
    ]
    assert [each[2] for each in became(api, answer["send_id"])] == ["sent", "failed", "failed"]
    (message,) = httpx.get(f"{base_url}/v1/users/has-app/messages", headers=shop.device).json()
    assert message["content"]["title"] == "Code 77"


def test_a_request_is_carried_out_once_and_one_for_later_waits(api: httpx.Client, provider: SmsProvider) -> None:
    unique = uuid.uuid4().hex
    only = [{"address": "+491713920010"}]
    accepted(api, SMS, only, content={"text": "once"}, unique_message_id=unique)
    again = asked(api, SMS, only, content={"text": "once"}, unique_message_id=unique)
    assert (again.status_code, again.json()["detail"]) == (409, "Request for this UniqueMessageID has succeeded before")
    later = datetime.now(UTC) + timedelta(hours=1)
    waiting = accepted(api, SMS, [{"address": "+491713920011"}], content={"text": "later"}, send_at=later.isoformat())
    soon = accepted(api, SMS, [{"address": "+491713920012"}], content={"text": "now"}, send_at="2020-01-01T00:00:00Z")
    assert became(api, soon["send_id"])[0][2] == "sent"
    (entry,) = logged(api, send_id=waiting["send_id"])
    assert (entry["state"], entry["due_at"][:16]) == ("pending", later.isoformat()[:16])
    assert provider.asked["+491713920010"] == 1 and not provider.asked["+491713920011"]


def test_listeners_are_told_of_each_message(api: httpx.Client, stores: Stores) -> None:
    with receiving() as receiver:
        deliverer = Deliverer(stores, {}, timeout=60)
        deliverer.start()
        try:
            register = {"EventTypeID": 102, "ListenerURL": receiver.url, "ChannelID": SMS}
            assert api.post("/current/general/RegisterEventListener", json=register).status_code == 200
            answer = accepted(api, SMS, customers("E", CODE="9"), template_id=CODE)
            eventually(lambda: receiver.posts)
        finally:
            deliverer.stop()
    api.post("/current/general/UnregisterEventListener", json={"EventTypeID": 102, "ChannelID": SMS})
    told = json.loads(receiver.posts[0].body)
    expected = {"ChannelID": SMS, "CustomerID": "E", "Address": "+491713920005", "Event": "delivered"}
    assert {name: told[name] for name in expected} == expected
    assert told["SendID"] == answer["send_id"] and "Email" not in told


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"content": {"text": "x"}, "recipients": []}, 400, "recipients: must have at least 1 item."),
        ({"recipients": [{"customer_id": "A"}]}, 400, "The body must have either template_id or content."),
        (
            {"template_id": 1, "content": {"text": "x"}, "recipients": [{"customer_id": "A"}]},
            400,
            "The body must have either template_id or content.",
        ),
        (
            {"template_id": 1, "recipients": [{"customer_id": "A", "address": "+491713920001"}]},
            400,
            "recipients[0]: must have either customer_id or address.",
        ),
        (
            {"template_id": 1, "recipients": [{"customer_id": "A"}] * 201},
            400,
            "recipients: must have at most 200 items.",
        ),
        ({"template_id": 9, "recipients": [{"customer_id": "A"}]}, 404, "There is no template 9"),
        ({"channel_id": 77, "template_id": 1, "recipients": [{"customer_id": "A"}]}, 404, "There is no channel 77."),
        ({"template_id": 1, "recipients": [{"customer_id": "zz"}]}, 400, "recipients[0]: there is no such customer."),
        ({"content": {"text": " "}, "recipients": [{"customer_id": "A"}]}, 400, "An SMS template needs text"),
        (
            {"content": {"text": "[%NO_SUCH%]"}, "recipients": [{"customer_id": "A"}]},
            400,
            "text contains '[%NO_SUCH%]': 'NO_SUCH' is not a customer attribute",
        ),
        (
            {"content": {"text": "x", "details": {"x": 1}}, "recipients": [{"customer_id": "A"}]},
            400,
            "There is no x in details; nothing can be set there.",
        ),
        (
            {"channel_id": INBOX, "template_id": NOTE, "recipients": [{"customer_id": "A"}, {"address": "x"}]},
            400,
            "recipients[1].customer_id is required: the channel reaches customers by their ID.",
        ),
        (
            {"template_id": 1, "recipients": [{"customer_id": "A", "values": {"CODE": {}}}]},
            400,
            "recipients[0].values: must have texts as values.",
        ),
        (
            {"template_id": 1, "recipients": [{"customer_id": "A"}], "send_at": "2027-01-01T10:00:00"},
            400,
            "send_at",
        ),
    ],
)
def test_what_cannot_be_sent_is_refused_in_a_sentence(
    api: httpx.Client, body: dict[str, Any], status: int, words: str
) -> None:
    answer = api.post(SEND, json={"channel_id": SMS, **body})
    assert (answer.status_code, answer.json()["detail"][: len(words)]) == (status, words), answer.text


def test_mail_and_push_messages_have_calls_of_their_own(api: httpx.Client, shop: World) -> None:
    mail = channels.create_channel(
        shop.scope, "Mail", "email", settings={"host": "mail.shop.example", "from_address": "a@shop.example"}
    ).id
    push = channels.create_channel(shop.scope, "Push", "push").id
    outside = channels.create_channel(shop.scope, "Post", "external").id
    for channel_id, words in (
        (mail, "channel_id: applications send on a channel of the kind email by SendTransactionalMail."),
        (push, "channel_id: applications send on a channel of the kind push by Send Push (POST /v2/notifications)."),
        (outside, "An external system sends the messages of an external channel."),
    ):
        answer = asked(api, channel_id, customers("A"), content={"text": "x"})
        assert (answer.status_code, answer.json()["detail"]) == (400, words)


def test_a_campaign_takes_no_template_with_values_that_only_calls_bring(api: httpx.Client) -> None:
    action = api.post("/manage/v1/actions", json={"name": "Voucher"}).json()["id"]
    group = {"action_id": action, "share": 1, "channels": [{"channel_id": SMS, "template_id": CODE}]}
    api.post("/manage/v1/target-groups", json={"name": "All", "definition": {"all": []}})
    series = {"name": "Codes", "target_group_id": 1, "schedule": {"kind": "daily", "start_date": "2027-01-01"}}
    answer = api.post("/manage/v1/series", json={**series, "groups": [group]})
    assert (answer.status_code, answer.json()["detail"]) == (
        400,
        f"Template {CODE} of channel {SMS} has [%TRANS:CODE%], which only transactional messages bring.",
    )


def test_an_erased_customer_is_in_no_log(api: httpx.Client, shop: World) -> None:
    scope = shop.scope
    with locks.writing(scope):
        scope.warehouse.insert("customers", ["customer_id", "MOBILE_NUMBER"], [["Gone", "+491713920020"]])
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    sent_one = accepted(api, SMS, customers("Gone", CODE="5"), template_id=CODE)
    ended(api, sent_one["send_id"])
    in_inbox = accepted(api, INBOX, customers("gone", ORDER_ID="1"), template_id=NOTE)
    ended(api, in_inbox["send_id"])
    waiting = accepted(api, SMS, customers("GONE", CODE="6"), template_id=CODE, send_at=later)
    assert len(logged(api, customer_id="gone")) == 3
    exported = api.get("/manage/v1/persons/Gone").text.replace(" ", "")
    assert all(f'"send_id":{send["send_id"]}' in exported for send in (sent_one, in_inbox, waiting))
    persons.erase(scope, "Gone")
    assert logged(api, customer_id="gone") == [] == logged(api, email="+491713920020")
    assert logged(api, send_id=waiting["send_id"]) == []
    assert [each["customer_id"] for each in logged(api, send_id=in_inbox["send_id"])] == [None]
