"""Over the server's own mail server a tenant sends from the domains that the operator allows it, and from no others."""

import dataclasses
import importlib
from collections.abc import Iterator

import httpx
import pytest
from mail_server import MailServer, serving
from sqlalchemy import select, text, update

from rapport.access import keys
from rapport.access import service as access
from rapport.access.models import Tenant
from rapport.access.operator import OPERATOR_HEADER, TENANT_HEADER
from rapport.access.scope import Scope
from rapport.app import create_app
from rapport.channels import opening, service
from rapport.channels.messages import Message
from rapport.errors import Invalid
from rapport.stores import Stores
from served_app import serving as running_app

OF_OTHERS = (
    "settings.from_address must not be of other.example: without a mail server of its own, a channel sends from domains"
    " that the operator allows the tenant."
)


@pytest.fixture
def fresh(stores: Stores, request: pytest.FixtureRequest) -> Scope:
    return access.create_tenant(stores, f"senders-{request.node.name}")


@pytest.fixture
def client(base_url: str, fresh: Scope) -> Iterator[httpx.Client]:
    _, secret = keys.create_key(fresh, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="module")
def operated(stores: Stores) -> Iterator[str]:
    """A server that knows its operator."""
    with running_app(create_app(stores, operator_token="of-the-operator")) as url:
        yield url


@pytest.fixture
def operator(operated: str, fresh: Scope) -> Iterator[httpx.Client]:
    """The operator, on the machine of the server, who names the tenant."""
    headers = {OPERATOR_HEADER: "of-the-operator", TENANT_HEADER: str(fresh.tenant_id)}
    with httpx.Client(base_url=operated, headers=headers, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    with serving() as started:
        yield started


def sent(scope: Scope, server: MailServer, from_address: str) -> str:
    """Who a mail over the server's own mail server is from."""
    own = scope.stores.settings.model_copy(update={"smtp_url": f"smtp://127.0.0.1:{server.port}"})
    transport = opening.transport(
        dataclasses.replace(scope, stores=dataclasses.replace(scope.stores, settings=own)), service.channel(scope, 504)
    )
    try:
        (receipt,) = transport.send([Message(f"m-{from_address}", "Q", "q@mail.example", "s", "t")])
    finally:
        transport.close()
    assert receipt.outcome == "sent"
    return str(server.arrived[-1]["From"])


def test_a_sender_is_of_a_domain_that_the_operator_allows(
    fresh: Scope, client: httpx.Client, operator: httpx.Client, server: MailServer
) -> None:
    body = {"name": "Email", "kind": "email", "settings": {"from_address": "news@Other.example"}}
    refused = client.post("/manage/v1/channels", json=body)
    assert (refused.status_code, refused.json()["detail"]) == (400, OF_OTHERS)
    assert service.channels(fresh) == []
    allowed = operator.put("/manage/v1/operator/sender-domains/OTHER.example")
    assert (allowed.status_code, allowed.json()) == (200, {"sender_domains": ["other.example"]})
    assert client.get("/manage/v1/tenants/current").json()["sender_domains"] == ["other.example"]
    assert client.post("/manage/v1/channels", json=body).status_code == 201
    assert sent(fresh, server, "news@Other.example") == "news@Other.example"
    for domain in ("sub.other.example", "another.example", "example"):
        changed = client.patch("/manage/v1/channels/504", json={"settings": {"from_address": f"a@{domain}"}})
        assert changed.status_code == 400
    assert service.channel(fresh, 504).settings == {"from_address": "news@Other.example", "brand_id": 504}


def test_what_is_not_allowed_any_more_is_not_sent(fresh: Scope, operator: httpx.Client, server: MailServer) -> None:
    access.allow_sender_domain(fresh, "other.example")
    access.allow_sender_domain(fresh, "shop.example")
    service.create_channel(fresh, "Email", "email", settings={"from_address": "news@other.example"})
    left = operator.delete("/manage/v1/operator/sender-domains/other.example")
    assert left.json() == {"sender_domains": ["shop.example"]}
    with pytest.raises(Invalid) as raised:
        sent(fresh, server, "news@other.example")
    assert raised.value.message == OF_OTHERS


def test_only_the_operator_allows_domains(fresh: Scope, client: httpx.Client, operator: httpx.Client) -> None:
    assert client.put("/manage/v1/operator/sender-domains/other.example").status_code == 403
    assert client.patch("/manage/v1/tenants/current", json={"sender_domains": ["other.example"]}).status_code == 400
    change = {"settings": {"sender_domains": {"domains": ["other.example"]}}}
    assert client.patch("/manage/v1/tenants/current", json=change).status_code == 400
    assert operator.put("/manage/v1/operator/sender-domains/a b").status_code == 400
    assert access.tenant(fresh).sender_domains == []


def test_the_servers_own_sender_and_ones_own_mail_server_need_no_leave(fresh: Scope, server: MailServer) -> None:
    service.create_channel(fresh, "Email", "email")
    assert sent(fresh, server, "") == fresh.stores.settings.mail_from
    service.update_channel(fresh, 504, settings={"from_address": fresh.stores.settings.mail_from})
    own = {"from_address": "news@other.example", "host": "127.0.0.1", "port": server.port}
    service.update_channel(fresh, 504, settings=own)
    assert sent(fresh, server, "news@other.example") == "news@other.example"
    with pytest.raises(Invalid, match="without a mail server of its own"):
        service.update_channel(fresh, 504, settings={"from_address": "news@other.example"})


def test_domains_in_use_before_stay_allowed(fresh: Scope, stores: Stores) -> None:
    for domain in ("other.example", "shop.example"):
        access.allow_sender_domain(fresh, domain)
    for name, sender in (("A", "news@OTHER.example"), ("B", "b@shop.example"), ("C", "c@shop.example"), ("D", "")):
        service.create_channel(fresh, name, "email", settings={"from_address": sender})
    service.create_channel(fresh, "E", "email", settings={"host": "mail.example.com", "from_address": "e@far.example"})
    step = importlib.import_module("rapport.stores.records_migrations.versions.0030_sender_domains")
    own = Tenant.id == fresh.tenant_id
    with stores.records.session() as session:
        session.execute(update(Tenant).where(own).values(sender_domains=[]))
        session.execute(text(step.IN_USE))
        assert session.scalar(select(Tenant.sender_domains).where(own)) == ["other.example", "shop.example"]
        session.rollback()
