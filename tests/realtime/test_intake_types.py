"""How many types of event there may be, for whom, and what declared types make of values."""

import math
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from senders import Sender, app_event, event, logged, metric, reasons, stored
from sqlalchemy import text

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.realtime.events import validation
from rapport.realtime.events.directory import FRESH_SECONDS

FULL = "Failed to validate the event with the following error - the event is not declared, and there are {} types"
SEEN = """
    INSERT INTO event_types (tenant_id, id, name, description, parameters, types, declared)
    SELECT :t, 100000 + n, 'seen_' || n, '', '[]', '{}', false FROM generate_series(CAST(:first AS int), :last) AS n
"""


@pytest.fixture
def sender(base_url: str, scope: Scope) -> Iterator[Sender]:
    """Of a tenant of its own, whose types nobody else makes."""
    made = Sender(base_url, create_tenant(scope.stores, f"types {time.time_ns()}"))
    yield made
    made.client.close()


def see(scope: Scope, first: int, last: int) -> None:
    """Make types of names as if they had come, and wait until the intake knows."""
    with scope.records() as session:
        session.execute(text(SEEN), {"t": scope.tenant_id, "first": first, "last": last})
    time.sleep(FRESH_SECONDS + 0.1)


def test_apps_leave_room_for_the_names_of_servers(sender: Sender) -> None:
    scope = sender.scope
    see(scope, 1, 998)
    batch = [app_event(scope, visitor="app", event=name) for name in ("new_1", "new_2", "new_3", "new_1", "seen_7")]
    batch += [
        app_event(scope, visitor="app", event="app_open"),
        app_event(scope, visitor="app", event="x", customer=7.5),
    ]
    assert sender.app(batch).status_code == 200
    names = [row["event"] for row in stored(scope, visitor_id="app")]
    assert names == ["new_1", "new_2", "new_1", "seen_7", "app_open"]
    told = [one["reason"] for one in logged(scope, status="error", event="new_3")]
    assert told == ["the event is not declared, and there are 1000 types of event already"]
    time.sleep(FRESH_SECONDS + 0.1)  # nor after the tenant was read again, before the new types are filed
    sender.app([app_event(scope, visitor="app", event="new_4")])
    assert len(stored(scope, visitor_id="app")) == 5
    assert sender.server(event(scope, event="new_4")).status_code == 200
    assert sender.vendor(metric(event="new_5"), secret=sender.secret).status_code == 200
    sender.app([app_event(scope, visitor="app", event="new_4")])  # a name that servers brought is everybody's
    assert len(stored(scope, visitor_id="app")) == 6


def test_core_and_declared_events_pass_however_many_types_there_are(sender: Sender) -> None:
    scope = sender.scope
    see(scope, 1, 2000)
    answer = sender.server(event(scope, event="one_more"))
    assert answer.status_code == 400 and answer.json()["message"].startswith(FULL.format(2000))
    assert sender.vendor(metric(event="sms_sent")).status_code == 400
    for name in ("app_open", "set_user_id_event", "ootb_login", "seen_2000"):
        assert sender.app([app_event(scope, visitor=name, event=name)]).status_code == 200
        assert sender.server(event(scope, customer=name, event=name)).status_code == 200
        assert len(stored(scope, visitor_id=name)) == len(stored(scope, customer_id=name)) == 1
    _, key = keys.create_key(scope, "tests", "tests@example.com", "Admin")
    declared = sender.client.post("/manage/v1/event-types", json={"name": "one_more"}, headers={"X-API-KEY": key})
    assert declared.status_code == 201
    time.sleep(FRESH_SECONDS + 0.1)
    assert sender.server(event(scope, event="one_more")).status_code == 200


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("12.50", 12.5),
        ("-3", -3),
        ("0", 0),
        ("1e3", 1000),
        ("2.5E-1", 0.25),
        ("9007199254740993", 9007199254740993),
        ("9007199254740993.0", 9007199254740993),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", "9223372036854775808"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        *(
            (odd, odd)
            for odd in ["1_000", "٣", " 5 ", "5\n", "0x10", "+5", ".5", "5.", "007", "1e999", "nan", "inf", ""]
        ),
    ],
)
def test_only_plain_decimals_become_numbers(numbers: Sender, given: str, kept: Any) -> None:
    scope, who = numbers.scope, f"reads {given!r}"
    answer = numbers.server(event(scope, event="paid", customer=who, context={"amount": given}))
    assert answer.status_code == 200, answer.text
    (row,) = stored(scope, customer_id=who)
    assert (row["parameters"], type(row["parameters"]["amount"])) == ({"amount": kept}, type(kept))
    assert reasons(logged(scope, person=who.lower())) == ["amount is not a Number (1060)"]


@pytest.fixture(scope="module")
def numbers(base_url: str, scope: Scope, api: httpx.Client) -> Iterator[Sender]:
    api.post("/manage/v1/event-types", json={"name": "paid", "parameters": {"amount": "Number"}}).raise_for_status()
    made = Sender(base_url, scope)
    yield made
    made.client.close()


@given(st.from_regex(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,30})?", fullmatch=True) | st.text())
def test_a_number_is_what_its_text_says_or_the_text(given: str) -> None:
    found = validation._number(given)
    if isinstance(found, str):
        assert found == given
    else:
        assert math.isfinite(found) and found == pytest.approx(float(given))
        assert isinstance(found, float) or -(2**63) <= found < 2**63
    if re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", given, re.ASCII):
        assert (found, type(found)) == (int(given), int)
