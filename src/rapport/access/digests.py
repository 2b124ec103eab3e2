"""How credentials that Rapport made are stored: not themselves, and found by what they are hashed to."""

import hashlib


def digest(key: str) -> str:
    """The stored form of a key. Keys are 256 random bits, so one SHA-256 is enough."""
    return hashlib.sha256(key.encode()).hexdigest()
