"""The tenant of campaign_world."""

from collections.abc import Iterator

import pytest
from campaign_world import NOW, fill

from rapport.access.scope import Scope


@pytest.fixture(scope="module")
def world(scope: Scope) -> Iterator[Scope]:
    """The module's tenant with every row of campaign_world; the clock stands at its NOW."""
    scope.clock.set(NOW)
    fill(scope)
    yield scope
    scope.clock.set(None)
