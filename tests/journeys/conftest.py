"""The tenants of the tests of triggers serve here too."""

import sys
from pathlib import Path

import pytest

from rapport.access.scope import Scope
from rapport.access.service import create_tenant

for neighbour in ("realtime", "campaigns", "conditions", "notifications"):
    sys.path.append(str(Path(__file__).parents[1] / neighbour))


@pytest.fixture
def world(scope: Scope, request: pytest.FixtureRequest) -> Scope:
    """A tenant of the test's own, at NOW."""
    from trigger_world import fill

    tenant = create_tenant(scope.stores, f"journeys {request.node.name}"[:100], time_zone="Europe/Berlin")
    fill(tenant)
    return tenant
