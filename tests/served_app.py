"""An application of a test's own on a real server, and requests that are never whole."""

import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from rapport.commands.connections import KEEP_ALIVE_SECONDS


@contextmanager
def running(config: uvicorn.Config) -> Iterator[str]:
    """The address of a server for as long as the block runs."""
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def serving(app: FastAPI) -> AbstractContextManager[str]:
    """An application on a server of the usual kind."""
    return running(
        uvicorn.Config(app, port=0, log_level="warning", lifespan="off", timeout_keep_alive=KEEP_ALIVE_SECONDS)
    )


@contextmanager
def connected(base_url: str) -> Iterator[socket.socket]:
    """A connection to a server."""
    address = urlsplit(base_url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        yield connection


def status_of(connection: socket.socket) -> int:
    """The status of the next answer, as soon as its head is whole."""
    head = b""
    while b"\r\n\r\n" not in head and (part := connection.recv(65536)):
        head += part
    return int(head.split(b" ")[1])


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    """The first part of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: rapport.example", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
