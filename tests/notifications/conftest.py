"""A deliverer whose clock a test moves."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from webhook_receiver import PATIENCE_SECONDS

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
def patient(stores: Stores, clock: Clock) -> Iterator[Deliverer]:
    """A deliverer that waits for an answer for as long as a test waits."""
    made = Deliverer(stores, {}, clock, timeout=PATIENCE_SECONDS)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def deliverer(stores: Stores, clock: Clock) -> Iterator[Deliverer]:
    made = Deliverer(stores, {}, clock, timeout=3)
    made.start()
    yield made
    made.stop()
