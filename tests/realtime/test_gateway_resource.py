"""The gateway as a resource: set, read and removed on the wire; its secret and state in the management API."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.errors import Invalid
from rapport.notifications.deliverer import OUTSIDE_CLOCK
from rapport.realtime import gateways
from rapport.stores import Stores

PATH = "/triggered_conditional_execution_gateway"
URL = "https://promo.acme.example/optimove/gateway?brand=1"


@pytest.fixture(autouse=True)
def no_gateway(scope: Scope) -> Iterator[None]:
    if gateways.gateway(scope):
        gateways.delete_gateway(scope)
    yield


def audit(api: httpx.Client) -> list[tuple[str, str]]:
    rows = api.get("/manage/v1/audit-entries", params={"limit": 100}).json()
    return [(row["action"], row["object"]) for row in rows if row["object"] == "gateway"]


def test_a_gateway_is_set_replaced_read_and_removed(api: httpx.Client) -> None:
    assert api.get(PATH).json() == []
    before = len(audit(api))
    for _ in range(2):  # idempotent
        answer = api.put(PATH, json={"url": URL})
        assert (answer.status_code, answer.content) == (200, b"")
    defaults = {"timeout_seconds": 3.0, "retries": 0, "fallback": "deny"}
    assert api.get(PATH).json() == [{"url": URL, **defaults}]
    other = {"url": "https://other.acme.example/g", "timeout_seconds": 0.5, "retries": 2, "fallback": "allow"}
    assert api.put(PATH, json=other).status_code == 200
    assert api.get(PATH).json() == [other]
    assert api.put(PATH, json={"URL": URL}).status_code == 200, "members bind ignoring case"
    assert api.get(PATH).json() == [{"url": URL, **defaults}], "what is left out gets its default again"
    answer = api.delete(PATH)
    assert (answer.status_code, answer.content) == (200, b"")
    assert api.get(PATH).json() == []
    answer = api.delete(PATH)
    assert (answer.status_code, answer.json()) == (404, "There is no gateway.")
    assert len(audit(api)) - before == 5


def test_secrets_in_its_url_are_shown_masked_and_kept(api: httpx.Client, scope: Scope) -> None:
    url, shown = (f"https://ann:{secret}@promo.acme.example/g?code={secret}" for secret in ("pw-of-gateway", "***"))
    first = api.put(PATH, json={"url": shown})
    assert (first.status_code, "The password in url must not be ***" in first.text) == (400, True)
    for again in (url, shown):
        assert api.put(PATH, json={"url": again}).status_code == 200
        assert api.put("/manage/v1/gateway", json={"url": again}).json()["url"] == shown
    assert [api.get(PATH).json()[0]["url"], api.get("/manage/v1/gateway").json()["url"]] == [shown, shown]
    found = gateways.gateway(scope)
    assert found is not None and found.url == url
    assert "pw-of-gateway" not in api.get("/manage/v1/audit-entries", params={"limit": 100}).text


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "url is required."),
        ({"url": None}, "url: must be a text."),
        ({"url": ""}, "url: must have at least 1 character."),
        ({"url": "promo.acme.example"}, "url: The URL must be absolute and begin with http:// or https://."),
        ({"url": "ftp://promo.acme.example/"}, "url: The URL must be absolute and begin with http:// or https://."),
        ({"url": "https://acme.example:99999/"}, "url: The URL has a port that is not a number below 65536."),
        ({"url": "http://[::1"}, "url: The URL is malformed."),
        ({"url": "http://a b/"}, "url must be an absolute http or https URL of at most 2000 characters."),
        ({"url": URL + "x" * 2000}, "url must be an absolute http or https URL of at most 2000 characters."),
        ({"url": URL, "timeout_seconds": 31}, "timeout_seconds: must be at most 30."),
        ({"url": URL, "timeout_seconds": "3"}, "timeout_seconds: must be a number."),
        ({"url": URL, "retries": 4}, "retries: must be at most 3."),
        ({"url": URL, "retries": True}, "retries: must be a whole number."),
        ({"url": URL, "fallback": "maybe"}, "fallback: must be 'deny' or 'allow'."),
        ([URL], "The body must be a JSON object."),
    ],
)
def test_a_gateway_that_cannot_be_set_is_one_sentence(api: httpx.Client, body: Any, sentence: str) -> None:
    answer = api.put(PATH, json=body)
    assert (answer.status_code, answer.json()) == (400, sentence)
    assert api.get(PATH).json() == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://localhost:8600/x",
        "http://10.1.2.3/",
        "http://169.254.169.254/latest",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fd00::1]/",
        "http://0.0.0.0/",
    ],
)
def test_an_inward_address_is_refused(scope: Scope, stores: Stores, url: str) -> None:
    settings = stores.settings.model_copy(update={"allow_private_addresses": False})
    strict = dataclasses.replace(scope, stores=dataclasses.replace(stores, settings=settings))
    with pytest.raises(Invalid, match="url: The URL leads to a private address"):
        gateways.set_gateway(strict, url)
    assert gateways.gateway(scope) is None


def test_only_those_who_may_set_it(api: httpx.Client, integrations_api: httpx.Client, base_url: str) -> None:
    calls = {"PUT": {"json": {"url": URL}}, "GET": {}, "DELETE": {}}
    for method, options in calls.items():
        assert integrations_api.request(method, PATH, **options).status_code == 403
        assert httpx.request(method, base_url + PATH, **options).status_code == 401
        assert integrations_api.request(method, "/manage/v1/gateway", **options).status_code == 403
    assert api.post(PATH, json={"url": URL}).status_code == 405


def test_every_tenant_has_its_own(api: httpx.Client, stores: Stores) -> None:
    other = create_tenant(stores, "another tenant with a gateway", "UTC", "EUR")
    gateways.set_gateway(other, "https://others.example/")
    assert api.get(PATH).json() == []
    assert api.delete(PATH).status_code == 404
    found = gateways.gateway(other)
    assert found is not None and found.url == "https://others.example/"


def test_the_secret_is_shown_once_and_can_be_rotated(api: httpx.Client, scope: Scope) -> None:
    assert api.get("/manage/v1/gateway").status_code == 404
    made = api.put("/manage/v1/gateway", json={"url": URL, "retries": 1})
    assert made.status_code == 201
    secret = made.json()["secret"]
    assert secret.startswith("whsec_")
    again = api.put("/manage/v1/gateway", json={"url": URL})
    assert (again.status_code, again.json()["secret"]) == (200, None)
    shown = api.get("/manage/v1/gateway").json()
    assert "secret" not in shown
    assert (shown["url"], shown["circuit"], shown["failures"], shown["retries"]) == (URL, "closed", 0, 0)
    new = api.post("/manage/v1/gateway/rotate-secret").json()["secret"]
    found = gateways.gateway(scope)
    assert found is not None
    assert new != secret and (found.secret, found.previous_secret) == (new, secret)
    api.post("/manage/v1/gateway/rotate-secret", json={"grace_hours": 0})
    found = gateways.gateway(scope)
    assert found is not None and found.previous_until is not None
    assert found.previous_until <= OUTSIDE_CLOCK.now()
    assert api.put("/manage/v1/gateway", json={"url": URL, "extra": 1}).status_code == 400
    assert api.delete("/manage/v1/gateway").status_code == 204
    assert api.post("/manage/v1/gateway/rotate-secret").status_code == 404
