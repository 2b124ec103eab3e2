"""A new attribute waits for whoever swaps the tables of customers: its column is never lost."""

import threading

import pytest

from rapport.access.scope import Scope
from rapport.customers import attributes, changes
from rapport.customers.attributes import AttributeInfo
from rapport.customers.writes import locks
from rapport.insight import snapshot

SWAP = "CREATE TABLE aside CLONE AS profiles"


def created(scope: Scope) -> None:
    changes.create_attribute(scope, AttributeInfo("SHOE_SIZE", "Shoe size", "", "Int", "batch"))


@pytest.mark.parametrize(("make", "column"), [(created, "SHOE_SIZE"), (snapshot.declare_attributes, "FUTURE_VALUE")])
def test_a_column_survives_a_swap_that_was_under_way(scope: Scope, make: object, column: str) -> None:
    thread = threading.Thread(target=make, args=(scope,))  # type: ignore[arg-type]
    with locks.writing(scope):
        scope.warehouse.execute(SWAP)
        thread.start()
        thread.join(timeout=1)
        scope.warehouse.execute("EXCHANGE TABLES aside AND profiles")
        scope.warehouse.execute("DROP TABLE aside SYNC")
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert column in attributes.attributes(scope)
    assert column in scope.warehouse.columns("profiles")
