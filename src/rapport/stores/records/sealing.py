"""Secrets at rest: columns of the records that are sealed with a key from outside the data folder.

A sealed value is `sealed:<id of the key>:<nonce and AES-256-GCM text, base64>`, bound to its column. Without a key
values are stored as they are; with several the first seals and all open, so that a key can be replaced.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from rapport.errors import Unavailable
from rapport.settings import Settings

PREFIX = "sealed:"
ESCAPE = "plain:"  # before a value that is not sealed and looks as if it were
SEALED = re.compile(r"sealed:[0-9a-f]{8}:[A-Za-z0-9_-]+={0,2}")
SHORTEST_KEY = 32
NONCE_BYTES = 12
GIVEN = "sealing_keys"  # of an engine's dialect, which is what types of columns get to see
LENGTH = 300  # of a column whose values have up to 100 characters
NO_KEY = "secrets in the records are not sealed: set RAPPORT_SECRET_KEY or RAPPORT_SECRET_KEY_FILE"


@dataclass(frozen=True)
class Key:
    """A key with the id by which sealed values name it."""

    id: str
    cipher: AESGCM


def key_of(secret: str) -> Key:
    """The key that an operator's text stands for. Raises Unavailable for one that is too short."""
    if len(secret) < SHORTEST_KEY:
        raise Unavailable(f"A key in RAPPORT_SECRET_KEY must have at least {SHORTEST_KEY} characters.")
    derived = hashlib.sha256(b"rapport sealing " + secret.encode()).digest()
    return Key(hashlib.sha256(b"rapport key id " + derived).hexdigest()[:8], AESGCM(derived))


class Keys:
    """The keys of a process: the first seals, all open; none at all seals nothing."""

    def __init__(self, *texts: str) -> None:
        self.keys = tuple(key_of(key_text) for key_text in texts)

    @property
    def first(self) -> str | None:
        """The id of the key that seals."""
        return self.keys[0].id if self.keys else None

    def seal(self, value: str, column: str) -> str:
        """A value as it is stored in a column, which column names."""
        if not value:
            return value
        if not self.keys:
            return ESCAPE + value if value.startswith((PREFIX, ESCAPE)) else value
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self.keys[0].cipher.encrypt(nonce, value.encode("utf-8", "surrogatepass"), column.encode())
        return f"{PREFIX}{self.keys[0].id}:{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, stored: str, column: str) -> str:
        """A stored value as it was given. Raises Unavailable for one whose key is not here, or that was changed."""
        if not SEALED.fullmatch(stored):
            return stored.removeprefix(ESCAPE)
        _, key_id, body = stored.split(":")
        key = next((own_key for own_key in self.keys if own_key.id == key_id), None)
        if key is None:
            raise Unavailable(missing({key_id}))
        try:
            sealed = base64.urlsafe_b64decode(body)
            opened = key.cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], column.encode())
        except (InvalidTag, ValueError) as error:
            raise Unavailable(f"A sealed value of {column} was changed and cannot be opened.") from error
        return opened.decode("utf-8", "surrogatepass")


def missing(ids: set[str]) -> str:
    """The sentence for keys that are not here."""
    named = ", ".join(sorted(ids))
    return (
        f"Secrets are sealed with a key that is not here (id {named}): give RAPPORT_SECRET_KEY or "
        "RAPPORT_SECRET_KEY_FILE the key that they were sealed with."
    )


def keys_of(settings: Settings) -> Keys:
    """The keys that the settings give, separated by blanks, commas or line ends. Raises Unavailable."""
    secret_keys, file = settings.secret_key.get_secret_value(), settings.secret_key_file
    if secret_keys and file:
        raise Unavailable("Set RAPPORT_SECRET_KEY or RAPPORT_SECRET_KEY_FILE, not both.")
    if file:
        try:
            secret_keys = file.expanduser().read_text()
        except (OSError, ValueError) as error:
            raise Unavailable("RAPPORT_SECRET_KEY_FILE names a file that cannot be read.") from error
        if not secret_keys.strip():
            raise Unavailable("RAPPORT_SECRET_KEY_FILE names a file without a key.")
    return Keys(*re.split(r"[\s,]+", secret_keys.strip())) if secret_keys.strip() else Keys()


def give(dialect: Dialect, keys: Keys) -> None:
    """Have the sealed columns of an engine sealed and opened with these keys."""
    setattr(dialect, GIVEN, keys)


def _keys(dialect: Dialect) -> Keys:
    keys: Keys = getattr(dialect, GIVEN)
    return keys


class Sealed(TypeDecorator[str]):
    """A text that is sealed while it is stored; column names the table and the column, joined by a full stop.

    length is the longest that is stored, sealed or not; None for any.
    """

    impl = String
    cache_ok = True

    def __init__(self, column: str, length: int | None = LENGTH) -> None:
        super().__init__(length)
        self.column = column

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Seal it."""
        return None if value is None else _keys(dialect).seal(value, self.column)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Open it."""
        return None if value is None else _keys(dialect).open(value, self.column)


class SealedMembers(TypeDecorator[dict[str, Any]]):
    """An object some members of which, texts, are sealed while it is stored; members names them."""

    impl = JSONB
    cache_ok = True

    def __init__(self, column: str, members: Callable[[], Collection[str]]) -> None:
        super().__init__()
        self.column, self.members = column, members

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> dict[str, Any] | None:
        """Seal the members."""
        return self._with(value, _keys(dialect).seal)

    def process_result_value(self, value: dict[str, Any] | None, dialect: Dialect) -> dict[str, Any] | None:
        """Open the members."""
        return self._with(value, _keys(dialect).open)

    def _with(self, value: dict[str, Any] | None, change: Any) -> dict[str, Any] | None:
        if not value:
            return value
        texts = {name: value[name] for name in self.members() if isinstance(value.get(name), str)}
        return {**value, **{name: change(secret, self.column) for name, secret in texts.items()}}


def require(keys: Keys, ids: set[str]) -> None:
    """Raises Unavailable when one of these keys is not here."""
    if unknown := ids - {key.id for key in keys.keys}:
        raise Unavailable(missing(unknown))
