"""What is checked on every call, for listeners and gateways alike: the very address that is connected to.

A name may answer one way when it is registered and another way later; redirects, mapped and odd forms of an
address lead nowhere either. The receiver of these tests is on loopback, which counts as inward.
"""

import asyncio
import ipaddress
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore
import pytest
from webhook_receiver import PATIENCE_SECONDS, receiving

from rapport.hosts import is_public
from rapport.stores.outside.posting import Answer, Poster

PRIVATE = "The URL leads to a private address, which this server does not post to."
PUBLIC = "93.184.216.34"


def post(*urls: str, timeout: float = 3, allow_private: bool = False) -> list[Answer]:
    """Post to addresses one after the other over the same connections."""

    async def run() -> list[Answer]:
        poster = Poster(resolvers, timeout, allow_private=allow_private)
        found = [await poster.post(url, {}, b"{}") for url in urls]
        await poster.close()
        return found

    with ThreadPoolExecutor(4) as resolvers:
        return asyncio.run(run())


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.8",
        "172.31.255.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.251",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.8",
        "64:ff9b::a00:8",
        "2002:7f00:1::",
        "::127.0.0.1",
        "::93.184.216.34",
        "::ffff:0:127.0.0.1",
        "64:ff9b:1::7f00:1",
        "fec0::1",
        "5f00::1",
        "3fff::1",
        "192.0.0.8",
        "168.63.129.16",
        "2606:2800:220:1::5efe:7f00:1",
        "2606:2800::200:5efe:a00:8",
    ],
)
def test_a_name_that_leads_inward_is_refused(names: dict[str, list[list[str]]], address: str) -> None:
    names["hooks.acme.example"] = [[address]]
    assert post("http://hooks.acme.example/") == [Answer(None, PRIVATE, asked=False)]


@pytest.mark.parametrize(
    "address", [PUBLIC, "2606:2800:220:1::1", f"::ffff:{PUBLIC}", "64:ff9b::5db8:d822", "2002:5db8:d822::"]
)
def test_public_addresses_are_taken_also_wrapped_in_others(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "[::ffff:7f00:1]", "localhost"]
)
def test_odd_forms_of_an_inward_address_are_refused(host: str) -> None:
    with receiving() as receiver:
        (answer,) = post(f"http://{host}:{receiver.port}/")
        assert answer in (Answer(None, PRIVATE, asked=False), Answer(None, "exchange failed: InvalidURL"))
        assert receiver.posts == []


def test_one_inward_address_among_public_ones_is_enough(names: dict[str, list[list[str]]]) -> None:
    names["hooks.acme.example"] = [[PUBLIC, "127.0.0.1"]]
    assert post("http://hooks.acme.example/") == [Answer(None, PRIVATE, asked=False)]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that are connected to, in turn; connections beyond loopback are refused."""
    found: list[str] = []
    real = httpcore.AnyIOBackend.connect_tcp

    async def connect(self: httpcore.AnyIOBackend, host: str, *args: Any, **options: Any) -> Any:
        found.append(host)
        if host != "127.0.0.1":
            raise httpcore.ConnectError
        return await real(self, host, *args, **options)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    return found


def test_a_name_that_turns_inward_later_is_refused_then(
    names: dict[str, list[list[str]]], connected: list[str]
) -> None:
    """DNS rebinding: the second answer counts for the second connection, the first one for the first."""
    with receiving() as receiver:
        names["rebinding.example"] = [[PUBLIC], ["127.0.0.1"]]
        url = f"http://rebinding.example:{receiver.port}/"
        assert post(url, url) == [Answer(None, "connection refused", asked=False), Answer(None, PRIVATE, asked=False)]
        assert (connected, receiver.posts) == ([PUBLIC], [])


def test_what_was_checked_is_what_is_connected_to(names: dict[str, list[list[str]]], connected: list[str]) -> None:
    """A name is resolved once a connection: a second answer cannot come between the check and the connection."""
    with receiving() as receiver:
        names["inner.example"] = [["127.0.0.1"], [PUBLIC]]
        (answer,) = post(f"http://inner.example:{receiver.port}/", allow_private=True)
        assert answer.status == 200
        assert receiver.posts[0].headers["host"] == f"inner.example:{receiver.port}"
        assert names["inner.example"] == [[PUBLIC]], "asked once"
        assert connected == ["127.0.0.1"]


def test_redirects_lead_nowhere(names: dict[str, list[list[str]]]) -> None:
    with receiving() as inner:
        for status in (301, 302, 303, 307, 308):
            with receiving((status, {"Location": inner.url}, 0)) as outer:
                (answer,) = post(outer.url, allow_private=True)
            assert answer.status == status and not answer.ok
        assert inner.posts == []


def test_a_name_that_takes_long_holds_one_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, release, real = [], threading.Event(), socket.getaddrinfo

    def resolve(host: str, *args: Any, **options: Any) -> list[Any]:
        if host == "silent.example":
            asked.append(host)
            release.wait(PATIENCE_SECONDS)
            raise OSError
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    async def run(url: str) -> tuple[list[Answer], Answer]:
        poster = Poster(resolvers, allow_private=True, timeout=1)
        stuck = [asyncio.create_task(poster.post("http://silent.example/", {}, b"{}")) for _ in range(20)]
        while not asked:
            await asyncio.sleep(0.01)
        prompt = await poster.post(url, {}, b"{}", timeout=PATIENCE_SECONDS)
        found = [await one for one in stuck]
        release.set()
        await poster.close()
        return found, prompt

    with receiving() as receiver, ThreadPoolExecutor(2) as resolvers:
        stuck, prompt = asyncio.run(run(f"http://localhost:{receiver.port}/"))
    assert {answer.error for answer in stuck} == {"no answer in time"}
    assert prompt.status == 200, "it had a resolver although the silent name still holds one"
    assert asked == ["silent.example"]


def test_an_answer_is_read_to_a_limit() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        try:
            while True:  # without end
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def run() -> Answer:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        poster = Poster(resolvers, allow_private=True, timeout=3)
        found = await poster.post(f"http://127.0.0.1:{port}/", {}, b"{}")
        await poster.close()
        server.close()
        return found

    with ThreadPoolExecutor(1) as resolvers:
        answer = asyncio.run(run())
    assert (answer.status, answer.body) == (200, None)
