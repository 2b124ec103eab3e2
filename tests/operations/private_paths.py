"""What others of a machine may do with files and folders."""

import stat
from collections.abc import Iterator
from pathlib import Path


def open_to_others(folder: Path) -> Iterator[str]:
    """Files and folders below a folder that others have any right to; sockets have no content."""
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if not stat.S_ISSOCK(mode) and not stat.S_ISLNK(mode) and mode & 0o077:
            yield f"{stat.filemode(mode)} {path.relative_to(folder)}"
