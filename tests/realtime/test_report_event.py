"""Events that a page wants an answer to at once, in the three forms that there are for it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from senders import Sender, app_event, empty, event, logged, signed, stored

from rapport.access.scope import Scope

NOTHING = {"IsSuccess": True, "Data": False}


def members(answer: httpx.Response) -> dict[str, Any]:
    body = answer.json()
    return {name: body[name] for name in ("IsSuccess", "Data")}


@pytest.fixture(scope="module")
def signup(api: httpx.Client) -> int:
    """The number of a declared event."""
    answer = api.post("/manage/v1/event-types", json={"name": "joined", "parameters": {"topic": "String"}})
    assert answer.status_code == 201, answer.text
    number: int = answer.json()["id"]
    return number


def test_an_array_of_events_is_stored_and_answered_as_web_sdks_read_it(sender: Sender, scope: Scope) -> None:
    answer = sender.app([app_event(scope, visitor="array")], "/v1/realtime/{}/reportEvent")
    assert (answer.status_code, members(answer)) == (200, NOTHING)
    assert answer.headers["content-type"] == "application/json"
    assert len(stored(scope, visitor_id="array")) == 1


def test_one_event_with_the_token_in_it(sender: Sender, scope: Scope) -> None:
    for token, customer, origin in ((sender.public, "One", "sdk"), (sender.secret, "Other", "server")):
        answer = sender.client.post("/reportEvent", json=event(scope, customer=customer, tid=token))
        assert (answer.status_code, members(answer)) == (200, NOTHING)
        (row,) = stored(scope, customer_id=customer)
        assert (row["event"], row["origin"]) == ("signup", origin)


def test_a_server_may_show_its_token_or_sign_as_usual(sender: Sender, scope: Scope) -> None:
    body = json.dumps(event(scope, customer="Headed")).encode()
    assert sender.client.post("/reportEvent", content=body, headers={"X-API-KEY": sender.secret}).status_code == 200
    assert sender.client.post("/reportEvent", content=body, headers=signed(sender.secret, body)).status_code == 200
    assert [row["origin"] for row in stored(scope, customer_id="Headed")] == ["server", "server"]


@pytest.mark.parametrize("as_form", [False, True], ids=["json", "form"])
def test_the_oldest_form_names_an_event_by_its_number(sender: Sender, scope: Scope, signup: int, as_form: bool) -> None:
    visitor = f"old-{as_form}"
    context = {"topic": "offers & more", "event_native_mobile": "false"}
    fields: dict[str, Any] = {"tid": sender.public, "eid": signup, "visitorId": visitor, "visitCount": 2}
    fields["firstVisitorDate"] = 1767225600
    if as_form:
        text = urlencode({**fields, "cid": "", "context": json.dumps(context)})
        kind = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
        answer = sender.client.post("/reportEvent", content=text, headers=kind)
    else:
        answer = sender.client.post("/reportEvent", json={**fields, "cid": None, "context": context})
    assert (answer.status_code, members(answer)) == (200, NOTHING)
    (row,) = stored(scope, visitor_id=visitor)
    assert (row["event"], row["parameters"]) == ("joined", {"topic": "offers & more", "event_native_mobile": False})
    assert abs(row["event_at"] - datetime.now(UTC)) < timedelta(minutes=5)
    assert logged(scope, person=visitor) == []


def test_core_events_have_their_numbers_and_unknown_numbers_are_logged(sender: Sender, scope: Scope) -> None:
    old = {"tid": sender.secret, "cid": "Numbered", "context": {"email": "numbered@example.com"}}
    assert sender.client.post("/reportEvent", json={**old, "eid": "1002"}).status_code == 200
    assert sender.client.post("/reportEvent", json={**old, "eid": 99, "context": "none"}).status_code == 200
    assert [row["event"] for row in stored(scope, customer_id="Numbered")] == ["set_email_event", "99"]
    assert "the event is not declared (1010)" in logged(scope, person="numbered")[0]["reason"]


def test_a_bad_event_is_no_error_of_the_call(sender: Sender, scope: Scope) -> None:
    empty(scope)
    bad = [b"{", b"", b"[]x", json.dumps({"tid": sender.public, "eid": 1002}).encode()]
    for body in bad:
        answer = sender.client.post(f"/v1/realtime/{sender.public}/reportEvent", content=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["Data"] is False
    answer = sender.client.post("/reportEvent", json={"tid": sender.public, "eid": 1002})
    assert answer.status_code == 200
    assert {entry["reason"] for entry in logged(scope, status="error")} == {
        "the body is not valid JSON",
        "customer or visitor is missing",
    }


def test_without_a_good_token_nothing_is_stored(sender: Sender, scope: Scope, stores: Any) -> None:
    wanted = event(scope, customer="Stranger")
    answers = [
        sender.client.post("/reportEvent", json=wanted),
        sender.client.post("/reportEvent", json=[{**wanted, "tid": "sdk-none"}]),
        sender.client.post("/reportEvent", json={**wanted, "tid": sender.vendors}),
        sender.client.post("/v1/realtime/none/reportEvent", json=[wanted]),
    ]
    for answer in answers:
        assert answer.status_code == 401
        assert members(answer) == {"IsSuccess": False, "Data": False}
    assert stored(scope, customer_id="Stranger") == []


def test_the_token_decides_whose_event_it_is(sender: Sender, scope: Scope) -> None:
    answer = sender.client.post("/reportEvent", json=event(scope, tid=sender.public, tenant=scope.tenant_id + 1))
    assert answer.json()["IsSuccess"] is True and answer.json()["message"] == "0 of 1 events"


FAULTS = [
    ("set_user_id_event", {"userId": "U1"}, "originalVisitorId is missing (1040)"),
    ("set_user_id_event", {"userId": "u" * 201, "originalVisitorId": "v1"}, "longer than 200 characters (1071)"),
    (
        "set_user_id_event",
        {"userId": "null", "originalVisitorId": "v2"},
        "userId 'null' identifies nobody: it was left out (1070)",
    ),
    ("set_email_event", {"email": "not one"}, "email is not an e-mail address (1080)"),
    ("set_page_visit", {"customURL": "javascript://x", "pageTitle": "x"}, "not the address of a page (1090)"),
    ("set_page_visit", {"customURL": "/"}, "pageTitle is missing (1040)"),
    ("set_page_visit", {"customURL": "/", "pageTitle": 7}, "pageTitle is not a String (1060)"),
    ("set_page_visit", {"customURL": "/", "pageTitle": "x" * 4001}, "pageTitle is longer than 4000 characters"),
    ("set_page_visit", {"customURL": "/", "pageTitle": "x", "other": 1}, "other is not declared (1030)"),
    ("unheard_of", {"a": 1}, "the event is not declared (1010)"),
    ("unheard_of", {f"p{n}": n for n in range(51)}, "more than 50 parameters: the others were left out (1020)"),
]


@pytest.mark.parametrize(("name", "context", "told"), FAULTS, ids=[told for _, _, told in FAULTS])
def test_faults_have_the_numbers_that_sdks_give_them(
    sender: Sender, scope: Scope, name: str, context: dict[str, Any], told: str
) -> None:
    visitor = f"fault-{FAULTS.index((name, context, told))}"
    assert sender.app([app_event(scope, visitor=visitor, event=name, context=context)]).status_code == 200
    (entry,) = logged(scope, person=visitor)
    assert entry["status"] == "warning" and told in entry["reason"]


def test_what_an_sdk_found_itself_stands_in_the_log(sender: Sender, scope: Scope) -> None:
    metadata = {"eventId": "found", "validations": [{"status": 1060, "message": "amount is no number"}, 3]}
    context = {"customURL": "/", "pageTitle": "Home"}
    found = app_event(scope, visitor="found", event="set_page_visit", context=context, metadata=metadata)
    assert sender.app([found]).status_code == 200
    (entry,) = logged(scope, person="found")
    assert entry["reason"] == "the SDK found: amount is no number (1060)"


@pytest.mark.parametrize("target", ["targetVsitorId", "targetVisitorId"])
@pytest.mark.parametrize("first", [{"firstVisitorDate": 1767225600}, {"firsrtVisitorDate": "2026-01-01T00:00:00.000Z"}])
def test_all_spellings_of_members_are_taken_without_a_word(
    sender: Sender, scope: Scope, target: str, first: dict[str, Any]
) -> None:
    visitor = f"spelled-{target}-{len(first)}-{next(iter(first))}"
    context = {"sourcePublicCustomerId": "S1", "sourceVisitorId": visitor, target: "spelled-target"}
    stitch = app_event(scope, visitor=visitor, event="stitch_event", context=context, metadata=first)
    headers = {"X-Optimove-Platform": "ios", "X-Optimove-Auth-Capable": "1", "X-User-JWT": "of.no.meaning"}
    answer = sender.client.post(f"/v1/optistream/{sender.public}", json=[stitch], headers=headers)
    assert answer.json()["message"] == "1 of 1 events"
    assert logged(scope, person=visitor) == []
