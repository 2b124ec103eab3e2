"""Tenants, keys, the audit log and Idempotency-Key at the management API."""

import concurrent.futures
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from alembic import command
from sqlalchemy import make_url, text
from sqlalchemy.orm import Session

from rapport.access.idempotency import MOST_BYTES, MOST_KEYS
from rapport.access.scope import Scope
from rapport.access.service import create_tenant, find_tenant, update_tenant
from rapport.access.tenant_settings import tenant_settings
from rapport.api.manage.installation.tenants import SECTIONS
from rapport.errors import Conflict, NotFound
from rapport.messaging.contactability.page_words import PageWords
from rapport.stores import Stores, migrations
from rapport.stores.records import Records

KEY = {"nickname": "export", "contact_email": "data@example.com", "access_type": "Integrations"}


Change = Callable[[dict[str, Any]], dict[str, Any]]
FINNISH = dict.fromkeys(PageWords.model_fields, "Peruuta")


@pytest.fixture
def settings(api: httpx.Client) -> Iterator[Change]:
    """Changes the tenant's settings for one test, and answers with all."""

    def change(given: dict[str, Any]) -> dict[str, Any]:
        answer = api.patch("/manage/v1/tenants/current", json={"settings": given})
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["settings"])

    yield change
    change(dict.fromkeys(SECTIONS))


def test_the_own_tenant_is_shown_and_changed(api: httpx.Client, scope: Scope) -> None:
    shown = api.get("/manage/v1/tenants/current").json()
    assert (shown["id"], shown["currency"], shown["time_zone"]) == (scope.tenant_id, "EUR", "Europe/Berlin")
    first = {"currency": "gbp", "settings": {"campaigns": {"messages_per_day": 3}}}
    changed = api.patch("/manage/v1/tenants/current", json=first).json()
    assert (changed["currency"], changed["settings"]) == ("GBP", first["settings"])
    second = {"currency": "EUR", "settings": {"campaigns": None, "insight": {}}}
    assert api.patch("/manage/v1/tenants/current", json=second).json()["settings"] == {"insight": {}}
    assert api.patch("/manage/v1/tenants/current", json={"settings": {"insight": None}}).json()["settings"] == {}
    for settings in ({"unknown": {}}, {"campaigns": {"messages_per_day": 0}}, {"campaigns": 1}):
        refused = api.patch("/manage/v1/tenants/current", json={"settings": settings})
        assert (refused.status_code, next(iter(settings)) in refused.json()["detail"]) == (400, True)
    for body in ({"name": ""}, {"time_zone": "Mars/One"}, {"currency": "12"}, {"unknown": 1}):
        assert api.patch("/manage/v1/tenants/current", json=body).status_code == 400


@pytest.mark.parametrize(
    ("section", "name", "told"),
    [
        ("campaigns", "blast_facto", "blast_factor"),
        ("insight", "value_types", "profile_days"),
        ("files", "removal", "removal_share"),
        ("consent", "yess", "yes, no, blank"),
        ("messaging", "soft_bounce", "soft_bounces, soft_bounce_days"),
        ("events", "signature", "require_signature"),
    ],
)
def test_a_mistyped_setting_is_refused_and_a_stored_one_is_no_hindrance(
    api: httpx.Client, scope: Scope, section: str, name: str, told: str
) -> None:
    refused = api.patch("/manage/v1/tenants/current", json={"settings": {section: {name: 5}}})
    assert refused.status_code == 400
    detail = refused.json()["detail"]
    assert detail.startswith(f"settings.{section} has no member '{name}': it has ") and told in detail
    assert api.get("/manage/v1/tenants/current").json()["settings"].get(section) is None
    stored, model = replace(scope, settings={section: {name: 5}}), SECTIONS[section].model
    assert tenant_settings(stored, model) == tenant_settings(replace(scope, settings={}), model)


def test_what_a_change_of_settings_leaves_out_stays(api: httpx.Client, settings: Change) -> None:
    quiet, hold_out = {"start": "22:00", "end": "08:00"}, {"share": 0.05, "start_date": "2999-01-01", "salt": "7"}
    words = {"fi": FINNISH, "hu": FINNISH}
    settings({"campaigns": {"quiet_hours": quiet, "blast_minimum": 7}, "messaging": {"unsubscribe_page": words}})
    assert settings({"campaigns": {"hold_out": hold_out}, "messaging": {"usual_language": "fi"}}) == {
        "campaigns": {"quiet_hours": quiet, "blast_minimum": 7, "hold_out": hold_out},
        "messaging": {"unsubscribe_page": words, "usual_language": "fi"},
    }
    changed = settings(
        {
            "campaigns": {"quiet_hours": {"end": "07:00"}, "blast_minimum": None, "hold_out": {"share": 0.1}},
            "messaging": {"unsubscribe_page": {"hu": None}},
            "insight": {"trees": False},
        }
    )
    assert changed == {
        "campaigns": {"quiet_hours": {**quiet, "end": "07:00"}, "hold_out": {**hold_out, "share": 0.1}},
        "messaging": {"unsubscribe_page": {"fi": FINNISH}, "usual_language": "fi"},
        "insight": {"trees": False},
    }
    body = {"currency": "GBP", "settings": {"insight": None, "campaigns": {"quiet_hours": {"end": "22:00"}}}}
    refused = api.patch("/manage/v1/tenants/current", json=body)
    assert (refused.status_code, "end must differ from start" in refused.text) == (400, True)
    shown = api.get("/manage/v1/tenants/current").json()
    assert (shown["currency"], shown["settings"]) == ("EUR", changed)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"messaging": {"usual_language": "xx"}}, "usual_language is 'xx', for which there are no texts"),
        ({"messaging": {"unsubscribe_page": {"fi": None}}}, "usual_language is 'fi', for which there are no texts"),
        ({"messaging": {"soft_bounces": True}}, "messaging.soft_bounces cannot be used: it must be a whole number"),
        ({"campaigns": {"retry_delays": [True]}}, "campaigns.retry_delays.0 cannot be used: it must be a number"),
        ({"insight": {"trees": 1}}, "insight.trees cannot be used: it must be true or false"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(
    api: httpx.Client, settings: Change, given: dict[str, Any], told: str
) -> None:
    before = settings({"messaging": {"usual_language": "fi", "unsubscribe_page": {"fi": FINNISH}}})
    refused = api.patch("/manage/v1/tenants/current", json={"settings": given})
    assert (refused.status_code, told in refused.json()["detail"]) == (400, True), refused.text
    assert api.get("/manage/v1/tenants/current").json()["settings"] == before


def test_changes_of_settings_at_the_same_time_lose_nothing(scope: Scope, settings: Change) -> None:
    """The second waits for the first, and begins with what that has written; so does a scope that was read before."""
    changing = threading.Event()
    go_on = threading.Event()

    def slow(session: Session, stored: Scope, wanted: Scope) -> None:
        changing.set()
        assert go_on.wait(30)

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        first = threads.submit(update_tenant, scope, {"currency": "GBP", "settings": {"events": {"b": 1}}}, slow)
        assert changing.wait(30)
        second = threads.submit(update_tenant, scope, {"settings": {"events": {"c": 2}}})
        assert not concurrent.futures.wait([second], 0.2).done, "it waits"
        go_on.set()
        assert first.result().settings == {"events": {"b": 1}}
        assert second.result().settings == {"events": {"b": 1, "c": 2}} and second.result().currency == "GBP"
    update_tenant(scope, {"currency": "EUR"})


def test_the_time_zone_is_fixed_once_data_are_there(api: httpx.Client, scope: Scope) -> None:
    patched = api.patch("/manage/v1/tenants/current", json={"time_zone": "Asia/Tokyo"})
    assert patched.json()["time_zone"] == "Asia/Tokyo"
    api.patch("/manage/v1/tenants/current", json={"time_zone": "Europe/Berlin"})
    scope.warehouse.execute("INSERT INTO customers (customer_id) VALUES ('1')")
    refused = api.patch("/manage/v1/tenants/current", json={"time_zone": "Asia/Tokyo"})
    assert (refused.status_code, "time_zone" in refused.json()["detail"]) == (409, True)
    assert api.patch("/manage/v1/tenants/current", json={"time_zone": "Europe/Berlin"}).status_code == 200


def test_no_tenant_takes_anothers_name_or_id(api: httpx.Client, scope: Scope) -> None:
    stores, mine = scope.stores, api.get("/manage/v1/tenants/current").json()
    other = create_tenant(stores, f"Gamma {scope.tenant_id}")
    for name in (other_name := f"gamma {scope.tenant_id}", other_name.upper(), f" {other_name} "):
        assert api.patch("/manage/v1/tenants/current", json={"name": name}).status_code == 409
        with pytest.raises(Conflict):
            create_tenant(stores, name)
    for number in (str(other.tenant_id), "0", " 42 ", "٣"):
        refused = api.patch("/manage/v1/tenants/current", json={"name": number})
        assert (refused.status_code, "must not be a number" in refused.json()["detail"]) == (400, True)
    assert api.get("/manage/v1/tenants/current").json() == mine
    references = (str(other.tenant_id), f" {other.tenant_id}", other_name, f"GAMMA {scope.tenant_id}")
    assert {find_tenant(stores, reference).id for reference in references} == {other.tenant_id}
    for nobody in ("", "999999999999999999999", f"gamma  {scope.tenant_id}"):
        with pytest.raises(NotFound):
            find_tenant(stores, nobody)


def test_a_number_is_an_id_whatever_names_there_are(api: httpx.Client, scope: Scope) -> None:
    """No name is a number since one was: should there be one all the same, it is nobody's way to another's id."""
    stores, other = scope.stores, create_tenant(scope.stores, f"Numbered {scope.tenant_id}")
    before = api.get("/manage/v1/tenants/current").json()["name"]

    def rename(to: str) -> None:
        with scope.records() as session:
            session.execute(text("UPDATE tenants SET name = :to WHERE id = :id"), {"to": to, "id": scope.tenant_id})

    rename(str(other.tenant_id))
    try:
        assert find_tenant(stores, str(other.tenant_id)).id == other.tenant_id
        assert api.get("/manage/v1/tenants/current").json()["id"] == scope.tenant_id
    finally:
        rename(before)


def test_names_of_an_older_version_that_were_taken_for_others_change(stores: Stores) -> None:
    with stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE of_tenants"))
    older = Records(make_url(stores.records.url).set(database="of_tenants").render_as_string(hide_password=False))
    command.upgrade(migrations._alembic(older), "0021")
    with older.session() as session:
        for number, name in enumerate(("Shop", "3004", "SHOP", "shop ", "Other"), 3001):
            told = "INSERT INTO tenants VALUES (:id, :name, 'UTC', 'EUR', '{}', NULL, now())"
            session.execute(text(told), {"id": number, "name": name})
    migrations.migrate_records(older)
    with older.reading() as connection:
        names = list(connection.execute(text("SELECT name FROM tenants ORDER BY id")).scalars())
    assert names == ["Shop", "3004 (3002)", "SHOP (3003)", "shop (3004)", "Other"]
    older.close()


def test_tenants_are_the_operators(api: httpx.Client) -> None:
    assert api.get("/manage/v1/tenants").status_code == 403
    assert api.post("/manage/v1/tenants", json={"name": "Another"}).status_code == 403
    assert api.post("/manage/v1/operator/backups", json={"path": "/tmp/x"}).status_code == 403
    assert api.get("/manage/v1/tenants", headers={"X-Rapport-Operator": ""}).status_code == 401


def test_a_key_lives_and_ends(api: httpx.Client, base_url: str) -> None:
    made = api.post("/manage/v1/keys", json={**KEY, "expires_on": "2099-01-01"})
    assert made.status_code == 201
    secret, key_id = made.json()["key"], made.json()["id"]
    listed = {key["id"]: key for key in api.get("/manage/v1/keys").json()}
    assert secret.startswith(listed[key_id]["prefix"]) and "key" not in listed[key_id]
    own = {"X-API-KEY": secret}
    assert httpx.get(f"{base_url}/General/GetLastDataUpdate", headers=own).status_code == 200
    assert api.post(f"/manage/v1/keys/{key_id}/disable").json()["status"] == "Disabled"
    assert httpx.get(f"{base_url}/General/GetLastDataUpdate", headers=own).status_code == 401
    assert api.delete(f"/manage/v1/keys/{key_id}").status_code == 204
    assert key_id not in {key["id"] for key in api.get("/manage/v1/keys").json()}
    for answer in (api.delete(f"/manage/v1/keys/{key_id}"), api.post("/manage/v1/keys/2147483647/disable")):
        assert answer.status_code == 404
    assert api.delete("/manage/v1/keys/99999999999").status_code == 400


@pytest.mark.parametrize(
    "change",
    [{"access_type": "Root"}, {"contact_email": "nobody"}, {"cidrs": ["300.0.0.0/8"]}, {"nickname": "a\u0000b"}],
)
def test_a_bad_key_is_refused(api: httpx.Client, change: dict[str, object]) -> None:
    answer = api.post("/manage/v1/keys", json={**KEY, **change})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_every_write_is_in_the_audit_log_and_pages(api: httpx.Client) -> None:
    names = [f"brand {time.time_ns()} {n}" for n in range(3)]
    ids = [api.post("/manage/v1/brands", json={"name": name}).json()["id"] for name in names]
    newest = api.get("/manage/v1/audit-entries", params={"limit": 3}).json()
    assert [entry["object"] for entry in newest] == [f"brand {number}" for number in reversed(ids)]
    assert newest[0]["actor"].startswith("key rap_")
    second = api.get("/manage/v1/audit-entries", params={"limit": 1, "offset": 1}).json()
    assert second == newest[1:2]
    assert api.get("/manage/v1/audit-entries", params={"limit": 0}).status_code == 400


def test_a_repeated_request_gets_the_first_answer(api: httpx.Client, scope: Scope) -> None:
    headers = {"Idempotency-Key": "one"}
    first = api.post("/manage/v1/keys", json=KEY, headers=headers)
    again = api.post("/manage/v1/keys", json=KEY, headers=headers)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    other = api.post("/manage/v1/keys", json={**KEY, "nickname": "other"}, headers=headers)
    assert (other.status_code, "Idempotency-Key" in other.json()["detail"]) == (422, True)
    assert api.post("/manage/v1/brands", json=KEY, headers=headers).status_code == 422
    with scope.records() as session:
        kept = session.execute(text("SELECT body FROM idempotency_keys WHERE tenant_id = :t"), {"t": scope.tenant_id})
        assert all(first.json()["key"].encode() not in bytes(body) for (body,) in kept)


def test_an_error_is_repeated_too_and_keys_end_after_a_day(api: httpx.Client, scope: Scope) -> None:
    headers = {"Idempotency-Key": f"day {time.time_ns()}"}
    body = {"name": f"daily {time.time_ns()}"}
    assert api.post("/manage/v1/brands", json={}, headers=headers).status_code == 400
    assert api.post("/manage/v1/brands", json={}, headers=headers).headers["idempotency-replayed"] == "true"
    assert api.post("/manage/v1/brands", json=body, headers=headers).status_code == 422
    scope.clock.set(scope.clock.now() + timedelta(hours=24, seconds=1))
    try:
        assert api.post("/manage/v1/brands", json=body, headers=headers).status_code == 201
    finally:
        scope.clock.set(None)


def test_concurrent_repeats_are_carried_out_once(api: httpx.Client) -> None:
    name = f"once {time.time_ns()}"

    def post(_: int) -> httpx.Response:
        return api.post("/manage/v1/brands", json={"name": name}, headers={"Idempotency-Key": name})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(16)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    created = {answer.content for answer in answers if answer.status_code == 201}
    assert len(created) == 1
    assert [brand["name"] for brand in api.get("/manage/v1/brands").json()].count(name) == 1
    waiting = [answer.json()["detail"] for answer in answers if answer.status_code == 409]
    assert all("under way" in detail for detail in waiting)


def keep(scope: Scope, keys: int, bytes_each: int) -> None:
    """Answers of a made-up past of the tenant, an hour old; none instead of those before."""
    with scope.records() as session:
        session.execute(text("DELETE FROM idempotency_keys WHERE tenant_id = :t"), {"t": scope.tenant_id})
        session.execute(
            text("""
                INSERT INTO idempotency_keys (tenant_id, key, fingerprint, created_at, status, content_type, body)
                SELECT :t, 'past ' || n, '', CAST(:at AS timestamptz), 200, '', convert_to(repeat('x', :size), 'UTF8')
                FROM generate_series(1, :keys) AS past (n)
            """),
            {"t": scope.tenant_id, "at": scope.clock.now() - timedelta(hours=1), "size": bytes_each, "keys": keys},
        )


@pytest.mark.parametrize(("keys", "bytes_each"), [(MOST_KEYS, 1), (2, MOST_BYTES // 2)], ids=["keys", "bytes"])
def test_what_is_kept_of_a_tenant_is_bounded(api: httpx.Client, scope: Scope, keys: int, bytes_each: int) -> None:
    name = f"bounded {time.time_ns()}"
    body, headers = {"name": name}, {"Idempotency-Key": name}
    try:
        keep(scope, keys, bytes_each + 1)
        refused = api.post("/manage/v1/brands", json=body, headers=headers)
        assert refused.status_code == 429 and "try again when the oldest has expired" in refused.json()["detail"]
        assert 22 * 3600 < int(refused.headers["retry-after"]) <= 23 * 3600
        assert api.post("/manage/v1/brands", json=body).status_code == 201, "without the header nothing is kept"
        keep(scope, keys - 1, bytes_each)
        made = api.post("/manage/v1/brands", json={"name": f"{name}, again"}, headers=headers)
        assert made.status_code == 201
        again = api.post("/manage/v1/brands", json={"name": f"{name}, again"}, headers=headers)
        assert again.headers["idempotency-replayed"] == "true", "what is kept is answered, however much it is"
    finally:
        keep(scope, 0, 0)


def test_keys_are_each_tenants_own_and_checked(
    api: httpx.Client, integrations_api: httpx.Client, base_url: str
) -> None:
    assert api.post("/manage/v1/brands", json={}, headers={"Idempotency-Key": ""}).status_code == 400
    assert api.post("/manage/v1/brands", json={}, headers={"Idempotency-Key": "x" * 256}).status_code == 400
    nobody = httpx.post(f"{base_url}/manage/v1/brands", json={}, headers={"Idempotency-Key": "x"})
    assert nobody.status_code == 401
    refused = integrations_api.post("/manage/v1/brands", json={"name": "x"}, headers={"Idempotency-Key": "forbidden"})
    assert refused.status_code == 403
