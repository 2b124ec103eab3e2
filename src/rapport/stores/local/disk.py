"""Room on the disks that a process writes to."""

import os
import shutil
from pathlib import Path

from rapport.settings import Settings

GIGABYTE = 1024**3
LOW = 2 * GIGABYTE
# With less than a segment of the records' log nothing can be written any more.
NONE_LEFT = 16 * 1024**2


def existing(folder: Path) -> Path:
    """A folder, or the nearest one above it that this user can find."""
    folder = folder.expanduser().absolute()
    return next((path for path in (folder, *folder.parents) if os.path.exists(path)), Path("/"))


def folders(settings: Settings) -> dict[str, Path]:
    """What a process keeps on disks of its machine, by name: the data of embedded engines, what outlives the data."""
    kept = {"kept": settings.kept_folder}
    return kept if settings.by_url else {"data": settings.data_dir, **kept}


def free_bytes(folder: Path) -> int:
    """How much this user may still write on the disk of a folder, which need not be there yet."""
    return shutil.disk_usage(existing(folder)).free


def is_full(settings: Settings) -> bool:
    """Whether the embedded engines have no room left."""
    return not settings.by_url and free_bytes(settings.data_dir) < NONE_LEFT


def is_read_only(folder: Path) -> bool:
    """Whether the file system of a folder takes no writes, whoever it is that writes."""
    return bool(os.statvfs(existing(folder)).f_flag & os.ST_RDONLY)
