"""Words for nobody identify nobody in events, and words for nothing replace no known address or name."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest
from senders import Sender, app_event, empty, event, handle, logged, metric, stored
from test_visitors import behind

from rapport.access.scope import Scope
from rapport.customers import changes
from rapport.customers.writes import attribute_requests, locks, ordering
from rapport.realtime.events.joining import join
from rapport.realtime.events.names import Names
from rapport.realtime.recording.warehouse_batches import file_batch

WORDS = ["undefined", " Null ", "None", "NaN", "0", "[object Object]", "00000000-0000-0000-0000-000000000000", "(null)"]
every = pytest.mark.parametrize("word", WORDS)


@pytest.fixture(scope="module")
def own(base_url: str, scope: Scope) -> Iterator[Sender]:
    made = Sender(base_url, scope)
    yield made
    made.client.close()


@pytest.fixture
def sender(own: Sender) -> Sender:
    """Of a tenant without customers, events and entries of the log."""
    empty(own.scope)
    for table in ("customers", "activity_events", "visitor_events"):
        own.scope.warehouse.execute(f"TRUNCATE TABLE {table}")
    return own


def file_all(scope: Scope) -> None:
    handle(scope)
    names, deadline = Names(), time.monotonic() + 60
    while stored(scope) and time.monotonic() < deadline:
        file_batch(scope, names)
    while join(scope, names) and time.monotonic() < deadline:
        pass


def warnings(scope: Scope) -> list[str]:
    return [entry["reason"] for entry in logged(scope, status="warning")]


def identified(scope: Scope, visitor: str, customer: Any, **more: Any) -> dict[str, Any]:
    context = {"originalVisitorId": visitor, "userId": customer} | more
    return app_event(scope, event="set_user_id_event", visitor=visitor, context=context)


@every
def test_two_visitors_whose_user_id_is_nobody_stay_visitors(sender: Sender, word: str) -> None:
    scope = sender.scope
    assert sender.app([identified(scope, "vA", word), identified(scope, "vB", word)]).status_code == 200
    assert [row["parameters"] for row in stored(scope)] == [{"originalVisitorId": "vA"}, {"originalVisitorId": "vB"}]
    assert behind(scope, "vA", "vB") == {}
    assert warnings(scope) == [f"userId '{word}' identifies nobody: it was left out (1070)"] * 2
    sender.app([app_event(scope, event="set_page_visit", visitor="vB", context={"pageTitle": "Home"})])
    file_all(scope)
    assert scope.warehouse.value("SELECT count() FROM activity_events") == 0
    assert sorted(scope.warehouse.rows("SELECT visitor_id, count() FROM visitor_events GROUP BY 1")) == [
        ("vA", 1),
        ("vB", 2),
    ]


@every
def test_an_event_of_nobody_is_its_visitors(sender: Sender, word: str) -> None:
    scope = sender.scope
    given = [app_event(scope, visitor=visitor, customer=word) for visitor in ("vA", "vB")]
    assert sender.app(given).status_code == 200
    assert [(row["customer_id"], row["visitor_id"]) for row in stored(scope)] == [("", "vA"), ("", "vB")]
    assert behind(scope, "vA", "vB") == {}
    assert all(f"customer '{word.strip()}' identifies nobody: it was left out" in one for one in warnings(scope))


@every
def test_an_event_of_a_visitor_who_is_nobody_is_the_customers(sender: Sender, word: str) -> None:
    scope = sender.scope
    assert sender.server(event(scope, customer="Q1", visitor=word)).status_code == 200
    assert sender.server(event(scope, customer="Q2", visitor=word)).status_code == 200
    assert [(row["customer_id"], row["visitor_id"]) for row in stored(scope)] == [("Q1", ""), ("Q2", "")]
    assert behind(scope, word, word.strip()) == {}


@every
def test_an_event_of_nobody_at_all_is_refused_alone(sender: Sender, word: str) -> None:
    scope = sender.scope
    answer = sender.server(event(scope, customer=word))
    assert answer.status_code == 400 and f"customer '{word.strip()}' identifies nobody" in answer.json()["message"]
    assert sender.app([app_event(scope, visitor=word), app_event(scope)]).json()["message"] == "1 of 2 events"
    answer = sender.vendor([metric(customer=word), metric(customer="Q1")])
    assert answer.status_code == 200 and "," not in answer.json()["message"]
    assert [row["customer_id"] or row["visitor_id"] for row in stored(scope)] == ["0123456789abcdef", "Q1"]
    assert len(logged(scope, status="error")) == 3


def test_a_zero_that_is_a_number_identifies_nobody_either(sender: Sender) -> None:
    scope = sender.scope
    assert sender.app([identified(scope, "vA", 0), app_event(scope, visitor="vB", customer=0)]).status_code == 200
    assert behind(scope, "vA", "vB") == {}


def test_real_ids_that_look_odd_still_identify(sender: Sender) -> None:
    scope = sender.scope
    ids = ["00", "007", "null@example.com", "Nullmann", "00000000-0000-0000-0000-000000000001"]
    given = [identified(scope, f"v{number}", one) for number, one in enumerate(ids)]
    assert sender.app(given).status_code == 200
    assert behind(scope, *(f"v{number}" for number in range(len(ids)))) == {f"v{n}": one for n, one in enumerate(ids)}
    assert warnings(scope) == []


def stitch(scope: Scope, **names: Any) -> dict[str, Any]:
    return app_event(scope, event="stitch_event", visitor="vS", context=names)


@every
def test_a_stitch_with_nobody_joins_no_strangers(sender: Sender, word: str) -> None:
    scope = sender.scope
    given = [
        stitch(scope, sourceVisitorId="vA", targetVsitorId=word),
        stitch(scope, sourceVisitorId=word, targetVsitorId="vB"),
        stitch(scope, sourceVisitorId="vC", targetVsitorId="vD", sourcePublicCustomerId=word),
        identified(scope, "vA", "Q1"),
        identified(scope, "vC", "Q2"),
    ]
    assert sender.app(given).status_code == 200
    assert behind(scope, "vA", "vB", "vC", "vD", word) == {"vA": "Q1", "vC": "Q2", "vD": "Q2"}
    assert len(warnings(scope)) == 3


def test_the_visitor_that_an_sdk_makes_of_a_word_for_nobody_is_nobody(sender: Sender) -> None:
    """Every app that set the user id "undefined" has it from then on."""
    scope, made = sender.scope, hashlib.sha1(b"undefined", usedforsecurity=False).hexdigest()[:16]
    given = [
        identified(scope, "vA", "undefined", updatedVisitorId=made),
        app_event(scope, visitor=made),
        identified(scope, made, "Q1"),
        identified(scope, "vB", "Q2", updatedVisitorId=made),
    ]
    assert sender.app(given).json()["message"] == "2 of 4 events"
    assert behind(scope, "vA", "vB", made) == {"vB": "Q2"}


# What is known of a customer.


KNOWN = {"EMAIL": "ann@example.com", "FIRST_NAME": "Ann", "MOBILE_NUMBER": "+49301000000", "CITY": "Wien"}
JUNK = ["undefined", "null", "None", "[object Object]", "", " "]


def known(scope: Scope, customer: str = "A1", names: Sequence[str] = tuple(KNOWN)) -> dict[str, Any]:
    row = scope.warehouse.row(
        f"SELECT {', '.join(names)} FROM customers WHERE customer_id = {{id:String}}", id=customer
    )
    return dict(zip(names, row or (), strict=False))


def upsert(api: httpx.Client, customer: str, **values: Any) -> Any:
    given = [{"RealFieldName": name, "Value": value} for name, value in values.items()]
    answer = api.put("/Customers/UpsertCustomer", json={"CustomerId": customer, "Attributes": given})
    assert answer.status_code == 200, answer.text
    return answer.json()


def settled(scope: Scope) -> None:
    with locks.writing(scope):
        while ordering.carry_out(scope):
            pass


@pytest.mark.parametrize("junk", JUNK)
def test_an_upsert_of_nothing_keeps_what_is_known(api: httpx.Client, sender: Sender, junk: str) -> None:
    scope = sender.scope
    assert upsert(api, "A1", **KNOWN)["isSuccess"]
    answer = upsert(api, "a1", EMAIL=junk, first_name=junk, CITY="Rom")
    assert [error["error"] for error in answer["errors"]] == ["INVALID_VALUE"] * (2 if junk.strip() else 0)
    assert known(scope) == KNOWN | {"CITY": "Rom"}
    (entry,) = logged(scope, event="UpsertCustomer")
    assert (entry["status"], entry["person"]) == ("warning", "a1")
    assert entry["reason"] == ("EMAIL says nothing: what is known stays; first_name says nothing: what is known stays")


@pytest.mark.parametrize("junk", JUNK)
def test_events_of_nothing_keep_what_is_known(api: httpx.Client, sender: Sender, junk: str) -> None:
    scope = sender.scope
    upsert(api, "A1", **KNOWN)
    details = {"ootb_email": junk, "ootb_first_name": junk, "ootb_mobile_number": junk, "ootb_city": "Rom"}
    sender.server(event(scope, event="ootb_user_details_update", customer="A1", context=details))
    sender.app([app_event(scope, event="set_email_event", customer="A1", context={"email": junk})])
    settled(scope)
    assert known(scope) == KNOWN | {"CITY": "Rom"}
    reasons = "; ".join(warnings(scope))
    assert all(f"{name} says nothing: what is known stays" in reasons for name in ("EMAIL", "FIRST_NAME"))


def test_an_empty_text_for_what_is_not_known_is_no_news(api: httpx.Client, sender: Sender) -> None:
    assert upsert(api, "New", EMAIL="", FIRST_NAME="") == {"isSuccess": True, "errors": []}
    assert upsert(api, "New", EMAIL="", FIRST_NAME="Zoe") == {"isSuccess": True, "errors": []}
    assert known(sender.scope, "New", ["EMAIL", "FIRST_NAME"]) == {"EMAIL": None, "FIRST_NAME": "Zoe"}
    assert logged(sender.scope) == []


def test_who_is_called_so_may_be_called_so(api: httpx.Client, sender: Sender) -> None:
    upsert(api, "A1", FIRST_NAME="Nan", LAST_NAME="Null")
    assert known(sender.scope, "A1", ["FIRST_NAME", "LAST_NAME"]) == {"FIRST_NAME": "Nan", "LAST_NAME": "Null"}


def test_an_update_clears_by_null_and_by_no_word(api: httpx.Client, sender: Sender) -> None:
    scope = sender.scope
    changes.change_attribute(scope, "EMAIL", {"api_updatable": True})
    upsert(api, "A1", **KNOWN)
    for value, stays in (("undefined", "ann@example.com"), ("null", "ann@example.com"), (None, None)):
        attribute_requests.update_attributes(scope, [{"customer": "A1", "values": [["EMAIL", value]]}], None)
        settled(scope)
        assert known(scope, names=["EMAIL"]) == {"EMAIL": stays}


@every
def test_nobody_is_no_customer_of_the_api(api: httpx.Client, sender: Sender, word: str) -> None:
    body = {"CustomerId": word, "Attributes": [{"RealFieldName": "CITY", "Value": "Wien"}]}
    answer = api.put("/Customers/UpsertCustomer", json=body)
    assert answer.status_code == 400 and "identifies nobody" in answer.json()
    assert sender.scope.warehouse.value("SELECT count() FROM customers") == 0


@every
def test_nobody_is_made_a_customer_by_an_event(sender: Sender, word: str) -> None:
    scope = sender.scope
    given = event(scope, event="ootb_user_details_update", customer=word, visitor="vA", context={"ootb_city": "Wien"})
    assert sender.server(given).status_code == 200
    file_all(scope)
    assert scope.warehouse.value("SELECT count() FROM customers") == 0
