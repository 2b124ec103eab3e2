"""What others of the machine may read of an installation: nothing."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from private_paths import open_to_others
from rapport_command import Server, run

from rapport import private
from rapport.stores.local import embedded

USUAL = ("sh", "-c", 'umask 022 && exec "$@"', "sh")
OWN_FOLDER = 0o711 if os.geteuid() == 0 else 0o700  # root's database has an account of its own, which must pass


def test_nobody_else_reads_anything_of_a_living_folder(folder: Path, start: Callable[..., Server]) -> None:
    data_dir = folder / "data"
    before = os.umask(0o022)
    try:
        start(data_dir)
    finally:
        os.umask(before)
    tenant = run("tenant", "create", "A", "--json", "--data-dir", data_dir, prefix=USUAL).json["id"]
    file = folder / "customers.csv"
    file.write_text("customer_id,REGISTRATION_DATE\nC1,2026-01-01\nC2,no day\n")
    words = ("import", "customers", file, "--tenant", tenant, "--allow-rejects", "--data-dir", data_dir)
    assert run(*words, prefix=USUAL).code == 0
    assert list(data_dir.glob("rejects/*/import-*.csv"))
    assert run("backup", folder / "a.rapport", "--data-dir", data_dir, prefix=USUAL).code == 0
    assert stat.S_IMODE((folder / "a.rapport").stat().st_mode) == 0o600
    assert stat.S_IMODE(data_dir.stat().st_mode) == OWN_FOLDER
    assert list(open_to_others(data_dir)) == []


def test_folders_that_an_earlier_release_left_open_are_closed(tmp_path: Path) -> None:
    for path in (tmp_path, *tmp_path.parents):  # of pytest's own
        if path.stat().st_uid == os.geteuid() and path != Path(path.anchor):
            path.chmod(path.stat().st_mode | 0o711)
    data_dir = tmp_path / "data"
    for name in ("rejects", "files", "notes-of-others"):
        (data_dir / name).mkdir(parents=True, mode=0o755)
    data_dir.chmod(0o755)
    embedded.prepare_data_dir(data_dir)
    modes = {name: stat.S_IMODE((data_dir / name).stat().st_mode) for name in ("rejects", "files", "notes-of-others")}
    assert modes == {"rejects": 0o700, "files": 0o700, "notes-of-others": 0o755}
    assert stat.S_IMODE(data_dir.stat().st_mode) == OWN_FOLDER


def test_what_is_made_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        private.make_folder(tmp_path / "a" / "b")
        with open(tmp_path / "a" / "b" / "c", "w", opener=private.opener):
            pass
    finally:
        os.umask(before)
    assert list(open_to_others(tmp_path)) == []
