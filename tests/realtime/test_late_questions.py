"""Leases of questions to gateways that come late, as when the records hung, are anybody's and are left."""

import time
from datetime import datetime
from threading import Timer

import pytest
from asked_firings import campaign, fire, firing
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.realtime.gateway_worker import SPARE, Questions

HALF = SPARE.total_seconds() / 2


@pytest.fixture
def waiting(scope: Scope) -> int:
    """A firing that waits to be asked about, while nobody asks."""
    (made,) = fire(scope, campaign(scope), "Late")
    return made


def leased(scope: Scope, number: int) -> datetime | None:
    return firing(scope, number).leased_until


def test_what_waited_too_long_before_it_is_asked_for_leases_nothing(scope: Scope, waiting: int) -> None:
    assert Questions(scope.stores).claim(100, {}, since=time.monotonic() - HALF) == []
    assert leased(scope, waiting) is None
    (found,) = Questions(scope.stores).claim(100, {})
    assert (found.firing_id, found.lease) == (waiting, leased(scope, waiting))


def test_what_is_leased_too_late_is_left_until_it_runs_out(scope: Scope, waiting: int) -> None:
    with scope.stores.records.engine.connect() as connection:
        connection.execute(text("LOCK TABLE gateways IN ACCESS EXCLUSIVE MODE"))
        going_on = Timer(0.3, connection.rollback)
        going_on.start()
        assert Questions(scope.stores).claim(100, {}, since=time.monotonic() - HALF + 0.25) == []
        going_on.join()
    assert leased(scope, waiting) is not None
