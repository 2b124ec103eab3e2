"""Push tokens as apps give them: checked, and written in the one way in which they are compared."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from rapport.apps.states import TokenType
from rapport.errors import Invalid

HEXADECIMAL = re.compile(r"(?:[0-9a-f]{2}){8,200}")
REGISTRATION = re.compile(r"[\x21-\x7e]{1,4096}")
# What a device token of APNs is wrapped in when an app passes on how it is printed.
WRAPPING = str.maketrans("", "", "<> ")
LONGEST_ENDPOINT = 2000
# A point of P-256 that is not compressed, and a random secret (RFC 8291).
POINT_BYTES, SECRET_BYTES = 65, 16


@dataclass(frozen=True)
class PushToken:
    """A push token. key names it within its app: of a web push subscription by its endpoint, whose keys may change."""

    type: TokenType
    token: str
    key: str


def token_of(token_type: Any, token: Any, *, plain_http: bool = False) -> PushToken:
    """A token of one of the types, as the wire gives it. Raises Invalid.

    The token of web push is a PushSubscription, as an object or as its JSON. plain_http: its endpoint need not be
    HTTPS.
    """
    kind = _type_of(token_type)
    if kind is TokenType.WEB_PUSH:
        subscription = _subscription(token, plain_http=plain_http)
        return PushToken(kind, orjson.dumps(subscription).decode(), _key(kind, subscription["endpoint"]))
    if not isinstance(token, str):
        raise Invalid("token must be a text.")
    if kind in (TokenType.APNS, TokenType.SAFARI):
        text = token.translate(WRAPPING).lower()
        fits = HEXADECIMAL.fullmatch(text)
    else:
        text = token.strip()
        fits = REGISTRATION.fullmatch(text)
    if not fits:
        raise Invalid(f"token is not a token of type {kind.value}.")
    return PushToken(kind, text, _key(kind, text))


def _type_of(token_type: Any) -> TokenType:
    try:
        return TokenType(int(token_type) if isinstance(token_type, str) and token_type.isascii() else token_type)
    except ValueError as error:
        raise Invalid("type must be 1 (APNs), 2 (FCM), 3 (web push), 4 (Safari) or 5 (HMS).") from error


def _key(kind: TokenType, text: str) -> str:
    return hashlib.sha256(f"{kind.value} {text}".encode()).hexdigest()


def _subscription(token: Any, *, plain_http: bool) -> dict[str, Any]:
    """A PushSubscription with the members that a push needs. Raises Invalid."""
    try:
        subscription = orjson.loads(token) if isinstance(token, str) else token
    except orjson.JSONDecodeError as error:
        raise Invalid("token of type 3 must be a PushSubscription.") from error
    keys = subscription.get("keys") if isinstance(subscription, dict) else None
    if not isinstance(keys, Mapping):
        raise Invalid("token of type 3 must be a PushSubscription with endpoint and keys.")
    schemes = ("https", "http") if plain_http else ("https",)
    return {
        "endpoint": _endpoint(subscription.get("endpoint"), schemes),
        "keys": {
            "p256dh": _bytes_of(keys.get("p256dh"), "keys.p256dh", POINT_BYTES),
            "auth": _bytes_of(keys.get("auth"), "keys.auth", SECRET_BYTES),
        },
    }


def _endpoint(endpoint: Any, schemes: tuple[str, ...]) -> str:
    fits = isinstance(endpoint, str) and len(endpoint) <= LONGEST_ENDPOINT and REGISTRATION.fullmatch(endpoint)
    try:
        parts = urlsplit(endpoint if fits else "")
        has_host = bool(parts.hostname) and parts.username is None and parts.password is None and parts.port != 0
    except ValueError:
        has_host = False
    if not has_host or parts.scheme not in schemes:
        raise Invalid("endpoint of the PushSubscription must be an HTTPS address.")
    return str(endpoint)


def _bytes_of(text: Any, member: str, length: int) -> str:
    """A member of the keys, in base64url without padding. Raises Invalid."""
    try:
        plain = str(text).rstrip("=").replace("+", "-").replace("/", "_")
        content = base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if len(content) != length:
        raise Invalid(f"{member} of the PushSubscription must be {length} bytes in base64url.")
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
