"""DKIM signatures (RFC 6376, with Ed25519 as of RFC 8463), over the headers and the digest of the body.

Headers are taken relaxed and bodies simple: Rapport writes bodies as quoted-printable, in which no server on the way
changes anything, and their digest then is that of the bytes as they are sent. Whoever sends one body many times takes
its digest once.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from rapport.channels.provider_headers import OF_PROVIDERS

Headers = Sequence[tuple[str, str]]
PrivateKey = RSAPrivateKey | Ed25519PrivateKey
NAME = "DKIM-Signature"
LINE_END = "\r\n"
BLANKS = re.compile(r"[ \t]+")
# What mail programs show or act by: a signature holds for these alone, so that no second one can be put beside them.
SINGLE = (
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "list-unsubscribe",
    "list-unsubscribe-post",
)
# What servers on the way write or take out, such as a provider its own headers.
NOT_SIGNED = frozenset({"return-path", "received", "bcc", "dkim-signature"}) | frozenset(
    name.lower() for name, _ in OF_PROVIDERS.values()
)
FOLDED_AT = 72


@dataclass(frozen=True)
class SigningKey:
    """A private key, and the selector under which receivers find its public half."""

    selector: str
    key: PrivateKey

    @property
    def algorithm(self) -> str:
        """As signatures name it."""
        return "rsa-sha256" if isinstance(self.key, RSAPrivateKey) else "ed25519-sha256"

    def signed(self, text: bytes) -> bytes:
        """The signature of a text. Of Ed25519 it is one of the text's digest (RFC 8463, 3)."""
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(text, PKCS1v15(), SHA256())
        return self.key.sign(hashlib.sha256(text).digest())


def pem_of(key: PrivateKey) -> str:
    """A private key as it is stored before it is sealed, and as another process is given it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def loaded_key(pem: str) -> PrivateKey:
    """The private key that pem_of wrote."""
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, RSAPrivateKey | Ed25519PrivateKey)  # noqa: S101 - tells the type checker
    return key


class Signer:
    """Signs with all keys of a brand; with none of them nothing is signed."""

    def __init__(self, keys: Sequence[SigningKey] = ()) -> None:
        self.keys = tuple(keys)

    def signatures(self, headers: Headers, body_digest: bytes, domain: str, at: datetime) -> list[tuple[str, str]]:
        """The headers to put before those of a message, one a key, in the name of a domain.

        headers are those of the message, each with its value as it is sent, folds included.
        """
        if not self.keys:
            return []
        canonical = {name.lower(): canonical_header(name, value) for name, value in headers}
        names, listed = _signed_names(tuple(canonical))
        signed = "".join(canonical[name] + LINE_END for name in names)
        tags = {
            "d": domain,
            "t": str(int(at.timestamp())),
            "h": listed,
            "bh": base64.b64encode(body_digest).decode(),
        }
        return [(NAME, _signature(key, tags, signed)) for key in self.keys]


@lru_cache(maxsize=256)
def _signed_names(names: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Those of the names of a message's headers that are signed, in order, and how signatures list them."""
    others = [name for name in names if name not in NOT_SIGNED and name not in SINGLE]
    listed = [name for name in SINGLE for _ in range(2 if name in names else 1)] + others
    return tuple(name for name in (*SINGLE, *others) if name in names), f":{LINE_END} ".join(_lines(listed))


def canonical_header(name: str, value: str) -> str:
    """A header as it is signed: its name in lower case, its value in one line with single blanks (relaxed)."""
    line = value.replace(LINE_END, "") if LINE_END in value else value
    if "  " in line or "\t" in line:
        line = BLANKS.sub(" ", line)
    return f"{name.lower()}:{line.strip(' ')}"


def digest_of_body(body: bytes) -> bytes:
    """The digest of a body, whose lines end in CRLF, with one such end at its end (simple)."""
    return hashlib.sha256(body.rstrip(b"\r\n") + b"\r\n").digest()


def _signature(key: SigningKey, tags: dict[str, str], signed: str) -> str:
    """The value of a signature's header: its last tag is the signature of all else, itself included up to there."""
    first = {"v": "1", "a": key.algorithm, "c": "relaxed/simple", "d": tags["d"], "s": key.selector, "t": tags["t"]}
    head = "; ".join(f"{name}={value}" for name, value in first.items())
    value = f"{head};{LINE_END} h={tags['h']};{LINE_END} bh={tags['bh']};{LINE_END} b="
    signature = base64.b64encode(key.signed((signed + canonical_header(NAME, value)).encode())).decode()
    pieces = (signature[begin : begin + FOLDED_AT] for begin in range(0, len(signature), FOLDED_AT))
    return value + f"{LINE_END} ".join(pieces)


def _lines(names: Sequence[str]) -> list[str]:
    """Names joined with colons, in lines of some length at most."""
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) >= FOLDED_AT:
            lines.append("")
        lines[-1] += f":{name}" if lines[-1] else name
    return lines
