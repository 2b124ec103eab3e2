"""The demo's outside systems, as one HTTP server on loopback: who sends texts listens, who pays bonuses decides.

They are real receivers: they check signatures, take events once, and answer what the contract says.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
from standardwebhooks import Webhook, WebhookVerificationError

from rapport.settings import Settings

EVENTS, GATEWAY = "/events", "/gateway"
# The bonus system gives nothing to customers whose account is under review: those of every eighth number.
REVIEWED = 8


def is_under_review(customer_id: str) -> bool:
    """Whether the bonus system refuses a customer."""
    return customer_id[1:].isdigit() and int(customer_id[1:]) % REVIEWED == 0


@dataclass
class OutsideSystems:
    """What the outside systems were told and asked. secrets: what posts to a path are signed with."""

    port: int
    secrets: dict[str, list[str]] = field(default_factory=dict)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)  # by their id
    verdicts: dict[str, bool] = field(default_factory=dict)  # by the id of the question

    def url(self, path: str) -> str:
        """The address of one of them."""
        return f"http://127.0.0.1:{self.port}{path}"

    def is_genuine(self, path: str, body: bytes, headers: dict[str, str]) -> bool:
        """Whether a post is signed with one of the secrets of its path."""
        for secret in self.secrets.get(path, []):
            try:
                Webhook(secret).verify(body, headers)
            except WebhookVerificationError:
                continue
            return True
        return False

    def answer(self, path: str, message_id: str, body: bytes) -> tuple[int, bytes]:
        """Status and body for a genuine post: a verdict, or nothing."""
        post = orjson.loads(body)
        if path == EVENTS:
            self.events[message_id] = post
            return 204, b""
        user_id = post["user"]["user_id"]
        allowed = self.verdicts.setdefault(message_id, not is_under_review(user_id))
        return 200, orjson.dumps({"user_id": user_id, "allowed": allowed})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    outside: OutsideSystems

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, answer = 401, b""
        if self.outside.is_genuine(self.path, body, {name.lower(): value for name, value in self.headers.items()}):
            status, answer = self.outside.answer(self.path, self.headers["webhook-id"], body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # as many may come at once; the default of 5 would refuse some


@contextmanager
def outside_systems(settings: Settings) -> Iterator[OutsideSystems]:
    """The systems for as long as the block runs, and leave for the server to post to this machine meanwhile."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    handler.outside = outside = OutsideSystems(server.server_port)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, name="outside", daemon=True)
    thread.start()
    before = settings.allow_private_addresses
    settings.allow_private_addresses = True
    try:
        yield outside
    finally:
        settings.allow_private_addresses = before
        server.shutdown()
        server.server_close()
        thread.join()
