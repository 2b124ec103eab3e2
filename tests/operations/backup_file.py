"""A backup's file taken apart and put together again, with what somebody else would have put into it."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

Parts = dict[str, bytes]
MANIFEST = "manifest.json"


def parts_of(file: Path) -> tuple[Parts, dict[str, Any]]:
    """The members by name, and the manifest."""
    with tarfile.open(file) as tar:
        parts = {info.name: (tar.extractfile(info) or io.BytesIO()).read() for info in tar}
    return parts, json.loads(parts.pop(MANIFEST))


def packed(name: str, content: bytes) -> Parts:
    """A part as a backup packs it."""
    return {f"{name}.{len(content)}.zst": pa.compress(content, codec="zstd", asbytes=True)}


def put_together(
    file: Path, parts: Parts, manifest: dict[str, Any], more: Callable[[tarfile.TarFile], object] = lambda tar: None
) -> Path:
    """Write a backup whose checksums are right; more adds what its manifest does not know."""
    members = {name: {"bytes": len(part), "sha256": hashlib.sha256(part).hexdigest()} for name, part in parts.items()}
    whole = {**parts, MANIFEST: json.dumps({**manifest, "members": members}).encode()}
    with tarfile.open(file, "w") as tar:
        for name, part in whole.items():
            add(tar, name, part)
        more(tar)
    return file


def add(tar: tarfile.TarFile, name: str, part: bytes, kind: bytes = tarfile.REGTYPE, leads_to: str = "") -> None:
    """Add a member of any kind."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, leads_to, len(part)
    tar.addfile(info, io.BytesIO(part))
