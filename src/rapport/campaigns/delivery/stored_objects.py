"""The files of engagements as a store of objects has them: listed by their names, and read with the key of each."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.campaigns.delivery import sealed
from rapport.campaigns.delivery.engagements import PATH, bucket
from rapport.campaigns.models import Engagement, Occurrence
from rapport.campaigns.states import RunState
from rapport.errors import Invalid, NotFound

AES256 = "AES256"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SEALING_BYTES = sealed.NONCE_BYTES + 16  # what a sealed file has beside its content: the nonce, and a tag


@dataclass(frozen=True)
class StoredObject:
    """A file of an engagement. key is the engagement's, in base64; size is that of the content, in bytes."""

    name: str
    size: int
    written_at: datetime
    key: str
    path: Path

    @property
    def generation(self) -> int:
        """A number that is another one once the file was written anew: microseconds since 1970."""
        return (self.written_at - EPOCH) // timedelta(microseconds=1)

    @property
    def key_digest(self) -> str:
        """The SHA-256 of the key's bytes, in base64."""
        return _digest(base64.b64decode(self.key))

    def content(self) -> bytes:
        """The content. Raises NotFound for a file that was deleted meanwhile."""
        body = sealed.read(self.path, base64.b64decode(self.key))
        if body is None:
            raise NotFound("There is no such object.")
        return body


@dataclass(frozen=True)
class CustomerKey:
    """A key that a client supplies with a request: the algorithm, and the key and its SHA-256 in base64."""

    algorithm: str
    key: str
    digest: str

    def check_form(self) -> None:
        """Raises Invalid for another algorithm, a key of another length or a digest of another key."""
        if self.algorithm != AES256:
            raise Invalid(f"The encryption algorithm must be {AES256}.")
        try:
            key = base64.b64decode(self.key, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != sealed.KEY_BYTES:
            raise Invalid(f"The encryption key must be {sealed.KEY_BYTES} bytes in base64.")
        if not hmac.compare_digest(_digest(key), self.digest.strip()):
            raise Invalid("The SHA-256 of the encryption key is not that of the key.")

    def opens(self, stored: StoredObject) -> bool:
        """Whether it is the key of an object."""
        return hmac.compare_digest(stored.key.encode(), self.key.encode())


def _digest(key: bytes) -> str:
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def stored_object(scope: Scope, asked_bucket: str, name: str) -> StoredObject:
    """An object of the tenant's bucket. Raises NotFound, also once its campaign was canceled."""
    match = PATH.fullmatch(name)
    if asked_bucket != bucket(scope) or match is None:
        raise NotFound("There is no such object.")
    for engagement in _kept(scope, int(match["id"])):
        if engagement.folder == match["folder"]:
            home = sealed.home(scope, engagement.folder)
            if stored := _object(engagement, home / name.removeprefix(f"{engagement.folder}/"), name):
                return stored
    raise NotFound("There is no such object.")


def stored_objects(scope: Scope, prefix: str, after: str, most: int) -> list[StoredObject]:
    """The first objects of the tenant whose names begin with a text and come after another one, by name."""
    every = (stored for engagement in _kept(scope) for stored in _files(scope, engagement, prefix))
    return sorted((stored for stored in every if stored.name > after), key=lambda stored: stored.name)[:most]


def _kept(scope: Scope, number: int | None = None) -> list[Engagement]:
    """The engagements whose files are kept, or the one with a number."""
    query = (
        select(Engagement)
        .join(
            Occurrence,
            (Occurrence.tenant_id == Engagement.tenant_id) & (Occurrence.id == Engagement.campaign_id),
        )
        .where(
            Engagement.tenant_id == scope.tenant_id,
            Engagement.key != "",
            Occurrence.state != RunState.CANCELED,
        )
    )
    if number is not None:
        query = query.where(Engagement.id == number)
    with scope.reads() as session:
        return list(session.scalars(query))


def _files(scope: Scope, engagement: Engagement, prefix: str) -> Iterator[StoredObject]:
    if not (engagement.folder.startswith(prefix) or prefix.startswith(engagement.folder)):
        return
    home = sealed.home(scope, engagement.folder)
    for path in [*home.glob("metadata_*"), *(home / "customers").glob("customers_file*.avro")]:
        name = f"{engagement.folder}/{path.relative_to(home).as_posix()}"
        if name.startswith(prefix) and PATH.fullmatch(name) and (stored := _object(engagement, path, name)):
            yield stored


def _object(engagement: Engagement, path: Path, name: str) -> StoredObject | None:
    """None for a file that is not there."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    written_at = EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
    return StoredObject(name, status.st_size - SEALING_BYTES, written_at, engagement.key, path)
