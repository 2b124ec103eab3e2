"""Repeated and sequence triggers against plain rules over everything that has arrived, on random orders of events."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapport.realtime.matching import progress
from rapport.realtime.matching.progress import Progress

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
        if minute < used:
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

OPEN, CLOSE, RESTART = "open", "close", "restart"
steps = st.lists(st.tuples(st.sampled_from([OPEN, OPEN, CLOSE, RESTART]), minutes), max_size=25)


def step(state: Progress, what: str, minute: int) -> None:
    if what == OPEN:
        opening: dict[str, Any] = {"at": at(minute).isoformat(), "minute": minute, "customer_id": ""}
        progress.begin(state, at(minute), span(WINDOW), opening)
    elif what == CLOSE:
        progress.close(state, at(minute))
    else:
        progress.restart(state, at(minute), span(WINDOW))


def in_time(events: list[tuple[str, int]]) -> list[int]:
    """The openings whose sequences end unclosed, of events in the order of their times, told minute by minute."""
    fired, begin, deadline = [], None, -1
    for minute in range(100):
        for what, _ in (one for one in events if one[1] == minute):
            if what == OPEN and begin is None:
                begin, deadline = minute, minute + WINDOW
            elif what == CLOSE:
                begin = None
            elif what == RESTART and begin is not None:
                deadline = minute + WINDOW
        if begin is not None and minute == deadline:
            fired.append(begin)
            begin = None
    return fired


@quick
@given(
    events=st.lists(
        st.tuples(st.sampled_from([OPEN, OPEN, CLOSE, RESTART]), minutes), max_size=25, unique_by=lambda one: one[1]
    )
)
def test_a_sequence_ends_as_the_plain_rules_say(events: list[tuple[str, int]]) -> None:
    state, fired = Progress(), []
    for minute in range(100):
        for what, _ in (one for one in events if one[1] == minute):
            step(state, what, minute)
        if state.deadline is not None and state.deadline <= at(minute):
            fired.append(progress.end(state)["minute"])
    assert fired == in_time(events)


within = st.integers(0, WINDOW)


@quick
@given(openings=st.lists(within, min_size=1, max_size=5))
def test_whichever_event_of_a_window_was_first_opens(openings: list[int]) -> None:
    state = Progress()
    for minute in openings:
        step(state, OPEN, minute)
    (one,) = state.sequences
    assert (one.opened_at, one.deadline) == (at(min(openings)), at(min(openings) + WINDOW))


@quick
@given(opening=within, closings=st.lists(within, max_size=5), chance=st.randoms())
def test_an_opening_and_closings_may_come_in_any_order(opening: int, closings: list[int], chance: Random) -> None:
    events = [(OPEN, opening), *((CLOSE, minute) for minute in closings)]
    state = Progress()
    for what, minute in chance.sample(events, len(events)):
        step(state, what, minute)
    assert state.deadline == (None if max([-1, *closings]) >= opening else at(opening + WINDOW))


@quick
@given(
    restarts=st.lists(st.integers(0, WINDOW), max_size=6),
    closing=st.none() | st.integers(0, 2 * WINDOW),
    first=st.booleans(),
)
def test_a_closing_event_may_come_before_restart_events_of_before_it(
    restarts: list[int], closing: int | None, first: bool
) -> None:
    """Although it lay after the deadline as it was known when it came."""
    state = Progress()
    step(state, OPEN, 0)
    if closing is not None and first:
        step(state, CLOSE, closing)
    for minute in restarts:
        step(state, RESTART, minute)
    if closing is not None and not first:
        step(state, CLOSE, closing)
    deadline = max([0, *restarts]) + WINDOW
    assert state.deadline == (at(deadline) if closing is None or closing > deadline else None)


@quick
@given(
    events=st.lists(
        st.tuples(st.sampled_from([OPEN, OPEN, CLOSE, RESTART]), minutes), max_size=25, unique_by=lambda one: one[1]
    )
)
def test_sequences_that_are_ended_late_are_the_same(events: list[tuple[str, int]]) -> None:
    """The next one is opened although the one before it has not been taken off."""
    state, fired = Progress(), []
    for minute in range(100):
        for what, _ in (one for one in events if one[1] == minute):
            step(state, what, minute)
    while state.sequences:
        fired.append(progress.end(state)["minute"])
    assert fired == in_time(events)


def test_what_opens_in_a_window_that_has_ended_opens_nothing() -> None:
    state = Progress()
    step(state, OPEN, 0)
    progress.end(state)
    step(state, OPEN, WINDOW)
    assert state.deadline is None
    step(state, OPEN, WINDOW + 1)
    assert state.deadline == at(2 * WINDOW + 1)


@quick
@given(ones=steps, others=steps)
def test_a_visitor_and_a_customer_are_joined_to_one(ones: list[tuple[str, int]], others: list[tuple[str, int]]) -> None:
    def of(arrivals: list[tuple[str, int]]) -> Progress:
        state = Progress()
        for what, minute in arrivals:
            step(state, what, minute)
        return state

    one, other = of(ones), of(others)
    joined, swapped = progress.joined(one, other, span(WINDOW)), progress.joined(other, one, span(WINDOW))
    assert (joined.deadline, joined.closed_at) == (swapped.deadline, swapped.closed_at)
    closings = [minute for what, minute in [*ones, *others] if what == CLOSE]
    assert joined.closed_at == (at(max(closings)) if closings else None)
    every = [found for p in (one, other) for found in p.sequences]
    standing = [(found.opened_at, found.deadline) for found in every]
    if joined.closed_at is not None:
        standing = [(begin, deadline) for begin, deadline in standing if begin > joined.closed_at]
    assert (joined.sequences[0].opened_at if joined.sequences else None) == min((b for b, _ in standing), default=None)
    for begin, deadline in standing:
        assert any(kept.opened_at <= begin and deadline <= kept.deadline for kept in joined.sequences) or any(
            kept.covers(begin) for kept in joined.sequences
        )


@quick
@given(events=st.lists(st.tuples(st.booleans(), minutes), max_size=12))
def test_events_of_two_who_turn_out_to_be_one_all_count(events: list[tuple[bool, int]]) -> None:
    visitor, customer = Progress(), Progress()
    for is_visitor, minute in events:
        progress.count(visitor if is_visitor else customer, at(minute), span(WINDOW), 100)
    joined = progress.joined(customer, visitor, span(WINDOW))
    newest = max((minute for _, minute in events), default=0)
    assert joined.times == sorted(at(minute) for _, minute in events if minute >= newest - WINDOW)
