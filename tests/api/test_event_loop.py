"""What comes in and goes out, however much it is, holds up the event loop hardly longer than a small call does.

The CPU of the loop's thread is compared, not time: what other threads and processes do does not count.
"""

import asyncio
import gzip
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from least_time import stays_within
from rapport.access import keys
from rapport.access.scope import Scope
from rapport.app import create_app
from rapport.channels import service as channels
from rapport.commands.connections import configured
from rapport.messaging import templates as messaging_templates
from rapport.realtime.events.tokens import SDK_TOKEN, SERVER_TOKEN, tokens
from rapport.stores import Stores
from served_app import running

# A large call may take the loop so many times what a small one does: its bytes come in pieces, each of which is little.
TIMES = 20
MIB = 2**20
JSON = {"Content-Type": "application/json"}
Call = Callable[[httpx.Client, Scope], httpx.Response]


class Measured(asyncio.SelectorEventLoop):
    """An event loop that notes the most CPU that it took between two looks at its sockets."""

    longest = 0.0

    def _run_once(self) -> None:
        began = time.thread_time()
        super()._run_once()  # type: ignore[misc]
        Measured.longest = max(Measured.longest, time.thread_time() - began)


@pytest.fixture(scope="module")
def client(stores: Stores, scope: Scope) -> Iterator[httpx.Client]:
    app = create_app(stores)
    config = configured(app, stores.settings, port=0)
    config.loop = f"{__name__}:{Measured.__name__}"
    _, secret = keys.create_key(scope, "loop", "loop@example.com", "Admin")
    with running(config) as url, httpx.Client(base_url=url, headers={"X-API-KEY": secret}, timeout=120) as client:
        for _ in range(3):  # what is made once is made now
            client.get("/manage/v1/brands")
            client.get("/openapi.json")
        yield client


@pytest.fixture(scope="module")
def written(scope: Scope) -> None:
    """Templates as long as they may be."""
    channel = channels.create_channel(scope, "Mail", "email").id
    for number in range(20):
        messaging_templates.save_template(
            scope, channel, f"t{number}", "s", "<p>" + "ä b " * 24_990 + "</p>", "y z " * 25_000
        )


def longest(call: Call, client: httpx.Client, scope: Scope, status: int) -> float:
    """The most CPU of the loop during a call."""
    Measured.longest = 0.0
    answer = call(client, scope)
    assert answer.status_code == status, answer.text[:300]
    return Measured.longest


def small(client: httpx.Client, scope: Scope) -> httpx.Response:
    return client.post("/manage/v1/target-groups/sentence", json={"definition": {"attribute": "EMAIL"}})


def events(scope: Scope, number: int, parameters: int) -> bytes:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    context = {f"p{n}": n for n in range(parameters)}
    one = {"tenant": scope.tenant_id, "event": "page_seen", "timestamp": now, "context": context}
    return json.dumps([{**one, "customer": f"C{n:05}"} for n in range(number)]).encode()


def signed(scope: Scope, body: bytes, good: bool) -> dict[str, str]:
    digest = hmac.new(tokens(scope)[SERVER_TOKEN].value.encode(), body, hashlib.sha256).hexdigest()
    return {**JSON, "X-Optimove-Signature-Content": digest if good else "0" * 64}


def a_definition(client: httpx.Client, scope: Scope) -> httpx.Response:
    values = [f"v{n}" for n in range(390)]
    leaf = {"attribute": "EMAIL", "operator": "in", "value": values}
    return client.post("/manage/v1/target-groups/size", json={"definition": {"any": [leaf] * 499}})


def faults(client: httpx.Client, scope: Scope) -> httpx.Response:
    return client.post("/manage/v1/campaigns/one-time", json={"customer_ids": [{}] * 29_000})


def a_text(client: httpx.Client, scope: Scope) -> httpx.Response:
    return client.post("/manage/v1/target-groups/size", json={"definition": "x" * (4 * MIB - 100)})


def a_text_of_the_wire(client: httpx.Client, scope: Scope) -> httpx.Response:
    return client.post("/current/customers/RemoveCustomerPII", json={"X": "x" * (16 * MIB - 100)})


def templates(client: httpx.Client, scope: Scope) -> httpx.Response:
    return client.get("/manage/v1/templates")


def the_document(client: httpx.Client, scope: Scope) -> httpx.Response:
    return client.get("/openapi.json")


def a_path(client: httpx.Client, scope: Scope) -> httpx.Response:
    return client.get("/current/" + "%41/" * 15_000)


def metrics_of_a_stranger(client: httpx.Client, scope: Scope) -> httpx.Response:
    body = events(scope, 1000, 48)
    return client.post("/api/saveEvent", content=body, headers=signed(scope, body, False))


def metrics(client: httpx.Client, scope: Scope) -> httpx.Response:
    body = events(scope, 1000, 48)
    path = f"/v1/metrics/{scope.tenant_id}/saveEvent"
    return client.post(path, content=body, headers=signed(scope, body, True))


def an_event(client: httpx.Client, scope: Scope) -> httpx.Response:
    body = json.dumps(json.loads(events(scope, 1, 49_900))[0]).encode()
    return client.post(
        "/v1/events", content=body, headers={**JSON, "Authorization-Token": tokens(scope)[SERVER_TOKEN].value}
    )


def packed_events(client: httpx.Client, scope: Scope) -> httpx.Response:
    digits = b"".join(b"%d," % (n * 7919 % 10_007) for n in range(90_000))  # which take long to unpack
    body = gzip.compress(b" " * (2 * MIB - len(digits) - 3) + b"[" + digits + b"0]")
    path = f"/v1/optistream/{tokens(scope)[SDK_TOKEN].value}"
    return client.post(path, content=body, headers={**JSON, "Content-Encoding": "gzip"})


def a_file_under_a_key(client: httpx.Client, scope: Scope) -> httpx.Response:
    headers = {"Idempotency-Key": f"file {time.time_ns()}"}
    form: dict[str, Any] = {"data": {"no": "x"}, "files": {"file": ("a.csv", b"id,a\n" + b"1,2\n" * 4 * MIB)}}
    return client.post("/manage/v1/imports", **form, headers=headers)


def a_form(client: httpx.Client, scope: Scope) -> httpx.Response:
    return client.post("/manage/v1/imports", files=[(f"f{n}", (None, "x")) for n in range(10_000)])


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize(
    ("call", "status"),
    [
        (a_definition, 400),
        (faults, 400),
        (a_text, 400),
        (a_text_of_the_wire, 400),
        (templates, 200),
        (the_document, 200),
        (a_path, 404),
        (metrics_of_a_stranger, 401),
        (metrics, 400),
        (an_event, 200),
        (packed_events, 200),
        (a_file_under_a_key, 400),
        (a_form, 400),
    ],
    ids=lambda given: getattr(given, "__name__", None),
)
def test_much_holds_up_the_loop_little_longer(client: httpx.Client, scope: Scope, call: Call, status: int) -> None:
    def large() -> float:
        return longest(call, client, scope, status)

    assert stays_within(large, lambda: longest(small, client, scope, 400), TIMES)
