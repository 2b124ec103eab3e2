"""What comes back over SMPP: receipts become interactions, keywords become wishes, and somebody may get a reply."""

import struct
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from campaign_tenant import DATA_DATE, NOW, TODAY, add_action, add_group, add_series, group, outcomes, publish
from gateway_server import eventually
from sms_centre import SmsCentre, sms_centre
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.app import mail_event_sinks
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels import service as channels
from rapport.channels.sms.incoming import Answer
from rapport.channels.sms.settings import KeywordRules, SmsSettings
from rapport.delivery import transports
from rapport.delivery.keyword_replies import KeywordReplySender
from rapport.delivery.returns.recorder import record_all
from rapport.delivery.returns.sms_listener import SmsListener
from rapport.delivery.returns.text_messages import TextMessages
from rapport.messaging import templates
from rapport.messaging.contactability import consent_log, keywords, preferences, suppressions
from rapport.messaging.contactability.keywords import KeywordWish

SMS = 493
NUMBERS = {
    "A": "0171 3920001",
    "B": "+491713920002",
    "C": "+491713920003",
    "D": "+12025550123",
    "E": "+491713920005",
    "G": "+491713920007",
}
STOP_WORDS = ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"]
STOPPED, BACK = "You get no more messages.", "Welcome back."


@pytest.fixture(scope="module")
def centre() -> Iterator[SmsCentre]:
    with sms_centre() as server:
        yield server


@pytest.fixture(scope="module")
def tenant(scope: Scope, centre: SmsCentre) -> Iterator[Scope]:
    sms = {
        "default_region": "DE",
        "keywords": {"stop_reply": STOPPED, "start_reply": BACK},
        "markets": {"US": {"stop": ["HALT"]}},
    }
    settings: dict[str, Any] = {"campaigns": {"messages_per_day": 99}, "sms": sms}
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(settings=settings))
    scope = scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(NOW)
    way = {"via": "smpp", "host": "127.0.0.1", "port": centre.port, "system_id": "northwind", "password": "pass"}
    channels.create_channel(scope, "Texts", "sms", settings={**way, "sender": "55055"})
    templates.save_template(scope, SMS, "Offer", text="Hi [%FIRST_NAME%]", id=1)
    rows = [[DATA_DATE, who, number, "NL", f"N{who}"] for who, number in NUMBERS.items()]
    names = ["data_date", "customer_id", "MOBILE_NUMBER", "COUNTRY", "FIRST_NAME"]
    scope.warehouse.insert("profiles", names, rows)
    scope.warehouse.insert("customers", ["customer_id", "MOBILE_NUMBER"], [list(row) for row in NUMBERS.items()])
    publish(scope)
    add_group(scope, "All", "NL")
    add_action(scope, "Voucher")
    yield scope
    transports.transports(scope.stores).tidy(idle=0)


@pytest.fixture(scope="module")
def campaign(tenant: Scope) -> int:
    series = add_series(tenant, 1, [group(2, (SMS, 1))], rules={"include_all": True}, control_share=0)
    number = plan_next_run(tenant, series.id, TODAY)
    processing.prepare_members(tenant, number, DATA_DATE)
    assert processing.process(tenant, number, DATA_DATE) == "scheduled"
    tenant.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(tenant)
    return number


@pytest.fixture(scope="module", autouse=True)
def working(tenant: Scope, centre: SmsCentre, campaign: int) -> Iterator[None]:
    """Listener and sender at work, once the campaign has gone to everybody."""
    listener, sender = SmsListener(tenant.stores), KeywordReplySender(tenant.stores)
    listener.start()
    sender.start()
    try:
        eventually(lambda: centre.bound > 0)
        yield
    finally:
        sender.stop()
        listener.stop()


def interactions(scope: Scope, campaign: int) -> dict[str, set[int]]:
    """What happened to messages; what people answered is another test's."""
    sql = """
        SELECT customer_id, groupUniqArray(event_id) FROM campaign_interactions
        WHERE campaign_id = {id:UInt32} AND event_id <> 4 GROUP BY customer_id
    """
    return {str(who): set(codes) for who, codes in scope.warehouse.rows(sql, id=campaign)}


def replies(centre: SmsCentre, to: str) -> list[str]:
    """What a number got, but for the campaign's message."""
    return [each.text for each in centre.submissions if each.to == to and each.text in (STOPPED, BACK)]


def test_receipts_become_what_happened_to_the_messages(tenant: Scope, centre: SmsCentre, campaign: int) -> None:
    assert outcomes(tenant, campaign) == [(who, SMS, "sent", "") for who in sorted(NUMBERS)]
    given = {each.to: each.given_id for each in centre.submissions if each.text not in (STOPPED, BACK)}
    tenant.clock.set(NOW + timedelta(hours=2))
    centre.report(1, given["491713920001"], "DELIVRD")
    centre.report(2, given["491713920002"], "UNDELIV", by_tlv=True)
    centre.report(3, given["491713920003"], "DELIVRD", by_tlv=True)
    centre.report(4, "unknown", "DELIVRD")
    eventually(lambda: {1, 2, 3, 4} <= dict(centre.answers).keys())
    assert [dict(centre.answers)[number] for number in (1, 2, 3, 4)] == [0, 0, 0, 0x64], (
        "what is not known yet is to come again"
    )
    record_all(tenant.stores, mail_event_sinks(), timedelta())
    # 1 delivered, 5 dropped.
    assert interactions(tenant, campaign) == {"A": {1}, "B": {5}, "C": {1}}


def test_stop_is_a_wish_in_every_spelling_of_the_number_until_start(tenant: Scope, centre: SmsCentre) -> None:
    centre.deliver(11, "491713920001", "55055", b" stop. ")
    eventually(lambda: (11, 0) in centre.answers)
    eventually(lambda: replies(centre, "491713920001") == [STOPPED])
    assert {each.source for each in centre.submissions if each.text == STOPPED} == {(3, 0, "55055")}
    assert preferences.unreachable(tenant, SMS, ["A"], addresses={"A": "0171 3920001"}) == {"A": "suppression list"}
    assert preferences.unreachable(tenant, SMS, ["Z"], addresses={"Z": "0049171 3920001"}) == {"Z": "suppression list"}
    (entry,) = suppressions.list_suppressions(tenant, "A")
    assert (entry.channel_id, entry.reason, entry.source) == (SMS, "unsubscribed", "keyword")
    assert {change.source for change in consent_log.changes(tenant, "A")} == {"keyword"}

    centre.deliver(12, "491713920001", "55055", b"Unstop")
    eventually(lambda: replies(centre, "491713920001") == [STOPPED, BACK])
    assert preferences.unreachable(tenant, SMS, ["A"], addresses={"A": "0171 3920001"}) == {}
    assert list(suppressions.list_suppressions(tenant, "A")) == []
    newest = next(iter(consent_log.changes(tenant, "A")))
    assert (newest.agreed, newest.source) == (True, "keyword")


def test_stop_counts_as_unsubscribed_for_the_last_campaign(tenant: Scope, centre: SmsCentre, campaign: int) -> None:
    centre.deliver(14, "491713920007", "55055", b"OptOut")
    eventually(lambda: (14, 0) in centre.answers)
    for word in ("stop", "stop", "start"):
        TextMessages().answer(tenant, SMS, Answer("+491713920007", word, tenant.clock.now()))
    record_all(tenant.stores, mail_event_sinks(), timedelta())
    sql = """
        SELECT delivery_date, template_id, recipient_group_id, action_id FROM campaign_interactions
        WHERE campaign_id = {id:UInt32} AND customer_id = 'G' AND channel_id = 493 AND event_id = 4
    """
    assert tenant.warehouse.rows(sql, id=campaign) == [(TODAY, 1, 1, 2)]
    assert list(suppressions.list_suppressions(tenant, "G")) == [], "the wish was taken back before it was counted"


def test_a_reply_comes_once_in_a_while(tenant: Scope, centre: SmsCentre) -> None:
    incoming, answer = TextMessages(), Answer("+491713920005", "STOP", tenant.clock.now())
    for _ in range(3):
        incoming.answer(tenant, SMS, answer)
    centre.deliver(13, "491713920003", "55055", b"STOPALL")
    eventually(lambda: replies(centre, "491713920003") == [STOPPED])
    assert replies(centre, "491713920005") == [STOPPED]


def test_a_market_has_keywords_of_its_own(tenant: Scope) -> None:
    incoming = TextMessages()
    incoming.answer(tenant, SMS, Answer("+12025550123", "STOP", tenant.clock.now()))
    assert preferences.unreachable(tenant, SMS, ["D"]) == {}
    incoming.answer(tenant, SMS, Answer("+12025550123", "halt", tenant.clock.now()))
    assert preferences.unreachable(tenant, SMS, ["D"]) == {"D": "suppression list"}
    incoming.answer(tenant, SMS, Answer("Northwind", "STOP", tenant.clock.now()))


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        *((word, KeywordWish.STOP) for word in STOP_WORDS),
        ("start", KeywordWish.START),
        ("\n“Stop”!", KeywordWish.STOP),
        ("we have got to STOP this bill", None),
        ("STOPP", None),
        ("stop stop", None),
        ("don't stop", None),
        ("", None),
        ("?", None),
    ],
)
def test_a_keyword_is_the_whole_answer(text: str, wish: KeywordWish | None) -> None:
    assert keywords.wish_of(text, KeywordRules()) is wish


def test_keywords_are_checked() -> None:
    for wrong in ({"keywords": {"stop": []}}, {"keywords": {"stop": ["two words"]}}, {"markets": {"XX": {}}}):
        with pytest.raises(ValueError, match=r"stop|markets"):
            SmsSettings.model_validate(wrong)
    assert SmsSettings.model_validate({"keywords": {"stop": ["arrêt"]}}).keywords.stop == ["ARRÊT"]


def delivered(
    centre: SmsCentre, sequence: int, number: str, text: bytes, esm_class: int = 0, tlvs: bytes = b""
) -> None:
    centre.deliver(sequence, number, "55055", text, esm_class, tlvs)
    eventually(lambda: (sequence, 0) in centre.answers)


def is_stopped(scope: Scope, number: str) -> bool:
    return preferences.unreachable(scope, SMS, ["Z"], addresses={"Z": number}) != {}


def test_a_long_text_means_what_all_of_it_says(tenant: Scope, centre: SmsCentre) -> None:
    told, meant = "491713920030", "491713920031"
    delivered(centre, 20, told, b"\x05\x00\x03\x07\x02\x01We have got to ", 0x40)
    delivered(centre, 21, told, b"\x05\x00\x03\x07\x02\x02STOP", 0x40)
    assert not is_stopped(tenant, f"+{told}")
    # Its parts come in the other order, under a number of two octets.
    delivered(centre, 22, meant, b"\x06\x08\x04\x01\x07\x02\x02OP", 0x40)
    assert not is_stopped(tenant, f"+{meant}")
    delivered(centre, 23, meant, b"\x06\x08\x04\x01\x07\x02\x01ST", 0x40)
    assert is_stopped(tenant, f"+{meant}")


def test_a_text_in_parameters_is_read_as_well(tenant: Scope, centre: SmsCentre) -> None:
    whole, in_parts = "491713920032", "491713920033"
    padded = b"stop" + b" " * 400
    delivered(centre, 24, whole, b"", tlvs=struct.pack(">HH", 0x0424, len(padded)) + padded)
    assert is_stopped(tenant, f"+{whole}")
    for place, text in ((1, b"St"), (2, b"op")):
        reference = struct.pack(">HHH", 0x020C, 2, 9)
        numbers = struct.pack(">HHB", 0x020E, 1, 2) + struct.pack(">HHB", 0x020F, 1, place)
        delivered(centre, 24 + place, in_parts, text, tlvs=reference + numbers)
    assert is_stopped(tenant, f"+{in_parts}")
