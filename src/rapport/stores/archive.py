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
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BaseModel, Field, ValidationError

from rapport.errors import Invalid
from rapport.stores.backup_key import BackupKey
from rapport.stores.encryption import CHUNK_BYTES, DecryptingReader, is_encrypted
from rapport.stores.faults import explained

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
LARGEST_MANIFEST = 256 * 1024 * 1024
PIECE = 1024 * 1024

NOT_ONE = "The file is not a Rapport backup, or is damaged."
CUT_OFF = "The file is not a Rapport backup, or is cut off."
DAMAGED = "The backup is damaged: a part of it does not have its checksum."

Count = Annotated[int, Field(ge=0, lt=2**63)]
Table = Annotated[str, Field(pattern=r"^\w+\.\w+$")]
Name = Annotated[str, Field(pattern=r"^rapport_\d+$")]


class _Member(BaseModel, strict=True):
    bytes: Count
    sha256: str


class _Records(BaseModel, strict=True):
    tables: dict[Table, list[str]]
    sequences: dict[Table, int]


class _Signature(BaseModel, strict=True):
    key: str
    hmac: str


class _Manifest(BaseModel, strict=True):
    """What a restore goes by of what a file says of itself."""

    format: Annotated[int, Field(ge=1)]
    members: dict[str, _Member]
    rows: dict[Annotated[str, Field(pattern=r"^(records|rapport_\d+)$")], dict[str, Count]]
    records_revision: str
    warehouse_versions: dict[Name, Count]
    records: _Records | None = None
    taken_at: str | None = None
    kept: str | None = None
    sealed_with: list[str] = []
    signature: _Signature | None = None


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
            raise Invalid("The backup is not signed with the key: give --unsigned to restore it all the same.")
        if self.signature is Signature.OTHER_KEY:
            raise Invalid("The backup is signed with another key: give --unsigned to restore it all the same.")

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of each member, in the order they were written. Raises Invalid when the file changed."""
        with _open(self.path, self.key) as tar:
            for info in tar:
                if info.name == MANIFEST:
                    continue
                told = self.manifest["members"].get(info.name)
                content = b"" if told is None or info.size != told["bytes"] else _content(tar, info)
                if told is None or hashlib.sha256(content).hexdigest() != told["sha256"]:
                    raise Invalid(DAMAGED)
                yield info.name, content


def signed(manifest: dict[str, Any], key: BackupKey) -> dict[str, Any]:
    """A manifest with its signature, which covers all else that it says, and so the checksum of every member."""
    return {**manifest, SIGNATURE: {"key": key.name, "hmac": key.signature(_signed_content(manifest))}}


def open_backup(path: Path, key: BackupKey | None) -> Backup:
    """Read a backup through and check it. Raises Invalid when it is none, is cut off or was changed."""
    found: dict[str, dict[str, Any]] = {}
    manifest: Any = None
    try:
        with _open(path, key) as tar:
            for info in tar:
                _require_expected(info, found)
                if info.name == MANIFEST:
                    manifest = _read_manifest(tar, info)
                    found[MANIFEST] = {}
                else:
                    found[info.name] = {"bytes": info.size, "sha256": _checksum(tar, info)}
    except FileNotFoundError as error:
        raise Invalid(f"There is no file {path}.") from error
    except OSError as error:
        raise explained(error) or Invalid(f"The backup cannot be read: {error.strerror}.") from error
    except (tarfile.TarError, ValueError) as error:
        raise Invalid(NOT_ONE) from error
    if not manifest:
        raise Invalid(CUT_OFF)
    del found[MANIFEST]
    _check_manifest(manifest)
    if found != manifest["members"]:
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
        raise Invalid("The backup was changed: a part of it is larger than a backup makes them.")
    try:
        return bytes(pa.decompress(content, int(size), codec="zstd", asbytes=True))
    except (pa.ArrowException, OSError) as error:
        raise Invalid("The backup is damaged: a part of it cannot be unpacked.") from error


@contextmanager
def _open(path: Path, key: BackupKey | None) -> Iterator[tarfile.TarFile]:
    """The members of a file, to be read one after the other; an encrypted one is read to its end, which is checked."""
    with path.open("rb") as file:
        content = io.BufferedReader(DecryptingReader(file, key), CHUNK_BYTES) if is_encrypted(file) else file
        with tarfile.open(fileobj=content, mode="r|") as tar:
            yield tar
        while content.read(PIECE):
            pass


def _require_expected(info: tarfile.TarInfo, found: dict[str, dict[str, Any]]) -> None:
    """Raises Invalid for a member that no backup has: another name or kind, a second one, one of another size."""
    named = info.name == MANIFEST or any(pattern.fullmatch(info.name) for pattern in MEMBERS)
    if not named or info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.name in found:
        raise Invalid("The file is not a Rapport backup, or was changed: it has a part that no backup has.")
    if info.size > (LARGEST_MANIFEST if info.name == MANIFEST else LARGEST_PART):
        raise Invalid("The backup was changed: a part of it is larger than a backup makes them.")


def _read_manifest(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Any:
    return json.loads(_content(tar, info))


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
        told = _Manifest.model_validate(manifest)
        if told.taken_at is not None:
            datetime.fromisoformat(told.taken_at)
    except (ValidationError, ValueError) as error:
        raise Invalid(NOT_ONE) from error
    if told.format > FORMAT:
        raise Invalid("The backup was written by a newer Rapport: upgrade this one.")
    if (told.format > 1 and told.records is None) or told.rows.keys() - {"records"} != told.warehouse_versions.keys():
        raise Invalid(NOT_ONE)
