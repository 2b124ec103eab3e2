"""What is kept beside the data folder: on the disk, private, and not for ever."""

import stat
from datetime import UTC, datetime
from pathlib import Path

from rapport.stores import journal
from rapport.stores.journal import Journal


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
