"""Event types: declared with typed parameters, or made when a name is first seen."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from senders import handle

from rapport.access.scope import Scope
from rapport.customers import event_types
from rapport.realtime.events.intake import Incoming, Intake
from rapport.realtime.events.names import Names
from rapport.realtime.recording.warehouse_batches import file_batch

HOME = "/manage/v1/event-types"


def declare(api: httpx.Client, name: str, **members: Any) -> httpx.Response:
    return api.post(HOME, json={"name": name, **members})


def send(scope: Scope, name: str, **parameters: Any) -> None:
    Intake(scope.stores).accept_now(scope, [Incoming(name, "server", datetime.now(UTC), "c", "", parameters)])
    handle(scope)
    assert file_batch(scope, Names()) == 1


def test_an_event_type_is_declared_read_and_changed(api: httpx.Client) -> None:
    types = {"amount": "Number", "method": "String", "first": "Boolean"}
    made = declare(api, "deposit", description="Money in", parameters=types)
    assert made.status_code == 201
    found = made.json()
    assert found == {
        "id": found["id"],
        "name": "deposit",
        "description": "Money in",
        "declared": True,
        "core": False,
        "parameters": types,
        "seen": [],
    }
    assert api.get(f"{HOME}/{found['id']}").json() == found
    assert found in api.get(HOME).json()
    changed = api.put(f"{HOME}/{found['id']}", json={"parameters": {"amount": "String"}}).json()
    assert changed == {
        **found,
        "description": "",
        "parameters": {"amount": "String"},
        "seen": ["method", "first"],
    }
    assert declare(api, "deposit").status_code == 409
    assert api.get(f"{HOME}/999999").status_code == 404
    assert api.put(f"{HOME}/999999", json={}).status_code == 404


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"name": "Deposit"}, "snake_case"),
        ({"name": "two words"}, "snake_case"),
        ({"name": "a__b"}, "snake_case"),
        ({"name": "1st"}, "snake_case"),
        ({"name": "nul\0"}, "null character"),
        ({"name": "good", "parameters": {"Amount": "Number"}}, "snake_case"),
        ({"name": "good", "parameters": {"amount": "Date"}}, "amount"),
        ({"name": "good", "parameters": {f"p{n}": "String" for n in range(51)}}, "at most 50"),
        ({"name": "good", "description": "\0"}, "description"),
        ({"name": "good", "unknown": 1}, "unknown"),
    ],
)
def test_what_cannot_be_declared_is_refused(api: httpx.Client, members: dict[str, Any], words: str) -> None:
    answer = api.post(HOME, json=members)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert all(one["name"] != "good" for one in api.get(HOME).json())


def test_a_name_first_seen_becomes_a_type_that_can_be_declared_later(scope: Scope, api: httpx.Client) -> None:
    send(scope, "Odd Name!", size=1)
    send(scope, "later", size=1, colour="red")
    seen = {one["name"]: one for one in api.get(HOME, params={"declared": "false"}).json()}
    assert seen["Odd Name!"]["declared"] is False and seen["Odd Name!"]["seen"] == ["size"]
    assert sorted(seen["later"]["seen"]) == ["colour", "size"]
    declared = declare(api, "later", parameters={"size": "Number"}).json()
    assert (declared["id"], declared["declared"], declared["seen"]) == (seen["later"]["id"], True, ["colour"])
    send(scope, "later", size=2, weight=3)
    assert sorted(api.get(f"{HOME}/{declared['id']}").json()["seen"]) == ["colour", "weight"]
    listed = api.get("/current/integrations/GetActivityEventList")
    if listed.status_code == 200:
        assert "later" in listed.text


def test_parameters_seen_are_those_of_their_own_event(scope: Scope) -> None:
    event_types.note_event_types(scope, {"one": ["a"], "two": ["b"], "three": []})
    found = {one.name: one.parameters for one in event_types.event_types(scope)}
    assert (found["one"], found["two"], found["three"]) == (["a"], ["b"], [])
    event_types.note_event_types(scope, {"one": [f"p{n}" for n in range(300)]})
    assert len(event_types.event_type_named(scope, "one").parameters) == 200  # type: ignore[union-attr]


def test_core_events_have_their_numbers_and_are_declared_by_name(scope: Scope, api: httpx.Client) -> None:
    send(scope, "set_page_visit", pageTitle="Home")
    visit = event_types.event_type_named(scope, "set_page_visit")
    assert visit is not None and (visit.id, visit.declared) == (1006, True)
    assert visit.types == {"customURL": "String", "pageTitle": "String", "category": "String"}
    made = declare(api, "set_email_event")
    assert made.status_code == 201
    assert (made.json()["id"], made.json()["core"], made.json()["parameters"]) == (1002, True, {"email": "String"})
    assert declare(api, "set_email_event").status_code == 201  # may be repeated
    assert declare(api, "first_own").json()["id"] >= 2001


def test_names_are_listed_by_pages_and_only_for_admins(api: httpx.Client, integrations_api: httpx.Client) -> None:
    for name in ("page_a", "page_b", "page_c"):
        declare(api, name)
    every = [one["id"] for one in api.get(HOME).json()]
    assert every == sorted(every) and len(every) >= 3
    paged = [one["id"] for n in range(len(every)) for one in api.get(HOME, params={"limit": 1, "offset": n}).json()]
    assert paged == every
    assert integrations_api.get(HOME).status_code == 403
