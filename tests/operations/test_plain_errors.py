"""What a user can mend is one line on standard error, exit code 1, and no traceback."""

import errno
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError
from rapport_command import run
from sqlalchemy import text

from rapport.errors import Unavailable
from rapport.stores import Stores
from rapport.stores.faults import DISK_FULL, explained
from rapport.stores.records import Records

NO_CAPABILITIES = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner", "--")


@pytest.mark.parametrize(
    ("url", "beginning"),
    [
        ("postgresql://u:secret@127.0.0.1:1/x", "The records database does not answer"),
        ("mysql://127.0.0.1/x", "RAPPORT_RECORDS_URL must name a PostgreSQL database"),
        ("nonsense", "RAPPORT_RECORDS_URL is not an address"),
        ("postgresql://127.0.0.1:1/x?nonsense=1", "RAPPORT_RECORDS_URL has an option that PostgreSQL does not know."),
    ],
)
def test_wrong_addresses_of_records(url: str, beginning: str) -> None:
    with pytest.raises(Unavailable) as raised:
        Records(url).check()
    assert raised.value.message.startswith(beginning)
    assert "secret" not in raised.value.message


def test_wrong_settings(folder: Path) -> None:
    assert run("doctor", RAPPORT_PORT="many").line.startswith("RAPPORT_PORT cannot be used")
    environment = {"RAPPORT_WAREHOUSE_URL": "http://u:secret@127.0.0.1:1/x"}
    line = run("tenant", "list", "--data-dir", folder / "settings", **environment).line
    assert line == "The warehouse does not answer: check RAPPORT_WAREHOUSE_URL and that the server runs."


def test_a_folder_without_permission(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write everywhere, and setpriv is not here to stop it")
        os.chown(closed, 65534, 65534)
        prefix = NO_CAPABILITIES
    else:
        closed.chmod(0o500)
    line = run("tenant", "list", "--data-dir", closed, prefix=prefix).line
    assert line == "The data folder may not be written by this user: give --data-dir a folder of its own."


def test_a_port_that_is_taken(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = run("serve", "--data-dir", folder / "port", "--port", port).line
    assert line == f"Cannot listen on 127.0.0.1:{port}: Address already in use."
    assert not (folder / "port").exists(), "the port is tried before an engine is opened"


def test_roles_that_there_are_not(folder: Path) -> None:
    assert run("serve", "--roles", "cook", "--data-dir", folder / "roles").line.startswith("roles must be some of api")


def test_files_that_are_no_backup(folder: Path) -> None:
    bad = folder / "bad.rapport"
    bad.write_bytes(b"not a tar" * 1000)
    target = folder / "from-bad"
    assert run("restore", bad, "--data-dir", target).line == "The file is not a Rapport backup, or is damaged."
    assert not target.exists()
    missing = folder / "none.rapport"
    assert run("restore", missing, "--data-dir", target).line == f"There is no file {missing}."


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives the database a user of its own")
def test_root_changes_no_mode_outside_its_folder(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    line = run("tenant", "list", "--data-dir", home / "data").line
    assert f"{home} is closed" in line
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_full_disk_is_told_by_every_layer(stores: Stores) -> None:
    with pytest.raises(Unavailable, match="disk is full"), stores.records.session() as session:
        session.execute(text("DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$"))
    full = "SELECT throwIf(1, 'no space', 243::Int16) SETTINGS allow_custom_error_code_in_throwif = 1"
    with pytest.raises(Unavailable, match="disk is full"):
        stores.warehouse.database("default").rows(full)
    for number in (errno.ENOSPC, errno.EDQUOT):
        told = explained(OSError(number, "no space"))
        assert told is not None and told.message == DISK_FULL
    assert explained(OSError(errno.ENOENT, "none")) is None
    assert explained(ClickHouseError("Code: 60. DB::Exception: no such table")) is None


def test_a_really_full_disk(folder: Path) -> None:
    place = folder / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=0755", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    try:
        assert run("tenant", "list", "--data-dir", place / "data").line == DISK_FULL
    finally:
        subprocess.run(["umount", str(place)], check=True)
