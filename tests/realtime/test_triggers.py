"""Triggers that are met, as events come in."""

from typing import Any

import httpx
import pytest
import trigger_world as world

from rapport.access.scope import Scope


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    world.fill(scope)


@pytest.fixture(autouse=True)
def now(scope: Scope) -> None:
    scope.clock.set(world.NOW)


def test_an_event_that_matches_fires_once_and_is_told_with_its_parameters(scope: Scope) -> None:
    conditions = {"attribute": "amount", "operator": "greater", "value": 50}
    series = world.trigger(
        scope, {"kind": "simple", "event": "add_to_cart", "conditions": conditions}, notes="a note", tags=["x"]
    )
    world.event(scope, "add_to_cart", "c1", amount=80, brand="Acme")
    world.event(scope, "add_to_cart", "C2", amount=20)
    world.event(scope, "page_view", "C3", amount=80)
    world.process(scope)
    (one,) = world.firings(scope, series)
    assert (one.customer_id, one.state, one.outcome) == ("C1", "done", "sent")
    (payload,) = world.told(scope, series)
    assert payload == {
        "eventTypeID": 11,
        "timeStamp": "2026-03-10 10:00",
        "campaignID": one.campaign_id,
        "channelID": world.SMS,
        "templateID": world.TEMPLATE,
        "customerID": "C1",
        "promoCode": ["FREE5"],
        "notes": "a note",
        "actionID": 2,
        "tags": ["x"],
        "isVisitor": False,
        "event_amount": 80,
        "event_brand": "Acme",
    }
    world.process(scope)
    assert len(world.firings(scope, series)) == 1 and world.waiting(scope) == 0


def test_triggers_over_http(api: httpx.Client) -> None:
    body: dict[str, Any] = {
        "name": "Level",
        "trigger": {"kind": "simple", "event": "level_up"},
        "groups": [{"action_id": 2, "channels": [{"channel_id": world.SMS, "template_id": world.TEMPLATE}]}],
    }
    made = api.post("/manage/v1/triggers", json=body)
    assert made.status_code == 201, made.text
    shown = api.get(f"/manage/v1/triggers/{made.json()['id']}").json()
    assert shown == made.json()
    assert shown["sentence"] == "When a customer does 'level_up', at most once a day"
