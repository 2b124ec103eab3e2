"""The DKIM keys of brands: made and sealed here, published by the brand's owner, replaced by turns."""

import base64
import secrets
from collections.abc import Callable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.brands import brands
from rapport.channels.brands.models import Algorithm, DkimKey, KeyState
from rapport.channels.brands.signing import PrivateKey, SigningKey, loaded_key, pem_of
from rapport.errors import Conflict, NotFound

# What receivers take and DNS records hold (RFC 8301, 3.2).
RSA_BITS = 2048
MOST_KEYS = 20
NEW_KEYS: dict[Algorithm, Callable[[], PrivateKey]] = {
    Algorithm.RSA: lambda: rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS),
    Algorithm.ED25519: Ed25519PrivateKey.generate,
}


def dkim_keys(scope: Scope, brand_id: int) -> list[DkimKey]:
    """The keys of a brand, the oldest first."""
    with scope.reads() as session:
        return _keys(scope, session, brand_id)


def _keys(scope: Scope, session: Session, brand_id: int) -> list[DkimKey]:
    own = select(DkimKey).where(DkimKey.tenant_id == scope.tenant_id, DkimKey.brand_id == brand_id)
    return list(session.scalars(own.order_by(DkimKey.created_at, DkimKey.selector)))


def signing_keys(scope: Scope, brand_id: int) -> list[SigningKey]:
    """The keys with which mail of a brand is signed: at most one of each algorithm."""
    active = [key for key in dkim_keys(scope, brand_id) if key.state is KeyState.ACTIVE]
    return [SigningKey(key.selector, loaded_key(key.private_key)) for key in active]


def add_keys(scope: Scope, brand_id: int, algorithms: list[Algorithm]) -> list[DkimKey]:
    """Make a new key of each algorithm. The first of an algorithm signs at once; another waits until it is activated,
    so that its record can be published before. Raises NotFound, Conflict for more keys than a brand may have.
    """
    now = scope.clock.now()
    made_keys = [(algorithm, NEW_KEYS[algorithm]()) for algorithm in algorithms]
    with brands.changing(scope, brand_id) as (session, _):
        present = _keys(scope, session, brand_id)
        if len(present) + len(made_keys) > MOST_KEYS:
            raise Conflict(f"Brand {brand_id} has {len(present)} DKIM keys: remove those that are retired.")
        signing = {key.algorithm for key in present if key.state is KeyState.ACTIVE}
        new_keys = []
        for algorithm, private_key in made_keys:
            new_key = DkimKey(
                tenant_id=scope.tenant_id,
                brand_id=brand_id,
                selector=f"{algorithm}-{now:%Y%m%d}-{secrets.token_hex(2)}",
                algorithm=algorithm,
                state=KeyState.PENDING if algorithm in signing else KeyState.ACTIVE,
                private_key=pem_of(private_key),
                public_key=_public(private_key),
                created_at=now,
                changed_at=now,
            )
            new_keys.append(new_key)
            scope.audit(session, "create", f"DKIM key {new_key.selector} of brand {brand_id}", algorithm=algorithm)
        session.add_all(new_keys)
        session.flush()
    return new_keys


def activate_key(scope: Scope, brand_id: int, selector: str) -> DkimKey:
    """Sign with a key from now on, in place of the one of its algorithm that did; that is retired. Raises NotFound."""
    with brands.changing(scope, brand_id) as (session, _):
        chosen = _get(scope, session, brand_id, selector)
        for key in _keys(scope, session, brand_id):
            if key.algorithm is chosen.algorithm and key.state is KeyState.ACTIVE and key is not chosen:
                key.state, key.changed_at = KeyState.RETIRED, scope.clock.now()
        chosen.state, chosen.changed_at = KeyState.ACTIVE, scope.clock.now()
        scope.audit(session, "activate", f"DKIM key {selector} of brand {brand_id}")
    return chosen


def retire_key(scope: Scope, brand_id: int, selector: str) -> DkimKey:
    """Sign with a key no more, and with no other of its algorithm instead. Raises NotFound."""
    with brands.changing(scope, brand_id) as (session, _):
        key = _get(scope, session, brand_id, selector)
        key.state, key.changed_at = KeyState.RETIRED, scope.clock.now()
        scope.audit(session, "retire", f"DKIM key {selector} of brand {brand_id}")
    return key


def remove_key(scope: Scope, brand_id: int, selector: str) -> None:
    """Forget a key. Raises NotFound, and Conflict for one that signs."""
    with brands.changing(scope, brand_id) as (session, _):
        key = _get(scope, session, brand_id, selector)
        if key.state is KeyState.ACTIVE:
            raise Conflict(f"DKIM key {selector} signs the brand's mail: retire it, or activate another, first.")
        session.delete(key)
        scope.audit(session, "delete", f"DKIM key {selector} of brand {brand_id}")


def _get(scope: Scope, session: Session, brand_id: int, selector: str) -> DkimKey:
    key = session.get(DkimKey, (scope.tenant_id, brand_id, selector))
    if key is None:
        raise NotFound(f"Brand {brand_id} has no DKIM key {selector!r}.")
    return key


def record_of(key: DkimKey) -> str:
    """What the TXT record of a key says (RFC 6376, 3.6.1)."""
    return f"v=DKIM1; k={key.algorithm}; p={key.public_key}"


def _public(key: PrivateKey) -> str:
    """The public half as records hold it: of RSA its DER form, of Ed25519 its 32 bytes, in Base64."""
    public_key = key.public_key()
    if isinstance(public_key, rsa.RSAPublicKey):
        info = serialization.PublicFormat.SubjectPublicKeyInfo
        return base64.b64encode(public_key.public_bytes(serialization.Encoding.DER, info)).decode()
    raw = public_key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()
