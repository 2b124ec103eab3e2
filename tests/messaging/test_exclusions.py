"""Exclusions: customers who get no marketing until an instant, which passes by itself, or for good."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.messaging.contactability import (
    preferences,
    present_addresses,
    rules,
    suppressed_addresses,
    suppressions,
    undeliverable,
)
from rapport.messaging.erasure import forget
from rapport.messaging.models import ExclusionReason

PATH = "/manage/v1/exclusions"
MAIL, CALLS = 504, 505
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
WEEK = (NOW + timedelta(days=7)).isoformat()
MONTH = (NOW + timedelta(days=30)).isoformat()
REASON = "under an exclusion"


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    channels.create_channel(scope, "Mail", "email", id=MAIL)
    channels.create_channel(scope, "Calls", "external", id=CALLS, address_attribute="MOBILE_NUMBER")
    rows = [["Ann", "ann@x.example"], ["Bob", "bob@x.example"], ["Bob2", "BOB@x.example"], ["Tia", "tia@x.example"]]
    scope.warehouse.insert("customers", ["customer_id", "EMAIL"], rows)


@pytest.fixture(autouse=True)
def at_nine(scope: Scope) -> Iterator[None]:
    scope.clock.set(NOW)
    yield
    scope.clock.set(None)


def exclude(api: httpx.Client, customer_id: str | list[str], ends_at: str | None, **more: Any) -> tuple[int, Any]:
    answer = api.post(PATH, json={"customer_id": customer_id, "ends_at": ends_at, **more})
    return answer.status_code, answer.json()


def listed(api: httpx.Client, **asked: Any) -> list[dict[str, Any]]:
    answer = api.get(PATH, params=asked)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()
    return rows


def eligible(api: httpx.Client, customer_id: str, at: datetime | None = None) -> tuple[str, str]:
    body = {"customer_id": customer_id, "channel_id": MAIL, "at": at and at.isoformat()}
    answer = api.post("/manage/v1/eligibility", json=body).json()
    return answer["outcome"], answer["reason"]


def test_an_exclusion_is_made_read_back_and_ends_by_itself(api: httpx.Client, scope: Scope) -> None:
    assert exclude(api, "ann", WEEK, reason="time-out") == (201, {"customers": 1, "added": 1})
    [made] = listed(api, customer_id="ANN")
    assert made.pop("made_by").startswith("key ")
    assert made == {
        "customer_id": "Ann",
        "begins_at": "2026-03-02T09:00:00Z",
        "ends_at": "2026-03-09T09:00:00Z",
        "reason": "time-out",
        "lifted_at": None,
        "lifted_by": "",
        "stands": True,
    }
    assert eligible(api, "Ann") == ("suppressed", REASON)
    assert eligible(api, "Ann", NOW + timedelta(days=7, seconds=-1)) == ("suppressed", REASON)
    assert eligible(api, "Ann", NOW + timedelta(days=7)) == ("", "")
    assert {preferences.unreachable(scope, number, ["aNN"])["aNN"] for number in (MAIL, CALLS)} == {REASON}
    assert "Ann" in preferences.suppressions(scope, MAIL)["customer_id"].to_pylist()
    before = preferences.digest(scope, MAIL)
    scope.clock.set(NOW + timedelta(days=7))
    assert preferences.unreachable(scope, MAIL, ["Ann"]) == {}
    assert "Ann" not in preferences.suppressions(scope, MAIL)["customer_id"].to_pylist()
    assert preferences.digest(scope, MAIL) != before, "lists that were made before are made anew"
    assert [one["stands"] for one in listed(api, customer_id="Ann")] == [False]
    assert listed(api, customer_id="Ann", standing=True) == []


def test_an_exclusion_is_prolonged_and_never_cut_short(api: httpx.Client, scope: Scope) -> None:
    steps = [(WEEK, 1), (WEEK, 0), (MONTH, 1), (WEEK, 0), (None, 1), (MONTH, 0)]
    for minutes, (ends_at, added) in enumerate(steps):
        scope.clock.set(NOW + timedelta(minutes=minutes))
        assert exclude(api, "Long", ends_at) == (201 if added else 200, {"customers": 1, "added": added})
    ends = [one["ends_at"] for one in listed(api, customer_id="Long")]
    assert ends == [None, "2026-04-01T09:00:00Z", "2026-03-09T09:00:00Z"]
    scope.clock.set(NOW + timedelta(days=900))
    assert preferences.unreachable(scope, MAIL, ["Long"]) == {"Long": REASON}


def test_lifting_ends_all_that_stand_and_stays_on_record(api: httpx.Client, scope: Scope) -> None:
    exclude(api, "Lifted", WEEK)
    scope.clock.set(NOW + timedelta(minutes=1))
    exclude(api, "Lifted", None)
    assert api.delete(PATH, params={"customer_id": "LIFTED"}).status_code == 204
    assert preferences.unreachable(scope, MAIL, ["Lifted"]) == {}
    records = listed(api, customer_id="Lifted")
    assert [(one["stands"], one["lifted_at"]) for one in records] == [(False, "2026-03-02T09:01:00Z")] * 2
    assert all(one["lifted_by"].startswith("key ") for one in records)
    again = api.delete(PATH, params={"customer_id": "Lifted"})
    assert again.status_code == 404 and "Customer Lifted is not excluded from marketing." in again.text
    assert exclude(api, "Lifted", WEEK)[1]["added"] == 1, "also at the same instant"
    assert preferences.unreachable(scope, MAIL, ["Lifted"]) == {"Lifted": REASON}


def test_the_audit_log_says_who_and_why_and_names_no_customer(api: httpx.Client) -> None:
    exclude(api, ["Audited", "Audited 2"], WEEK, reason="cooling-off")
    api.delete(PATH, params={"customer_id": "Audited"})
    newest = api.get("/manage/v1/audit-entries", params={"limit": 2}).json()
    assert [(one["action"], one["object"], one["details"]) for one in newest] == [
        ("lift exclusion", "customers from marketing", {"customers": 1}),
        ("exclude", "customers from marketing", {"reason": "cooling-off", "customers": 2}),
    ]
    assert all(one["actor"].startswith("key ") for one in newest)


def test_no_word_of_the_customer_lifts_it(api: httpx.Client, scope: Scope) -> None:
    exclude(api, "Bob", WEEK)
    suppressions.suppress(scope, "Bob", MAIL)
    assert preferences.unreachable(scope, MAIL, ["Bob"]) == {"Bob": REASON}
    assert preferences.suppressions(scope, MAIL).to_pylist().count({"customer_id": "Bob", "reason": REASON}) == 1
    suppressions.allow(scope, "Bob", MAIL)
    suppressions.suppress_addresses(scope, ["bob@x.example"])
    suppressions.allow_address(scope, "bob@x.example")
    preferences.set_preference(scope, MAIL, ["Bob"], 1)
    both = {"Bob": "bob@x.example", "Bob2": "bob@x.example"}
    assert preferences.unreachable(scope, MAIL, list(both), addresses=both) == dict.fromkeys(both, REASON)
    of_address = api.get("/manage/v1/suppressions/of-address", params={"address": "bob@x.example"}).json()
    assert [(one["channel_id"], one["listed"]) for one in of_address] == [(None, REASON)]
    api.delete(PATH, params={"customer_id": "Bob"})
    assert preferences.unreachable(scope, MAIL, list(both), addresses=both) == {}
    assert api.get("/manage/v1/suppressions/of-address", params={"address": "bob@x.example"}).json() == []


def test_transactional_messages_go_on(api: httpx.Client, scope: Scope) -> None:
    exclude(api, "Tia", MONTH)
    [mark] = suppressed_addresses.marks_of(scope, ["tia@x.example"])
    assert preferences.unreachable(scope, MAIL, ["Other"], addresses={"Other": "tia@x.example"}) == {"Other": REASON}
    assert undeliverable.among(scope, MAIL, [(mark, "tia")]) == [""]


def test_an_address_that_is_loaded_later_counts_from_the_next_day_on(api: httpx.Client, scope: Scope) -> None:
    exclude(api, "Early", MONTH)
    scope.warehouse.insert("customers", ["customer_id", "EMAIL"], [["Early", "early@x.example"]])
    other = {"Other": "early@x.example"}
    assert preferences.unreachable(scope, MAIL, ["Other"], addresses=other) == {}
    present_addresses.keep_again(scope)
    assert preferences.unreachable(scope, MAIL, ["Other"], addresses=other) == {"Other": REASON}
    scope.clock.set(NOW + timedelta(days=30))
    assert preferences.unreachable(scope, MAIL, ["Other"], addresses=other) == {}


def test_an_erased_person_who_comes_back_is_still_excluded(api: httpx.Client, scope: Scope) -> None:
    exclude(api, "Gone", MONTH)
    forget(scope, "Gone", [])
    assert preferences.unreachable(scope, MAIL, ["gONE"]) == {"gONE": REASON}
    [held] = listed(api, customer_id="Gone")
    assert (held["customer_id"], held["stands"]) == ("", True)
    assert api.delete(PATH, params={"customer_id": "Gone"}).status_code == 204
    assert preferences.unreachable(scope, MAIL, ["Gone"]) == {}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ends_at": NOW.isoformat()}, "ends_at must be in the future"),
        ({"ends_at": "2026-05-01T00:00:00"}, "ends_at"),
        ({"ends_at": "soon"}, "ends_at"),
        ({"reason": "because"}, "reason"),
        ({"customer_id": "stranger@x.example"}, "is an e-mail address and not a customer's ID"),
        ({"customer_id": "  "}, "customer_id must have 1 to 255 characters."),
        ({"customer_id": []}, "customer_id"),
        ({"customer_id": [f"C{n}" for n in range(10_001)]}, "customer_id"),
        ({"until": WEEK}, "until"),
    ],
)
def test_what_cannot_be_is_refused(api: httpx.Client, change: dict[str, Any], told: str) -> None:
    refused = api.post(PATH, json={"customer_id": "Refused", "ends_at": WEEK, **change})
    assert refused.status_code == 400
    assert told in refused.text
    assert listed(api, customer_id="Refused") == []


def test_the_end_must_be_said(api: httpx.Client) -> None:
    refused = api.post(PATH, json={"customer_id": "Refused"})
    assert refused.status_code == 400 and "ends_at" in refused.text


def file(api: httpx.Client, text: str | bytes, **more: str) -> httpx.Response:
    return api.post(f"{PATH}/file", files={"file": ("excluded.csv", text)}, data=more)


def test_a_file_excludes_each_until_an_end_of_its_own(api: httpx.Client, scope: Scope) -> None:
    text = (
        "Brand;Ends_At;Customer_ID\n"
        "a;2026-03-20T12:00:00+01:00;F1\n"
        "a;2026-03-20;F2\n"
        "a;2026-07-01T08:30;F3\n"
        "a;forever;F4\n"
        "\n"
        "a;2026-03-01;F5\n"
        "a;2026-03-18;F1\n"
    )
    answer = file(api, text, reason="self-exclusion")
    assert (answer.status_code, answer.json()) == (200, {"customers": 5, "added": 4, "ended": 1})
    ends = {one["customer_id"]: one["ends_at"] for one in listed(api) if one["customer_id"].startswith("F")}
    # The tenant is in Berlin: in March an hour ahead of UTC, in July two.
    assert ends == {
        "F1": "2026-03-20T11:00:00Z",
        "F2": "2026-03-20T23:00:00Z",
        "F3": "2026-07-01T06:30:00Z",
        "F4": None,
    }
    assert {one["reason"] for one in listed(api, customer_id="F1")} == {"self-exclusion"}
    assert file(api, text).json() == {"customers": 5, "added": 0, "ended": 1}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("customer_id,until\nX1,2026-05-01\n", "file has no column ends_at"),
        ("X1,2026-05-01\n", "file has no column customer_id"),
        ("", "file has no column customer_id"),
        ("customer_id,ends_at\n", "file has no customers."),
        ("customer_id,ends_at\nX1,2026-05-01\nX2,\nX3,soon\n,forever\n", "3 lines have no customer_id, or an ends_at"),
        ("customer_id,ends_at\nX1,2026-05-01\nX2,\n", "1 line has no customer_id, or an ends_at"),
        (b"customer_id,ends_at\nX\xff,forever\n", "UTF-8"),
    ],
)
def test_a_file_with_a_fault_excludes_nobody(api: httpx.Client, text: str | bytes, told: str) -> None:
    refused = file(api, text)
    assert refused.status_code == 400
    assert told in refused.text
    assert listed(api, customer_id="X1") == []


def test_of_several_reasons_an_exclusion_is_told_by_all_ways() -> None:
    """SQL takes the last by the alphabet, runs and triggers the first of the list."""
    reasons = [rule.reason for rule in rules.BY_WISH]
    assert reasons == sorted(reasons, reverse=True) and reasons[0] == REASON


def test_every_reason_can_be_given(api: httpx.Client) -> None:
    for reason in ExclusionReason:
        exclude(api, f"Why {reason}", WEEK, reason=reason)
        assert listed(api, customer_id=f"Why {reason}")[0]["reason"] == reason
