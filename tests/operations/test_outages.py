"""What a process answers and logs while an engine is away, and that its threads go on."""

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import httpx
import pytest
import structlog

from engine_outages import hung, stopped
from rapport.access import keys
from rapport.access.scope import Scope
from rapport.api.http import observing, watching
from rapport.commands import logs
from rapport.errors import Away
from rapport.stores import Stores
from rapport.stores.outages import NONE_FREE, RECORDS_AWAY, outage, refusal
from rapport.stores.records import Records
from rapport.stores.workers.base import Worker, running

READS = "/general/getlastdataupdate"


def test_requests_are_told_to_come_again_and_the_process_stays_ready_to_be_asked(
    stores: Stores, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MEASURED_SECONDS", 0.0)  # whatever was asked just before
    assert stores.postgres is not None
    assert api.get("/ready").json() == {"status": "ready"}
    with stopped(stores.postgres):
        answers = [api.get(READS), api.get("/manage/v1/channels"), api.get("/ready")]
        assert [answer.status_code for answer in answers] == [503] * 3
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
        assert answers[1].json()["detail"] and answers[2].json() in (RECORDS_AWAY, refusal("starting up"))
        assert api.get("/health").json() == {"status": "ok"}
        assert 'rapport_engine_up{engine="records"} 0.0' in api.get("/metrics").text
    assert api.get(READS).status_code == 200
    assert api.get("/ready").status_code == 200


def test_a_hung_database_takes_neither_health_nor_metrics_with_it(
    stores: Stores, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stores.postgres is not None
    monkeypatch.setattr(observing, "STATEMENT_SECONDS", 3.0)
    with hung(stores.postgres), ThreadPoolExecutor(60) as threads:
        waiting = [threads.submit(api.get, READS) for _ in range(50)]
        time.sleep(0.5)
        with httpx.Client(base_url=api.base_url, timeout=10) as other:
            assert other.get("/health").json() == {"status": "ok"}
            assert other.get("/ready").status_code == 503
            assert other.get("/metrics").status_code == 200
        assert {one.result().status_code for one in waiting} == {503}
    deadline = time.monotonic() + 60
    while api.get(READS).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_server_without_a_connection_left_is_told_as_such(stores: Stores) -> None:
    few = Records(stores.records.url, 1)
    held = few.engine.connect()
    try:
        few.engine.pool._timeout = 0.1  # type: ignore[attr-defined]
        with pytest.raises(Exception) as raised, few.reading():
            pass
        told = outage(raised.value)
        assert told is not None and told.message == NONE_FREE
    finally:
        held.close()
        few.close()


@pytest.mark.parametrize(
    ("words", "beginning"),
    [
        ('FATAL:  password authentication failed for user "u"', "The records database refuses the user"),
        ('FATAL:  database "x" does not exist', "The records server has no database"),
        ('FATAL:  role "x" does not exist', "The records server has no user"),
        ("FATAL:  sorry, too many clients already", "The records server has no connection left"),
        ("FATAL:  no pg_hba.conf entry for host, no encryption", "The records server takes no such connection"),
        ("FATAL:  the database system is starting up", "The records database is starting"),
        ("FATAL:  unsupported startup parameter: options", "A pooler is between"),
        (
            "server does not support SSL, but SSL was required",
            "The records server and RAPPORT_RECORDS_URL do not agree",
        ),
        ("failed to resolve host 'x': Name or service not known", "The host of RAPPORT_RECORDS_URL has no address"),
        ("connection timeout expired", "The records database does not answer in time"),
    ],
)
def test_each_refusal_has_a_sentence_of_its_own(words: str, beginning: str) -> None:
    assert refusal(f"connection failed: connection to server at 10.0.0.1, port 5432 failed: {words}").startswith(
        beginning
    )


def test_a_service_thread_survives_its_faults_and_one_that_ended_is_told_of(api: httpx.Client, scope: Scope) -> None:
    rounds = []

    class GoesOn(Worker):
        name = "goes on"

        def work(self) -> None:
            rounds.append(1)
            if len(rounds) == 1:
                raise KeyError("a fault of one tenant")
            self._stopping.wait()

    class EndedEarly(Worker):
        name = "ended early"

        def work(self) -> None:
            """Nothing."""

    workers = scope.stores.workers
    with running(GoesOn(workers), ended := EndedEarly(workers)):
        while ended.is_alive:
            time.sleep(0.01)
        answer = api.get("/ready")
        assert (answer.status_code, answer.json()) == (
            503,
            "The worker ended early has ended: start this process again.",
        )
        deadline = time.monotonic() + 30
        while len(rounds) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert workers.ended() == []


def test_a_fault_is_logged_once_a_second_and_an_outage_without_a_traceback() -> None:
    written = StringIO()
    root, handlers, level = logging.getLogger(), logging.getLogger().handlers[:], logging.getLogger().level
    kept = structlog.get_config()
    try:
        logs.configure("INFO")
        handler = root.handlers[0]
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(written)
        log = structlog.get_logger("rapport.test")
        for number in range(1000):
            try:
                raise Away("The engine is away.")
            except Away:
                log.exception("work cannot be taken", number=number)
        log.error("another fault", tenant_id=1)
        log.error("another fault", tenant_id=2)
        logging.getLogger("dbos").warning("of a library")
        lines = [json.loads(line) for line in written.getvalue().splitlines()]
        assert [line["event"] for line in lines] == [
            "work cannot be taken",
            "another fault",
            "another fault",
            "of a library",
        ]
        assert lines[0]["reason"] == "The engine is away." and "exception" not in lines[0]
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.configure(**kept)


def test_who_is_asked_for_metrics_tells_what_waits_for_all(scope: Scope, base_url: str) -> None:
    _, secret = keys.create_key(scope, "m", "m@example.com", "Admin")
    text = httpx.get(f"{base_url}/metrics", headers={"X-API-KEY": secret}).text
    for name in ("rapport_events_waiting", "rapport_deliveries_waiting", 'rapport_work{state="waiting"}'):
        assert f"\n{name} " in text
    assert 'rapport_processes{role="worker"}' in text


def test_a_route_is_few_series(api: httpx.Client) -> None:
    api.get(READS)
    told = api.get("/metrics").text.splitlines()
    assert not [line for line in told if "_created" in line]
    of_route = [line for line in told if line.startswith("rapport_request_seconds") and READS in line.lower()]
    assert len(of_route) == 9
