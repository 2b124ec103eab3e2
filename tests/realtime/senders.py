"""Events as their senders make them, and what became of them in the records."""

import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.realtime.events import tokens

NUMBERS = itertools.count(1)


def stamp(at: datetime | None = None) -> str:
    return f"{at or datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"


def event(scope: Scope, **members: Any) -> dict[str, Any]:
    """A server's event of a customer."""
    return {
        "tenant": scope.tenant_id,
        "event": "signup",
        "customer": "Q1",
        "timestamp": stamp(),
        "context": {"plan": "gold", "amount": 12.5, "trial": True},
    } | members


def app_event(scope: Scope, **members: Any) -> dict[str, Any]:
    """An app's event of a visitor, with an id of its own."""
    made = event(scope, category="track", origin="sdk", visitor="0123456789abcdef")
    made.update(
        {
            "customer": None,
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "metadata": {"realtime": True, "eventId": f"00000000-0000-4000-8000-{next(NUMBERS):012}"},
        }
    )
    return made | members


def metric(**members: Any) -> dict[str, Any]:
    return {
        "event": "sms_delivered",
        "category": "metric",
        "timestamp": stamp(),
        "customer": "Q1",
        "context": {},
    } | members


class Sender:
    """A server, an app and a vendor of one tenant, with what it takes to be let in."""

    def __init__(self, base_url: str, scope: Scope) -> None:
        self.scope = scope
        found = tokens.tokens(scope)
        self.secret, self.public = found["server"].value, found["sdk"].value
        self.vendors = found["vendor"].value
        self.client = httpx.Client(base_url=base_url, timeout=30)

    def server(self, given: Any, headers: Mapping[str, str] | None = None, **options: Any) -> httpx.Response:
        """With the token in a header unless other headers are given."""
        named = {"Authorization-Token": self.secret} if headers is None else dict(headers)
        body = given if isinstance(given, bytes) else json.dumps(given).encode()
        return self.client.post("/v1/events", content=body, headers=named, **options)

    def app(self, events: Any, path: str = "/v1/optistream/{}") -> httpx.Response:
        body = events if isinstance(events, bytes) else json.dumps(events).encode()
        return self.client.post(path.format(self.public), content=body)

    def vendor(self, given: Any, path: str = "", secret: str = "", **headers: str) -> httpx.Response:
        body = given if isinstance(given, bytes) else json.dumps(given).encode()
        where = path or f"/v1/metrics/{self.scope.tenant_id}/saveEvent"
        return self.client.post(where, content=body, headers=signed(secret or self.vendors, body) | headers)


def signed(secret: str, body: bytes) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Optimove-Signature-Version": "1", "x-optimove-signature-content": digest}


def stored(scope: Scope, **where: Any) -> list[dict[str, Any]]:
    """Accepted events in the order of their acceptance."""
    return rows(scope, "accepted_events", "seq", where)


def logged(scope: Scope, **where: Any) -> list[dict[str, Any]]:
    """Entries of the event log, oldest first."""
    return rows(scope, "event_log", "id", where)


def rows(scope: Scope, table: str, order: str, where: Mapping[str, Any]) -> list[dict[str, Any]]:
    wanted = " AND ".join(["tenant_id = :t", *(f"{name} = :{name}" for name in where)])
    sql = f"SELECT * FROM {table} WHERE {wanted} ORDER BY {order}"
    with scope.stores.records.reading() as connection:
        return [dict(row) for row in connection.execute(text(sql), {"t": scope.tenant_id, **where}).mappings()]


def empty(scope: Scope) -> None:
    """Forget events, visitors and what the log says of them."""
    with scope.records() as session:
        for table in ("accepted_events", "event_log", "visitors", "visitor_owners", "attribute_times"):
            session.execute(text(f"DELETE FROM {table} WHERE tenant_id = :t"), {"t": scope.tenant_id})


def handle(scope: Scope) -> None:
    """Stand in for the processor."""
    with scope.records() as session:
        session.execute(text("UPDATE accepted_events SET state = 1 WHERE tenant_id = :t"), {"t": scope.tenant_id})


def reasons(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    return [one["reason"] for one in entries]


def idle(scope: Scope) -> None:
    """Wait for durable work under way, so that the engines do not stop amid it."""
    sql = text("SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with scope.records() as session:
            if not session.scalar(sql):
                return
        time.sleep(0.05)
