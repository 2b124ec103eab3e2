"""Queries of callers who wait end in time, and only some of a tenant's run at once; background work takes its time."""

from contextlib import ExitStack

import httpx
import pytest
from fastapi import Request

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.api.http.auth import authenticate
from rapport.app import create_app
from rapport.errors import Away, Unavailable
from rapport.stores import Stores
from rapport.stores.warehouse import MANY_READERS, READERS
from rapport.stores.warehouse.warehouse_server import answers_within
from served_app import serving

ENDLESS = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"
LIMIT = "SELECT getSetting('max_execution_time')"


def test_a_query_of_a_caller_who_waits_ends_in_time(scope: Scope) -> None:
    with answers_within(2), pytest.raises(Unavailable) as raised:
        scope.warehouse.value(ENDLESS)
    assert raised.value.message == "A query of this call takes longer than 1 s: ask for less at a time."
    assert scope.warehouse.value("SELECT 1") == 1


def test_readers_of_one_tenant_leave_places_to_others(stores: Stores, scope: Scope) -> None:
    other = stores.warehouse.database("default")
    with answers_within(2), ExitStack() as readers:
        for _ in range(READERS):
            readers.enter_context(stores.warehouse.place_of_reader(scope.warehouse.name))
        assert other.value("SELECT 1") == 1
        with pytest.raises(Away, match=MANY_READERS):
            scope.warehouse.value("SELECT 1")
        readers.close()
        assert scope.warehouse.value("SELECT 1") == 1


@pytest.mark.parametrize(
    ("method", "path", "seconds"),
    [("GET", "/manage/v1/limit", 29), ("POST", "/manage/v1/limit/size", 29), ("POST", "/manage/v1/limit", 0)],
)
def test_requests_that_read_are_bounded(stores: Stores, scope: Scope, method: str, path: str, seconds: int) -> None:
    def limit(request: Request) -> int:
        return int(authenticate(request).scope.warehouse.value(LIMIT))

    app = create_app(stores)
    app.add_api_route(path, limit, methods=[method])
    _, secret = keys.create_key(scope, "tests", "tests@example.com", "Admin")
    with serving(app) as address:
        answer = httpx.request(method, f"{address}{path}", headers={"X-API-KEY": secret})
    assert (answer.status_code, answer.json()) == (200, seconds)
    assert scope.warehouse.value(LIMIT) == 0, "nobody waits"
