"""Folders and servers of a module's own."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from rapport_command import Server, postgres_processes


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that root's database may reach too."""
    made = Path(tempfile.mkdtemp(prefix="rapport-operations-"))
    made.chmod(0o755)
    yield made
    for pid in postgres_processes(made):
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Server]]:
    """Starts servers; those that still run at the end are ended."""
    started: list[Server] = []

    def starting(data_dir: Path, meanwhile: Callable[[], object] = lambda: None) -> Server:
        started.append(Server(data_dir, meanwhile))
        return started[-1]

    yield starting
    for server in started:
        server.end(signal.SIGTERM)
        server.errors.close()
