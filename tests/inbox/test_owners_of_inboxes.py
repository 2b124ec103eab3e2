"""Whose inbox a call may be about: customers and visitors, proofs, limits, erasure; and pictures."""

import io
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from PIL import Image
from webhook_receiver import eventually

from rapport.access import keys
from rapport.access.limits import RateLimiter
from rapport.access.scope import Scope
from rapport.app import create_app
from rapport.channels import service as channels
from rapport.customers.person_ids import person_of
from rapport.errors import Invalid
from rapport.inbox.storing import NewMessage, store
from rapport.messaging.topics import brand_groups
from rapport.persons import service as persons
from rapport.realtime.events import user_jwts
from rapport.realtime.events.owners import keep_owners
from served_app import serving

CHANNEL = 495
GET, COUNT, REPORT = (
    "/api/v2/embedded-messages/get",
    "/api/v2/embedded-messages/get-unread-messages-count",
    "/api/v2/embedded-messages/report-events",
)
SECRET = "s" * 40


@pytest.fixture(scope="module")
def brand(scope: Scope) -> str:
    channels.create_channel(scope, "Site", "inbox")
    return brand_groups.create_brand_group(scope, "Northwind", {495: [CHANNEL]}).id


@pytest.fixture(scope="module")
def client(base_url: str, scope: Scope, brand: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, params={"tenantId": scope.tenant_id, "brandId": brand}) as made:
        yield made


def put(scope: Scope, customer_id: str, title: str, visitor_id: str = "", **more: Any) -> None:
    message = NewMessage(
        message_id=f"{customer_id}-{visitor_id}-{title}",
        channel_id=CHANNEL,
        person=person_of(customer_id, visitor_id),
        customer_id=customer_id,
        title=title,
        content="",
        container_id=more.pop("container", "Inbox"),
        kept=timedelta(days=30),
    )
    store(scope, [message])
    store(scope, [message])  # once more: it is there already


def titles(client: httpx.Client, headers: dict[str, str] | None = None, **names: str) -> list[str]:
    answer = client.post(GET, params=names, headers=headers, content=b"null")
    assert answer.status_code == 200, answer.text
    return [message["title"] for messages in answer.json()["containers"].values() for message in messages]


def test_the_messages_of_a_visitor_become_those_of_the_customer(scope: Scope, client: httpx.Client) -> None:
    put(scope, "", "to a visitor", "Vis-1")
    put(scope, "V1", "to a customer")
    assert titles(client, visitorId="Vis-1") == ["to a visitor"]
    assert titles(client, customerId="Vis-1") == ["to a visitor"]  # as Android names it
    assert titles(client, customerId="v1") == ["to a customer"]
    with scope.records() as session:
        keep_owners(session.connection(), [(scope.tenant_id, "Vis-1", scope.clock.now(), "V1")])
    assert sorted(titles(client, customerId="v1")) == ["to a customer", "to a visitor"]
    assert sorted(titles(client, CustomerId="V1", VisitorId="Vis-1")) == ["to a customer", "to a visitor"]
    assert titles(client, visitorId="Vis-1") == []
    assert titles(client, customerId="V2", visitorId="Vis-1") == []
    persons.erase(scope, "V1")
    assert titles(client, customerId="v1", visitorId="Vis-1") == []


def test_a_tenant_can_admit_pages_of_its_own_sites_only(scope: Scope, client: httpx.Client, api: httpx.Client) -> None:
    put(scope, "S1", "for own pages")

    def asked(origin: str) -> int:
        return client.post(GET, params={"customerId": "S1"}, headers={"Origin": origin} if origin else {}).status_code

    def change(sites: Any) -> httpx.Response:
        return api.patch("/manage/v1/tenants/current", json={"settings": {"events": {"sites": sites}}})

    own = ("https://shop.example.com", "http://eu.example.org:8080", "http://localhost:3000", "")
    others = ("https://example.com", "https://shop.example.com.evil.example", "https://example.org", "null", "http://[")
    assert [asked(origin) for origin in (*own, *others)] == [200] * 9
    assert change(["shop.example.com", "*.example.org"]).status_code == 200
    eventually(lambda: [asked(origin) for origin in (*own, *others)] == [200] * 4 + [403] * 5)
    answer = client.get(COUNT, params={"customerId": "S1"}, headers={"Origin": "https://evil.example"})
    assert "events.sites" in answer.text and answer.headers["access-control-allow-origin"] == "*"
    assert change(["https://shop.example.com"]).status_code == change("shop").status_code == 400
    change(None)
    eventually(lambda: asked(others[0]) == 200)


def test_a_plus_that_was_left_as_it_is_means_a_plus(scope: Scope, client: httpx.Client) -> None:
    put(scope, "a+b@example.com", "plus")
    assert titles(client, customerId="a b@example.com") == ["plus"]
    put(scope, "a b@example.com", "blank")
    assert titles(client, customerId="a b@example.com") == ["blank"]


def test_containers_have_limits_of_their_own(scope: Scope, client: httpx.Client) -> None:
    for number in range(3):
        put(scope, "C1", f"a{number}", container="a")
        put(scope, "C1", f"b{number}", container="b")
    asked = [{"containerId": "a", "limit": 2}, {"ContainerID": "none"}]
    containers = client.post(GET, params={"customerId": "C1"}, json=asked).json()["containers"]
    assert {name: [each["title"] for each in listed] for name, listed in containers.items()} == {
        "a": ["a2", "a1"],
        "none": [],
    }
    assert client.get(COUNT, params={"customerId": "C1"}).json() == {"unread_count": 6}


@pytest.mark.parametrize(
    ("query", "body", "sentence"),
    [
        ({"tenantId": "999999"}, b"", "tenantId is not the number of a tenant."),
        ({"tenantId": ""}, b"", "tenantId is not the number of a tenant."),
        ({"brandId": "x"}, b"", "brandId is not the id of a brand group of the tenant."),
        ({"customerId": " "}, b"", "customerId or visitorId is required."),
        ({"visitorId": "v" * 300}, b"", "visitorId must have at most 255 characters, and no null character."),
        ({}, b"{}", "The body must be a JSON array."),
        ({}, b'[{"limit": 1}]', "[0].containerId is required."),
    ],
)
def test_a_bad_call_is_told_what_is_wrong(
    client: httpx.Client, query: dict[str, str], body: bytes, sentence: str
) -> None:
    params = {**dict(client.params), "customerId": "C1", **query}
    answer = httpx.post(f"{client.base_url}{GET}", params=params, content=body)
    assert (answer.status_code, answer.json()) == (400, sentence)


def test_bad_events_change_nothing(client: httpx.Client) -> None:
    event = {"timestamp": "now", "uuid": "1", "customerId": "C1", "context": {"messageId": "x"}}
    answer = client.post(REPORT, json=[event])
    assert (answer.status_code, answer.json()) == (400, "[0].eventType is required.")
    answer = client.post(REPORT, json=[{**event, "eventType": "embedded-message.read"}])
    assert answer.status_code == 204
    other = client.post(REPORT, json=[{**event, "eventType": "embedded-message.eaten"}])
    assert other.status_code == 400


def test_pages_of_other_sites_may_call(client: httpx.Client) -> None:
    asked = client.options(GET, headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 204 and "X-User-JWT" in asked.headers["access-control-allow-headers"]
    assert client.post(GET, params={"customerId": "C1"}).headers["access-control-allow-origin"] == "*"


def test_each_customer_has_a_limit(scope: Scope, brand: str) -> None:
    app = create_app(scope.stores)
    app.state.limiter = RateLimiter(3, 10)
    query = {"tenantId": scope.tenant_id, "brandId": brand}
    with serving(app) as url:
        answers = [httpx.get(f"{url}{COUNT}", params={**query, "customerId": "L1"}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].json()["status"] == 429
        assert httpx.get(f"{url}{COUNT}", params={**query, "customerId": "L2"}).status_code == 200


def test_a_token_is_held_to_the_customer(scope: Scope, base_url: str, client: httpx.Client) -> None:
    put(scope, "J1", "mine")
    user_jwts.set_key(scope, "HS256", SECRET, None, 0)
    time.sleep(1.1)  # tenants are read once a second

    def headers(customer: str) -> dict[str, str]:
        return {"X-User-JWT": jwt.encode({"sub": customer, "exp": time.time() + 60}, SECRET, "HS256")}

    assert titles(client, headers("j1"), customerId="J1") == ["mine"]
    assert client.post(GET, params={"customerId": "J1"}, headers=headers("J2")).status_code == 401
    able = {"X-Optimove-Auth-Capable": "1"}
    assert client.post(GET, params={"customerId": "J1"}, headers=able).status_code == 401
    assert client.post(GET, params={"customerId": "J1"}).status_code == 200  # an SDK of before
    assert client.post(GET, params={"visitorId": "anybody"}, headers=able).status_code == 200
    message = client.get("/api/v1/messages", params={"customerId": "J1"}).json()[0]
    deleting = f"/api/v1/messages/{message['id']}"
    assert client.delete(deleting, headers=headers("J2")).status_code == 401
    assert client.delete(deleting, headers=headers("J1")).status_code == 204


def drawn(kind: str, width: int, height: int, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(out, kind, **options)
    return out.getvalue()


def test_pictures_are_shown_in_any_size(api: httpx.Client, base_url: str) -> None:
    exif = Image.Exif()
    exif[270] = "taken at home"
    photo = drawn("JPEG", 2500, 1000, exif=exif)
    made = api.post("/manage/v1/pictures", params={"label": "Sale"}, content=photo).json()
    assert (made["width"], made["height"], made["label"]) == (2000, 800, "Sale")
    for size, shown in {"364x180": (364, 180), "640x": (640, 256), "50x250": (50, 250), "2000x": (2000, 800)}.items():
        answer = httpx.get(f"{base_url}/{size}{made['path']}")
        assert answer.headers["content-type"] == "image/jpeg" and "immutable" in answer.headers["cache-control"]
        assert Image.open(io.BytesIO(answer.content)).size == shown
        assert b"taken at home" not in answer.content
    tag = {"If-None-Match": answer.headers["etag"]}
    assert httpx.get(f"{base_url}/2000x{made['path']}", headers=tag).status_code == 304
    assert httpx.get(f"{base_url}/9999x{made['path']}").status_code == 400
    assert httpx.get(f"{base_url}/10x10/1/{made['name']}").status_code == 404
    assert [each["name"] for each in api.get("/manage/v1/pictures").json()] == [made["name"]]
    assert api.delete(f"/manage/v1/pictures/{made['name']}").status_code == 204
    assert httpx.get(f"{base_url}/11x11{made['path']}").status_code == 404


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<html><script>1</script>",
        drawn("PNG", 20, 20)[:60],
        drawn("BMP", 20, 20),
        drawn("PNG", 10_000, 2_501),
    ],
    ids=["empty", "svg", "html", "cut off", "bmp", "bomb"],
)
def test_what_is_no_picture_is_refused(api: httpx.Client, content: bytes) -> None:
    answer = api.post("/manage/v1/pictures", content=content, headers={"Content-Type": "image/png"})
    assert answer.status_code == 400 and "picture" in answer.json()["detail"]
    assert api.get("/manage/v1/pictures").json() == []


@pytest.mark.usefixtures("brand")
def test_channels_and_templates_say_what_an_inbox_needs(scope: Scope, api: httpx.Client) -> None:
    with pytest.raises(Invalid, match="address_attribute of a channel of the kind inbox must be CUSTOMER_ID"):
        channels.create_channel(scope, "By mail", "inbox", address_attribute="EMAIL")
    path = f"/manage/v1/channels/{CHANNEL}/templates"
    nameless = api.post(path, json={"name": "T", "text": "x"})
    assert nameless.status_code == 400 and "needs a subject" in nameless.json()["detail"]
    ends = {"expires_at": "2026-05-01T00:00:00Z", "expires_after_hours": 3}
    twice = api.post(path, json={"name": "T", "subject": "x", "details": ends})
    assert twice.status_code == 400 and "expires_at must be left out" in twice.json()["detail"]
    key = keys.create_key(scope, "reads", "reads@example.com", "Integrations")[1]
    assert httpx.get(f"{api.base_url}/manage/v1/pictures", headers={"X-API-KEY": key}).status_code == 403
