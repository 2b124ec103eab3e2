"""The rapport command in processes of its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import loaded_program

SECONDS = 90
PROGRAM = [sys.executable, "-c", "from rapport.cli import main; main()"]


@dataclass
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """Its one line on standard error, for an error that a user can mend."""
        return self._only_line(1)

    @property
    def usage(self) -> str:
        """Its one line on standard error, for a command line that cannot be read."""
        return self._only_line(2)

    def _only_line(self, code: int) -> str:
        assert (self.code, self.out) == (code, ""), (self.code, self.out, self.err)
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


def run(*arguments: object, prefix: tuple[str, ...] = (), **environment: str) -> Ended:
    """Run a command; from nothing where there is a prefix, or a variable that is not Rapport's own."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")} | environment
    words = [str(argument) for argument in arguments]
    if not prefix and all(name.startswith("RAPPORT_") for name in environment):
        return Ended(*loaded_program.carried_out(words, given, SECONDS))
    command = [*prefix, *PROGRAM, *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=given)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


class Server:
    """rapport serve on a folder."""

    def __init__(self, data_dir: Path, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Start it and wait until it serves; `meanwhile` is called once its process is there."""
        self.data_dir = data_dir
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        words = ["serve", "--data-dir", str(data_dir), "--port", "0", "--json"]
        self.process = loaded_program.begin(words, dict(os.environ), self.errors)
        meanwhile()
        assert self.process.stdout is not None
        self.told = json.loads(self.process.stdout.readline() or self._fail())

    def _fail(self) -> str:
        raise AssertionError(f"serve did not start: {self.log()}")

    @property
    def base_url(self) -> str:
        return str(self.told["base_url"])

    @property
    def server_file(self) -> dict[str, Any]:
        return dict(json.loads((self.data_dir / "server.json").read_text()))

    def log(self) -> str:
        self.errors.seek(0)
        return self.errors.read()

    def end(self, number: int) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def postgres_processes(data_dir: Path) -> list[int]:
    """Processes of a folder's PostgreSQL that live."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(data_dir) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found
