"""Profiles that many callers ask for at the same time: each gets its own customers and columns, as they are by then."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest

from rapport.access.scope import Scope
from rapport.audiences.lookups import FEW, lookups
from rapport.customers import attributes
from rapport.customers.attributes import AttributeInfo

DAY = date(2026, 3, 9)
EXPRESSIONS = ["`COUNTRY`", "`POINTS`", "`POINTS` * 2", "upper(`CITY`)"]


def expected(number: int) -> list[Any]:
    """What EXPRESSIONS are for a customer."""
    return [("NL", "BE", None)[number % 3], number, number * 2, f"CITY {number}"]


@pytest.fixture(scope="module", autouse=True)
def customers(scope: Scope) -> Iterator[None]:
    attributes.declare(scope, [AttributeInfo("POINTS", "Points", "", "Int", "batch", api_updatable=True)])
    rows = [[DAY, f"C{n}", *expected(n)[:2], f"city {n}"] for n in range(200)]
    scope.warehouse.insert("customers", ["customer_id", "COUNTRY", "POINTS", "CITY"], [row[1:] for row in rows])
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "COUNTRY", "POINTS", "CITY"], rows)
    yield


def test_each_caller_gets_what_it_asked_for(scope: Scope) -> None:
    def ask(number: int) -> None:
        places = [place for place in range(4) if (number >> place) % 2] or [number % 4]
        numbers = range(number, number + (1, 3, FEW + 5)[number % 3])
        ids = [*(f"C{n}" for n in numbers), f"c{number}"]
        rows = lookups(scope.stores).profiles(scope, DAY, [EXPRESSIONS[place] for place in places], ids)
        wanted = {f"C{n}": [expected(n)[place] for place in places] for n in numbers if n < 200}
        assert {row[0]: list(row[1:]) for row in rows} == wanted and len(rows) == len(wanted)

    with ThreadPoolExecutor(12) as callers:
        for _ in callers.map(ask, range(210)):
            pass


def test_nobody_fails_by_what_another_asks(scope: Scope) -> None:
    def ask(number: int) -> Any:
        try:
            return lookups(scope.stores).profiles(scope, DAY, ["`POINTS`" if number % 4 else "`NO_SUCH`"], ["C7"])
        except Exception as error:
            return error

    with ThreadPoolExecutor(12) as callers:
        for number, answer in enumerate(callers.map(ask, range(60))):
            if number % 4:
                assert answer == [("C7", 7)]
            else:
                assert isinstance(answer, Exception)


def test_what_is_written_is_read_by_whoever_asks_afterwards(scope: Scope) -> None:
    def ask(customer_id: str) -> Any:
        return lookups(scope.stores).profiles(scope, DAY, ["`POINTS`"], [customer_id])[0][1]

    with ThreadPoolExecutor(6) as others:
        for points in (501, 502, 503):
            asking = [others.submit(ask, f"C{number}") for number in range(20, 60)]
            update = f"ALTER TABLE profiles UPDATE POINTS = {points} WHERE customer_id = 'C1'"
            scope.warehouse.execute(update)
            assert ask("C1") == points
            assert [answer.result() for answer in asking] == list(range(20, 60))
