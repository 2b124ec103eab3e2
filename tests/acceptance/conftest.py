"""A small demo, lived once a run, for the tests that look at the whole."""

from collections.abc import Iterator

import httpx
import pytest
from lived import Demo

from rapport.access.scope import scope_of
from rapport.demo.run import run_demo
from rapport.stores import Stores


@pytest.fixture(scope="session")
def demo(stores: Stores, base_url: str) -> Iterator[Demo]:
    result = run_demo(stores, customers=1200, days=5)
    headers = {"X-API-KEY": result.admin_key}
    with httpx.Client(base_url=base_url, headers=headers, timeout=60) as client:
        yield Demo(scope_of(stores, result.tenant_id), result, client)
