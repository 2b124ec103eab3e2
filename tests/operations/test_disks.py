"""Disks without room, file systems that take no writes, and folders that are named by a relative path."""

import asyncio
import errno
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rapport_command import Server, run

from rapport.api.http.watching import Watch
from rapport.stores import Stores
from rapport.stores.checks import folder_checks
from rapport.stores.faults import DISK_FULL, READ_ONLY, explained
from rapport.stores.local import disk
from rapport.stores.local.postgres import postmaster

MEGABYTE = 1024**2


@pytest.fixture
def mounted() -> Iterator[Callable[[str], Path]]:
    """Mounts a small file system of its own with options; skips where that may not be done."""
    made: list[Path] = []

    def mount(options: str) -> Path:
        place = Path(tempfile.mkdtemp(prefix="rapport-disk-"))
        place.chmod(0o755)
        command = ["mount", "-t", "tmpfs", "-o", f"mode=0755,{options}", "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode != 0:
            place.rmdir()
            pytest.skip("a file system cannot be mounted here")
        made.append(place)
        return place

    yield mount
    for place in made:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def outcome(data_dir: Path, name: str) -> tuple[str, str]:
    found = next(check for check in folder_checks(data_dir, data_dir / "kept", None) if check.name == name)
    return found.outcome, found.detail


def test_a_disk_with_little_or_no_room(mounted: Callable[[str], Path], stores: Stores) -> None:
    place = mounted("size=40m")
    assert disk.free_bytes(place / "not" / "there" / "yet") == 40 * MEGABYTE
    assert outcome(place, "disk") == ("warning", "0.0 of 0.0 GB free")
    settings = stores.settings.model_copy(update={"data_dir": place})
    watch = Watch(replace(stores, settings=settings))
    assert asyncio.run(watch.faults()) == []
    (place / "filling").write_bytes(bytes(30 * MEGABYTE))
    assert outcome(place, "disk")[0] == "failed"
    assert asyncio.run(watch.faults()) == [DISK_FULL]
    (place / "filling").unlink()
    assert asyncio.run(watch.faults()) == []


def test_a_read_only_file_system_is_told_as_such(mounted: Callable[[str], Path]) -> None:
    place = mounted("size=1m")
    (place / "data").mkdir()
    assert outcome(place / "data", "folder") == ("ok", str(place / "data"))
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    assert outcome(place / "data", "folder")[1] == f"the file system of {place / 'data'} is read-only"
    assert run("tenant", "list", "--data-dir", place / "data").line == READ_ONLY
    assert run("tenant", "list", "--data-dir", place / "other").line == READ_ONLY
    told = explained(OSError(errno.EROFS, "read-only"))
    assert told is not None and told.message == READ_ONLY


def test_a_closed_terminal_ends_no_server_and_what_a_kill_left_is_found_by_a_relative_path(
    folder: Path, start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_ROLES", "api")  # which embedded engines take, too: an upgrade is rehearsed so
    server = start(folder / "left")
    process = server.process
    assert server.told["roles"] == ["api"]
    process.send_signal(signal.SIGHUP)  # a terminal that was closed: it goes on
    assert run("tenant", "list", "--data-dir", folder / "left", "--json").json == []
    assert process.poll() is None
    server.end(signal.SIGKILL)
    monkeypatch.chdir(folder)
    found = postmaster(Path("left/records"))
    assert found is not None and found == postmaster(folder / "left" / "records")
    assert outcome(Path("left"), "leftovers")[0] == "warning"
