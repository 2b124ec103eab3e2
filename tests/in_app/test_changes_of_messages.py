"""An app that asks for changes as the SDKs do never misses one, and never goes back."""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.apps.states import Reported
from rapport.in_app.contents import InAppContent
from rapport.in_app.models import InAppMessage
from rapport.in_app.personal import messages_of
from rapport.in_app.reading import changed_messages
from rapport.in_app.states import Report, note
from rapport.in_app.storing import NewMessage, store

APP = 1
START = datetime(2026, 3, 1, 9, tzinfo=UTC)
numbers = itertools.count()
State = tuple[datetime | None, datetime | None, datetime | None]


@dataclass
class Phone:
    """What an app keeps: the newest instant of its last batch that was not empty, as text, and its messages."""

    after: str = ""
    states: dict[int, State] = field(default_factory=dict)

    def ask(self, scope: Scope, who: str, at_most: int = 500) -> int:
        """Ask once, as iOS does: whatever came in the batch moves the instant, even to an earlier one."""
        after = datetime.fromisoformat(self.after) if self.after else None
        rows = changed_messages(scope, who, APP, after, at_most)
        for row in rows:
            self.states[row.id] = state_of(row)
        if rows:
            newest = f"{max(row.updated_at for row in rows).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
            assert newest > self.after, "the instant moved back, or the same rows would come again"
            self.after = newest
        return len(rows)

    def ask_till_the_end(self, scope: Scope, who: str) -> None:
        while self.ask(scope, who):
            pass


def state_of(row: InAppMessage) -> State:
    return row.opened_at, row.read_at, row.inbox_deleted_at


def send(scope: Scope, who: str, count: int = 1) -> list[str]:
    """Store messages with an inbox part, and the first a second time under the same id."""
    content = InAppContent.model_validate({"content": {"a": 1}, "inbox": {"title": "Hi"}})
    messages = [NewMessage(f"m{next(numbers)}", who, content) for _ in range(count)]
    with scope.records() as session:
        store(scope, session, [*messages, messages[0]])
    return [message.message_id for message in messages]


def report(scope: Scope, who: str, *reports: Report) -> None:
    with scope.records() as session:
        note(scope, session, who, reports)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 1), st.integers(1, 3)),
        st.tuples(st.just("ask"), st.integers(0, 2), st.integers(1, 4)),
        st.tuples(st.just("report"), st.integers(0, 1), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.sampled_from([-5, 0, 1, 3]), st.just(0)),
        st.tuples(st.just("within"), st.integers(1, 999), st.just(0)),
    ),
    max_size=25,
)


@pytest.fixture(scope="module", autouse=True)
def standing(scope: Scope) -> Iterator[None]:
    scope.clock.set(START)
    yield
    scope.clock.set(None)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_no_change_is_missed_whatever_happens_between(scope: Scope, steps: list[tuple[str, int, int]]) -> None:
    """Two users, the first of whom has two phones; clocks that go back; batches that are cut."""
    run = next(numbers)
    users = [f"Élodie-{run}", f"bob-{run}"]
    phones = [(users[0], Phone()), (users[0].upper(), Phone()), (users[1], Phone())]
    for what, number, amount in steps:
        if what == "send":
            send(scope, users[number], amount)
        elif what == "ask":
            who, phone = phones[number]
            phone.ask(scope, who, amount)
        elif what == "report":
            theirs = messages_of(scope, users[number])
            if theirs:
                row, how = theirs[amount % len(theirs)], list(Reported)[amount % len(Reported)]
                report(scope, users[number], Report(row.id, how, scope.clock.now()))
        else:
            scope.clock.advance(timedelta(seconds=number) if what == "wait" else timedelta(milliseconds=number))
    for who, phone in phones:
        phone.ask_till_the_end(scope, who)
        kept = {row.id: row for row in messages_of(scope, who)}
        assert phone.states == {number: state_of(kept[number]) for number in phone.states}
        # What a phone has never had was deleted before it asked for the first time.
        assert all(kept[number].inbox_deleted_at for number in kept.keys() - phone.states.keys())


def test_messages_that_are_stored_at_once_by_many_all_arrive(scope: Scope) -> None:
    """One phone asks without a pause while four write for its user, in one second that does not end."""
    phone, who, done = Phone(), "busy", threading.Event()

    def write() -> None:
        for _ in range(10):
            send(scope, who, 2)

    def keep_asking() -> None:
        while not done.is_set():
            phone.ask(scope, who)

    writers = [threading.Thread(target=write) for _ in range(4)]
    asking = threading.Thread(target=keep_asking)
    for thread in [asking, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    asking.join()
    phone.ask_till_the_end(scope, who)
    assert sorted(phone.states) == [row.id for row in messages_of(scope, who)]
    assert len(phone.states) == 80


def test_a_message_is_stored_once_and_keeps_its_id(scope: Scope) -> None:
    content = InAppContent(content={"first": True})
    with scope.records() as session:
        first = store(scope, session, [NewMessage("same", "Once", content)])
    with scope.records() as session:
        again = store(scope, session, [NewMessage("same", "once", InAppContent(content={"first": False}))])
    assert first == again
    [row] = messages_of(scope, "ONCE")
    assert (row.content, row.id >= 1) == ({"first": True}, True)
    assert Phone().ask(scope, "once") == 1


def test_the_first_report_of_a_state_counts_and_only_of_ones_own_messages(scope: Scope) -> None:
    send(scope, "reader", 2)
    first, second = messages_of(scope, "reader")
    earlier, later = scope.clock.now() - timedelta(minutes=2), scope.clock.now() - timedelta(minutes=1)
    report(scope, "READER", Report(first.id, Reported.OPENED, earlier), Report(first.id, Reported.DISMISSED, later))
    [asked] = [row for row in messages_of(scope, "reader") if row.id == first.id]
    report(scope, "reader", Report(first.id, Reported.OPENED, later), Report(first.id, Reported.DELIVERED, later))
    report(scope, "somebody else", Report(second.id, Reported.OPENED, later))
    report(scope, "reader", Report(second.id, Reported.READ, scope.clock.now() + timedelta(days=400)))
    first, second = messages_of(scope, "reader")
    assert (state_of(first), first.updated_at) == ((earlier, None, None), asked.updated_at)
    assert state_of(second) == (None, scope.clock.now(), None)


def test_who_asks_first_gets_what_may_still_be_shown(scope: Scope) -> None:
    contents = {
        "plain": {"content": {"a": 1}},
        "short": {"content": {"a": 1}, "ttl": {"expires_in": 1, "units": "h"}},
        "opened": {"content": {"a": 1}},
        "in inbox": {"content": {"a": 1}, "inbox": {"title": "T"}},
        "deleted": {"content": {"a": 1}, "inbox": {"title": "T"}},
        "overlay": {"content": {"a": 1}, "surface": "session"},
    }
    who = "new phone"
    with scope.records() as session:
        messages = [NewMessage(name, who, InAppContent.model_validate(said)) for name, said in contents.items()]
        ids = store(scope, session, messages)
    done = {"opened": Reported.OPENED, "in inbox": Reported.OPENED, "deleted": Reported.INBOX_DELETED}
    report(scope, who, *(Report(ids[name], how, scope.clock.now()) for name, how in done.items()))
    old = Phone()
    old.ask(scope, who)
    scope.clock.advance(timedelta(hours=2))
    rows = changed_messages(scope, who, APP, None)
    assert {row.message_id for row in rows} == {"plain", "in inbox"}
    assert old.states.keys() == {ids["plain"], ids["short"], ids["in inbox"]}


def test_messages_of_one_app_are_not_told_to_another_nor_another_tenant(scope: Scope) -> None:
    content = InAppContent(content={"a": 1})
    with scope.records() as session:
        store(scope, session, [NewMessage(f"app {app}", "two apps", content, app_id=app) for app in (None, 1, 2)])
    assert {row.message_id for row in changed_messages(scope, "two apps", 1, None)} == {"app None", "app 1"}
    elsewhere = Scope(scope.stores, scope.tenant_id + 1_000_000, scope.time_zone, "EUR", {})
    assert not changed_messages(elsewhere, "two apps", 1, None)
