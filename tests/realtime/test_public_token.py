"""The token of apps is public: what it opens changes nothing that is known of a customer, and takes no one's place."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from senders import Sender, app_event, empty, event, logged, metric, stamp

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.customers.writes.ordering import writing
from rapport.realtime.events.visitors import customer_of

UPDATE, SET_EMAIL, SET_USER_ID, STITCH = (
    "ootb_user_details_update",
    "set_email_event",
    "set_user_id_event",
    "stitch_event",
)
DETAILS = {
    "ootb_email": "other@example.org",
    "ootb_first_name": "Other",
    "ootb_allow_email": "No",
    "ootb_is_blocked": "Yes",
    "ootb_city": "Rome",
}


@pytest.fixture(autouse=True)
def nobody_yet(scope: Scope) -> None:
    empty(scope)


def customer(scope: Scope, customer_id: str, **values: Any) -> None:
    scope.warehouse.insert("customers", ["customer_id", *values], [(customer_id, *values.values())])


def known(api: httpx.Client, scope: Scope, customer_id: str) -> dict[str, Any]:
    """What is known of a customer once all that was accepted is carried out; empty when nothing is."""
    with writing(scope):
        pass
    found = api.get(f"/manage/v1/persons/{customer_id}").json()
    rows = found["warehouse"]["customers"]
    held = {name: found["records"][name] for name in ("suppressions", "preferences")}
    return {**(rows[0] if rows else {}), **held}


def derived_from(user_id: str) -> str:
    """The visitor that an SDK goes on as once its app has set a user id."""
    return hashlib.sha1(user_id.encode(), usedforsecurity=False).hexdigest()[:16]


def sent(sender: Sender, *events: dict[str, Any]) -> None:
    assert sender.app(list(events)).status_code == 200


def given(scope: Scope, name: str, who: str = "", visitor: str = "device", **context: Any) -> dict[str, Any]:
    return app_event(scope, event=name, customer=who or None, visitor=visitor, context=context)


def behind(scope: Scope, visitor: str) -> str:
    with scope.records() as session:
        return customer_of(scope, session, [visitor]).get(visitor, "")


# What is known of customers.


def test_an_app_changes_nothing_that_is_known_of_a_customer(sender: Sender, scope: Scope, api: httpx.Client) -> None:
    values = {"EMAIL": "own@example.org", "FIRST_NAME": "Own", "ALLOW_EMAIL": "Yes", "CITY": "Oslo"}
    customer(scope, "Known", **values)
    channels.create_channel(scope, "Letters", "external", id=504)
    api.post("/manage/v1/suppressions", json={"customer_id": "Known", "channel_id": 504}).raise_for_status()
    before = known(api, scope, "Known")
    assert before["EMAIL"] == "own@example.org" and before["suppressions"]
    sent(
        sender,
        given(scope, SET_EMAIL, "Known", email="thief@example.org"),
        given(scope, SET_EMAIL, "KNOWN", email=""),
        given(scope, UPDATE, "Known", **DETAILS),
        given(scope, SET_USER_ID, visitor="v1", originalVisitorId="v1", userId="Known", updatedVisitorId="v2"),
        given(scope, SET_EMAIL, visitor="v1", email="thief@example.org"),
        given(scope, UPDATE, visitor="v2", **DETAILS),
        given(scope, STITCH, visitor="v3", sourcePublicCustomerId="Known", sourceVisitorId="v3", targetVsitorId="v4"),
        given(scope, SET_EMAIL, visitor="v4", email="thief@example.org"),
        given(scope, "sms_unsubscribed", "Known", campaign_id=1, channel_id=504, template_id=1),
    )
    assert known(api, scope, "Known") == before
    warned = [one["reason"] for one in logged(scope, person="known", status="warning", event=SET_EMAIL)]
    assert any("EMAIL is known already: an app replaces no address" in reason for reason in warned)


def test_an_app_tells_the_address_of_a_customer_who_has_none(sender: Sender, scope: Scope, api: httpx.Client) -> None:
    """As an SDK does when somebody registers: who the visitor is and the address, in one list."""
    customer(scope, "New", CITY="Oslo")
    identified = {"originalVisitorId": "n1", "userId": "New", "updatedVisitorId": derived_from("New")}
    sent(
        sender,
        given(scope, SET_USER_ID, visitor="n1", **identified),
        given(scope, SET_EMAIL, "New", derived_from("New"), email="new@example.org"),
        given(scope, SET_EMAIL, "New", derived_from("New"), email="second@example.org"),
    )
    assert known(api, scope, "New")["EMAIL"] == "new@example.org"
    before = known(api, scope, "New")
    sent(sender, given(scope, SET_EMAIL, "New", email="third@example.org"), given(scope, UPDATE, "New", **DETAILS))
    assert known(api, scope, "New") == before, "nothing but the address is an app's to tell"


def test_an_address_that_was_taken_away_is_not_told_anew(sender: Sender, scope: Scope, api: httpx.Client) -> None:
    customer(scope, "Cleared", EMAIL="own@example.org")
    body = {"CustomerID": "Cleared", "Attributes": [{"RealFieldName": "EMAIL", "Value": None}]}
    assert api.put("/current/customers/UpsertCustomer", json=body).json()["isSuccess"] is True
    assert not known(api, scope, "Cleared")["EMAIL"]
    sent(sender, given(scope, SET_EMAIL, "Cleared", email="thief@example.org"))
    assert not known(api, scope, "Cleared")["EMAIL"]


@pytest.mark.parametrize("together", [False, True])
def test_a_server_replaces_what_an_app_told_however_late(
    sender: Sender, scope: Scope, api: httpx.Client, together: bool
) -> None:
    who = f"Late-{together}"
    customer(scope, who)
    sent(sender, given(scope, SET_EMAIL, who, email="app@example.org"))
    if not together:
        assert known(api, scope, who)["EMAIL"] == "app@example.org"
    earlier = stamp(datetime.now(UTC) - timedelta(hours=1))
    told = event(scope, event=SET_EMAIL, customer=who, timestamp=earlier, context={"email": "server@example.org"})
    assert sender.server(told).status_code == 200
    assert known(api, scope, who)["EMAIL"] == "server@example.org"


@pytest.mark.parametrize("name", [SET_EMAIL, UPDATE])
def test_a_vendor_tells_nothing_of_customers(sender: Sender, scope: Scope, api: httpx.Client, name: str) -> None:
    who = f"Texted-{name}"
    customer(scope, who, CITY="Oslo")
    before = known(api, scope, who)
    told = metric(event=name, customer=who, visitor="texted", context={**DETAILS, "email": "thief@example.org"})
    assert sender.vendor(told).status_code == 400
    assert sender.vendor(told, secret=sender.secret).status_code == 200
    assert known(api, scope, who) == before
    assert behind(scope, "texted") == ""


# Whose a visitor is.


def test_the_visitor_made_of_a_customer_s_id_is_nobody_else_s(sender: Sender, scope: Scope) -> None:
    victim = derived_from("Victim")
    names = {"originalVisitorId": "phone", "userId": "Victim", "updatedVisitorId": victim}
    sent(sender, given(scope, SET_USER_ID, visitor="phone", **names))
    attempts = [
        given(scope, SET_USER_ID, visitor=victim, originalVisitorId=victim, userId="Thief", updatedVisitorId="t"),
        given(scope, "page", "Thief", victim),
        given(scope, "page", "vIcTiM", victim),
        given(scope, STITCH, sourcePublicCustomerId="Thief", sourceVisitorId="t", targetVsitorId=victim),
        given(scope, STITCH, sourceVisitorId="t", targetVsitorId=victim),
    ]
    for attempt in attempts:
        sent(sender, attempt)
        assert behind(scope, victim).lower() == "victim"
    sent(sender, attempts[0])
    assert behind(scope, victim).lower() == "victim", "in whatever spelling it was named since"


def test_who_was_there_first_gives_way_to_the_customer_of_the_id(sender: Sender, scope: Scope) -> None:
    mine = derived_from("Mine")
    sent(sender, given(scope, "page", "Early", mine))
    own = given(scope, SET_USER_ID, visitor="tablet", originalVisitorId="tablet", userId="Mine", updatedVisitorId=mine)
    sent(sender, own)
    sent(sender, given(scope, "page", "Early", mine), given(scope, "page", "Early", mine))
    assert behind(scope, mine) == "Mine"


def test_one_list_is_no_way_around(sender: Sender, scope: Scope) -> None:
    mine = derived_from("Listed")
    sent(sender, given(scope, "page", "Listed", mine), given(scope, "page", "Other", mine))
    assert behind(scope, mine) == "Listed"


def test_a_device_that_changes_hands_is_its_new_owner_s(sender: Sender, scope: Scope) -> None:
    for who in ("First", "Second"):
        names = {"originalVisitorId": "shared", "userId": who, "updatedVisitorId": derived_from(who)}
        sent(sender, given(scope, SET_USER_ID, visitor="shared", **names))
        assert (behind(scope, "shared"), behind(scope, derived_from(who))) == (who, who)


def test_a_server_says_whose_any_visitor_is(sender: Sender, scope: Scope) -> None:
    old = derived_from("Old-Id")
    sent(sender, given(scope, "page", "Old-Id", old))
    assert sender.server(event(scope, customer="New-Id", visitor=old)).status_code == 200
    assert behind(scope, old) == "New-Id"
