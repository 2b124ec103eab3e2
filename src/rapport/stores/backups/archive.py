"""A backup's file as it is read: a tar of members that its manifest names, each with its size and checksum.

A file may come from anywhere. So nothing of it is written to a disk under a name of its own, members are only those
that a backup writes, and nothing is read into memory that is larger than a backup makes it.
"""

import hashlib
import hmac
import io
import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, Field, ValidationError

from rapport.errors import Invalid
from rapport.stores.backups.backup_key import BackupKey
from rapport.stores.backups.encryption import CHUNK_BYTES, DecryptingReader, is_encrypted
from rapport.stores.faults import refused_path

FORMAT = 2
MANIFEST = "manifest.json"
SIGNATURE = "signature"
TABLE = re.compile(r"warehouse/(rapport_\d+)/(\w+)\.sql", re.ASCII)
CHUNK = re.compile(r"warehouse/(rapport_\d+)/(\w+)/\d{5,}\.(\d{1,19})\.zst", re.ASCII)
RECORDS = re.compile(r"records/(\w+\.\w+)/\d{5,}\.(\d{1,19})\.zst", re.ASCII)
# Of format 1: SQL as pg_dump wrote it.
RECORDS_TEXT = re.compile(r"records/\d{5,}\.(\d{1,19})\.zst", re.ASCII)
MEMBERS = (TABLE, CHUNK, RECORDS, RECORDS_TEXT)
# A part holds up to 16 MiB and the row that passes them, which the records take up to 1 GB of.
LARGEST_PART = 1_200_000_000
LARGEST_MANIFEST = 64 * 1024 * 1024
# JSON that is all brackets takes thirty times its length when it is read; a manifest has few beside its members.
MOST_OBJECTS = 1_000_000
OLDEST = datetime(1970, 1, 2, tzinfo=UTC)
LONGEST_PATH = 1000
PIECE = 1024 * 1024

NOT_ONE = "The file is not a Rapport backup, or is damaged."
CUT_OFF = "The file is not a Rapport backup, or is cut off."
OTHER_PART = "The file is not a Rapport backup, or was changed: it has a part that no backup has."
LARGE_PART = "The backup was changed: a part of it is larger than a backup makes them."
DAMAGED = "The backup is damaged: a part of it does not have its checksum."

Count = Annotated[int, Field(ge=0, lt=2**63)]
Number = Annotated[int, Field(ge=1, lt=2**63)]
Column = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,63}$")]
Table = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,63}\.[A-Za-z0-9_]{1,63}$")]
WarehouseTable = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,200}$")]
Name = Annotated[str, Field(pattern=r"^rapport_[0-9]{1,10}$")]
Release = Annotated[str, Field(pattern=r"^[0-9A-Za-z.+-]{1,50}$")]
KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]


class _Member(BaseModel, strict=True):
    bytes: Count
    sha256: str


class _Records(BaseModel, strict=True):
    tables: Annotated[dict[Table, Annotated[list[Column], Field(min_length=1)]], Field(min_length=1)]
    sequences: dict[Table, Number]


class _Signature(BaseModel, strict=True):
    key: str
    hmac: str


class _Manifest(BaseModel, strict=True):
    """What a restore goes by of what a file says of itself."""

    format: Annotated[int, Field(ge=1)]
    members: dict[str, _Member]
    rows: dict[Name | Literal["records"], dict[Table | WarehouseTable, Count]]
    records_revision: str
    warehouse_versions: dict[Name, Count]
    records: _Records | None = None
    rapport: Release = ""
    taken_at: str | None = None
    kept: Annotated[str, Field(max_length=LONGEST_PATH)] | None = None
    sealed_with: list[KeyId] = []
    signature: _Signature | None = None


class _Header(tarfile.TarInfo):
    """The head of a member, refused before anything that it announces is read: a longer name, or more about a file."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Raises Invalid for a kind or a size that no member of a backup has."""
        head = super().frombuf(buf, encoding, errors)
        if head.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise Invalid(OTHER_PART)
        if head.size > LARGEST_PART:
            raise Invalid(LARGE_PART)
        return head


class Signature(StrEnum):
    """What the signature of a backup says here."""

    VALID = "valid"
    MISSING = "missing"
    OTHER_KEY = "of another key"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Backup:
    """A backup file whose every member has the checksum that its manifest says."""

    path: Path
    manifest: dict[str, Any]
    key: BackupKey | None
    signature: Signature

    def require_signed(self) -> None:
        """Raises Invalid when there is a key, and the backup is not signed with it."""
        if self.signature is Signature.MISSING and self.key is not None:
            raise Invalid("The backup is not signed with the key: use --unsigned to restore it anyway.")
        if self.signature is Signature.OTHER_KEY:
            raise Invalid("The backup is signed with another key: use --unsigned to restore it anyway.")

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of each member, in the order they were written. Raises Invalid when the file changed."""
        with _open(self.path, self.key) as tar:
            for info in tar:
                if info.name == MANIFEST:
                    continue
                listed = self.manifest["members"].get(info.name)
                content = b"" if listed is None or info.size != listed["bytes"] else _content(tar, info)
                if listed is None or hashlib.sha256(content).hexdigest() != listed["sha256"]:
                    raise Invalid(DAMAGED)
                yield info.name, content


def signed(manifest: dict[str, Any], key: BackupKey) -> dict[str, Any]:
    """A manifest with its signature, which covers all else that it says, and so the checksum of every member."""
    return {**manifest, SIGNATURE: {"key": key.name, "hmac": key.signature(_signed_content(manifest))}}


def open_backup(path: Path, key: BackupKey | None) -> Backup:
    """Read a backup through and check it. Raises Invalid when it is none, is cut off or was changed, or may not be
    read by this user."""
    members: dict[str, dict[str, Any]] = {}
    manifest: Any = None
    try:
        with _open(path, key) as tar:
            for info in tar:
                _require_expected(info, members)
                if info.name == MANIFEST:
                    manifest = _read_manifest(tar, info)
                    members[MANIFEST] = {}
                else:
                    members[info.name] = {"bytes": info.size, "sha256": _checksum(tar, info)}
    except FileNotFoundError as error:
        raise Invalid(f"There is no file {path}.") from error
    except OSError as error:
        raise refused_path(path, error, "read") from error
    except (tarfile.TarError, ValueError, RecursionError) as error:
        raise Invalid(NOT_ONE) from error
    if not manifest:
        raise Invalid(CUT_OFF)
    del members[MANIFEST]
    _check_manifest(manifest)
    if members != manifest["members"]:
        raise Invalid(DAMAGED)
    return Backup(path, manifest, key, _check_signature(manifest, key))


def _signed_content(manifest: dict[str, Any]) -> bytes:
    rest = {name: value for name, value in manifest.items() if name != SIGNATURE}
    return json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()


def _check_signature(manifest: dict[str, Any], key: BackupKey | None) -> Signature:
    """Raises Invalid when the key made the signature of another manifest."""
    if (signature := manifest.get(SIGNATURE)) is None:
        return Signature.MISSING
    if key is None:
        return Signature.NOT_CHECKED
    if signature["key"] != key.name:
        return Signature.OTHER_KEY
    if not hmac.compare_digest(signature["hmac"].encode(), key.signature(_signed_content(manifest)).encode()):
        raise Invalid("The backup was changed after it was signed.")
    return Signature.VALID


def unpacked(content: bytes, size: str) -> bytes:
    """The bytes of a packed part, whose name says how many they are. Raises Invalid."""
    if int(size) > LARGEST_PART:
        raise Invalid(LARGE_PART)
    try:
        return bytes(pa.decompress(content, int(size), codec="zstd", asbytes=True))
    except (pa.ArrowException, OSError) as error:
        raise Invalid("The backup is damaged: a part of it cannot be unpacked.") from error


@contextmanager
def _open(path: Path, key: BackupKey | None) -> Iterator[tarfile.TarFile]:
    """The members of a file, to be read one after the other; an encrypted one is read to its end, which is checked."""
    with path.open("rb") as file:
        content = io.BufferedReader(DecryptingReader(file, key), CHUNK_BYTES) if is_encrypted(file) else file
        with tarfile.open(fileobj=content, mode="r|", tarinfo=_Header) as tar:
            yield tar
        while content.read(PIECE):
            pass


def _require_expected(info: tarfile.TarInfo, members: dict[str, dict[str, Any]]) -> None:
    """Raises Invalid for a member that no backup has: another name or kind, a second one, one of another size."""
    named = info.name == MANIFEST or any(pattern.fullmatch(info.name) for pattern in MEMBERS)
    if not named or info.name in members:
        raise Invalid(OTHER_PART)
    if info.name == MANIFEST and info.size > LARGEST_MANIFEST:
        raise Invalid(LARGE_PART)


def _read_manifest(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Any:
    content = _content(tar, info)
    if content.count(b"{") + content.count(b"[") > MOST_OBJECTS:
        raise Invalid(NOT_ONE)
    return json.loads(content)


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info)
    return file.read() if file else b""


def _checksum(tar: tarfile.TarFile, info: tarfile.TarInfo) -> str:
    checksum = hashlib.sha256()
    if file := tar.extractfile(info):
        while piece := file.read(PIECE):
            checksum.update(piece)
    return checksum.hexdigest()


def _check_manifest(manifest: Any) -> None:
    """Raises Invalid when what a file says of itself has not the shape that a restore goes by."""
    try:
        checked = _Manifest.model_validate(manifest)
        if checked.taken_at is not None and datetime.fromisoformat(checked.taken_at) < OLDEST:
            raise Invalid(NOT_ONE)
    except (ValidationError, ValueError, TypeError) as error:
        raise Invalid(NOT_ONE) from error
    if checked.format > FORMAT:
        raise Invalid("The backup was written by a newer Rapport: upgrade this one.")
    tenants = checked.rows.keys() - {"records"}
    if (checked.format > 1 and checked.records is None) or tenants != checked.warehouse_versions.keys():
        raise Invalid(NOT_ONE)
