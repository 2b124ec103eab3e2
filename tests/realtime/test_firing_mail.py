"""What firings send by e-mail: written from what is known when it leaves, at once, once, retried as it should be."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from asked_firings import campaign, fire, firing
from campaign_mail import Mailbox, mailbox
from campaign_tenant import EMAIL, add_profiles, customer, publish
from gateway_server import eventually
from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.campaigns.models import Occurrence
from rapport.channels import service as channels
from rapport.channels.messages import Origin
from rapport.customers import event_types
from rapport.delivery import outbox
from rapport.delivery.models import OutboxMessage, Source, State
from rapport.delivery.outbox import Claim, Settled
from rapport.delivery.transports import Transports
from rapport.messaging import templates
from rapport.messaging.contactability import preferences, suppressions, unsubscribers
from rapport.messaging.editions import Editions
from rapport.realtime.matching import releasing
from rapport.realtime.sending import Sender
from rapport.stores import Stores

DELAYS = [0.2, 0.2]
LETTER = 1
SUBJECT = "Hi [%FIRST_NAME:you%], level [%EVENT.level%][%EVENT.title:!%]"
CONDITIONS = "[%IF:EVENT:level_up:level>=7%]<p>high</p>[%END:IF%][%IF:EVENT:level_down:level%]<p>low</p>[%END:IF%]"
LINKS = '<a href="https://x.example/[%EVENT.item%]">it</a> [%UNSUBSCRIBE_URL%] <a href="[%VIEW_IN_BROWSER%]">view</a>'
HTML = f"{CONDITIONS}<p>Take [%PROMO_CODE%]</p><p>{LINKS}</p>"


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox() as made:
        yield made


def add_mail(scope: Scope, port: int) -> None:
    settings = {"host": "127.0.0.1", "port": port, "from_address": "shop@example.com"}
    channels.create_channel(scope, "E-mail", "email", id=EMAIL, settings=settings)
    templates.save_template(scope, EMAIL, "Level", SUBJECT, HTML, id=LETTER)
    event_types.declare_event_type(scope, "level_up", {"level": "Number"})


@pytest.fixture(scope="module")
def world(stores: Stores, box: Mailbox) -> Scope:
    """A tenant of 60 customers with a mail channel and short pauses between retries."""
    made = create_tenant(
        stores, f"mail {time.time_ns()}", "Europe/Berlin", "EUR", {"campaigns": {"retry_delays": DELAYS}}
    )
    add_profiles(made, [customer(number) for number in range(60)])
    publish(made)
    add_mail(made, box.port)
    return made


@pytest.fixture
def sender(stores: Stores) -> Iterator[Sender]:
    made = Sender(stores)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def of(world: Scope) -> Occurrence:
    return campaign(world, places=[{"channel_id": EMAIL, "template_id": LETTER}])


def let_out(scope: Scope, of: Occurrence, *customer_ids: str, **more: Any) -> list[int]:
    """Firings whose mail is to be sent now."""
    made = fire(scope, of, *customer_ids, **more)
    with scope.records() as session:
        releasing.release(scope, session, made)
    return made


def ended(scope: Scope, *firing_ids: int) -> list[tuple[str, str, str]]:
    """State, outcome and reason of firings, all of which have ended."""
    eventually(lambda: all(firing(scope, one).state == "done" for one in firing_ids))
    return [(one.state, one.outcome, one.reason) for one in (firing(scope, number) for number in firing_ids)]


def message(scope: Scope, firing_id: int) -> OutboxMessage:
    with scope.records() as session:
        return session.scalars(select(OutboxMessage).where(OutboxMessage.source_id == firing_id)).one()


def mails_to(box: Mailbox, address: str) -> list[EmailMessage]:
    return [mail for mail in box.messages if mail["To"] == address]


SENT = ("done", "sent", "")


def test_a_mail_says_what_is_known(world: Scope, of: Occurrence, box: Mailbox, sender: Sender) -> None:
    (one,) = let_out(world, of, "C00007", parameters={"level": 7.0, "item": "a/b&c", "title": None})
    assert ended(world, one) == [SENT]
    (mail,) = mails_to(box, "c00007@example.com")
    assert mail["Subject"] == "Hi C00007, level 7!"
    kept = message(world, one)
    assert mail["Message-ID"] == f"<{kept.message_id}@example.com>"
    assert (kept.state, kept.attempts, kept.promo_code) == ("sent", 1, "FREE5")
    html = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "<p>high</p><p>Take FREE5" in html and "low" not in html
    assert 'href="https://x.example/a%2Fb%26c"' in html
    url = re.fullmatch(r"<(.*)>", mail["List-Unsubscribe"])
    assert url is not None and url[1] in html
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    found, who, origin = suppressions.read_token(world.stores, url[1].rpartition("/")[2])
    assert (found.tenant_id, who) == (world.tenant_id, "C00007")
    day = of.execution_date.isoformat()
    assert replace(origin, address="") == Origin(EMAIL, of.id, LETTER, 1, kept.action_id, day)


def test_a_mail_is_shown_in_a_browser_with_what_its_own_event_said(
    world: Scope, of: Occurrence, box: Mailbox, sender: Sender, base_url: str
) -> None:
    firings = [
        *let_out(world, of, "C00008", parameters={"level": 7, "item": "hat"}),
        *let_out(world, of, "C00008", parameters={"level": 3, "item": "coat"}),
    ]
    assert ended(world, *firings) == [SENT, SENT]
    for mail in mails_to(box, "c00008@example.com"):
        html = mail.get_body(("html",)).get_content().strip()  # type: ignore[union-attr]
        address = re.findall('href="(http[^"]+/view/[^"]+)"', html)[0]
        answer = httpx.get(base_url + urlsplit(address).path)
        assert (answer.status_code, html in answer.text) == (200, True)


def test_what_is_known_is_read_when_it_leaves(world: Scope, of: Occurrence, box: Mailbox, stores: Stores) -> None:
    waiting = let_out(world, of, "C00011")
    world.warehouse.execute("UPDATE profiles SET FIRST_NAME = 'Anew' WHERE customer_id = 'C00011'")
    sender = Sender(stores)
    sender.start()
    try:
        assert ended(world, *waiting) == [SENT]
    finally:
        sender.stop()
    assert mails_to(box, "c00011@example.com")[0]["Subject"].startswith("Hi Anew,")


def test_a_customer_newer_than_the_profiles(world: Scope, of: Occurrence, box: Mailbox, sender: Sender) -> None:
    world.warehouse.insert("customers", ["customer_id", "EMAIL"], [("NEW1", "new1@example.com")])
    assert ended(world, *let_out(world, of, "NEW1")) == [SENT]
    assert mails_to(box, "new1@example.com")[0]["Subject"] == "Hi you, level 7!"


def test_refused_for_good_for_now_and_for_too_long(world: Scope, of: Occurrence, box: Mailbox, sender: Sender) -> None:
    add_profiles(
        world,
        [customer(100 + number, EMAIL=f"{who}@example.com") for number, who in enumerate(("bad1", "later1", "later2"))],
    )
    began = time.monotonic()
    bad, later = let_out(world, of, "C00100", "C00101")
    assert ended(world, bad, later) == [("done", "failed", message(world, bad).reason), SENT]
    assert message(world, bad).attempts == 1 and message(world, bad).reason
    assert (message(world, later).attempts, message(world, later).state) == (2, "sent")
    assert time.monotonic() - began >= DELAYS[0]
    box.refusals = 100
    try:
        (never,) = let_out(world, of, "C00102")
        state, outcome, reason = ended(world, never)[0]
        assert (state, outcome, message(world, never).attempts) == ("done", "failed", len(DELAYS) + 1)
        assert reason == message(world, never).reason != ""
    finally:
        box.refusals = 1
    assert box.to["later1@example.com"] == 1
    assert box.to["bad1@example.com"] == box.to["later2@example.com"] == 0


def test_who_said_no_after_the_firing_gets_nothing(world: Scope, of: Occurrence, box: Mailbox, stores: Stores) -> None:
    suppressed, opted_out, well, by_address = let_out(world, of, "C00020", "C00021", "C00022", "C00023")
    suppressions.suppress(world, "c00020", EMAIL)
    unsubscribers.add_unsubscribers(world, EMAIL, ["C00023@example.com"])
    preferences.set_preference(world, EMAIL, ["C00021"], 2)
    sender = Sender(stores)
    sender.start()
    try:
        assert ended(world, suppressed, opted_out, well, by_address) == [
            ("done", "suppressed", "suppression list"),
            ("done", "suppressed", "channel preference"),
            SENT,
            ("done", "suppressed", "suppression list"),
        ]
    finally:
        sender.stop()
    assert not any(mails_to(box, f"c0002{number}@example.com") for number in (0, 1, 3))


def test_an_address_that_is_gone(world: Scope, of: Occurrence, stores: Stores) -> None:
    (one,) = let_out(world, of, "C00030")
    world.warehouse.execute("UPDATE profiles SET EMAIL = ' ' WHERE customer_id = 'C00030'")
    sender = Sender(stores)
    sender.start()
    try:
        assert ended(world, one) == [("done", "failed", "no address")]
    finally:
        sender.stop()


def test_a_message_that_cannot_be_written_holds_up_nobody(world: Scope, stores: Stores, box: Mailbox) -> None:
    templates.save_template(world, EMAIL, "Gone", "x", "<p>x</p>", id=9)
    other = campaign(world, places=[{"channel_id": EMAIL, "template_id": 9}])
    well = campaign(world, places=[{"channel_id": EMAIL, "template_id": LETTER}])
    lost, fine = let_out(world, other, "C00040")[0], let_out(world, well, "C00041")[0]
    templates.delete_template(world, EMAIL, 9)
    sender = Sender(stores)
    sender.start()
    try:
        assert ended(world, lost, fine) == [("done", "failed", "There is no template 9 on channel 504."), SENT]
    finally:
        sender.stop()


def test_two_senders_send_each_once(world: Scope, of: Occurrence, box: Mailbox, sender: Sender, stores: Stores) -> None:
    before = Counter(box.to)
    other = Sender(stores)
    other.start()
    try:
        some = let_out(world, of, *(f"C000{number}" for number in range(43, 60)), *(f"C0000{n}" for n in range(5)))
        assert set(ended(world, *some)) == {SENT}
    finally:
        other.stop()
    assert set((box.to - before).values()) == {1}
    assert sum((box.to - before).values()) == 22


def test_a_slow_server_delays_its_own_channel_only(
    world: Scope, of: Occurrence, stores: Stores, sender: Sender
) -> None:
    slow = create_tenant(stores, f"slow mail {time.time_ns()}", "UTC", "EUR")
    with mailbox() as crawling:
        crawling.gate.clear()
        add_mail(slow, crawling.port)
        add_profiles(slow, [customer(number) for number in range(80)])
        publish(slow)
        theirs = campaign(slow, places=[{"channel_id": EMAIL, "template_id": LETTER}])
        waiting = let_out(slow, theirs, *(f"C000{number}" for number in range(10, 80)))
        eventually(lambda: message(slow, waiting[0]).state == "claimed")
        assert set(ended(world, *let_out(world, of, "C00005", "C00006"))) == {SENT}
        assert not crawling.messages, "nobody has waited for the slow server"
        assert {firing(slow, one).state for one in waiting} == {"sending"}
        crawling.gate.set()
        eventually(lambda: all(firing(slow, one).state == "done" for one in waiting))


def test_what_is_waiting_when_it_stops_is_left_to_others(world: Scope, of: Occurrence, stores: Stores) -> None:
    crawling = create_tenant(stores, f"stopping {time.time_ns()}", "UTC", "EUR")
    with mailbox() as box:
        box.pause = 0.3
        add_mail(crawling, box.port)
        add_profiles(crawling, [customer(number) for number in range(60)])
        publish(crawling)
        theirs = campaign(crawling, places=[{"channel_id": EMAIL, "template_id": LETTER}])
        waiting = let_out(crawling, theirs, *(f"C000{number}" for number in range(10, 60)))
        first, second = Sender(stores), Sender(stores)
        first.start()
        eventually(lambda: box.messages)
        first.stop()
        left = [one for one in waiting if message(crawling, one).state == "pending"]
        assert left and {message(crawling, one).due_at for one in left} == {None}
        assert {message(crawling, one).state for one in waiting} == {"pending", "sent"}
        box.pause = 0
        second.start()
        try:
            assert set(ended(crawling, *waiting)) == {SENT}
        finally:
            second.stop()
        assert set(box.to.values()) == {1}


def test_transports_are_kept_until_they_are_set_anew_or_idle(world: Scope) -> None:
    kept, channel = Transports(world.stores), channels.channel(world, EMAIL)
    with kept.of(world, channel) as first, kept.of(world, channel) as second:
        assert first is second
    changed = channels.update_channel(world, EMAIL, settings={**channel.settings, "reply_to": "x@example.com"})
    try:
        with kept.of(world, changed) as third:
            assert third is not first
    finally:
        channels.update_channel(world, EMAIL, settings=channel.settings)
    kept.tidy(idle=60)
    with kept.of(world, changed) as fourth:
        assert fourth is third
    kept.tidy(idle=0)
    with kept.of(world, changed) as fifth:
        assert fifth is not third
    kept.tidy(idle=0)


def claim(scope: Scope, firing_id: int, now: datetime, seconds: float = 30) -> list[Claim]:
    """The claim of the message of a firing, if it is due; for so many seconds."""
    with scope.records() as session:
        claims = outbox.claim_due(session, Source.FIRING, 1000, 1000, {}, now, now + timedelta(seconds=seconds))
    return [claim for claim in claims if claim.source_id == firing_id]


def settle(scope: Scope, claim: Claim, state: State, reason: str = "") -> int:
    with scope.records() as session:
        changed = outbox.settle(scope, session, [Settled(claim, state, reason)])
        releasing.conclude(scope, session, [claim.source_id])
    return changed


def test_the_reply_of_a_claim_that_ran_out_changes_nothing(world: Scope, of: Occurrence) -> None:
    now = datetime.now(UTC)
    (one,) = let_out(world, of, "C00009")
    (mine,) = claim(world, one, now)
    assert claim(world, one, now + timedelta(seconds=29)) == []
    (theirs,) = claim(world, one, now + timedelta(seconds=31))
    assert settle(world, mine, State.FAILED, "too late to say") == 0
    assert (message(world, one).state, message(world, one).claims, theirs.claims) == ("claimed", 2, 2)
    until = message(world, one).due_at
    with world.records() as session:
        outbox.renew(session, [mine], now + timedelta(hours=1))
    assert message(world, one).due_at == until
    assert settle(world, theirs, State.SENT) == 1
    assert firing(world, one).outcome == "sent"


def test_what_is_noted_twice_stands_once(world: Scope, of: Occurrence) -> None:
    """The records were away when it was entered: nobody knows whether it was, and it is entered again."""
    now = datetime.now(UTC)
    (one,) = let_out(world, of, "C00012")
    (mine,) = claim(world, one, now)
    assert [settle(world, mine, State.PENDING, "later") for _ in range(2)] == [1, 1]
    assert (message(world, one).state, message(world, one).attempts) == ("pending", 1)
    (again,) = claim(world, one, now)
    assert settle(world, mine, State.PENDING, "later") == 0
    assert settle(world, again, State.SENT) == 1
    assert settle(world, again, State.FAILED, "of another message of its batch") == 0
    assert (message(world, one).state, message(world, one).attempts) == ("sent", 2)


def test_a_renewal_that_comes_late_shortens_no_claim(world: Scope, of: Occurrence) -> None:
    """A server that hung carries out an earlier renewal after a later one: what is under way is nobody else's."""
    now = datetime.now(UTC)
    (one,) = let_out(world, of, "C00010")
    (mine,) = claim(world, one, now)
    for seconds in (150, 30):
        with world.records() as session:
            outbox.renew(session, [mine], now + timedelta(seconds=seconds))
    assert claim(world, one, now + timedelta(seconds=121)) == []
    settle(world, mine, State.SENT)
    assert firing(world, one).outcome == "sent"


def test_tags_of_events_are_no_attributes(world: Scope) -> None:
    template = templates.template(world, EMAIL, LETTER)
    assert Editions(world, template).attributes == ["FIRST_NAME"]
