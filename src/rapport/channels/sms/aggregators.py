"""Aggregators of the SMS API: how a channel is named to them, how calls are signed, and what a handshake told."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.access.secrets import tenant_secret
from rapport.channels.sms.models import SmsAggregator
from rapport.errors import NotFound
from rapport.hosts import checked_url

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
IDENTIFIER = re.compile(r"[0-9a-z]{1,13}", re.IGNORECASE)
CHANNEL_BITS, TENANT_BITS = 31, 31
SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")


def identifier(tenant_id: int, channel_id: int) -> str:
    """A channel (the application) and its tenant in one text of base 36."""
    number, digits = tenant_id << CHANNEL_BITS | channel_id, ""
    while number:
        number, digit = divmod(number, len(DIGITS))
        digits = DIGITS[digit] + digits
    return digits


def named(text: str) -> tuple[int, int]:
    """The tenant and the channel that an identifier names. Raises NotFound for a text that is none."""
    number = int(text, len(DIGITS)) if IDENTIFIER.fullmatch(text) else 0
    tenant_id, channel_id = number >> CHANNEL_BITS, number & (1 << CHANNEL_BITS) - 1
    if not (0 < tenant_id < 1 << TENANT_BITS and channel_id):
        raise NotFound("There is no such SMS channel.")
    return tenant_id, channel_id


def signature(secret: str, body: bytes) -> str:
    """The header x-hub-signature of a body."""
    return f"sha256={hmac.digest(secret.encode(), body, 'sha256').hex()}"


def is_signed(secret: str, body: bytes, header: str) -> bool:
    """Whether a header x-hub-signature is that of a body."""
    return bool(secret and SIGNATURE.fullmatch(header)) and hmac.compare_digest(signature(secret, body), header)


@dataclass(frozen=True)
class Aggregator:
    """Where an aggregator takes messages of a channel, and by which key."""

    channel_id: int
    send_url: str
    api_key: str
    connected_at: datetime


def shake_hands(scope: Scope, channel_id: int, secret: str, send_url: str, api_key: str) -> None:
    """Keep what an aggregator told for a channel with a secret. Raises Invalid for an address that is not allowed."""
    allow_private = scope.stores.settings.allow_private_addresses
    send_url = checked_url(send_url, "campaignSendUrl", allow_private=allow_private)
    key = {"tenant_id": scope.tenant_id, "channel_id": channel_id}
    values = {
        "account": _account(scope, secret),
        "send_url": send_url,
        "api_key": api_key,
        "connected_at": scope.clock.now(),
    }
    with scope.records() as session:
        statement = insert(SmsAggregator).values(**key, **values)
        session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
        scope.audit(session, "connect", f"aggregator of channel {channel_id}")


def aggregator_of(scope: Scope, secret: str, channel_id: int = 0) -> Aggregator | None:
    """The aggregator that shook hands with a secret, for the channel if several did; None where none did."""
    query = select(SmsAggregator).where(
        SmsAggregator.tenant_id == scope.tenant_id, SmsAggregator.account == _account(scope, secret)
    )
    with scope.reads() as session:
        rows = list(session.scalars(query.order_by(SmsAggregator.channel_id)))
    row = next((row for row in rows if row.channel_id == channel_id), rows[0] if rows else None)
    return None if row is None else Aggregator(row.channel_id, row.send_url, row.api_key, row.connected_at)


def _account(scope: Scope, secret: str) -> str:
    return hashlib.sha256(f"{tenant_secret(scope, 'sms aggregators')}/{secret}".encode()).hexdigest()
