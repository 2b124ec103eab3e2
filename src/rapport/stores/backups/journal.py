"""What must outlive the data folder: erasures and opt-outs, noted beside it before they are carried out.

A restore brings the past back; what was erased or forbidden since is applied to it again from here. Entries name
persons by pseudonyms and addresses by keyed hashes only. They are JSON lines in a file a month and process, on the
disk before the caller goes on.
"""

import contextlib
import os
import re
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from rapport import private
from rapport.errors import Unavailable

Entry = dict[str, Any]
SUFFIX = ".jsonl"
# A thousand persons with what they said are far below.
LONGEST_LINE = 16 * 1024 * 1024
MONTH = re.compile(r"(\d{4})-(\d{2})-")
_LOCK = threading.Lock()


class Journal:
    """The journal in a folder. process names the file that this process adds to."""

    def __init__(self, folder: Path, process: str, days: int) -> None:
        self.folder, self._days = folder, days
        self._process = re.sub(r"\W", "_", process)

    def add(self, at: datetime, entries: Iterable[Entry]) -> None:
        """Add entries and wait until the disk has them. Raises Unavailable when they cannot be kept."""
        lines = b"".join(orjson.dumps({"at": at.isoformat(), **entry}) + b"\n" for entry in entries)
        if not lines:
            return
        path = self.folder / f"{at:%Y-%m}-{self._process}{SUFFIX}"
        try:
            with _LOCK:
                new = not path.exists()
                private.make_folder(self.folder)
                # A line that was cut off by a kill ends here.
                _append(path, b"\n" + lines)
                if new:
                    _sync(self.folder)
                    self._prune(at)
        except OSError as error:
            raise Unavailable(
                f"Erasures and opt-outs cannot be recorded in {self.folder} ({error.strerror}): "
                "set RAPPORT_KEPT_DIR to a writable folder."
            ) from error

    def _prune(self, now: datetime) -> None:
        """Drop files of months that ended before the oldest time that is kept."""
        oldest = now - timedelta(days=self._days)
        for path in self.folder.glob(f"*{SUFFIX}"):
            month = MONTH.match(path.name)
            if month and (int(month[1]), int(month[2])) < (oldest.year, oldest.month):
                path.unlink(missing_ok=True)

    def take_over(self, now: datetime, entries: Iterable[Entry]) -> None:
        """Keep entries of another journal, too."""
        present = {orjson.dumps(entry, option=orjson.OPT_SORT_KEYS) for entry in read(self.folder)}
        new = [entry for entry in entries if orjson.dumps(entry, option=orjson.OPT_SORT_KEYS) not in present]
        self.add(now, new)


def _append(path: Path, lines: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, private.FILE)
    try:
        while lines:  # a disk that fills up takes a part first, and refuses the rest
            lines = lines[os.write(file, lines) :]
        os.fsync(file)
    finally:
        os.close(file)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(folder: Path) -> Iterator[Entry]:
    """Every entry in a folder, by file; what is no entry, no file or no folder is passed over.

    A line may have been cut off, and a backup may name any folder as the one where its journal was.
    """
    for path in sorted(folder.glob(f"*{SUFFIX}")) if _is_folder(folder) else ():
        if not path.is_file():
            continue
        with path.open("rb") as file:
            while line := file.readline(LONGEST_LINE):
                with contextlib.suppress(ValueError):
                    entry = orjson.loads(line)
                    if isinstance(entry, dict):
                        yield entry


def _is_folder(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:  # a name that is too long, a folder that may not be looked into
        return False
