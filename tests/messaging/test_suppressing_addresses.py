"""Addresses that are suppressed by themselves: whoever has or gets one gets nothing there."""

import httpx
import pytest

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.messaging.contactability import preferences

PATH = "/manage/v1/suppressions"
MAIL, OTHER = 504, 505


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    for channel_id in (MAIL, OTHER):
        channels.create_channel(scope, f"Mail {channel_id}", "email", id=channel_id)
    scope.warehouse.insert("customers", ["customer_id"], [["known@x.example"], ["C1"]])


def kept_off(scope: Scope, channel_id: int, address: str) -> bool:
    """Whether a customer who has the address gets nothing on a channel."""
    return "Somebody" in preferences.unreachable(scope, channel_id, ["Somebody"], addresses={"Somebody": address})


def test_strangers_are_kept_off_a_channel_until_they_are_let_in(api: httpx.Client, scope: Scope) -> None:
    body = {"address": ["S1@x.example", " s1@X.example", "s2@x.example"], "channel_id": MAIL}
    added = api.post(PATH, json=body)
    assert (added.status_code, added.json()) == (201, {"addresses": 3, "added": 2, "channel_id": MAIL})
    again = api.post(PATH, json=body)
    assert (again.status_code, again.json()["added"]) == (200, 0)
    assert kept_off(scope, MAIL, "Anna <s1@x.example>")
    assert not kept_off(scope, OTHER, "s1@x.example")
    listed = api.get(f"{PATH}/of-address", params={"address": "s1@x.example"}).json()
    assert [(one["channel_id"], one["listed"]) for one in listed] == [(MAIL, "suppression list")]
    assert api.delete(PATH, params={"address": "S1@x.example", "channel_id": MAIL}).status_code == 204
    assert not kept_off(scope, MAIL, "s1@x.example")
    assert kept_off(scope, MAIL, "s2@x.example")
    assert api.delete(PATH, params={"address": "s1@x.example", "channel_id": MAIL}).status_code == 404


def test_an_address_without_a_channel_is_kept_off_all(api: httpx.Client, scope: Scope) -> None:
    assert api.post(PATH, json={"address": "every@x.example"}).json()["channel_id"] is None
    assert kept_off(scope, MAIL, "every@x.example")
    assert kept_off(scope, OTHER, "every@x.example")


def test_ten_thousand_go_in_one_call_and_more_are_refused(api: httpx.Client, scope: Scope) -> None:
    many = [f"many{number}@x.example" for number in range(10_000)]
    assert api.post(PATH, json={"address": many}).json()["added"] == 10_000
    assert kept_off(scope, MAIL, "many9999@x.example")
    assert api.post(PATH, json={"address": [*many, "one.more@x.example"]}).status_code == 400


def test_an_address_as_a_customer_id_is_refused(api: httpx.Client) -> None:
    refused = api.post(PATH, json={"customer_id": "stranger@x.example"})
    assert refused.status_code == 400
    assert "send it as address" in refused.text
    assert api.post(PATH, json={"customer_id": "Known@x.example"}).status_code == 201


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "Give customer_id or address"),
        ({"customer_id": "C1", "address": "c1@x.example"}, "not both"),
        ({"address": ["ok@x.example", "no mail"], "channel_id": MAIL}, "address 2 is not an e-mail address."),
        (
            {"address": ["no mail", "ok@x.example", *["no"] * 101], "channel_id": MAIL},
            "addresses 1, "
            + ", ".join(map(str, range(3, 102)))
            + " and 2 more are not e-mail addresses: leave them out, "
            "nothing was suppressed.",
        ),
        ({"address": "  "}, "address 1 is not an address."),
        ({"address": []}, "address"),
    ],
)
def test_what_is_no_address_is_refused(api: httpx.Client, body: dict[str, object], told: str) -> None:
    refused = api.post(PATH, json=body)
    assert refused.status_code == 400
    assert told in refused.text
