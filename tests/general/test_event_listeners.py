"""Event listeners on the wire: registering, unregistering, listing, and the management of them."""

from datetime import timedelta

import httpx
import pytest

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.channels import service as channels
from rapport.notifications import service
from rapport.notifications.deliverer import OUTSIDE_CLOCK
from rapport.stores import Stores

REGISTER, UNREGISTER, LIST = (
    f"/current/general/{name}"
    for name in ("RegisterEventListener", "UnregisterEventListener", "GetRegisteredEventListeners")
)


@pytest.fixture(autouse=True)
def tidy(scope: Scope) -> None:
    for found in service.listeners(scope):
        service.unregister_listener(scope, found.event_type_id, found.channel_id or None)
    if 505 not in [found.id for found in channels.channels(scope)]:
        channels.create_channel(scope, "SMS", "external")


def register(client: httpx.Client, event: object, url: object, **more: object) -> httpx.Response:
    return client.post(REGISTER, json={"EventTypeID": event, "ListenerURL": url, **more})


def test_listeners_are_listed_in_order(api: httpx.Client, integrations_api: httpx.Client) -> None:
    assert api.get(LIST).json() == []
    for event, channel in [(13, 505), (3, None), (13, None), (1, 505)]:
        answer = register(integrations_api, event, f"https://hooks.invalid/{event}?a=b%20c", ChannelID=channel)
        assert (answer.status_code, answer.content) == (200, b"")
    expected = [
        {"EventTypeID": event, "ListenerURL": f"https://hooks.invalid/{event}?a=b%20c", "ChannelID": channel}
        for event, channel in [(1, 505), (3, None), (13, None), (13, 505)]
    ]
    assert api.get(LIST).json() == expected
    assert api.get("/General/GetRegisteredEventListener").json() == expected


def test_registering_again_replaces_the_url(api: httpx.Client) -> None:
    register(api, 3, "https://hooks.invalid/old")
    first = api.get("/manage/v1/listeners").json()[0]
    assert register(api, 3, "https://hooks.invalid/new").status_code == 200
    (second,) = api.get("/manage/v1/listeners").json()
    assert (second["id"], second["secret"], second["url"]) == (
        first["id"],
        first["secret"],
        "https://hooks.invalid/new",
    )


def test_secrets_in_a_url_are_shown_masked_and_kept(api: httpx.Client, scope: Scope) -> None:
    url, shown = (f"https://ann:{secret}@hooks.invalid/a?src=1&token={secret}" for secret in ("pw-of-ann", "***"))
    register(api, 3, url)
    for again in (shown, shown.replace("src=1", "src=2")):
        (found,) = api.get("/manage/v1/listeners").json()
        assert [found["url"], api.get(LIST).json()[0]["ListenerURL"]] == [shown, shown]
        assert register(api, 3, again).status_code == 200
    assert service.listener(scope, found["id"]).url == url.replace("src=1", "src=2")
    moved = register(api, 3, shown.replace("hooks", "others"))
    assert (moved.status_code, "The password in ListenerURL must be given again" in moved.text) == (400, True)
    told = api.get("/manage/v1/audit-entries", params={"limit": 100}).text
    assert "pw-of-ann" not in told
    hook = {"name": "masked", "url": url}
    for again in (url, shown):
        made = api.put("/manage/v1/channels/505/webhook", json={**hook, "url": again})
        assert (made.status_code, made.json()["url"]) == (200, shown)
    assert api.get("/manage/v1/channels/505/webhook").json()["url"] == shown
    assert [one.url for one in service.listeners(scope) if one.event_type_id == 14] == [url]


def test_a_percent_encoded_url_is_decoded_once(api: httpx.Client) -> None:
    register(api, 2, "http%3A%2F%2Fhooks.invalid%2Fa%3Fb%3D1%2525")
    assert api.get(LIST).json()[0]["ListenerURL"] == "http://hooks.invalid/a?b=1%25"


def test_members_bind_ignoring_case(api: httpx.Client) -> None:
    body = {"eventtypeid": "13", "LISTENERURL": "https://hooks.invalid/", "channelId": 505}
    assert api.post("/GENERAL/registereventlistener", json=body).status_code == 200
    assert api.get(LIST).json()[0]["ChannelID"] == 505


@pytest.mark.parametrize("event", [0, 6, 7, 8, 9, 10, 12, 15, -1, 10**12, "three", None, 1.5])
def test_other_event_types_are_refused(api: httpx.Client, event: object) -> None:
    answer = register(api, event, "https://hooks.invalid/")
    assert answer.status_code == 400
    assert "EventTypeID" in answer.json()
    assert api.post(UNREGISTER, json={"EventTypeID": event}).status_code == 400


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"ListenerURL": "https://hooks.invalid/"}, "EventTypeID is required."),
        ({"EventTypeID": 3}, "ListenerURL is required."),
        (
            {"EventTypeID": 5, "ListenerURL": "https://hooks.invalid/", "ChannelID": 505},
            "ChannelID must not be given with",
        ),
        (
            {"EventTypeID": 13, "ListenerURL": "https://hooks.invalid/", "ChannelID": 77},
            "ChannelID 77 is not a channel.",
        ),
        ({"EventTypeID": 3, "ListenerURL": "not a url"}, "ListenerURL"),
        ([1], "The body must be a JSON object."),
    ],
)
def test_bad_bodies_are_refused(api: httpx.Client, body: object, sentence: str) -> None:
    answer = api.post(REGISTER, json=body)
    assert answer.status_code == 400
    assert sentence in answer.json()
    assert api.get(LIST).json() == []


def test_wrong_verb_type_and_json(api: httpx.Client, base_url: str) -> None:
    assert api.get(REGISTER).status_code == 405
    assert api.post(REGISTER, content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert api.post(REGISTER, content=b"a=b", headers={"Content-Type": "text/plain"}).status_code == 400
    assert httpx.post(base_url + REGISTER, json={}).status_code == 401


def test_unregistering_takes_just_the_one(api: httpx.Client) -> None:
    register(api, 13, "https://hooks.invalid/")
    register(api, 13, "https://hooks.invalid/", ChannelID=505)
    answer = api.post("/current/general/UnRegisterEventListener", json={"EventTypeID": 13})
    assert (answer.status_code, answer.content) == (200, b"")
    assert [row["ChannelID"] for row in api.get(LIST).json()] == [505]
    assert api.post(UNREGISTER, json={"EventTypeID": 13}).status_code == 200
    assert api.post(UNREGISTER, json={"EventTypeID": 13, "ChannelID": 505}).status_code == 200
    assert api.get(LIST).json() == []


def test_another_tenant_sees_and_changes_nothing(api: httpx.Client, base_url: str, stores: Stores) -> None:
    register(api, 3, "https://hooks.invalid/")
    listener_id = api.get("/manage/v1/listeners").json()[0]["id"]
    other = create_tenant(stores, f"other-{listener_id}-{id(api)}")
    _, secret = keys.create_key(other, "other", "other@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}) as stranger:
        assert stranger.get(LIST).json() == []
        stranger.post(UNREGISTER, json={"EventTypeID": 3})
        for path in (f"/{listener_id}", f"/{listener_id}/deliveries"):
            assert stranger.get("/manage/v1/listeners" + path).status_code == 404
        assert stranger.post(f"/manage/v1/listeners/{listener_id}/rotate-secret").status_code == 404
        for act in ("replay", "cancel"):
            assert stranger.post(f"/manage/v1/listeners/{listener_id}/{act}").status_code == 404
        assert stranger.delete(f"/manage/v1/listeners/{listener_id}").status_code == 404
    assert len(api.get(LIST).json()) == 1


def test_deliveries_are_shown_and_replayed(api: httpx.Client, scope: Scope) -> None:
    made = api.post("/manage/v1/listeners", json={"event_type_id": 4, "url": "https://hooks.invalid/"})
    assert made.status_code == 201
    path = f"/manage/v1/listeners/{made.json()['id']}"
    with scope.records() as session:
        service.notify(scope, session, 4, {"CampaignID": 9}, "canceled 9")
    (delivery,) = api.get(f"{path}/deliveries", params={"state": "pending"}).json()
    assert '"CampaignID":9' in delivery["body"]
    assert api.get(f"{path}/deliveries", params={"state": "parked"}).json() == []
    assert api.get(f"{path}/deliveries", params={"state": "lost"}).status_code == 400
    assert api.post(f"{path}/deliveries/{delivery['id']}/replay").json() == {"deliveries": 1}
    assert api.post(f"{path}/deliveries/{delivery['id'] + 1}/replay").status_code == 404
    assert api.post(f"{path}/replay").json() == {"deliveries": 0}
    before = api.get(path).json()["secret"]
    after = api.post(f"{path}/rotate-secret").json()["secret"]
    assert after.startswith("whsec_") and after != before
    longest = {"grace_hours": 2160}
    assert api.post(f"{path}/rotate-secret", json=longest).status_code == 200
    until = service.listener(scope, made.json()["id"]).previous_until
    assert until is not None and until > OUTSIDE_CLOCK.now() + timedelta(days=89)
    assert api.post(f"{path}/rotate-secret", json={"grace_hours": 2160.5}).status_code == 400
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


def test_deliveries_that_wait_are_canceled(api: httpx.Client, scope: Scope) -> None:
    paths = []
    for event_type_id in (4, 5):
        made = api.post("/manage/v1/listeners", json={"event_type_id": event_type_id, "url": "https://hooks.invalid/"})
        paths.append(f"/manage/v1/listeners/{made.json()['id']}")
        with scope.records() as session:
            for number in range(3):
                service.notify(scope, session, event_type_id, {"CampaignID": number}, f"told {number}")
    path, other = paths
    first, second, third = (one["id"] for one in api.get(f"{path}/deliveries").json())
    assert api.post(f"{path}/deliveries/{second}/cancel").json() == {"deliveries": 1}
    states = {one["id"]: one["state"] for one in api.get(f"{path}/deliveries").json()}
    assert states == {first: "pending", second: "canceled", third: "pending"}
    again = api.post(f"{path}/deliveries/{second}/cancel")
    assert (again.status_code, again.json()["detail"]) == (
        409,
        f"Delivery {second} is canceled: only one that is pending or parked can be canceled.",
    )
    assert api.post(f"{other}/deliveries/{first}/cancel").status_code == 404
    assert api.post(f"{path}/cancel").json() == {"deliveries": 2}
    assert {one["state"] for one in api.get(f"{path}/deliveries").json()} == {"canceled"}
    assert {one["state"] for one in api.get(f"{other}/deliveries").json()} == {"pending"}
    assert api.post(f"{path}/deliveries/{first}/replay").json() == {"deliveries": 1}
    for one in paths:
        api.delete(one)
