"""Servers whose engines are taken away from them, in processes of their own: nobody else is disturbed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for neighbour in ("campaigns", "notifications", "operations"):
    sys.path.append(str(Path(__file__).parents[1] / neighbour))

from served import Outside, Served, outside_world, serving  # noqa: E402
from url_engines import WarehouseServer, warehouse_server  # noqa: E402


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    """A mail server and a listener."""
    with outside_world() as world:
        yield world


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseServer]:
    """A warehouse of its own that can be taken away."""
    with warehouse_server(tmp_path_factory.mktemp("warehouse")) as server:
        yield server


@pytest.fixture(scope="module")
def served(outside: Outside, warehouse: WarehouseServer) -> Iterator[Served]:
    """A server with a tenant whose triggers write mail and tell the listener."""
    with serving(outside, warehouse.url) as server:
        yield server
