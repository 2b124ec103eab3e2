"""Answers kept for 24 hours under a caller's Idempotency-Key, so that a repeated request is not carried out again."""

import base64
import hashlib
import math
from dataclasses import dataclass
from datetime import timedelta

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.models import IdempotentAnswer
from rapport.access.scope import Scope
from rapport.errors import Conflict, RapportError, TooManyRequests

KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=10)  # a request still without an answer after this died with its process
LONGEST_KEY = 255
# What is kept of a tenant at most. A new key beyond is refused: dropping the oldest answer would carry its request out
# twice when it is repeated.
MOST_KEYS = 20_000
MOST_BYTES = 64 * 1024 * 1024


class AnotherRequest(RapportError):
    """A key that was used for another request (422)."""

    status = 422


@dataclass(frozen=True)
class Answer:
    """A response as it went out."""

    status: int
    content_type: str
    body: bytes


class Fingerprint:
    """What makes two requests the same: method, path with query, body, which comes in parts."""

    def __init__(self, method: str, target: str) -> None:
        self._digest = hashlib.sha256(b"\0".join((method.encode(), target.encode(), b"")))

    def add(self, part: bytes) -> None:
        """Take in a part of the body."""
        self._digest.update(part)

    def __str__(self) -> str:
        return self._digest.hexdigest()


def _seal(secret: str) -> Fernet:
    """Only the caller's secret opens what is kept: an answer may hold an API key, shown once."""
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"idempotency:{secret}".encode()).digest()))


def begin(scope: Scope, key: str, print_: str, secret: str) -> Answer | None:
    """Claim a key, or the answer that was given under it.

    Raises AnotherRequest when the key was used for something else or by another caller, Conflict while the first is
    under way, TooManyRequests for a new key when as much is kept of the tenant as may be.
    """
    now = scope.clock.now()
    mine = IdempotentAnswer.tenant_id == scope.tenant_id
    values = {"tenant_id": scope.tenant_id, "key": key, "fingerprint": print_, "created_at": now}
    with scope.records() as session:
        abandoned = IdempotentAnswer.status.is_(None) & (IdempotentAnswer.created_at < now - ABANDONED)
        session.execute(delete(IdempotentAnswer).where(mine, abandoned | (IdempotentAnswer.created_at < now - KEPT)))
        claim = insert(IdempotentAnswer).values(**values, content_type="", body=b"").on_conflict_do_nothing()
        if session.scalar(claim.returning(IdempotentAnswer.tenant_id)) is not None:
            _require_room(scope, session)
            return None
        stored = session.get_one(IdempotentAnswer, (scope.tenant_id, key))
    if stored.fingerprint != print_:
        raise AnotherRequest("The Idempotency-Key was used for another request within 24 hours.")
    if stored.status is None:
        raise Conflict("A request with this Idempotency-Key is still under way: try again when it has ended.")
    try:
        body = _seal(secret).decrypt(stored.body)
    except InvalidToken as error:
        raise AnotherRequest("The Idempotency-Key was used with another API key within 24 hours.") from error
    return Answer(stored.status, stored.content_type, body)


def _require_room(scope: Scope, session: Session) -> None:
    """Raises TooManyRequests when too much is kept, with the key that was just claimed; the claim ends with it."""
    measured = select(
        func.count(),
        func.coalesce(func.sum(func.octet_length(IdempotentAnswer.body)), 0),
        func.min(IdempotentAnswer.created_at),
    ).where(IdempotentAnswer.tenant_id == scope.tenant_id)
    keys, size, oldest = session.execute(measured).one()
    if keys <= MOST_KEYS and size <= MOST_BYTES:
        return
    wait = max(1, math.ceil((oldest + KEPT - scope.clock.now()).total_seconds()))
    raise TooManyRequests(
        f"Responses under Idempotency-Keys are kept for {KEPT // timedelta(hours=1)} hours, at most {MOST_KEYS:,} "
        f"and {MOST_BYTES // 1024**2} MB per tenant: try again when the oldest has expired, or leave the header out.",
        wait,
    )


def finish(scope: Scope, key: str, answer: Answer | None, secret: str) -> None:
    """Keep the answer of a claimed key; None (the request failed on our side) frees the key."""
    mine = (IdempotentAnswer.tenant_id == scope.tenant_id, IdempotentAnswer.key == key)
    with scope.records() as session:
        if answer is None:
            session.execute(delete(IdempotentAnswer).where(*mine))
            return
        values = {"status": answer.status, "content_type": answer.content_type}
        sealed = _seal(secret).encrypt(answer.body)
        session.execute(update(IdempotentAnswer).where(*mine).values(**values, body=sealed))
