"""The preference centre as SDKs and servers call it, the topics behind it, and what follows from what people choose."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest

from rapport.access import keys
from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.app import create_app
from rapport.channels import service as channels
from rapport.commands.connections import configured
from rapport.errors import Conflict, Invalid
from rapport.messaging import templates
from rapport.messaging.contactability import kept, preferences, purposes
from rapport.messaging.models import BrandGroup, Topic
from rapport.messaging.topics import brand_groups, topics
from rapport.messaging.topics.topics import TopicContent
from rapport.realtime.events import user_jwts
from rapport.stores import Stores
from served_app import running

MAIL, SMS, PUSH = 504, 505, 506
PATH = "/api/v1/preferences"
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def scope(stores: Stores, request: pytest.FixtureRequest) -> Iterator[Scope]:
    """A tenant for each test: what was said in one is no preference in another."""
    yield create_tenant(stores, f"{request.node.name[:60]}-{time.time_ns()}", "Europe/Berlin", "EUR")
    stores.clock.set(None)


@pytest.fixture
def api(base_url: str, scope: Scope) -> Iterator[httpx.Client]:
    _, secret = keys.create_key(scope, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as client:
        yield client


@pytest.fixture
def group(scope: Scope) -> BrandGroup:
    channels.create_channel(scope, "Letters", "email", id=MAIL)
    channels.create_channel(scope, "SMS", "external", id=SMS, address_attribute="MOBILE_NUMBER")
    channels.create_channel(scope, "Push", "external", id=PUSH)
    scope.warehouse.insert(
        "customers",
        ["customer_id", "EMAIL"],
        [["Q1001", "anna@example.com"], ["Q1002", "ben@example.com"], ["Q1003", "Anna@Example.com"]],
    )
    return brand_groups.create_brand_group(scope, "Northwind", {493: [SMS], 15: [MAIL]})


@pytest.fixture
def of_group(scope: Scope, group: BrandGroup) -> dict[str, Topic]:
    contents = (
        TopicContent("Weekly tips", "short how-to notes"),
        TopicContent("Offers", subscribed_by_default=False),
        TopicContent("Security", "notices", mandatory=True),
        TopicContent("Internal", hidden=True),
    )
    return {content.name: topics.create_topic(scope, group.id, content) for content in contents}


@pytest.fixture
def client(base_url: str, scope: Scope, group: BrandGroup, of_group: dict[str, Topic]) -> Iterator[httpx.Client]:
    headers = {"X-Tenant-Id": str(scope.tenant_id)}
    with httpx.Client(base_url=base_url, headers=headers, params={"brandGroupId": group.id}) as made:
        yield made


def put(client: httpx.Client, customer_id: str, body: Any, **more: Any) -> httpx.Response:
    return client.put(
        PATH, params={"customerId": customer_id, "brandGroupId": client.params["brandGroupId"]}, json=body, **more
    )


def get(client: httpx.Client, customer_id: str, **more: Any) -> httpx.Response:
    return client.get(PATH, params={"customerId": customer_id, "brandGroupId": client.params["brandGroupId"]}, **more)


def chosen(client: httpx.Client, customer_id: str) -> dict[str, list[int]]:
    answer = get(client, customer_id)
    assert answer.status_code == 200, answer.text
    return {topic["topicName"]: topic["channelSubscription"] for topic in answer.json()["topics"]}


def test_an_unknown_customer_has_the_defaults_in_the_documented_shape(
    client: httpx.Client, of_group: dict[str, Topic]
) -> None:
    answer = get(client, "nobody we know", headers={"accept": "text/plain"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "topics": [
            {
                "topicId": of_group["Offers"].id,
                "topicName": "Offers",
                "topicDescription": "",
                "channelSubscription": [],
            },
            {
                "topicId": of_group["Security"].id,
                "topicName": "Security",
                "topicDescription": "notices",
                "channelSubscription": [15, 493],
            },
            {
                "topicId": of_group["Weekly tips"].id,
                "topicName": "Weekly tips",
                "topicDescription": "short how-to notes",
                "channelSubscription": [15, 493],
            },
        ],
        "channels": [15, 493],
    }


def test_a_put_replaces_the_channels_of_the_topics_it_names(client: httpx.Client, of_group: dict[str, Topic]) -> None:
    tips, offers = of_group["Weekly tips"].id, of_group["Offers"].id
    extra = {"topicName": None, "topicDescription": "ignored"}
    answer = put(client, "Q1002", [{"topicId": tips.upper(), "channelSubscription": [15], **extra}])
    assert (answer.status_code, answer.json()) == (200, {})
    assert chosen(client, "q1002") == {"Weekly tips": [15], "Offers": [], "Security": [15, 493]}
    for _ in range(2):
        put(
            client,
            "q1002",
            [{"topicId": tips, "channelSubscription": []}, {"TopicID": offers, "channelsubscription": [493]}],
        )
    assert chosen(client, "Q1002") == {"Weekly tips": [], "Offers": [493], "Security": [15, 493]}
    put(client, "Q1002", [])
    assert chosen(client, "Q1002")["Offers"] == [493]


@pytest.mark.parametrize(
    ("query", "tenant", "told"),
    [
        ({"customerId": ""}, None, "customerId must have 1 to 300 characters."),
        ({"brandGroupId": NOBODY}, None, f"There is no brand group {NOBODY}."),
        ({"brandGroupId": "seven"}, None, "The id must be a GUID."),
        ({}, "999999", "X-Tenant-Id is not the number of a tenant."),
        ({}, "", "X-Tenant-Id must be the number of a tenant."),
        ({}, "-1", "X-Tenant-Id must be the number of a tenant."),
    ],
)
def test_what_is_configured_wrong_is_told_with_400(
    client: httpx.Client, query: dict[str, str], tenant: str | None, told: str
) -> None:
    params = {"customerId": "Q1001", "brandGroupId": client.params["brandGroupId"], **query}
    headers = {} if tenant is None else {"X-Tenant-Id": tenant}
    answer = client.get(PATH, params=params, headers=headers)
    assert (answer.status_code, answer.json()) == (400, told)
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_body_that_cannot_be_meant_changes_nothing(client: httpx.Client, of_group: dict[str, Topic]) -> None:
    tips, before = of_group["Weekly tips"].id, chosen(client, "Q1001")
    good = {"topicId": tips, "channelSubscription": []}
    for body, told in (
        ({"topicId": tips}, "The body must be a JSON array."),
        (
            [good, {"topicId": NOBODY, "channelSubscription": [15]}],
            f"topicId '{NOBODY}' is not a topic of the brand group.",
        ),
        ([good, {"topicId": of_group["Internal"].id, "channelSubscription": []}], "is not a topic of the brand group."),
        (
            [{"topicId": tips, "channelSubscription": [489]}],
            "channelSubscription names channel 489, which is not a channel",
        ),
        ([good, {"topicId": of_group["Security"].id, "channelSubscription": [15]}], "Topic 'Security' is mandatory"),
        ([{"topicId": tips}], "channelSubscription"),
        ([{"topicId": tips, "channelSubscription": ["x"]}], "channelSubscription"),
    ):
        answer = put(client, "Q1001", body)
        assert answer.status_code == 400 and told in answer.json(), answer.text
    assert client.put(PATH, params={"customerId": "Q1001", **client.params}, content=b"{").status_code == 400
    assert chosen(client, "Q1001") == before


def test_a_preflight_allows_what_sdks_send(client: httpx.Client) -> None:
    answer = client.options(PATH, headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "PUT"})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "PUT" in answer.headers["access-control-allow-methods"]
    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert allowed >= {
        "content-type",
        "accept",
        "authorization",
        "x-request-id",
        "x-tenant-id",
        "x-user-jwt",
        "x-optimove-auth-capable",
        "x-optimove-platform",
    }


def test_the_eligibility_of_a_topics_template_follows(
    scope: Scope, client: httpx.Client, of_group: dict[str, Topic]
) -> None:
    for number, name in ((21, "Weekly tips"), (22, "Offers"), (23, "Security")):
        templates.save_template(scope, MAIL, name, name, "<p>Hi</p>", id=number)
        topics.set_templates(scope, of_group[name].id, [(MAIL, number)])
    tips, offers = of_group["Weekly tips"].id, of_group["Offers"].id
    put(
        client,
        "Q1001",
        [{"topicId": tips, "channelSubscription": [493]}, {"topicId": offers, "channelSubscription": [15]}],
    )
    addresses = {"Q1001": "anna@example.com", "Q1002": "ben@example.com", "Q1003": "Anna <ANNA@example.com>"}
    put(client, "Q1002", [{"topicId": tips, "channelSubscription": [15]}])

    def kept_off(template_id: int) -> dict[str, str]:
        purpose = purposes.purpose_of(scope, MAIL, template_id)
        return preferences.unreachable(scope, MAIL, list(addresses), purpose, addresses)

    refused = "not subscribed to the topic"
    assert kept_off(21) == {"Q1001": refused, "Q1003": refused}, "who has the address does not get it either"
    assert kept_off(22) == {"Q1002": refused, "Q1003": refused}
    assert kept_off(23) == {} == kept_off(1)
    assert chosen(client, "Q1003")["Weekly tips"] == [493], "what is shown is what is done"
    put(client, "Q1003", [{"topicId": tips, "channelSubscription": [15, 493]}])
    assert kept_off(21) == {}


def test_each_change_is_logged_with_who_when_and_source(
    scope: Scope, api: httpx.Client, client: httpx.Client, of_group: dict[str, Topic]
) -> None:
    tips, offers = of_group["Weekly tips"].id, of_group["Offers"].id
    put(client, "Logged", [{"topicId": tips, "channelSubscription": []}])
    put(client, "Logged", [{"topicId": tips, "channelSubscription": []}])
    hidden = of_group["Internal"].id
    changed = api.put(
        f"/manage/v1/brand-groups/{client.params['brandGroupId']}/preferences",
        params={"customer_id": "logged"},
        json={
            "topics": [{"topic_id": hidden, "channels": [15]}, {"topic_id": offers, "channels": []}],
            "wording": "By phone",
        },
    )
    assert [topic["channels"] for topic in changed.json() if topic["name"] == "Internal"] == [[15]]
    log = api.get("/manage/v1/consent-log", params={"customer_id": "LOGGED"})
    told = [(one["topic_id"], one["channel_id"], one["agreed"], one["source"], one["wording"]) for one in log.json()]
    assert told == [
        (hidden, 493, False, "management", "By phone"),
        (tips, 493, False, "sdk", ""),
        (tips, 15, False, "sdk", ""),
    ]
    assert log.json()[-1]["actor"] == "preference center from 127.0.0.1"
    held = api.get("/manage/v1/persons/Logged").json()["records"]
    assert [one["subscribed"] for one in held["topics"]] == [False] * 3 and len(held["consent_changes"]) == 3
    assert api.delete("/manage/v1/persons/Logged").status_code == 204
    log = api.get("/manage/v1/consent-log", params={"customer_id": "Logged"}).json()
    assert {one["customer_id"] for one in log} == {""} and {len(one["customer_key"]) for one in log} == {64}
    assert {one["actor"] for one in log[1:]} == {"preference center"}
    assert chosen(client, "Logged")["Weekly tips"] == [], "a no outlives an erasure"


def test_what_was_said_since_a_backup_is_said_again(
    scope: Scope, client: httpx.Client, of_group: dict[str, Topic]
) -> None:
    tips, offers = of_group["Weekly tips"].id, of_group["Offers"].id
    for who, number, topic_id, subscribed in (("Q1002", 15, offers, True), ("Unknown", 493, tips, False)):
        entry = {"topic": topic_id, "number": number, "subscribed": subscribed, "of": [pseudonym(scope, who)]}
        for _ in range(2):
            kept.subscribe_again(scope, entry)
    assert chosen(client, "Q1002")["Offers"] == [15]
    assert chosen(client, "unknown")["Weekly tips"] == [15]


def test_a_yes_ends_with_an_erasure(client: httpx.Client, api: httpx.Client, of_group: dict[str, Topic]) -> None:
    put(client, "Comes Back", [{"topicId": of_group["Offers"].id, "channelSubscription": [15]}])
    assert chosen(client, "Comes Back")["Offers"] == [15]
    api.delete("/manage/v1/persons/Comes Back")
    assert chosen(client, "Comes Back")["Offers"] == []


def test_a_group_may_require_a_proof(
    scope: Scope, client: httpx.Client, api: httpx.Client, of_group: dict[str, Topic]
) -> None:
    path = f"/manage/v1/brand-groups/{client.params['brandGroupId']}"
    body = {"name": "Northwind", "channels": {"15": [MAIL], "493": [SMS]}}
    assert api.put(path, json={**body, "requires_proof": True}).status_code == 200
    missing = "X-User-JWT is missing: it must prove that the caller is the customer."
    assert (get(client, "Q1001").status_code, put(client, "Q1001", []).json()) == (401, missing)
    key = user_jwts.set_key(scope, "HS256", "s" * 40, None, 0)

    def token(subject: str) -> dict[str, str]:
        claims = {"sub": subject, "exp": scope.clock.now() + timedelta(minutes=5)}
        return {"X-User-JWT": jwt.encode(claims, "s" * 40, algorithm="HS256")}

    assert get(client, "Q1001", headers=token("q1001")).status_code == 200
    assert get(client, "Q1001", headers=token("Q1002")).status_code == 401
    assert get(client, "Q1001", headers={"X-User-JWT": "no token"}).status_code == 401
    assert get(client, "Q1001", headers=dict(api.headers)).status_code == 200
    assert get(client, "Q1001", headers={"X-API-KEY": "rap_" + "x" * 43}).status_code == 401
    _, reading = keys.create_key(scope, "reads", "reads@example.com", "Admin", rights="read")
    assert put(client, "Q1001", [], headers={"X-API-KEY": reading}).status_code == 401
    assert api.put(path, json=body).status_code == 200
    assert get(client, "Q1001").status_code == 200
    assert get(client, "Q1001", headers={"X-Optimove-Auth-Capable": "1"}).status_code == 401
    user_jwts.delete_key(scope, key.id)


def test_nothing_is_looked_at_beyond_the_rate(stores: Stores, scope: Scope, group: BrandGroup) -> None:
    limited = create_app(stores)
    limited.state.limiter = type(limited.state.limiter)(3, 60)
    with running(configured(limited, stores.settings, port=0)) as url, httpx.Client(base_url=url) as client:
        answers = [client.get(PATH).status_code for _ in range(5)]
        assert answers == [400, 400, 400, 429, 429]
        refused = client.put(PATH, json=[])
        assert refused.json()["status"] == 429 and refused.headers["access-control-allow-origin"] == "*"
        assert int(refused.headers["retry-after"]) > 0


def test_groups_and_topics_are_managed(
    scope: Scope, api: httpx.Client, stores: Stores, of_group: dict[str, Topic]
) -> None:
    made = api.post("/manage/v1/brand-groups", json={"name": "Outlet", "channels": {"490": [PUSH]}}).json()
    assert made["link_page"].endswith(f"/preference-link/{scope.tenant_id}/{made['id']}")
    assert api.post("/manage/v1/brand-groups", json={"name": "outlet", "channels": {}}).status_code == 409
    for channels_by_number, told in (
        ({"16": []}, "names 16"),
        ({"15": [7]}, "channel 7"),
        ({"15": [MAIL, MAIL]}, "once"),
    ):
        answer = api.post("/manage/v1/brand-groups", json={"name": "x", "channels": channels_by_number})
        assert answer.status_code == 400 and told in answer.json()["detail"]
    path = f"/manage/v1/brand-groups/{made['id']}"
    topic = api.post(f"{path}/topics", json={"name": "Drops", "frequency": "daily"}).json()
    assert api.post(f"{path}/topics", json={"name": "DROPS"}).status_code == 409
    always = {"name": "Always", "mandatory": True, "subscribed_by_default": False}
    assert api.post(f"{path}/topics", json=always).status_code == 400
    renamed = api.put(f"/manage/v1/topics/{topic['id']}", json={"name": "drops", "hidden": True}).json()
    assert (renamed["name"], renamed["hidden"], renamed["frequency"]) == ("drops", True, "")
    templates.save_template(scope, PUSH, "Drop", id=31)
    templates.save_template(scope, MAIL, "Drop", "Drop", "<p>Drop</p>", id=31)
    on_push, on_mail = ({"channel_id": number, "template_id": 31} for number in (PUSH, MAIL))
    of_topic = f"/manage/v1/topics/{topic['id']}/templates"
    assert api.put(of_topic, json={"templates": [on_mail]}).status_code == 400
    assert api.put(of_topic, json={"templates": [on_push]}).json() == {"templates": [on_push]}
    assert api.put(path, json={"name": "Outlet", "channels": {}}).status_code == 409
    assert api.delete(path).status_code == 409
    assert api.delete(f"/manage/v1/topics/{topic['id']}").status_code == 204
    assert api.get(of_topic).status_code == 404
    assert purposes.purpose_of(scope, PUSH, 31) == purposes.ANYTHING
    assert api.delete(path).status_code == 204
    assert [one["name"] for one in api.get("/manage/v1/brand-groups").json()] == ["Northwind"]
    other = create_tenant(stores, f"other {time.time_ns()}", "UTC", "EUR")
    with pytest.raises(Invalid, match="does not exist"):
        brand_groups.create_brand_group(other, "Northwind", {15: [MAIL]})
    assert brand_groups.brand_groups(other) == []
    with pytest.raises(Conflict):
        topics.create_topic(scope, of_group["Offers"].brand_group_id, TopicContent("offers"))
