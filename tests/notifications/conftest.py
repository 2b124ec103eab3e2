"""A deliverer whose clock a test moves."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from rapport.notifications import service
from rapport.notifications.deliverer import Deliverer
from rapport.stores import Stores
from rapport.stores.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """The deliverer's clock, standing at the real time."""
    made = Clock()
    made.set(datetime.now(UTC))
    return made


@pytest.fixture
def deliverer(stores: Stores, clock: Clock) -> Iterator[Deliverer]:
    service.stop()  # one deliverer only, or the other takes what this one is to take
    made = Deliverer(stores, clock, timeout=3)
    made.start()
    yield made
    made.stop()
