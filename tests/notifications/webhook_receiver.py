"""A real HTTP listener whose answers a test decides."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# How long something that must come about is waited for; no measure of how soon it should.
PATIENCE_SECONDS = 60.0


def open_gate() -> threading.Event:
    """A gate that is open until a test shuts it with clear()."""
    gate = threading.Event()
    gate.set()
    return gate


@dataclass
class Post:
    at: float
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """answers are given in turn, the last one for ever: (status, headers, seconds to wait).

    None is given while its gate is shut.
    """

    answers: list[tuple[int, dict[str, str], float]] = field(default_factory=lambda: [(200, {}, 0.0)])
    posts: list[Post] = field(default_factory=list)
    gate: threading.Event = field(default_factory=open_gate)
    answered: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?src=1"

    def ids(self) -> list[str]:
        return [post.headers["webhook-id"] for post in self.posts]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: Receiver
    lock: threading.Lock

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver = self.receiver
        with self.lock:
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.posts.append(Post(time.monotonic(), self.path, headers, body))
            status, extra, wait = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
        time.sleep(wait)
        receiver.gate.wait(PATIENCE_SECONDS)
        self.send_response(status)
        for name, value in {"Content-Length": "0", **extra}.items():
            self.send_header(name, value)
        self.end_headers()
        with self.lock:
            receiver.answered += 1

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the default of 5 refuses some of many connections at once

    def handle_error(self, *_: object) -> None:
        """A deliverer that gave up waiting is no error of the test."""


@contextmanager
def receiving(*answers: tuple[int, dict[str, str], float]) -> Iterator[Receiver]:
    receiver = Receiver(list(answers)) if answers else Receiver()
    handler = type("Bound", (Handler,), {"receiver": receiver, "lock": threading.Lock()})
    server = Server(("127.0.0.1", 0), handler)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


def eventually(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a condition, or fail."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)
