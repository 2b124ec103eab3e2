"""The pace of one person: what is refused, for how long, and whose events count together."""

import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from senders import Sender, app_event, event, logged, metric, stored

from rapport.access.scope import Scope
from rapport.access.service import update_tenant
from rapport.errors import Invalid, TooManyRequests
from rapport.realtime.events.pacing import WINDOW_SECONDS, EventRateLimiter

LIMIT = 5


@pytest.fixture(scope="module")
def sender(base_url: str, scope: Scope) -> Iterator[Sender]:
    update_tenant(scope, {"settings": {"events": {"events_per_person": LIMIT}}})
    made = Sender(base_url, scope)
    yield made
    made.client.close()


class Clock:
    """A clock of the test's own, and the limiter that goes by it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.limiter = EventRateLimiter(lambda: self.now)

    def wait(self, persons: Any, limit: int, origin: str = "server") -> int:
        """How long a batch has to wait; 0 when it was taken."""
        try:
            self.limiter.take(1, origin, persons, limit)
        except TooManyRequests as error:
            return error.retry_after
        return 0


def test_the_window_of_a_person_slides() -> None:
    clock = Clock()

    def taken(number: int, person: str = "a") -> bool:
        return clock.wait([person] * number, 10) == 0

    assert taken(10) and not taken(1)
    clock.now += 10  # the next window: what was sent in the one before counts in whole at first
    assert not taken(1)
    clock.now += 5
    assert taken(5) and not taken(1)
    clock.now += 25
    assert taken(10) and taken(10, "b")


@pytest.mark.parametrize(
    ("at", "first", "number", "wait"),
    [
        (1000.0, 10, 10, 20),  # the whole window after the bucket that it was sent in
        (1000.0, 10, 1, 11),
        (1009.5, 10, 1, 2),
        (1009.5, 10, 5, 6),
        (1005.0, 5, 6, 7),
    ],
)
def test_the_wait_is_until_there_is_room(at: float, first: int, number: int, wait: int) -> None:
    clock = Clock(at)
    assert clock.wait(["a"] * first, 10) == 0
    assert clock.wait(["a"] * number, 10) == wait
    clock.now += wait - 1
    assert clock.wait(["a"] * number, 10) == 1
    clock.now += 1
    assert clock.wait(["a"] * number, 10) == 0


def test_a_batch_waits_for_the_last_of_its_persons() -> None:
    clock = Clock(1009.5)
    assert clock.wait(["b"] * 5, 10) == 0
    clock.now += 1
    assert clock.wait(["a"] * 10, 10) == 0
    wait = clock.wait(["b"] * 6 + ["a"] * 4, 10)
    assert wait == 14  # at 1024.5 the window covers 0.55 of the bucket in which a sent ten
    clock.now += wait
    assert clock.wait(["b"] * 6 + ["a"] * 4, 10) == 0


BATCHES = st.lists(
    st.tuples(
        st.floats(0, 25),
        st.dictionaries(st.sampled_from("ab"), st.integers(1, 12), min_size=1),
        st.sampled_from(["sdk", "server"]),
        st.booleans(),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(start=st.floats(0, 1e6), limit=st.integers(1, 12), batches=BATCHES)
def test_after_the_wait_it_is_taken_and_never_more_than_the_limit(start: float, limit: int, batches: Any) -> None:
    clock = Clock(start)
    taken: list[tuple[float, str, dict[str, int]]] = []
    for pause, counts, origin, patient in batches:
        clock.now += pause
        persons = list(Counter(counts).elements())
        if max(counts.values()) > limit:
            with pytest.raises(Invalid, match=f"{max(counts.values())} events of one person, more than the {limit} "):
                clock.wait(persons, limit, origin)
            continue
        wait = clock.wait(persons, limit, origin)
        if wait:
            assert 1 <= wait <= 2 * WINDOW_SECONDS + 1
            if not patient:
                continue
            clock.now += wait
            assert clock.wait(persons, limit, origin) == 0
        taken.append((clock.now, origin, counts))
        check(taken, limit)


def check(taken: list[tuple[float, str, dict[str, int]]], limit: int) -> None:
    """The last batch by what the two buckets promise, made anew of all that was taken."""
    now, origin, counts = taken[-1]
    bucket, elapsed = divmod(Fraction(now / WINDOW_SECONDS), 1)
    for person in counts:
        sent = [(at, each[person]) for at, who, each in taken if who == origin and person in each]
        buckets: Counter[int] = Counter()
        for at, number in sent:
            buckets[int(at / WINDOW_SECONDS)] += number
        assert max(buckets.values()) <= limit
        covered = buckets[int(bucket)] + buckets[int(bucket) - 1] * (1 - elapsed)
        assert covered <= limit + Fraction(1, 10**6)
        assert sum(number for at, number in sent if at > now - WINDOW_SECONDS) <= 2 * limit


# Through HTTP.


def test_the_same_batch_is_taken_after_retry_after(sender: Sender, scope: Scope) -> None:
    batch = [app_event(scope, visitor="patient")]
    assert sender.app([app_event(scope, visitor="patient") for _ in range(LIMIT)]).status_code == 200
    answer = sender.app(batch)
    assert answer.status_code == 429
    time.sleep(int(answer.headers["retry-after"]))
    assert sender.app(batch).status_code == 200
    assert len(stored(scope, visitor_id="patient")) == LIMIT + 1


def test_apps_do_not_use_up_the_pace_of_servers_and_vendors(sender: Sender, scope: Scope) -> None:
    def from_app() -> dict[str, Any]:
        return app_event(scope, customer="Victim", visitor=None)

    assert sender.app([from_app() for _ in range(LIMIT)]).status_code == 200
    assert sender.app([from_app()]).status_code == 429
    assert [sender.server(event(scope, customer="victim")).status_code for _ in range(LIMIT)] == [200] * LIMIT
    assert sender.server(event(scope, customer="Victim")).status_code == 429
    assert sender.vendor([metric(customer="Victim") for _ in range(LIMIT)]).status_code == 200
    assert sender.vendor(metric(customer="Victim")).status_code == 429
    origins = Counter(row["origin"] for row in stored(scope) if row["customer_id"].lower() == "victim")
    assert origins == {"sdk": LIMIT, "server": LIMIT, "metric": LIMIT}


def test_a_batch_that_can_never_get_through_is_told_so(sender: Sender, scope: Scope) -> None:
    def answers(name: str) -> Iterator[httpx.Response]:
        yield sender.app([app_event(scope, visitor=name) for _ in range(LIMIT + 1)])
        yield sender.vendor([metric(customer=name) for _ in range(LIMIT + 1)])

    for answer, status in zip(answers("Never"), (200, 400), strict=True):
        assert answer.status_code == status
        assert answer.json() == {
            "status": "error",
            "message": "Failed to validate the event with the following error - the body has 6 events of one person, "
            "more than the 5 (events_per_person) that are taken within 10 seconds",
        }
    assert stored(scope, visitor_id="Never") == stored(scope, customer_id="Never") == []
    entries = logged(scope, person="never", status="error")
    assert [one["origin"] for one in entries] == ["sdk", "metric"]
    assert all("more than the 5 (events_per_person)" in one["reason"] and "Never" in one["body"] for one in entries)
    assert sender.app([app_event(scope, visitor="Never") for _ in range(LIMIT)]).status_code == 200
