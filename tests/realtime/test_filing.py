"""Handled events into the warehouse: once each, under the known customer, whatever was killed in between."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.customers import service as customers
from rapport.realtime.filing import file_batch
from rapport.realtime.intake import Incoming, Intake
from rapport.realtime.names import Names

NOW = datetime.now(UTC).replace(microsecond=123000)


@pytest.fixture(scope="module")
def intake(scope: Scope) -> Intake:
    return Intake(scope.stores)


def accept(intake: Intake, scope: Scope, *events: Incoming) -> None:
    intake.accept_now(scope, events)


def incoming(name: str = "deposit", **members: Any) -> Incoming:
    return Incoming(name, **{"origin": "server", "event_at": NOW, "customer_id": "c1"} | members)


def handle(scope: Scope) -> None:
    """Stand in for the processor."""
    with scope.records() as session:
        session.execute(text("UPDATE accepted_events SET state = 1 WHERE tenant_id = :t"), {"t": scope.tenant_id})


def waiting(scope: Scope) -> int:
    with scope.records() as session:
        sql = text("SELECT count(*) FROM accepted_events WHERE tenant_id = :t")
        return int(session.execute(sql, {"t": scope.tenant_id}).scalar_one())


def test_an_event_is_filed_with_its_parameters(scope: Scope, intake: Intake) -> None:
    scope.warehouse.insert("customers", ["customer_id"], [("Known-One",)])
    parameters = {"amount": 12.5, "count": 3, "vip": True, "note": "ünï"}
    accept(intake, scope, incoming(customer_id="KNOWN-one", parameters=parameters))
    assert file_batch(scope, Names()) == 0  # not handled yet
    handle(scope)
    assert file_batch(scope, Names()) == 1
    number = customers.event_type_named(scope, "deposit")
    assert number is not None
    assert set(number.parameters) == set(parameters)
    rows = scope.warehouse.rows("SELECT * EXCEPT (event_id, seq) FROM activity_events WHERE customer_id = 'Known-One'")
    kept = {"amount": "12.5", "count": "3", "vip": "true", "note": "ünï"}
    assert rows == [(number.id, "Known-One", NOW.replace(tzinfo=None), kept, "", "server")]
    assert waiting(scope) == 0
