"""Credentials that are refused: noted, a flood of them once; nobody locks out or hears of others."""

import time
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from rapport.access import keys, users
from rapport.access.audit import audit_entries
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.commands.connections import configured
from rapport.errors import Conflict
from rapport.notifications import service as notifications
from rapport.settings import Settings
from rapport.stores import Stores

DATA, LOGIN = "/current/general/GetLastDataUpdate", "/current/general/login"
PASSWORD, WRONG = "correct horse battery", "wrong horse battery"


@pytest.fixture
def legacy(stores: Stores) -> Iterator[None]:
    stores.settings.legacy_login = True
    yield
    stores.settings.legacy_login = False


def refused(scope: Scope) -> list[tuple[str, str, int]]:
    rows = [one for one in audit_entries(scope, 100, 0) if one.action == "refuse"]
    return [(one.object, one.details["reason"], one.details["count"]) for one in rows]


def call(base_url: str, secret: str) -> int:
    return httpx.get(base_url + DATA, headers={"X-API-KEY": secret}).status_code


def test_refused_keys_leave_a_row_each_and_a_flood_of_them_no_more(scope: Scope, base_url: str) -> None:
    def made(**given: object) -> tuple[keys.ApiKey, str]:
        return keys.create_key(scope, "k", "k@example.com", "Admin", **given)  # type: ignore[arg-type]

    disabled, ended, elsewhere = (
        made(),
        made(expires_on=scope.today() - timedelta(days=1)),
        made(cidrs=["192.0.2.0/24"]),
    )
    keys.disable_key(scope, disabled[0].id)
    mistyped = disabled[1][: keys.PREFIX_LENGTH] + "x" * (len(disabled[1]) - keys.PREFIX_LENGTH)
    stranger = "rap_" + "y" * 43
    for _ in range(9):
        assert [call(base_url, one[1]) for one in (disabled, ended, elsewhere)] == [401, 401, 403]
    assert [call(base_url, one) for one in (mistyped, stranger, "rap_short")] == [401, 401, 401]
    of_keys = [one for one in refused(scope) if one[0].startswith("key ")]
    assert set(of_keys) == {
        (f"key {disabled[0].prefix}", "disabled", 8),
        (f"key {ended[0].prefix}", "expired", 8),
        (f"key {elsewhere[0].prefix}", "address", 8),
        (f"key {disabled[0].prefix}", "unknown key", 1),
    }
    assert len(of_keys) == 4


def log_in(base_url: str, name: str, password: str, address: str) -> int:
    body, headers = {"UserName": name, "Password": password}, {"X-Forwarded-For": address}
    return httpx.post(base_url + LOGIN, json=body, headers=headers).status_code


def test_a_failed_login_is_noted_and_locks_nobody_out_elsewhere(legacy: None, scope: Scope, base_url: str) -> None:
    name = f"anna-{time.time_ns()}"
    users.create_user(scope, name, PASSWORD)
    assert log_in(base_url, name, WRONG, "203.0.113.1") == 401
    assert log_in(base_url, name, WRONG, "203.0.113.1") == 429
    assert log_in(base_url, name, PASSWORD, "203.0.113.2") == 200
    assert (f"user {name}", "wrong password", 1) in refused(scope)


def test_a_guesser_with_many_addresses_of_one_network_is_one(legacy: None, scope: Scope, base_url: str) -> None:
    name = f"ipv6-{time.time_ns()}"
    users.create_user(scope, name, PASSWORD)
    assert log_in(base_url, name, WRONG, "2001:db8::1") == 401
    assert log_in(base_url, name, PASSWORD, "2001:db8::2") == 429


def test_tenants_have_users_of_one_name(legacy: None, scope: Scope, base_url: str) -> None:
    name = f"otto-{time.time_ns()}"
    other = create_tenant(scope.stores, f"other of {name}")
    users.create_user(other, name, WRONG)
    users.create_user(scope, name.upper(), PASSWORD)
    with pytest.raises(Conflict, match="is taken"):
        users.create_user(scope, name, WRONG)
    assert log_in(base_url, name, PASSWORD, "203.0.113.3") == 200
    token = users.login(scope.stores, name, WRONG, "203.0.113.4")
    assert users.token_principal(scope.stores, token).scope.tenant_id == other.tenant_id


def test_a_name_of_another_tenant_is_refused_without_a_word_of_it(api: httpx.Client, scope: Scope) -> None:
    other = f"Other {scope.tenant_id}"
    create_tenant(scope.stores, other)
    told = api.patch("/manage/v1/tenants/current", json={"name": other})
    assert (told.status_code, told.json()["detail"]) == (409, "name is not available: choose another.")


def test_what_is_revealed_and_whose_place_is_taken_is_in_the_audit_log(api: httpx.Client, scope: Scope) -> None:
    api.get("/manage/v1/event-intake")
    assert "reveal" not in {one.action for one in audit_entries(scope, 100, 0)}
    api.get("/manage/v1/event-intake", params={"reveal": True})
    assert audit_entries(scope, 1, 0)[0].action == "reveal"
    scope.warehouse.insert("customers", ["customer_id"], [["Q77"]])
    api.get("/manage/v1/persons/Q77")
    entry = audit_entries(scope, 1, 0)[0]
    assert (entry.action, entry.object, "Q77" in str(entry.details)) == ("export", "1 customer", False)
    api.delete("/manage/v1/persons/Q77")
    assert {one.action for one in audit_entries(scope, 3, 0)} >= {"erase"}
    for url in ("http://127.0.0.1:9/a?token=hidden", "http://127.0.0.1:8/b"):
        notifications.register_listener(scope, 4, url)
    details = audit_entries(scope, 1, 0)[0].details
    assert (details["host"], details["replaces"]) == ("127.0.0.1:8", "127.0.0.1:9")


@pytest.mark.parametrize(("trusted", "believed"), [("127.0.0.1,::1", True), ("10.0.0.0/8", False), ("", False)])
def test_only_trusted_proxies_name_the_caller(trusted: str, believed: bool) -> None:
    config = configured(FastAPI(), Settings(trusted_proxies=trusted))
    config.load()
    assert ("127.0.0.1" in config.loaded_app.trusted_hosts) is believed


def test_trusted_proxies_are_addresses() -> None:
    with pytest.raises(ValueError, match="'proxy' is not an address"):
        Settings(trusted_proxies="10.0.0.1, proxy")
