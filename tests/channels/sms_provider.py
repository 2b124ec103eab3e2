"""A real HTTP provider of text messages: a number that ends in 99 does not exist, one in 50 is refused once."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class SmsProvider:
    port: int = 0
    posts: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    gate: threading.Event = field(default_factory=threading.Event)  # nothing is answered until it is set
    shuts_after: int = 0  # messages that are taken before it shuts
    taken: threading.Event = field(default_factory=threading.Event)  # set once a message was taken

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/messages"

    @property
    def texts(self) -> dict[str, str]:
        return {post["to"]: post["text"] for post in self.posts}

    def answer(self, post: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        with self.lock:
            number = post["to"]
            self.asked[number] += 1
            if number.endswith("99"):
                return 400, {"error": "unknown subscriber"}
            if number.endswith("50") and self.asked[number] == 1:
                return 503, {"error": "busy"}
            self.posts.append(post)
            self.headers.append(headers)
            self.taken.set()
            if self.shuts_after and len(self.posts) >= self.shuts_after:
                self.gate.clear()
            return 200, {"messages": [{"id": f"p-{len(self.posts)}"}]}


@contextmanager
def sms_provider() -> Iterator[SmsProvider]:
    provider = SmsProvider()
    provider.gate.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            post = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, told = provider.answer(post, {name.lower(): value for name, value in self.headers.items()})
            provider.gate.wait()
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *values: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield provider
    finally:
        provider.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


SETTINGS = {
    "via": "http",
    "sender": "Northwind",
    "headers": {"Authorization": "Bearer [%SECRET%]"},
    "body": '{"to": "[%TO%]", "from": "[%FROM%]", "text": "[%TEXT%]", "ref": "[%MESSAGE_ID%]", "token": "[%TOKEN%]"}',
    "secret": "s3cret",
    "invalid_text": "unknown subscriber",
    "id_member": "messages.0.id",
    "default_region": "DE",
}
