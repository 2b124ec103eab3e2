"""Mail of campaigns, of firings and of applications through faults of its server: nothing is lost, nothing is twice.

Each way is seen from outside: by what the server knows of its messages, and by what became of them.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from asked_firings import campaign, fire
from asked_firings import outcomes as firing_outcomes
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
    outcomes,
    publish,
)
from gateway_server import eventually
from sqlalchemy import delete, not_, select, update
from transactional_world import CHANNEL, add_stream, logged, person, sent

from faulty_mail_server import Fault, FaultyMailServer, Point, assert_true_sums, faulty_mail_server
from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.models import Occurrence
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels import connection_pool
from rapport.channels import service as channels
from rapport.delivery import pacing
from rapport.delivery.models import OPEN, MailLane, OutboxMessage, State
from rapport.messaging import templates
from rapport.realtime.matching import releasing
from rapport.realtime.sending import Sender
from rapport.stores import Stores
from rapport.stores.clock import OUTSIDE
from rapport.stores.workflows import work
from rapport.transactional.messages import TransactionalSender

PEOPLE, CONNECTIONS = 24, 4
# Silences are short where there are some; elsewhere an answer is waited for, however long a busy machine takes.
SILENCE_SECONDS, WAIT_SECONDS = 0.15, 30
FIRINGS = 507
RETRIES = [0.001] * 12
NUMBERS = itertools.count(1)
# Where connections are opened, and the way of a message; tests of channels have every fault at every point.
POINTS = (Point.GREETING, Point.AUTH, Point.MAIL, Point.RCPT, Point.DATA, Point.CONTENT, Point.RSET)
FAULTS = (Fault.ENDED, Fault.HALF, Fault.CLOSING, Fault.DEFERRED, Fault.REFUSED, Fault.GARBAGE, Fault.SILENT)


@dataclass
class World:
    """A tenant whose mail goes to a faulty server."""

    scope: Scope
    api: httpx.Client
    server: FaultyMailServer
    triggered: Occurrence

    def lead_mail(self, wait_seconds: float = WAIT_SECONDS) -> None:
        """Let all mail leave by the server, whose answers are waited for so long."""
        way = {"host": "127.0.0.1", "port": self.server.port, "from_address": "shop@example.com"}
        login = {"username": "mailer", "password": "s3cret"}
        settings = {**way, **login, "connections": CONNECTIONS, "timeout_seconds": wait_seconds}
        for channel, own in ((EMAIL, {}), (FIRINGS, {}), (CHANNEL, {"brand_id": 12})):
            channels.update_channel(self.scope, channel, settings={**settings, **own})

    def retry(self, *delays: float, hours: float = 12, batch: int = 10) -> None:
        """Let messages be tried again after these seconds, and be late by so many hours."""
        section = {"retry_delays": list(delays), "wait_hours": hours}
        settings = {"campaigns": {**section, "batch_size": batch, "messages_per_day": 99}, "transactional": section}
        with self.scope.records() as session:
            session.execute(update(Tenant).where(Tenant.id == self.scope.tenant_id).values(settings=settings))
        self.scope = scope_of(self.scope.stores, self.scope.tenant_id)


Send = Callable[[World], Callable[[], dict[str, str]]]


def by_campaign(world: World) -> Callable[[], dict[str, str]]:
    """Begin a campaign to everybody; what is given back waits for its end and says what became of its messages."""
    scope = world.scope
    scope.clock.set(NOW)
    series = add_series(scope, 1, [group(2, (EMAIL, 1))], rules={"include_all": True}, control_share=0)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    assert processing.process(scope, number, DATA_DATE) == "scheduled"
    scope.clock.set(NOW + timedelta(hours=1))
    sender = threading.Thread(target=tasks.execute_due, args=(scope,))
    sender.start()

    def became() -> dict[str, str]:
        sender.join(60)
        assert not sender.is_alive()
        rows = outcomes(scope, number)
        assert len(rows) == PEOPLE, "one outcome each"
        run = occurrences.occurrence(scope, number)
        assert sum(run.counts.values()) == run.targeted == PEOPLE
        return {f"{who.lower()}@example.com": outcome for who, _, outcome, _ in rows}

    return became


def by_firings(world: World) -> Callable[[], dict[str, str]]:
    """The same of firings to people whose ids are their addresses."""
    people = [f"f{next(NUMBERS)}@example.com" for _ in range(PEOPLE)]
    world.scope.clock.set(datetime.now(UTC))
    fired = fire(world.scope, world.triggered, *people)
    with world.scope.records() as session:
        releasing.release(world.scope, session, fired)

    def became() -> dict[str, str]:
        eventually(lambda: all(outcome for outcome, _ in firing_outcomes(world.scope, fired)))
        return dict(zip(people, (outcome for outcome, _ in firing_outcomes(world.scope, fired)), strict=True))

    return became


def by_application(world: World) -> Callable[[], dict[str, str]]:
    """The same of mail that an application asks for, in two requests."""
    sends = [sent(world.api, *(person() for _ in range(PEOPLE // 2))) for _ in range(2)]

    def entries() -> list[dict[str, Any]]:
        return [entry for send_id in sends for entry in logged(world.api, send_id=send_id)]

    def became() -> dict[str, str]:
        eventually(lambda: all(entry["ended_at"] for entry in entries()))
        assert len(entries()) == PEOPLE
        return {entry["email"]: entry["state"] for entry in entries()}

    return became


WAYS = {"campaign": by_campaign, "firings": by_firings, "application": by_application}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def send(request: pytest.FixtureRequest) -> Send:
    way: Send = request.param
    return way


@pytest.fixture(scope="module")
def impatience() -> Iterator[pytest.MonkeyPatch]:
    """Pauses are short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_pool, "DOWN_SECONDS", 0.02)
        patch.setattr(work, "FIRST_PAUSE", 0.01)
        patch.setattr(work, "LONGEST_PAUSE", 0.02)
        patch.setattr(pacing, "FIRST_WAIT", 0.005)
        patch.setattr(pacing, "LONGEST_WAIT", 0.02)
        patch.setattr(pacing, "SIGNS", 6)
        patch.setattr(pacing, "FIRST_REST", timedelta(milliseconds=30))
        patch.setattr(pacing, "LONGEST_REST", timedelta(milliseconds=60))
        yield patch


@pytest.fixture(scope="module")
def tenant(stores: Stores, scope: Scope, api: httpx.Client, impatience: pytest.MonkeyPatch) -> Iterator[World]:
    with faulty_mail_server(pipelines=True) as server:
        add_profiles(scope, [customer(number) for number in range(PEOPLE)])
        publish(scope)
        scope.clock.set(NOW)
        add_channels(scope)
        add_stream(scope, server.port)
        by_id = {"host": "127.0.0.1", "from_address": "shop@example.com"}
        channels.create_channel(scope, "By id", "email", id=FIRINGS, address_attribute="CUSTOMER_ID", settings=by_id)
        templates.save_template(scope, FIRINGS, "Hello", "Hello", "<p>[%EVENT.level%]</p>", id=1)
        add_group(scope, "Dutch", "NL")
        add_action(scope, "Voucher")
        triggered = campaign(scope, places=[{"channel_id": FIRINGS, "template_id": 1}])
        senders = [TransactionalSender(stores), Sender(stores)]
        for sender in senders:
            sender.poll = 0.05  # type: ignore[misc]
            sender.start()
        yield World(scope, api, server, triggered)
        for sender in senders:
            sender.stop()


@pytest.fixture
def world(tenant: World) -> World:
    tenant.server.forget()
    tenant.retry(*RETRIES)
    tenant.lead_mail()
    with tenant.scope.records() as session:
        session.execute(delete(MailLane).where(MailLane.tenant_id == tenant.scope.tenant_id))
    return tenant


def test_faults_at_every_point(world: World, send: Send) -> None:
    world.lead_mail(SILENCE_SECONDS)
    world.server.per_connection = 2
    for point in POINTS:
        world.server.order(point, FAULTS, every=1 if point is Point.RSET else 2)
    assert_true_sums(world.server, send(world)())
    assert world.server.met.total() > PEOPLE, "much went wrong"


def test_a_storm_of_refusals_for_now(world: World, send: Send) -> None:
    """Longer than a server is asked in vain before it has its rest."""
    world.server.order(Point.RCPT, [Fault.DEFERRED, Fault.BUSY] * PEOPLE, every=1)
    became = send(world)()
    assert_true_sums(world.server, became)
    assert set(became.values()) == {"sent"}


def test_a_storm_of_refusals_for_good(world: World, send: Send) -> None:
    world.server.order(Point.CONTENT, [Fault.REFUSED] * PEOPLE, every=1)
    became = send(world)()
    assert_true_sums(world.server, became)
    assert set(became.values()) == {"failed"} and world.server.met.total() == PEOPLE, "each was tried once"


def test_a_slow_server(world: World, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    """So slow that it has rests."""
    monkeypatch.setattr(pacing, "SLOW_SECONDS", 0.02)
    world.server.content_seconds = 0.03
    became = send(world)()
    assert_true_sums(world.server, became)
    assert set(became.values()) == {"sent"}


@pytest.mark.parametrize("hours", [12.0, 0.5])
def test_an_hour_without_a_server(world: World, send: Send, monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """It goes away in the middle, with a message that it has taken and not answered."""
    world.retry(*RETRIES, hours=hours)
    monkeypatch.setattr(pacing, "FIRST_WAIT", 60.0)
    monkeypatch.setattr(pacing, "LONGEST_WAIT", 300.0)
    server, clock = world.server, world.scope.clock
    server.shut_after = 5
    became = send(world)
    eventually(lambda: server.is_shut and all_wait(world.scope))
    try:
        if hours > 1:
            server.open()
        clock.set(clock.now() + timedelta(hours=1))
        monkeypatch.setattr(OUTSIDE, "keep_with", lambda read: timedelta())  # which would take the hour back
        monkeypatch.setattr(OUTSIDE, "_read", (datetime.now(UTC) + timedelta(hours=1), time.monotonic()))
        late = became()
    finally:
        if server.is_shut:
            server.open()
    if hours > 1:
        assert_true_sums(server, late)
        assert set(late.values()) == {"sent"} and server.doubtful.total() >= 1
    else:
        assert {to for to, outcome in late.items() if outcome == "sent"} == set(server.acknowledged)
        assert set(late.values()) == {"sent", "failed"}


def all_wait(scope: Scope) -> bool:
    """Whether the server of all messages that are sent one by one was found to be away."""
    later = OUTSIDE.now() + timedelta(seconds=30)
    has_time = OutboxMessage.due_at.is_not(None) & (OutboxMessage.due_at > later)
    is_open = (OutboxMessage.tenant_id == scope.tenant_id) & OutboxMessage.state.in_(OPEN)
    with scope.records() as session:
        alone = select(OutboxMessage.id).where(is_open, OutboxMessage.batch.is_(None))
        return not session.execute(alone.where((OutboxMessage.state != State.PENDING) | not_(has_time))).all()


@pytest.mark.parametrize("fault", [Fault.ENDED, Fault.GARBAGE])
def test_what_is_in_doubt_is_repeated_as_often_as_what_was_refused(world: World, send: Send, fault: Fault) -> None:
    world.retry(0.001, 0.001)
    world.server.order(Point.CONTENT, [fault] * 200, every=1)
    became = send(world)()
    assert set(became.values()) == {"failed"} and len(world.server.copies) == PEOPLE
    for copies in world.server.copies.values():
        assert len(copies) == 3 and len(set(copies)) == 1


def test_what_was_held_is_tried_again_after_its_own_pause(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that refuses everything has rests, so that some messages are first tried when others are tried again."""
    monkeypatch.setattr(pacing, "SIGNS", 9)
    pause = 0.8
    world.retry(pause, 0.001, batch=100)
    world.server.order(Point.RCPT, [Fault.DEFERRED] * 3 * PEOPLE, every=1)
    assert set(by_campaign(world)().values()) == {"failed"}
    for tries in world.server.tries.values():
        assert len(tries) == 3 and tries[1] - tries[0] >= pause


def test_retries_that_are_added_while_a_campaign_is_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a round that was not planned is tried after all of them."""
    monkeypatch.setattr(pacing, "SIGNS", 1000)
    world.retry(0.3)
    world.server.order(Point.RCPT, [Fault.DEFERRED] * 2 * PEOPLE, every=1)
    became = by_campaign(world)
    eventually(lambda: world.server.met[Point.RCPT, Fault.DEFERRED] == PEOPLE)
    world.retry(0, 0, 0)
    assert set(became().values()) == {"sent"}
    assert_true_sums(world.server, became())
