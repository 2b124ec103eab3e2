"""The outbox when two touch the same messages at once, and what counts as an attempt."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.delivery import outbox
from rapport.delivery.models import OutboxMessage, Source, State
from rapport.delivery.outbox import Claim, Entry, Settled
from rapport.realtime.matching import releasing
from rapport.realtime.models import Firing

NOW = datetime.now(UTC)
LATER = NOW + timedelta(minutes=1)
WAITING = text("""
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND (query LIKE '%messages%' OR query LIKE '%trigger_firings%') AND pid <> :own
""")


def claimed(scope: Scope, source_id: int, *channel_ids: int) -> list[Claim]:
    """Messages of a source on channels that are claimed, in order of their ids."""
    entries = [Entry(source_id, channel_id, "Ada", 1, 1, 2, "") for channel_id in channel_ids]
    with scope.records() as session:
        outbox.enter(scope, session, Source.FIRING, entries)
        claims = outbox.claim_due(session, Source.FIRING, 1000, 1000, {}, NOW, LATER)
    return sorted((claim for claim in claims if claim.source_id == source_id), key=lambda claim: claim.id)


def row(scope: Scope, claim: Claim) -> OutboxMessage:
    with scope.reads() as session:
        return session.scalars(select(OutboxMessage).where(OutboxMessage.id == claim.id)).one()


def settle(scope: Scope, session: Session, claims: list[Claim]) -> None:
    assert outbox.settle(scope, session, [Settled(claim, State.SENT) for claim in claims]) == len(claims)


def renew(scope: Scope, session: Session, claims: list[Claim]) -> None:
    outbox.renew(session, claims, LATER)


def in_thread(scope: Scope, act: Callable[[Session], None]) -> threading.Thread:
    """Begin a transaction beside this one; returns when it waits for a lock."""

    def run() -> None:
        with scope.records() as session:
            act(session)

    thread = threading.Thread(target=run)
    thread.start()
    end = time.monotonic() + 60
    while True:
        with scope.records() as session:
            own = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
            if session.execute(WAITING, {"own": own}).scalar_one():
                return thread
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("act", [settle, renew])
def test_who_waits_for_one_message_holds_no_later_one(
    scope: Scope, act: Callable[[Scope, Session, list[Claim]], None]
) -> None:
    """Replies are settled while all claims are renewed: in any order, the two would wait for each other."""
    low, high = claimed(scope, 9_000_001 if act is settle else 9_000_002, 501, 502)
    lock = text("SELECT 1 FROM messages WHERE id = :id FOR UPDATE NOWAIT")
    with scope.records() as session:
        session.execute(lock, {"id": low.id})
        waiting = in_thread(scope, lambda other: act(scope, other, [high, low]))
        session.execute(lock, {"id": high.id})
    waiting.join()
    assert {row(scope, claim).state for claim in (low, high)} == {"sent" if act is settle else "claimed"}


def test_a_firing_ends_though_its_last_two_messages_are_settled_at_once(scope: Scope) -> None:
    with scope.records() as session:
        firing = Firing(
            tenant_id=scope.tenant_id, series_id=1, campaign_id=1, event_key="both", person="ada", customer_id="Ada",
            recipient_group_id=1, state="sending", fired_at=NOW,
        )  # fmt: skip
        session.add(firing)
        session.flush()
        number = firing.id
    first, second = claimed(scope, number, 501, 502)

    def ended(session: Session, claim: Claim) -> None:
        settle(scope, session, [claim])
        releasing.conclude(scope, session, [number])

    with scope.records() as session:
        ended(session, first)
        waiting = in_thread(scope, lambda other: ended(other, second))
    waiting.join()
    with scope.reads() as session:
        assert session.get_one(Firing, number).outcome == "sent"


def test_only_what_a_server_answered_is_an_attempt(scope: Scope) -> None:
    (claim,) = claimed(scope, 9_000_003, 501)
    with scope.records() as session:
        outbox.settle(scope, session, [Settled(claim, State.PENDING, "away", NOW, answered=False)])
        (again,) = outbox.claim_due(session, Source.FIRING, 1000, 1000, {}, NOW, LATER)
        assert (again.attempts, again.claims) == (0, 2)
        outbox.settle(scope, session, [Settled(again, State.PENDING, "later", NOW)])
        (last,) = outbox.claim_due(session, Source.FIRING, 1000, 1000, {}, NOW, LATER)
        assert (last.attempts, last.claims) == (1, 3)
        outbox.settle(scope, session, [Settled(last, State.FAILED, "no " * 200)])
    assert (row(scope, last).attempts, len(row(scope, last).reason)) == (2, 300)


def test_a_sender_claims_what_is_due_of_its_own_source_the_longest_due_first(scope: Scope) -> None:
    """However much of another source waits on the same channel."""
    instants = [NOW - timedelta(seconds=1), NOW + timedelta(seconds=1), NOW - timedelta(minutes=1), None]
    with scope.records() as session:
        others = [Entry(9_100_000 + number, 601, "Ada", 1, 1, 2, "") for number in range(200)]
        outbox.enter(scope, session, Source.FIRING, others)
        entries = [Entry(9_200_000 + number, 601, "", 0, 1, 0, "", due_at=at) for number, at in enumerate(instants)]
        outbox.enter(scope, session, Source.TRANSACTIONAL, entries)

        def claimed_next(now: datetime) -> list[int]:
            claims = outbox.claim_due(session, Source.TRANSACTIONAL, 1, 50, {}, now, LATER)
            return [claim.source_id - 9_200_000 for claim in claims if claim.tenant_id == scope.tenant_id]

        assert [claimed_next(NOW) for _ in range(4)] == [[3], [2], [0], []]
        assert claimed_next(NOW + timedelta(seconds=2)) == [1]
        session.rollback()
