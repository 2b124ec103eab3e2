"""Events in: from servers, from apps, from vendors; what is stored, refused, met again."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from senders import Sender, app_event, event, logged, metric, signed, stamp, stored
from sqlalchemy import text

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant, update_tenant
from rapport.errors import Unavailable
from rapport.realtime.events import tokens
from rapport.realtime.events.intake import Incoming, Intake

VENDOR_AND_SERVER = ("vendor", "server")
FAILED = "Failed to validate the event with the following error - "


@pytest.fixture
def changed(api: httpx.Client) -> Iterator[Any]:
    """Sets the tenant's settings of events for one test."""

    def change(**settings: Any) -> None:
        answer = api.patch("/manage/v1/tenants/current", json={"settings": {"events": settings}})
        assert answer.status_code == 200, answer.text

    yield change
    api.patch("/manage/v1/tenants/current", json={"settings": {"events": None}})


def test_a_server_event_is_stored_as_it_was_sent(sender: Sender, scope: Scope) -> None:
    given = event(scope, customer="Anna")
    answer = sender.server(given)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "success"
    assert len(answer.json()["message"]) == 16 and answer.json()["message"].isdigit()
    (row,) = stored(scope, customer_id="Anna")
    assert (row["event"], row["origin"], row["parameters"], row["state"]) == ("signup", "server", given["context"], 0)
    assert stamp(row["event_at"]) == given["timestamp"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-03-02 14:10:55.123456 UTC", "2026-03-02 14:10:55.123456 UTC"),
        ("2026-03-02 14:10:55.120 UTC", "2026-03-02 14:10:55.120000 UTC"),
        ("2026-03-02 14:10:55 UTC", "2026-03-02 14:10:55.000000 UTC"),
        ("2026-03-02T14:10:55Z", "2026-03-02 14:10:55.000000 UTC"),
        ("2026-03-02T14:10:55.5+02:00", "2026-03-02 12:10:55.500000 UTC"),
        ("2026-03-02 14:10", "2026-03-02 14:10:00.000000 UTC"),
    ],
)
def test_timestamps_are_instants_in_utc(sender: Sender, scope: Scope, given: str, expected: str) -> None:
    who = f"time {given}"
    assert sender.server(event(scope, customer=who, timestamp=given)).status_code == 200
    assert [stamp(row["event_at"]) for row in stored(scope, customer_id=who)] == [expected]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"tenant": None}, "tenantId is missing or invalid"),
        ({"tenant": "x"}, "tenantId is missing or invalid"),
        ({"tenant": 1}, "tenantId is missing or invalid"),
        ({"event": ""}, "event is missing or invalid"),
        ({"event": 7}, "event is missing or invalid"),
        ({"event": "e" * 256}, "event must be a printable text of at most 255 characters"),
        ({"event": "a\0b"}, "event must be a printable text of at most 255 characters"),
        ({"customer": None}, "customer or visitor is missing"),
        ({"customer": ["Q1"]}, "customer is not a string"),
        ({"customer": "Q\0"}, "customer must be a printable text of at most 255 characters"),
        ({"customer": "Q" * 256}, "customer must be a printable text of at most 255 characters"),
        ({"visitor": 1.5}, "visitor is not a string"),
        ({"timestamp": None}, "timestamp is missing"),
        ({"timestamp": 1767225600}, "timestamp is not a time such as 2026-03-02 14:10:55.120 UTC"),
        ({"timestamp": "yesterday at noon"}, "timestamp is not a time such as 2026-03-02 14:10:55.120 UTC"),
        ({"timestamp": "0001-01-01T00:00:00+23:00"}, "timestamp is not a time such as 2026-03-02 14:10:55.120 UTC"),
        ({"timestamp": "1970-01-01 00:00:00 UTC"}, "timestamp is before 2000-01-01"),
    ],
)
def test_an_unusable_event_is_refused_logged_and_not_stored(
    sender: Sender, scope: Scope, members: dict[str, Any], reason: str
) -> None:
    before, entries = len(stored(scope)), len(logged(scope, status="error"))
    answer = sender.server(event(scope, **members))
    assert answer.status_code == 400
    assert answer.json() == {"status": "error", "message": FAILED + reason}
    assert len(stored(scope)) == before
    found = logged(scope, status="error")
    assert len(found) == entries + 1
    assert found[-1]["reason"] == reason
    assert json.loads(found[-1]["body"])["context"]["plan"] == "gold"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe", b'{"a":1e999}', b'"\\ud800"', b"[" * 5000 + b"]" * 5000, b"NaN"],
)
def test_what_is_no_event_is_refused(sender: Sender, body: bytes) -> None:
    answer = sender.server(body)
    assert answer.status_code == 400
    assert answer.json()["status"] == "error"


def test_odd_parameters_are_put_right_or_left_out_and_the_event_is_kept(sender: Sender, scope: Scope) -> None:
    context = {
        "good": "yes",
        "none": None,
        "long": "x" * 4001,
        "longish": "x" * 256,
        "nul": "a\0b",
        "deep": {"a": [1]},
        "huge": 123456789012345678901234567890,
        "small": -1.5e-300,
        "": 1,
        "bad\0name": 1,
    }
    assert sender.server(event(scope, customer="Odd", context=context)).status_code == 200
    (row,) = stored(scope, customer_id="Odd")
    assert row["parameters"] == {
        "good": "yes",
        "long": "x" * 4000,
        "longish": "x" * 256,
        "nul": "a\ufffdb",
        "huge": 1.2345678901234568e29,
        "small": -1.5e-300,
    }
    (entry,) = logged(scope, person="odd")
    assert entry["status"] == "warning"
    for words in (
        "long is longer than 4000 characters: the rest was left out (1050)",
        "longish is longer than 255",
        "nul contains",
        "deep is not a string",
        "name cannot be used",
    ):
        assert words in entry["reason"]


def test_parameters_beyond_fifty_are_left_out(sender: Sender, scope: Scope) -> None:
    assert sender.server(event(scope, customer="Many", context={f"p{n}": n for n in range(60)})).status_code == 200
    (row,) = stored(scope, customer_id="Many")
    assert row["parameters"] == {f"p{n}": n for n in range(50)}
    assert "more than 50 parameters" in logged(scope, person="many")[0]["reason"]


def test_declared_parameters_are_read_as_their_type_and_mismatches_are_warned_of(
    sender: Sender, scope: Scope, api: httpx.Client
) -> None:
    types = {"amount": "Number", "first": "Boolean", "method": "String", "count": "Number"}
    api.post("/manage/v1/event-types", json={"name": "paid", "parameters": types}).raise_for_status()
    good = {"amount": 3, "first": True, "method": "card", "count": 2.5, "event_platform": "ios"}
    assert sender.server(event(scope, event="paid", customer="Typed", context=good)).status_code == 200
    assert logged(scope, person="typed") == []
    odd = {"amount": "12.50", "first": "true", "method": 7, "count": "many", "more": 1}
    assert sender.server(event(scope, event="paid", customer="Typed", context=odd)).status_code == 200
    kept = {"amount": 12.5, "first": True, "method": "7", "count": "many", "more": 1}
    assert [row["parameters"] for row in stored(scope, customer_id="Typed")] == [good, kept]
    (entry,) = logged(scope, person="typed")
    assert entry["reason"] == (
        "amount is not a Number (1060); first is not a Boolean (1060); method is not a String (1060); "
        "count is not a Number (1060); more is not declared (1030)"
    )


def test_the_future_is_taken_for_now(sender: Sender, scope: Scope) -> None:
    sender.server(event(scope, customer="Early", timestamp=stamp(datetime.now(UTC) + timedelta(days=3))))
    (row,) = stored(scope, customer_id="Early")
    assert abs(row["event_at"] - row["received_at"]) < timedelta(seconds=1)
    assert "in the future" in logged(scope, person="early")[0]["reason"]


def test_a_repetition_is_answered_alike_and_stored_once(sender: Sender, scope: Scope) -> None:
    given = event(scope, customer="Twice")
    headers = {"Authorization-Token": sender.secret, "Idempotency-Key": "order-17"}
    answers = [sender.server(given, headers) for _ in range(2)]
    answers += [sender.server(given | {"metadata": {"eventId": "ORDER-17"}})]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["message"] for answer in answers}) == 1
    assert len(stored(scope, customer_id="Twice")) == 1
    # Without an id of its own nothing is taken for a repetition.
    sender.server(event(scope, customer="Twins", timestamp=given["timestamp"]))
    sender.server(event(scope, customer="Twins", timestamp=given["timestamp"]))
    assert len(stored(scope, customer_id="Twins")) == 2


def test_an_app_cannot_take_a_server_s_event_away(sender: Sender, scope: Scope) -> None:
    sender.app([app_event(scope, visitor="thief", metadata={"eventId": "order-99"})])
    headers = {"Authorization-Token": sender.secret, "Idempotency-Key": "order-99"}
    sender.server(event(scope, customer="Robbed"), headers)
    assert len(stored(scope, customer_id="Robbed")) == 1


def test_one_of_many_at_once_with_the_same_id_is_stored(sender: Sender, scope: Scope) -> None:
    batch = [app_event(scope, visitor="racing")]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: sender.app(batch * 3), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(stored(scope, visitor_id="racing")) == 1


# Who may send.


def test_a_signature_is_enough_and_a_wrong_one_is_never(sender: Sender, scope: Scope) -> None:
    body = json.dumps(event(scope, customer="Signed")).encode()
    assert sender.server(body, signed(sender.secret, body)).status_code == 200
    upper = signed(sender.secret, body)
    upper["x-optimove-signature-content"] = upper["x-optimove-signature-content"].upper()
    assert sender.server(body, upper).status_code == 200
    for wrong in (
        signed("other", body),
        signed(sender.secret, body + b" "),
        signed(sender.secret, body) | {"X-Optimove-Signature-Version": "2"},
        signed("other", body) | {"Authorization-Token": sender.secret},
        signed(sender.public, body),
        {"x-optimove-signature-content": "é".encode()},
    ):
        assert sender.server(body, wrong).status_code == 401
    other = json.dumps(event(scope, tenant=2_000_000_000)).encode()
    assert sender.server(other, signed(sender.secret, other)).status_code == 401
    none = json.dumps(event(scope, tenant="none")).encode()
    answer = sender.server(none, signed(sender.secret, none))
    assert (answer.status_code, answer.json()["message"]) == (400, FAILED + "tenantId is missing or invalid")
    assert len(stored(scope, customer_id="Signed")) == 1


def test_a_signed_body_that_is_sent_again_is_stored_once(sender: Sender, scope: Scope) -> None:
    body = json.dumps(event(scope, customer="Replayed")).encode()
    headers = signed(sender.secret, body)
    answers = [sender.server(body, headers | more) for more in ({}, {"Idempotency-Key": "another"}, {})]
    answers += [sender.server(body, {name: value.upper() for name, value in headers.items()})]
    assert len({answer.json()["message"] for answer in answers}) == 1
    assert len(stored(scope, customer_id="Replayed")) == 1
    own = json.dumps(event(scope, customer="Replayed", metadata={"eventId": "signed-1"})).encode()
    for _ in range(2):
        assert sender.server(own, signed(sender.secret, own)).status_code == 200
    assert len(stored(scope, customer_id="Replayed")) == 2
    metrics = json.dumps([metric(customer="Replayed"), metric(customer="Replayed", event="sms_clicked")]).encode()
    answers = [sender.vendor(metrics, **more) for more in ({}, {"Idempotency-Key": "another"})]
    assert answers[0].json() == answers[1].json()
    assert len(stored(scope, customer_id="Replayed")) == 4


def test_a_token_is_enough_in_a_header_and_not_in_the_query(sender: Sender, scope: Scope, changed: Any) -> None:
    given = event(scope, customer="Token")
    assert sender.server(given, {"X-API-KEY": sender.secret}).status_code == 200
    assert sender.server(given, {}).status_code == 401
    assert sender.server(given, {"X-API-KEY": "rt_wrong"}).status_code == 401
    assert sender.server(given, {"X-API-KEY": sender.public}).status_code == 401
    assert sender.server(given, {}, params={"token": sender.secret}).status_code == 401
    changed(allow_query_token=True)
    assert sender.server(given, {}, params={"token": sender.secret}).status_code == 200


def test_a_tenant_may_require_signatures(sender: Sender, scope: Scope, changed: Any) -> None:
    changed(require_signature=True)
    body = json.dumps(event(scope, customer="Strict")).encode()
    assert sender.server(body).status_code == 401
    assert sender.server(body, signed(sender.secret, body)).status_code == 200


def test_a_token_of_another_tenant_does_not_send_for_this_one(sender: Sender, scope: Scope, base_url: str) -> None:
    stranger = Sender(base_url, create_tenant(scope.stores, f"stranger {time.time_ns()}"))
    assert stranger.server(event(scope, customer="Stolen")).status_code == 400
    body = json.dumps(event(scope, customer="Stolen")).encode()
    assert sender.server(body, signed(stranger.secret, body)).status_code == 401
    assert stranger.app([app_event(scope, visitor="stolen")]).status_code == 200
    assert stored(scope, customer_id="Stolen") == stored(scope, visitor_id="stolen") == []
    assert logged(stranger.scope)[-1]["reason"] == "tenantId is missing or invalid"
    stranger.client.close()


def test_tokens_are_masked_shown_and_rotated(base_url: str, scope: Scope, api: httpx.Client) -> None:
    hidden = api.get("/manage/v1/event-intake").json()
    shown = api.get("/manage/v1/event-intake", params={"reveal": "true"}).json()
    assert hidden["tenant_id"] == shown["tenant_id"] == scope.tenant_id
    secret, public = shown["server_token"]["value"], shown["sdk_token"]["value"]
    assert secret != public and secret not in str(hidden) and public not in str(hidden)
    assert public in shown["endpoints"]["optistream"] and secret not in str(shown["endpoints"])
    answer = api.post("/manage/v1/event-intake/rotate", json={"kind": "server"}).json()
    new = answer["server_token"]["value"]
    assert new != secret and answer["sdk_token"]["value"] == public

    def status(token: str) -> int:
        body = event(scope, customer="Rotated")
        return httpx.post(f"{base_url}/v1/events", json=body, headers={"X-API-KEY": token}).status_code

    assert status(secret) == status(new) == 200  # both, for the grace
    last = api.post("/manage/v1/event-intake/rotate", json={"kind": "server", "grace_hours": 0}).json()
    assert [status(token) for token in (secret, new, last["server_token"]["value"])] == [200, 401, 200]
    api.post("/manage/v1/event-intake/rotate", json={"kind": "sdk", "grace_hours": 0}).raise_for_status()
    path = f"{base_url}/v1/optistream/{public}"
    assert httpx.post(path, json=[app_event(scope)]).status_code == 401


def test_few_tokens_of_a_kind_are_good_at_a_time(scope: Scope, api: httpx.Client) -> None:
    """A signed body is held against each of them, whoever sends it."""
    asked = {"kind": "server", "grace_hours": 24}
    rotated = [api.post("/manage/v1/event-intake/rotate", json=asked).json() for _ in range(tokens.MOST_GOOD + 2)]
    made = [one["server_token"]["value"] for one in rotated]
    good = {one.value for one in tokens.good_tokens(scope) if one.kind == "server"}
    assert good == set(made[-tokens.MOST_GOOD :])


@pytest.fixture(autouse=True)
def present_tokens(request: pytest.FixtureRequest, scope: Scope) -> Iterator[None]:
    """Another test may have rotated the tokens."""
    if "sender" in request.fixturenames:
        found, sender = tokens.tokens(scope), request.getfixturevalue("sender")
        sender.secret, sender.public = found["server"].value, found["sdk"].value
        sender.vendors = found["vendor"].value
    yield


# Apps.


def test_a_batch_of_an_app_is_stored_but_for_what_is_unusable(sender: Sender, scope: Scope) -> None:
    batch = [app_event(scope, visitor="app1", event=name) for name in ("set_page_visit", "app_open")]
    batch += [app_event(scope, visitor="app1", event=""), app_event(scope, visitor="", customer=""), 7]
    batch += [app_event(scope, visitor="app1", context=None)]
    answer = sender.app(batch)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    found = stored(scope, visitor_id="app1")
    assert [row["event"] for row in found] == ["set_page_visit", "app_open", "signup"]
    assert {row["origin"] for row in found} == {"sdk"} and found[2]["parameters"] == {}
    errors = [one["reason"] for one in logged(scope, status="error", origin="sdk")]
    assert errors[-3:] == [
        "event is missing or invalid",
        "customer or visitor is missing",
        "the event is not a JSON object",
    ]


def test_both_addresses_of_apps_store_an_event_once(sender: Sender, scope: Scope) -> None:
    batch = [app_event(scope, visitor="both") for _ in range(3)]
    assert sender.app(batch).status_code == 200
    assert sender.app(batch, "/v1/realtime/{}/reportEvent").status_code == 200
    assert sender.app([*batch[1:], app_event(scope, visitor="both")]).status_code == 200
    assert len(stored(scope, visitor_id="both")) == 4


def test_apps_that_do_not_know_the_token_or_send_too_much_are_refused(sender: Sender, scope: Scope) -> None:
    one = app_event(scope, visitor="refused")
    unknown = sender.app([one], "/v1/optistream/nobody")
    assert unknown.status_code == 401 and unknown.headers["access-control-allow-origin"] == "*"
    assert sender.app([one], f"/v1/optistream/{sender.secret}").status_code == 401
    assert [sender.app(bad).json()["status"] for bad in ([one] * 101, b"{")] == ["error", "error"]
    assert sender.app(b" " * (2 * 1024 * 1024 + 1)).status_code == 413
    assert sender.app([]).status_code == 200
    preflight = sender.client.options(f"/v1/optistream/{sender.public}")
    assert preflight.status_code == 204 and preflight.headers["access-control-allow-origin"] == "*"
    assert stored(scope, visitor_id="refused") == []


def test_the_configuration_of_an_sdk_names_events_and_addresses(
    sender: Sender, scope: Scope, api: httpx.Client
) -> None:
    api.post("/manage/v1/event-types", json={"name": "bet", "parameters": {"stake": "Number"}}).raise_for_status()
    answer = sender.client.get(f"/mobilesdkconfig/{sender.public}/mobile.1.0.0.json")
    assert answer.status_code == 200
    config = answer.json()
    assert config["enableRealtime"] is config["enableRealtimeThroughOptistream"] is True
    assert config["optitrackMetaData"]["siteId"] == scope.tenant_id
    assert config["optitrackMetaData"]["optitrackEndpoint"].endswith(f"/v1/optistream/{sender.public}")
    assert config["events"]["bet"]["parameters"]["stake"]["type"] == "Number"
    assert config["events"]["set_user_id_event"]["id"] == 1001
    shared = sender.client.get("/configs/mobile/global/v4/prod/configs.json").json()
    assert shared["optitrack"]["event_category_name"] == "LogEvent"
    ids = {name: one["id"] for name, one in shared["core_events"].items()}
    assert ids["set_email_event"] == 1002 and ids["notification_opened"] == 1013
    assert len(set(ids.values())) == len(ids)
    assert sender.client.get("/mobilesdkconfig/nobody/mobile.1.0.0.json").status_code == 401
    assert sender.client.get(f"/mobilesdkconfig/{sender.public}/other.txt").status_code == 404
    assert sender.client.post("/report/log", json={}).status_code == 204


# Vendors.


def test_a_bad_metric_is_refused_alone(sender: Sender, scope: Scope) -> None:
    good = [metric(customer="Metric", context={"campaign_id": 1}), metric(customer="Metric", event="sms_clicked")]
    answer = sender.vendor(good)
    assert answer.status_code == 200 and len(answer.json()["message"].split(",")) == 2
    assert [row["origin"] for row in stored(scope, customer_id="Metric")] == ["metric", "metric"]
    old = metric(customer="Metric", timestamp=stamp(datetime.now(UTC) - timedelta(days=7, minutes=1)))
    for bad, reason in ((old, "more than 7 days old"), (metric(category="track"), "category must be 'metric'")):
        answer = sender.vendor([*good, bad])
        assert answer.status_code == 200 and len(answer.json()["message"].split(",")) == 2
        answer = sender.vendor([bad])
        assert answer.status_code == 400 and reason in answer.json()["message"]
    assert sender.vendor([]).status_code == 400
    assert len(stored(scope, customer_id="Metric")) == 6


def test_a_vendor_brings_what_becomes_of_messages_and_what_the_tenant_lets_it(
    sender: Sender, scope: Scope, changed: Any
) -> None:
    names = ["smsDelivered", "push_failed", "unsubscribed", "whatsapp-read", "purchase", "payment_failed", "core_login"]
    batch = [metric(customer="Brought", event=name) for name in names]
    assert sender.vendor(batch).status_code == 200
    assert [row["event"] for row in stored(scope, customer_id="Brought")] == names[:4]
    told = [one["reason"] for one in logged(scope, person="brought", status="error")]
    assert told == ["the event is no metric of messages, nor one of the tenant's vendor_events"] * 3
    assert sender.vendor(batch[4]).status_code == 400
    assert sender.vendor(batch, secret=sender.secret).status_code == 200
    changed(vendor_events=["survey_answered"])
    time.sleep(1.1)
    assert sender.vendor(metric(customer="Asked", event="survey_answered")).status_code == 200


def test_a_vendor_s_token_signs_metrics_and_nothing_else(sender: Sender, scope: Scope, api: httpx.Client) -> None:
    own, server = (api.get("/manage/v1/event-intake?reveal=true").json()[f"{kind}_token"] for kind in VENDOR_AND_SERVER)
    assert own["value"].startswith("rv_") and own["value"] not in api.get("/manage/v1/event-intake").text
    assert sender.vendor(metric(customer="Own"), secret=own["value"]).status_code == 200
    assert sender.vendor(metric(customer="Own"), secret=server["value"]).status_code == 200
    assert sender.vendor(metric(customer="Own"), secret=sender.public).status_code == 401
    body = json.dumps(event(scope, customer="Made")).encode()
    for headers in (signed(own["value"], body), {"Authorization-Token": own["value"]}, {"X-API-KEY": own["value"]}):
        assert sender.server(body, headers).status_code == 401
    answer = httpx.post(f"{sender.client.base_url}/v1/optistream/{own['value']}", json=[app_event(scope)])
    assert answer.status_code == 401
    assert (len(stored(scope, customer_id="Own")), stored(scope, customer_id="Made")) == (2, [])
    rotated = api.post("/manage/v1/event-intake/rotate", json={"kind": "vendor", "grace_hours": 0}).json()
    assert rotated["server_token"] == server
    assert sender.vendor(metric(customer="Own"), secret=own["value"]).status_code == 401
    assert sender.vendor(metric(customer="Own"), secret=rotated["vendor_token"]["value"]).status_code == 200


def test_vendors_must_sign_and_the_tenant_is_told_by_host_body_or_path(sender: Sender, scope: Scope) -> None:
    one = metric(customer="Vendor")
    assert sender.vendor(one, secret="other").status_code == 401
    body = json.dumps(one).encode()
    headers = {"Authorization-Token": sender.secret}
    assert sender.client.post("/api/saveEvent", content=body, headers=headers).status_code == 401
    assert sender.vendor(one, "/api/saveEvent").status_code == 400
    host = f"metric-{scope.tenant_id}.example.com"
    assert sender.vendor(one, "/api/saveEvent", Host=host).status_code == 200
    assert sender.vendor(one | {"tenant": scope.tenant_id}, "/api/saveEvent").status_code == 200
    assert sender.vendor(one).status_code == 200
    assert sender.vendor(one, "/v1/metrics/999999999/saveEvent").status_code == 401
    assert len(stored(scope, customer_id="Vendor")) == 2, "of the same bytes once"


# How much.


def test_one_person_has_a_limit_that_is_nobody_else_s(sender: Sender, scope: Scope, changed: Any) -> None:
    changed(events_per_person=5)
    assert sender.app([app_event(scope, visitor="fast") for _ in range(5)]).status_code == 200
    answer = sender.app([app_event(scope, visitor="slow"), app_event(scope, visitor="fast")])
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 12
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["status"] == 429
    assert stored(scope, visitor_id="slow") == []
    assert sender.app([app_event(scope, visitor="slow")]).status_code == 200
    assert [sender.server(event(scope, customer="Fast")).status_code for _ in range(6)] == [200] * 5 + [429]
    assert sender.server(event(scope, customer="FAST")).status_code == 429
    assert len(stored(scope, visitor_id="fast")) == 5


def test_one_fault_does_not_take_others_along(scope: Scope) -> None:
    """Two requests share a transaction: the one that cannot be stored fails alone."""
    intake = Intake(scope.stores)
    now = datetime.now(UTC)
    bad = Incoming("bad", "server", now, "c" * 400)
    good = Incoming("good", "server", now, "Shared")
    with ThreadPoolExecutor(2) as pool:
        first = [pool.submit(intake.accept_now, scope, [bad]) for _ in range(3)]
        second = pool.submit(intake.accept_now, scope, [good])
        assert all(one.exception() is not None for one in first)
        assert [one.duplicate for one in second.result()] == [False]
    assert len(stored(scope, customer_id="Shared")) == 1


def test_records_that_went_away_are_told_and_found_again(scope: Scope) -> None:
    """Whoever was not answered sends again; with an id it is stored once, whatever had become of it."""
    intake = Intake(scope.stores)
    now = datetime.now(UTC)
    one = Incoming("away", "server", now, "Away", event_id="away-1")
    assert intake.accept_now(scope, [one])[0].duplicate is False
    kept = intake._store._connection
    assert kept is not None
    backend = kept.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with scope.records() as session:
        session.execute(text("SELECT pg_terminate_backend(:backend)"), {"backend": backend})
    with pytest.raises(Unavailable):
        intake.accept_now(scope, [Incoming("away", "server", now, "Away", event_id="away-2")])
    accepted = intake.accept_now(scope, [Incoming("away", "server", now, "Away", event_id=f"away-{n}") for n in (1, 2)])
    assert [one.duplicate for one in accepted] == [True, False]
    assert len(stored(scope, customer_id="Away")) == 2


# The log.


def test_the_log_is_searched_and_the_days_are_counted(scope: Scope, base_url: str, api: httpx.Client) -> None:
    sender = Sender(base_url, scope)
    before = api.get("/manage/v1/event-log/counts").json()[-1]
    assert before["day"] == str(scope.today())
    sender.server(event(scope, customer="Logged", event="unheard_of"))
    sender.server(event(scope, customer="LOGGED", timestamp="never"))
    sender.server(event(scope, customer="Logged", event="set_page_visit", context={"pageTitle": "Home"}))
    sender.server(
        event(
            scope, customer="Logged", event="set_page_visit", context={"pageTitle": "x"}, metadata={"eventId": "log-1"}
        )
    )
    sender.server(
        event(
            scope, customer="Logged", event="set_page_visit", context={"pageTitle": "x"}, metadata={"eventId": "log-1"}
        )
    )
    found = api.get("/manage/v1/event-log", params={"person": "logged"}).json()
    assert [(one["status"], one["event"]) for one in found] == [("error", "signup"), ("warning", "unheard_of")]
    assert found[1]["reason"] == "the event is not declared (1010)"
    for filters, number in (
        ({"status": "error"}, 1),
        ({"event": "unheard_of"}, 1),
        ({"origin": "sdk"}, 0),
        ({"limit": 1}, 1),
        ({"before": found[0]["id"]}, 1),
        ({"until": "2020-01-01T00:00:00Z"}, 0),
        ({"since": "2020-01-01T00:00:00Z"}, 2),
    ):
        answer = api.get("/manage/v1/event-log", params={"person": "Logged", **filters})
        assert len(answer.json()) == number, filters
    after = api.get("/manage/v1/event-log/counts").json()
    assert len(after) == 14
    grown = {name: after[-1][name] - before[name] for name in ("success", "warning", "error", "duplicate")}
    assert grown == {"success": 2, "warning": 1, "error": 1, "duplicate": 1}
    sender.client.close()


def test_everything_is_logged_while_it_is_recorded(scope: Scope, base_url: str) -> None:
    other = create_tenant(scope.stores, f"recorded {time.time_ns()}")
    _, key = keys.create_key(other, "tests", "tests@example.com", "Admin")
    sender = Sender(base_url, other)
    sender.client.headers["X-API-KEY"] = key
    place = "/manage/v1/event-log/recording"
    assert sender.client.get(place).json() == {"until": None}
    until = datetime.fromisoformat(sender.client.post(place).json()["until"])
    assert timedelta(minutes=4) < until - datetime.now(UTC) <= timedelta(minutes=5)
    sender.server(event(other, customer="Recorded", event="set_page_visit", context={"pageTitle": "Home"}))
    (entry,) = logged(other, person="recorded")
    assert (entry["status"], entry["reason"]) == ("success", "")
    assert json.loads(entry["body"])["context"] == {"pageTitle": "Home"}
    scope.stores.clock.set(until + timedelta(seconds=1))
    assert sender.client.get(place).json() == {"until": None}
    scope.stores.clock.set(None)
    sender.client.close()


def test_the_same_fault_is_logged_so_often_only_and_counted_always(scope: Scope, base_url: str) -> None:
    other = create_tenant(scope.stores, f"noisy {time.time_ns()}")
    update_tenant(other, {"settings": {"events": {"events_per_person": 1000}}})
    sender = Sender(base_url, other)
    for _ in range(3):
        sender.app([app_event(other, visitor="noisy", event="") for _ in range(100)])
    assert len(logged(other)) == 100
    counts = sender.client.get("/metrics").text
    assert 'rapport_events_rejected_total{origin="sdk",reason="invalid"}' in counts
    from rapport.realtime.events.event_log import counts as by_day

    assert by_day(other)[-1][1]["error"] == 300
    sender.client.close()
