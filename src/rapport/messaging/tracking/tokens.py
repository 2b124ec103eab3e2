"""Signed tokens that name one message: in tracked links, in the pixel, in the link that shows the message in a browser,
in the return path and for mail providers.

A token has a form, what the message was sent for, the version of the secret, the tenant, the number of what it was sent
for, its channel and template, and the beginning of its message id. One of a link also has the time at which the message
was written and the customer, so that an open or a click is recorded without a search. One that shows the message has
the same in a form of its own: people pass tracked links on, and those must not open the message. One of a return path
has to fit into the local part of an address (64 characters, RFC 5321) and to survive servers that change its case, so
it has neither and is written in base32.

All of it is signed with the secret of the tenant's links, which can be rotated; nothing in a token is secret.
"""

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from rapport.access.models import TenantSecret
from rapport.access.scope import Scope, scope_of
from rapport.access.secrets import versions
from rapport.errors import NotFound
from rapport.messaging.contactability.suppressions import UNSUBSCRIBE
from rapport.stores import Stores

# In the first byte: the form, and behind it what the message was sent for.
RETURN_FORM, LINK_FORM, VIEW_FORM, FORMS = 1, 2, 3, 16
# Those of links and reports; a token that shows a message is none of them.
OF_EVENTS = frozenset({RETURN_FORM, LINK_FORM})
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEY_BYTES, SIGNATURE_BYTES, TIME_BYTES = 8, 8, 4
MOST_DIGITS = 10  # of a number written in groups of seven bits
LARGEST_ID = 2**31 - 1
HEXADECIMAL = re.compile(r"[0-9a-f]{40}")
RETURN_TOKEN = re.compile(r"[a-z2-7]{32,64}", re.IGNORECASE)
LINK_TOKEN = re.compile(r"[A-Za-z0-9_-]{35,2000}")
# For so many seconds a process goes by the secrets that it has read: what ends meanwhile is good a little longer.
SECRETS_SECONDS = 30.0


class SentFor(IntEnum):
    """What a message was sent for, as tokens have it: a campaign by its CampaignID, or a transactional send."""

    CAMPAIGN = 1
    TRANSACTIONAL = 2


@dataclass(frozen=True, slots=True)
class MessageToken:
    """The message that something is about. written_at (an instant) and customer_id are known of links only."""

    tenant_id: int
    sent_for: SentFor
    source_id: int
    channel_id: int
    template_id: int
    message_key: str
    written_at: datetime | None = None
    customer_id: str = ""


def message_key(message_id: str) -> str:
    """What a token says of a message id: its first 16 digits, or those of the digest of an id of another form."""
    digits = message_id if HEXADECIMAL.fullmatch(message_id) else hashlib.sha256(message_id.encode()).hexdigest()
    return digits[: 2 * KEY_BYTES]


def newest_secret(scope: Scope) -> TenantSecret:
    """What new tokens of a tenant are signed with."""
    return versions(scope, UNSUBSCRIBE)[0]


class TokenWriter:
    """Writes the tokens of messages that are sent for one purpose on one channel. Get one a batch.

    newest is newest_secret() of the scope, for a caller who needs several. written_at is the instant at which the
    messages were written, if that is not now.
    """

    def __init__(
        self,
        scope: Scope,
        sent_for: SentFor,
        source_id: int,
        channel_id: int,
        template_id: int,
        newest: TenantSecret | None = None,
        written_at: datetime | None = None,
    ) -> None:
        newest = newest or newest_secret(scope)
        self._key = _key(newest.value)
        self._sent_for = sent_for * FORMS
        numbers = (newest.version, scope.tenant_id, source_id, channel_id, template_id)
        self._head = b"".join(map(_number, numbers))
        self._written = int((written_at or scope.clock.now()).timestamp()).to_bytes(TIME_BYTES, "big")

    def return_token(self, message_id: str) -> str:
        """For a return path and for providers: at most 64 characters, letters and digits of any case."""
        body = bytes([self._sent_for + RETURN_FORM]) + self._head + bytes.fromhex(message_key(message_id))
        return _base32(body + _signature(self._key, body))

    def link_token(self, message_id: str, customer_id: str) -> str:
        """For links and the pixel of the message to a customer."""
        return self._token(LINK_FORM, message_id, customer_id)

    def view_token(self, message_id: str, customer_id: str) -> str:
        """For the link that shows the message to a customer in a browser."""
        return self._token(VIEW_FORM, message_id, customer_id)

    def _token(self, form: int, message_id: str, customer_id: str) -> str:
        key = bytes.fromhex(message_key(message_id))
        body = bytes([self._sent_for + form]) + self._head + key + self._written + customer_id.encode()
        return _base64(body + _signature(self._key, body))

    def signed_destination(self, link_token: str, link_id: int, destination: str) -> str:
        """The destination of a link that is not the same for everybody, good for this token and link only."""
        content = destination.encode()
        return _base64(_signature(self._key, _bound(link_token, link_id, content)) + content)


class TokenReader:
    """Reads tokens that come from outside; it keeps the secrets of tenants for a while."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._keys: dict[int, tuple[float, dict[int, bytes]]] = {}

    def read(self, token: str) -> MessageToken:
        """The message of a token. Raises NotFound for one that Rapport did not make, or whose secret has ended."""
        message, _ = self._read(token, OF_EVENTS)
        return message

    def read_view(self, token: str) -> MessageToken:
        """The message that a token shows. Raises NotFound as read does, and for the token of a link or a report."""
        message, _ = self._read(token, frozenset({VIEW_FORM}))
        return message

    def destination(self, token: str, link_id: int, signed: str) -> str:
        """The destination that was signed for a link of a message. Raises NotFound for another."""
        _, key = self._read(token, OF_EVENTS)
        try:
            whole = _from_base64(signed)
        except (ValueError, binascii.Error) as error:
            raise _unknown() from error
        signature, content = whole[:SIGNATURE_BYTES], whole[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, _signature(key, _bound(token, link_id, content))):
            raise _unknown()
        return content.decode()

    def _read(self, token: str, forms: frozenset[int]) -> tuple[MessageToken, bytes]:
        for body, signature in _readings(token, forms):
            with suppress(ValueError, IndexError, KeyError, NotFound):
                return self._verified(body, signature)
        raise _unknown()

    def _verified(self, body: bytes, signature: bytes) -> tuple[MessageToken, bytes]:
        """What a body says, and the key it is signed with. Raises what a text does that is no token, and NotFound."""
        sent_for, form = divmod(body[0], FORMS)
        numbers, at = [], 1
        for _ in range(5):
            number, at = _next_number(body, at)
            numbers.append(number)
        version, tenant_id, source_id, channel_id, template_id = numbers
        key = self._keys_of(tenant_id)[version]
        if not hmac.compare_digest(signature, _signature(key, body)):
            raise _unknown()
        rest = body[at + KEY_BYTES :]
        place = (tenant_id, SentFor(sent_for), source_id, channel_id, template_id, body[at : at + KEY_BYTES].hex())
        if form == RETURN_FORM:
            return MessageToken(*place), key
        written_at = EPOCH + timedelta(seconds=int.from_bytes(rest[:TIME_BYTES], "big"))
        return MessageToken(*place, written_at, rest[TIME_BYTES:].decode()), key

    def _keys_of(self, tenant_id: int) -> dict[int, bytes]:
        """By version, the keys of a tenant that are good. Raises NotFound for an unknown tenant."""
        if tenant_id > LARGEST_ID:
            raise _unknown()
        read_at, keys = self._keys.get(tenant_id, (0.0, {}))
        if not keys or time.monotonic() - read_at > SECRETS_SECONDS:
            scope = scope_of(self._stores, tenant_id, actor="mail")
            keys = {secret.version: _key(secret.value) for secret in versions(scope, UNSUBSCRIBE)}
            self._keys[tenant_id] = time.monotonic(), keys
        return keys


def _unknown() -> NotFound:
    return NotFound("This address is not valid.")


def _key(secret: str) -> bytes:
    """The key of tokens: of the secret of links, and of no use for anything else that is signed with that."""
    return hmac.digest(secret.encode(), b"message tokens", "sha256")


def _signature(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:SIGNATURE_BYTES]


def _bound(link_token: str, link_id: int, content: bytes) -> bytes:
    # Of three letters, where a token has its form: no token's body is what is signed here.
    return f"to/{link_token}/{link_id}/".encode() + content


def _readings(token: str, forms: frozenset[int]) -> Iterator[tuple[bytes, bytes]]:
    """Body and signature of a token of some forms; none for a text that is no token.

    The token of a link may consist of the letters of a return path and be read as both: its signature tells.
    """
    if RETURN_FORM in forms and RETURN_TOKEN.fullmatch(token):
        with suppress(binascii.Error):
            whole = base64.b32decode(token.upper() + "=" * (-len(token) % 8))
            if whole[0] % FORMS == RETURN_FORM and _base32(whole) == token.lower():
                yield whole[:-SIGNATURE_BYTES], whole[-SIGNATURE_BYTES:]
    if LINK_TOKEN.fullmatch(token):
        with suppress(binascii.Error):
            whole = _from_base64(token)
            if whole[0] % FORMS in forms - {RETURN_FORM} and _base64(whole) == token:
                yield whole[:-SIGNATURE_BYTES], whole[-SIGNATURE_BYTES:]


def _number(value: int) -> bytes:
    """A number in groups of seven bits, the lowest first; all but the last byte have the eighth bit."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _next_number(body: bytes, at: int) -> tuple[int, int]:
    """The number at a position and the position behind it."""
    value = 0
    for digit in range(MOST_DIGITS):
        byte = body[at + digit]
        value |= (byte & 0x7F) << 7 * digit
        if byte < 0x80:
            return value, at + digit + 1
    raise ValueError("no number")


def _base32(content: bytes) -> str:
    return base64.b32encode(content).decode().rstrip("=").lower()


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
