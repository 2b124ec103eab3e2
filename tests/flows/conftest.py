"""One company for all flows, and a deliverer that posts to its vendors."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "campaigns"))

from flow_company import DATA_DATE, MORNING, Company

from rapport.campaigns.cycle import daily
from rapport.campaigns.delivery.engagements import SECRET_MEMBERS
from rapport.notifications.deliverer import Deliverer
from rapport.realtime import service as realtime
from rapport.stores import Stores
from rapport.stores.workers.base import running


@pytest.fixture(scope="session")
def living(stores: Stores, base_url: str) -> Iterator[Company]:
    made = Company(stores, base_url)
    daily.run_cycle(made.scope, DATA_DATE)
    yield made
    made.admin.close()


@pytest.fixture
def company(living: Company) -> Iterator[Company]:
    """The company in the morning; what it is to tell is posted."""
    living.at(MORNING)
    with running(Deliverer(living.scope.stores, SECRET_MEMBERS)):
        yield living
    living.scope.clock.set(None)


@pytest.fixture(scope="module")
def real_time(living: Company) -> Iterator[None]:
    """The workers of real time: events set off triggers, gateways are asked."""
    with running(*realtime.workers(living.scope.stores)):
        yield
