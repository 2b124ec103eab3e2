"""Work that callers share: whoever asks while some of it is done goes into the next round, and waits for no other.

A statement or a commit costs about the same for one caller as for many, and many callers ask at the same time. The
first question is worked on at once; those that come meanwhile are worked on together.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

# Lines that are worked on at the same time by other threads than those of callers.
THREADS = 16

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(eq=False)
class _Asked(Generic[Q, A]):
    """What one caller waits for."""

    question: Q
    answer: Future[A] = field(default_factory=Future)


@dataclass
class _Line(Generic[Q, A]):
    """Those who wait while others are worked for."""

    waiting: list[_Asked[Q, A]] = field(default_factory=list)
    is_busy: bool = False


class Gathering(Generic[Q, A]):
    """The callers of a process whose questions are answered together.

    answers gives the answer to each of some questions, in order. fitting says how many of the first questions, at least
    one, are answered together. Where answers raises for several questions, each is answered alone, so that one question
    fails no other: answers that raises must have left nothing behind, or be safe to repeat.
    """

    def __init__(
        self, name: str, answers: Callable[[Sequence[Q]], Sequence[A]], fitting: Callable[[Sequence[Q]], int]
    ) -> None:
        self._answers, self._fitting = answers, fitting
        self._lines: dict[Hashable, _Line[Q, A]] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS, name)

    def ask(self, key: Hashable, question: Q) -> A:
        """The answer to a question, worked out together with others of the same key. Raises what answers raises."""
        asked, line = self._join(key, question)
        if line is not None:
            self._work(key, line)
        return asked.answer.result()

    def submit(self, key: Hashable, question: Q) -> Future[A]:
        """The same for a caller that has other things to do."""
        asked, line = self._join(key, question)
        if line is not None:
            self._threads.submit(self._work, key, line)
        return asked.answer

    def waiting(self, key: Hashable) -> int:
        """How many questions of a key nobody works on yet."""
        line = self._lines.get(key)
        return len(line.waiting) if line is not None else 0

    def stop(self) -> None:
        """Let the threads end when they have worked for all who wait."""
        self._threads.shutdown(wait=False)

    def _join(self, key: Hashable, question: Q) -> tuple[_Asked[Q, A], _Line[Q, A] | None]:
        """A question in its line; the line is told where nobody works on it yet."""
        asked: _Asked[Q, A] = _Asked(question)
        with self._lock:
            line = self._lines.setdefault(key, _Line())
            line.waiting.append(asked)
            is_idle, line.is_busy = not line.is_busy, True
        return asked, line if is_idle else None

    def _work(self, key: Hashable, line: _Line[Q, A]) -> None:
        """Work for the first of those who wait; another thread does for those who are left or came meanwhile."""
        with self._lock:
            count = self._fitting([asked.question for asked in line.waiting])
            together, line.waiting = line.waiting[:count], line.waiting[count:]
        together = [asked for asked in together if asked.answer.set_running_or_notify_cancel()]
        try:
            answers = self._answers([asked.question for asked in together]) if together else []
        except Exception as error:
            self._next(key, line)
            if len(together) == 1:
                together[0].answer.set_exception(error)
            else:
                self._work_alone(together)
            return
        self._next(key, line)
        for asked, answer in zip(together, answers, strict=True):
            asked.answer.set_result(answer)

    def _work_alone(self, together: Sequence[_Asked[Q, A]]) -> None:
        for asked in together:
            try:
                asked.answer.set_result(self._answers([asked.question])[0])
            except Exception as error:
                asked.answer.set_exception(error)

    def _next(self, key: Hashable, line: _Line[Q, A]) -> None:
        with self._lock:
            if not line.waiting:
                del self._lines[key]
                return
        try:
            self._threads.submit(self._work, key, line)
        except RuntimeError:  # the process is being stopped
            self._work(key, line)
