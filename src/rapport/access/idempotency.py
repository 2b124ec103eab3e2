"""Answers kept for 24 hours under a caller's Idempotency-Key, so that a repeated request is not carried out again."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import timedelta

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert

from rapport.access.models import IdempotentAnswer
from rapport.access.scope import Scope
from rapport.errors import Conflict, RapportError

KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=10)  # a request still without an answer after this died with its process
LONGEST_KEY = 255


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
    under way.
    """
    now = scope.clock.now()
    mine = IdempotentAnswer.tenant_id == scope.tenant_id
    values = {"tenant_id": scope.tenant_id, "key": key, "fingerprint": print_, "created_at": now}
    with scope.records() as session:
        abandoned = IdempotentAnswer.status.is_(None) & (IdempotentAnswer.created_at < now - ABANDONED)
        session.execute(delete(IdempotentAnswer).where(mine, abandoned | (IdempotentAnswer.created_at < now - KEPT)))
        claim = insert(IdempotentAnswer).values(**values, content_type="", body=b"").on_conflict_do_nothing()
        if session.scalar(claim.returning(IdempotentAnswer.tenant_id)) is not None:
            return None
        found = session.get_one(IdempotentAnswer, (scope.tenant_id, key))
    if found.fingerprint != print_:
        raise AnotherRequest("The Idempotency-Key was used for another request within 24 hours.")
    if found.status is None:
        raise Conflict("A request with this Idempotency-Key is still under way: try again when it has ended.")
    try:
        body = _seal(secret).decrypt(found.body)
    except InvalidToken as error:
        raise AnotherRequest("The Idempotency-Key was used with another API key within 24 hours.") from error
    return Answer(found.status, found.content_type, body)


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
