"""Triggers that are met, as events come in; what they may be, over HTTP."""

import time
from datetime import timedelta
from typing import Any

import httpx
import pytest
import trigger_world as world
from sqlalchemy import select, update

from rapport.access.scope import Scope
from rapport.campaigns.models import Series
from rapport.campaigns.triggered import definitions, sentences
from rapport.campaigns.triggered.schemas import TriggeredBody
from rapport.customers.writes import attribute_requests
from rapport.realtime.closing_days import drop_states
from rapport.realtime.matching.processor import BATCH, Processor
from rapport.realtime.models import AcceptedEvent, EventLogEntry
from rapport.realtime.states import EventStatus


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    rows = [{"customer_id": f"C{n}", "COUNTRY": "NL" if n % 2 else "BE"} for n in range(20)]
    world.fill(scope, rows)


@pytest.fixture(autouse=True)
def alone(scope: Scope) -> None:
    """Every test has the triggers to itself and stands at the same time."""
    scope.clock.set(world.NOW)
    for one in definitions.triggered(scope, "active"):
        definitions.set_triggered_status(scope, one.id, "paused")


REPEATED: dict[str, Any] = {"kind": "repeated", "event": "page_view", "times": 3, "window_minutes": 30}
SEQUENCE: dict[str, Any] = {
    "kind": "sequence",
    "event": "add_to_cart",
    "closing": [{"event": "purchase"}],
    "restart": [{"event": "page_view"}],
    "window_minutes": 30,
}


def over(value: float) -> dict[str, Any]:
    return {"attribute": "amount", "operator": "greater", "value": value}


def test_an_event_that_matches_fires_once_and_is_told_with_its_parameters(scope: Scope) -> None:
    kind = {"kind": "simple", "event": "add_to_cart", "conditions": over(50)}
    series = world.trigger(scope, kind, notes="a note", tags=["x"])
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


@pytest.mark.parametrize(
    ("conditions", "parameters", "fires"),
    [
        (over(50), {"amount": "80"}, False),  # not a number: as if it were not there
        (over(50), {"amount": True}, False),
        ({"not": over(50)}, {}, True),
        ({"attribute": "BRAND", "operator": "equals", "value": "acme"}, {"brand": "ACME"}, True),
        ({"attribute": "first", "operator": "equals", "value": True}, {"first": True}, True),
        ({"attribute": "first", "operator": "equals", "value": True}, {"first": "true"}, False),
        ({"all": [over(1), {"attribute": "brand", "operator": "is_empty"}]}, {"amount": 2.5}, True),
    ],
)
def test_conditions_over_parameters(
    scope: Scope, conditions: dict[str, Any], parameters: dict[str, Any], fires: bool
) -> None:
    series = world.trigger(scope, {"kind": "simple", "event": "level_up", "conditions": conditions})
    world.event(scope, "level_up", "C1", **parameters)
    world.process(scope)
    assert len(world.firings(scope, series)) == fires


def test_customer_conditions_are_met_by_the_customers_of_now(scope: Scope) -> None:
    series = world.trigger(scope, customer_conditions={"attribute": "COUNTRY", "operator": "equals", "value": "nl"})
    for customer in ("C1", "C2", "C3"):
        world.event(scope, "add_to_cart", customer)
    world.process(scope)
    assert world.fired(scope, series) == [("C1", "sent", ""), ("C3", "sent", "")]
    attribute_requests.upsert(scope, "C2", [["COUNTRY", "NL"]], None)
    world.event(scope, "add_to_cart", "c2")
    world.process(scope)
    assert world.fired(scope, series)[2:] == [("C2", "sent", "")], "what the API has written counts at once"


def test_a_repeated_trigger_counts_by_the_senders_time_and_then_anew(scope: Scope) -> None:
    series = world.trigger(scope, REPEATED)
    for minutes, received in ((0, 1), (40, 40), (20, 41), (30, 42), (50, 50), (60, 60)):
        world.event(scope, "page_view", "C1", minutes, received=received)
        world.process(scope, received)
    assert len(world.firings(scope, series)) == 1, "20, 30 and 40 fire; 50 and 60 count anew"
    world.event(scope, "page_view", "C1", 70)
    world.process(scope, 70)
    assert len(world.firings(scope, series)) == 2


def test_a_sequence_fires_at_its_deadline_unless_it_is_closed(scope: Scope) -> None:
    series = world.trigger(scope, SEQUENCE)
    for customer in ("C1", "C2", "C3", "C4"):
        world.event(scope, "add_to_cart", customer, 0, amount=int(customer[1]))
    world.event(scope, "purchase", "C2", 10)
    world.event(scope, "page_view", "C3", 20)
    world.event(scope, "purchase", "C4", 31)  # after its deadline: it does not close
    world.process(scope, 29)
    assert world.firings(scope, series) == []
    world.process(scope, 30.02)
    assert world.firings(scope, series) == [], "a closing event may still be on its way"
    world.process(scope, 31)
    assert world.fired(scope, series) == [("C1", "sent", ""), ("C4", "sent", "")]
    assert [one["event_amount"] for one in world.told(scope, series)] == [1, 4]
    world.process(scope, 51)
    assert [who for who, _, _ in world.fired(scope, series)] == ["C1", "C4", "C3"]


def test_a_closing_event_closes_a_sequence_whose_opening_comes_later(scope: Scope) -> None:
    series = world.trigger(scope, SEQUENCE)
    world.event(scope, "purchase", "C5", 5)
    world.process(scope, 5)
    world.event(scope, "add_to_cart", "C5", 2, received=6)
    world.event(scope, "add_to_cart", "C6", 2, received=6)
    world.process(scope, 60)
    assert [who for who, _, _ in world.fired(scope, series)] == ["C6"]


def test_events_that_come_too_late_fire_nothing_but_still_close(scope: Scope) -> None:
    simple, sequence = world.trigger(scope, late_minutes=10), world.trigger(scope, SEQUENCE, late_minutes=10)
    world.event(scope, "add_to_cart", "C1", 0, received=11)
    world.event(scope, "add_to_cart", "C2", 0, received=10)
    world.process(scope, 11)
    assert [who for who, _, _ in world.fired(scope, simple)] == ["C2"]
    world.event(scope, "purchase", "C2", 3, received=20)
    world.process(scope, 60)
    assert world.firings(scope, sequence) == [] and world.waiting(scope) == 0


def test_an_event_from_the_future_counts_as_of_its_arrival(scope: Scope) -> None:
    series = world.trigger(scope, SEQUENCE)
    world.event(scope, "add_to_cart", "C1", 5, received=0)
    world.process(scope, 31)
    assert len(world.firings(scope, series)) == 1


def test_visitors_fire_where_they_may_and_take_their_states_along(scope: Scope) -> None:
    only_customers, everybody = world.trigger(scope, REPEATED), world.trigger(scope, REPEATED, visitors=True)
    for minutes in (0, 1):
        world.event(scope, "page_view", minutes=minutes, visitor="V1")
    for minutes in (0, 1, 2):
        world.event(scope, "page_view", minutes=minutes, visitor="V2")
    world.process(scope, 2)
    assert world.fired(scope, everybody) == [("V2", "sent", "")]
    assert world.firings(scope, everybody)[0].is_visitor and world.told(scope, everybody)[0]["isVisitor"]
    world.identify(scope, "V1", "C7")
    world.event(scope, "page_view", minutes=3, visitor="V1")
    world.process(scope, 3)
    assert world.fired(scope, only_customers) == [("C7", "sent", "")]
    assert [one.person for one in world.states(scope, only_customers)] == ["c7", "v:V2"]


def test_what_a_visitor_has_had_the_customer_has_had(scope: Scope) -> None:
    series = world.trigger(scope, re_entry="once", visitors=True)
    world.event(scope, "add_to_cart", visitor="V9")
    world.process(scope)
    world.identify(scope, "V9", "C11")
    world.event(scope, "add_to_cart", "C11")
    world.event(scope, "add_to_cart", "C12")
    world.process(scope)
    assert world.fired(scope, series) == [("V9", "sent", ""), ("C11", "excluded", "fired before"), ("C12", "sent", "")]


def test_a_visitors_sequence_ends_for_the_customer_that_it_turned_out_to_be(scope: Scope) -> None:
    series = world.trigger(scope, SEQUENCE)
    for visitor in ("V3", "V4"):
        world.event(scope, "add_to_cart", visitor=visitor)
    world.process(scope)
    for visitor, customer in (("V3", "C8"), ("V4", "C9")):
        world.identify(scope, visitor, customer)
    world.event(scope, "purchase", "C9", 10)
    world.process(scope, 40)
    assert world.fired(scope, series) == [("C8", "sent", "")]


def test_one_event_meets_many_triggers_and_none_twice(scope: Scope) -> None:
    ones = [world.trigger(scope) for _ in range(3)]
    key = world.event(scope, "add_to_cart", "C1")
    world.process(scope)
    assert [world.firings(scope, one)[0].event_key for one in ones] == [str(key)] * 3
    days = {world.firings(scope, one)[0].campaign_id for one in ones}
    assert len(days) == 3


def test_a_paused_trigger_fires_nothing_and_its_open_sequences_end(scope: Scope) -> None:
    series = world.trigger(scope, SEQUENCE)
    world.event(scope, "add_to_cart", "C1")
    world.process(scope)
    definitions.set_triggered_status(scope, series.id, "paused")
    world.process(scope, 60)
    definitions.set_triggered_status(scope, series.id, "active")
    world.process(scope, 60)
    assert world.firings(scope, series) == [] and world.states(scope, series) == []


def test_a_trigger_fires_on_its_days_only(scope: Scope) -> None:
    early, late = world.trigger(scope, ends="2026-03-09"), world.trigger(scope, starts="2026-03-10", ends="2026-03-10")
    world.event(scope, "add_to_cart", "C1")
    world.process(scope)
    assert (len(world.firings(scope, early)), len(world.firings(scope, late))) == (0, 1)


def test_a_poison_event_is_logged_and_holds_up_nothing(scope: Scope) -> None:
    series = world.trigger(scope)
    keys = [world.event(scope, "add_to_cart", f"C{n}") for n in range(7)]
    with scope.records() as session:  # as no intake would store it
        spoilt = update(AcceptedEvent).where(AcceptedEvent.tenant_id == scope.tenant_id, AcceptedEvent.key == keys[3])
        session.execute(spoilt.values(parameters=[1]))
    world.process(scope)
    assert [who for who, _, _ in world.fired(scope, series)] == [f"C{n}" for n in (0, 1, 2, 4, 5, 6)]
    of_events = (EventLogEntry.tenant_id == scope.tenant_id, EventLogEntry.event != "")
    with scope.records() as session:
        (entry,) = session.scalars(select(EventLogEntry).where(*of_events, EventLogEntry.status == EventStatus.ERROR))
    assert entry.person == "c3" and "Triggers could not be evaluated" in entry.reason
    assert world.waiting(scope) == 0


def test_a_trigger_that_cannot_be_evaluated_any_more_holds_up_no_other(scope: Scope) -> None:
    good, bad = world.trigger(scope), world.trigger(scope)
    with scope.records() as session:
        condition = {"attribute": "GONE", "operator": "is_empty"}
        gone = bad.required_trigger.model_copy(update={"customer_conditions": condition})
        session.execute(
            update(Series).where(Series.tenant_id == scope.tenant_id, Series.id == bad.id).values(trigger=gone)
        )
    world.event(scope, "add_to_cart", "C1")
    world.process(scope)
    assert (len(world.firings(scope, good)), len(world.firings(scope, bad))) == (1, 0)


def test_more_events_than_a_batch_are_taken_in_order(scope: Scope) -> None:
    series = world.trigger(scope, {**REPEATED, "times": 100, "window_minutes": 60})
    world.events(scope, [("page_view", "C1")] * (BATCH + 50))
    world.process(scope)
    assert len(world.firings(scope, series)) == (BATCH + 50) // 100


def test_a_running_processor_wakes_for_events_and_changes(scope: Scope) -> None:
    scope.clock.set(None)
    processor = Processor(scope.stores)
    processor.start()
    try:
        series = world.trigger(scope)
        world.event(scope, "add_to_cart", "C1", world.minutes_to(scope.clock.now()), notify=True)
        world.until(lambda: len(world.firings(scope, series)) == 1)
        definitions.set_triggered_status(scope, series.id, "paused")

        def fires() -> bool:
            before = len(world.firings(scope, series))
            world.event(scope, "add_to_cart", "C1", world.minutes_to(scope.clock.now()), notify=True)
            world.until(lambda: world.waiting(scope) == 0)
            return len(world.firings(scope, series)) > before

        # Batches that began before the change know nothing of it, however long they take.
        assert not all(fires() for _ in range(100))
        assert not fires()
        other = Processor(scope.stores)
        other.start()
        time.sleep(0.05)
        other.stop()
    finally:
        processor.stop()


def test_states_that_nobody_needs_are_dropped(scope: Scope) -> None:
    series = world.trigger(scope, SEQUENCE)
    world.event(scope, "purchase", "C1")
    world.event(scope, "add_to_cart", "C2")
    world.process(scope)
    scope.clock.set(world.NOW + timedelta(days=40))
    drop_states(scope)
    assert [one.person for one in world.states(scope, series)] == ["c2"]


# Over HTTP


def body(**more: Any) -> dict[str, Any]:
    return {
        "name": f"Level {next(world.NUMBERS)}",
        "trigger": {"kind": "simple", "event": "level_up"},
        "groups": [{"action_id": 2, "channels": [{"channel_id": world.SMS, "template_id": world.TEMPLATE}]}],
        **more,
    }


def test_triggers_over_http(api: httpx.Client) -> None:
    made = api.post("/manage/v1/triggers", json=body())
    assert made.status_code == 201, made.text
    one = f"/manage/v1/triggers/{made.json()['id']}"
    assert made.json() == {**api.get(one).json(), "detectable": made.json()["detectable"]}
    assert made.json()["sentence"] == "When a customer does 'level_up', at most once a day"
    changed = api.put(one, json=body(name="Up", version=1))
    assert (changed.status_code, changed.json()["version"], changed.json()["name"]) == (200, 2, "Up")
    assert api.put(one, json=body(version=1)).status_code == 409
    assert api.put(f"{one}/status", json={"status": "archived"}).json()["status"] == "archived"
    assert api.put(one, json=body(version=3)).status_code == 409
    assert api.put(f"{one}/status", json={"status": "active"}).status_code == 409
    assert made.json()["id"] not in [row["id"] for row in api.get("/manage/v1/triggers?status=active").json()]
    assert api.get("/manage/v1/triggers/999999").status_code == 404
    kinds = [row["action"] for row in api.get("/manage/v1/audit-entries").json() if "triggered" in row["object"]]
    assert kinds[:3] == ["status", "update", "create"]


def test_scheduled_paths_leave_triggers_out(api: httpx.Client) -> None:
    number = api.post("/manage/v1/triggers", json=body()).json()["id"]
    series = f"/manage/v1/series/{number}"
    assert api.get(series).status_code == 404
    assert api.get(f"{series}/next-runs").status_code == 404
    assert api.post(f"{series}/runs").status_code == 404
    assert api.put(f"{series}/status", json={"status": "paused"}).status_code == 404
    assert number not in [one["id"] for one in api.get("/manage/v1/series").json()]


def test_sentences(scope: Scope) -> None:
    made = TriggeredBody.model_validate(
        body(
            trigger={**SEQUENCE, "conditions": over(50)},
            customer_conditions={"attribute": "COUNTRY", "operator": "equals", "value": "NL"},
            re_entry={"times": 2, "days": 7},
            quiet_hours={"start": "22:00", "end": "08:00"},
        )
    )
    assert sentences.triggered_sentence(scope, made) == (
        "When a customer does 'add_to_cart' (amount is more than 50) and then not 'purchase' within 30 minutes, "
        "counted from the last 'page_view', if country is 'NL', at most 2 times in 7 days, "
        "waiting for the end of the quiet hours from 22:00 to 08:00"
    )
    again = TriggeredBody.model_validate(
        body(trigger={**REPEATED, "window_minutes": 120}, re_entry="once", visitors=True)
    )
    assert sentences.triggered_sentence(scope, again) == (
        "When anybody does 'page_view' 3 times within 2 hours, only once ever"
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"trigger": {"kind": "simple", "event": "unheard_of"}}, "trigger.event names 'unheard_of'"),
        (
            {"trigger": {**SEQUENCE, "closing": [{"event": "nope"}]}},
            "trigger.closing[0].event names 'nope', which is not a declared event type",
        ),
        (
            {"trigger": {"kind": "simple", "event": "level_up", "conditions": {"attribute": "x", "operator": "in"}}},
            "trigger.conditions.value must be a list",
        ),
        (
            {
                "trigger": {
                    "kind": "simple",
                    "event": "level_up",
                    "conditions": {"attribute": "colour", "operator": "is_empty"},
                }
            },
            "trigger.conditions.attribute names 'COLOUR', which level_up does not have",
        ),
        (
            {"trigger": {"kind": "simple", "event": "level_up", "conditions": {"all": [{"group": 1}]}}},
            "trigger.conditions can only compare parameters of the event",
        ),
        (
            {
                "trigger": {
                    "kind": "simple",
                    "event": "level_up",
                    "conditions": {"attribute": "first", "operator": "greater", "value": 1},
                }
            },
            "trigger.conditions.operator: greater cannot compare a boolean",
        ),
        (
            {"customer_conditions": {"attribute": "NOPE", "operator": "is_empty"}},
            "customer_conditions.attribute names 'NOPE', which is not a customer attribute",
        ),
        ({"customer_conditions": {"group": 77}}, "customer_conditions names target group 77"),
        ({"rules": {"exclude_target_group_ids": [77]}}, "There is no target group 77"),
        ({"trigger": {**SEQUENCE, "window_minutes": 4321}}, "window_minutes"),
        ({"trigger": {**REPEATED, "times": 1}}, "times"),
        ({"campaign_type": "A/B"}, "A/B needs two groups: choose Test/Control for one group."),
        ({"quiet_hours": {"start": "08:00", "end": "08:00"}}, "end must differ from start"),
        ({"starts": "2026-02-02", "ends": "2026-02-01"}, "ends must not be before starts"),
        ({"groups": [{"action_id": 9, "channels": [{"channel_id": 505, "template_id": 1}]}]}, "no action 9"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_a_trigger_may_not_be(api: httpx.Client, more: dict[str, Any], said: str) -> None:
    answer = api.post("/manage/v1/triggers", json=body(**more))
    assert answer.status_code in (400, 404), answer.text
    assert said in answer.json()["detail"]


def test_trying_a_trigger_tells_what_an_event_would_do(scope: Scope, api: httpx.Client) -> None:
    number = world.trigger(
        scope,
        {"kind": "simple", "event": "level_up", "conditions": over(50)},
        customer_conditions={"attribute": "COUNTRY", "operator": "equals", "value": "NL"},
    ).id

    def tried(event: str = "level_up", customer: str = "C1", **parameters: Any) -> dict[str, Any]:
        asked = {"event": event, "customer_id": customer, "parameters": parameters}
        answer = api.post(f"/manage/v1/triggers/{number}/test", json=asked)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    assert tried(amount=60) | {"explanation": []} == {
        "matches": True,
        "meets_conditions": True,
        "outcome": "sent",
        "reason": "",
        "recipient_group_id": 1,
        "explanation": [],
        "rewards": {},
    }
    assert not tried(amount=5)["matches"] and not tried("page_view")["matches"]
    assert tried(customer="C4", amount=60)["meets_conditions"] is False
    assert api.post(f"/manage/v1/triggers/{number}/test", json={"event": "level_up"}).status_code == 400
    assert number not in {one.series_id for one in world.firings(scope)}


def test_a_draft_is_kept_and_not_active(api: httpx.Client) -> None:
    made = api.post("/manage/v1/triggers", json={**body(), "status": "paused"})
    assert (made.status_code, made.json()["status"]) == (201, "paused")
    number = made.json()["id"]
    assert number in [one["id"] for one in api.get("/manage/v1/triggers", params={"status": "paused"}).json()]
    active = api.put(f"/manage/v1/triggers/{number}/status", json={"status": "active"})
    assert active.json()["status"] == "active"
    api.put(f"/manage/v1/triggers/{number}/status", json={"status": "archived"})
