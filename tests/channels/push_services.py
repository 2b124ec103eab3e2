"""Stand-ins for the push services that speak HTTP: Google's, Huawei's, and those of browsers; and keys for all."""

import base64
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

Reply = tuple[int, dict[str, str], Any]
# Instead of an answer: the connection is closed once the request has come.
DROPPED: Reply = (0, {}, None)


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass
class Service:
    """answer gives status, headers and a JSON body for a request; requests are kept."""

    answer: Callable[[Request], Reply]
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving(answer: Callable[[Request], Reply]) -> Iterator[Service]:
    service = Service(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            service.requests.append(request)
            status, headers, content = service.answer(request)
            if not status:
                self.close_connection = True
                return
            written = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(written)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(written)

        def log_message(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    service.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()


def _pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


APPLE_KEY = ec.generate_private_key(ec.SECP256R1())
APPLE_PEM = _pem(APPLE_KEY)
GOOGLE_KEY = rsa.generate_private_key(65537, 2048)
GOOGLE_PEM = _pem(GOOGLE_KEY)
SERVICE_ACCOUNT = json.dumps(
    {
        "type": "service_account",
        "project_id": "shop-1",
        "client_email": "push@shop-1.example",
        "private_key": GOOGLE_PEM,
        "token_uri": "http://127.0.0.1:9/never",
    }
)


class Browser:
    """A browser that subscribed: it alone can read what is sent to it."""

    def __init__(self, endpoint: str) -> None:
        self._key, self._secret = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        self.endpoint = endpoint

    @property
    def subscription(self) -> str:
        public = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": _text(public), "auth": _text(self._secret)}
        return json.dumps({"endpoint": self.endpoint, "expirationTime": None, "keys": keys})

    def read(self, body: bytes) -> Any:
        return json.loads(http_ece.decrypt(body, private_key=self._key, auth_secret=self._secret, version="aes128gcm"))


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
