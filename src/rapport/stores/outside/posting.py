"""Signed POSTs to addresses that tenants give: to the very address that was checked; redirects are not followed."""

import asyncio
import base64
import functools
import hashlib
import hmac
import secrets as randomness
import select
import ssl
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpcore
import httpx
from standardwebhooks import Webhook

from rapport.errors import Invalid
from rapport.hosts import resolve_public

TIMEOUT_SECONDS = 10.0
MAX_ANSWER_BYTES = 64 * 1024
MAX_RETRY_AFTER = timedelta(hours=24)
# After a rotation posts are signed with both secrets, so that the far end can change over; for so long unless told.
GRACE_HOURS = 24.0
LONGEST_GRACE_HOURS = 24.0 * 90
# The error of an answer where nobody could be asked at all.
REFUSED = "connection refused"


@dataclass(frozen=True)
class Answer:
    """What the far end answered: a status, or an error in few words when there was none.

    body is None when there was no answer or one longer than MAX_ANSWER_BYTES. asked is false where nobody could be:
    then the post was certainly not taken.
    """

    status: int | None
    error: str = ""
    retry_after: timedelta | None = None
    body: bytes | None = None
    asked: bool = True

    @property
    def ok(self) -> bool:
        """Whether the post was taken."""
        return self.status is not None and 200 <= self.status < 300


def new_secret() -> str:
    """A signing secret in the form of the Standard Webhooks specification: whsec_ and 32 bytes in base64."""
    return "whsec_" + base64.b64encode(randomness.token_bytes(32)).decode()


def signed_headers(message_id: str, body: str, at: datetime, secrets: Iterable[str]) -> dict[str, str]:
    """Standard Webhooks headers, a signature a secret; and the reference's own pair with the first secret.

    X-Optimove-Signature-Content is the HMAC-SHA256 of the body, keyed with the secret's text, in hex.
    """
    keys = list(secrets)
    legacy = hmac.new(keys[0].encode(), body.encode(), hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "Rapport",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(message_id, at, body) for key in keys),
        "X-Optimove-Signature-Content": legacy,
        "X-Optimove-Signature-Version": "1",
    }


class _Stream(httpcore.AsyncNetworkStream):
    """A stream that tells quickly whether something has come on it: that is asked of all kept ones at every post."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self._arrivals = select.poll()
        self._arrivals.register(inner.get_extra_info("socket"), select.POLLIN)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come."""
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send."""
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close."""
        await self._inner.aclose()

    async def start_tls(self, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        """The same, encrypted from here on."""
        return _Stream(await self._inner.start_tls(*args, **options))

    def get_extra_info(self, info: str) -> Any:
        """What is known of the connection; an idle one on which something has come was closed by the far end."""
        return bool(self._arrivals.poll(0)) if info == "is_readable" else self._inner.get_extra_info(info)


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections only to addresses that pass the check, resolving a name for each connection.

    Connections that are opened at the same time to one host share its resolution, so that a name which
    takes long to resolve holds one resolver and not all of them.
    """

    def __init__(self, resolvers: Executor, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._resolvers = resolvers
        self._resolving: dict[str, asyncio.Future[str]] = {}
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        """Connect to the checked address of a host. Raises Invalid for one that is not allowed."""
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        # Whoever gives up waiting leaves the resolution to the others.
        address = await asyncio.shield(self._resolving.get(url) or self._resolve(url))
        return _Stream(await self._inner.connect_tcp(address, port, *args, **options))

    def _resolve(self, url: str) -> asyncio.Future[str]:
        loop = asyncio.get_running_loop()
        resolve = functools.partial(resolve_public, url, allow_private=self._allow_private)
        resolving = loop.run_in_executor(self._resolvers, resolve)
        self._resolving[url] = resolving
        resolving.add_done_callback(lambda done: self._resolved(url, done))
        return resolving

    def _resolved(self, url: str, done: asyncio.Future[str]) -> None:
        del self._resolving[url]
        if not done.cancelled():
            done.exception()  # taken note of, although everybody may have given up waiting

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The machine's certificates, read once a process: that takes longer than a post."""
    return ssl.create_default_context()


class Poster:
    """Posts over kept connections; used inside one event loop."""

    def __init__(self, resolvers: Executor, timeout: float = TIMEOUT_SECONDS, *, allow_private: bool) -> None:
        self._timeout = timeout
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_certificates(),
            max_connections=None,
            max_keepalive_connections=50,
            keepalive_expiry=15,
            network_backend=CheckedBackend(resolvers, allow_private=allow_private),
        )

    async def post(self, url: str, headers: dict[str, str], body: bytes, timeout: float | None = None) -> Answer:
        """Post once, in at most timeout seconds altogether. Whatever goes wrong is told in the answer."""
        try:
            return await asyncio.wait_for(self._exchange(url, headers, body), timeout or self._timeout)
        except (TimeoutError, httpcore.TimeoutException):
            return Answer(None, "no answer in time")
        except Invalid as error:
            return Answer(None, error.message, asked=False)
        except httpcore.ConnectError:
            return Answer(None, REFUSED, asked=False)
        except Exception as error:  # the far end can cause anything; the queue must go on
            return Answer(None, f"exchange failed: {type(error).__name__}")

    async def _exchange(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = httpx.URL(url)
        target = httpcore.URL(scheme=parts.raw_scheme, host=parts.raw_host, port=parts.port, target=parts.raw_path)
        framing = {"Host": parts.netloc.decode("ascii"), "Content-Length": str(len(body))}
        sent = [*framing.items(), *_credentials(parts).items(), *headers.items()]
        async with self._pool.stream("POST", target, headers=sent, content=body) as response:
            answered = await _bounded(response)
            answered_headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        error = "" if 200 <= response.status < 300 else f"answered {response.status}"
        wait = retry_after(answered_headers.get(b"retry-after", ""), answered_headers.get(b"date", ""))
        return Answer(response.status, error, wait, answered)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


def _credentials(url: httpx.URL) -> dict[str, str]:
    """The user name and password of a URL as a header (RFC 7617)."""
    if not url.userinfo:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode()}


async def _bounded(response: httpcore.Response) -> bytes | None:
    """The body of an answer; None for one that is too long, the rest of which is not read."""
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            return None
    return bytes(body)


def retry_after(value: str, date: str) -> timedelta | None:
    """The wait that a Retry-After header asks for: seconds, or a date against the answer's own Date (RFC 9110)."""
    try:
        if value.strip().isdigit():
            wait = timedelta(seconds=min(int(value), 10**8))
        else:
            wait = parsedate_to_datetime(value) - parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return None
    return min(max(wait, timedelta()), MAX_RETRY_AFTER)
