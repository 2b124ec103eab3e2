"""Signatures, as an independent verifier judges what a real mail server received."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import dkim
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_server import MailServer, serving

from rapport.access import keys
from rapport.access import service as access
from rapport.access.scope import Scope
from rapport.channels import mime, opening, service
from rapport.channels.brands import brands, dkim_keys
from rapport.channels.brands.models import Algorithm, DkimKey, KeyState
from rapport.channels.brands.signing import Signer, SigningKey, digest_of_body
from rapport.channels.kinds.email import unsubscribe_headers
from rapport.channels.messages import Message, Sender
from rapport.channels.models import Channel
from rapport.channels.settings import EmailSettings
from rapport.delivery.transports import transports
from rapport.stores import Stores
from rapport.stores.records import Records
from rapport.stores.records.sealing import Keys

URL = "https://rapport.example/unsubscribe/3001.v1." + "x" * 300
BOTH = [Algorithm.RSA, Algorithm.ED25519]
NOW = datetime(2024, 3, 9, tzinfo=UTC)  # verifiers take no signature of the future


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    with serving() as started:
        yield started


@pytest.fixture
def fresh(stores: Stores, request: pytest.FixtureRequest) -> Scope:
    return access.create_tenant(stores, f"dkim-{request.node.name}")


@pytest.fixture(scope="module")
def shop(stores: Stores) -> Scope:
    """A tenant whose brand 7 signs with both algorithms."""
    scope = access.create_tenant(stores, "dkim-shop")
    brands.create_brand(scope, "Shop", id=7)
    dkim_keys.add_keys(scope, 7, BOTH)
    return scope


def channel_of(scope: Scope, server: MailServer, name: str, brand_id: int = 7) -> Channel:
    way = {"host": "127.0.0.1", "port": server.port, "from_address": "club@shop.example", "brand_id": brand_id}
    return service.create_channel(scope, name, "email", settings=way)


def received(scope: Scope, server: MailServer, channel: Channel, message: Message) -> bytes:
    """What arrives of a message, as the server took it."""
    with opening.trying(scope, channel) as transport:
        (receipt,) = transport.send([message])
    assert receipt.outcome == "sent", receipt
    return server.raw[-1]


def published(scope: Scope, domain: str = "shop.example", brand_id: int = 7) -> Callable[..., bytes | None]:
    """The name servers, for the verifier: the records of a brand's keys under a domain."""
    zone = {
        f"{key.selector}._domainkey.{domain}.".encode(): dkim_keys.record_of(key).encode()
        for key in dkim_keys.dkim_keys(scope, brand_id)
    }
    return lambda name, timeout=5: zone.get(name)


def verdicts(raw: bytes, zone: Callable[..., bytes | None]) -> dict[str, bool]:
    """Whether each signature holds, by algorithm."""
    count = raw.lower().partition(b"\r\n\r\n")[0].count(b"\r\ndkim-signature:") + raw.lower().startswith(b"dkim-sig")
    found = {}
    for index in range(count):
        verifier = dkim.DKIM(raw)
        try:
            holds = verifier.verify(index, dnsfunc=zone)
        except dkim.DKIMException:
            holds = False
        found[verifier.signature_fields[b"a"].decode()] = holds
    return found


def letter(message_id: str, **more: object) -> Message:
    headers = {**unsubscribe_headers(URL), "Feedback-ID": "7:shop"}
    content = "Hällo\n\n\n", "<p>Grüße 🎉</p>\n" * 50 + ".\n..\n trailing \t\n"
    return Message(message_id, "Q", "q@mail.example", "Grüße", *content, headers, **more)  # type: ignore[arg-type]


def test_every_message_is_signed_by_both_algorithms(shop: Scope, server: MailServer) -> None:
    channel = channel_of(shop, server, "Both")
    raw = received(shop, server, channel, letter("m1"))
    assert verdicts(raw, published(shop)) == {"rsa-sha256": True, "ed25519-sha256": True}
    plain = received(shop, server, channel, Message("m2", "Q", "zoë@mail.example", "Hi", "."))
    assert set(verdicts(plain, published(shop)).values()) == {True}
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    head = raw.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
    for covered in re.findall(rb"DKIM-Signature: .*? h=([^;]*);", head):
        names = re.sub(rb"\s", b"", covered).split(b":")
        for name in (b"from", b"subject", b"list-unsubscribe", b"list-unsubscribe-post", b"to", b"date"):
            assert names.count(name) == 2, "once for the header, once for none beside it"
        assert names.count(b"feedback-id") == 1 and names.count(b"reply-to") == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"List-Unsubscribe: <https://rapport", b"List-Unsubscribe: <https://elsewhere"),
        (b"List-Unsubscribe-Post: List", b"List-Unsubscribe-Post: No-List"),
        (b"\r\nFrom: ", b"\r\nFrom: evil@other.example\r\nFrom: "),
        (b"\r\nSubject: ", b"\r\nSubject: Win\r\nSubject: "),
        (b"\r\nMIME-Version: ", b"\r\nReply-To: evil@other.example\r\nMIME-Version: "),
        (b"\r\nList-Unsubscribe: ", b"\r\nList-Unsubscribe: <https://e.example>\r\nList-Unsubscribe: "),
        (b"\r\nFeedback-ID: 7", b"\r\nFeedback-ID: 8"),
        (b"Gr=C3=BC=C3=9Fe", b"Gr=C3=BC=C3=9Fe!"),
        (b"--=_rapport_part--", b"--=_rapport_part--\r\nmore"),
    ],
)
def test_a_change_breaks_both_signatures(shop: Scope, server: MailServer, before: bytes, after: bytes) -> None:
    if not [raw for raw in server.raw if b"<changed@" in raw]:
        received(shop, server, channel_of(shop, server, "Changed"), letter("changed"))
    (raw,) = (raw for raw in server.raw if b"<changed@" in raw)
    assert raw.count(before)
    changed = raw.replace(before, after, 1)
    assert verdicts(changed, published(shop)) == {"rsa-sha256": False, "ed25519-sha256": False}


def test_what_servers_do_on_the_way_breaks_nothing(shop: Scope, server: MailServer) -> None:
    raw = received(shop, server, channel_of(shop, server, "On the way"), letter("way"))
    traced = b"Return-Path: <x@y.example>\r\nReceived: from a by b; now\r\n" + raw
    refolded = traced.replace(b"Subject: ", b"subject:\t  ").replace(b"\r\nTo: ", b"\r\nTO:") + b"\r\n\r\n"
    for changed in (traced, refolded):
        assert set(verdicts(changed, published(shop)).values()) == {True}


def test_a_message_is_signed_in_the_name_of_its_senders_domain(shop: Scope, server: MailServer) -> None:
    channel = channel_of(shop, server, "Other domain")
    raw = received(shop, server, channel, letter("m3", sender=Sender("a@News.Shop.example")))
    assert raw.count(b" d=news.shop.example;") == 2
    assert set(verdicts(raw, published(shop, "news.shop.example")).values()) == {True}
    assert set(verdicts(raw, published(shop)).values()) == {False}


def test_a_brand_without_keys_signs_nothing(fresh: Scope, server: MailServer) -> None:
    brands.create_brand(fresh, "Plain", id=7)
    assert b"dkim" not in received(fresh, server, channel_of(fresh, server, "Email"), letter("m4")).lower()


def test_keys_are_replaced_by_turns(fresh: Scope, base_url: str, server: MailServer) -> None:
    brands.create_brand(fresh, "Shop", id=7)
    _, secret = keys.create_key(fresh, "tests", "tests@example.com", "Admin")
    channel = channel_of(fresh, server, "Email")
    home = "/manage/v1/brands/7/dkim-keys"

    def sent_with(message_id: str) -> list[str]:
        """The selectors of a message that leaves over the transport that is kept open."""
        with transports(fresh.stores).of(fresh, channel) as transport:
            list(transport.send([letter(message_id)]))
        assert set(verdicts(server.raw[-1], published(fresh)).values()) <= {True}
        return sorted(re.findall(r"; s=([^;]+);", server.raw[-1].decode()))

    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as client:
        assert sent_with("k0") == []
        made = client.post(home).json()
        assert [(key["algorithm"], key["state"]) for key in made] == [("rsa", "active"), ("ed25519", "active")]
        rsa, ed25519 = (key["selector"] for key in made)
        assert sent_with("k1") == sorted([rsa, ed25519]), "an open transport notices"
        (pending,) = client.post(home, json={"algorithms": ["rsa"]}).json()
        assert pending["state"] == "pending" and pending["record"].startswith("v=DKIM1; k=rsa; p=")
        assert sent_with("k2") == sorted([rsa, ed25519])
        assert client.delete(f"{home}/{rsa}").status_code == 409
        activated = client.post(f"{home}/{pending['selector']}/activate").json()
        assert activated["state"] == "active"
        assert sent_with("k3") == sorted([pending["selector"], ed25519])
        states = {key["selector"]: key["state"] for key in client.get(home).json()}
        assert states == {rsa: "retired", ed25519: "active", pending["selector"]: "active"}
        assert client.post(f"{home}/{ed25519}/retire").json()["state"] == "retired"
        assert sent_with("k4") == [pending["selector"]]
        assert client.delete(f"{home}/{rsa}").status_code == 204
        assert client.delete(f"{home}/{rsa}").status_code == 404
        assert client.post("/manage/v1/brands/8/dkim-keys").status_code == 404
        shown = client.get(home).text + client.get("/manage/v1/audit-entries").text
    assert "PRIVATE" not in shown and "private" not in shown
    transports(fresh.stores).tidy(idle=0)


def test_private_keys_are_sealed(fresh: Scope) -> None:
    brands.create_brand(fresh, "Shop", id=7)
    sealing = Keys("the key of the secrets of this test, long enough")
    (key,) = dkim_keys.add_keys(fresh, 7, [Algorithm.ED25519])
    stored = sealing.seal(key.private_key, "dkim_keys.private_key")
    assert stored.startswith("sealed:") and sealing.open(stored, "dkim_keys.private_key") == key.private_key
    sealed = Records(fresh.stores.records.url, keys=sealing)
    try:
        with sealed.session() as session:
            row = session.get_one(DkimKey, (fresh.tenant_id, 7, key.selector))
            row.private_key = key.private_key + "\n"
            session.flush()
            raw = session.connection().exec_driver_sql("SELECT private_key FROM dkim_keys WHERE brand_id = 7").scalars()
            assert any(text.startswith("sealed:") for text in raw)
            session.rollback()
    finally:
        sealed.close()


@pytest.fixture(scope="module")
def signer(shop: Scope) -> Signer:
    return Signer(dkim_keys.signing_keys(shop, 7))


PIECES = ["a", " ", "  ", "\t", "é", "🎉", "\r", "\n", ":", ";", "=", '"', "<", "=?utf-8?q?x?=", "b" * 80]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@pytest.fixture(scope="module")
def zone(shop: Scope) -> Callable[..., bytes | None]:
    return published(shop)


@settings(max_examples=50)
@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_whatever_a_message_says_its_signatures_hold(
    zone: Callable[..., bytes | None], signer: Signer, subject: str, name: str, text: str, header: str
) -> None:
    sender = EmailSettings.model_construct(from_address="club@shop.example", from_name=name, reply_to="")
    message = Message("m1", "Q1", "q1@mail.example", subject, text, headers={"X-Note": header})
    raw = mime.compose(
        message,
        sender,
        NOW,
        lambda headers, body: signer.signatures(headers, digest_of_body(body), "shop.example", NOW),
    )
    assert verdicts(raw, zone) == {"rsa-sha256": True, "ed25519-sha256": True}


def test_one_digest_serves_all_messages_of_one_body(shop: Scope, signer: Signer) -> None:
    """Whoever sends one body to many takes its digest once."""
    body = b"One body\r\nfor all\r\n"
    digest = digest_of_body(body)
    for number in range(2):
        headers = [("From", "club@shop.example"), ("To", f"q{number}@mail.example"), ("Subject", "s")]
        signed = [*signer.signatures(headers, digest, "shop.example", NOW), *headers]
        raw = "".join(f"{name}: {value}\r\n" for name, value in signed).encode() + b"\r\n" + body
        assert set(verdicts(raw, published(shop)).values()) == {True}
    assert [key.algorithm for key in signer.keys] == ["ed25519-sha256", "rsa-sha256"]
    assert all(isinstance(key, SigningKey) for key in signer.keys)
    assert {key.state for key in dkim_keys.dkim_keys(shop, 7)} == {KeyState.ACTIVE}
