"""Journeys over HTTP: built, used, read and refused as an application or a marketer's tool does it."""

from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from rapport.access.scope import Scope
from rapport.campaigns import definitions as campaigns
from rapport.campaigns.schemas import ActionBody
from rapport.channels import service as channels
from rapport.customers import event_types
from rapport.journeys.models import Journey, JourneyMember
from rapport.realtime.matching.processor import Processor

PATH = "/manage/v1/journeys"


@pytest.fixture(autouse=True)
def tenant(scope: Scope) -> None:
    with scope.records() as session:
        for table in (Journey, JourneyMember):
            session.execute(delete(table).where(table.tenant_id == scope.tenant_id))
    if not channels.channels(scope):
        channels.create_channel(scope, "SMS", "external")
        campaigns.create_action(scope, ActionBody(name="Voucher"))
        event_types.declare_event_type(scope, "sign_up", {})


def steps() -> list[dict[str, Any]]:
    return [{"id": "pause", "kind": "wait", "minutes": 60, "next": "out"}, {"id": "out", "kind": "exit"}]


def made(api: httpx.Client, **more: Any) -> dict[str, Any]:
    body = {"name": "Welcome", "entry": {"kind": "list"}, "steps": steps(), **more}
    answer = api.post(PATH, json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_a_journey_is_built_walked_and_read(scope: Scope, api: httpx.Client) -> None:
    trigger = {
        "name": "Hello",
        "trigger": {"kind": "journey"},
        "groups": [{"action_id": 2, "channels": [{"channel_id": 505, "template_id": 1}]}],
        "re_entry": "unlimited",
    }
    campaign = api.post("/manage/v1/triggers", json=trigger).raise_for_status().json()
    assert campaign["control_share"] == 0
    hello = {"id": "hello", "kind": "message", "campaign_id": campaign["id"], "next": "pause"}
    journey = made(api, steps=[hello, *steps()])
    assert (journey["status"], journey["version"], journey["warnings"]) == ("active", 1, [])
    path = f"{PATH}/{journey['id']}"
    added = api.post(f"{path}/members", json={"customer_ids": [" A1 ", "A2", "undefined"], "key": "first"})
    assert added.json() == {"customers": 2, "unknown": ["A1", "A2", "undefined"]}
    again = api.post(f"{path}/members", json={"customer_ids": ["A1", "A2"], "key": "first"})
    assert again.json()["customers"] == 0
    processor = Processor(scope.stores)
    processor.due(scope.tenant_id)
    results = api.get(f"{path}/results").json()
    assert (results["entered"], results["active"], results["held_out"], results["endings"]) == (2, 2, 0, {})
    assert [(step["step"], step["reached"], step["standing"]) for step in results["steps"]] == [
        ("hello", 2, 0),
        ("pause", 2, 2),
        ("out", 0, 0),
    ]
    (member,) = api.get(f"{path}/members", params={"customer_id": "a1", "step": "pause"}).json()
    assert member["sentence"].startswith("The customer waits on step pause until 2")
    way = api.get(f"{path}/members/{member['id']}").json()
    assert [step["step"] for step in way["steps"]] == ["hello", "pause"]
    assert (way["steps"][0]["outcome"], way["steps"][0]["reason"]) == ("excluded", "unknown customer")
    held = api.get("/manage/v1/persons/A1").json()["records"]["journeys"]
    assert [(each["journey_id"], each["step"]) for each in held] == [(journey["id"], "pause")]
    refused = api.put(
        f"/manage/v1/triggers/{campaign['id']}",
        json={**trigger, "trigger": {"kind": "simple", "event": "sign_up"}, "version": campaign["version"]},
    )
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("trigger.kind must stay journey: journey ")
    effect = api.get(f"{path}/effect", params={"days": 7}).json()
    assert (effect["days"], effect["comparison"]) == (7, None)
    archived = api.put(f"{path}/status", json={"status": "archived"}).json()
    assert archived["status"] == "archived"
    (member,) = api.get(f"{path}/members", params={"customer_id": "A1"}).json()
    assert member["sentence"] == "The journey ended: archived."


def test_a_change_names_the_version_that_it_changes(api: httpx.Client) -> None:
    journey = made(api)
    path = f"{PATH}/{journey['id']}"
    body = {"name": "Welcome all", "entry": {"kind": "list"}, "steps": steps(), "version": 1}
    assert api.put(path, json=body).json()["version"] == 2
    refused = api.put(path, json=body)
    assert refused.status_code == 409
    assert refused.json()["detail"] == f"Journey {journey['id']} has version 2, not 1: read it again."
    assert api.post(f"{path}/move", json={}).json() == {"customers": 0}
    names = [each["name"] for each in api.get(PATH, params={"status": "active"}).json()]
    assert names == ["Welcome all"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"steps": []}, 400, "steps"),
        ({"entry": {"kind": "rain"}}, 400, "entry"),
        ({"entry": {"kind": "event", "match": {"event": "sneeze"}}}, 400, "entry.match.event names 'sneeze'"),
        ({"entry": {"kind": "group", "target_group_id": 999_999}}, 404, "999999"),
        ({"hold_out_share": 1}, 400, "hold_out_share"),
        ({"steps": [{"id": "a b", "kind": "exit"}]}, 400, "steps"),
        ({"steps": [{"id": "a", "kind": "wait", "minutes": 0}]}, 400, "minutes"),
        ({"speed": "fast"}, 400, "speed"),
        ({"status": "archived"}, 400, "status"),
        ({"customer_conditions": {"group": 999_999}}, 400, "customer_conditions names target group 999999"),
    ],
)
def test_a_body_with_a_mistake_is_refused_with_its_place(
    api: httpx.Client, change: dict[str, Any], status: int, words: str
) -> None:
    answer = api.post(PATH, json={"name": "Welcome", "entry": {"kind": "list"}, "steps": steps(), **change})
    assert answer.status_code == status and words in answer.json()["detail"], answer.text
    assert api.get(PATH).json() == []


def test_a_name_is_taken_until_its_journey_is_archived(api: httpx.Client) -> None:
    journey = made(api)
    again = {"name": "welcome", "entry": {"kind": "list"}, "steps": steps()}
    assert api.post(PATH, json=again).status_code == 409
    api.put(f"{PATH}/{journey['id']}/status", json={"status": "archived"}).raise_for_status()
    assert api.post(PATH, json=again).status_code == 201
    refused = api.post(f"{PATH}/{journey['id']}/members", json={"customer_ids": ["A1"]})
    assert refused.status_code == 409 and refused.json()["detail"].endswith("it is archived.")


def test_what_is_not_there_is_not_found(api: httpx.Client) -> None:
    journey = made(api)
    for path in ("999", "999/results", "999/effect", "999/members", f"{journey['id']}/members/999999"):
        assert api.get(f"{PATH}/{path}").status_code == 404


def test_results_show_the_figures_of_a_test(api: httpx.Client) -> None:
    branches = [{"share": 0.5, "next": "pause"}, {"share": 0.5, "next": "out"}]
    test = {"id": "which", "kind": "test", "metric": "orders", "window_minutes": 60, "branches": branches}
    journey = made(api, steps=[test, *steps()])
    assert (journey["steps"][0]["when_known"], journey["steps"][0]["minimum_customers"]) == (True, 100)
    results = api.get(f"{PATH}/{journey['id']}/results").raise_for_status().json()
    shown = results["steps"][0]["test"]
    assert (shown["version"], shown["metric"], shown["winner"], shown["decision_at"]) == (1, "orders", None, None)
    assert [(branch["branch"], branch["measured"]) for branch in shown["branches"]] == [(1, 0), (2, 0)]
    assert results["steps"][1]["test"] is None
    refused = api.post(
        PATH, json={"name": "Other", "entry": {"kind": "list"}, "steps": [{**test, "when_known": False}]}
    )
    assert refused.status_code == 400 and "decide_after_minutes" in refused.text
