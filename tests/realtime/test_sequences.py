"""Repeated and sequence triggers against plain rules over everything that has arrived, on random orders of events."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapport.realtime import progress
from rapport.realtime.progress import Progress

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")
quick = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=300)

BEGIN = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
WINDOW = 10


def at(minute: int) -> datetime:
    return BEGIN + timedelta(minutes=minute)


def span(minutes: int) -> timedelta:
    return timedelta(minutes=minutes)


minutes = st.integers(0, 40)


# Repeated


def repeated(arrivals: list[int], times: int) -> list[int]:
    """Positions of the arrivals that fire: whenever the window that ends with the newest event holds enough of those
    that no firing has used up."""
    fired, used, seen = [], -1, []
    for position, minute in enumerate(arrivals):
        if minute <= used:
            continue
        seen.append(minute)
        newest = max(seen)
        counted = [one for one in seen if newest - WINDOW <= one]
        if minute in counted and len(counted) >= times:
            fired.append(position)
            used, seen = newest, []
    return fired


@quick
@given(arrivals=st.lists(minutes, max_size=25), times=st.integers(2, 4))
def test_repeated_fires_as_the_plain_rule_says(arrivals: list[int], times: int) -> None:
    state, fired = Progress(), []
    for position, minute in enumerate(arrivals):
        if progress.count(state, at(minute), span(WINDOW), times):
            fired.append(position)
        assert len(state.times) < times, "what is kept does not grow"
    assert fired == repeated(arrivals, times)


@quick
@given(order=st.permutations([0, 3, 7]))
def test_the_order_within_a_window_does_not_matter(order: list[int]) -> None:
    state = Progress()
    assert [progress.count(state, at(minute), span(WINDOW), 3) for minute in order] == [False, False, True]
    assert not progress.count(state, at(5), span(WINDOW), 3), "an event of before is used up"


# Sequences

OPEN, CLOSE, RESTART, TICK = "open", "close", "restart", "tick"
steps = st.lists(st.tuples(st.sampled_from([OPEN, OPEN, CLOSE, RESTART, TICK]), minutes), max_size=25)


class Rules:
    """What a sequence does, from the whole list of what has arrived and nothing else."""

    def __init__(self) -> None:
        self.past: list[tuple[str, int]] = []
        self.since = 0  # what ended the last open sequence is before this position
        self.fired: list[int] = []

    def arrive(self, what: str, minute: int) -> None:
        self.past.append((what, minute))
        opened = self.opened()
        if opened is None:
            return
        begin, deadline = opened
        if what == TICK and minute >= deadline:
            self.fired.append(begin)
            self.since = len(self.past)
        elif what == CLOSE and begin <= minute <= deadline:
            self.since = len(self.past)

    def opened(self) -> tuple[int, int] | None:
        """The sequence that is open, with its deadline: replayed from where the last one ended."""
        begin = deadline = None
        for position, (what, minute) in enumerate(self.past):
            closed = max((m for w, m in self.past[:position] if w == CLOSE), default=-1)
            if position < self.since:
                continue
            if begin is None and what == OPEN and closed < minute:
                begin, deadline = minute, minute + WINDOW
            elif begin is not None and deadline is not None and what == RESTART and begin <= minute <= deadline:
                deadline = max(deadline, minute + WINDOW)
        return None if begin is None or deadline is None else (begin, deadline)


@quick
@given(arrivals=steps)
def test_a_sequence_ends_as_the_plain_rules_say(arrivals: list[tuple[str, int]]) -> None:
    state, rules, fired = Progress(), Rules(), []
    for what, minute in arrivals:
        if what == OPEN:
            opening: dict[str, Any] = {"at": at(minute).isoformat(), "minute": minute}
            progress.begin(state, at(minute), span(WINDOW), opening)
        elif what == CLOSE:
            progress.close(state, at(minute))
        elif what == RESTART:
            progress.restart(state, at(minute), span(WINDOW))
        elif state.deadline is not None and state.deadline <= at(minute):
            fired.append(progress.end(state)["minute"])
        rules.arrive(what, minute)
        expected = rules.opened()
        assert state.deadline == (None if expected is None else at(expected[1]))
    assert fired == rules.fired


@quick
@given(
    ones=st.lists(st.tuples(st.sampled_from([OPEN, CLOSE]), minutes), max_size=6),
    others=st.lists(st.tuples(st.sampled_from([OPEN, CLOSE]), minutes), max_size=6),
)
def test_a_visitor_and_a_customer_are_joined_to_one(ones: list[tuple[str, int]], others: list[tuple[str, int]]) -> None:
    def of(arrivals: list[tuple[str, int]]) -> Progress:
        state = Progress()
        for what, minute in arrivals:
            if what == OPEN:
                progress.begin(state, at(minute), span(WINDOW), {"at": at(minute).isoformat()})
            else:
                progress.close(state, at(minute))
        return state

    one, other = of(ones), of(others)
    joined, swapped = progress.joined(one, other, span(WINDOW)), progress.joined(other, one, span(WINDOW))
    assert joined == swapped
    closings = [minute for what, minute in [*ones, *others] if what == CLOSE]
    assert joined.closed_at == (at(max(closings)) if closings else None)
    open_ones = [progress.opened_at(p) for p in (one, other) if p.deadline is not None]
    if joined.deadline is not None:
        assert progress.opened_at(joined) == min(open_ones)
        assert joined.closed_at is None or joined.closed_at < min(open_ones)
    elif open_ones:
        assert joined.closed_at is not None and joined.closed_at >= min(open_ones)
