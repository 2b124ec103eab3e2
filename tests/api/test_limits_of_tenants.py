"""What a tenant may use of a server that it shares: only the operator changes it, and it counts over all keys."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from rapport.access import keys
from rapport.access.limits import RateLimiter, share, source
from rapport.access.scope import Scope
from rapport.access.tenant_limits import change_limits
from rapport.app import create_app
from rapport.errors import TooManyRequests
from rapport.realtime.events.pacing import EventRateLimiter
from rapport.realtime.events.tokens import SDK_TOKEN, rotate, tokens
from rapport.stores import Stores
from served_app import serving

LIMITS, KEYS = "/manage/v1/tenants/current/limits", "/manage/v1/keys"
KEY = {"nickname": "export", "contact_email": "data@example.com", "access_type": "Integrations"}
OPERATOR = {"X-Rapport-Operator": "a token of the test"}


@pytest.fixture(scope="module")
def counting(stores: Stores) -> Iterator[str]:
    """A server that counts: 5 calls of a key a minute."""
    app = create_app(stores, OPERATOR["X-Rapport-Operator"])
    app.state.limiter = RateLimiter(5, 60)
    app.state.event_limiter = EventRateLimiter(lambda: 1000.0)
    with serving(app) as url:
        yield url


@pytest.fixture
def limited(counting: str, scope: Scope) -> Iterator[Any]:
    """What the operator's change of limits answers; they are the usual ones afterwards."""

    def change(**limits: int | None) -> dict[str, int]:
        headers = {**OPERATOR, "X-Rapport-Tenant": str(scope.tenant_id)}
        answer = httpx.patch(counting + LIMITS, json=limits, headers=headers)
        assert answer.status_code == 200, answer.text
        changed: dict[str, int] = answer.json()
        return changed

    yield change
    change(calls=None, app_events=None, keys=None)


def test_only_the_operator_changes_limits(api: httpx.Client, limited: Any) -> None:
    usual = api.get(LIMITS).json()
    assert usual == {"calls": 0, "app_events": 20_000, "keys": 100}
    assert api.patch(LIMITS, json={"calls": 10}).status_code == 403
    assert api.patch("/manage/v1/tenants/current", json={"calls_limit": 10}).status_code == 400
    assert limited(calls=10) == {**usual, "calls": 10} == api.get(LIMITS).json()
    assert limited(calls=None) == usual


def test_calls_are_counted_over_all_keys_of_a_tenant(counting: str, scope: Scope, limited: Any) -> None:
    limited(calls=8)
    change_limits(scope, {"calls": 0})
    first, second, unlimited = (keys.create_key(scope, "a", "a@b.example", "Admin", rate_limit=n)[1] for n in (5, 5, 0))
    limited(calls=8)

    def statuses(key: str, number: int) -> Counter[int]:
        path = f"{counting}/current/general/GetLastDataUpdate"
        return Counter(httpx.get(path, headers={"X-API-KEY": key}).status_code for _ in range(number))

    assert statuses(first, 9) == {200: 5, 429: 4}  # what a key has not itself is not taken from the others
    assert statuses(second, 5) == {200: 3, 429: 2}
    assert statuses(unlimited, 2) == {429: 2}


def test_each_of_several_api_processes_has_its_share_of_what_all_may_take(
    counting: str, scope: Scope, stores: Stores, limited: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [share(limit, 3) for limit in (0, 1, 3, 10, 500)] == [0, 1, 1, 4, 167]
    _, key = keys.create_key(scope, "a", "a@b.example", "Admin")
    monkeypatch.setattr(Stores, "api_processes", 2)
    limited(calls=6)

    def statuses(key: str) -> list[int]:
        path = f"{counting}/current/general/GetLastDataUpdate"
        return [httpx.get(path, headers={"X-API-KEY": key}).status_code for _ in range(6)]

    assert statuses(key) == [200] * 3 + [429] * 3
    assert statuses("wrong")[3:] == [429] * 3


def test_attempts_count_against_whoever_may_have_the_address() -> None:
    same = ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:0DB8:1:2::")
    assert {source(one) for one in same} == {"2001:db8:1:2::/64"}
    others = ("2001:db8:1:3::1", "192.0.2.1", "192.0.2.2", "::ffff:192.0.2.3", "::ffff:192.0.2.4", "", "unix")
    assert len({source(one) for one in others}) == len(others)


@pytest.mark.parametrize(("rate_limit", "status"), [(0, 400), (801, 400), (800, 201), (None, 201)])
def test_a_key_has_at_most_the_calls_of_its_tenant(
    api: httpx.Client, limited: Any, rate_limit: int | None, status: int
) -> None:
    limited(calls=800)
    answer = api.post(KEYS, json={**KEY, "rate_limit": rate_limit})
    assert answer.status_code == status
    assert status == 201 or answer.json()["detail"].startswith("rate_limit must be 1 to 800, ")


def test_a_tenant_has_so_many_keys(api: httpx.Client, limited: Any) -> None:
    number = len(api.get(KEYS).json())
    limited(keys=number + 2)
    with ThreadPoolExecutor(5) as callers:
        answers = list(callers.map(lambda _: api.post(KEYS, json=KEY), range(5)))
    assert Counter(answer.status_code for answer in answers) == {201: 2, 409: 3}
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert f"has {number + 2} keys" in refused.json()["detail"]
    made = next(answer for answer in answers if answer.status_code == 201).json()
    assert api.delete(f"{KEYS}/{made['id']}").status_code == 204
    assert api.post(KEYS, json=KEY).status_code == 201


def app_events(scope: Scope, number: int) -> list[dict[str, Any]]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        {"tenant": scope.tenant_id, "event": "set_page_visit", "visitor": f"{n:016x}", "timestamp": now, "context": {}}
        for n in range(number)
    ]


def test_events_of_apps_are_counted_whoever_they_are_of(counting: str, scope: Scope, limited: Any) -> None:
    replaced = tokens(scope)[SDK_TOKEN].value
    present = rotate(scope, SDK_TOKEN, 1).value
    limited(app_events=120)

    def send(token: str, number: int) -> httpx.Response:
        return httpx.post(f"{counting}/v1/optistream/{token}", json=app_events(scope, number))

    assert [send(replaced, number).status_code for number in (60, 1)] == [200, 429]
    assert send(present, 60).status_code == 200
    refused = send(present, 1)
    assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
    assert refused.headers["access-control-allow-origin"] == "*"
    limited(app_events=0)
    assert send(present, 100).status_code == 200


def test_the_limit_of_apps_is_each_tenants_own_and_passes() -> None:
    now = [0.0]
    limiter = EventRateLimiter(lambda: now[0])
    limiter.take_of_apps(1, "a", 100, 100, is_present=True)
    limiter.take_of_apps(2, "b", 100, 100, is_present=True)
    with pytest.raises(TooManyRequests) as refused:
        limiter.take_of_apps(1, "a", 1, 100, is_present=True)
    now[0] = float(refused.value.retry_after)
    limiter.take_of_apps(1, "a", 1, 100, is_present=True)


@pytest.mark.parametrize(("limit", "is_present"), [(50, True), (100, False), (1, True), (1, False)])
def test_a_body_with_more_events_than_the_limit_is_taken_where_there_are_no_others(
    limit: int, is_present: bool
) -> None:
    now = [0.0]
    limiter = EventRateLimiter(lambda: now[0])
    for _ in range(2):
        limiter.take_of_apps(1, "token", 100, limit, is_present=is_present)
        with pytest.raises(TooManyRequests):
            limiter.take_of_apps(1, "token", 1, limit, is_present=is_present)
        now[0] += 20
