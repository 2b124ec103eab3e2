"""Triggers whose events or attributes change under them: refused where that can be, told of where it cannot."""

from typing import Any

import httpx
import pytest
import trigger_world as world
from sqlalchemy import delete, select, update

from rapport.access.scope import Scope
from rapport.campaigns import definitions as campaign_definitions
from rapport.campaigns.models import Series
from rapport.campaigns.schemas import ActionBody
from rapport.campaigns.triggered import definitions
from rapport.channels.models import Channel
from rapport.customers import event_types
from rapport.customers.attributes import AttributeInfo, declare
from rapport.customers.models import Attribute, EventType
from rapport.realtime.matching.processor import Processor
from rapport.realtime.models import EventLogEntry

OVER = {"attribute": "amount", "operator": "greater", "value": 5}
CART: dict[str, Any] = {
    "kind": "sequence",
    "event": "add_to_cart",
    "closing": [{"event": "purchase", "conditions": OVER}],
    "window_minutes": 30,
}


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    world.fill(scope)


@pytest.fixture(autouse=True)
def alone(scope: Scope) -> None:
    """Every test has the triggers to itself and stands at the same time."""
    scope.clock.set(world.NOW)
    for one in definitions.triggered(scope):
        if one.status != "archived":
            definitions.set_triggered_status(scope, one.id, "archived")


def purchase(scope: Scope) -> EventType:
    found = event_types.event_type_named(scope, "purchase")
    assert found is not None
    return found


def retype(scope: Scope, types: dict[str, str]) -> None:
    """Declare the event past the check, as two calls at the same moment may."""
    event_types.change_event_type(scope, purchase(scope).id, types, "")


def logged(scope: Scope) -> list[str]:
    wanted = select(EventLogEntry.reason).where(EventLogEntry.tenant_id == scope.tenant_id)
    with scope.records() as session:
        return list(session.scalars(wanted.order_by(EventLogEntry.id)))


@pytest.mark.parametrize("parameters", [{}, {"amount": "String"}])
@pytest.mark.parametrize("status", ["active", "paused"])
def test_an_event_type_keeps_what_triggers_compare(
    scope: Scope, api: httpx.Client, parameters: dict[str, str], status: str
) -> None:
    series = world.trigger(scope, CART)
    definitions.set_triggered_status(scope, series.id, status)
    place = f"/manage/v1/event-types/{purchase(scope).id}"
    answer = api.put(place, json={"parameters": parameters})
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith(
        f"Triggered campaign {series.id} uses the event 'purchase': trigger.closing[0].conditions"
    )
    assert purchase(scope).types["amount"] == "Number"
    assert api.put(place, json={"parameters": {"amount": "Number", "colour": "String"}}).status_code == 200
    definitions.set_triggered_status(scope, series.id, "archived")
    assert api.put(place, json={"parameters": parameters}).status_code == 200
    assert api.put(place, json={"parameters": {"amount": "Number"}}).status_code == 200


def fault(api: httpx.Client, series: Series) -> str:
    one: dict[str, Any] = api.get(f"/manage/v1/triggers/{series.id}").json()
    listed = {each["id"]: each["fault"] for each in api.get("/manage/v1/triggers").json()}
    assert listed[series.id] == one["fault"]
    return str(one["fault"])


def test_a_trigger_that_cannot_be_evaluated_says_so(scope: Scope, api: httpx.Client) -> None:
    series, other = world.trigger(scope, CART), world.trigger(scope)
    assert fault(api, series) == ""
    world.event(scope, "add_to_cart", "C1")
    world.process(scope)
    retype(scope, {"brand": "String"})
    sentence = "trigger.closing[0].conditions.attribute names 'AMOUNT', which purchase does not have."
    assert fault(api, series) == sentence and fault(api, other) == ""
    world.process(scope, 31)
    said = f"Triggered campaign {series.id} cannot be evaluated: {sentence}"
    assert logged(scope)[-2:] == [said, f"{said} 1 open sequence ended without firing."]
    assert (world.fired(scope, series), world.states(scope, series)) == ([], [])
    assert len(world.firings(scope, other)) == 1
    retype(scope, {"amount": "Number"})
    assert fault(api, series) == ""
    world.event(scope, "add_to_cart", "C2", 40)
    world.process(scope, 40)
    world.process(scope, 71)
    assert world.fired(scope, series) == [("C2", "sent", "")]


def test_the_log_has_a_fault_once(scope: Scope) -> None:
    world.trigger(scope, {"kind": "simple", "event": "purchase", "conditions": OVER})
    retype(scope, {})
    before = len(logged(scope))
    processor = Processor(scope.stores)
    for minute in range(3):
        world.event(scope, "purchase", "C3", minute)
        processor._catalogues.forget(scope.tenant_id)
        with scope.records() as session:  # something else has changed
            session.execute(
                update(EventType).where(EventType.tenant_id == scope.tenant_id).values(description=str(minute))
            )
        campaign_definitions.create_action(scope, ActionBody(name=f"Action {minute}"))
        world.trigger(scope)
        processor.drain(scope.tenant_id)
    retype(scope, {"amount": "Number"})
    assert len(logged(scope)) == before + 1


def test_a_trigger_whose_channel_is_gone_says_so_and_the_others_fire(scope: Scope, api: httpx.Client) -> None:
    world.channel(scope, 777, "Gone")
    gone, there = ({"channel_id": number, "template_id": world.TEMPLATE} for number in (777, world.SMS))
    night = {"start": "10:00", "end": "11:00"}
    series, both = (
        world.trigger(scope, groups=[{"action_id": 2, "channels": used}], quiet_hours=night)
        for used in ([gone], [gone, there])
    )
    other = world.trigger(scope)
    world.event(scope, "add_to_cart", "C1")
    world.process(scope)
    assert fault(api, series) == "" and {one.state for one in world.firings(scope, series)} == {"delayed"}
    with scope.records() as session:
        session.execute(delete(Channel).where(Channel.tenant_id == scope.tenant_id, Channel.id == 777))
    assert (fault(api, series), fault(api, other)) == ("There is no channel 777.", "")
    world.event(scope, "add_to_cart", "C2", 5)
    world.process(scope, 5)
    world.process(scope, 61)
    assert world.fired(scope, series) == [("C1", "no address", "there is no channel 777")]
    assert world.fired(scope, both) == [("C1", "sent", "")]
    assert [one[:2] for one in world.fired(scope, other)] == [("C1", "sent"), ("C2", "sent")]


def test_an_attribute_of_another_type_is_a_fault_of_who_compares_it(scope: Scope, api: httpx.Client) -> None:
    declare(scope, [AttributeInfo("SHOE", "Shoe", "", "Int", "batch")])
    condition = {"attribute": "SHOE", "operator": "greater", "value": 40}
    series = world.trigger(scope, customer_conditions=condition)
    with scope.records() as session:
        session.execute(update(Attribute).where(Attribute.real_field_name == "SHOE").values(field_type="Nvarchar"))
    assert fault(api, series).startswith("customer_conditions")
