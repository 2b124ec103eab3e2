"""The processes of a server that relay letters for it: one for each core, for as long as there is much to send.

They are given everything as plain data. When one of them ends, whether the letters that it had have left nobody knows:
they have failed for now, and are tried again under the same ids.
"""

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from multiprocessing import Pipe

import structlog

from rapport.channels.brands.signing import SigningKey, pem_of
from rapport.channels.messages import Receipt
from rapport.channels.relaying.requests import CloseRelay, OpenRelay, RelayLetters, Request, packed, unpacked
from rapport.channels.routes import Letter, Route
from rapport.stores import Stores

log = structlog.get_logger("rapport.channels")
MOST_PROCESSES = 4
ENDED = "sending was interrupted"
# For so long a relay is waited for that leaves its mail server.
LEAVE_SECONDS = 10.0
# A process that could open no connection is spared for so long while another one has some.
SPARED_SECONDS = 2.0
Answered = Callable[[Receipt], None]


class RelayProcess:
    """One process, from when it is started until it ends by itself or is ended."""

    def __init__(self) -> None:
        self._pipe, far_end = Pipe()
        command = [sys.executable, "-m", "rapport.channels.relaying.process", str(far_end.fileno())]
        # A session of its own: an interrupt of the terminal is for the server, which then ends its processes.
        self._process = subprocess.Popen(  # noqa: S603 - a program of ours, without a shell
            command, stdin=subprocess.DEVNULL, pass_fds=[far_end.fileno()], start_new_session=True
        )
        far_end.close()
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._marks = count(1)
        self._under_way: dict[int, tuple[str, Answered]] = {}  # ids of messages, by the marks of their requests
        self._leaving: dict[int, threading.Event] = {}
        self.is_alive = True
        self._reader = threading.Thread(target=self._read, name="relay answers", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its number on this machine."""
        return self._process.pid

    def open(self, number: int, route: Route, keys: Sequence[SigningKey], connections: int) -> None:
        """Open a relay under a number."""
        stored = tuple((key.selector, pem_of(key.key)) for key in keys)
        self._ask(OpenRelay(number, route, stored, connections))

    def hand(self, number: int, letters: Sequence[tuple[Letter, Answered]]) -> bool:
        """Have letters relayed, each of whose receipts is given to its function; False when the process had ended."""
        marked = [(next(self._marks), letter, answered) for letter, answered in letters]
        with self._lock:
            if not self.is_alive:
                return False
            self._under_way |= {mark: (letter.message.message_id, answered) for mark, letter, answered in marked}
        self._ask(RelayLetters(number, tuple((mark, letter) for mark, letter, _ in marked)))
        return True

    def leave(self, number: int) -> None:
        """Close a relay that has no letters under way, and wait for that a while."""
        mark, left = next(self._marks), threading.Event()
        with self._lock:
            if not self.is_alive:
                return
            self._leaving[mark] = left
        self._ask(CloseRelay(number, mark))
        left.wait(LEAVE_SECONDS)

    def under_way(self) -> int:
        """How many letters it has."""
        return len(self._under_way)

    def end(self) -> None:
        """End it at once."""
        self._process.kill()
        self._reader.join()

    def _ask(self, request: Request) -> None:
        """Have it do something; one that cannot be asked is ended, which its reader notices."""
        octets = packed(request)
        try:
            with self._asking:
                self._pipe.send_bytes(octets)
        except OSError:
            self._process.kill()

    def _read(self) -> None:
        """Give out its answers until it has ended, and tell what became of the rest."""
        try:
            while True:
                for mark, receipt in unpacked(self._pipe.recv_bytes()):
                    self._take(mark, receipt)
        except (EOFError, OSError):
            self._process.kill()
            self._process.wait()
        with self._lock:
            self.is_alive = False
            interrupted, self._under_way = self._under_way, {}
        with self._asking:
            self._pipe.close()
        for message_id, answered in interrupted.values():
            answered(Receipt(message_id, "failed", ENDED))
        for left in self._leaving.values():
            left.set()
        if interrupted:
            log.error("a process that sends mail has ended", messages=len(interrupted))

    def _take(self, mark: int, receipt: Receipt | None) -> None:
        if receipt is None:
            self._leaving.pop(mark).set()
            return
        with self._lock:
            _, answered = self._under_way.pop(mark)
        answered(receipt)


class SharedRelay:
    """The letters for one mail server, shared out among processes. Open it by RelayProcesses."""

    def __init__(self, owner: "RelayProcesses", number: int, processes: Sequence[RelayProcess]) -> None:
        self._owner, self._number, self._processes = owner, number, processes
        self._spared: dict[RelayProcess, float] = {}  # until when, monotonic

    def hand(self, letters: Sequence[Letter], decided: "queue.SimpleQueue[Receipt]") -> list[Letter]:
        """Have letters relayed, the first by the process that has the fewest; those that none can relay any more."""
        unspared = [process for process in self._processes if not self._burden(process)[0]]
        processes = sorted(unspared or self._processes, key=self._burden)
        by_process = [(process, letters[place :: len(processes)]) for place, process in enumerate(processes)]
        left = [letter for process, part in by_process if not self._handed(part, decided, process) for letter in part]
        return [
            letter for letter in left if not any(self._handed([letter], decided, other) for other in self._processes)
        ]

    def close(self) -> None:
        """Leave the mail server, after the last receipt."""
        for process in self._processes:
            process.leave(self._number)
        self._owner.let_go()

    def _handed(self, letters: Sequence[Letter], decided: "queue.SimpleQueue[Receipt]", process: RelayProcess) -> bool:
        answered = [(letter, partial(self._answered, process, letter, decided)) for letter in letters]
        return process.hand(self._number, answered) if letters else True

    def _answered(
        self, process: RelayProcess, letter: Letter, decided: "queue.SimpleQueue[Receipt]", receipt: Receipt
    ) -> None:
        """Give out a receipt. A server may take fewer connections than it might be given, and those of one process
        only: what another one could not even try goes there.
        """
        if receipt.away:
            self._spared[process] = time.monotonic() + SPARED_SECONDS
            others = [other for other in self._processes if not self._burden(other)[0]]
            if any(self._handed([letter], decided, other) for other in sorted(others, key=self._burden)):
                return
        decided.put(receipt)

    def _burden(self, process: RelayProcess) -> tuple[bool, int]:
        return time.monotonic() < self._spared.get(process, 0.0), process.under_way()


class RelayProcesses:
    """Those of a server, so many at once. They are started for the first relay and end with the last one."""

    def __init__(self, at_once: int) -> None:
        self._lock = threading.Lock()
        self._at_once = at_once
        self._processes: list[RelayProcess] = []
        self._numbers = count(1)
        self._relays = 0

    def open(self, route: Route, keys: Sequence[SigningKey], connections: int) -> SharedRelay:
        """A relay by a route, of so many connections in all."""
        with self._lock:
            self._relays += 1
            self._processes = [process for process in self._processes if process.is_alive]
            while len(self._processes) < self._at_once:
                self._processes.append(RelayProcess())
            number, processes = next(self._numbers), self._processes[:connections]
        for place, process in enumerate(processes):
            share = len(range(place, connections, len(processes)))
            process.open(number, route, keys, share)
        return SharedRelay(self, number, processes)

    def let_go(self) -> None:
        """Note that a relay is closed; the processes end with the last one."""
        with self._lock:
            self._relays -= 1
            idle, self._processes = ([], self._processes) if self._relays else (self._processes, [])
        for process in idle:
            process.end()

    def stop(self) -> None:
        """Whoever still sends goes on; the last relay that is closed ends the processes."""


def relay_processes(stores: Stores) -> RelayProcesses | None:
    """Those of this process for an installation, one for each core; None where they would share a single one."""
    cores = os.cpu_count() or 1
    return stores.workers.only(_of_this_machine, stores) if cores > 1 else None


def _of_this_machine(stores: Stores) -> RelayProcesses:
    return RelayProcesses(min(os.cpu_count() or 1, MOST_PROCESSES))
