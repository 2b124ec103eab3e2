"""The worker: a thread of a process that works from start() to stop(), and that no fault ends."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, Protocol, TypeVar

import structlog

from rapport.stores.warehouse.warehouse_server import answers_within

log = structlog.get_logger("rapport.workers")
# Seconds before a worker that a fault threw out begins again, each time twice as many.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
# What workers ask of the warehouse is short: a server that says nothing for so many seconds is away.
ANSWER_SECONDS = 30.0


class Stoppable(Protocol):
    """What works until it is stopped."""

    def stop(self) -> None:
        """End, after what is under way."""


W = TypeVar("W", bound=Stoppable)
T = TypeVar("T", bound="Worker")


class Workers:
    """The workers of a process on its stores: who is to work now, and those of whom a process has one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: list[Worker] = []
        self._only: dict[Any, Stoppable] = {}

    def only(self, kind: Callable[[Any], W], stores: Any) -> W:
        """The one of a kind that this process has, made of the stores when it is first asked for."""
        with self._lock:
            if kind not in self._only:
                self._only[kind] = kind(stores)
            return self._only[kind]  # type: ignore[return-value]

    def add(self, worker: "Worker") -> None:
        """Note that a worker was started."""
        with self._lock:
            self._started.append(worker)

    def remove(self, worker: "Worker") -> None:
        """Note that a worker was stopped."""
        with self._lock:
            if worker in self._started:
                self._started.remove(worker)

    def working(self, kind: type[T]) -> T | None:
        """The worker of a kind that was started in this process; None where there is none."""
        with self._lock:
            return next((worker for worker in self._started if isinstance(worker, kind)), None)

    def ended(self) -> list[str]:
        """The names of workers that ended although nobody stopped them."""
        with self._lock:
            return sorted(worker.name for worker in self._started if not worker.is_alive)

    def stop(self) -> None:
        """Stop those of whom the process has one, the newest first, and whoever else still works."""
        while self._only:
            _, worker = self._only.popitem()
            worker.stop()
        while self._started:
            self._started[-1].stop()


class Worker(ABC):
    """A thread that works until it is stopped: whatever work() raises is logged, and it is begun again after a pause.

    name is that of the thread.
    """

    name: ClassVar[str]

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    @abstractmethod
    def work(self) -> None:
        """Work until stopping says so."""

    def dispose(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what the worker holds, after its thread has ended."""

    def wake(self) -> None:  # noqa: B027 - a worker that only waits for stopping needs no word
        """Have the worker look at once whether there is something to do."""

    def start(self) -> None:
        """Begin to work, unless it has begun."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
                self._workers.add(self)
                self._thread.start()

    def stop(self) -> None:
        """Begin nothing more, let what is under way end, and return."""
        self._stopping.set()
        self.wake()
        if self._thread is not None:
            self._thread.join()
        self._workers.remove(self)
        self.dispose()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    @property
    def is_alive(self) -> bool:
        """Whether its thread works."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self.stopping:
            try:
                with answers_within(ANSWER_SECONDS):
                    self.work()
                break
            except Exception:
                log.exception("a worker begins again", worker=self.name)
            self._stopping.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


@contextmanager
def running(*workers: Worker) -> Iterator[None]:
    """Workers that work for the length of the block; the last one that was started is stopped first."""
    with ExitStack() as started:
        for worker in workers:
            worker.start()
            started.callback(worker.stop)
        yield
