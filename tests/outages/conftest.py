"""Servers whose engines are taken away from them, in processes of their own: nobody else is disturbed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for neighbour in ("campaigns", "notifications"):
    sys.path.append(str(Path(__file__).parents[1] / neighbour))

from served import Outside, Served, outside_world, serving  # noqa: E402


@pytest.fixture(scope="package")
def outside() -> Iterator[Outside]:
    """A mail server and a listener."""
    with outside_world() as world:
        yield world


@pytest.fixture(scope="package")
def served(outside: Outside) -> Iterator[Served]:
    """A server with a tenant whose triggers write mail and tell the listener."""
    with serving(outside) as server:
        yield server
