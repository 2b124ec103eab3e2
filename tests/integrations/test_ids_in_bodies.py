"""Ids in bodies of the wire: every function takes them alike, and refuses alike what cannot be one."""

from typing import Any

import httpx
import pytest
from vendor_world import SMS, fill

from rapport.access.scope import Scope
from rapport.messaging.contactability import preferences
from rapport.messaging.contactability.purposes import Purpose

PREFERENCE = {"ChannelID": SMS, "CommunicationMode": 2}


@pytest.fixture(scope="module", autouse=True)
def world(scope: Scope) -> Scope:
    fill(scope)
    return scope


def prefer(api: httpx.Client, customers: list[Any], **more: Any) -> httpx.Response:
    body = {**PREFERENCE, "CustomerIDs": customers, **more}
    return api.post("/current/integrations/SetCustomerChannelPreference", json=body)


def upsert(api: httpx.Client, customer: Any) -> httpx.Response:
    return api.put("/current/customers/UpsertCustomer", json={"CustomerID": customer, "Attributes": []})


def update(api: httpx.Client, customer: Any) -> httpx.Response:
    item = {"CustomerID": customer, "Attributes": [{"RealFieldName": "FIRST_NAME", "Value": "x"}]}
    body = {"CustomerNewAttributesValuesList": [item]}
    return api.post("/current/customers/UpdateCustomerAttributes", json=body)


def remove(api: httpx.Client, customer: Any) -> httpx.Response:
    return api.post("/current/customers/RemoveCustomerPII", json={"CustomerIDs": [customer]})


def clear(api: httpx.Client, customer: Any) -> httpx.Response:
    body = {"CampaignID": 3, "PromosUpdated": [{"CustomerID": customer, "Status": True}]}
    return api.post("/current/integrations/UpdateCustomerPromotionStatus", json=body)


def interact(api: httpx.Client, customer: Any) -> httpx.Response:
    body = {"CampaignID": 1, "ChannelID": SMS, "InteractionDate": "2026-03-11", "TemplateID": 11, "EventID": 3}
    return api.post("/current/integrations/UpdateCampaignInteractions", json={**body, "CustomerIDs": [customer]})


def prefer_one(api: httpx.Client, customer: Any) -> httpx.Response:
    return prefer(api, [customer])


EVERYWHERE = pytest.mark.parametrize("call", [upsert, update, remove, clear, interact, prefer_one])


@EVERYWHERE
@pytest.mark.parametrize(
    ("customer", "said"),
    [
        ("", "must not be blank."),
        (" \t", "must not be blank."),
        ("a\0b", "must not contain a null character."),
        ("x" * 256, "must have at most 255 characters."),
        ("İ" * 255, "must have at most 255 characters, also in lower case."),
        (2**64, "must be a text, or a whole number of at most 64 bits."),
        (1.5, "must be a text, or a whole number of at most 64 bits."),
        (True, ""),
        (None, ""),
    ],
)
def test_what_is_no_customer_id(api: httpx.Client, call: Any, customer: Any, said: str) -> None:
    answer = call(api, customer)
    assert answer.status_code == 400, answer.text
    assert "CustomerID" in answer.json().split(": ")[0] and said in answer.json(), answer.text


@EVERYWHERE
@pytest.mark.parametrize("customer", [" C00 ", "x" * 255, "İ" * 127, 77, "77 "])
def test_what_is_a_customer_id(api: httpx.Client, call: Any, customer: Any) -> None:
    assert call(api, customer).status_code == 200


def test_blanks_at_the_edges_are_no_part_of_an_id(world: Scope, api: httpx.Client) -> None:
    assert prefer(api, [" Edge\n", 18446744073709551615, 5], AppID=" App ").status_code == 200
    out = preferences.unreachable(world, SMS, ["edge", "18446744073709551615", "5", " Edge\n"], Purpose("app"))
    assert out.keys() == {"edge", "18446744073709551615", "5"}
    assert [one.app_id for one in preferences.preferences(world, "EDGE")] == ["App"]


def test_names_of_our_own_are_passed_over(world: Scope, api: httpx.Client) -> None:
    assert prefer(api, ["Own"], app_id="x", mode=1, channel_id="x", customer_ids=None).status_code == 200
    assert preferences.unreachable(world, SMS, ["own"]) == {"own": "channel preference"}
    own = {"channel_id": SMS, "customer_ids": ["Other"], "mode": 2}
    answer = api.post("/current/integrations/SetCustomerChannelPreference", json=own)
    assert answer.status_code == 400 and answer.json() == "ChannelID is required."


@pytest.mark.parametrize("number", ["3", 3.0, " 3"])
def test_numbers_of_kinds_may_be_texts(api: httpx.Client, number: Any) -> None:
    listener = {"EventTypeID": number, "ListenerURL": "https://hooks.invalid/", "ChannelID": ""}
    assert api.post("/current/general/RegisterEventListener", json=listener).status_code == 200
    assert api.get("/current/general/GetRegisteredEventListeners").json()[0]["EventTypeID"] == 3
    assert api.post("/current/general/UnregisterEventListener", json={"EventTypeID": number}).status_code == 200
    assert api.get("/current/general/GetRegisteredEventListeners").json() == []


@pytest.mark.parametrize("number", [True, False, 1.5, "x", "", "2.0", "-1", None, [1], 2**70])
def test_what_is_no_number(world: Scope, api: httpx.Client, number: Any) -> None:
    answer = prefer(api, ["Nobody"], ChannelID=number)
    assert answer.status_code == 400 and answer.json().startswith("ChannelID: "), answer.text
    answer = prefer(api, ["Nobody"], CommunicationMode=number)
    assert answer.status_code == 400 and answer.json().startswith("CommunicationMode"), answer.text
    assert api.post("/current/general/UnregisterEventListener", json={"EventTypeID": number}).status_code == 400
    assert preferences.unreachable(world, SMS, ["nobody"]) == {}
