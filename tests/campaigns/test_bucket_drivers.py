"""What the drivers of buckets send to Google and Amazon, as a stand-in sees it, where the drivers are installed."""

import base64
import email
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rapport.settings import Settings
from rapport.stores.outside import buckets

KEY, CONTENT = b"k" * 32, b"the content"
KEY_TEXT = base64.b64encode(KEY).decode()
SHA256 = base64.b64encode(hashlib.sha256(KEY).digest()).decode()
NAME = "2026-01-01 0900 texts-5-7/metadata_7"
PATH = f"my-bucket/pre fix/{NAME}"
OBJECT = {"name": "x", "size": "1", "updated": "2026-01-01T00:00:00.000Z", "timeCreated": "2026-01-01T00:00:00.000Z"}


@dataclass
class Cloud:
    """Takes objects; by path, with the encryption key of each. fault is the status that it answers instead."""

    url: str = ""
    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    tokens: int = 0
    fault: int = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cloud: Cloud

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, content: dict[str, Any] | None) -> None:
        written = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    def do_POST(self) -> None:
        body, cloud = self._body(), self.cloud
        if self.path.endswith("/token"):
            cloud.tokens += 1
            self._answer(200, {"access_token": "hush", "expires_in": 3600, "token_type": "Bearer"})
        elif cloud.fault or self.headers["Authorization"] != "Bearer hush":
            self._answer(cloud.fault or 401, {"error": {"message": "no", "code": cloud.fault}})
        else:
            head = f"Content-Type: {self.headers['Content-Type']}\n\n".encode()
            about, content = email.message_from_bytes(head + body).get_payload()
            bucket = self.path.split("/b/")[1].split("/")[0]
            name = json.loads(about.get_payload())["name"]
            assert self.headers["x-goog-encryption-key-sha256"] == SHA256
            key = self.headers["x-goog-encryption-key"]
            cloud.objects[f"{bucket}/{name}"] = (content.get_payload().strip().encode(), key)
            self._answer(200, OBJECT)

    def do_PUT(self) -> None:
        body = self._body()
        if not self.cloud.fault:
            key = self.headers["x-amz-server-side-encryption-customer-key"]
            self.cloud.objects[unquote(urlsplit(self.path).path).lstrip("/")] = (body, key)
        self._answer(self.cloud.fault or 200, None)

    def do_DELETE(self) -> None:
        self._body()
        path = unquote(urlsplit(self.path).path).lstrip("/").removeprefix("storage/v1/b/").replace("/o/", "/", 1)
        self._answer(204 if self.cloud.objects.pop(path, None) else 404, None)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    made = Cloud()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"cloud": made}))
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["gs", "s3"])
def scheme(request: pytest.FixtureRequest) -> str:
    pytest.importorskip({"gs": "gcsfs", "s3": "s3fs"}[request.param])
    return str(request.param)


def bucket(scheme: str, cloud: Cloud) -> tuple[Settings, buckets.Bucket]:
    settings = Settings(bucket_endpoints=cloud.url, fcm_token_url=f"{cloud.url}/token")
    account = {"key": "id", "secret": "hush", "endpoint": cloud.url}
    if scheme == "gs":
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        account = {"project_id": "p", "client_email": "a@p.example", "private_key": pem, "endpoint": cloud.url}
        account["token_uri"] = "http://127.0.0.1:9/elsewhere"
    return settings, buckets.bucket_of(settings, 7, f"{scheme}://my-bucket/pre fix", account)


def test_an_object_is_encrypted_with_the_key_and_deleted(scheme: str, cloud: Cloud) -> None:
    settings, place = bucket(scheme, cloud)
    buckets.put(settings, place, NAME, CONTENT, KEY)
    assert cloud.objects == {PATH: (CONTENT, KEY_TEXT)}
    buckets.drop(settings, place, [NAME, "never there"])
    assert cloud.objects == {} and (cloud.tokens > 0) == (scheme == "gs")
    assert "hush" not in repr(place)


def test_a_refusal_is_told_without_what_the_driver_says(scheme: str, cloud: Cloud) -> None:
    settings, place = bucket(scheme, cloud)
    cloud.fault = 403
    with pytest.raises(buckets.BucketFailure) as failure:
        buckets.put(settings, place, NAME, CONTENT, KEY)
    assert failure.value.message.startswith("The ") and "hush" not in str(failure.value)
    assert failure.value.__suppress_context__
