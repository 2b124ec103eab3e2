"""What an event would do, against what it does."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
import trigger_world as world

from rapport.access.scope import Scope
from rapport.campaigns.models import Series

CART: dict[str, Any] = {
    "kind": "sequence",
    "event": "add_to_cart",
    "closing": [{"event": "purchase"}],
    "restart": [{"event": "add_to_cart"}, {"event": "page_view"}],
    "window_minutes": 30,
}


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    world.fill(scope)


def said(api: httpx.Client, series: Series, event: str, **more: Any) -> dict[str, Any]:
    answer = api.post(f"/manage/v1/triggers/{series.id}/test", json={"event": event, "customer_id": "C1", **more})
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(("amount", "matches"), [("12.50", True), ("4", False), ("12,50", False), (12.5, True)])
def test_texts_are_read_as_the_intake_reads_them(scope: Scope, api: httpx.Client, amount: Any, matches: bool) -> None:
    condition = {"attribute": "amount", "operator": "greater", "value": 5}
    series = world.trigger(scope, {"kind": "simple", "event": "level_up", "conditions": condition})
    found = said(api, series, "level_up", parameters={"amount": amount})
    assert found["matches"] is matches
    assert ("amount is not a Number (1060)." in found["explanation"]) is isinstance(amount, str)


@pytest.mark.parametrize(("days", "outcome"), [(0, "sent"), (1, "")])
def test_first_and_last_days_count(scope: Scope, api: httpx.Client, days: int, outcome: str) -> None:
    first = scope.today() + timedelta(days=days)
    series = world.trigger(scope, {"kind": "simple", "event": "level_up"}, starts=first.isoformat())
    assert said(api, series, "level_up")["outcome"] == outcome
    ended = world.trigger(scope, {"kind": "simple", "event": "level_up"}, ends=(first - timedelta(days=1)).isoformat())
    assert said(api, ended, "level_up")["outcome"] == ("" if not days else "sent")


def test_an_event_that_opens_and_restarts(scope: Scope, api: httpx.Client) -> None:
    series = world.trigger(scope, CART)
    assert "It would open a sequence" in said(api, series, "add_to_cart")["explanation"][0]
    assert "no sequence of the person is open" in said(api, series, "page_view")["explanation"][0]
    world.event(scope, "add_to_cart", "C1")
    world.process(scope)
    for event in ("add_to_cart", "page_view"):
        assert said(api, series, event)["explanation"] == ["It would begin the window anew."]
