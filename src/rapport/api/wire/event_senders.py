"""Who sends an event: a server or a vendor that holds a secret token of a tenant, or an app that has the public one."""

import hashlib
import hmac
import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from anyio.to_thread import run_sync
from fastapi import Request

from rapport.api.http.parameters import INT32_MAX
from rapport.errors import Forbidden, Invalid, RapportError, TooLarge, Unauthorized
from rapport.realtime.events import reading, user_jwts, visitors
from rapport.realtime.events.directory import Directory, IntakeTenant
from rapport.realtime.events.reading import RawEvent
from rapport.realtime.events.storing import Incoming
from rapport.realtime.events.tokens import SDK_TOKEN, SERVER_TOKEN, VENDOR_TOKEN
from rapport.realtime.events.validation import TENANT_FAULT

T = TypeVar("T")
MOST_BYTES = 2 * 1024 * 1024
VERSION, SIGNATURE = "1", "x-optimove-signature-content"
USER_JWT, CAN_PROVE = "x-user-jwt", "x-optimove-auth-capable"
HOST = re.compile(r"metric-([0-9]+)\.", re.IGNORECASE)
GZIP = {"gzip", "x-gzip"}
ZLIB_OF_GZIP = 16 + zlib.MAX_WBITS
NO_TENANT = 0  # a number that is read and is never a tenant's
# Reading and checking what a body holds takes tens of milliseconds, in which nothing else is answered, when it is all
# small things. Commas and brackets in texts count as well.
MOST_COMMAS, MOST_OBJECTS = 100_000, 20_000
# A body of so many bytes is read and checked on the event loop, in two or three milliseconds; a longer one in one of a
# few threads that there are for it.
SHORT, THREADS = 48 * 1024, 4
TOO_LARGE = f"The body is larger than {MOST_BYTES} bytes."
UNKNOWN = "The token or the signature is not one of this tenant."


class UnknownEncoding(RapportError):
    """A body that is packed in a way that the intake does not know (415)."""

    status = 415


async def aside(request: Request, work: Callable[..., T], *arguments: Any) -> T:
    """The outcome of work that would hold up the event loop, from one of the threads that there are for it."""
    return await run_sync(work, *arguments, limiter=request.app.state.reading)


async def body_of(request: Request) -> bytes:
    """The bytes of a request, unpacked, as long as they are few enough. Raises TooLarge, UnknownEncoding."""
    encoding = ", ".join(request.headers.getlist("content-encoding")).strip().lower()
    if encoding not in {"", "identity"} | GZIP:
        raise UnknownEncoding("Content-Encoding must be gzip or left out.")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MOST_BYTES:
        raise TooLarge(TOO_LARGE)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise TooLarge(TOO_LARGE)
        parts.append(part)
    body = b"".join(parts)
    return await aside(request, _unpacked, body) if encoding in GZIP else body


def _unpacked(body: bytes) -> bytes:
    """The bytes within gzip; as they came if they are none: not JSON, or unpacked on the way. Raises TooLarge."""
    unpacking = zlib.decompressobj(ZLIB_OF_GZIP)
    try:
        unpacked = unpacking.decompress(body, MOST_BYTES + 1)
    except zlib.error:
        return body
    if len(unpacked) > MOST_BYTES:
        raise TooLarge(TOO_LARGE)
    return unpacked if unpacking.eof and not unpacking.unused_data else body


async def events_of(request: Request, body: bytes) -> RawEvent | list[RawEvent] | None:
    """The event of a body, or the events of an array; None when no event of it can be read. Raises TooLarge."""
    raw_events = _read(body) if len(body) <= SHORT else await aside(request, _read, body)
    return await aside(request, reading.read_roughly, body) if raw_events is None else raw_events


def _read(body: bytes) -> RawEvent | list[RawEvent] | None:
    if body.count(b",") > MOST_COMMAS or body.count(b"{") + body.count(b"[") > MOST_OBJECTS:
        raise TooLarge(f"The body has more than {MOST_COMMAS} commas, or {MOST_OBJECTS} objects and lists.")
    return reading.read(body)


async def app_of(request: Request, token: str) -> IntakeTenant:
    """The tenant whose public token stands in the path. Raises Unauthorized."""
    directory: Directory = request.app.state.directory
    tenant = await directory.by_token(SDK_TOKEN, token)
    if tenant is None:
        raise Unauthorized("The tenant token is unknown.")
    return tenant


def user_of(request: Request, tenant: IntakeTenant) -> str | None:
    """The customer whom an app's X-User-JWT proves its user to be, as a person id; None when it brings none.

    It is looked at only where the tenant has keys for it. Raises Unauthorized; and Forbidden for a page of a site that
    is none of the tenant's.
    """
    origin = request.headers.get("origin")
    if origin is not None and not tenant.settings.admits(origin):
        raise Forbidden("Pages of this site may not call: its host is not in the tenant setting events.sites.")
    token = request.headers.get(USER_JWT, "").strip()
    return user_jwts.subject(token, tenant.user_keys).lower() if tenant.user_keys and token else None


def verify(request: Request, tenant: IntakeTenant, user: str | None, events: Iterable[Incoming]) -> None:
    """Mark the events of the user, when it is proved who that is. Raises Unauthorized for events of another customer.

    Events of nobody known need no proof. Those of customers do where the SDK says that it can bring one, and where the
    tenant does not let others be.
    """
    for event in events:
        expect_proof(request, tenant, user, visitors.customers_named(event.event, event.customer_id, event.parameters))
        event.verified = user is not None and event.customer_id.lower() == user


def expect_proof(request: Request, tenant: IntakeTenant, user: str | None, named: set[str]) -> None:
    """Refuse events that name persons, in lower case, other than the user who is proved. Raises Unauthorized."""
    if user is None:
        able = request.headers.get(CAN_PROVE) == "1" or not tenant.settings.apps_without_jwt
        if tenant.user_keys and named and able:
            raise Unauthorized("X-User-JWT is missing: the events name a customer.")
    elif named - {user}:
        raise Unauthorized("X-User-JWT is of another customer than the events name.")


async def holder_of_token(request: Request) -> IntakeTenant | None:
    """The tenant of a server that shows a token, None for one that signs instead; no body is read for it.

    Raises Unauthorized for a token that is not good, and for neither of the two.
    """
    token = request.headers.get("authorization-token") or request.headers.get("x-api-key") or ""
    queried = "" if token else request.query_params.get("token", "")
    if not (token or queried):
        if SIGNATURE not in request.headers:
            raise Unauthorized("The token, or a signature, is missing.")
        return None
    directory: Directory = request.app.state.directory
    tenant = await directory.by_token(SERVER_TOKEN, token or queried)
    if tenant is None or (queried and not tenant.settings.allow_query_token):
        raise Unauthorized(UNKNOWN)
    return tenant


async def server_of(
    request: Request, holder: IntakeTenant | None, body: bytes, raw_events: RawEvent | list[RawEvent] | None
) -> IntakeTenant:
    """The tenant of a server: by its token, or by the tenant that a signed body names. Raises Unauthorized, Invalid."""
    tenant = holder or await _named(request, raw_events)
    if SIGNATURE in request.headers:
        await _check_signature(request, body, tenant, SERVER_TOKEN)
    elif tenant.settings.require_signature:
        raise Unauthorized("Events of this tenant must be signed.")
    return tenant


async def _named(request: Request, raw_events: RawEvent | list[RawEvent] | None) -> IntakeTenant:
    number = tenant_number(raw_events)
    if number is None:
        raise Invalid(TENANT_FAULT)
    return await _numbered(request.app.state.directory, number)


async def _numbered(directory: Directory, number: int) -> IntakeTenant:
    tenant = await directory.tenant(number) if NO_TENANT < number <= INT32_MAX else None
    if tenant is None:
        raise Unauthorized(UNKNOWN)
    return tenant


def expect_signature(request: Request) -> None:
    """Refuse a vendor who does not sign; no body is read for it. Raises Unauthorized."""
    if SIGNATURE not in request.headers:
        raise Unauthorized("The signature is missing.")


async def vendor_of(request: Request, body: bytes, tenant_id: int | None) -> tuple[IntakeTenant, bool]:
    """The tenant of an outside vendor, and whether it signed with the token of vendors, not with a server's.

    Raises Unauthorized, Invalid.
    """
    expect_signature(request)
    if tenant_id is None:
        raise Invalid(TENANT_FAULT)
    tenant = await _numbered(request.app.state.directory, tenant_id)
    return tenant, await _check_signature(request, body, tenant, VENDOR_TOKEN, SERVER_TOKEN) == VENDOR_TOKEN


def tenant_number(raw_events: RawEvent | list[RawEvent] | None) -> int | None:
    """The tenant that a body's first event names, None when it names none; any number is one, also no tenant's."""
    named = next((_tenant(value) for value in reading.values(raw_events) if isinstance(value, dict)), None)
    if isinstance(named, str):
        return number_of(named) if named.isascii() and named.isdigit() else None
    if isinstance(named, float):  # a whole number beyond 64 bits is read as one
        return int(named) if named.is_integer() else None
    return named if isinstance(named, int) and not isinstance(named, bool) else None


def _tenant(event: dict[str, Any]) -> Any:
    return event.get("tenant", event.get("tenantId"))


def number_of(digits: str) -> int:
    """A tenant's number as it is written; one that is none, or longer than any, is nobody's."""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 11 else NO_TENANT


def host_number(request: Request) -> int | None:
    """The tenant that the host's first label names (metric-<tenant>.…), None when it names none."""
    match = HOST.match(request.headers.get("host", ""))
    return number_of(match[1]) if match else None


def body_id(request: Request) -> str:
    """What tells a repetition of a body whose events have no ids: its signature or, unsigned, the Idempotency-Key.

    A header is no part of what is signed: by the key, whoever repeats a signed body could make a new one of it.
    """
    signature = request.headers.get(SIGNATURE, "").strip().lower()
    return f"signature {signature}" if signature else request.headers.get("idempotency-key", "")


async def _check_signature(request: Request, body: bytes, tenant: IntakeTenant, *kinds: str) -> str:
    """The kind, of these, of the tenant's token that a body is signed with. Raises Unauthorized when it is none."""
    signature = request.headers[SIGNATURE].strip().lower().encode("utf-8", "replace")

    def fitting() -> list[str]:
        return [
            kind
            for kind in kinds
            for token in tenant.tokens[kind]
            if hmac.compare_digest(hmac.new(token.encode(), body, hashlib.sha256).hexdigest().encode(), signature)
        ]

    good = fitting() if len(body) <= SHORT else await aside(request, fitting)
    if request.headers.get("x-optimove-signature-version", VERSION) != VERSION or not good:
        raise Unauthorized(UNKNOWN)
    return good[0]
