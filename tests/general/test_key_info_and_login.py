"""Api Key Info and the legacy login."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest

from rapport.access import keys, users
from rapport.access.scope import Scope
from rapport.stores import Stores

INFO, DATA, LOGIN = "/current/apikey/GetApiKeyInfo", "/current/general/GetLastDataUpdate", "/current/general/login"
PASSWORD = "correct horse battery"


def test_key_info_tells_of_the_caller(scope: Scope, base_url: str) -> None:
    scope.clock.set(datetime(2026, 3, 1, 23, 30, tzinfo=UTC))  # already the 2nd in Berlin
    _, secret = keys.create_key(scope, "sms", "ops@example.com", "Integrations", expires_on=date(2099, 1, 2))
    scope.clock.set(None)
    expected = {
        "Nickname": "sms",
        "ContactEmail": "ops@example.com",
        "AccessType": "Integrations",
        "Status": "Active",
        "CreationDate": "2026-03-02",
        "ExpirationDate": "2099-01-02",
        "TenantID": scope.tenant_id,
    }
    for path in (INFO, "/ApiKey/GetApiKeyInfo", "/current/general/GetApiKeyInfo", "/current/general/apikey/info"):
        answer = httpx.get(base_url + path, headers={"x-api-key": secret})
        assert answer.json() == expected
        assert secret not in answer.text
    assert httpx.get(base_url + INFO).status_code == 401


@pytest.fixture
def legacy(stores: Stores) -> Iterator[None]:
    stores.settings.legacy_login = True
    yield
    stores.settings.legacy_login = False
    stores.clock.set(None)


@pytest.fixture
def user(scope: Scope, request: pytest.FixtureRequest) -> str:
    """A user who was made while login was on."""
    name, settings = f"User-{request.node.name}-{time.time_ns()}", scope.stores.settings
    was, settings.legacy_login = settings.legacy_login, True
    users.create_user(scope, name, PASSWORD)
    settings.legacy_login = was
    return name


def log_in(base_url: str, name: str, password: str = PASSWORD) -> httpx.Response:
    return httpx.post(base_url + LOGIN, json={"UserName": name, "password": password})


def called(base_url: str, token: str, **headers: str) -> httpx.Response:
    return httpx.get(base_url + DATA, headers={"Authorization-Token": token, **headers})


def test_login_is_off_by_default(base_url: str, user: str) -> None:
    assert log_in(base_url, user).status_code == 404
    assert called(base_url, "anything").status_code == 401


def test_a_token_lives_twenty_minutes_from_its_last_use(legacy: None, base_url: str, user: str, scope: Scope) -> None:
    scope.clock.set(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))
    answer = log_in(base_url, user.upper())
    token = answer.json()
    assert answer.text == f'"{token}"'
    for _ in range(3):
        scope.clock.advance(timedelta(minutes=19))
        assert called(base_url, token).json() == {"Date": None}
    scope.clock.advance(timedelta(minutes=20, seconds=1))
    expired = called(base_url, token)
    assert (expired.status_code, expired.text) == (403, "Authorization-Token Expired")
    time.sleep(1)
    assert log_in(base_url, user).json() != token


def test_a_needless_or_hasty_login_is_refused(legacy: None, base_url: str, user: str) -> None:
    assert log_in(base_url, user).status_code == 200
    hasty = log_in(base_url, user)
    time.sleep(1.05)
    needless = log_in(base_url, user)
    for answer in (hasty, needless):
        assert answer.status_code == 429
        assert set(answer.json()) == {"status", "error", "message"}
    assert "still valid" in needless.json()["message"]


def test_wrong_credentials(legacy: None, base_url: str, user: str) -> None:
    assert log_in(base_url, user, "wrong password").status_code == 401
    assert log_in(base_url, f"nobody-{time.time_ns()}").status_code == 401
    assert httpx.post(base_url + LOGIN, json={"Username": user}).status_code == 400
    assert httpx.get(base_url + LOGIN).status_code == 405
    assert called(base_url, "unknown").status_code == 401


def test_the_key_wins_over_the_token(legacy: None, base_url: str, user: str, api: httpx.Client) -> None:
    token = log_in(base_url, user).json()
    assert called(base_url, token).status_code == 200
    assert called(base_url, token, **{"X-API-KEY": "wrong"}).status_code == 401
    assert called(base_url, "wrong", **{"X-API-KEY": api.headers["x-api-key"]}).status_code == 200
    with_token = httpx.get(base_url + INFO, headers={"Authorization-Token": token})
    assert with_token.status_code == 404


def test_users_are_managed_and_their_passwords_kept_hashed(legacy: None, api: httpx.Client, base_url: str) -> None:
    name = f"vendor-{time.time_ns()}"
    body = {"username": name, "password": PASSWORD, "access_type": "Integrations"}
    made = api.post("/manage/v1/users", json=body)
    assert made.status_code == 201
    assert PASSWORD not in made.text
    assert api.post("/manage/v1/users", json=body).status_code == 409
    assert made.json() in api.get("/manage/v1/users").json()
    token = log_in(base_url, name).json()
    refused = httpx.get(base_url + "/current/model/GetMicrosegmentList", headers={"Authorization-Token": token})
    assert refused.status_code == 403
    assert api.delete(f"/manage/v1/users/{made.json()['id']}").status_code == 204
    assert called(base_url, token).status_code == 401


def test_no_user_is_made_while_login_is_off(api: httpx.Client) -> None:
    refused = api.post("/manage/v1/users", json={"username": "useless", "password": PASSWORD})
    assert (refused.status_code, refused.json()["detail"]) == (409, users.LOGIN_OFF)
    assert "useless" not in {one["username"] for one in api.get("/manage/v1/users").json()}


def test_equal_passwords_are_stored_differently() -> None:
    first, second = users.hashed_password(PASSWORD), users.hashed_password(PASSWORD)
    assert first != second
    assert users.password_fits(PASSWORD, first)
    assert not users.password_fits(PASSWORD + " ", first)
