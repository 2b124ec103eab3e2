"""Brands: which there are, whose settings apply, their addresses on the wire, and that every e-mail channel has one."""

import importlib
from collections.abc import Iterator

import httpx
import pytest
from mail_server import serving
from sqlalchemy import select, text, type_coerce
from sqlalchemy.dialects.postgresql import JSONB

from rapport.access import keys
from rapport.access import service as access
from rapport.access.scope import Scope
from rapport.channels import opening, service
from rapport.channels.brands import addresses, brands
from rapport.channels.brands.models import AddressRole, Brand, BrandKind
from rapport.channels.brands.settings import joined
from rapport.channels.messages import Message, Sender
from rapport.channels.settings import EmailSettings
from rapport.delivery.transports import transports
from rapport.stores import Stores
from rapport.stores.records import Records
from rapport.stores.records.sealing import Keys

HOME = "/manage/v1/brands"
OUTSIDE = {"host": "smtp.example.com", "from_address": "hello@shop.example", "reply_to": "care@shop.example"}


@pytest.fixture
def fresh(stores: Stores, request: pytest.FixtureRequest) -> Scope:
    return access.create_tenant(stores, f"brands-{request.node.name}")


@pytest.fixture
def client(base_url: str, fresh: Scope) -> Iterator[httpx.Client]:
    _, secret = keys.create_key(fresh, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as opened:
        yield opened


def test_brands_are_made_changed_and_deleted(client: httpx.Client) -> None:
    plain = client.post(HOME, json={"name": " Outlet "}).json()
    assert (plain["id"], plain["name"], plain["kind"], plain["settings"]) == (1, "Outlet", "marketing", {})
    settings = {**OUTSIDE, "username": "mailer", "password": "s3cret", "bounce_domain": "Bounces.Shop.example."}
    body = {"name": "Receipts", "kind": "transactional", "id": 77, "settings": settings}
    made = client.post(HOME, json=body)
    assert made.status_code == 201, made.text
    shown = {**settings, "password": "********", "bounce_domain": "bounces.shop.example"}
    assert (made.json()["id"], made.json()["settings"]) == (77, shown)
    assert [brand["id"] for brand in client.get(HOME).json()] == [1, 77]
    listed = client.get(HOME, params={"limit": 1, "offset": 1})
    assert ([brand["id"] for brand in listed.json()], listed.headers["X-Total-Count"]) == ([77], "2")
    changed = client.patch(f"{HOME}/77", json={"name": "Mail", "settings": {**shown, "connections": 2}})
    assert (changed.json()["name"], changed.json()["kind"]) == ("Mail", "transactional")
    assert changed.json()["settings"] == {**shown, "connections": 2}
    assert client.get(f"{HOME}/77").json() == changed.json()
    assert client.delete(f"{HOME}/77").status_code == 204
    assert client.get(f"{HOME}/77").status_code == 404
    assert client.get(f"{HOME}/77/addresses").status_code == 404


def test_what_is_refused(client: httpx.Client) -> None:
    client.post(HOME, json={"name": "Outlet", "id": 9})
    client.post("/manage/v1/channels", json={"name": "Email", "kind": "email"})
    for body, status, words in [
        ({"name": "Outlet"}, 409, "There is a brand named 'Outlet' already."),
        ({"name": "Other", "id": 9}, 409, "There is a brand with id 9 already."),
        ({"name": " "}, 400, "name must not be empty."),
        ({"name": "Other", "kind": "internal"}, 400, "kind: must be 'marketing' or 'transactional'."),
        (
            {"name": "Other", "settings": {"bounce_domain": "a b"}},
            400,
            "settings.bounce_domain: must be a domain such as bounces.shop.example.",
        ),
        (
            {"name": "Other", "settings": {"from_address": "a@other.example"}},
            400,
            "settings.from_address must not be of other.example: without a mail server of its own, a brand sends from"
            " domains that the operator allows the tenant.",
        ),
    ]:
        answer = client.post(HOME, json=body)
        assert (answer.status_code, answer.json()["detail"]) == (status, words)
    assert client.patch(f"{HOME}/9", json={"name": "Email"}).status_code == 409
    refused = client.delete(f"{HOME}/504")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "Brand 504 is that of channel 504: set another brand_id there first.",
    )
    unknown = client.patch("/manage/v1/channels/504", json={"settings": {"brand_id": 8}})
    assert (unknown.status_code, unknown.json()["detail"]) == (
        400,
        "settings.brand_id must be the id of a brand: there is no brand 8.",
    )


def test_every_email_channel_has_a_brand(client: httpx.Client, fresh: Scope) -> None:
    own = client.post("/manage/v1/channels", json={"name": "Email", "kind": "email", "settings": OUTSIDE}).json()
    assert own["settings"] == {**OUTSIDE, "brand_id": 504}
    brand = client.get(f"{HOME}/504").json()
    assert (brand["name"], brand["kind"], brand["settings"]) == ("Email", "marketing", {})
    kept = client.patch("/manage/v1/channels/504", json={"settings": {"from_name": "Shop"}}).json()
    assert kept["settings"] == {"from_name": "Shop", "brand_id": 504}
    client.post(HOME, json={"name": "News", "id": 600})
    client.post("/manage/v1/channels", json={"name": "News", "kind": "email", "id": 600})
    named = client.get("/manage/v1/channels/600").json()["settings"]["brand_id"]
    assert (named, client.get(f"{HOME}/{named}").json()["name"]) == (1, "News 1"), "id and name were taken"
    moved = client.patch("/manage/v1/channels/600", json={"settings": {"brand_id": 504}})
    assert moved.json()["settings"] == {"brand_id": 504}
    assert client.delete(f"{HOME}/{named}").status_code == 204
    external = client.post("/manage/v1/channels", json={"name": "SMS", "kind": "external"}).json()
    assert external["settings"] == {}
    assert {brand.id for brand in brands.brands(fresh)} == {504, 600}


def test_channels_of_before_get_brands(fresh: Scope, stores: Stores) -> None:
    """The step of the schema, on channels as releases without brands left them."""
    step = importlib.import_module("rapport.stores.records_migrations.versions.0045_brands")
    for name, settings in [("A", OUTSIDE), ("B", {}), ("C", {"host": "smtp.example.com"})]:
        service.create_channel(fresh, name, "email", settings=settings)
    service.create_channel(fresh, "D", "external")
    mine = {"tenant": fresh.tenant_id}
    with stores.records.session() as session:
        session.execute(text("UPDATE channels SET settings = settings - 'brand_id' WHERE tenant_id = :tenant"), mine)
        for table in ("brands", "brand_addresses"):
            session.execute(text(f"DELETE FROM {table} WHERE tenant_id = :tenant"), mine)
        session.execute(text("DELETE FROM sequences WHERE tenant_id = :tenant AND name LIKE '%brand%'"), mine)
        session.add(Brand(tenant_id=fresh.tenant_id, id=504, name="B", created_at=fresh.clock.now()))
        session.flush()
        for statement in (step.OF_CHANNELS, step.NAMED_BY_CHANNELS, step.ADDRESSES, step.SEQUENCES):
            session.execute(text(statement))
    made = {brand.id: (brand.name, brand.kind) for brand in brands.brands(fresh)}
    first, second, third, other = service.channels(fresh)
    of_channels = [channel.settings.get("brand_id") for channel in (first, second, third, other)]
    assert of_channels == [1_000_000_504, second.id, third.id, None]
    marketing = BrandKind.MARKETING
    assert made == {
        504: ("B", marketing),
        1_000_000_504: ("A", marketing),
        second.id: (f"B {second.id}", marketing),
        third.id: ("C", marketing),
    }
    with stores.records.session() as session:
        rows = session.execute(text("SELECT role, id, address FROM brand_addresses WHERE tenant_id = :tenant"), mine)
        assert sorted(map(tuple, rows)) == [("from", 1, "hello@shop.example"), ("reply_to", 1, "care@shop.example")]
    brands.update_brand(fresh, 1_000_000_504, settings={**OUTSIDE, "from_address": "b@shop.example"})
    assert [address.id for address in addresses.addresses(fresh, 1_000_000_504, AddressRole.FROM)] == [1, 2]


def test_addresses_have_ids_on_the_wire(client: httpx.Client, fresh: Scope) -> None:
    client.post(HOME, json={"name": "Shop", "id": 7, "settings": OUTSIDE})
    path = f"{HOME}/7/addresses"
    second = client.post(path, json={"role": "from", "address": "news@shop.example"})
    assert (second.status_code, second.json()["id"], second.json()["role"]) == (201, 2, "from")
    again = client.post(path, json={"role": "from", "address": "NEWS@shop.example"})
    assert (again.status_code, again.json()["detail"]) == (
        409,
        "Brand 7 has the from address NEWS@shop.example already.",
    )
    assert client.post(path, json={"role": "reply_to", "address": "no address"}).status_code == 400
    assert client.delete(f"{path}/from/2").status_code == 204
    assert client.delete(f"{path}/from/2").status_code == 404
    assert client.post(path, json={"role": "from", "address": "sales@shop.example"}).json()["id"] == 3
    used = client.delete(f"{path}/from/1")
    assert (used.status_code, used.json()["detail"]) == (
        409,
        "hello@shop.example is the from_address of 'Shop': change its settings first.",
    )
    listed = client.get(path, params={"role": "from"}).json()
    assert [(address["id"], address["address"]) for address in listed] == [
        (1, "hello@shop.example"),
        (3, "sales@shop.example"),
    ]
    expected = {
        "FromEmailAddresses": [{"Id": 1, "Email": "hello@shop.example"}, {"Id": 3, "Email": "sales@shop.example"}],
        "ReplyToAddresses": [{"Id": 1, "Email": "care@shop.example"}],
    }
    for spelled in ("/current/optimail/GetEmailParameters", "/Optimail/getemailparameters"):
        for name in ("BrandID", "brandId"):
            answer = client.get(spelled, params={name: 7})
            assert answer.json() == expected and '{"Id":1,"Email":"hello@shop.example"}' in answer.text
    for query, status in [({}, 400), ({"BrandID": "x"}, 400), ({"BrandID": ""}, 400), ({"BrandID": 8}, 404)]:
        assert client.get("/Optimail/GetEmailParameters", params=query).status_code == status
    client.post(HOME, json={"name": "Empty", "id": 8})
    told = client.get("/Optimail/GetEmailParameters", params={"BrandID": 8}).json()
    assert told == {"FromEmailAddresses": [], "ReplyToAddresses": []}


def test_addresses_of_others_are_not_registered_for_the_servers_own_mail_server(
    client: httpx.Client, fresh: Scope
) -> None:
    client.post(HOME, json={"name": "Shop", "id": 7})
    body = {"role": "from", "address": "a@other.example"}
    assert client.post(f"{HOME}/7/addresses", json=body).status_code == 400
    assert client.post(f"{HOME}/7/addresses", json={**body, "role": "reply_to"}).status_code == 201
    settings = {"brand_id": 7, "host": "smtp.example.com"}
    client.post("/manage/v1/channels", json={"name": "Email", "kind": "email", "settings": settings})
    assert client.post(f"{HOME}/7/addresses", json=body).status_code == 201, "the channel's server decides itself"


@pytest.mark.parametrize(
    ("channel", "brand", "expected"),
    [
        ({}, {"host": "b", "port": 26, "username": "u"}, {"host": "b", "port": 26, "username": "u"}),
        ({"host": "c"}, {"host": "b", "port": 26, "username": "u"}, {"host": "c", "port": 25, "username": ""}),
        ({"port": 27, "username": "x"}, {"host": "b"}, {"host": "b", "port": 25, "username": ""}),
        ({"from_name": "", "connections": 2}, {"from_name": "N"}, {"from_name": "N", "connections": 2}),
        ({"connections": 2}, {"connections": 3, "timeout_seconds": 9}, {"connections": 2, "timeout_seconds": 9}),
        ({"reply_to": "c@x.example"}, {"reply_to": "b@x.example"}, {"reply_to": "c@x.example"}),
    ],
)
def test_a_channel_takes_from_its_brand_what_it_does_not_set(
    channel: dict[str, object], brand: dict[str, object], expected: dict[str, object]
) -> None:
    whole = joined(EmailSettings.model_validate(channel), brand)
    assert {name: getattr(whole, name) for name in expected} == expected


def test_mail_leaves_by_the_settings_of_the_brand_as_they_are_now(fresh: Scope) -> None:
    with serving() as server:
        settings = {"host": "127.0.0.1", "port": server.port, "from_address": "a@shop.example", "from_name": "A"}
        brands.create_brand(fresh, "Shop", id=7, settings={**settings, "bounce_domain": "bounces.shop.example"})
        channel = service.create_channel(fresh, "Email", "email", settings={"brand_id": 7})
        open_transports = transports(fresh.stores)

        def send(message_id: str, **more: object) -> None:
            message = Message(message_id, "Q", "q@mail.example", "s", "t", **more)  # type: ignore[arg-type]
            with open_transports.of(fresh, channel) as transport:
                (receipt,) = transport.send([message])
            assert receipt.outcome == "sent", receipt

        send("m1")
        send("m2", return_token="abc123", sender=Sender("b@shop.example", "B", "c@shop.example"))
        brands.update_brand(fresh, 7, settings={**settings, "from_name": "New"})
        send("m3")
        open_transports.tidy(idle=0)
    assert [str(mail["From"]) for mail in server.arrived] == [
        "A <a@shop.example>",
        "B <b@shop.example>",
        "New <a@shop.example>",
    ]
    assert server.arrived[1]["Reply-To"] == "c@shop.example"
    assert server.return_paths == [
        "bounce+m1@bounces.shop.example",
        "bounce+abc123@bounces.shop.example",
        "a@shop.example",
    ]


def test_a_message_is_not_sent_in_the_name_of_others_over_the_servers_own_mail_server(fresh: Scope) -> None:
    access.allow_sender_domain(fresh, "shop.example")
    channel = service.create_channel(fresh, "Email", "email")
    with opening.trying(fresh, channel) as transport:
        senders = ["a@other.example", "a@sub.shop.example"]
        letters = [Message(sender, "Q", "q@mail.example", "s", "t", sender=Sender(sender)) for sender in senders]
        receipts = list(transport.send(letters))
    assert {(receipt.reason, receipt.permanent) for receipt in receipts} == {
        ("sender is not one that the tenant may send from", True)
    }


def test_the_password_of_a_brand_is_sealed(fresh: Scope) -> None:
    brands.create_brand(fresh, "Shop", id=7, settings={**OUTSIDE, "password": "open sesame"})
    sealed = Records(fresh.stores.records.url, keys=Keys("the key of the secrets of this test, long enough"))
    try:
        with sealed.session() as session:
            stored = session.get_one(Brand, (fresh.tenant_id, 7))
            assert stored.settings["password"] == "open sesame"
            stored.settings = {**stored.settings, "connections": 2}
            session.flush()
            raw = session.scalar(
                select(type_coerce(Brand.settings, JSONB)).where(Brand.tenant_id == fresh.tenant_id, Brand.id == 7)
            )
            assert raw["password"].startswith("sealed:")
            session.rollback()
    finally:
        sealed.close()
