"""One bad event ends itself only: mended with a warning, or refused alone with the reason in the log."""

import codecs
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from senders import NUMBERS, Sender, app_event, empty, event, logged, metric, signed, stamp, stored

from rapport.access.scope import Scope
from rapport.realtime.events import event_log, reading
from rapport.realtime.events.reading import RawEvent

Send = Callable[[Sender, bytes], httpx.Response]


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


def app(sender: Sender, body: bytes) -> httpx.Response:
    return sender.app(body)


def older_app(sender: Sender, body: bytes) -> httpx.Response:
    return sender.app(body, "/v1/realtime/{}/reportEvent")


def packed(sender: Sender, body: bytes) -> httpx.Response:
    headers = {"Content-Encoding": "gzip"}
    return sender.client.post(f"/v1/optistream/{sender.public}", content=gzip.compress(body), headers=headers)


def vendor(sender: Sender, body: bytes) -> httpx.Response:
    return sender.vendor(body, secret=sender.secret)


def packed_vendor(sender: Sender, body: bytes) -> httpx.Response:
    headers = signed(sender.secret, body) | {"Content-Encoding": "gzip"}
    where = f"/v1/metrics/{sender.scope.tenant_id}/saveEvent"
    return sender.client.post(where, content=gzip.compress(body), headers=headers)


BATCHES: list[Send] = [app, older_app, packed, vendor, packed_vendor]
every = pytest.mark.parametrize("send", BATCHES)


def good(send: Send, **members: Any) -> dict[str, Any]:
    if send in (vendor, packed_vendor):
        return metric(customer=f"Good{next(NUMBERS)}") | members
    number = next(NUMBERS)
    made = {"visitor": f"Good{number}", "timestamp": stamp(), "metadata": {"eventId": f"good-{number}"}}
    return made | {"event": "good", "context": {}} | members


def batch(send: Send, *texts: str) -> bytes:
    """An array of good events with these texts of events among them; GOOD in one stands for members of a good one."""
    members = json.dumps(good(send))[1:-1]
    events = [json.dumps(good(send, event="first")), *texts, json.dumps(good(send, event="last"))]
    return ("[" + ", ".join(one.replace("GOOD", members) for one in events) + "]").encode("utf-8", "surrogatepass")


MENDED = {
    "half an emoji": ('{GOOD, "event": "odd", "context": {"title": "Sale \\ud83d"}}', {"title": "Sale \ufffd"}),
    "the other half": ('{GOOD, "event": "odd", "context": {"title": "\\ude00Sale"}}', {"title": "\ufffdSale"}),
    "half in bytes": ('{GOOD, "event": "odd", "context": {"title": "\ud83d!"}}', {"title": "\ufffd!"}),
    "too large": ('{GOOD, "event": "odd", "context": {"n": 1e400, "a": 1}}', {"a": 1}),
    "too small": ('{GOOD, "event": "odd", "context": {"n": -1e400, "a": 1}}', {"a": 1}),
    "NaN": ('{GOOD, "event": "odd", "context": {"n": NaN, "m": Infinity, "o": -Infinity, "a": 1}}', {"a": 1}),
    "beyond 64 bits": ('{GOOD, "event": "odd", "context": {"n": 36893488147419103232}}', {"n": 36893488147419103232.0}),
    "far beyond": ('{GOOD, "event": "odd", "context": {"n": %s, "a": 1}}' % ("9" * 5000), {"a": 1}),
    "NUL": ('{GOOD, "event": "odd", "context": {"title": "a\\u0000b"}}', {"title": "a\ufffdb"}),
    "a NUL as it is": ('{GOOD, "event": "odd", "context": {"title": "a\0b"}}', {"title": "a\ufffdb"}),
    "too long": ('{GOOD, "event": "odd", "context": {"title": "%s"}}' % ("x" * 100_000), {"title": "x" * 4000}),
    "a list": ('{GOOD, "event": "odd", "context": {"title": ["x"], "a": 1}}', {"a": 1}),
    "no object": ('{GOOD, "event": "odd", "context": "x"}', {}),
    "half a name": ('{GOOD, "event": "odd", "context": {"\\ud83d": 1, "a": 1}}', {"\ufffd": 1, "a": 1}),
    "the future": ('{GOOD, "event": "odd", "context": {"a": 1}, "timestamp": "9998-01-01T00:00:00Z"}', {"a": 1}),
    "an id that is none": ('{GOOD, "event": "odd", "context": {"a": 1}, "metadata": {"eventId": [1]}}', {"a": 1}),
}


@every
@pytest.mark.parametrize("what", MENDED)
def test_what_can_be_mended_is_stored_with_a_warning(sender: Sender, send: Send, what: str) -> None:
    text, parameters = MENDED[what]
    answer = send(sender, batch(send, text))
    assert answer.status_code == 200, answer.text
    rows = stored(sender.scope)
    assert [row["event"] for row in rows] == ["first", "odd", "last"]
    assert rows[1]["parameters"] == parameters
    assert [entry["status"] for entry in logged(sender.scope, event="odd")] == ["warning"]


REFUSED = {
    "no JSON": ('{"event": "odd", "oops"}', "the event is not valid JSON"),
    "undefined": ('{GOOD, "event": "odd", "context": {"x": undefined}}', "the event is not valid JSON"),
    "a trailing comma": ('{GOOD, "event": "odd", "context": {"x": 1,}}', "the event is not valid JSON"),
    "nested without end": ("[" * 3000 + "]" * 3000, "the event is not valid JSON"),
    "nested in a context": (
        '{GOOD, "event": "odd", "context": {"x": %s}}' % ("[" * 3000 + "]" * 3000),
        "the event is not valid JSON",
    ),
    "a number": ("7", "the event is not a JSON object"),
    "nothing": ("null", "the event is not a JSON object"),
    "a text": ('"odd"', "the event is not a JSON object"),
    "no name": ('{GOOD, "event": 7}', "event is missing or invalid"),
    "half a name": ('{GOOD, "event": "\\ud83d"}', "event must be a printable text of at most 255 characters"),
    "a long name": ('{GOOD, "event": "%s"}' % ("x" * 256), "event must be a printable text of at most 255 characters"),
    "half an id": (
        '{GOOD, "visitor": null, "customer": "Q\\ud83d"}',
        "customer must be a printable text of at most 255 characters",
    ),
    "NUL in an id": (
        '{GOOD, "visitor": null, "customer": "Q\\u0000"}',
        "customer must be a printable text of at most 255 characters",
    ),
    "a long id": (
        '{GOOD, "customer": "%s"}' % ("x" * 300),
        "customer must be a printable text of at most 255 characters",
    ),
    "a list for an id": ('{GOOD, "customer": ["Q1"]}', "customer is not a string"),
    "a number beyond 64 bits for an id": ('{GOOD, "customer": 36893488147419103232}', "customer is not a string"),
    "no time": ('{GOOD, "timestamp": "yesterday"}', "timestamp is not a time such as 2026-03-02 14:10:55.120 UTC"),
    "an absurd day": (
        '{GOOD, "timestamp": "2026-02-31 10:00:00"}',
        "timestamp is not a time such as 2026-03-02 14:10:55.120 UTC",
    ),
    "a year of five digits": (
        '{GOOD, "timestamp": "20261-02-01T10:00:00Z"}',
        "timestamp is not a time such as 2026-03-02 14:10:55.120 UTC",
    ),
    "long ago": ('{GOOD, "timestamp": "0001-01-01 00:00:00 UTC"}', "timestamp is before 2000-01-01"),
    "a number for a time": (
        '{GOOD, "timestamp": 1.7e12}',
        "timestamp is not a time such as 2026-03-02 14:10:55.120 UTC",
    ),
    "another tenant": ('{GOOD, "tenant": 1}', "tenantId is missing or invalid"),
}


@every
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_used_is_refused_alone(sender: Sender, send: Send, what: str) -> None:
    text, reason = REFUSED[what]
    answer = send(sender, batch(send, text))
    assert answer.status_code == 200, answer.text
    assert [row["event"] for row in stored(sender.scope)] == ["first", "last"]
    (entry,) = logged(sender.scope, status="error")
    assert entry["reason"] == reason
    if send in (app, older_app, packed):
        assert answer.json()["message"] == "2 of 3 events"
    else:
        assert len(answer.json()["message"].split(",")) == 2


@every
def test_a_byte_order_mark_is_passed_over(sender: Sender, send: Send) -> None:
    for body in (codecs.BOM_UTF8 + batch(send), batch(send).decode().encode("utf-16")):
        assert send(sender, body).status_code == 200
    assert len(stored(sender.scope)) == 4


def test_the_last_of_a_member_that_comes_twice_counts(sender: Sender) -> None:
    text = '{GOOD, "event": "one", "event": "two", "context": {"a": 1, "a": 2}}'
    assert app(sender, batch(app, text)).status_code == 200
    assert [(row["event"], row["parameters"]) for row in stored(sender.scope, event="two")] == [("two", {"a": 2})]


def test_a_single_event_is_mended_likewise(sender: Sender) -> None:
    members = json.dumps(event(sender.scope))[:-1]
    for body in (codecs.BOM_UTF8 + members.encode() + b"}", (members + ', "context": {"t": "\\ud83d"}}').encode()):
        assert sender.server(body).status_code == 200
    assert [row["parameters"].get("t") for row in stored(sender.scope)] == [None, "\ufffd"]
    assert sender.server(codecs.BOM_UTF8 + b"{").status_code == 400


def test_a_batch_of_nothing_that_can_be_used_is_told_to_a_vendor(sender: Sender) -> None:
    answer = vendor(sender, json.dumps([metric(timestamp="never"), metric(customer=None)]).encode())
    assert answer.status_code == 400 and "timestamp is not a time" in answer.json()["message"]
    reasons = [entry["reason"].split()[0] for entry in logged(sender.scope, status="error")]
    assert reasons == ["timestamp", "customer"]


def test_a_half_emoji_after_an_app_was_opened(sender: Sender) -> None:
    body = json.dumps(
        [
            app_event(sender.scope, event="app_open", visitor="vis1", context={}),
            app_event(sender.scope, event="set_page_visit", visitor="vis1", context={"pageTitle": "Sale \ud83d"}),
        ]
    ).encode()
    assert b"\\ud83d" in body
    assert app(sender, body).status_code == 200
    assert [row["parameters"] for row in stored(sender.scope)] == [{}, {"pageTitle": "Sale \ufffd"}]
    (entry,) = logged(sender.scope)
    assert entry["status"] == "warning" and "pageTitle contains half of a character" in entry["reason"]
    assert json.loads(entry["body"])["context"]["pageTitle"] == "Sale \ufffd"


texts = st.text(max_size=8)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
MEMBERS = ["tenant", "event", "customer", "visitor", "timestamp", "context", "metadata", "category", "origin"]
bad_events = st.one_of(anything, st.dictionaries(st.sampled_from(MEMBERS), anything, max_size=4))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(bad=st.lists(bad_events, min_size=1, max_size=4), whole=st.booleans())
def test_whatever_is_among_them_good_events_are_stored(own: Sender, scope: Scope, bad: list[Any], whole: bool) -> None:
    for send in (app, vendor):
        texts = [json.dumps(good(send) | one if whole and isinstance(one, dict) else one) for one in bad]
        before = len(stored(scope, event="first")), len(stored(scope, event="last"))
        answer = send(own, batch(send, *(text.replace("GOOD", "good") for text in texts)))
        assert answer.status_code == 200, (answer.text, texts)
        assert (len(stored(scope, event="first")), len(stored(scope, event="last"))) == (before[0] + 1, before[1] + 1)


@settings(max_examples=300, deadline=None)
@given(value=anything)
def test_what_is_json_reads_as_json_reads_it(value: Any) -> None:
    body = json.dumps([value]).encode()
    rough = reading.read_roughly(body)
    assert isinstance(rough, list) and len(rough) == 1
    exact = reading.read(body)
    assert exact is None or repr(exact) == repr(rough)


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"[", b"[1", b"[1]]", b"[1] 2", b'["', b'["\\', b"[}", b"[1}", b"{]", b'[{"a": "' + b'\\"' * 500_000],
)
def test_what_does_not_end_is_no_json(body: bytes) -> None:
    assert reading.read(body) is None and reading.read_roughly(body) is None


def test_no_more_events_than_a_body_may_have_are_looked_for() -> None:
    assert reading.read_roughly(b"[" + b"NaN," * 2000 + b"1]") is None
    assert reading.read_roughly(b"[1,]") == [RawEvent(1)]
