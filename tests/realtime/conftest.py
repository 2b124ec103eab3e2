"""The servers and customers of the tests of campaigns and notifications serve here too."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rapport.access.scope import Scope

for neighbour in ("campaigns", "conditions", "notifications", "promotions"):
    sys.path.append(str(Path(__file__).parents[1] / neighbour))

from senders import Sender  # noqa: E402


@pytest.fixture(scope="module")
def sender(base_url: str, scope: Scope) -> Iterator[Sender]:
    """Who sends events of the module's tenant."""
    made = Sender(base_url, scope)
    yield made
    made.client.close()
