"""The unsubscribe list of SMS as integrators read and change it, and what follows from it."""

import time
from typing import Any

import httpx
import pytest

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.channels import service as channels
from rapport.messaging.contactability import preferences, suppressed_addresses

SMS, OTHER = 493, 494
PATH = "/current/optitext/unsubscribes"
ONE, TWO, THREE = "+491713920001", "+491713920002", "+15550100001"
DONE = {"error": None}
SETTINGS: dict[str, Any] = {"url": "https://sms.example/x", "default_region": "DE"}


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    channels.create_channel(scope, "Texts", "sms", id=SMS, settings={**SETTINGS, "sender": "Northwind"})
    channels.create_channel(scope, "Outlet", "sms", id=OTHER, settings={**SETTINGS, "brand": "outlet"})


@pytest.fixture(autouse=True)
def empty(filled: None, api: httpx.Client) -> None:
    for channel in (SMS, OTHER):
        for number in (ONE, TWO, THREE):
            api.delete(PATH, params={"brandId": channel, "phoneNumber": number}).raise_for_status()


def add(api: httpx.Client, *numbers: str, **body: Any) -> httpx.Response:
    return api.post(PATH, json={"brandId": SMS, "phoneNumbers": list(numbers)} | body)


def listed(api: httpx.Client, **query: Any) -> list[str]:
    answer = api.get(PATH, params={"brandId": SMS, **query})
    assert answer.status_code == 200, answer.text
    return [row["phoneNumber"] for row in answer.json()]


def test_numbers_are_added_listed_and_deleted(scope: Scope, api: httpx.Client) -> None:
    scope.clock.set(None)
    first = add(api, "0171 392 00 01", THREE)
    assert (first.status_code, first.json()) == (200, DONE)
    assert add(api, ONE).json() == DONE, "a repetition is no error"
    assert sorted(listed(api)) == sorted([ONE, THREE])
    (row,) = (row for row in api.get(PATH, params={"brandId": SMS}).json() if row["phoneNumber"] == ONE)
    assert row["unsubscribedTime"][:10] == f"{scope.clock.now():%Y-%m-%d}" and len(row["unsubscribedTime"]) == 19
    assert listed(api, startDate="2020-01-01", endDate="2020-01-02") == []
    assert len(listed(api, **{"$skip": 1})) == 1
    gone = api.request("DELETE", PATH, json={"brandId": str(SMS), "mobileNumbers": [ONE]})
    assert (gone.status_code, gone.json(), listed(api)) == (200, DONE, [THREE])
    assert api.delete(PATH, params={"brandId": SMS, "phoneNumber": [ONE, THREE]}).json() == DONE
    assert listed(api) == []


def test_nothing_goes_to_a_number_on_the_list(scope: Scope, api: httpx.Client) -> None:
    add(api, ONE)
    kept_off = preferences.unreachable(scope, SMS, ["Q1"], addresses={"Q1": "0049 171 3920001"})
    assert kept_off == {"Q1": "suppression list"}
    assert preferences.unreachable(scope, OTHER, ["Q1"], addresses={"Q1": ONE}) == {}
    (entry,) = suppressed_addresses.of_address(scope, ONE)
    assert (entry.channel_id, entry.reason, entry.source) == (SMS, "unsubscribed", "api")


@pytest.mark.parametrize("prefix", ["/current/optitext", "/OptiText", "/OPTITEXT", "/v3.0/OptiText"])
def test_the_functions_have_their_older_names(api: httpx.Client, prefix: str) -> None:
    body = {"BRANDID": SMS, "PhoneNumbers": [TWO]}
    assert api.post(f"{prefix}/AddUnsubscribes", json=body).json() == DONE
    told = api.get(f"{prefix}/GetUnsubscribes", params={"BrandID": SMS})
    assert [row["phoneNumber"] for row in told.json()] == [TWO]
    assert api.post(f"{prefix}/DeleteUnsubscribes", json=body).json() == DONE
    assert listed(api) == []


def test_a_brand_is_a_name_or_a_channel_and_may_be_narrowed_to_a_sender(api: httpx.Client) -> None:
    assert add(api, TWO, brandId="Outlet").status_code == 200
    assert (listed(api), listed(api, brandId=OTHER)) == ([], [TWO])
    assert listed(api, brandId="outlet") == [TWO]
    assert add(api, ONE, senderId="northwind").status_code == 200
    refused = add(api, ONE, senderId="Southwind")
    assert refused.status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"brandId": 7}, 404, "There is no SMS brand 7."),
        ({"phoneNumbers": ["+49 171 3920003", "n/a"]}, 400, "phone number 2 is not a phone number."),
        ({"phoneNumbers": []}, 400, "phoneNumbers must have 1 to 200 numbers, not 0."),
        ({"phoneNumbers": [ONE] * 201}, 400, "phoneNumbers must have 1 to 200 numbers, not 201."),
        ({"brandId": None}, 400, "brandId"),
        ({"phoneNumbers": "x"}, 400, "phoneNumbers"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_added(
    api: httpx.Client, body: dict[str, Any], status: int, words: str
) -> None:
    refused = add(api, ONE, **body)
    assert refused.status_code == status and words in refused.text, refused.text
    assert listed(api) == []
    assert api.get(PATH).status_code == 400
    assert api.get(PATH, params={"brandId": 7}).status_code == 404
    assert api.get(PATH, params={"brandId": SMS, "startDate": "soon"}).status_code == 400


def test_a_tenant_sees_its_own_numbers_only(scope: Scope, api: httpx.Client, base_url: str) -> None:
    add(api, TWO)
    other = create_tenant(scope.stores, f"neighbour-{time.time_ns()}", "Europe/Berlin", "EUR")
    channels.create_channel(other, "Texts", "sms", id=SMS, settings=SETTINGS)
    _, secret = keys.create_key(other, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as theirs:
        assert listed(theirs) == []
        assert theirs.delete(PATH, params={"brandId": SMS, "phoneNumber": TWO}).json() == DONE
    assert listed(api) == [TWO]
    assert httpx.get(f"{base_url}{PATH}", params={"brandId": SMS}).status_code == 401
    _, limited = keys.create_key(scope, "vendor", "vendor@example.com", "Integrations")
    refused = httpx.post(f"{base_url}{PATH}", json={"brandId": SMS}, headers={"X-API-KEY": limited})
    assert refused.status_code in (401, 403)
