"""Objects in buckets elsewhere, by URL, through fsspec and the driver of each kind of storage.

Tenants choose the bucket, so nothing of this installation may be reached by it. Buckets of Google (gs) and Amazon (s3)
need an account of the tenant's own: what the server itself may do is never used. Services that speak like Amazon's are
reached only at addresses that the operator names. Storage of this machine (file, memory) is for operators who allow it.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import service_account

from rapport.errors import Invalid, RapportError
from rapport.settings import Settings

CONNECT_SECONDS, ANSWER_SECONDS = 5, 20
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
SEGMENT = re.compile(r"[A-Za-z0-9 ._=@+-]{1,200}")
LONGEST_URL = 1000
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
# What drivers raise, by its kind: what they say may hold secrets.
REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (PermissionError, "The account may not write to the bucket."),
    (FileNotFoundError, "There is no such bucket."),
    (GoogleAuthError, "The account was refused."),
    (TimeoutError, "The bucket has not answered in time."),
    (ConnectionError, "The bucket cannot be reached."),
    (ImportError, "The server has no driver for this kind of bucket: its operator installs rapport[buckets]."),
)


class Scheme(StrEnum):
    """The kinds of storage."""

    GOOGLE = "gs"
    AMAZON = "s3"
    FOLDER = "file"
    MEMORY = "memory"


# Members of an account: those that there must be, and those that there may be.
MEMBERS = {
    Scheme.GOOGLE: (("project_id", "client_email", "private_key"), ("type", "private_key_id", "endpoint")),
    Scheme.AMAZON: (("key", "secret"), ("region", "endpoint")),
    Scheme.FOLDER: ((), ()),
    Scheme.MEMORY: ((), ()),
}
# Of the file of a service account, what is not needed; least of all the addresses in it, to which others would be led.
PASSED_OVER = (
    "client_id",
    "auth_uri",
    "token_uri",
    "auth_provider_x509_cert_url",
    "client_x509_cert_url",
    "universe_domain",
)


class BucketFailure(RapportError):
    """A bucket that could not be written to (502); the message holds nothing that a driver said."""

    status = 502


@dataclass(frozen=True)
class Bucket:
    """A place for objects: root is the bucket with the folder in it, or a path of this machine. account is secret."""

    scheme: Scheme
    root: str
    account: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Bucket({self.scheme}://{self.root})"


def bucket_of(settings: Settings, tenant_id: int, url: str, account: Mapping[str, str]) -> Bucket:
    """The bucket of a URL as a tenant gives it, with the tenant's account. Raises Invalid."""
    parts, allowed = urlsplit(url), [scheme.strip() for scheme in settings.bucket_schemes.split(",")]
    if parts.scheme not in allowed or parts.scheme not in set(Scheme):
        raise Invalid(f"url must begin with one of {', '.join(f'{each}://' for each in allowed)}.")
    if len(url) > LONGEST_URL or parts.query or parts.fragment or "@" in parts.netloc or ":" in parts.netloc:
        raise Invalid("url must have a bucket and a path only: no user name, port, query or fragment.")
    scheme, path = Scheme(parts.scheme), unquote(parts.path).strip("/")
    segments = path.split("/") if path else []
    if not all(SEGMENT.fullmatch(segment) and segment.strip(". ") for segment in segments):
        raise Invalid("The path in url may have letters, digits, blanks and . _ = @ + - only.")
    if scheme is Scheme.FOLDER:
        root = _folder(settings, tenant_id, parts.netloc, segments)
    elif BUCKET.fullmatch(parts.netloc) and ".." not in parts.netloc:
        root = "/".join([parts.netloc, *segments])
    else:
        raise Invalid("url must name a bucket: 3 to 222 lower-case letters, digits, full stops, hyphens, underscores.")
    return Bucket(scheme, root, _account(settings, scheme, account))


def _folder(settings: Settings, tenant_id: int, host: str, segments: list[str]) -> str:
    """The path of a folder of this machine, which is the tenant's own one."""
    if settings.bucket_folder is None or host:
        raise Invalid("url must not be a folder of this machine: RAPPORT_BUCKET_FOLDER allows none.")
    own = settings.bucket_folder.expanduser().resolve() / str(tenant_id)
    folder = Path("/", *segments)
    if not folder.resolve().is_relative_to(own):
        raise Invalid("url must be in the folder that the operator keeps for the tenant.")
    return str(folder.resolve())


def _account(settings: Settings, scheme: Scheme, account: Mapping[str, str]) -> Mapping[str, str]:
    needed, optional = MEMBERS[scheme]
    members = {name: text for name, text in account.items() if name not in PASSED_OVER}
    if missing := [name for name in needed if not members.get(name)]:
        raise Invalid(f"account.{missing[0]} is required for {scheme}://.")
    if unknown := sorted(set(members) - {*needed, *optional}):
        raise Invalid(f"account has no member {unknown[0]!r} for {scheme}://.")
    if scheme is Scheme.GOOGLE:
        _credentials(settings, members)
    endpoint = members.get("endpoint", "")
    if endpoint and endpoint.rstrip("/") not in settings.bucket_endpoints.replace(",", " ").split():
        raise Invalid("account.endpoint must be an address that the operator has allowed in RAPPORT_BUCKET_ENDPOINTS.")
    return members


def _credentials(settings: Settings, account: Mapping[str, str]) -> service_account.Credentials:
    """The tenant's service account. Its tokens come from where the operator says, whatever its file says."""
    if account.get("type", "service_account") != "service_account":
        raise Invalid("account must be that of a service account.")
    info = {**account, "type": "service_account", "token_uri": settings.fcm_token_url}
    try:
        credentials = service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])  # type: ignore[no-untyped-call]
    except (ValueError, GoogleAuthError) as error:
        raise Invalid("account.private_key must be an RSA key in PEM.") from error
    return credentials  # type: ignore[no-any-return]


def _opened(settings: Settings, bucket: Bucket, key: bytes) -> Any:
    """The driver of a bucket; what it writes to Google or Amazon is encrypted there with key (32 bytes)."""
    account, options = bucket.account, dict[str, Any]()
    endpoint = account.get("endpoint") or None
    if bucket.scheme is Scheme.GOOGLE:
        digest = _digest(key)
        names = {"algorithm": "AES256", "key": base64.b64encode(key).decode(), "key-sha256": digest}
        headers = {f"x-goog-encryption-{name}": text for name, text in names.items()} if key else {}
        options = {
            "project": account["project_id"],
            "token": _credentials(settings, account),
            "timeout": ANSWER_SECONDS,
            "endpoint_url": endpoint or "https://storage.googleapis.com",
            "session_kwargs": {"headers": headers, "trust_env": False},
        }
    elif bucket.scheme is Scheme.AMAZON:
        encryption = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key} if key else {}
        options = {
            "key": account["key"],
            "secret": account["secret"],
            "endpoint_url": endpoint,
            "client_kwargs": {"region_name": account.get("region") or "us-east-1"},
            "config_kwargs": {
                "connect_timeout": CONNECT_SECONDS,
                "read_timeout": ANSWER_SECONDS,
                "retries": {"max_attempts": 1},
            },
            "s3_additional_kwargs": encryption,
        }
    elif bucket.scheme is Scheme.FOLDER:
        options = {"auto_mkdir": True}
    return _driver(bucket.scheme)(skip_instance_cache=True, use_listings_cache=False, **options)


def _driver(scheme: Scheme) -> Any:
    """The class of a driver. That of Google which fsspec knows asks by another protocol first what a bucket can do."""
    if scheme is Scheme.GOOGLE:
        return import_module("gcsfs.core").GCSFileSystem
    return fsspec.get_filesystem_class(scheme)


def put(settings: Settings, bucket: Bucket, name: str, body: bytes, key: bytes) -> None:
    """Write an object below the bucket's folder, in place of any before. Raises BucketFailure.

    At Google and Amazon it is encrypted with a key of whoever writes it, and can be read with this key only.
    """
    with _told():
        _opened(settings, bucket, key).pipe_file(_path(bucket, name), body)


def drop(settings: Settings, bucket: Bucket, names: Sequence[str]) -> None:
    """Delete objects; those that are gone are no error. Raises BucketFailure."""
    with _told():
        driver = _opened(settings, bucket, b"")
        for name in names:
            try:
                driver.rm_file(_path(bucket, name))
            except FileNotFoundError:
                continue


def _path(bucket: Bucket, name: str) -> str:
    return f"{bucket.root}/{name}"


@contextmanager
def _told() -> Iterator[None]:
    """Raises BucketFailure for whatever a driver raises."""
    try:
        yield
    except Exception as error:
        known = next((reason for kind, reason in REASONS if isinstance(error, kind)), None)
        raise BucketFailure(known or f"The bucket was not written ({type(error).__name__}).") from None


def _digest(key: bytes) -> str:
    return base64.b64encode(hashlib.sha256(key).digest()).decode()
