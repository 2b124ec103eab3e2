"""What a customer did, as the name of a vendor's event tells it."""

import sys
from pathlib import Path

import pytest
from senders import Sender, handle, logged, metric, stamp, stored

sys.path.append(str(Path(__file__).parents[1] / "integrations"))

import vendor_world as world

from rapport.access.scope import Scope
from rapport.realtime.events.names import Names
from rapport.realtime.recording.vendor_words import SOFT_BOUNCED, interaction_of
from rapport.realtime.recording.warehouse_batches import file_batch

SENT, DELIVERED, OPENED, CLICKED, UNSUBSCRIBED, DROPPED, COMPLAINED, BOUNCED = range(8)
DONE = {
    SENT: ["email_sent", "sendSMS"],
    DELIVERED: ["sms_delivered", "SmsDelivered", "SMSDelivered", "smsDeliveredOk", "sms.delivery.2"],
    OPENED: ["SMS_OPENED", "uniqueOpen"],
    CLICKED: ["SMS Click", "unique_click"],
    UNSUBSCRIBED: ["unsubscribed", "UnSubscribed", "OptOut", "opted_out", "unsubscribe_form_submitted"],
    DROPPED: ["email_dropped_invalid_address"],
    COMPLAINED: ["spam_complaint"],
    BOUNCED: ["hard_bounce", "hardBounce", "delivery_failed_bounced", "bounce_error"],
}
UNCLEAR = [
    *("sms_send_failed", "send_error", "SMSSendFailed", "delivery_failure", "delivery_rejected", "email_fail_sent"),
    *("sms_not_delivered", "smsNotDelivered", "email_not_opened", "no_click", "non-delivery", "not_bounced"),
    *("unDelivered", "undelivered_sms_sent", "unopened_opened", "unsubscribe_failed", "invalid click"),
    *("undelivered", "smsundelivered", "resent"),
]
# What stops nothing: bounces that may pass, and what is shown on pages.
PASSING = [
    *(
        "email_soft_bounced",
        "softBounce",
        "SoftBounce",
        "transient_bounce",
        "bounce_temporary",
        "email.bounce.deferred",
    ),
    *("bounced_mailbox_full", "temporary-bounce", "bounce_out_of_office_ooo", "delayed_bounce"),
]
# A receiver refused the sender or the content, which says nothing of the address.
BLOCKED = [
    *("bounce_blocked", "BlockedBounce", "hard_bounce_blocked", "bounce_block", "bounce_spam", "bounce_blacklist")
]
SHOWN = [
    *("page_bounced", "PageBounce", "session_bounced", "visit bounced", "bounce_rate", "site_bounce"),
    *("unsubscribe_page_viewed", "unsubscribe_page", "unsubscribe_screen_view", "spam_check", "complaint_rate"),
    *("unsubscribe_started", "unsubscribe_button_shown"),
]
IN_PARAMETERS = [{"bounce_type": "soft"}, {"bounceType": "Transient"}, {"severity": "temporary"}, {"status": "4.2.2"}]
DENIED = "The event's name does not say what the customer did."
UNLUCKY = "Zoë-1"


@pytest.fixture(scope="module")
def vendor(scope: Scope, base_url: str) -> Sender:
    world.fill(scope)
    return Sender(base_url, scope)


def test_what_the_customer_did_is_told_by_the_words_of_the_name(vendor: Sender, scope: Scope) -> None:
    # The nth name for the same thing is reported of the nth customer, so that none stands for another.
    who = [customer for customer in world.MEMBERS if world.group_of(customer) == 1]
    given = [(who[n], name, kind) for kind, names in DONE.items() for n, name in enumerate(names)]
    given += [(UNLUCKY, name, None) for name in UNCLEAR]
    place = {"campaign_id": world.AB, "channel_id": world.SMS, "template_id": 11}
    for first in range(0, len(given), 20):
        events = [
            metric(customer=customer, event=name, timestamp=stamp(world.NOW), context=place)
            for customer, name, _ in given[first : first + 20]
        ]
        vendor.vendor(events).raise_for_status()
    purchase = metric(customer=who[0], event="purchase", timestamp=stamp(world.NOW), context=place)
    assert vendor.vendor([purchase]).status_code == 400, "no message is told of"
    handle(scope)
    names = Names()
    while stored(scope):
        file_batch(scope, names)
    found = {(row[0], row[5]) for row in world.stored(scope, world.AB)}
    assert found == {(customer, kind) for customer, _, kind in given if kind is not None}
    warned = [one["event"] for one in logged(scope, status="warning") if one["reason"] == DENIED]
    assert sorted(warned) == sorted(UNCLEAR)
    vendor.client.close()


def test_bounces_that_may_pass_are_soft() -> None:
    assert {interaction_of(name, {}) for name in PASSING} == {SOFT_BOUNCED}
    assert {interaction_of("email_bounced", one) for one in IN_PARAMETERS} == {SOFT_BOUNCED}
    hard = [{"bounce_type": "hard"}, {"bounceType": "Permanent"}, {"status": "5.1.1"}, {"type": "bounce"}, {}]
    assert {interaction_of("email_bounced", one) for one in hard} == {BOUNCED}
    assert interaction_of("hard_bounce", {"type": "soft"}) == BOUNCED


def test_a_bounce_that_was_a_block_is_neither_hard_nor_soft() -> None:
    assert {interaction_of(name, {}) for name in BLOCKED} == {DROPPED}
    in_parameters = [{"type": "blocked"}, {"bounceClass": "policy"}, {"status": "5.7.1"}, {"status": "4.7.0"}]
    assert {interaction_of("email_bounced", parameters) for parameters in in_parameters} == {DROPPED}
    assert interaction_of("hard_bounce", {"bounce_type": "spam-block"}) == DROPPED


def test_what_is_shown_on_pages_stops_nothing() -> None:
    stopping = {UNSUBSCRIBED, COMPLAINED, BOUNCED, SOFT_BOUNCED}
    assert {name for name in SHOWN if interaction_of(name, {}) in stopping} == set()
    assert interaction_of("unsubscribe_link_clicked", {}) == CLICKED
    assert {interaction_of(name, {}) for name in ("unsubscribed_by_link", "opt-out", "unsubscribed")} == {UNSUBSCRIBED}
