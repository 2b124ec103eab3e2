"""Who calls is asked before what is sent is read; what is sent is bounded; what fails is counted."""

import base64
import hashlib
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from rapport.access import keys
from rapport.access.limits import RateLimiter
from rapport.access.scope import Scope
from rapport.api.http import body_sizes
from rapport.app import create_app, openapi_document
from rapport.errors import Invalid
from rapport.stores import Stores
from served_app import connected, head, serving, status_of

UNKNOWN_KEY = "rap_" + "x" * 43
SIGNED = {"/api/saveEvent", "/v1/metrics/{tenantID}/saveEvent"}
# Whoever sends these shows nothing: the body is the credential, or does not matter.
OPEN = {
    "/unsubscribe/{token}",
    "/current/general/login",
    "/report/log",
    "/mail-events/{provider}/{address}",
    "/api/v1/preferences",
    "/preferences/{token}",
    "/preference-link/{tenantID}/{brandGroupID}",
    "/reportEvent",
    "/api/v1/messages/status",
    "/api/v1/messages/metrics",
    "/api/v2/embedded-messages/get",
    "/api/v2/embedded-messages/report-events",
    "/api/v2/events/report",
    "/sms/{identifier}/api/v1/aggregator/handshake",
    "/sms/{identifier}/api/v1/aggregator/delivery-report",
    "/sms/{identifier}/api/v1/aggregator/incoming-message",
    "/sms/{identifier}/reports/{password}",
    "/sms/{identifier}/answers/{password}",
}
WRITES = [
    (method, path)
    for path, item in openapi_document()["paths"].items()
    for method in item
    if method in ("post", "put", "patch") and path not in OPEN
]
NEVER_ENDING = {
    "declared": ({"Content-Length": str(300 * 2**20)}, b"--x\r\n"),
    "chunked": ({"Transfer-Encoding": "chunked"}, b"5\r\n--x\r\n\r\n"),
}
FORM = "multipart/form-data; boundary=x"
LISTENER = "/current/general/RegisterEventListener"
MANAGED = "/manage/v1/brands"


@pytest.mark.parametrize("shown", [None, UNKNOWN_KEY, "of another form"])
@pytest.mark.parametrize("framing", NEVER_ENDING)
def test_who_shows_no_good_key_is_answered_before_a_body_is_read(
    base_url: str, framing: str, shown: str | None
) -> None:
    assert len(WRITES) > 60
    headers, begun = NEVER_ENDING[framing]
    for method, template in WRITES:
        if shown and template in SIGNED:
            continue
        path = re.sub(r"{\w+}", "1", template)
        kind = FORM if path == "/manage/v1/imports" else "application/json"
        told = {**headers, "Content-Type": kind, **({"X-API-KEY": shown} if shown else {})}
        with connected(base_url) as connection:
            connection.sendall(head(method.upper(), path, told) + begun)
            assert status_of(connection) == 401, f"{method} {path}"


def test_an_admin_key_is_asked_for_before_a_file_is_read(base_url: str, integrations_api: httpx.Client) -> None:
    headers = {"X-API-KEY": integrations_api.headers["x-api-key"], "Content-Length": "1000000", "Content-Type": FORM}
    with connected(base_url) as connection:
        connection.sendall(head("POST", "/manage/v1/imports", headers) + b"--x\r\n")
        assert status_of(connection) == 403


def chunked(size: int) -> Iterator[bytes]:
    for _ in range(size // 65536 + 1):
        yield b"a" * 65536


@pytest.mark.parametrize("path", [LISTENER, MANAGED])
@pytest.mark.parametrize("content", [b"a" * (2**20 + 1), None], ids=["declared", "chunked"])
def test_a_body_that_is_too_large_is_told_so(api: httpx.Client, path: str, content: bytes | None) -> None:
    sent = content or chunked(2**20)
    answer = api.post(path, content=sent, headers={"Content-Type": "application/json"})
    told = answer.json()["detail"] if path == MANAGED else answer.json()
    assert (answer.status_code, told) == (413, "The body is larger than 1048576 bytes.")
    assert answer.headers["x-request-id"]


def test_a_form_that_is_too_large_is_told_so(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(body_sizes.UPLOADS, "/manage/v1/imports", 100_000)
    begun = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    answer = api.post("/manage/v1/imports", content=iter([begun, *chunked(200_000)]), headers={"Content-Type": FORM})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_what_needs_no_key_takes_little(base_url: str) -> None:
    for path, size in (("/current/general/login", 5000), ("/report/log", 70_000), ("/unsubscribe/x", 2000)):
        headers = {"Content-Type": "application/json"}
        assert httpx.post(base_url + path, content=b"a" * size, headers=headers).status_code == 413


def test_calls_that_name_many_customers_take_more_than_others(api: httpx.Client) -> None:
    paths = openapi_document()["paths"]
    assert paths.keys() >= body_sizes.BULK
    many = {"ChannelID": 505, "CustomerIDs": [f"C{number:040}" for number in range(50_000)], "CommunicationAllowed": 1}
    answer = api.post("/current/integrations/SetCustomerChannelPreference", json=many)
    assert answer.status_code != 413


@pytest.fixture(scope="module")
def limited(stores: Stores) -> Iterator[str]:
    """A server that counts: 5 calls a minute."""
    app = create_app(stores)
    app.state.limiter = RateLimiter(5, 60)
    with serving(app) as url:
        yield url


def test_attempts_with_a_key_that_is_not_good_are_counted_and_hinder_nobody_else(limited: str, scope: Scope) -> None:
    _, secret = keys.create_key(scope, "good", "good@example.com", "Admin", rate_limit=0)
    for path in (MANAGED, "/current/general/GetLastDataUpdate"):
        statuses = {httpx.get(limited + path, headers={"X-API-KEY": UNKNOWN_KEY}).status_code for _ in range(6)}
        assert 429 in statuses
        assert httpx.get(limited + path, headers={"X-API-KEY": secret}).status_code == 200
        assert httpx.get(limited + path).status_code == 401


def test_replays_are_counted(limited: str, scope: Scope) -> None:
    _, secret = keys.create_key(scope, "replaying", "good@example.com", "Admin")
    headers = {"X-API-KEY": secret, "Idempotency-Key": "replayed"}
    answers = [httpx.post(limited + MANAGED, json={"name": "Replayed"}, headers=headers) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [201] * 5 + [429] * 2
    assert answers[4].headers["idempotency-replayed"] == "true"


def test_an_idempotency_key_that_another_key_used_is_told_so(api: httpx.Client, scope: Scope) -> None:
    _, other = keys.create_key(scope, "other", "other@example.com", "Admin")
    body, headers = {"name": "Two keys"}, {"Idempotency-Key": "of two"}
    assert api.post(MANAGED, json=body, headers=headers).status_code == 201
    refused = api.post(MANAGED, json=body, headers={**headers, "X-API-KEY": other})
    assert (refused.status_code, "another API key" in refused.json()["detail"]) == (422, True)
    assert api.post(MANAGED, json=body, headers=headers).headers["idempotency-replayed"] == "true"


def test_a_refusal_is_kept_for_nobody(api: httpx.Client, integrations_api: httpx.Client) -> None:
    body, headers = {"name": "After a refusal"}, {"Idempotency-Key": "refused first"}
    assert integrations_api.post(MANAGED, json=body, headers=headers).status_code == 403
    assert api.post("/manage/v1/tenants", json={"name": "x"}, headers={"Idempotency-Key": "tenant"}).status_code == 403
    again = api.post("/manage/v1/tenants", json={"name": "y"}, headers={"Idempotency-Key": "tenant"})
    assert again.status_code == 403
    assert api.post(MANAGED, json=body, headers=headers).status_code == 201


def test_health_answers_while_every_thread_of_requests_is_at_work(stores: Stores, api: httpx.Client) -> None:
    app, arrived, release = create_app(stores), threading.Semaphore(0), threading.Event()

    def wait() -> None:
        arrived.release()
        release.wait()

    app.add_api_route("/wait", wait)
    headers = {"X-API-KEY": api.headers["x-api-key"]}
    with serving(app) as url, ThreadPoolExecutor(45) as callers:
        waiting = [callers.submit(httpx.get, f"{url}/wait", timeout=120) for _ in range(45)]
        for _ in range(40):
            arrived.acquire()
        try:
            assert httpx.get(f"{url}/health").json() == {"status": "ok"}
            # Who calls is found out, too: the refusal needs none of those threads.
            assert httpx.post(f"{url}/manage/v1/brands", headers={"X-API-KEY": UNKNOWN_KEY}).status_code == 401
            assert httpx.get(f"{url}/current/general/Nothing", headers=headers).status_code == 404
        finally:
            release.set()
        assert {call.result().status_code for call in waiting} == {200}


def test_what_tells_of_the_server_is_for_the_networks_of_the_operator(
    stores: Stores, base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = ("/docs", "/docs/assets/swagger-ui.css", "/openapi.json", "/ready", "/metrics")
    monkeypatch.setattr(stores.settings, "operator_networks", "192.0.2.0/24, 2001:db8::/32")
    with serving(create_app(stores)) as url:
        for path in private:
            assert httpx.get(base_url + path).status_code == 200, "without networks they are for everybody"
            assert httpx.get(url + path).status_code == 404
            inside = httpx.get(url + path, headers={"X-Forwarded-For": "192.0.2.7"})
            assert inside.status_code == 200, path
        assert httpx.get(f"{url}/health").status_code == 200
    monkeypatch.setattr(stores.settings, "operator_networks", "192.0.2.1/24")
    with pytest.raises(Invalid, match="RAPPORT_OPERATOR_NETWORKS must be address ranges"):
        create_app(stores)


PROTECTION = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


def test_every_answer_is_protected(api: httpx.Client, base_url: str) -> None:
    paths = ("/health", "/metrics", MANAGED, "/current/general/GetLastDataUpdate", "/nothing", "/manage/v1/nothing")
    answers = [api.get(path) for path in paths]
    answers += [httpx.get(base_url + MANAGED), api.post(LISTENER, content=b"a" * (2**20 + 1))]
    for answer in answers:
        assert {name: answer.headers.get_list(name) for name in PROTECTION} == {
            name: [value] for name, value in PROTECTION.items()
        }, answer.url
    config = httpx.get(f"{base_url}/configs/mobile/global/v4/x/configs.json")
    assert config.headers["cache-control"] == "public, max-age=60"


def test_the_page_of_the_docs_may_run_its_own_script_and_no_other(base_url: str) -> None:
    page = httpx.get(f"{base_url}/docs")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    scripts = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert policy["script-src"].split() == ["'self'", *(f"'sha256-{digest}'" for digest in digests)]
    assert len(digests) == 1 and not re.search(r"<[^>]*\son\w+=", page.text), "another script than these"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded and all(address.startswith("/docs/assets/") for address in loaded)
    assert policy["connect-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
    assert httpx.get(base_url + loaded[0]).headers["cache-control"] == "no-cache"


def test_a_content_type_is_short(api: httpx.Client, base_url: str) -> None:
    long = {"Content-Type": "multipart/form-data;" + ' a="\\"";' * 5000}
    for path in ("/manage/v1/imports", LISTENER, "/report/log"):
        answer = api.post(path, content=b"{}", headers=long)
        assert (answer.status_code, "Content-Type has more than" in answer.text) == (400, True), path


def test_a_path_has_so_many_bytes(api: httpx.Client) -> None:
    """To spell a path takes the event loop, before it is known who calls."""
    for path in ("/current/" + "a/" * 5000, "/manage/v1/" + "a" * 9000):
        answer = api.get(path)
        assert (answer.status_code, "no path of more than 8192 bytes" in answer.text) == (404, True)
    assert "no path of more" not in api.get("/current/" + "a/" * 4000).text


def test_methods_that_nobody_uses_are_one_series(base_url: str) -> None:
    for method in ("PROPFIND", "MKCOL", "SEARCH"):
        assert httpx.request(method, base_url + MANAGED).status_code in (401, 405)
    told = httpx.get(f"{base_url}/metrics").text
    assert 'method="other"' in told and "PROPFIND" not in told


def test_a_query_has_so_many_parameters(api: httpx.Client, base_url: str) -> None:
    many = MANAGED + "?" + "a&" * 1000
    for answer in (api.get(many), httpx.get(base_url + many)):
        assert answer.status_code == 400
        assert answer.json()["detail"] == "The query has more than 1000 parameters."
    assert api.get("/current/general/GetLastDataUpdate?" + "a&" * 999).status_code == 200
