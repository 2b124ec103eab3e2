"""Transports are kept from one message to the next: one a channel, whatever a process sends by it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rapport.access.scope import Scope
from rapport.channels import opening
from rapport.channels.messages import Transport
from rapport.channels.models import Channel
from rapport.stores import Stores

# A transport is kept for what comes next, but its server's name is resolved anew from time to time.
IDLE_SECONDS, OLD_SECONDS = 30.0, 300.0


@dataclass
class OpenTransport:
    """A transport with what it was opened from, who uses it, and since when (monotonic)."""

    transport: Transport
    made_of: tuple[Any, ...]
    opened: float
    used: float = field(default_factory=time.monotonic)
    users: int = 0


class Transports:
    """The transports that a process has open for an installation: its stores close them when they end."""

    def __init__(self, stores: Stores) -> None:
        self._open: dict[tuple[int, int, bool], OpenTransport] = {}
        self._lock = threading.Lock()
        self._tidying: threading.Timer | None = None

    @contextmanager
    def of(self, scope: Scope, channel: Channel, *, for_many: bool = False) -> Iterator[Transport]:
        """The transport of a channel as it is set now. Raises as channels.transport does.

        for_many: one for hundreds of messages at a time and more.
        """
        made_of = opening.made_of(scope, channel)
        key = (scope.tenant_id, channel.id, for_many)
        with self._lock:
            kept = self._open.get(key)
            if kept is None or kept.made_of != made_of or time.monotonic() - kept.opened > OLD_SECONDS:
                self._leave(self._open.pop(key, None))
                opened = opening.transport(scope, channel, for_many=for_many)
                kept = self._open[key] = OpenTransport(opened, made_of, time.monotonic())
            kept.users += 1
        try:
            yield kept.transport
        finally:
            with self._lock:
                kept.users -= 1
                kept.used = time.monotonic()
                if self._open.get(key) is not kept:
                    self._leave(kept)
                self._tidy_later()

    def tidy(self, idle: float = IDLE_SECONDS) -> None:
        """Close what nobody has used for so many seconds."""
        with self._lock:
            for key, kept in list(self._open.items()):
                if not kept.users and time.monotonic() - kept.used >= idle:
                    self._leave(self._open.pop(key))

    def stop(self) -> None:
        """Close what nobody uses; the rest is closed by whoever uses it last."""
        with self._lock:
            if self._tidying is not None:
                self._tidying.cancel()
                self._tidying = None
        self.tidy(idle=0)

    def _tidy_later(self) -> None:
        """Have what is idle closed in time; the lock is held."""
        if self._tidying is None and self._open:
            self._tidying = threading.Timer(IDLE_SECONDS, self._tidy_again)
            self._tidying.daemon = True
            self._tidying.start()

    def _tidy_again(self) -> None:
        self.tidy()
        with self._lock:
            self._tidying = None
            self._tidy_later()

    @staticmethod
    def _leave(kept: OpenTransport | None) -> None:
        """Close a transport that is not to be used again, unless somebody still does."""
        if kept is not None and not kept.users:
            # Leaving takes a word to the server, which may be silent.
            threading.Thread(target=kept.transport.close, name="smtp leave", daemon=True).start()


def transports(stores: Stores) -> Transports:
    """Those of this process for an installation."""
    return stores.workers.only(Transports, stores)
