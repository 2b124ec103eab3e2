"""What is noted beside the data so that a restore applies it again: see stores.journal.

Persons are named by pseudonyms, and a tenant by its number and a hash of the secret that those are made with.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import structlog

from rapport.access.pseudonyms import pseudonym_secret
from rapport.access.scope import Scope
from rapport.errors import Unavailable

ERASE, ANONYMISE = "erase", "anonymise"
END = "end"  # of keys, users and tokens, by hashes
SUPPRESS, ALLOW, ADDRESSES, PREFERENCE, CONSENT = "suppress", "allow", "addresses", "preference", "consent"
TOPIC = "topic"
EXCLUDE, LIFT = "exclude", "lift"
AT_ONCE = 1000
log = structlog.get_logger("rapport.kept")


def tenant_key(scope: Scope) -> str:
    """What tells a tenant from another of the same number."""
    return hashlib.sha256(f"kept:{pseudonym_secret(scope)}".encode()).hexdigest()[:16]


def keep_removal(scope: Scope, kind: str, marks: Iterable[str]) -> None:
    """Note who is erased or anonymised, by pseudonyms, before it is done. Raises Unavailable."""
    _add(scope, kind, {}, list(marks))


def keep_wish(scope: Scope, kind: str, details: dict[str, Any], marks: Iterable[Any]) -> None:
    """Note what persons said of being written to. A wish is never refused because it cannot be noted."""
    try:
        _add(scope, kind, details, list(marks))
    except Unavailable as error:
        log.error("a wish is not kept beside the data", tenant=scope.tenant_id, reason=error.message)


def _add(scope: Scope, kind: str, details: dict[str, Any], marks: list[Any]) -> None:
    common = {"tenant": scope.tenant_id, "key": tenant_key(scope), "what": kind, **details}
    parts = (marks[begin : begin + AT_ONCE] for begin in range(0, len(marks), AT_ONCE))
    scope.stores.journal.add(scope.clock.now(), [{**common, "of": part} for part in parts])
