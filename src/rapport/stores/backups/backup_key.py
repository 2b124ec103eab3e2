"""The key that backups are signed and encrypted with. It is kept neither in the data folder nor in a backup."""

import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rapport.errors import Invalid
from rapport.settings import Settings

SHORTEST = 32
HOW = "make one with `openssl rand -base64 32`"


@dataclass(frozen=True)
class BackupKey:
    """A secret of the operator. Each use has a key of its own that is derived from it."""

    secret: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """16 hexadecimal digits that tell one key from another, and nothing of the key."""
        return self._derived(b"rapport backup: name", b"", 8).hex()

    def signature(self, content: bytes) -> str:
        """HMAC-SHA256 in hexadecimal digits."""
        return hmac.new(self._derived(b"rapport backup: signature", b""), content, hashlib.sha256).hexdigest()

    def encryption(self, salt: bytes) -> bytes:
        """The 256-bit key of one file."""
        return self._derived(b"rapport backup: encryption", salt)

    def _derived(self, use: bytes, salt: bytes, length: int = 32) -> bytes:
        return HKDF(SHA256(), length, salt, use).derive(self.secret)


def backup_key(settings: Settings) -> BackupKey | None:
    """The key of RAPPORT_BACKUP_KEY_FILE or RAPPORT_BACKUP_KEY; None without one. Raises Invalid."""
    name = "RAPPORT_BACKUP_KEY_FILE" if settings.backup_key_file else "RAPPORT_BACKUP_KEY"
    secret = settings.backup_key.get_secret_value().encode().strip()
    if settings.backup_key_file:
        if secret:
            raise Invalid("Set RAPPORT_BACKUP_KEY or RAPPORT_BACKUP_KEY_FILE, not both.")
        file = settings.backup_key_file.expanduser().resolve()
        if not settings.by_url and file.is_relative_to(settings.data_dir.expanduser().resolve()):
            raise Invalid(f"{name} must be outside the data folder: it would be lost or stolen with it.")
        try:
            secret = file.read_bytes().strip()
        except OSError as error:
            raise Invalid(f"{name} cannot be read: {error.strerror}.") from error
    elif not secret:
        return None
    if len(secret) < SHORTEST:
        raise Invalid(f"{name} must have at least {SHORTEST} characters: {HOW}.")
    return BackupKey(secret)
