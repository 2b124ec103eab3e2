"""What senders send as a body: nested deeply, packed, none that can be used at all; and whose it is."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from senders import Sender, app_event, empty, event, logged, metric, signed, stored

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.realtime.events import event_log
from rapport.realtime.events.event_log import MINUTE_SECONDS
from rapport.stores import Stores

FAILED = "Failed to validate the event with the following error - "
LIMIT = 2 * 1024 * 1024
Send = Callable[[Sender, bytes, dict[str, str]], httpx.Response]


@pytest.fixture(scope="module")
def own(base_url: str, scope: Scope) -> Iterator[Sender]:
    made = Sender(base_url, scope)
    yield made
    made.client.close()


@pytest.fixture
def sender(own: Sender, monkeypatch: pytest.MonkeyPatch) -> Sender:
    """Of a tenant without events and entries of the log, which has all that is alike."""
    monkeypatch.setattr(event_log, "ALIKE_A_MINUTE", 1_000_000)
    monkeypatch.setattr(event_log, "ALL_A_MINUTE", 1_000_000)
    empty(own.scope)
    return own


def server(sender: Sender, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return sender.server(body, {"X-API-KEY": sender.secret} | headers)


def app(sender: Sender, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return sender.client.post(f"/v1/optistream/{sender.public}", content=body, headers=headers)


def vendor(sender: Sender, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return sender.vendor(body, **headers)


SENDS: dict[str, Send] = {"server": server, "sdk": app, "metric": vendor}
# An SDK would send again what is refused, so that a body of no use is taken, and stands in the log.
REFUSED = {"server": 400, "sdk": 200, "metric": 400}
every = pytest.mark.parametrize(("origin", "send"), SENDS.items(), ids=list(SENDS))


def good(origin: str, scope: Scope, **members: Any) -> dict[str, Any]:
    """An event that an origin may send, of the customer or visitor Good."""
    made: dict[str, Any] = {
        "server": event(scope, customer="Good"),
        "sdk": app_event(scope, visitor="Good"),
        "metric": metric(customer="Good"),
    }[origin]
    return made | members


def nested(given: Any, depth: int) -> bytes:
    """JSON in which lists, so many in one another, stand in place of "DEEP": more than json writes by itself."""
    return json.dumps(given).replace('"DEEP"', "[" * depth + "1" + "]" * depth).encode()


# Deeply nested.


@every
@pytest.mark.parametrize("depth", [3, 300, 1000])
def test_however_deep_a_value_is_the_event_is_stored_without_it(
    sender: Sender, origin: str, send: Send, depth: int
) -> None:
    scope = sender.scope
    deep = good(origin, scope, event="sms_deep", context={"deep": "DEEP", "plan": "gold"})
    batch = deep if origin == "server" else [good(origin, scope, event="sms_flat", context={"plan": "gold"}), deep]
    answer = send(sender, nested(batch, depth), {})
    assert answer.status_code == 200, answer.text
    rows = stored(scope)
    assert [row["event"] for row in rows] == (["sms_deep"] if origin == "server" else ["sms_flat", "sms_deep"])
    assert all(row["parameters"] == {"plan": "gold"} for row in rows)
    (entry,) = logged(scope, event="sms_deep")
    assert (entry["status"], entry["person"]) == ("warning", "good")
    assert "deep is not a string, number or boolean: it was left out" in entry["reason"]
    body = json.loads(entry["body"])
    assert (body["event"], body["context"]["plan"]) == ("sms_deep", "gold")
    assert ("nested too deeply to be shown" in entry["body"]) is (depth > 250)


@every
@pytest.mark.parametrize("depth", [300, 1000])
def test_what_is_unusable_besides_is_refused_however_deep(sender: Sender, origin: str, send: Send, depth: int) -> None:
    scope = sender.scope
    wrong = [{"timestamp": "never"}, {"tenant": "DEEP"}, {"customer": "DEEP"}, {"event": "DEEP"}]
    for members in wrong:
        bad = good(origin, scope, context={"deep": "DEEP"}) | members
        batch = bad if origin == "server" else [good(origin, scope), bad]
        answer = send(sender, nested(batch, depth), {})
        assert (answer.status_code, answer.json()["status"]) == (
            (400, "error") if origin == "server" else (200, "success")
        ), answer.text
    assert len(stored(scope)) == (0 if origin == "server" else len(wrong))
    errors = logged(scope, status="error")
    assert [one["reason"].split()[0] for one in errors] == ["timestamp", "tenantId", "customer", "event"]
    assert all("nested too deeply to be shown" in one["body"] for one in errors)


@every
def test_deeper_than_json_may_be_is_not_valid_json(sender: Sender, origin: str, send: Send) -> None:
    answer = send(sender, nested([good(origin, sender.scope, context={"deep": "DEEP"})], 2000), {})
    assert (answer.status_code, answer.json()["message"]) == (REFUSED[origin], FAILED + "the body is not valid JSON")
    assert stored(sender.scope) == []


# Refused as a whole.


@every
@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", ""),
        (b'{"event": "h\xc3\xa4lf', '{"event": "hälf'),
        (b"a\0b", "a\ufffdb"),
        (b"\xff\xfe{\0", ""),
        ("ä".encode() * 10_000 + b"x", "ä" * 8000),
        (("x" + "ä" * 20_000).encode(), "x" + "ä" * 7999),
        (("xyz" + "🎈" * 20_000).encode(), "xyz" + "🎈" * 7997),
    ],
    ids=["empty", "cut off", "nul", "no text", "long", "long and odd", "of four bytes"],
)
def test_what_is_no_json_is_logged_as_it_came(sender: Sender, origin: str, send: Send, body: bytes, shown: str) -> None:
    answer = send(sender, body, {})
    assert answer.status_code == REFUSED[origin]
    assert answer.json() == {"status": "error", "message": FAILED + "the body is not valid JSON"}
    (entry,) = logged(sender.scope)
    assert (entry["status"], entry["origin"], entry["event"], entry["person"]) == ("error", origin, "", "")
    assert (entry["reason"], entry["body"]) == ("the body is not valid JSON", shown)


@pytest.mark.parametrize(
    ("send", "body", "reason"),
    [
        (app, b"3", "the body is not a JSON array of at most 100 events"),
        (app, b"[" + b"1," * 100 + b"1]", "the body is not a JSON array of at most 100 events"),
        (vendor, b"[]", "the body is not a JSON object, or an array of at most 1000"),
        (vendor, b"[" + b"1," * 1000 + b"1]", "the body is not a JSON object, or an array of at most 1000"),
    ],
    ids=["no array", "too many of an app", "none of a vendor", "too many of a vendor"],
)
def test_what_is_no_array_of_as_many_events_as_may_be_is_logged(
    sender: Sender, send: Send, body: bytes, reason: str
) -> None:
    answer = send(sender, body, {})
    assert (answer.status_code, answer.json()["message"]) == (200 if send is app else 400, FAILED + reason)
    (entry,) = logged(sender.scope)
    assert (entry["status"], entry["reason"], entry["body"]) == ("error", reason, body.decode()[:8000])


def test_of_what_is_refused_again_and_again_only_so_much_is_logged(base_url: str, stores: Stores) -> None:
    sender = Sender(base_url, create_tenant(stores, f"bodies {time.time_ns()}"))  # of which nothing was logged
    left = MINUTE_SECONDS - time.monotonic() % MINUTE_SECONDS
    time.sleep(left if left < 10 else 0)
    for _ in range(120):
        assert sender.app(b"{").status_code == 200
    sender.client.close()
    assert len(logged(sender.scope)) == 100


def test_who_is_not_let_in_leaves_nothing_in_the_log(sender: Sender) -> None:
    assert server(sender, b"{", {"X-API-KEY": "rt_wrong"}).status_code == 401
    assert app(sender, b"{", {"X-API-KEY": sender.secret}).status_code == 200  # the token in the path is good
    assert sender.vendor(b"{", secret="other").status_code == 401
    assert sender.app(b"{", "/v1/optistream/nobody").status_code == 401
    assert [one["origin"] for one in logged(sender.scope)] == ["sdk"]


# Packed.


@every
@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "identity"])
def test_a_packed_body_is_taken(sender: Sender, origin: str, send: Send, encoding: str) -> None:
    body = json.dumps(good(origin, sender.scope)).encode()
    sent = body if encoding == "identity" else gzip.compress(body)
    headers = {"Content-Encoding": encoding}
    if origin == "metric":
        headers |= signed(sender.secret, body)  # of the JSON
    answer = send(sender, sent, headers)
    assert answer.status_code == 200, answer.text
    assert len(stored(sender.scope)) == 1


@every
@pytest.mark.parametrize("small", ["1", "{}"])
def test_a_body_of_nothing_but_small_things_is_too_large(sender: Sender, origin: str, send: Send, small: str) -> None:
    body = json.dumps(good(origin, sender.scope) | {"context": {"a": "X"}}).encode()
    body = body.replace(b'"X"', f"[{small}{f',{small}' * 100_001}]".encode())
    signature = signed(sender.secret, body) if origin == "metric" else {}
    answer = send(sender, body, signature)
    assert (answer.status_code, answer.json()["status"]) == (413, "error")
    assert "commas" in answer.json()["message"]


@every
def test_a_bomb_is_too_large(sender: Sender, origin: str, send: Send) -> None:
    headers = {"Content-Encoding": "gzip"}
    bomb = gzip.compress(b" " * (LIMIT + 1))
    assert len(bomb) < LIMIT / 100
    answer = send(sender, bomb, headers)
    assert (answer.status_code, answer.json()["status"]) == (413, "error")
    body = json.dumps(good(origin, sender.scope)).encode()
    body += b" " * (LIMIT - len(body))  # just as much as may be
    signature = signed(sender.secret, body) if origin == "metric" else {}
    assert send(sender, gzip.compress(body), headers | signature).status_code == 200


@every
def test_what_is_no_gzip_is_refused_and_logged(sender: Sender, origin: str, send: Send) -> None:
    whole = gzip.compress(json.dumps(good(origin, sender.scope)).encode())
    for body in (whole[:-9], whole + b"more", b"\x1f\x8b nothing", b"{"):
        answer = send(sender, body, {"Content-Encoding": "gzip"})
        assert answer.status_code == REFUSED[origin]
        assert answer.json()["message"] == FAILED + "the body is not valid JSON packed with gzip"
    assert [one["body"] for one in logged(sender.scope)] == ["", "", "", "{"]
    assert stored(sender.scope) == []


@every
@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
def test_other_encodings_are_told_what_is_taken(sender: Sender, origin: str, send: Send, encoding: str) -> None:
    answer = send(sender, b"{}", {"Content-Encoding": encoding})
    assert answer.status_code == 415
    assert answer.json() == {"status": "error", "message": "Content-Encoding must be gzip or left out."}


def test_pages_of_any_site_may_pack_what_they_send(sender: Sender) -> None:
    allowed = sender.client.options(f"/v1/optistream/{sender.public}").headers["access-control-allow-headers"]
    assert "Content-Encoding" in allowed
    refused = app(sender, b"{}", {"Content-Encoding": "br"})
    assert refused.headers["access-control-allow-origin"] == "*"


# Whose it is.

NO_TENANT = ["0", "2147483648", "99999999999", "9" * 30, "9" * 5000]


@pytest.mark.parametrize("number", [*NO_TENANT, "-1", "1.5", "none", "³"])
def test_a_path_with_a_number_that_no_tenant_can_have(sender: Sender, number: str) -> None:
    refused(sender.vendor(metric(tenant=sender.scope.tenant_id), f"/v1/metrics/{number}/saveEvent"))


@pytest.mark.parametrize("number", NO_TENANT)
def test_a_host_or_a_body_with_a_number_that_no_tenant_can_have(sender: Sender, number: str) -> None:
    host = f"metric-{number}.example.com"
    refused(sender.vendor(metric(tenant=sender.scope.tenant_id), "/api/saveEvent", Host=host))
    for written in (number, f'"{number}"'):
        if written.isdigit() and len(number) > 300:
            continue  # which no JSON reader takes for a number
        for where in ("/api/saveEvent", "/v1/events"):
            for member in ("tenant", "tenantId"):
                given = json.dumps(metric() | {member: "NUMBER"}).replace('"NUMBER"', written)
                refused(sender.vendor(given.encode(), where))


def refused(answer: httpx.Response) -> None:
    """As a tenant that there is not."""
    assert answer.status_code == 401, answer.text
    assert answer.json() == {"status": "error", "message": "The token or the signature is not one of this tenant."}
