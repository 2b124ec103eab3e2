"""Events in: from servers, from apps, from vendors; what is stored, refused, met again."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.realtime import tokens


@pytest.fixture(scope="module")
def server_token(scope: Scope) -> str:
    return tokens.tokens(scope)["server"].value


@pytest.fixture(scope="module")
def sdk_token(scope: Scope) -> str:
    return tokens.tokens(scope)["sdk"].value


def event(scope: Scope, **members: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "tenant": scope.tenant_id,
        "event": "signup",
        "customer": "Q1",
        "timestamp": f"{now:%Y-%m-%d %H:%M:%S.%f} UTC",
        "context": {"plan": "gold", "amount": 12.5, "trial": True},
    } | members


def stored(scope: Scope, **where: Any) -> list[dict[str, Any]]:
    wanted = " AND ".join([f"{name} = :{name}" for name in where] or ["true"])
    sql = f"SELECT * FROM accepted_events WHERE tenant_id = :t AND {wanted} ORDER BY seq"
    with scope.stores.records.reading() as connection:
        return [dict(row) for row in connection.execute(text(sql), {"t": scope.tenant_id, **where}).mappings()]


def test_a_server_event_is_stored_as_it_was_sent(base_url: str, scope: Scope, server_token: str) -> None:
    given = event(scope, customer="Anna")
    answer = httpx.post(f"{base_url}/v1/events", json=given, headers={"Authorization-Token": server_token})
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "success"
    assert answer.json()["message"].isdigit()
    (row,) = stored(scope, customer_id="Anna")
    assert (row["event"], row["origin"], row["parameters"], row["state"]) == ("signup", "server", given["context"], 0)
    assert f"{row['event_at']:%Y-%m-%d %H:%M:%S.%f} UTC" == given["timestamp"]
