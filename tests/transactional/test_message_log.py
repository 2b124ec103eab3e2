"""What became of transactional mail: in the log, in metrics, told to listeners, and dropped when its time has come."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from campaign_mail import Mailbox
from gateway_server import eventually
from sqlalchemy import text
from standardwebhooks import Webhook
from transactional_world import (
    BRAND,
    CHANNEL,
    RECEIPT,
    SEND_FINAL,
    ended,
    final,
    logged,
    person,
    recipients,
    sent,
)
from webhook_receiver import receiving

from rapport.access.scope import Scope
from rapport.customers.writes import locks
from rapport.notifications.deliverer import Deliverer
from rapport.persons import service as persons
from rapport.stores import Stores
from rapport.transactional import events, retention
from rapport.transactional.events import Event
from rapport.transactional.models import Send

pytestmark = pytest.mark.usefixtures("sender")
UNDER_WAY = """
    SELECT count(*) FROM dbos.workflow_status
    WHERE name IN ('campaigns.purge_person', 'customers.erase', 'realtime.purge_visitors')
        AND status IN ('ENQUEUED', 'PENDING')
"""
METRICS = "/TransactionalMail/GetTransactionalTemplateMetrics"
OF_USER = "/TransactionalMail/GetTransactionalUserMetrics"
# Days of their own for what is counted.
DAY = datetime(2031, 5, 6, 23, 30, tzinfo=UTC)


def happened(scope: Scope, send_id: int, *kinds: Event, at: datetime = DAY) -> None:
    (recipient,) = recipients(scope, send_id)
    for kind in kinds:
        assert events.record_event(scope, recipient.message_id, kind, at)


def test_the_log_of_an_address_is_paged_newest_first(api: httpx.Client, shop: Scope) -> None:
    email = person()
    sends = [sent(api, email) for _ in range(3)]
    answer = api.get("/manage/v1/transactional/messages", params={"email": email.upper(), "limit": 2})
    assert [entry["send_id"] for entry in answer.json()] == [sends[2], sends[1]]
    assert answer.headers["X-Total-Count"] == "3"
    for send_id in sends:
        ended(api, send_id)
    (first,) = logged(api, email=email, limit=2, offset=2)
    assert first == api.get(f"/manage/v1/transactional/messages/{first['id']}").json()
    assert logged(api, email="nobody@mail.example") == []
    assert api.get("/manage/v1/transactional/messages/999999999").status_code == 404


def test_a_preview_says_whether_it_is_what_was_sent(api: httpx.Client, shop: Scope) -> None:
    template = f"/manage/v1/channels/{CHANNEL}/templates/77"
    content = {
        "name": "Changing",
        "subject": "Old [%TRANS:FIRST_NAME%]",
        "html": "<p>[%TRANS:ORDER_ID%]</p>",
        "text": "[%TRANS:ORDER_ID%]",
    }
    api.put(template, json=content)
    (entry,) = ended(api, sent(api, person(), TemplateID=77))
    preview = f"/manage/v1/transactional/messages/{entry['id']}/preview"
    shown = {"subject": "Old Pat", "text": "A-1009", "html": "<p>A-1009</p>", "as_sent": True}
    assert api.get(preview).json() == shown
    api.put(template, json=content | {"subject": "New [%TRANS:FIRST_NAME%]"})
    assert api.get(preview).json() == shown | {"subject": "New Pat", "as_sent": False}


def test_metrics_count_each_recipient_once_for_each_event(api: httpx.Client, shop: Scope) -> None:
    api.put(f"/manage/v1/channels/{CHANNEL}/templates/78", json={"name": "Counted", "subject": "x", "text": "x"})
    span: dict[str, str | int] = {"TemplateID": 78, "StartDate": "2031-05-06", "EndDate": "2031-05-07"}
    assert api.get(METRICS, params=span).status_code == 404
    try:
        shop.clock.set(DAY)
        first, second = sent(api, person(), TemplateID=78), sent(api, person(), TemplateID=78)
        ended(api, first), ended(api, second)
        shop.clock.set(DAY + timedelta(hours=1))
        for email in ("bad-1@mail.example", "bad-2@mail.example"):
            ended(api, sent(api, email, TemplateID=78))
        eventually(lambda: suppressed(api, "bad-2@mail.example"))
        ended(api, sent(api, "bad-2@mail.example", TemplateID=78))
    finally:
        shop.clock.set(None)
    happened(shop, first, Event.OPENED, Event.OPENED, Event.CLICKED, Event.UNSUBSCRIBED)
    happened(shop, second, Event.OPENED, Event.COMPLAINED)
    counts = dict.fromkeys(("Delivered", "Opened", "Clicked", "Unsubscribed", "Dropped", "SpamReported", "Bounced"), 0)
    assert api.get(METRICS, params=span).json() == [
        {**counts, "Date": "2031-05-06", "Sent": 2, "Delivered": 2, "Opened": 2, "Clicked": 1, "Unsubscribed": 1,
         "SpamReported": 1},
        {**counts, "Date": "2031-05-07", "Sent": 3, "Dropped": 1, "Bounced": 2},
    ]  # fmt: skip
    assert len(api.get(METRICS, params=span | {"EndDate": "2031-05-06"}).json()) == 1
    assert api.get(METRICS, params=span | {"EndDate": "2031-05-05"}).status_code == 400
    assert api.get(METRICS, params={"TemplateID": 78}).status_code == 400


def suppressed(api: httpx.Client, address: str) -> object:
    return api.get("/manage/v1/suppressions/of-address", params={"address": address}).json()


def test_metrics_of_a_user_are_those_of_each_send(api: httpx.Client, shop: Scope) -> None:
    email = person()
    assert api.get(OF_USER, params={"Email": email}).status_code == 404
    try:
        shop.clock.set(DAY)
        first = sent(api, email)
        ended(api, first)
        shop.clock.set(DAY + timedelta(days=1))
        second = api.post(SEND_FINAL, json=final(email)).json()["SendID"]
        ended(api, second)
    finally:
        shop.clock.set(None)
    happened(shop, first, Event.OPENED)
    nothing = dict.fromkeys(("Opened", "Clicked", "Unsubscribed", "Dropped", "SpamReported", "Bounced"), False)
    rows = [
        {"SendID": first, "TemplateID": RECEIPT, "SendTime": "2031-05-06 23:30:00", "Delivered": True, **nothing,
         "Opened": True},
        {"SendID": second, "TemplateID": None, "SendTime": "2031-05-07 23:30:00", "Delivered": True, **nothing},
    ]  # fmt: skip
    assert api.get(OF_USER, params={"email": email.upper()}).json() == rows
    assert api.get(OF_USER, params={"Email": email, "SendID": second}).json() == rows[1:]
    assert api.get(OF_USER, params={"Email": email, "EndDate": "2031-05-06"}).json() == rows[:1]
    assert api.get(OF_USER).status_code == 400


def test_template_details(api: httpx.Client, base_url: str) -> None:
    details = {entry["TemplateID"]: entry for entry in api.get("/TransactionalMail/GetTemplateDetails").json()}
    assert details[RECEIPT] == {
        "TemplateID": RECEIPT,
        "TemplateName": "Receipt",
        "TemplateContent": "<p>Dear [%FIRST_NAME%], thank you for [%TRANS:ORDER_ID%].</p>",
        "TemplateAttributes": ["Shop", "orders@shop.example", "Order [%TRANS:FIRST_NAME%]"],
    }


def test_a_complaint_or_a_bounce_that_comes_later_suppresses(api: httpx.Client, shop: Scope) -> None:
    for event, reason in ((Event.COMPLAINED, "complaint"), (Event.BOUNCED, "hard bounce")):
        email = person()
        send_id = sent(api, email)
        ended(api, send_id)
        happened(shop, send_id, event, at=datetime.now(UTC))
        (entry,) = ended(api, sent(api, email))
        assert (entry["state"], entry["reason"]) == ("suppressed", reason)
    assert not events.record_event(shop, "0" * 40, Event.OPENED, datetime.now(UTC))


def test_listeners_are_told_of_each_event_once(api: httpx.Client, shop: Scope, stores: Stores) -> None:
    deliverer = Deliverer(stores, {}, timeout=60)
    deliverer.start()
    try:
        with receiving() as receiver:
            register = {"EventTypeID": 102, "ListenerURL": receiver.url, "ChannelID": CHANNEL}
            assert api.post("/current/general/RegisterEventListener", json=register).status_code == 200
            email = person()
            send_id = sent(api, email)
            ended(api, send_id)
            happened(shop, send_id, Event.OPENED, Event.OPENED)
            ended(api, sent(api, "bad-3@mail.example"))
            eventually(lambda: len(receiver.posts) == 3)
            bodies = sorted((json.loads(post.body) for post in receiver.posts), key=lambda told: told["Event"])
            assert [told["Event"] for told in bodies] == ["bounced", "delivered", "opened"]
            opened = bodies[2]
            (entry,) = logged(api, send_id=send_id)
            assert opened.items() >= {
                "EventTypeID": 102, "EventTime": "2031-05-06 23:30:00", "BrandID": BRAND, "SendID": send_id,
                "TemplateID": RECEIPT, "MessageID": entry["message_id"], "Email": email, "Reason": "",
            }.items()  # fmt: skip
            assert bodies[0]["Reason"] == "recipient rejected 550 5.1.1"
            (listener,) = [one for one in api.get("/manage/v1/listeners").json() if one["event_type_id"] == 102]
            for post in receiver.posts:
                assert Webhook(listener["secret"]).verify(post.body, post.headers)
    finally:
        deliverer.stop()
        api.post("/current/general/UnregisterEventListener", json={"EventTypeID": 102, "ChannelID": CHANNEL})


def add_customer(scope: Scope, name: str, email: str) -> None:
    with locks.writing(scope):  # what an erasure before it rewrites is not written meanwhile
        scope.warehouse.insert("customers", ["customer_id", "EMAIL"], [(name, email)])


def test_an_erased_customer_is_in_no_log(api: httpx.Client, shop: Scope, box: Mailbox) -> None:
    email, other = person(), person()
    add_customer(shop, "Ada", email.upper())
    gone, kept = sent(api, email), sent(api, other)
    ended(api, gone), ended(api, kept)
    final_id = api.post(SEND_FINAL, json=final(email, Html="<p>Dear Ada</p>")).json()["SendID"]
    ended(api, final_id)
    scheduled = sent(api, email, ScheduleTime="2147-01-01 00:00:00")
    exported = api.get("/manage/v1/persons/Ada").text
    assert email in exported and f'"send_id":{gone}' in exported.replace(" ", "")
    persons.erase(shop, "Ada")
    assert logged(api, email=email) == logged(api, send_id=scheduled) == []
    (entry,) = logged(api, send_id=gone)
    assert (entry["email"], entry["state"]) == ("", "sent"), "what was sent is counted still"
    assert api.get(f"/manage/v1/transactional/messages/{entry['id']}/preview").status_code == 404
    with shop.reads() as session:
        assert session.get_one(Send, final_id).content == ""
    assert len(logged(api, email=other)) == 1


def test_an_anonymised_customer_is_in_no_log(api: httpx.Client, shop: Scope) -> None:
    email, other = person(), person()
    add_customer(shop, "Bob", email)
    ended(api, sent(api, email)), ended(api, sent(api, other))
    persons.anonymise(shop, ["Bob"])
    assert logged(api, email=email) == []
    assert len(logged(api, email=other)) == 1


def test_an_address_of_nobody_is_forgotten(api: httpx.Client, shop: Scope) -> None:
    email = person()
    ended(api, sent(api, email))
    assert api.delete("/manage/v1/transactional/messages", params={"email": email}).status_code == 204
    assert logged(api, email=email) == []


def test_contents_and_entries_are_kept_as_long_as_the_tenant_says(api: httpx.Client, shop: Scope) -> None:
    settings = {"transactional": {"preview_days": 3, "log_days": 10}}
    assert api.patch("/manage/v1/tenants/current", json={"settings": settings}).status_code == 200
    email, later = person(), person()
    of_template, final_id = sent(api, email), api.post(SEND_FINAL, json=final(email)).json()["SendID"]
    ended(api, of_template), ended(api, final_id)
    waiting = sent(api, later, ScheduleTime="2147-01-01 00:00:00")
    preview = f"/manage/v1/transactional/messages/{logged(api, send_id=of_template)[0]['id']}/preview"
    for days, shown, entries in ((2, 200, 2), (4, 404, 2), (11, 404, 0)):
        _drop(shop, datetime.now(UTC) + timedelta(days=days))
        assert api.get(preview).status_code == shown
        assert len(logged(api, email=email)) == entries
        assert [entry["send_id"] for entry in logged(api, email=later)] == [waiting]
        with shop.reads() as session:
            final_send = session.get(Send, final_id)
            assert bool(final_send and final_send.content) == (days == 2)
            assert (final_send is None) == (days == 11)


@pytest.fixture(scope="module", autouse=True)
def ended_erasures(shop: Scope) -> Iterator[None]:
    """The durable work of erasures has ended when the engines stop."""
    yield

    def under_way() -> int:
        with shop.records() as session:
            return session.scalar(text(UNDER_WAY)) or 0

    eventually(lambda: not under_way())


def _drop(scope: Scope, now: datetime) -> None:
    with scope.records() as session:
        for table in retention.STATEMENTS:
            pages = session.scalar(text(f"SELECT pg_relation_size('{table}') / 8192 + 1"))
            retention.drop_old(session, table, "(0,0)", f"({pages},0)", now)
