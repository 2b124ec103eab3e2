"""Slow calls of one tenant take its share of the threads, wait beyond it, and leave the rest to others."""

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.api.http import shares
from rapport.app import create_app
from rapport.stores import Stores
from rapport.stores.turns import FairQueues
from served_app import serving

SLOW, LIGHT = "/manage/v1/slow", "/manage/v1/brands"


class Slow:
    """A route of a test that does not end before it is let go."""

    def __init__(self) -> None:
        self.under_way = self.most = 0
        self.let_go = threading.Event()
        self._lock = threading.Lock()

    def __call__(self) -> str:
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self.let_go.wait(60)
        with self._lock:
            self.under_way -= 1
        return "done"


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def address(stores: Stores, slow: Slow) -> Iterator[str]:
    app = create_app(stores)
    app.add_api_route(SLOW, lambda: slow(), methods=["GET", "POST"])
    with serving(app) as url:
        yield url


def caller(address: str, tenant: Scope) -> httpx.AsyncClient:
    _, secret = keys.create_key(tenant, "tests", "tests@example.com", "Admin", rate_limit=0)
    many = httpx.Limits(max_connections=1000)
    return httpx.AsyncClient(base_url=address, headers={"X-API-KEY": secret}, timeout=60, limits=many)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_slow_calls_of_one_tenant_hold_up_no_other(
    stores: Stores, scope: Scope, address: str, slow: Slow, method: str
) -> None:
    other = create_tenant(stores, f"another of {scope.tenant_id} {method}")

    async def run() -> None:
        async with caller(address, scope) as mine, caller(address, other) as others:
            calls = [asyncio.create_task(mine.request(method, SLOW, json=[])) for _ in range(2 * shares.THREADS)]
            while slow.under_way < shares.THREADS // 2:
                await asyncio.sleep(0.01)
            for _ in range(5):
                assert (await others.get(LIGHT)).status_code == 200
            assert not slow.let_go.is_set()
            slow.let_go.set()
            assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}

    try:
        asyncio.run(run())
    finally:
        slow.let_go.set()
    assert slow.most == shares.THREADS // 2


def test_what_cannot_wait_is_told_to_come_again(
    scope: Scope, address: str, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_WAITING", 3)

    async def run() -> None:
        async with caller(address, scope) as mine:
            calls = [asyncio.create_task(mine.get(SLOW)) for _ in range(shares.THREADS // 2)]
            while slow.under_way < shares.THREADS // 2:
                await asyncio.sleep(0.01)
            # Whichever comes last is refused, while the others wait.
            calls += [asyncio.create_task(mine.get(LIGHT)) for _ in range(4)]
            (first,), _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            calls.remove(first)
            refused = first.result()
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert refused.json()["detail"] == shares.CROWDED
            slow.let_go.set()
            assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}
            assert (await mine.get(LIGHT)).status_code == 200

    try:
        asyncio.run(run())
    finally:
        slow.let_go.set()


@pytest.mark.parametrize(
    ("customers", "padding", "status"),
    [(1, 0, 404), (20, 0, 404), (21, 0, 503), (1, shares.SMALL_BODY, 503)],
)
def test_validations_of_few_customers_take_no_place(
    scope: Scope, address: str, monkeypatch: pytest.MonkeyPatch, customers: int, padding: int, status: int
) -> None:
    monkeypatch.setattr(shares, "MOST_WAITING", 0)
    body = {"contexts": [{"customerId": "Q1"}] * customers, "padding": "-" * padding}

    async def run() -> httpx.Response:
        async with caller(address, scope) as mine:
            return await mine.post("/v1/promotions/none/validateCustomers", json=body)

    answer = asyncio.run(run())
    assert answer.status_code == status
    assert (shares.CROWDED in answer.text) == (status == 503)


def test_every_tenant_finds_a_place_and_who_gave_up_leaves_none_taken() -> None:
    async def run() -> list[int]:
        places = shares.Places(8)
        tasks = {tenant: [asyncio.create_task(places.take(tenant)) for _ in range(9)] for tenant in (1, 2, 3)}
        await asyncio.sleep(0)
        taken = [sum(task.done() for task in tasks[tenant]) for tenant in (1, 2, 3)]
        for tenant, some in tasks.items():
            for task in some:
                task.cancel() if not task.done() else places.give_back(tenant)
        await asyncio.sleep(0)
        await asyncio.wait_for(places.take(4), 5)
        return [*taken, *(places.waiting(tenant) for tenant in (1, 2, 3))]

    assert asyncio.run(run()) == [4, 2, 1, 0, 0, 0]


def test_tenants_with_long_lines_take_turns() -> None:
    turns, met = FairQueues[int](2), list[int]()
    for tenant in (1, 2, 3) * 3:
        turns.join(tenant, 0)
    under_way = [tenant for tenant, _ in turns.admitted()]
    for _ in range(6):
        turns.give_back(under_way.pop(0))
        admitted = [tenant for tenant, _ in turns.admitted()]
        under_way += admitted
        met += admitted
    assert met == [3, 1, 2, 3, 1, 2]
