"""What reaches the log: no key or token of any kind, and nothing that names a person."""

import asyncio
import secrets
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.api.http.observing import Observing
from rapport.commands import logs
from rapport.realtime.events.tokens import PREFIXES
from rapport.stores import Stores
from rapport.stores.outside.posting import new_secret


def masked(told: str) -> str:
    return str(logs.mask(None, "", {"event": told})["event"])


def test_secrets_of_every_kind_are_masked(scope: Scope) -> None:
    _, key = keys.create_key(scope, "logs", "logs@example.com", "Admin")
    made = [key, new_secret(), *(prefix + secrets.token_urlsafe(32) for prefix in PREFIXES.values())]
    for secret in made:
        assert masked(f"got '{secret}', and more") == "got '***', and more"
    assert masked("at https://user:pass@example.com/a") == "at https://***@example.com/a"
    told = "HTTP Request: POST https://hooks.example/services/T0B1/XyZ9?token=t failed"
    assert masked(told) == "HTTP Request: POST https://hooks.example/services/***/***?token=*** failed"
    assert masked("of http://[bad/x") == "of http://***"
    assert masked("with eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJBIn0.c2lnbmF0dXJl!") == "with ***!"
    assert masked("to 'ann.b+c@mail.example.com': no") == "to '***': no"
    assert masked("POST /unsubscribe/3001.v2.abc.def failed") == "POST /unsubscribe/*** failed"
    refused = "duplicate key\nDETAIL:  Key (email)=(a@example.com) exists.\nmore"
    assert masked(refused) == "duplicate key\nDETAIL:***\nmore"


@pytest.mark.parametrize(
    "told",
    ["wrap_app_handling_exceptions", "start_something", "cart_total"],
)
def test_names_that_only_look_like_secrets_are_not_masked(told: str) -> None:
    assert masked(f"in {told}") == f"in {told}"


def test_an_unforeseen_error_is_logged_without_what_was_sent() -> None:
    class Route:
        path = "/manage/v1/persons/{customer_id}"

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = Route()
        raise RuntimeError("unforeseen")

    async def ask() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/manage/v1/persons/C0000002", "headers": []}
        await Observing(failing)(scope, receive, send)
        return sent

    with capture_logs(processors=[structlog.processors.format_exc_info]) as told:
        sent = asyncio.run(ask())
    assert sent[0]["status"] == 500
    assert {b"x-request-id", b"x-content-type-options"} <= dict(sent[0]["headers"]).keys()
    assert [line["route"] for line in told] == [Route.path] * 2
    assert "C0000002" not in str(told)


def test_an_error_of_the_records_does_not_repeat_what_was_bound(stores: Stores) -> None:
    with pytest.raises(DBAPIError) as raised, stores.records.session() as session:
        session.execute(text("SELECT * FROM no_such_table WHERE customer_id = :id"), {"id": "C0000002"})
    assert "C0000002" not in str(raised.value)
