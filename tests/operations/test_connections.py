"""Connections: heads and bodies that do not end, too many at once, and that others are served meanwhile."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
import uvicorn

from rapport.app import create_app
from rapport.commands.connections import MOST_AHEAD, MOST_HEADERS, MOST_PIECES, configured
from rapport.stores import Stores
from served_app import running

Address = tuple[str, int]
BEGUN = b"GET /health HTTP/1.1\r\nHost: rapport.example\r\n"
POSTED = b"POST /unsubscribe/x HTTP/1.1\r\nHost: rapport.example\r\n"
MOST = 20


@pytest.fixture(scope="module")
def address(stores: Stores) -> Iterator[Address]:
    """A server that waits for little."""
    short = {"head_seconds": 0.3, "body_seconds": 0.3, "max_connections": MOST}
    server = uvicorn.Server(configured(create_app(stores), stores.settings.model_copy(update=short)))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield listener.getsockname()
    server.should_exit = True
    thread.join()


def lives(address: Address) -> bool:
    return httpx.get(f"http://127.0.0.1:{address[1]}/health", timeout=60).json() == {"status": "ok"}


def test_callers_close_first_what_nothing_uses(stores: Stores) -> None:
    usual = 60  # seconds that load balancers keep a connection
    assert configured(create_app(stores), stores.settings).timeout_keep_alive > usual


def answer(connection: socket.socket) -> bytes:
    """All that comes until the server closes; nothing if it cut the connection."""
    connection.settimeout(60)
    told = b""
    try:
        while part := connection.recv(65536):
            told += part
    except ConnectionResetError:
        pass
    return told


def sent(connection: socket.socket, parts: Iterator[bytes]) -> int:
    """Send until the server takes no more; how many bytes that were."""
    size = 0
    try:
        for part in parts:
            connection.sendall(part)
            size += len(part)
    except OSError:
        pass
    return size


def endless(first: bytes, part: bytes, most: int = 64 * 2**20) -> Iterator[bytes]:
    yield first
    for _ in range(most // len(part)):
        yield part


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((BEGUN + b"X-A: ", b"a" * 65536), id="one header"),
        pytest.param((BEGUN, b"X-A: " + b"a" * 1000 + b"\r\n"), id="many headers"),
        pytest.param((b"GET /", b"a" * 65536), id="the address"),
        pytest.param((BEGUN + b"X-A", b"a" * 65536), id="a name"),
        pytest.param((b"", b"\r\n" * 4096), id="blank lines"),
        pytest.param(
            (POSTED + b"Transfer-Encoding: chunked\r\n\r\n1", b";a=b" * 16384), id="a chunk's extension"
        ),
        pytest.param(
            (POSTED + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: ", b"a" * 65536), id="a header behind the body"
        ),
    ],
)  # fmt: skip
def test_a_head_that_does_not_end_is_refused_after_little_of_it(address: Address, parts: tuple[bytes, bytes]) -> None:
    with socket.create_connection(address) as connection:
        assert sent(connection, endless(*parts)) < 32 * 2**20
        told = answer(connection)
    assert told == b"" or told.split(b" ")[1] in (b"431", b"400", b"404"), told[:200]
    assert lives(address)


def test_a_head_of_a_megabyte_is_told_so(address: Address) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(BEGUN + b"X-A: " + b"a" * 1_000_000)
        told = answer(connection)
    assert told.startswith(b"HTTP/1.1 431 ") and told.endswith(b'bytes and 100 headers."')
    assert b"x-request-id: " in told and b"nosniff" in told and b"server:" not in told


@pytest.mark.parametrize(("number", "status"), [(MOST_HEADERS - 3, b"200"), (MOST_HEADERS, b"431")])
def test_a_head_has_so_many_headers(address: Address, number: int, status: bytes) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(BEGUN + b"Connection: close\r\n" + b"X-A: b\r\n" * number + b"\r\n")
        assert answer(connection).split(b" ")[1] == status


def test_long_headers_are_too_large_together(address: Address) -> None:
    for number, status in ((60, b"200"), (90, b"431")):
        with socket.create_connection(address) as connection:
            connection.sendall(BEGUN + b"Connection: close\r\n" + b"X-A: %b\r\n" % (b"b" * 1000) * number + b"\r\n")
            assert answer(connection).split(b" ")[1] == status


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(BEGUN, id="half a head"),
        pytest.param(POSTED + b"Content-Length: 10\r\n\r\nabc", id="half a body"),
        pytest.param(POSTED + b"Content-Length: 5000\r\n\r\nabc", id="half of what is refused"),
        pytest.param(BEGUN + b"\r\n" + BEGUN, id="half a second head"),
    ],
)
def test_what_is_not_whole_in_time_is_closed(address: Address, part: bytes) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(part)
        answer(connection)  # ends with the connection


def test_bytes_now_and_then_do_not_keep_a_head_open(address: Address) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(BEGUN)
        connection.settimeout(0.05)
        for _ in range(1000):
            try:
                connection.sendall(b"X-A: b\r\n"[:1])
                if not connection.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("the connection stays open")


def test_a_body_that_keeps_coming_has_the_time_that_it_takes(address: Address) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(POSTED + b"Connection: close\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(4):
            threading.Event().wait(0.15)
            connection.sendall(b"a" * 250)
        assert answer(connection).split(b" ")[1] == b"404"


def test_no_more_than_so_many_are_open_though_they_may_wait_long(stores: Stores) -> None:
    limited = stores.settings.model_copy(update={"max_connections": MOST, "head_seconds": 600})
    with running(configured(create_app(stores), limited, port=0)) as url, ExitStack() as stack:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        *others, last = (stack.enter_context(socket.create_connection(address)) for _ in range(MOST + 1))
        closed, _, _ = select.select(others, [], [], 60)
        assert [one.recv(1) for one in closed] == [b""]
        last.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert answer(last).startswith(b"HTTP/1.1 200")


def test_the_one_that_waits_longest_goes_when_there_are_too_many(address: Address) -> None:
    with ExitStack() as stack:
        for _ in range(3 * MOST):
            waiting = stack.enter_context(socket.create_connection(address))
            waiting.sendall(BEGUN)
        assert lives(address)


def test_requests_that_are_sent_ahead_are_few(address: Address) -> None:
    one = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with socket.create_connection(address) as connection:
        connection.sendall(one * (MOST_AHEAD - 1) + last)
        assert answer(connection).count(b"HTTP/1.1 200 OK") == MOST_AHEAD
    with socket.create_connection(address) as connection:
        sent(connection, iter([one * 5000]))
        assert answer(connection).count(b"HTTP/1.1 ") <= MOST_AHEAD
    assert lives(address)


@pytest.mark.parametrize(
    ("path", "piece", "number", "status"),
    [
        ("/unsubscribe/x", b"1\r\na\r\n", MOST_PIECES + 10, b""),
        ("/unsubscribe/x", b"1\r\na\r\n", MOST_PIECES // 2, b"404"),
        ("/report/log", b"c\r\n123456789abc\r\n", 3000, b"204"),  # the network may cut some in two
    ],
    ids=["bytes", "few", "lines"],
)
def test_a_body_in_thousands_of_single_bytes_is_refused(
    address: Address, path: str, piece: bytes, number: int, status: bytes
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with socket.create_connection(address) as connection:
        sent(connection, iter([head, piece * number, b"0\r\n\r\n"]))
        told = answer(connection)
    assert told[9:12] == status
    assert lives(address)


def test_a_kept_connection_is_good_after_each_error(address: Address) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{address[1]}") as client:
        for path, content, status in (
            ("/unsubscribe/x", b"a" * 5000, 413),
            ("/manage/v1/brands", b"a" * 5000, 401),
            ("/v1/events", b"a" * 5000, 401),
            ("/nothing", b"a" * 5000, 404),
        ):
            refused = client.post(path, content=content)
            assert (refused.status_code, "server" in refused.headers) == (status, False)
            assert refused.headers["x-request-id"] and "connection" not in refused.headers
            assert client.get("/health").status_code == 200
