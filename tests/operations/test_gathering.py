"""Questions of many callers: worked on together, each answered, and none failed by another."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from rapport.stores.gathering import Gathering


class Squares:
    """Squares of numbers, of which negative ones fail; the first call tells that it began, and waits to be let go."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.has_begun, self.let_go = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.calls.append(list(numbers))
        if not self.has_begun.is_set():
            self.has_begun.set()
            assert self.let_go.wait(10)
        if min(numbers) < 0:
            raise ValueError(numbers)
        return [number**2 for number in numbers]


def test_those_who_come_meanwhile_are_answered_together_and_none_is_failed_by_another() -> None:
    squares = Squares()
    gathering = Gathering("squares", squares, lambda waiting: min(len(waiting), 3))
    first = gathering.submit("key", 1)
    assert squares.has_begun.wait(10)
    others = [gathering.submit("key", number) for number in (2, -3, 4, 5)]
    assert gathering.waiting("key") == 4
    assert gathering.submit("another key", 6).result(10) == 36, "each key has a line of its own"
    squares.let_go.set()
    assert [first.result(10), others[0].result(10), others[2].result(10), others[3].result(10)] == [1, 4, 16, 25]
    with pytest.raises(ValueError, match="-3"):
        others[1].result(10)
    assert squares.calls[:3] == [[1], [6], [2, -3, 4]] and [5] in squares.calls[3:]


def test_a_lone_caller_works_in_its_own_thread_and_many_are_all_answered() -> None:
    threads = set()

    def doubled(numbers: Sequence[int]) -> list[int]:
        threads.add(threading.current_thread())
        return [number * 2 for number in numbers]

    gathering = Gathering("doubles", doubled, len)
    assert gathering.ask("key", 1) == 2 and threads == {threading.current_thread()}
    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(lambda number: gathering.ask("key", number), range(500))) == list(range(0, 1000, 2))
    gathering.stop()
    assert gathering.ask("key", 4) == 8
    assert gathering.waiting("key") == 0


def test_whoever_gave_up_waiting_is_passed_over() -> None:
    squares = Squares()
    gathering = Gathering("squares", squares, len)
    first = gathering.submit("key", 1)
    assert squares.has_begun.wait(10)
    gone, last = (gathering.submit("key", number) for number in (-2, 3))
    assert gone.cancel()
    squares.let_go.set()
    assert (first.result(10), last.result(10)) == (1, 9)
    assert squares.calls == [[1], [3]]
