"""Folders and files that only this user reads, whatever the umask of whoever uses them."""

import os
from pathlib import Path

FOLDER, FILE = 0o700, 0o600
UMASK = 0o077


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing. Raises OSError."""
    for missing in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        missing.mkdir(mode=FOLDER, exist_ok=True)


def opener(path: str, flags: int) -> int:
    """For open(): a file that it makes is this user's."""
    return os.open(path, flags, FILE)


def close_folder(path: Path, mode: int = FOLDER) -> None:
    """Take away what others may do in a folder of this user's that was made before; others' folders are left alone."""
    stat = path.stat()
    if stat.st_uid == os.geteuid() and stat.st_mode & 0o777 & ~mode:
        path.chmod(stat.st_mode & ~0o777 | mode)
