"""Files on the disk that only who has their key can read: AES-256 in Galois counter mode, a nonce before each."""

import os
import secrets
import shutil
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rapport import private
from rapport.access.scope import Scope

KEY_BYTES, NONCE_BYTES = 32, 12


def home(scope: Scope, folder: str) -> Path:
    """Where the files of a tenant's folder are; several processes need one place that all of them reach."""
    settings = scope.stores.settings
    root = settings.files_dir or settings.data_dir / "files"
    return root.expanduser() / str(scope.tenant_id) / folder


def write(path: Path, body: bytes, key: bytes) -> None:
    """Encrypt a file into its place, whole or not at all."""
    private.make_folder(path.parent)
    nonce = secrets.token_bytes(NONCE_BYTES)
    aside = path.with_name(f".{path.name}.part")
    with open(aside, "wb", opener=private.opener) as file:
        file.write(nonce + AESGCM(key).encrypt(nonce, body, path.name.encode()))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def read(path: Path, key: bytes) -> bytes | None:
    """A file decrypted; None when it is not there, or not of this key."""
    try:
        sealed = path.read_bytes()
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], path.name.encode())
    except (FileNotFoundError, InvalidTag):
        return None


def drop(folder: Path) -> None:
    """Delete a folder with all in it; one that is gone is no error."""
    shutil.rmtree(folder, ignore_errors=True)
