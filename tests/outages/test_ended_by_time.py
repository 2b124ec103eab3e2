"""What ends by time: a statement of a request, at both ends; and what does not: waits for locks and backups."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from webhook_receiver import eventually

from rapport.access.scope import Scope, scope_of
from rapport.customers.writes import locks
from rapport.errors import Away
from rapport.stores import Stores, migrations
from rapport.stores.records import Records, connecting
from rapport.stores.records import locks as advisory
from rapport.stores.records.locks import Lock
from rapport.stores.workflows import work

SLEEPING = text("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(%' AND state = 'active'")
SLEEP = text("SELECT pg_sleep(60)")
LIMIT = 1.0


@pytest.fixture
def limited(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    """Stores whose records server ends a statement soon."""
    monkeypatch.setattr(connecting, "SERVER_SECONDS", LIMIT)
    with closing(Records(stores.records.url)) as records:
        yield replace(stores, records=records)


def test_a_slow_statement_of_a_request_ends_at_the_server_too(stores: Stores) -> None:
    with pytest.raises(Away), connecting.statements_within(LIMIT), stores.records.reading() as connection:
        connection.execute(SLEEP)
    with stores.records.reading() as connection:
        eventually(lambda: connection.execute(SLEEPING).scalar_one() == 0)


def test_the_server_ends_a_statement_that_nobody_ends(limited: Stores) -> None:
    with pytest.raises(Away), limited.records.reading() as connection:
        connection.execute(SLEEP)


def test_durable_work_is_not_ended_by_the_server(stores: Stores) -> None:
    assert work._engine is not None
    with work._engine.connect() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "0"


def test_a_wait_for_a_lock_is_not_ended(limited: Stores, scope: Scope) -> None:
    waiting, entered = scope_of(limited, scope.tenant_id), threading.Event()

    def enter() -> None:
        with locks.writing(waiting):
            entered.set()

    with scope.stores.records.engine.connect() as other:
        advisory.take(other, Lock.CUSTOMER_WRITES, scope.tenant_id)
        thread = threading.Thread(target=enter)
        thread.start()
        time.sleep(2 * LIMIT)
        assert not entered.is_set()
        advisory.release(other, Lock.CUSTOMER_WRITES, scope.tenant_id)
    thread.join(30)
    assert entered.is_set()
    # The limit holds again for who comes next.
    with limited.records.reading() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "1s"


def test_a_backup_and_a_migration_are_not_ended(limited: Stores, scope: Scope, tmp_path: Path) -> None:
    with limited.records.engine.connect() as connection:
        connecting.unhurried(connection)
        connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": 2 * LIMIT})
    migrations.migrate(limited.records, limited.warehouse)
    written = limited.backup(tmp_path / "backup.rapport")
    assert written.rows["records"]["public.tenants"] >= 1


def test_a_connection_is_asked_whether_it_lives_only_after_it_was_idle(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = connecting.engine(stores.records.engine.url, 1, 1, 5.0)
    who = text("SELECT pg_backend_pid()")
    said = text("SELECT query FROM pg_stat_activity WHERE pid = :pid")
    with pool.connect() as connection:
        first = connection.execute(who).scalar_one()
        connection.commit()
    with pool.connect(), stores.records.reading() as watcher:
        assert watcher.execute(said, {"pid": first}).scalar_one() == "COMMIT"  # of its last use
    with stores.records.reading() as killer:
        killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": first})
    monkeypatch.setattr(connecting, "IDLE_SECONDS", 0.0)
    with pool.connect() as connection:
        assert connection.execute(who).scalar_one() != first
    pool.dispose()
