"""A first start where nothing of Rapport has been: no account, no home, a strict umask, a bare environment."""

import os
import pwd
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rapport_command import PROGRAM, postgres_processes, run

from rapport.stores.local import postgres

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives the database an account of its own")


@pytest.fixture
def unknown_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an account that is not there yet; what was made is removed."""
    if shutil.which("userdel", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip("there is no userdel here to remove the account again")
    name = f"rapport-t{secrets.token_hex(4)}"
    monkeypatch.setattr(postgres, "SYSTEM_USER", name)
    yield name
    monkeypatch.undo()
    subprocess.run(["/usr/sbin/userdel", name], capture_output=True)


@as_root
@pytest.mark.parametrize("path", [None, "/usr/bin:/bin"])
def test_the_account_is_made_where_it_is_missing(
    folder: Path, unknown_account: str, monkeypatch: pytest.MonkeyPatch, path: str | None
) -> None:
    if path is not None:  # of a root who came by su, without the folders of administration
        monkeypatch.setenv("PATH", path)
    data_dir = folder / unknown_account
    data_dir.mkdir()
    server = postgres.start_postgres(data_dir)
    try:
        account = pwd.getpwnam(unknown_account)
        process = postgres.postmaster(data_dir / "records")
        assert process is not None and process.uids().real == account.pw_uid != 0
        assert account.pw_shell.endswith("nologin") and not Path(account.pw_dir).exists()
    finally:
        server.stop()
    assert postgres_processes(data_dir) == []


@as_root
def test_starts_side_by_side_make_one_account(unknown_account: str) -> None:
    """The list of accounts is locked for all but one of them, and the account is not there yet."""
    starts = 8
    begun = threading.Barrier(starts)

    def account(_: int) -> tuple[int, int]:
        begun.wait()
        return postgres._account()

    with ThreadPoolExecutor(starts) as threads:
        made = set(threads.map(account, range(starts)))
    assert made == {(pwd.getpwnam(unknown_account).pw_uid, pwd.getpwnam(unknown_account).pw_gid)}


@as_root
def test_an_account_is_enough_whose_group_is_not_in_the_list_yet(folder: Path, unknown_account: str) -> None:
    """useradd writes the account first and its group afterwards; another start may fall in between."""
    postgres._account()
    subprocess.run(["/usr/sbin/groupdel", "--force", unknown_account], check=True, capture_output=True)
    data_dir = folder / f"{unknown_account}-early"
    data_dir.mkdir()
    postgres.start_postgres(data_dir).stop()


@as_root
def test_a_folder_of_an_account_that_was_removed_is_given_to_the_new_one(folder: Path, unknown_account: str) -> None:
    data_dir = folder / f"{unknown_account}-again"
    data_dir.mkdir()
    postgres.start_postgres(data_dir).stop()
    subprocess.run(["/usr/sbin/userdel", unknown_account], check=True, capture_output=True)
    for path in (data_dir / "records", *(data_dir / "records").rglob("*")):
        os.chown(path, 54321, 54321, follow_symlinks=False)
    postgres.start_postgres(data_dir).stop()
    assert (data_dir / "records").stat().st_uid == pwd.getpwnam(unknown_account).pw_uid


def test_folders_that_a_strict_umask_makes(folder: Path) -> None:
    data_dir = folder / "strict" / "below" / "data"
    shell = ("sh", "-c", 'umask 077 && exec "$@"', "sh")
    made = run("tenant", "create", "Northwind", "--data-dir", data_dir, "--json", prefix=shell)
    assert made.json["name"] == "Northwind"


def test_no_place_for_temporary_files_where_the_environment_says(folder: Path) -> None:
    assert run("tenant", "list", "--data-dir", folder / "tmp", "--json", TMPDIR=str(folder / "missing")).json == []


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv makes the user that has no name")
def test_a_user_without_a_name_is_told_what_is_missing(folder: Path) -> None:
    nobody = ("setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups")
    if subprocess.run([*nobody, *PROGRAM[:1], "-c", ""], capture_output=True).returncode:
        pytest.skip("other users cannot run this Python")
    place = folder / "nameless"
    place.mkdir()
    os.chown(place, 54321, 54321)
    environment = {"HOME": "", "PYTHONDONTWRITEBYTECODE": "1"}
    assert run("tenant", "list", "--data-dir", place, prefix=nobody, **environment).line == postgres.NO_NAME
    unset = ("env", "-u", "HOME", *nobody)
    assert run("tenant", "list", prefix=unset).line.startswith("This user has no home folder: give --data-dir")


def test_a_bare_environment_and_a_folder_that_may_not_be_written(folder: Path) -> None:
    """No HOME, no locale, no XDG; the working directory is the root folder."""
    command = [*PROGRAM, "tenant", "create", "Größe", "--data-dir", str(folder / "bare"), "--json"]
    done = subprocess.run(command, env={"LC_ALL": "C"}, cwd="/", capture_output=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert "Größe" in done.stdout.decode()


def test_a_working_directory_that_was_removed(folder: Path) -> None:
    gone = folder / "gone"
    gone.mkdir()
    script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    words = [*PROGRAM, "tenant", "list", "--data-dir", str(folder / "kept"), "--json"]
    done = subprocess.run(["sh", "-c", script, "sh", str(gone), *words], capture_output=True, text=True, timeout=90)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
