"""The keys of apps: how they are made, and whom HTTP Basic with them opens what."""

import base64
import binascii
import hmac
import secrets
import string
import uuid
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import select

from rapport.access.digests import digest
from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_from
from rapport.apps.models import App
from rapport.errors import Unauthorized
from rapport.stores import Stores

KEY_LENGTH = 36  # which clients of the reference check
ALPHABET = string.ascii_letters + string.digits
LONGEST_HEADER = 300
UNKNOWN = "The app's credentials are not valid."


@dataclass(frozen=True)
class VapidKeys:
    """A pair of keys that web push is signed with: the public one in base64url, the private one in PEM."""

    public: str
    private: str


def new_api_key() -> str:
    """A name for an app: a UUID."""
    return str(uuid.uuid4())


def new_key() -> str:
    """A secret of 214 random bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(KEY_LENGTH))


def new_vapid_keys() -> VapidKeys:
    """A pair of keys of the curve P-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return VapidKeys(base64.urlsafe_b64encode(public).rstrip(b"=").decode(), private.decode())


def app_by_key(stores: Stores, api_key: str) -> tuple[Scope, App] | None:
    """The app of an API key and its tenant's scope; None for a key that is no app's."""
    statement = select(App, Tenant).join(Tenant, Tenant.id == App.tenant_id).where(App.api_key == api_key.lower())
    with stores.records.reads() as session:
        row = session.execute(statement).one_or_none()
    return None if row is None else (scope_from(stores, row.Tenant, f"app {row.App.id}"), row.App)


def authenticated(stores: Stores, authorization: str, *, need_server: bool) -> tuple[Scope, App]:
    """The app that an Authorization header opens: Basic, its API key with its secret key or its server key.

    need_server: the server key alone is good. Raises Unauthorized, without telling what of it is wrong.
    """
    api_key, key = _basic(authorization)
    opened = app_by_key(stores, api_key)
    if opened is None:
        raise Unauthorized(UNKNOWN)
    scope, app = opened
    hashed = digest(key)
    of_server = hmac.compare_digest(hashed, app.server_key_hash)
    of_device = hmac.compare_digest(hashed, app.secret_key_hash)
    if not (of_server or (of_device and not need_server)):
        raise Unauthorized(UNKNOWN)
    return scope, app


def _basic(authorization: str) -> tuple[str, str]:
    """User and password of HTTP Basic. Raises Unauthorized."""
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic" or len(authorization) > LONGEST_HEADER:
        raise Unauthorized("Authorization must be Basic, with the app's API key and its secret or server key.")
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise Unauthorized(UNKNOWN) from error
    if not colon or "\0" in user:
        raise Unauthorized(UNKNOWN)
    return user, password
