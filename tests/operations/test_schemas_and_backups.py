"""Newer and older schemas, and backups that are not what they were."""

import io
import json
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from rapport_command import run
from sqlalchemy import make_url, text

from loaded_program import said_by_script
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.errors import Invalid, RapportError
from rapport.settings import Settings
from rapport.stores import Stores, migrations
from rapport.stores.backups.archive import open_backup
from rapport.stores.backups.backup import _copies
from rapport.stores.backups.restore import verify
from rapport.stores.local.postgres import start_postgres
from rapport.stores.records import Records

OLDER = """
from pathlib import Path
from rapport.stores.warehouse import Warehouse
warehouse = Warehouse("chdb://{}")
warehouse.database("rapport_3001").execute("TRUNCATE TABLE schema_history")
warehouse.close()
"""


def test_an_older_folder_is_backed_up_before_it_is_migrated_and_a_newer_one_refused(folder: Path) -> None:
    data_dir = folder / "aged"
    assert run("tenant", "create", "A", "--data-dir", data_dir).code == 0
    said_by_script(OLDER.format(data_dir / "warehouse"))
    assert Settings(data_dir=data_dir).upgrade_backups == data_dir / "backups"
    elsewhere = folder / "disk" / "of" / "backups"
    assert run("migrate", "--data-dir", data_dir, RAPPORT_BACKUP_DIR=str(elsewhere)).code == 0
    assert not (data_dir / "backups").exists()
    (file,) = elsewhere.iterdir()
    assert open_backup(file, None).manifest["warehouse_versions"] == {"rapport_3001": 0}
    postgres = start_postgres(data_dir)
    try:
        with psycopg.connect(postgres.address.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
    finally:
        postgres.stop()
    line = run("tenant", "list", "--data-dir", data_dir).line
    assert line == "The records were written by a newer Rapport: upgrade this one."
    assert list(elsewhere.iterdir()) == [file]


def test_ids_that_differed_only_in_case_become_one(stores: Stores) -> None:
    with stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE of_before"))
    older = Records(make_url(stores.records.url).set(database="of_before").render_as_string(hide_password=False))
    command.upgrade(migrations._alembic(older), "0002")
    with older.session() as session:
        for code, name, day in (("FREE5", "first", 1), ("free5", "newest", 3), ("Free5", "second", 2), ("X", "x", 1)):
            bound = {"code": code, "name": name, "at": f"2026-03-0{day}"}
            session.execute(text("INSERT INTO promotions VALUES (1, :code, :name, CAST(:at AS timestamptz))"), bound)
        for app, mode, day in (("iOS", 1, 1), ("ios", 2, 2), ("", 1, 1)):
            bound = {"app": app, "mode": mode, "at": f"2026-03-0{day}"}
            sql = "INSERT INTO channel_preferences VALUES (1, 5, :app, 'c', 'C', :mode, CAST(:at AS timestamptz))"
            session.execute(text(sql), bound)
    migrations.migrate_records(older)
    with older.reading() as connection:
        sql = "SELECT promo_key, promo_code, name FROM registered_promotions ORDER BY 1"
        assert connection.execute(text(sql)).all() == [("free5", "free5", "newest"), ("x", "X", "x")]
        sql = "SELECT app_key, app_id, mode FROM channel_preferences ORDER BY 1"
        assert connection.execute(text(sql)).all() == [("", "", 1), ("ios", "ios", 2)]
    older.close()


def test_hosts_of_callbacks_lose_their_logins_and_the_audit_log_its_secrets(stores: Stores) -> None:
    with stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE of_addresses"))
    older = Records(make_url(stores.records.url).set(database="of_addresses").render_as_string(hide_password=False))
    migrations.migrate_records(older, "0036")
    urls = ["http://a:b@h.example:1", "http://h.example:1", "https://h.example"]
    listener = "INSERT INTO listeners VALUES (1, :id, 0, :id, :url, '', NULL, NULL, 'active', 0, NULL, now(), now())"
    with older.session() as session:
        for number, url in enumerate(urls):
            session.execute(text(listener), {"id": number, "url": url})
        for url in ("https://a:b@h.example/p?key=k", "https://h.example/p"):
            told = {"details": json.dumps({"url": url, "fallback": "deny"})}
            sql = """INSERT INTO audit_log (tenant_id, at, actor, action, object, details)
                     VALUES (1, now(), 'a', 'set', 'gateway', CAST(:details AS jsonb))"""
            session.execute(text(sql), told)
    migrations.migrate_records(older)
    with older.reading() as connection:
        found = connection.execute(text("SELECT url, callback_host FROM listeners ORDER BY id")).all()
        assert found == [(urls[1], urls[1]), (urls[1], None), (urls[2], urls[2])]
        told = connection.scalars(text("SELECT details ->> 'url' FROM audit_log ORDER BY id")).all()
        assert told == ["https://***@h.example/***?***", "https://h.example/***"]
    older.close()


CAMPAIGN_OF_BEFORE = """
    INSERT INTO campaigns (tenant_id, id, series_id, execution_date, run, state, error, target_group_id, campaign_type,
        duration, lead_time, notes, tags, is_multi_channel, is_recurrence, is_one_time, is_triggered, conditional, plan,
        targeted, test_size, control_size, counts, processed_at)
    VALUES (1, :id, :id, '2026-02-26', 0, :state, '', 1, 'A/B', 3, 5, '', '[]', false, false, false, :triggered, false,
        '{}', 1, 1, 0, '{}', '2026-02-26T05:00:00Z')
"""
CHANNEL_OF_BEFORE = """
    INSERT INTO campaign_channels (tenant_id, campaign_id, recipient_group_id, channel_id, template_id, action_id,
        promo_code, scheduled_time, send_id, recipients, state, error)
    VALUES (1, :id, 1, 505, 1, 2, '', '2026-03-03 10:00', '', 1, :state, '')
"""


def test_campaigns_of_before_get_their_days_and_those_that_wait_are_told_later(stores: Stores) -> None:
    with stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE campaigns_of_before"))
    url = make_url(stores.records.url).set(database="campaigns_of_before")
    older = Records(url.render_as_string(hide_password=False))
    command.upgrade(migrations._alembic(older), "0005")
    # State of the campaign and of its channel, triggered; was event 1 told, is nothing left to be handed over?
    before = [
        ("successful", "successful", False, True, True),
        ("failed", "failed", False, False, True),
        ("not run", "not run", False, False, True),
        ("canceled", "canceled", False, False, True),
        ("scheduled", "scheduled", False, False, False),
        ("awaiting clearance", "scheduled", False, False, False),
        ("awaiting confirmation", "scheduled", False, False, False),
        ("executing", "successful", False, True, False),
        ("executing", "executing", True, True, False),
    ]
    with older.session() as session:
        for number, (state, channel, triggered, *_) in enumerate(before):
            session.execute(text(CAMPAIGN_OF_BEFORE), {"id": number, "state": state, "triggered": triggered})
            session.execute(text(CHANNEL_OF_BEFORE), {"id": number, "state": channel})
    migrations.migrate_records(older)
    with older.reading() as connection:
        sql = """SELECT state, executed_at IS NOT NULL, handed_over_at IS NOT NULL, to_char(send_date, 'YYYY-MM-DD')
                 FROM campaigns ORDER BY id"""
        rows = [tuple(row) for row in connection.execute(text(sql))]
    assert rows == [(state, told, done, "2026-03-03") for state, _, _, told, done in before]
    older.close()


def test_an_older_warehouse_is_behind_and_a_newer_one_refused(stores: Stores, scope: Scope) -> None:
    assert not migrations.is_behind(stores.records, stores.warehouse)
    newest = migrations.warehouse_migrations()[-1][0]
    scope.warehouse.execute("INSERT INTO schema_history (version, name) VALUES (9999, 'later')")
    try:
        with pytest.raises(migrations.Unavailable, match="newer Rapport"):
            migrations.is_behind(stores.records, stores.warehouse)
        with pytest.raises(migrations.Unavailable, match="newer Rapport"):
            migrations.migrate_warehouse(scope.warehouse)
        scope.warehouse.execute("ALTER TABLE schema_history DELETE WHERE 1")
        assert migrations.is_behind(stores.records, stores.warehouse)
    finally:
        scope.warehouse.execute("TRUNCATE TABLE schema_history")
        migrations.migrate(stores.records, stores.warehouse)
    assert migrations.warehouse_version(scope.warehouse) == newest
    assert not migrations.is_behind(stores.records, stores.warehouse)


def test_later_databases_are_made_as_the_first_was_by_migrations(stores: Stores) -> None:
    warehouse = stores.warehouse
    names = [f"rapport_{time.time_ns() + number}" for number in range(4)]
    described = "SELECT replace(create_table_query, database, '') FROM system.tables WHERE database = {name:String}"
    try:
        by_migrations = warehouse.create_database(names[0])
        migrations.migrate_warehouse(by_migrations)
        broken_off = warehouse.create_database(names[1])
        broken_off.execute(f"CREATE TABLE transactions AS {names[0]}.transactions")
        broken_off.execute("ALTER TABLE transactions DROP COLUMN refund_of")
        for name in names[1:]:
            migrations.make_warehouse(warehouse, name)
        wanted, *others = (sorted(warehouse.database(name).rows(described, name=name)) for name in names)
        assert wanted and others == [wanted] * 3
        history = [
            warehouse.database(name).rows("SELECT version, name FROM schema_history ORDER BY 1") for name in names
        ]
        assert history[1:] == [history[0]] * 3
    finally:
        for name in names:
            warehouse.drop_database(name)


def test_of_many_processes_one_takes_the_backup_and_the_others_wait(stores: Stores, scope: Scope) -> None:
    scope.warehouse.execute("TRUNCATE TABLE schema_history")
    said: list[str] = []

    def slow_backup() -> Callable[[], None]:
        said.append("begun")
        time.sleep(0.5)
        assert migrations.warehouse_version(scope.warehouse) == 0, "nothing is changed before it has ended"
        return lambda: said.append(f"entered at {migrations.warehouse_version(scope.warehouse)}")

    with ThreadPoolExecutor(3) as threads:
        starts = [threads.submit(migrations.migrate, stores.records, stores.warehouse, slow_backup) for _ in range(3)]
        for start in starts:
            start.result()
    assert said == ["begun", f"entered at {migrations.warehouse_migrations()[-1][0]}"]
    assert not migrations.is_behind(stores.records, stores.warehouse)


def test_every_change_of_a_backup_is_noticed(stores: Stores, scope: Scope, tmp_path: Path) -> None:
    scope.warehouse.execute("INSERT INTO customers (customer_id) SELECT toString(number) FROM numbers(1000)")
    file = tmp_path / "good.rapport"
    written = stores.backup(file)
    assert written.rows[scope.warehouse.name]["customers"] == 1000
    assert open_backup(file, None).manifest["rows"] == written.rows
    good = file.read_bytes()
    for name, content in {
        "cut": good[: len(good) // 2],
        "flipped": _flip(good),
        "reordered": _without_one(good),
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Invalid):
            open_backup(tmp_path / name, None)


def test_a_backup_is_verified_without_an_engine(stores: Stores, scope: Scope, tmp_path: Path) -> None:
    file = tmp_path / "good.rapport"
    written = stores.backup(file)
    found = verify(file)
    rows = sum(sum(tables.values()) for tables in written.rows.values())
    assert (found.rows, found.bytes) == (rows, file.stat().st_size)
    assert found.tenants == len(migrations.tenant_databases(stores.warehouse))
    assert found.rapport == version("rapport")
    damaged = "The file is not a Rapport backup, or is damaged."
    for changes, sentence in (
        (lambda manifest: [1], damaged),
        (lambda manifest: {"format": 1}, damaged),
        (lambda manifest: {**manifest, "format": "2"}, damaged),
        (lambda manifest: {**manifest, "records": [1]}, damaged),
        (lambda manifest: {**manifest, "members": {"a": 1}}, damaged),
        (lambda manifest: {}, "The file is not a Rapport backup, or is cut off."),
        (_one_tenant_more, "The backup is damaged: it does not hold the rows and tables that it says."),
        (_one_table_more, "The backup is damaged: it does not hold the rows and tables that it says."),
        (
            lambda manifest: {**manifest, "records_revision": "9999"},
            "The records were written by a newer Rapport: upgrade this one.",
        ),
        (lambda manifest: {**manifest, "format": 3}, "The backup was written by a newer Rapport: upgrade this one."),
    ):
        changed = tmp_path / "changed.rapport"
        changed.write_bytes(_with_manifest(file.read_bytes(), changes))
        with pytest.raises(RapportError) as raised:
            verify(changed)
        assert raised.value.message == sentence


def _one_tenant_more(manifest: dict[str, Any]) -> dict[str, Any]:
    records = manifest["rows"]["records"]
    more = {**records, "public.tenants": records["public.tenants"] + 1}
    return {**manifest, "rows": {**manifest["rows"], "records": more}}


def _one_table_more(manifest: dict[str, Any]) -> dict[str, Any]:
    name = next(name for name in manifest["rows"] if name != "records")
    return {**manifest, "rows": {**manifest["rows"], name: {**manifest["rows"][name], "shelves": 0}}}


def test_a_backup_is_a_snapshot_and_leaves_nothing_behind(stores: Stores, scope: Scope, tmp_path: Path) -> None:
    scope.warehouse.execute("INSERT INTO products (product_id) SELECT toString(number) FROM numbers(100)")
    scope.warehouse.execute("DELETE FROM products WHERE product_id < '5'")
    before = stores.warehouse.database("default").rows("SELECT name FROM system.databases ORDER BY name")
    seen: list[tuple[int, int]] = []
    written = stores.backup(tmp_path / "a.rapport", lambda done, total: seen.append((done, total)))
    assert written.rows[scope.warehouse.name]["products"] == sum(str(number) >= "5" for number in range(100))
    assert seen and seen[-1][0] == seen[-1][1]
    assert stores.warehouse.database("default").rows("SELECT name FROM system.databases ORDER BY name") == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.rapport"]


def test_an_update_that_is_not_merged_yet_is_backed_up(stores: Stores) -> None:
    own = create_tenant(stores, "patches of their own").warehouse
    own.execute("INSERT INTO customers (customer_id, CITY) VALUES ('K1', 'Oslo'), ('K2', 'Oslo')")
    own.execute("UPDATE customers SET CITY = 'Wien' WHERE customer_id = 'K1'")
    parts = "SELECT count() FROM system.parts WHERE active AND database = {d:String} AND partition_id LIKE 'patch-%'"
    assert own.value(parts, d=own.name) == 1
    with _copies(stores.warehouse) as copies:
        copy = next(copy for name, copy in copies if name == own.name)
        assert copy.rows("SELECT customer_id, CITY FROM customers ORDER BY 1") == [("K1", "Wien"), ("K2", "Oslo")]


def test_working_tables_of_a_day_under_way_are_backed_up_and_restored(stores: Stores, tmp_path: Path) -> None:
    own = create_tenant(stores, "a day under way").warehouse
    own.execute("CREATE TABLE work_names (id UInt32, name String) ENGINE = Join(ANY, LEFT, id)")
    own.insert("work_names", ["id", "name"], [(1, "Tea"), (2, "Pets")])
    own.execute("CREATE TABLE work_none (id UInt32) ENGINE = Memory")
    rows = stores.backup(tmp_path / "a.rapport", None).rows[own.name]
    assert (rows["work_names"], rows["work_none"]) == (2, 0)
    folder = Path(tempfile.mkdtemp(prefix="rapport-restored-"))
    folder.chmod(0o755)
    look = (
        "import sys; from pathlib import Path; from rapport.settings import Settings; from rapport.stores import *; "
        "s = open_stores(Settings(data_dir=Path(sys.argv[1]))); d = s.warehouse.database(sys.argv[2]); "
        "print(d.rows(\"SELECT joinGet('work_names', 'name', toUInt32(arrayJoin([1, 2])))\")); s.close()"
    )
    try:
        assert run("restore", tmp_path / "a.rapport", "--data-dir", folder / "data").code == 0
        told = said_by_script(look, folder / "data", own.name)
    finally:
        own.execute("DROP TABLE work_names SYNC")
        own.execute("DROP TABLE work_none SYNC")
        shutil.rmtree(folder, ignore_errors=True)
    assert told.strip() == "[('Tea',), ('Pets',)]"


def test_settings_tell_whether_a_folder_is_used() -> None:
    assert not Settings(records_url="postgresql://x/y").by_url
    assert Settings(records_url="postgresql://x/y", warehouse_url="http://x").by_url


def _flip(content: bytes) -> bytes:
    """A bit of some member's content turned over."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        member = max(tar.getmembers()[:-1], key=lambda info: info.size)
    place = member.offset_data + member.size // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def _with_manifest(content: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The same backup with another manifest."""
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar, tarfile.open(fileobj=made, mode="w") as other:
        for info in tar.getmembers():
            member = tar.extractfile(info)
            assert member is not None
            body = member.read()
            if info.name == "manifest.json":
                body = json.dumps(change(json.loads(body))).encode()
            info.size = len(body)
            other.addfile(info, io.BytesIO(body))
    return made.getvalue()


def _without_one(content: bytes) -> bytes:
    """The same backup without one of its members."""
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar, tarfile.open(fileobj=made, mode="w") as fewer:
        for info in tar.getmembers()[1:]:
            fewer.addfile(info, tar.extractfile(info))
    return made.getvalue()
