"""What an engine or the operating system says when it cannot go on, as one plain sentence."""

import errno

import psycopg
from clickhouse_connect.driver.exceptions import ClickHouseError

from rapport.errors import Unavailable

DISK_FULL = "The disk is full: make room, then try again; nothing was half-written."
NOT_PERMITTED = "The data folder may not be written by this user: give --data-dir a folder of its own."
NOT_ENOUGH_SPACE = "Code: 243."
FULL = (errno.ENOSPC, errno.EDQUOT)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def explained(error: BaseException) -> Unavailable | None:
    """The sentence for a full disk or a missing permission anywhere behind an error; None for other errors."""
    seen: BaseException | None = error
    while seen is not None:
        if _is_full(seen):
            return Unavailable(DISK_FULL)
        if isinstance(seen, OSError) and seen.errno in DENIED:
            return Unavailable(NOT_PERMITTED)
        seen = getattr(seen, "orig", None) or seen.__cause__
    return None


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL
    if isinstance(error, ClickHouseError):
        return NOT_ENOUGH_SPACE in str(error) or "No space left on device" in str(error)
    return isinstance(error, psycopg.errors.DiskFull)
