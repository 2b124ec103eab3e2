"""An encrypted file: AES-256-GCM over chunks, written and read as a stream in constant memory.

The file begins with a header: a mark, the name of the key, and a salt from which the key of this file is derived. Each
chunk that follows is encrypted under its number and whether it is the last, and is bound to the header, so that
chunks cannot be changed, left out, moved or cut off without notice. (The construction is STREAM: Hoang, Reyhanitabar,
Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015.)
"""

import io
import os
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rapport.errors import Invalid
from rapport.stores.backups.backup_key import BackupKey

MARK = b"rapport encrypted backup 1\n"
SALT_BYTES = 32
HEADER_BYTES = len(MARK) + 8 + SALT_BYTES
CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16

NO_KEY = "The backup is encrypted: set RAPPORT_BACKUP_KEY_FILE to the file of its key."
OTHER_KEY = "The backup is encrypted with another key than RAPPORT_BACKUP_KEY_FILE holds, or its beginning is damaged."
CHANGED = "The encrypted backup is damaged, cut off or was changed."


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11) + bytes([is_last])


def is_encrypted(file: BinaryIO) -> bool:
    """Whether a file begins as an encrypted one; leaves it at its beginning."""
    has_mark = file.read(len(MARK)) == MARK
    file.seek(0)
    return has_mark


class EncryptingWriter(io.RawIOBase):
    """Encrypts what is written to it into a file. Without finish() the file cannot be read."""

    def __init__(self, file: BinaryIO, key: BackupKey) -> None:
        salt = os.urandom(SALT_BYTES)
        self._file, self._cipher = file, AESGCM(key.encryption(salt))
        self._header = MARK + bytes.fromhex(key.name) + salt
        self._buffer, self._number = bytearray(), 0
        file.write(self._header)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, content: bytes) -> int:  # type: ignore[override]
        """Take plain bytes; the last chunk is kept back until it is known to be the last."""
        self._buffer += content
        whole = (len(self._buffer) - 1) // CHUNK_BYTES * CHUNK_BYTES
        for begin in range(0, whole, CHUNK_BYTES):
            self._put(bytes(self._buffer[begin : begin + CHUNK_BYTES]), is_last=False)
        del self._buffer[: max(whole, 0)]
        return len(content)

    def finish(self) -> None:
        """Write the last chunk."""
        self._put(bytes(self._buffer), is_last=True)
        self._buffer.clear()

    def _put(self, chunk: bytes, is_last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, is_last), chunk, self._header))
        self._number += 1


class DecryptingReader(io.RawIOBase):
    """Reads an encrypted file as what was written; nothing is given out that was not authenticated.

    Raises Invalid for another key, and at a chunk that is damaged, changed or missing.
    """

    def __init__(self, file: BinaryIO, key: BackupKey | None) -> None:
        header = file.read(HEADER_BYTES)
        if key is None:
            raise Invalid(NO_KEY)
        if len(header) < HEADER_BYTES:
            raise Invalid(CHANGED)
        if header[len(MARK) : -SALT_BYTES].hex() != key.name:
            raise Invalid(OTHER_KEY)
        self._file, self._header, self._cipher = file, header, AESGCM(key.encryption(header[-SALT_BYTES:]))
        self._number, self._plain = 0, memoryview(b"")
        self._next: bytes | None = self._read_chunk()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """The next plain bytes; 0 at the end of the whole file."""
        while not self._plain and self._next is not None:
            chunk, following = self._next, self._read_chunk()
            self._plain = memoryview(self._open(chunk, is_last=not following))
            self._next = following or None
        count = min(len(buffer), len(self._plain))
        buffer[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count

    def _read_chunk(self) -> bytes:
        return self._file.read(CHUNK_BYTES + TAG_BYTES)

    def _open(self, chunk: bytes, is_last: bool) -> bytes:
        try:
            plain = self._cipher.decrypt(_nonce(self._number, is_last), chunk, self._header)
        except (InvalidTag, ValueError) as error:
            raise Invalid(CHANGED) from error
        self._number += 1
        return plain
