"""The life of background workers: rounds, words, who leads, what a fault does, and their end."""

import threading
import time
from collections.abc import Callable, Sequence

import psycopg
import pytest
from sqlalchemy import text

from rapport.stores import Stores, holds
from rapport.stores.records.locks import Leadership, Lock, holders
from rapport.stores.workers.base import Workers, running
from rapport.stores.workers.leader import Leader, LeadershipLost
from rapport.stores.workers.listening import Topic, publish
from rapport.stores.workers.rounds import RoundWorker

HERE = text("SELECT 1 AS here")


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Rounds(RoundWorker):
    """Counts its rounds, and what it is told."""

    name = "rounds"

    def __init__(self, stores: Stores, pause: float | None = None) -> None:
        super().__init__(stores)
        self.pause, self.rounds, self.begins, self.told = pause, 0, 0, list[str]()
        self.fault: Exception | None = None

    def begun(self) -> None:
        self.begins += 1

    def round(self, words: Sequence[psycopg.Notify]) -> float | None:
        self.rounds += 1
        self.told += [word.payload for word in words]
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        return self.pause


class Listening(Rounds):
    topics = (Topic.SCHEDULE,)
    gathers = 0.1


class Held(Rounds):
    pauses_while_held = True


class Leading(Rounds):
    leadership = Leadership.FILER

    def round(self, words: Sequence[psycopg.Notify]) -> float | None:
        self.leading(HERE)
        return super().round(words)


def test_a_worker_that_is_told_nothing_waits_for_a_call_and_for_its_end(stores: Stores) -> None:
    worker = Rounds(stores)
    with running(worker):
        eventually(lambda: worker.rounds == 1)
        worker.wake()
        eventually(lambda: worker.rounds == 2)
        worker.start()  # once is enough
        assert worker.begins == 1
    assert not worker.is_alive and worker.stopping


def test_a_fault_begins_it_again_and_ends_it_never(stores: Stores) -> None:
    worker = Rounds(stores)
    worker.fault = KeyError("a fault of one tenant")
    with running(worker):
        eventually(lambda: worker.rounds == 2)
        assert worker.begins == 2 and worker.name not in stores.workers.ended()


def test_words_of_a_topic_reach_all_who_listen_and_come_together(stores: Stores) -> None:
    first, second = Listening(stores), Listening(stores)
    with running(first, second):
        eventually(lambda: first.rounds == second.rounds == 1)
        for tenant_id in (17, 18):
            with stores.records.session() as session:
                publish(session, Topic.SCHEDULE, tenant_id)
        eventually(lambda: {"17", "18"} <= {*first.told} and {"17", "18"} <= {*second.told})


def test_nothing_is_done_while_what_goes_out_is_held(stores: Stores) -> None:
    holds.hold(stores.records, stores.clock.now())
    worker, other = Held(stores), Rounds(stores)
    try:
        with running(worker, other):
            eventually(lambda: other.rounds == 1)
            assert worker.rounds == 0
            holds.resume(stores.records)
            eventually(lambda: worker.rounds == 1)
    finally:
        holds.resume(stores.records)


def test_one_leads_and_another_takes_over_when_it_ends_or_loses_its_lock(stores: Stores) -> None:
    first, second = Leading(stores, pause=0.05), Leading(stores, pause=0.05)
    with running(second):
        with running(first):
            eventually(lambda: first.rounds + second.rounds > 0)
            leading, waiting = (first, second) if first.rounds else (second, first)
            assert waiting.rounds == 0
            with stores.records.reading() as connection:
                assert holders(connection, Lock.LEADERS)[Leadership.FILER] == 1
                ended = text(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks "
                    "WHERE locktype = 'advisory' AND classid = 7100 AND objid = 2 AND granted"
                )
                assert connection.execute(ended).scalar()
            before = leading.rounds
            eventually(lambda: waiting.rounds > 0 or leading.begins > 1)
            assert leading.rounds <= before + 1 or leading.begins > 1, "nobody goes on without the lock"
        rounds = second.rounds
        eventually(lambda: second.rounds > rounds)


def test_a_leader_that_lost_its_lock_is_told_by_what_it_asks(stores: Stores) -> None:
    leader = Leader(stores.records, Leadership.FILER)
    with pytest.raises(LeadershipLost):
        leader.ask(HERE)
    assert leader.take() and leader.take() and leader.ask(HERE)[0].here == 1
    assert not Leader(stores.records, Leadership.FILER).take()
    leader.give_up()
    assert not leader.leads
    other = Leader(stores.records, Leadership.FILER)
    assert other.take()
    other.give_up()


def test_a_process_has_one_of_a_kind_and_ends_it_at_its_end(stores: Stores) -> None:
    workers, made = Workers(), list[object]()

    class Only:
        def __init__(self, stores: Stores) -> None:
            made.append(self)
            self.ended = threading.Event()

        def stop(self) -> None:
            self.ended.set()

    assert workers.only(Only, stores) is workers.only(Only, stores)
    assert len(made) == 1
    workers.stop()
    assert made[0].ended.is_set()  # type: ignore[attr-defined]
