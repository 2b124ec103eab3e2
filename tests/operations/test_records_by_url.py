"""What a records server by URL must be, and whose clock counts."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from rapport_command import run
from sqlalchemy import Connection, make_url, text

from rapport import settings as settings_module
from rapport.errors import Unavailable
from rapport.settings import Settings
from rapport.stores import OLDER_SCHEMA, Stores, migrations
from rapport.stores.checks import clock_check
from rapport.stores.clock import OUTSIDE, SharedClock
from rapport.stores.records import Records
from rapport.stores.workers import presence
from rapport.stores.workers.base import Workers
from rapport.stores.workers.presence import Presence


class Pooled(Records):
    """As behind a pooler of transactions: whoever connects next is given the session that is free."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        if not hasattr(self, "_session_of_all"):
            self._session_of_all = self._reader.connect()
        yield self._session_of_all

    def close(self) -> None:
        self._session_of_all.close()
        super().close()


def test_a_pooler_of_transactions_is_refused(stores: Stores) -> None:
    stores.records.require_sessions()
    pooled = Pooled(stores.records.url)
    with pytest.raises(Unavailable, match="A pooler of transactions"):
        pooled.require_sessions()
    pooled.close()


def test_leases_go_by_the_clock_of_the_records(stores: Stores) -> None:
    here, there = SharedClock(), SharedClock()
    ahead = timedelta(seconds=45)
    assert abs(here.now() - datetime.now(UTC)) < timedelta(seconds=30)
    # Two machines whose own clocks differ read one: what they then say is the same.
    assert abs(here.keep_with(stores.records.time)) < timedelta(seconds=30)
    there.keep_with(stores.records.time)
    assert abs(here.now() - there.now()) < timedelta(seconds=30)
    told = there.keep_with(lambda: datetime.now(UTC) - ahead)
    assert abs(told - ahead) < timedelta(seconds=30)
    assert abs(datetime.now(UTC) - there.now() - ahead) < timedelta(seconds=30)
    there.set(datetime(2026, 3, 1, tzinfo=UTC))
    assert there.now() == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "outcome", "told"),
    [
        (0, "ok", "the records database"),
        (-60, "warning", "ahead of the records database: run NTP"),
        (60, "warning", "behind"),
    ],
)
def test_the_doctor_says_when_clocks_differ(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, seconds: int, outcome: str, told: str
) -> None:
    with monkeypatch.context() as other:
        other.setattr(stores.records, "time", lambda: datetime.now(UTC) + timedelta(seconds=seconds))
        check = clock_check(stores.records)
    OUTSIDE.keep_with(stores.records.time)
    assert (check.name, check.outcome, told in check.detail) == ("clock", outcome, True), check


def test_commands_leave_the_schema_that_others_run_on(stores: Stores, folder: Path) -> None:
    with stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE behind"))
    records = Records(make_url(stores.records.url).set(database="behind").render_as_string(hide_password=False))
    command.upgrade(migrations._alembic(records), "0005")
    environment = {"RAPPORT_RECORDS_URL": records.url}
    assert run("tenant", "list", "--data-dir", folder / "behind", **environment).line == OLDER_SCHEMA
    assert migrations.records_revision(records) == "0005"
    assert run("migrate", "--data-dir", folder / "behind", **environment).code == 0
    assert migrations.records_revision(records) == migrations.revisions()[-1]
    records.close()


HOLDERS = text(
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 7301 AND objid::int = hashtext(:name)"
)


def holders(stores: Stores, name: str) -> list[int]:
    with stores.records.reading() as connection:
        return list(connection.execute(HOLDERS, {"name": name}).scalars())


def test_a_second_process_of_a_name_is_refused(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "ENDING_SECONDS", 0.5)
    first, twin, other = (Presence(Workers(), stores.records, name) for name in ("host-8600", "host-8600", "host-8601"))
    first.enter()
    other.enter()
    with pytest.raises(Unavailable, match="A process named host-8600 already works on this records database"):
        twin.enter()
    first.stop()
    twin.enter()
    twin.stop()
    other.stop()
    assert holders(stores, "host-8600") == holders(stores, "host-8601") == []


def test_a_process_is_counted_by_its_roles_and_entered_again_after_an_outage(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "LOOK_SECONDS", 0.05)

    def counted() -> dict[str, int]:
        with stores.records.reading() as connection:
            return presence.processes(connection)

    before = counted()
    here, others = (Presence(Workers(), stores.records, name) for name in ("counted", "others"))
    here.enter()
    assert here.api_processes == 1
    others.enter()
    for number, roles in ((2, {"api"}), (1, set[str]())):
        others.play(frozenset(roles))
        here.play(frozenset({"api"}))
        deadline = time.monotonic() + 10
        while here.api_processes != before["api"] + number:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    others.stop()
    here.play(frozenset({"worker", "scheduler"}))
    assert counted() == before | {"worker": before["worker"] + 1, "scheduler": before["scheduler"] + 1}
    here.play(frozenset({"worker"}))
    assert counted() == before | {"worker": before["worker"] + 1}
    (session,) = holders(stores, "counted")
    with stores.records.reading() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": session})
    pause = threading.Event()
    while holders(stores, "counted") in ([], [session]) or counted() == before:
        pause.wait(0.05)
    assert counted() == before | {"worker": before["worker"] + 1}
    here.stop()
    assert counted() == before


def test_processes_that_were_not_named_have_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def name_of(roles: str, **given: object) -> str:
        urls = {"records_url": "postgresql://x/y", "warehouse_url": "http://x"}
        return Settings.model_validate({**urls, "roles": roles, **given}).process

    monkeypatch.setattr(settings_module.socket, "gethostname", lambda: "shop1")
    assert name_of("worker") == name_of("api,worker") == "shop1-8600"
    assert name_of("api,console") == "shop1-8600-api-console"
    assert name_of("scheduler", port=8700) == "shop1-8700-scheduler"
    assert name_of("worker", process_name="w1") == "w1"
    assert Settings().process == "rapport"
    names = []
    for machine in ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"):
        (tmp_path / machine).write_text(f"{machine}\n")
        monkeypatch.setattr(settings_module, "MACHINE_ID", tmp_path / machine)
        monkeypatch.setattr(settings_module.socket, "gethostname", lambda: "localhost.localdomain")
        names.append(name_of("worker"))
    assert names == ["localhost.localdomain-0123456789ab-8600", "localhost.localdomain-fedcba987654-8600"]
    monkeypatch.setattr(settings_module, "MACHINE_ID", tmp_path / "none")
    assert name_of("worker") == name_of("worker") != names[0]
