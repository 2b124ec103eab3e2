"""What an engine or the operating system says when it cannot go on, as one plain sentence."""

import errno
from pathlib import Path
from typing import Literal

import psycopg
from clickhouse_connect.driver.exceptions import ClickHouseError

from rapport.errors import Away, Invalid, RapportError, Unavailable
from rapport.stores.local import disk

DISK_FULL = "The disk is full: make room, then try again; nothing was half-written."
NOT_PERMITTED = "The data folder may not be written by this user: give --data-dir a folder of its own."
READ_ONLY = "The file system of the data folder is read-only: mount it for writing, or give --data-dir another place."
NOT_ENOUGH_SPACE = "Code: 243."
FULL = (errno.ENOSPC, errno.EDQUOT)
DENIED = (errno.EACCES, errno.EPERM)


def explained(error: BaseException) -> Unavailable | None:
    """The sentence for a disk that is full or read-only, or a missing permission, behind an error; None for others."""
    seen: BaseException | None = error
    while seen is not None:
        if _is_full(seen):
            return Away(DISK_FULL)
        if isinstance(seen, OSError) and seen.errno in DENIED:
            return Unavailable(NOT_PERMITTED)
        if isinstance(seen, OSError) and seen.errno == errno.EROFS:
            return Unavailable(READ_ONLY)
        seen = getattr(seen, "orig", None) or seen.__cause__
    return None


def not_writable(folder: Path) -> Unavailable:
    """Why a folder that may not be written may not be."""
    return Unavailable(READ_ONLY if disk.is_read_only(folder) else NOT_PERMITTED)


def refused_path(path: Path, error: OSError, use: Literal["read", "written"]) -> RapportError:
    """Why a path that somebody gave cannot be used: a full disk, or a sentence that names the path."""
    if _is_full(error):
        return Away(DISK_FULL)
    kind = Invalid if use == "read" else Unavailable
    if error.errno in DENIED:
        return kind(f"{path} may not be {use} by the user that runs Rapport.")
    return kind(f"{path} cannot be {use}: {error.strerror or error}.")


def require_readable(path: Path) -> None:
    """Raises Invalid unless a path is a file that can be read: a pipe of somebody else's process holds nothing here."""
    try:
        if not path.is_file():
            fault = "is not a regular file" if path.exists() else "does not exist"
            raise Invalid(f"The file {path.name!r} {fault}.")
        path.open("rb").close()
    except OSError as error:
        raise refused_path(path, error, "read") from error


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL
    if isinstance(error, ClickHouseError):
        return NOT_ENOUGH_SPACE in str(error) or "No space left on device" in str(error)
    return isinstance(error, psycopg.errors.DiskFull)
