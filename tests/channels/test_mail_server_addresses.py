"""The address of a mail server that is checked is the one that is connected to, whatever its name resolves to later.

The mail servers of these tests are on loopback, which counts as private.
"""

import dataclasses
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mail_server import MailServer, serving

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.channels import opening, service
from rapport.channels.messages import Message, Receipt
from rapport.channels.models import Channel
from rapport.errors import Unavailable
from rapport.stores import Stores

PUBLIC = "93.184.216.34"
PRIVATE = "mail server has a private address, which is not allowed"
UNRESOLVED = "mail server's name cannot be resolved"
Names = dict[str, list[list[str]]]


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[MailServer]:
    with serving() as started:
        yield started


@pytest.fixture
def strict(stores: Stores, request: pytest.FixtureRequest) -> Scope:
    """A tenant on a server that does not allow private addresses."""
    settings = stores.settings.model_copy(update={"allow_private_addresses": False})
    fresh = create_tenant(stores, f"mail-addresses-{request.node.name}")
    return dataclasses.replace(fresh, stores=dataclasses.replace(stores, settings=settings))


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that are connected to, in turn; connections beyond loopback are refused."""
    reached: list[str] = []
    real = socket.create_connection

    def connect(address: tuple[str, int], *args: Any, **options: Any) -> socket.socket:
        reached.append(address[0])
        if address[0] != "127.0.0.1":
            raise ConnectionRefusedError
        return real(address, *args, **options)

    monkeypatch.setattr(socket, "create_connection", connect)
    return reached


def channel(scope: Scope, server: MailServer, host: str, **more: object) -> Channel:
    settings = {"host": host, "port": server.port, "from_address": "club@shop.example", "timeout_seconds": 5, **more}
    return service.create_channel(scope, f"Email {host} {more}", "email", settings=settings)


def send(scope: Scope, made: Channel, messages: int = 1) -> list[Receipt]:
    transport = opening.transport(scope, made)
    try:
        return list(transport.send([Message(f"m{n}", "Q", "q@mail.example", "s", "t") for n in range(messages)]))
    finally:
        transport.close()


def refusal(scope: Scope, made: Channel) -> str:
    """Why a channel's server cannot be used, as trying it out tells."""
    with opening.trying(scope, made) as transport, pytest.raises(Unavailable) as raised:
        transport.check()
    return raised.value.message


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_a_name_that_does_not_resolve_at_first_is_checked_when_it_does(
    strict: Scope, server: MailServer, names: Names, connected: list[str], security: str
) -> None:
    """It is an outage until then; what it resolves to later is private."""
    names["mail.acme.example"] = [[], [], ["127.0.0.1"]]
    made = channel(strict, server, "mail.acme.example", security=security)
    assert refusal(strict, made) == f"The mail server cannot be used: {UNRESOLVED}."
    assert send(strict, made) == [Receipt("m0", "failed", UNRESOLVED, away=True)]
    assert send(strict, made) == [Receipt("m0", "failed", PRIVATE)]
    assert refusal(strict, made) == f"The mail server cannot be used: {PRIVATE}."
    assert connected == []


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_the_checked_address_is_the_one_that_is_connected_to(
    strict: Scope, server: MailServer, names: Names, connected: list[str], security: str
) -> None:
    names["rebinding.example"] = [[PUBLIC], ["127.0.0.1"]]
    made = channel(strict, server, "rebinding.example", security=security)
    assert send(strict, made) == [Receipt("m0", "failed", "mail server cannot be reached", away=True)]
    assert connected == [PUBLIC]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "::1", "::ffff:127.0.0.1"])
def test_an_address_within_is_refused_in_every_form(
    strict: Scope, server: MailServer, connected: list[str], host: str
) -> None:
    made = channel(strict, server, host)
    receipts = {receipt.message_id: receipt for receipt in send(strict, made, messages=20)}
    assert receipts == {name: Receipt(name, "failed", PRIVATE) for name in (f"m{n}" for n in range(20))}
    assert refusal(strict, made) == f"The mail server cannot be used: {PRIVATE}."
    assert connected == []


def test_one_private_address_among_public_ones_is_enough(
    strict: Scope, server: MailServer, names: Names, connected: list[str]
) -> None:
    names["mail.acme.example"] = [[PUBLIC, "127.0.0.1"]]
    assert refusal(strict, channel(strict, server, "mail.acme.example")).endswith(f"{PRIVATE}.")
    assert connected == []


def test_the_operators_own_server_may_be_anywhere(strict: Scope, server: MailServer) -> None:
    own = strict.stores.settings.model_copy(update={"smtp_url": f"smtp://localhost:{server.port}"})
    scope = dataclasses.replace(strict, stores=dataclasses.replace(strict.stores, settings=own))
    assert send(scope, service.create_channel(scope, "Email", "email")) == [Receipt("m0", "sent")]


def test_another_address_of_a_server_is_tried(
    scope: Scope, server: MailServer, names: Names, connected: list[str]
) -> None:
    names["mail.acme.example"] = [[PUBLIC, "127.0.0.1"]]
    assert send(scope, channel(scope, server, "mail.acme.example")) == [Receipt("m0", "sent")]
    assert connected == [PUBLIC, "127.0.0.1"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of mail.acme.example and its key, made with the openssl program."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl program here")
    folder = tmp_path_factory.mktemp("certificate")
    made, key = folder / "certificate.pem", folder / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mail"]
    options = ["-addext", "subjectAltName=DNS:mail.acme.example", "-keyout", str(key), "-out", str(made)]
    subprocess.run([*command, *options], check=True, capture_output=True, timeout=60)
    return made, key


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_the_certificate_must_be_that_of_the_name(
    scope: Scope, names: Names, certificate: tuple[Path, Path], security: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    names["mail.acme.example"] = names["other.acme.example"] = [["127.0.0.1"]]
    with serving(tls=context, implicit=security == "tls") as encrypted:
        named = channel(scope, encrypted, "mail.acme.example", security=security)
        assert send(scope, named) == [Receipt("m0", "sent")]
        for host in ("other.acme.example", "127.0.0.1"):
            (receipt,) = send(scope, channel(scope, encrypted, host, security=security))
            assert receipt == Receipt("m0", "failed", "mail server has no valid certificate")
