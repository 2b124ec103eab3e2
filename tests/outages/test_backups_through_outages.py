"""A backup during which the records go away: it says so, leaves nothing, and the next one works."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from served import Served
from webhook_receiver import eventually

from engine_outages import stopped
from rapport.stores.backups.archive import open_backup
from rapport.stores.outages import RECORDS_AWAY, refusal

# Deliveries whose bodies take long to be copied and little room on the disk.
MANY = """
    INSERT INTO deliveries
        (tenant_id, listener_id, event_type_id, event_key, message_id, body, state, attempts, last_error, created_at)
    SELECT 1, 1, 11, 'long ' || n, 'long ' || n, repeat(md5(n::text), 400), 'delivered', 1, '', now()
    FROM generate_series(1, 15000) AS n
"""
COPYING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%deliveries%' AND state = 'active'"


@pytest.fixture
def filled(served: Served) -> Iterator[Served]:
    place = {"host": str(served.postgres.folder), "user": "postgres", "dbname": "postgres", "autocommit": True}
    with psycopg.connect(**place) as connection:  # type: ignore[arg-type]
        connection.execute(MANY)
    yield served
    with psycopg.connect(**place) as connection:  # type: ignore[arg-type]
        connection.execute("DELETE FROM deliveries WHERE tenant_id = 1")


def backup(served: Served, path: Path) -> dict[str, Any]:
    """The last line that a backup answers."""
    answer = served.operator.post("/manage/v1/operator/backups", json={"path": str(path)})
    assert answer.status_code == 200, answer.text
    return dict(orjson.loads(answer.text.splitlines()[-1]))


def test_a_backup_ends_with_a_sentence_and_leaves_no_file(filled: Served) -> None:
    folder = filled.data_dir.parent / "backups"
    folder.mkdir()
    told: list[dict[str, Any]] = []
    writing = threading.Thread(target=lambda: told.append(backup(filled, folder / "first.rapport")))
    writing.start()
    eventually(lambda: filled.asked(COPYING))
    with stopped(filled.postgres):
        writing.join()
        assert told[0]["error"]["status"] == 503
        assert told[0]["error"]["detail"] in (RECORDS_AWAY, refusal("shutting down"), refusal("starting up"))
        assert list(folder.iterdir()) == []
    written = backup(filled, folder / "second.rapport")["result"]
    assert [path.name for path in folder.iterdir()] == ["second.rapport"]
    assert written["rows"]["records"]["public.deliveries"] >= 15_000
    assert open_backup(folder / "second.rapport", None).manifest["rows"] == written["rows"]
