"""The process of rapport serve."""

import asyncio
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import NoReturn

import structlog
import uvicorn
from fastapi import APIRouter

from rapport.access.keys import keys_check
from rapport.app import carrying_out, create_app, create_watched
from rapport.commands import logs, server_file
from rapport.commands.connections import configured
from rapport.commands.output import show
from rapport.commands.patience import once_free
from rapport.errors import Unavailable
from rapport.settings import Settings
from rapport.stores import Stores, holds, open_stores
from rapport.stores.checks import secrets_check

log = structlog.get_logger("rapport.serve")
MOST_FILES = 65_536
SERVING = frozenset({"api", "console"})


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to us: it would end the process before the engines are closed."""

    def capture_signals(self):  # type: ignore[no-untyped-def]
        return nullcontext()


class _Stopping:
    """SIGTERM and SIGINT: the first asks to end, during the start at once; the second drops open requests."""

    def __init__(self) -> None:
        self.requested = threading.Event()
        self.server: _Server | None = None
        self.started = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        # A closed terminal, or a service manager that wants settings read again: there is nothing to read again.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if not self.started and not self.requested.is_set():
            self.requested.set()
            raise SystemExit(128 + number)
        if self.server is not None:
            self.server.force_exit = self.requested.is_set()
            self.server.should_exit = True
        self.requested.set()


def _open_many_files() -> None:
    """Let the engines' files and many connections be open at once: the usual limit, 1,024, is for other programs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def run(settings: Settings, roles: frozenset[str], *, as_json: bool, more: Sequence[APIRouter] = ()) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then end the process with nothing left running. Raises Unavailable.

    more: what is served beside the API.
    """
    logs.configure(settings.log_level)
    _open_many_files()
    stopping = _Stopping()
    with _listener(settings, roles) as listener, _opened(settings) as stores:
        _run(stores, roles, listener, stopping, as_json=as_json, more=more)
    log.info("stopped")
    sys.stdout.flush()
    sys.stderr.flush()
    # Both engines are closed and durable work is resumed at the next start: no thread of it may hold up the end.
    os._exit(0)


@contextmanager
def _opened(settings: Settings) -> Iterator[Stores]:
    """The engines; a command on them, and a server that starts or ends, are waited for, one that serves is not."""
    folder = settings.data_dir.expanduser()
    stores = once_free(
        lambda: open_stores(settings, serving=True),
        for_good=lambda held: server_file.read(folder) is not None,
        tell=lambda held: log.info("waiting for the data folder", holder=held.process),
    )
    try:
        yield stores
    finally:
        stores.close()


@contextmanager
def _listener(settings: Settings, roles: frozenset[str]) -> Iterator[socket.socket]:
    """The bound socket, before any engine is opened: of a process without the API for health and metrics only."""
    try:
        listener = server_file.listen(settings.host, settings.port)
    except Unavailable as error:
        if roles & SERVING:
            raise
        log.warning("health and metrics are on another port", reason=error.message)
        listener = server_file.listen(settings.host, 0)
    with listener:
        yield listener


def _run(
    stores: Stores,
    roles: frozenset[str],
    listener: socket.socket,
    stopping: _Stopping,
    *,
    as_json: bool,
    more: Sequence[APIRouter],
) -> None:
    base_url = server_file.address(*listener.getsockname()[:2])
    running = server_file.this_process(base_url)
    details = {"pid": running.pid, "base_url": base_url, "roles": sorted(roles)}
    subject = "Rapport serves" if roles & SERVING else "Rapport works, with health and metrics at"
    with carrying_out(stores, roles), _server_file_written(stores.settings, running):
        app = create_app(stores, running.token) if roles & SERVING else create_watched(stores)
        app.routes.extend(route for router in more for route in router.routes)
        config = configured(app, stores.settings)
        stopping.server = _Server(config)
        stopping.started = True
        show(details, f"{subject} {base_url} ({', '.join(sorted(roles))}); Ctrl-C stops it.", as_json=as_json)
        sys.stdout.flush()
        log.info("started", roles=sorted(roles), address=base_url)
        if (reason := holds.why_held(stores)) is not None:
            log.warning("what goes out is held", reason=f"{reason}.")
        if (secrets := secrets_check(stores.settings, stores.records)).outcome != "ok":
            log.warning("secrets are not sealed", reason=f"{secrets.detail}.")
        if (keys := keys_check(stores)).outcome != "ok":
            log.warning("keys are unused or end soon", reason=f"{keys.detail}.")
        asyncio.run(stopping.server.serve(sockets=[listener]))
        log.info("stopping")


@contextmanager
def _server_file_written(settings: Settings, running: server_file.Running) -> Iterator[None]:
    """server.json for as long as the block runs, where commands would open the folder otherwise."""
    if settings.by_url:
        yield
        return
    folder = settings.data_dir.expanduser()
    server_file.write(folder, running)
    try:
        yield
    finally:
        server_file.remove(folder)
