"""A real HTTP gateway whose verdicts a test decides."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Question = dict[str, Any]
# How long something that must come about is waited for; no measure of how soon it should.
PATIENCE_SECONDS = 60.0


def open_gate() -> threading.Event:
    """A gate that is open until a test shuts it with clear()."""
    gate = threading.Event()
    gate.set()
    return gate


@dataclass
class Asked:
    """One question as it arrived."""

    at: float
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Question:
        return json.loads(self.raw)

    @property
    def user_id(self) -> str:
        return self.body["user"]["user_id"]


def verdict(allowed: bool = True) -> Callable[[Question], Any]:
    """Answers of the contract's shape."""
    return lambda question: {"user_id": question["user"]["user_id"], "allowed": allowed}


@dataclass
class GatewayServer:
    """answer gives a JSON value, or (status, headers, body); wait is in seconds, before the answer.

    Nothing is answered while its gate is shut.
    """

    answer: Callable[[Question], Any] = field(default_factory=verdict)
    wait: float = 0.0
    asked: list[Asked] = field(default_factory=list)
    gate: threading.Event = field(default_factory=open_gate)
    answered: int = 0
    most_at_once: int = 0
    port: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/gateway?brand=1"

    def reply(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        with self._lock:
            self.asked.append(asked)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        time.sleep(self.wait)
        self.gate.wait(PATIENCE_SECONDS)
        with self._lock:
            self._now -= 1
            self.answered += 1
        found = self.answer(asked.body)
        return found if isinstance(found, tuple) else (200, {}, json.dumps(found).encode())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gateway: GatewayServer

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()} | {":path": self.path}
        status, extra, body = self.gateway.reply(Asked(time.monotonic(), headers, raw))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **extra}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """An asker that gave up waiting is no error of the test."""


@contextmanager
def gateway_server(answer: Callable[[Question], Any] | None = None, wait: float = 0.0) -> Iterator[GatewayServer]:
    made = GatewayServer(answer or verdict(), wait)
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"gateway": made}))
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


def eventually(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a condition, or fail."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)
