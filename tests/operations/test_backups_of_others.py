"""A backup that somebody else made or changed: nothing that it says is carried out but to fill our own tables."""

import base64
import os
import pickle
import subprocess
import tarfile
import tracemalloc
from importlib.metadata import version
from pathlib import Path
from typing import Any

import backup_file
import numpy as np
import pytest
from rapport_command import run
from sqlalchemy import make_url, text

from rapport.access.scope import Scope
from rapport.errors import Invalid
from rapport.insight.estimation import trees
from rapport.stores import Stores
from rapport.stores.backups.archive import open_backup
from rapport.stores.backups.restore import verify
from rapport.stores.local.postgres import wheel_binaries
from rapport.stores.warehouse.table_statements import require_table

OTHER_STATEMENTS = [
    "CREATE TABLE t (`a` String) ENGINE = File(CSV, '/etc/passwd')",
    "CREATE TABLE t (`a` String) ENGINE = URL('http://example.com/', CSV)",
    "CREATE TABLE t (`a` String) ENGINE = Executable('x.sh', TabSeparated)",
    "CREATE TABLE t (`a` String) ENGINE = MergeTree ORDER BY a AS SELECT * FROM url('http://example.com/')",
    "CREATE TABLE t (`a` String) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = 'local', path = '/x/')",
    "CREATE TABLE t (`a` String) ENGINE = MergeTree ORDER BY a SETTINGS storage_policy = 'other'",
    "CREATE TABLE t (`a` String DEFAULT file('secrets')) ENGINE = MergeTree ORDER BY a",
    "CREATE TABLE t (`a` String DEFAULT (SELECT 1)) ENGINE = MergeTree ORDER BY a",
    "CREATE TABLE t (`a` String MATERIALIZED currentUser()) ENGINE = MergeTree ORDER BY a",
    "CREATE TABLE t (`a` AggregateFunction(sum, UInt8)) ENGINE = MergeTree ORDER BY a",
    "CREATE TABLE t (`a` String) ENGINE = ReplicatedMergeTree('/tables/of/others', '{replica}') ORDER BY a",
    "CREATE TABLE t (`a` Date) ENGINE = MergeTree ORDER BY a TTL a TO DISK 'other'",
    "CREATE TABLE t (`a` String) ENGINE = Memory; DROP TABLE t",
    "CREATE TABLE t (`a` String) ENGINE = Memory -- more",
    "CREATE TABLE t AS system.users",
    "CREATE TABLE other (`a` String) ENGINE = Memory",
    "CREATE TABLE system.t (`a` String) ENGINE = Memory",
    "CREATE MATERIALIZED VIEW t (`a` String) ENGINE = Memory AS SELECT 1",
    "CREATE OR REPLACE TABLE t (`a` String) ENGINE = Memory",
    "CREATE USER t",
    "DROP DATABASE rapport_3001",
    f"CREATE TABLE t (`a` String DEFAULT {'(' * 100_000}",
    "",
]
OWN_STATEMENTS = [
    "CREATE TABLE t (`a` String, `b` Nullable(DateTime64(3, 'UTC')) DEFAULT now()) ENGINE = Memory",
    "CREATE TABLE t (`a` Array(Tuple(`n` String, Float64)), `e` Enum8('x' = -1)) ENGINE = Join(ANY, LEFT, a)",
    "CREATE TABLE t (`a` Map(String, String) COMMENT 'it\\'s') ENGINE = MergeTree PARTITION BY toYear(a) "
    "PRIMARY KEY a ORDER BY (a, tuple()) SETTINGS index_granularity = 8192 COMMENT 'why'",
    "CREATE TABLE t (`a` String) ENGINE = ReplicatedMergeTree('/tables/{uuid}/{shard}', '{replica}') ORDER BY a",
]
CREATED = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"


@pytest.mark.parametrize("statement", OTHER_STATEMENTS, ids=range(len(OTHER_STATEMENTS)))
def test_a_statement_that_does_more_than_to_make_its_table_is_refused(statement: str) -> None:
    with pytest.raises(Invalid, match="statement of its table t does more"):
        require_table("t", statement)


def test_every_statement_of_our_own_is_known(scope: Scope) -> None:
    for statement in OWN_STATEMENTS:
        require_table("t", statement)
    for name, statement in scope.warehouse.rows(CREATED):
        require_table(name, statement.replace(f"{scope.warehouse.name}.", "", 1))


@pytest.fixture(scope="module")
def written(stores: Stores, scope: Scope, tmp_path_factory: pytest.TempPathFactory) -> Path:
    scope.warehouse.execute("INSERT INTO products (product_id) SELECT toString(number) FROM numbers(100)")
    file = tmp_path_factory.mktemp("written") / "good.rapport"
    stores.backup(file)
    return file


def _text(stores: Stores) -> bytes:
    """The records as earlier releases wrote them."""
    url = make_url(stores.records.url)
    command = [str(wheel_binaries() / "pg_dump"), "--no-owner", "--no-privileges", "--clean", "--if-exists"]
    command += ["--schema=public", "--schema=dbos", f"--host={url.query['host']}", f"--username={url.username}"]
    return subprocess.run([*command, str(url.database)], check=True, capture_output=True).stdout


def test_commands_and_statements_among_the_records_of_an_earlier_release_are_not_carried_out(
    stores: Stores, scope: Scope, written: Path, folder: Path, tmp_path: Path
) -> None:
    parts, manifest = backup_file.parts_of(written)
    pwned = folder / "pwned"
    text = f"\\! touch {pwned}\nCREATE TABLE public.pwned (a int);\n".encode() + _text(stores)
    rest = {name: part for name, part in parts.items() if not name.startswith("records/")}
    half = len(text) // 2
    records = backup_file.packed("records/00000", text[:half]) | backup_file.packed("records/00001", text[half:])
    told: dict[str, Any] = {name: value for name, value in manifest.items() if name != "records"}
    # Durable work may have gone on since the backup.
    rows = {**manifest["rows"], "records": manifest["rows"]["records"] | _counts(text, manifest["rows"]["records"])}
    told = {**told, "format": 1, "rows": rows}
    file = backup_file.put_together(tmp_path / "old.rapport", records | rest, told)
    assert verify(file).tenants == len(manifest["warehouse_versions"])
    ended = run("restore", file, "--data-dir", folder / "restored")
    assert ended.code == 0, ended.err
    assert not pwned.exists()
    tenants = run("tenant", "list", "--json", "--data-dir", folder / "restored").json
    assert scope.tenant_id in [tenant["id"] for tenant in tenants]


def _counts(text: bytes, tables: dict[str, int]) -> dict[str, int]:
    counts = {}
    for table in tables:
        _, found, behind = text.partition(f"\nCOPY {table} (".encode())
        if found:
            counts[table] = behind.partition(b"\n\\.\n")[0].count(b"\n")
    return counts


def test_statements_of_the_warehouse_other_than_of_tables_are_not_carried_out(
    scope: Scope, written: Path, folder: Path, tmp_path: Path
) -> None:
    parts, manifest = backup_file.parts_of(written)
    pwned = folder / "pwned.csv"
    name = f"warehouse/{scope.warehouse.name}/products.sql"
    parts[name] = f"INSERT INTO FUNCTION file('{pwned}', 'CSV', 'a String') SELECT 'x'".encode()
    file = backup_file.put_together(tmp_path / "changed.rapport", parts, manifest)
    sentence = "The backup was changed: the statement of its table products does more than create one."
    assert run("restore", file, "--data-dir", folder / "refused").line == sentence
    assert not pwned.exists()
    with pytest.raises(Invalid, match=sentence):
        verify(file)


@pytest.mark.parametrize("changed", ["table", "column", "sequence", "row", "version"])
def test_records_that_do_not_fit_our_tables_are_refused(
    written: Path, folder: Path, tmp_path: Path, changed: str
) -> None:
    parts, manifest = backup_file.parts_of(written)
    records = manifest["records"]
    if changed == "table":
        records["tables"]["pg_catalog.pg_authid"] = ["rolname"]
    elif changed == "column":
        records["tables"]["public.tenants"].append("more")
    elif changed == "sequence":
        records["sequences"]["pg_catalog.other"] = 1
    elif changed == "row":
        parts |= backup_file.packed("records/public.tenants/00009", b"no row\n")
    else:
        records["tables"]["public.alembic_version"] = ["version_num"]
        parts |= backup_file.packed("records/public.alembic_version/00000", b"9999\n")
    file = backup_file.put_together(tmp_path / "changed.rapport", parts, manifest)
    line = run("restore", file, "--data-dir", folder / changed).line
    assert line.startswith("The backup is damaged: its records ")


class Command:
    """What a pickle can do when it is read."""

    def __init__(self, pwned: Path) -> None:
        self.pwned = pwned

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.pwned,)


ENDED = """
    INSERT INTO dbos.workflow_status (workflow_uuid, status, name, {column}, serialization, executor_id)
    VALUES ('of-others', 'SUCCESS', 'x', :value, 'py_pickle', 'nobody')
"""
NO_MORE = text("DELETE FROM dbos.workflow_status WHERE workflow_uuid = 'of-others'")


@pytest.mark.parametrize(
    ("column", "line"),
    [("inputs", "The backup was changed: its durable work contains more than names and numbers."), ("error", None)],
)
def test_durable_work_that_would_call_something_is_not_restored(
    stores: Stores, scope: Scope, folder: Path, tmp_path: Path, column: str, line: str | None
) -> None:
    pwned = folder / f"pwned-{column}"
    value = base64.b64encode(pickle.dumps(Command(pwned))).decode()
    with stores.records.session() as session:
        session.execute(text(ENDED.format(column=column)), {"value": value})
    try:
        stores.backup(tmp_path / "a.rapport")
    finally:
        with stores.records.session() as session:
            session.execute(NO_MORE)
    ended = run("restore", tmp_path / "a.rapport", "--data-dir", folder / column)
    if line is None:
        assert ended.code == 0, ended.err
    else:
        assert ended.line == line
    assert not pwned.exists()
    pickle.loads(base64.b64decode(value))
    assert pwned.exists(), "as anybody else would read it"


def test_stored_trees_are_read_as_trees_only(tmp_path: Path) -> None:
    command = pickle.dumps((version("scikit-learn"), trees.COLUMNS, {1: Command(tmp_path / "pwned")}))
    assert trees.unpacked(command) == {}
    assert not (tmp_path / "pwned").exists()
    grid = np.random.default_rng(3).normal(size=(200, len(trees.COLUMNS)))
    grown = trees.fitted(grid, np.abs(grid[:, 0]))
    packed = trees.packed({7: grown})
    assert np.array_equal(trees.predict(trees.unpacked(packed)[7], grid), trees.predict(grown, grid))


LINK, HARD, FILE = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.REGTYPE


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../../etc/cron.d/x", FILE),
        ("/etc/cron.d/x", FILE),
        ("warehouse/../x.sql", FILE),
        ("warehouse/rapport_1/x.sql\n", FILE),
        ("warehouse/default/x.sql", FILE),
        ("records/public.tenants/00099.1.zst", LINK),
        ("records/public.tenants/00099.1.zst", HARD),
        ("notes.txt", FILE),
        ("manifest.json", FILE),
    ],
)
def test_a_part_that_no_backup_has_is_refused(written: Path, tmp_path: Path, name: str, kind: bytes) -> None:
    parts, manifest = backup_file.parts_of(written)
    file = backup_file.put_together(
        tmp_path / "more.rapport", parts, manifest, lambda tar: backup_file.add(tar, name, b"", kind, "/etc/passwd")
    )
    with pytest.raises(Invalid, match="it has a part that no backup has"):
        open_backup(file, None)


def test_a_second_part_of_a_name_is_refused(scope: Scope, written: Path, tmp_path: Path) -> None:
    parts, manifest = backup_file.parts_of(written)
    name = f"warehouse/{scope.warehouse.name}/products.sql"
    file = tmp_path / "twice.rapport"
    first = tarfile.open(file, "w")  # noqa: SIM115 - closed below
    backup_file.add(first, name, b"DROP TABLE products")
    first.close()
    rest = backup_file.put_together(tmp_path / "rest.rapport", parts, manifest)
    file.write_bytes(file.read_bytes()[: 2 * tarfile.BLOCKSIZE] + rest.read_bytes())
    with pytest.raises(Invalid, match="it has a part that no backup has"):
        open_backup(file, None)


def test_what_a_part_unpacks_to_is_bounded_by_what_its_name_may_say(
    scope: Scope, written: Path, tmp_path: Path
) -> None:
    parts, manifest = backup_file.parts_of(written)
    name = next(name for name in parts if name.startswith(f"warehouse/{scope.warehouse.name}/products/"))
    stem = name.split(".")[0]
    for size, sentence in ((10**15, "larger than a backup makes them"), (5, "cannot be unpacked")):
        other = {key: part for key, part in parts.items() if key != name} | {f"{stem}.{size}.zst": parts[name]}
        file = backup_file.put_together(tmp_path / f"{size}.rapport", other, manifest)
        with pytest.raises(Invalid, match=sentence):
            verify(file)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("records", {"tables": {}, "sequences": {}}),
        ("records", {"tables": {"public.tenants": []}, "sequences": {}}),
        ("records", {"tables": {"public.tenants": ["\ud83d"]}, "sequences": {}}),
        ("records", {"tables": {"public.tenants": ["id"]}, "sequences": {"public.api_keys_id_seq": 0}}),
        ("records", {"tables": {"public.tenants": ["id"]}, "sequences": {"public.api_keys_id_seq": 10**30}}),
        ("rows", {"records": {}, "rapport_\u0663": {}}),
        ("rows", {"records": {}, f"rapport_{'9' * 5000}": {}}),
        ("rows", {"records": {"a b": 1}}),
        ("sealed_with", ["\x1b[2J"]),
        ("rapport", "1.0\x1b[2J"),
        ("taken_at", "2026-03-01"),
        ("taken_at", "0001-01-01T00:00:00+00:00"),
        ("kept", "/" + "x" * 5000),
    ],
    ids=range(13),
)
def test_what_a_manifest_says_has_the_form_that_a_backup_gives_it(
    written: Path, tmp_path: Path, member: str, value: Any
) -> None:
    parts, manifest = backup_file.parts_of(written)
    file = backup_file.put_together(tmp_path / "other.rapport", parts, manifest | {member: value})
    with pytest.raises(Invalid, match="not a Rapport backup, or is damaged"):
        open_backup(file, None)


@pytest.mark.parametrize("content", [b"[" * 200_000, b"[" + b"[]," * 1_100_000 + b"[]]"], ids=["deep", "wide"])
def test_a_manifest_is_read_with_little_memory_however_it_is_nested(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "nested.rapport"
    with tarfile.open(file, "w") as tar:
        backup_file.add(tar, "manifest.json", content)
    tracemalloc.start()
    try:
        with pytest.raises(Invalid, match="not a Rapport backup, or is damaged"):
            open_backup(file, None)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(content) + 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE])
def test_what_the_head_of_a_part_announces_is_not_read(written: Path, tmp_path: Path, kind: bytes) -> None:
    size, file = 64 * 1024 * 1024, tmp_path / "announced.rapport"
    head = tarfile.TarInfo("x")
    head.type, head.size = kind, size
    with file.open("wb") as whole:
        whole.write(head.tobuf(tarfile.USTAR_FORMAT))
        whole.seek(size, os.SEEK_CUR)
        whole.write(written.read_bytes())
    tracemalloc.start()
    try:
        with pytest.raises(Invalid, match="it has a part that no backup has"):
            open_backup(file, None)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_file_that_is_changed_after_it_was_checked_is_not_loaded(written: Path, tmp_path: Path) -> None:
    file = tmp_path / "changing.rapport"
    file.write_bytes(written.read_bytes())
    backup = open_backup(file, None)
    parts, manifest = backup_file.parts_of(written)
    name = next(name for name in parts if name.endswith("products.sql"))
    backup_file.put_together(file, parts | {name: parts[name].replace(b"String", b"Uint64", 1)}, manifest)
    with pytest.raises(Invalid, match="does not have its checksum"):
        list(backup.members())
