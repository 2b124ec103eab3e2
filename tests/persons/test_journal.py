"""What is kept beside the data folder: on the disk, private, and not for ever."""

import os
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rapport.persons import restored
from rapport.stores.backups import journal
from rapport.stores.backups.journal import Journal


def test_entries_are_on_the_disk_private_and_survive_a_line_that_was_cut_off(tmp_path: Path) -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    kept = Journal(tmp_path / "data.kept", "host-1", 400)
    kept.add(at, [{"what": "erase", "of": ["a"]}])
    (file,) = kept.folder.iterdir()
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700 and stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(file.read_bytes() + b'{"what": "era')
    kept.add(at, [{"what": "erase", "of": ["b"]}])
    assert [one["of"] for one in journal.read(kept.folder)] == [["a"], ["b"]]
    kept.take_over(at, [*journal.read(kept.folder), {"at": at.isoformat(), "of": ["c"]}])
    assert [one["of"] for one in journal.read(kept.folder)] == [["a"], ["b"], ["c"]]


def test_months_that_are_too_old_are_dropped(tmp_path: Path) -> None:
    kept = Journal(tmp_path, "p", 60)
    for month in (1, 2, 3, 6):
        kept.add(datetime(2026, month, 15, tzinfo=UTC), [{"month": month}])
    assert [one["month"] for one in journal.read(tmp_path)] == [6]


def test_a_place_that_a_backup_names_may_be_anything(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "2026-11-p.jsonl")
    assert list(journal.read(tmp_path)) == list(journal.read(Path("/" + "x" * 5000))) == []


def test_a_backup_from_a_time_to_come_gets_all_that_was_kept() -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    assert restored._taken({"taken_at": "2026-11-02T00:00:00+00:00"}, now) is None
    assert restored._taken({"taken_at": "2026-11-01T00:00:00+00:00"}, now) == now
    assert restored._is_since({"at": "2026-01-01T00:00:00+00:00"}, None), "all of it"


def test_what_was_noted_a_moment_before_a_backup_is_applied_but_not_counted() -> None:
    taken, just_before = datetime(2026, 11, 1, tzinfo=UTC), {"at": "2026-10-31T23:55:00+00:00"}
    assert restored._is_since(just_before, taken, restored.MARGIN) and not restored._is_since(just_before, taken)
    assert not restored._is_since({"at": "2026-10-31T23:49:00+00:00"}, taken, restored.MARGIN)
    assert restored._is_since({"at": "2026-11-01T00:00:00+00:00"}, taken)


@pytest.mark.parametrize("change", [{"at": "2026-11-01"}, {"at": 1}, {"of": "a"}, {"tenant": "1"}, {"what": None}])
def test_what_is_no_entry_is_passed_over(change: dict[str, object]) -> None:
    entry = {"at": "2026-11-01T00:00:00+00:00", "tenant": 1, "key": "k", "what": "erase", "of": []}
    assert restored._is_whole(entry) and not restored._is_whole(entry | change)


ADD_FOR_EVER = """
import itertools, sys
from datetime import UTC, datetime
from pathlib import Path
from rapport.stores.backups.journal import Journal

kept = Journal(Path(sys.argv[1]), sys.argv[2], 400)
for number in itertools.count():
    kept.add(datetime(2026, 11, 1, tzinfo=UTC), [{"number": number, "of": ["x" * 5000]}])
    print(number, flush=True)
"""


def test_what_was_noted_before_a_kill_is_there(tmp_path: Path) -> None:
    """Two processes add to the folder, are killed, and begin again: each entry that was told as kept is kept whole."""
    told = dict[str, list[int]]()
    for round_ in range(2):
        command = [sys.executable, "-c", ADD_FOR_EVER, str(tmp_path)]
        running = {name: subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in ("a", "b")}
        for name, process in running.items():
            assert process.stdout is not None
            told[f"{name}{round_}"] = [int(process.stdout.readline()) for _ in range(30)]
            process.send_signal(signal.SIGKILL)
            told[f"{name}{round_}"] += [int(line) for line in process.stdout.read().splitlines()]
            process.wait()
            process.stdout.close()
    entries = list(journal.read(tmp_path))
    assert all(one["of"] == ["x" * 5000] for one in entries)
    for number in {number for numbers in told.values() for number in numbers}:
        assert sum(one["number"] == number for one in entries) >= sum(number in numbers for numbers in told.values())


ADD_ON_A_FULL_DISK = """
import resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from rapport.errors import Unavailable
from rapport.stores.backups.journal import Journal

kept, at = Journal(Path(sys.argv[1]), "p", 400), datetime(2026, 11, 1, tzinfo=UTC)
kept.add(at, [{"of": ["a"]}])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    kept.add(at, [{"of": ["b" * 2000]}])
except Unavailable as error:
    print(error.message)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
kept.add(at, [{"of": ["c"]}])
"""


def test_an_entry_that_does_not_fit_on_the_disk_is_not_taken_for_kept(tmp_path: Path) -> None:
    """A limit on the size of files takes a part of what is written, as a disk does that fills up."""
    command = [sys.executable, "-c", ADD_ON_A_FULL_DISK, str(tmp_path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "cannot be recorded" in told
    assert [one["of"] for one in journal.read(tmp_path)] == [["a"], ["c"]]
