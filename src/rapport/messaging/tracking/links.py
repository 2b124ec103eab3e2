"""The addresses that tracked links lead to: kept once a tenant, by number, and never changed.

A link in a message has the number, so a template may change and the links of messages that were sent before still lead
where they did. Nobody from outside can add an address.
"""

import hashlib
from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.errors import NotFound
from rapport.messaging.models import TrackedLink
from rapport.stores.records import Records, hold, next_id

MOST_KNOWN = 100_000


class _Known:
    """Rows that this process has read, which never change: addresses by tenant and number, numbers by digest."""

    def __init__(self) -> None:
        self.urls: dict[tuple[int, int], str] = {}
        self.numbers: dict[tuple[int, str], int] = {}

    def add(self, tenant_id: int, number: int, digest: str, url: str) -> None:
        """Keep a row; all are forgotten when there are very many."""
        if len(self.urls) >= MOST_KNOWN:
            self.urls.clear()
            self.numbers.clear()
        self.urls[tenant_id, number], self.numbers[tenant_id, digest] = url, number


_KNOWN: WeakKeyDictionary[Records, _Known] = WeakKeyDictionary()


def link_ids(scope: Scope, urls: Sequence[str]) -> dict[str, int]:
    """The numbers of addresses, by address; those that are new are entered."""
    known = _known(scope)
    by_digest = {_digest(url): url for url in urls}
    numbers = {digest: known.numbers.get((scope.tenant_id, digest), 0) for digest in by_digest}
    missing = [digest for digest, number in numbers.items() if not number]
    if missing:
        entered = _entered(scope, {digest: by_digest[digest] for digest in missing})
        numbers |= entered
        for digest, number in entered.items():
            known.add(scope.tenant_id, number, digest, by_digest[digest])
    return {url: numbers[digest] for digest, url in by_digest.items()}


def _entered(scope: Scope, by_digest: Mapping[str, str]) -> dict[str, int]:
    """The numbers of addresses in the records, by digest; those that are not there are entered."""
    query = select(TrackedLink.digest, TrackedLink.id).where(
        TrackedLink.tenant_id == scope.tenant_id, TrackedLink.digest.in_(list(by_digest))
    )
    with scope.records() as session:
        numbers = {str(digest): int(number) for digest, number in session.execute(query)}
        if len(numbers) < len(by_digest):
            hold(session, scope.tenant_id, "tracked links")
            numbers = {str(digest): int(number) for digest, number in session.execute(query)}
        for digest in (digest for digest in by_digest if digest not in numbers):
            numbers[digest] = next_id(session, scope.tenant_id, "tracked link")
            row = {"tenant_id": scope.tenant_id, "id": numbers[digest], "url": by_digest[digest], "digest": digest}
            session.add(TrackedLink(**row, created_at=scope.clock.now()))
    return numbers


def destination(scope: Scope, link_id: int) -> str:
    """The address that a number stands for. Raises NotFound."""
    known, place = _known(scope), (scope.tenant_id, link_id)
    if place not in known.urls:
        with scope.reads() as session:
            row = session.get(TrackedLink, place)
        if row is None:
            raise NotFound("This address is not valid.")
        known.add(scope.tenant_id, link_id, row.digest, row.url)
    return known.urls[place]


def _known(scope: Scope) -> _Known:
    return _KNOWN.setdefault(scope.stores.records, _Known())


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()
