"""Work that callers share: whoever asks while some of it is done goes into the next round, and waits for no other.

A statement or a commit costs about the same for one caller as for many, and many callers ask at the same time. The
first caller does the work at once, in its own thread; those who come meanwhile are served together by the next of them.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(eq=False)
class _Asked(Generic[Q, A]):
    """What one caller waits for; is_turn when it is to do the work of all who wait."""

    question: Q
    answered: threading.Event = field(default_factory=threading.Event)
    is_turn: bool = False
    answers: Sequence[A] = ()  # one, where the work was done


@dataclass
class _Line(Generic[Q, A]):
    """Those who wait while one of them works."""

    waiting: list[_Asked[Q, A]] = field(default_factory=list)
    is_busy: bool = False


class Gathering(Generic[Q, A]):
    """The callers of a process whose questions are answered together.

    answers gives the answer to each of some questions, in order. fitting says how many of the first questions, at least
    one, are answered together. Where answers raises for several questions, each caller asks again alone, so that one
    question fails no other: answers that raises must have left nothing behind, or be safe to repeat.
    """

    def __init__(self, answers: Callable[[Sequence[Q]], Sequence[A]], fitting: Callable[[Sequence[Q]], int]) -> None:
        self._answers, self._fitting = answers, fitting
        self._lines: dict[Hashable, _Line[Q, A]] = {}
        self._lock = threading.Lock()

    def ask(self, key: Hashable, question: Q) -> A:
        """The answer to a question, worked out together with others of the same key. Raises what answers raises."""
        asked: _Asked[Q, A] = _Asked(question)
        with self._lock:
            line = self._lines.setdefault(key, _Line())
            line.waiting.append(asked)
            asked.is_turn = not line.is_busy
            line.is_busy = True
        if not asked.is_turn:
            asked.answered.wait()
        if asked.is_turn:
            self._work(key, line)
        return (asked.answers or self._answers([question]))[0]

    def _work(self, key: Hashable, line: _Line[Q, A]) -> None:
        """Work for the first of those who wait, and give the turn to the first who is left or came meanwhile."""
        with self._lock:
            count = self._fitting([asked.question for asked in line.waiting])
            together, line.waiting = line.waiting[:count], line.waiting[count:]
        try:
            answers = self._answers([asked.question for asked in together])
            for asked, answer in zip(together, answers, strict=True):
                asked.answers = (answer,)
        except Exception:
            if len(together) == 1:
                raise
        finally:
            self._next(key, line)
            for asked in together:
                asked.answered.set()

    def _next(self, key: Hashable, line: _Line[Q, A]) -> None:
        with self._lock:
            if line.waiting:
                line.waiting[0].is_turn = True
                line.waiting[0].answered.set()
            else:
                del self._lines[key]
