"""A vendor's system as one would run beside Rapport: its own key, its own HTTP server, everything over the wire.

It answers 204 at once and works afterwards, passes over notifications it knows and refuses those
whose signatures it cannot verify, with nothing but the standard library, as docs/events.md shows.
"""

import base64
import hashlib
import hmac
import json
import queue
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

PATIENCE_SECONDS = 60
Event = dict[str, Any]


def is_signed(headers: Any, body: bytes, secrets: list[str]) -> bool:
    """Whether a post carries both signatures of one of the secrets, and a fresh timestamp."""
    message, at = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(at)) > 300:
        return False
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        digest = hmac.new(key, f"{message}.{at}.".encode() + body, hashlib.sha256).digest()
        standard = "v1," + base64.b64encode(digest).decode() in headers["webhook-signature"].split()
        content = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        if standard and hmac.compare_digest(content, headers["X-Optimove-Signature-Content"]):
            return headers["X-Optimove-Signature-Version"] == "1"
    return False


class Vendor:
    """Base of the vendors: `on_event` is what one does about a notification, in the vendor's own thread."""

    def __init__(self, base_url: str, key: str) -> None:
        self.api = httpx.Client(base_url=base_url, headers={"X-API-KEY": key}, timeout=60)
        self.secrets: list[str] = []
        self.events: list[Event] = []
        self.failures: list[BaseException] = []
        self.refused = 0
        self._known: set[str] = set()
        self._work: queue.Queue[Event | None] = queue.Queue()
        self._server = _serve(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}/events?brand=7"
        self.gateway_url = f"http://127.0.0.1:{self._server.server_port}/gateway?brand=7"
        self.questions: list[Event] = []
        self._worker = threading.Thread(target=self._carry_out, daemon=True)
        self._worker.start()

    def on_event(self, event: Event) -> None:
        """Nothing, unless a vendor has something to do."""

    def verdict(self, question: Event) -> bool:
        """Whether a triggered campaign may reach its user: nobody, unless a vendor knows better."""
        return False

    def get(self, function: str, **parameters: Any) -> Any:
        """What a read function of the wire answers; everything that one page does not hold, page by page."""
        answer = self.api.get(f"/current/{function}", params=parameters)
        assert answer.status_code == 200, f"{function}: {answer.status_code} {answer.text}"
        return answer.json()

    def pages(self, function: str, size: int, **parameters: Any) -> list[Any]:
        """All rows of a list, in pages."""
        rows: list[Any] = []
        while len(page := self.get(function, **parameters, **{"$top": size, "$skip": len(rows)})) == size:
            rows += page
        return rows + page

    def post(self, function: str, body: Any, **parameters: Any) -> None:
        """Call a write function of the wire."""
        answer = self.api.post(f"/current/{function}", json=body, params=parameters)
        assert (answer.status_code, answer.content) == (200, b""), f"{function}: {answer.status_code} {answer.text}"

    def listen(self, event_type_id: int, channel_id: int | None = None) -> None:
        """Register for events of a type."""
        place = {"EventTypeID": event_type_id} | ({} if channel_id is None else {"ChannelID": channel_id})
        self.post("general/RegisterEventListener", {**place, "ListenerURL": self.url})

    def received(self, path: str, headers: Any, body: bytes) -> tuple[int, bytes]:
        """Take a post; the status and body to answer. Questions are answered at once, notifications worked off."""
        if not is_signed(headers, body, self.secrets):
            self.refused += 1
            return 401, b""
        if path.startswith("/gateway"):
            question = json.loads(body)
            self.questions.append(question)
            answer = {"user_id": question["user"]["user_id"], "allowed": self.verdict(question)}
            return 200, json.dumps(answer).encode()
        if headers["webhook-id"] not in self._known:
            self._known.add(headers["webhook-id"])
            self._work.put(json.loads(body))
        return 204, b""

    def _carry_out(self) -> None:
        while (event := self._work.get()) is not None:
            try:
                self.on_event(event)
            except BaseException as error:  # told to the test, which fails of it
                self.failures.append(error)
            self.events.append(event)

    def wait(self, condition: Callable[[Event], bool], count: int = 1) -> list[Event]:
        """The notifications that meet a condition, once there are so many and the vendor is done with them."""
        end = time.monotonic() + PATIENCE_SECONDS
        while len(found := [event for event in self.events if condition(event)]) < count:
            assert not self.failures, self.failures
            assert time.monotonic() < end, f"not told: {self.events}"
            time.sleep(0.01)
        assert not self.failures, self.failures
        return found

    def close(self) -> None:
        """Leave: nothing is told any more."""
        self._work.put(None)
        self._worker.join()
        self._server.shutdown()
        self._server.server_close()
        self.api.close()
        assert not self.failures, self.failures


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A connection that ended is no error of the test."""


def _serve(vendor: Vendor) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = vendor.received(self.path, self.headers, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


def of(event_type_id: int, campaign_id: int | None = None, channel_id: int | None = None) -> Callable[[Event], bool]:
    """Notifications of a type, of a campaign, of a channel."""

    def told(event: Event) -> bool:
        found = {name.lower(): value for name, value in event.items()}
        return (
            found["eventtypeid"] == event_type_id
            and campaign_id in (None, found.get("campaignid"))
            and channel_id in (None, found.get("channelid"))
        )

    return told


def eventually(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for a condition, or fail."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)
