"""The embedded engines' places in the data folder."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from rapport import private
from rapport.errors import Held, Unavailable
from rapport.stores.faults import explained, not_writable
from rapport.stores.local.postgres import PASSABLE

HOLDER = "holder"
LEFT_OPEN = ("backups", "files", "rejects")
SERVER, COMMAND = "server", "command"


def prepare_data_dir(data_dir: Path) -> Path:
    """Create the data folder, which nobody else reads. As root its parents must let the database's own user pass.

    PostgreSQL refuses to run as root, so root gives it a user of its own, which must reach the
    folder. No folder outside the data folder changes mode, so a closed parent is an error.
    """
    data_dir = data_dir.expanduser().resolve()
    new = [path for path in (data_dir, *data_dir.parents) if not path.exists()]
    try:
        private.make_folder(data_dir)
        if os.geteuid() == 0:
            for path in new:
                path.chmod(path.stat().st_mode | PASSABLE)
    except OSError as error:
        raise explained(error) or Unavailable(f"The data folder cannot be created: {error.strerror}.") from error
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        raise not_writable(data_dir)
    if os.geteuid() == 0:
        closed = [folder for folder in data_dir.parents if folder.stat().st_mode & PASSABLE != PASSABLE]
        if closed:
            raise Unavailable(
                f"Run by root, the data folder must be where other users can enter, and {closed[-1]} is closed: "
                "give --data-dir a folder such as /var/lib/rapport."
            )
        data_dir.chmod(data_dir.stat().st_mode | PASSABLE)
    _close(data_dir)
    return data_dir


def _close(data_dir: Path) -> None:
    """Close to others what earlier releases left open to them; the database's own user passes where it must."""
    try:
        private.close_folder(data_dir, private.FOLDER | PASSABLE if os.geteuid() == 0 else private.FOLDER)
        for path in (data_dir / name for name in LEFT_OPEN):
            if path.is_dir() and not path.is_symlink():
                private.close_folder(path)
    except OSError as error:
        raise explained(error) or Unavailable(f"The data folder cannot be used: {error.strerror}.") from error


def hold(data_dir: Path, *, serving: bool) -> int:
    """Take a data folder for this process, until the open file that is answered is closed or the process ends.

    The engines' own locks are taken one after the other: two processes that start at once would meet half-way.
    The file says which process holds the folder and whether it is a server. Raises Held, Unavailable.
    """
    try:
        holder = os.open(data_dir / HOLDER, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(holder, 0)
            os.write(holder, f"{os.getpid()} {SERVER if serving else COMMAND}".encode())
        except BaseException as error:
            text = os.pread(holder, 100, 0).decode()
            os.close(holder)
            if isinstance(error, BlockingIOError):
                raise _held(text) from error
            raise
    except OSError as error:
        raise explained(error) or Unavailable(f"The data folder cannot be used: {error.strerror}.") from error
    return holder


def _held(text: str) -> Held:
    """What the file of a folder's holder tells; it may be empty for a moment."""
    number, _, kind = text.partition(" ")
    return Held(_process(number), serving={SERVER: True, COMMAND: False}.get(kind))


def _process(number: str) -> str:
    return f"Process {number}" if number.isdigit() else "Another process"


def create(folder: Path) -> None:
    """Create a folder inside the data folder that only this user reads. Raises Unavailable."""
    try:
        private.make_folder(folder)
    except OSError as error:
        raise explained(error) or Unavailable(f"{folder} cannot be created: {error.strerror}.") from error


def empty(data_dir: Path) -> None:
    """Remove all that is in a data folder."""
    for path in data_dir.iterdir():
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def warehouse_url(data_dir: Path) -> str:
    """The address of the embedded warehouse of a data folder. Raises Unavailable when another process has it open."""
    folder = data_dir / "warehouse"
    create(folder)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise not_writable(folder)
    _require_free(folder / "status")
    if "TMPDIR" in os.environ:  # the engine takes it as it is, and does not start where it is no folder
        os.environ["TMPDIR"] = tempfile.gettempdir()
    return f"chdb://{folder}"


def _require_free(status: Path) -> None:
    """Try the lock that the engine keeps on a file with the number of its process: it would only say that it cannot."""
    try:
        with status.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return
    except BlockingIOError as error:
        number = status.read_text().split("\n")[0].removeprefix("PID: ")
        raise Held(_process(number), serving=None) from error
    except OSError as error:
        raise not_writable(status.parent) from error
