"""Channels: ids, defaults, secrets, and trying one out."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from mail_server import MailServer, serving

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.channels import opening, service
from rapport.channels import opening as channel_opening
from rapport.channels.messages import Message, Receipt
from rapport.errors import Conflict, Invalid, NotFound
from rapport.stores import Stores


@pytest.fixture
def fresh(stores: Stores, request: pytest.FixtureRequest) -> Scope:
    return create_tenant(stores, f"channels-{request.node.name}")


@pytest.fixture
def client(base_url: str, fresh: Scope) -> Iterator[httpx.Client]:
    _, secret = keys.create_key(fresh, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[MailServer]:
    with serving() as started:
        yield started


def test_ids_are_those_that_integrators_know(fresh: Scope) -> None:
    made = [
        service.create_channel(fresh, name, kind, id=id)
        for name, kind, id in [
            ("Anything", "email", None),
            ("sms", "external", None),
            ("Board", "external", None),
            ("By hand", "external", 513),
            ("Second mail", "email", None),
            ("Web Push", "external", None),
        ]
    ]
    assert [channel.id for channel in made] == [504, 505, 512, 513, 514, 510]
    assert (made[0].address_attribute, made[0].permission_attribute) == ("EMAIL", "ALLOW_EMAIL")
    assert (made[1].address_attribute, made[1].permission_attribute) == ("CUSTOMER_ID", None)
    assert [channel.id for channel in service.channels(fresh)] == sorted(channel.id for channel in made)


def test_what_is_refused(fresh: Scope, scope: Scope) -> None:
    service.create_channel(fresh, "Email", "email")
    for arguments, fault, words in [
        (("Email", "external"), Conflict, r"^There is a channel named 'Email' already\.$"),
        ((" Email ", "external", 600), Conflict, r"^There is a channel named 'Email' already\.$"),
        (("Other", "external", 504), Conflict, r"^There is a channel with id 504 already\.$"),
        ((" ", "external"), Invalid, "name"),
        (("Pigeon", "pigeon"), Invalid, "kind"),
    ]:
        with pytest.raises(fault, match=words):
            service.create_channel(fresh, *arguments)  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="address_attribute names 'nope'"):
        service.create_channel(fresh, "Third", "external", address_attribute="nope")
    with pytest.raises(Invalid, match=r"settings\.port"):
        service.create_channel(fresh, "Third", "email", settings={"port": 0})
    with pytest.raises(Invalid, match=r"no pasword in settings; there are host"):
        service.create_channel(fresh, "Third", "email", settings={"pasword": "x"})
    with pytest.raises(NotFound):
        service.channel(scope, 504)


def test_a_conflict_says_what_is_taken_and_nothing_else(client: httpx.Client) -> None:
    def told(path: str, **body: object) -> str:
        answer = client.post(path, json=body)
        assert answer.status_code == 409
        return str(answer.json()["detail"])

    home = "/manage/v1/channels"
    for name, id in (("Push", 506), ("Email", 504)):
        kind = "email" if name == "Email" else "external"
        assert client.post(home, json={"name": name, "kind": kind, "id": id}).status_code == 201
    assert told(home, name="Push", kind="external") == "There is a channel named 'Push' already."
    assert told(home, name="Other", kind="external", id=506) == "There is a channel with id 506 already."
    assert client.patch(f"{home}/506", json={"name": "Email"}).json()["detail"] == (
        "There is a channel of this name already."
    )
    template = {"name": "A", "subject": "Hi", "html": "<p>Hello</p>", "id": 7}
    assert client.post(f"{home}/504/templates", json=template).status_code == 201
    assert told(f"{home}/504/templates", **template) == "There is a template 7 on channel 504 already."


def test_a_password_is_never_shown_and_kept_when_given_masked(client: httpx.Client, fresh: Scope) -> None:
    settings = {"host": "smtp.example.com", "username": "mailer", "password": "s3cret"}
    made = client.post("/manage/v1/channels", json={"name": "Email", "kind": "email", "settings": settings})
    assert made.status_code == 201
    path = f"/manage/v1/channels/{made.json()['id']}"
    shown = client.get(path).json()["settings"]
    assert shown == {**settings, "password": "********", "brand_id": 504}
    changed = client.patch(path, json={"settings": {**shown, "connections": 2, "port": 25}, "name": "Letters"})
    assert "s3cret" not in made.text + changed.text + client.get("/manage/v1/channels").text
    assert (changed.json()["settings"]["connections"], changed.json()["settings"]["password"]) == (2, "********")
    stored = service.channel(fresh, 504)
    assert (stored.settings["password"], stored.name) == ("s3cret", "Letters")
    assert "s3cret" not in client.get("/manage/v1/audit-entries").text
    assert client.patch(path, json={"kind": "external"}).status_code == 400
    assert client.get("/manage/v1/channels/505").status_code == 404


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"host": "mail.example.com"},
        {"host": "127.0.0.1"},
        {"port": 2525},
        {"username": "other"},
        {"security": "none"},
        {"security": "tls"},
        {"host": ""},
    ],
)
def test_a_masked_password_is_sent_nowhere_else(
    client: httpx.Client, fresh: Scope, elsewhere: dict[str, object]
) -> None:
    settings = {"host": "smtp.example.com", "username": "mailer", "password": "s3cret", "security": "starttls"}
    service.create_channel(fresh, "Email", "email", settings=settings)
    path, changed = "/manage/v1/channels/504", {**settings, **elsewhere}
    refused = client.patch(path, json={"settings": {**changed, "password": "********"}, "name": "Letters"})
    assert (refused.status_code, refused.json()["detail"]) == (
        400,
        "settings.password must be given again when host, port, username or security changes.",
    )
    stored = service.channel(fresh, 504)
    assert (stored.settings, stored.name) == ({**settings, "brand_id": 504}, "Email")
    for given in ({**changed, "password": "again"}, {name: changed[name] for name in changed if name != "password"}):
        assert client.patch(path, json={"settings": given}).status_code == 200
        assert service.channel(fresh, 504).settings == {**given, "brand_id": 504}


def test_a_mask_is_no_password(client: httpx.Client) -> None:
    body = {"name": "Email", "kind": "email", "settings": {"host": "smtp.example.com", "password": "********"}}
    made = client.post("/manage/v1/channels", json=body)
    assert (made.status_code, made.json()["detail"]) == (
        400,
        "settings.password must not be ********, which stands for the stored value.",
    )
    body["settings"] = {"host": "smtp.example.com"}
    assert client.post("/manage/v1/channels", json=body).status_code == 201
    changed = client.patch("/manage/v1/channels/504", json={"settings": {"password": "********"}})
    assert changed.status_code == 400


def test_the_connection_and_a_message_are_tried(client: httpx.Client, server: MailServer) -> None:
    settings = {"host": "127.0.0.1", "port": server.port, "from_address": "club@shop.example"}
    client.post("/manage/v1/channels", json={"name": "Email", "kind": "email", "settings": settings})
    path = "/manage/v1/channels/504"
    assert client.post(f"{path}/check").json() == {"ok": True, "reason": ""}
    template = {"name": "A", "subject": "Hi [%FIRST_NAME:friend%]", "html": "<p>Hello</p>"}
    template_id = client.post(f"{path}/templates", json=template).json()["id"]
    tried = client.post(f"{path}/test-messages", json={"to": "me@shop.example", "template_id": template_id})
    assert tried.json() == {"outcome": "sent", "reason": "", "permanent": False}
    assert (server.arrived[0]["To"], server.arrived[0]["Subject"]) == ("me@shop.example", "Hi friend")
    refused = client.post(f"{path}/test-messages", json={"to": "550-me@shop.example"})
    assert refused.json() == {"outcome": "failed", "reason": "recipient rejected 550 5.1.1", "permanent": True}


def test_an_unreachable_server_is_told(client: httpx.Client) -> None:
    with serving() as server:
        port = server.port
    settings = {"host": "127.0.0.1", "port": port}
    client.post("/manage/v1/channels", json={"name": "Email", "kind": "email", "settings": settings})
    answer = client.post("/manage/v1/channels/504/check")
    assert answer.json() == {"ok": False, "reason": "The mail server cannot be used: mail server cannot be reached."}


def test_an_external_channel_lists_and_sends_nothing(fresh: Scope, client: httpx.Client) -> None:
    made = service.create_channel(fresh, "SMS", "external")
    transport = channel_opening.transport(fresh, made)
    transport.check()
    message = Message("m1", "Q1", "Q1", "", "")
    assert list(transport.send([message])) == [Receipt("m1", "sent", "listed")]
    transport.close()
    assert client.post("/manage/v1/channels/505/test-messages", json={"to": "Q1 "}).status_code == 400


def test_a_silent_mail_server_is_tried_briefly_and_by_few_at_once(
    fresh: Scope, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the channel would wait when it sends; others of the tenant are told to come again."""
    monkeypatch.setattr(opening, "LONGEST_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        settings = {"host": "127.0.0.1", "port": silent.getsockname()[1], "timeout_seconds": 300}
        service.create_channel(fresh, "Email", "email", settings=settings)
        with ThreadPoolExecutor(12) as callers:
            answers = list(callers.map(lambda _: client.post("/manage/v1/channels/504/check"), range(12)))
    tried = [answer.json() for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(tried) >= opening.AT_ONCE and len(tried) + len(refused) == 12 and refused
    assert {one["reason"] for one in tried} == {"The mail server cannot be used: mail server did not answer in time."}
    assert all("Retry-After" in answer.headers for answer in refused)
    assert not opening._tries[fresh.tenant_id]
