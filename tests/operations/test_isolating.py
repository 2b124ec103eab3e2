"""Bad items are set aside one by one, whatever they stand between; what is not about the items is raised."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.stores.isolating import isolate

ITEMS = st.lists(st.booleans(), max_size=60)


class Bad(Exception):
    """What an item does to the work on all."""


class Outage(Exception):
    """What is no item's fault."""


def is_outage(error: Exception) -> bool:
    return isinstance(error, Outage)


@given(ITEMS)
def test_the_good_are_worked_on_once_and_in_order_and_the_bad_set_aside(goods: list[bool]) -> None:
    items, aside, calls = list(enumerate(goods)), list[tuple[int, bool]](), []

    def work(some: Sequence[tuple[int, bool]]) -> list[int]:
        calls.append(len(some))
        if not all(good for _, good in some):
            raise Bad
        return [number for number, _ in some]

    answers = isolate(items, work, lambda one, error: aside.append(one), is_outage)
    assert [number for answer in answers for number in answer] == [number for number, good in items if good]
    assert aside == [one for one in items if not one[1]]
    assert len(calls) <= 1 + 2 * len(aside) * max(1, len(items)).bit_length(), "a bad one costs a search, not all"
    assert 0 not in calls


@given(ITEMS, st.integers(0, 59))
def test_an_outage_is_raised_at_once(goods: list[bool], failing: int) -> None:
    items, worked, aside = list(enumerate(goods)), list[int](), list[int]()

    def work(some: Sequence[tuple[int, bool]]) -> None:
        if not all(good for _, good in some):
            raise Bad
        if some[-1][0] >= failing:
            raise Outage
        worked.extend(number for number, _ in some)

    def put_aside(one: tuple[int, bool], error: Exception) -> None:
        assert type(error) is Bad
        aside.append(one[0])

    if any(good for _, good in items[failing:]):
        with pytest.raises(Outage):
            isolate(items, work, put_aside, is_outage)
    else:
        isolate(items, work, put_aside, is_outage)
    assert sorted(worked + aside) == list(range(len(worked) + len(aside))), "nothing is passed over before it"


def test_what_putting_aside_raises_is_raised() -> None:
    def refuse(one: int, error: Exception) -> None:
        raise error

    def work(some: Sequence[int]) -> None:
        raise Bad

    with pytest.raises(Bad):
        isolate([1, 2, 3], work, refuse, is_outage)
