"""Advisory locks: who holds one, for how long, and that no number has changed."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Connection

from rapport.stores import Stores
from rapport.stores.records import locks
from rapport.stores.records.locks import Lock


@pytest.fixture
def one(stores: Stores) -> Iterator[Connection]:
    with stores.records.engine.connect() as connection:
        yield connection


@pytest.fixture
def other(stores: Stores) -> Iterator[psycopg.Connection]:
    with stores.records.listening() as connection:
        yield connection


def test_numbers_are_those_of_earlier_releases_which_may_run_beside() -> None:
    assert {lock.name: int(lock) for lock in Lock} == {
        "IMPORTS": 7001,
        "CUSTOMER_WRITES": 7002,
        "WRITES_AND_EVENT_TYPES": 7003,
        "INTERACTIONS": 7011,
        "IMPORTS_OF_CUSTOMERS": 7021,
        "IMPORTS_OF_TRANSACTIONS": 7022,
        "IMPORTS_OF_ITEMS": 7023,
        "IMPORTS_OF_PRODUCTS": 7024,
        "IMPORTS_OF_ACTIVITY": 7025,
        "LEADERS": 7100,
        "VISITOR_MERGES": 7102,
        "ROLES": 7300,
        "PROCESS_NAMES": 7301,
        "MIGRATIONS": 7246773,
    }


@pytest.mark.parametrize("is_large", [False, True])
def test_a_lock_of_a_session_is_held_beyond_its_transactions(
    one: Connection, other: psycopg.Connection, is_large: bool
) -> None:
    place = (2**62 + secrets.randbits(61),) if is_large else (Lock.IMPORTS, 10**9 + secrets.randbits(20))
    locks.take(one, *place)
    one.rollback()
    assert not locks.take_if_free(other, *place)
    locks.release(one, *place)
    assert locks.take_if_free(other, *place)
    locks.release_all(other)
    assert locks.take_if_free(one, *place)
    locks.release(one, *place)


def test_a_lock_of_a_transaction_ends_with_it(one: Connection, other: psycopg.Connection) -> None:
    place = (Lock.VISITOR_MERGES, 10**9 + secrets.randbits(20))
    locks.take_for_transaction(one, *place)
    assert not locks.take_if_free(other, *place)
    one.rollback()
    assert locks.take_if_free(other, *place)


def test_holders_are_counted_by_key(one: Connection, other: psycopg.Connection) -> None:
    key = 10**9 + secrets.randbits(20)
    assert key not in locks.holders(one, Lock.ROLES)
    locks.take_shared(one, Lock.ROLES, key)
    locks.take_shared(other, Lock.ROLES, key)
    assert locks.holders(one, Lock.ROLES)[key] == locks.holders(other, Lock.ROLES)[key] == 2
    locks.release_shared(other, Lock.ROLES, key)
    assert locks.holders(other, Lock.ROLES)[key] == 1
    locks.release_all(one)
    assert key not in locks.holders(one, Lock.ROLES)
