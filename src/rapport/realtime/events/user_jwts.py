"""X-User-JWT: by a token that the company's own server signed, an app proves which customer its user is.

The tenant registers the key that its tokens are signed with. A key is good for one algorithm, so that whoever knows
a public key cannot pass it off as a secret.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from sqlalchemy import ColumnElement, or_, select, update

from rapport.access.digests import digest
from rapport.access.ended import keep_ended
from rapport.access.scope import Scope
from rapport.errors import Invalid, NotFound, Unauthorized
from rapport.realtime.models import UserJwtKey
from rapport.stores.records import hold

HS256, RS256, ES256 = "HS256", "RS256", "ES256"
SHORTEST_SECRET, LONGEST_SECRET = 32, 100
FEWEST_RSA_BITS, MOST_RSA_BITS, LARGEST_EXPONENT = 2048, 8192, 2**32
# A token is held against each of them, which takes time, the more the larger they are.
MOST_GOOD = 5
GRACE_HOURS = 24
LEEWAY_SECONDS = 30
LONGEST_TOKEN = 8192


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key as tokens are verified with it: the secret of HS256, or a public key in PEM."""

    algorithm: str
    material: str


def keys(scope: Scope) -> list[UserJwtKey]:
    """The keys that are good now, newest first."""
    statement = select(UserJwtKey).where(UserJwtKey.tenant_id == scope.tenant_id, _good(scope))
    with scope.reads() as session:
        return list(session.scalars(statement.order_by(UserJwtKey.id.desc())))


def set_key(scope: Scope, algorithm: str, secret: str | None, public_key: str | None, grace_hours: float) -> UserJwtKey:
    """Have tokens verified with a key from now on; those before stay good for the grace, or shorter where they end.

    Of those before, more than a few end at once.

    For HS256 a secret is made where none is given. Raises Invalid for a key that the algorithm cannot use.
    """
    _check(algorithm, secret, public_key)
    if algorithm == HS256 and secret is None:
        secret = secrets.token_urlsafe(SHORTEST_SECRET)
    now = scope.clock.now()
    ends_at = now + timedelta(hours=grace_hours)
    later = (UserJwtKey.tenant_id == scope.tenant_id, or_(UserJwtKey.ends_at.is_(None), UserJwtKey.ends_at > ends_at))
    key = UserJwtKey(
        tenant_id=scope.tenant_id, algorithm=algorithm, secret=secret, public_key=public_key or "", created_at=now
    )
    with scope.records() as session:
        hold(session, scope.tenant_id, "keys of X-User-JWT")
        _keep_ended(
            scope, session.scalars(update(UserJwtKey).where(*later).values(ends_at=ends_at).returning(UserJwtKey))
        )
        newest_first = select(UserJwtKey.id).where(later[0], UserJwtKey.ends_at > now).order_by(UserJwtKey.id.desc())
        surplus = UserJwtKey.id.in_(session.scalars(newest_first.offset(MOST_GOOD - 1)).all())
        _keep_ended(
            scope,
            session.scalars(update(UserJwtKey).where(later[0], surplus).values(ends_at=now).returning(UserJwtKey)),
        )
        session.add(key)
        session.flush()
        scope.audit(session, "create", f"key {key.id} of X-User-JWT", algorithm=algorithm, grace_hours=grace_hours)
    return key


def delete_key(scope: Scope, key_id: int) -> None:
    """End a key at once. Raises NotFound when no good one has the id."""
    mine = (UserJwtKey.tenant_id == scope.tenant_id, UserJwtKey.id == key_id, _good(scope))
    with scope.records() as session:
        ended = session.scalars(update(UserJwtKey).where(*mine).values(ends_at=scope.clock.now()).returning(UserJwtKey))
        if not _keep_ended(scope, ended):
            raise NotFound(f"There is no key {key_id} of X-User-JWT.")
        scope.audit(session, "delete", f"key {key_id} of X-User-JWT")


def _keep_ended(scope: Scope, ended: Iterable[UserJwtKey]) -> int:
    """Note keys that have an end now; how many."""
    until = {fingerprint(key): key.ends_at for key in ended if key.ends_at is not None}
    keep_ended(scope, until)
    return len(until)


def fingerprint(key: UserJwtKey) -> str:
    """A hash by which a key is told from others."""
    return digest(key.secret or key.public_key)


def verifying_keys(scope: Scope) -> tuple[VerifyingKey, ...]:
    """The keys that tokens are verified with now."""
    return tuple(VerifyingKey(key.algorithm, key.secret or key.public_key) for key in keys(scope))


def subject(token: str, verified_with: Sequence[VerifyingKey]) -> str:
    """The customer whom a token names (sub). Raises Unauthorized for one that no key has signed or that is not good."""
    import jwt  # few tenants have keys: the library comes with the first token

    if len(token) > LONGEST_TOKEN:
        raise Unauthorized(f"X-User-JWT is longer than {LONGEST_TOKEN} characters.")
    for key in verified_with:
        try:
            claims = jwt.decode(
                token,
                key.material,
                algorithms=[key.algorithm],
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub"]},
            )
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError, jwt.InvalidKeyError):
            continue
        except jwt.ExpiredSignatureError as error:
            raise Unauthorized("X-User-JWT has expired.") from error
        except jwt.MissingRequiredClaimError as error:
            raise Unauthorized("X-User-JWT must have the claims sub and exp.") from error
        except jwt.InvalidAudienceError as error:
            raise Unauthorized("X-User-JWT is for another audience (aud).") from error
        # A caller of whom nothing is known yet wrote it: its JSON may be nested too deeply, its numbers too large.
        except (jwt.PyJWTError, ValueError, RecursionError, OverflowError) as error:
            raise Unauthorized("X-User-JWT is not valid.") from error
        customer = str(claims["sub"]).strip()
        if not customer:
            raise Unauthorized("X-User-JWT names no customer (sub).")
        return customer
    raise Unauthorized("X-User-JWT is not signed with a key of this tenant.")


def _good(scope: Scope) -> ColumnElement[bool]:
    return or_(UserJwtKey.ends_at.is_(None), UserJwtKey.ends_at > scope.clock.now())


def _check(algorithm: str, secret: str | None, public_key: str | None) -> None:
    if algorithm == HS256:
        if public_key is not None:
            raise Invalid("public_key is for RS256 and ES256; HS256 takes a secret.")
        _check_secret(secret)
        return
    if secret is not None:
        raise Invalid(f"secret is for HS256; {algorithm} takes a public_key.")
    if public_key is None:
        raise Invalid(f"public_key is missing: {algorithm} needs one in PEM.")
    try:
        key = load_pem_public_key(public_key.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm, UnicodeEncodeError) as error:
        raise Invalid("public_key is not a public key in PEM.") from error
    if algorithm == RS256:
        _check_rsa(key)
    if algorithm == ES256 and not (isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)):
        raise Invalid("public_key is not a key of the curve P-256.")


def _check_rsa(key: object) -> None:
    if not (isinstance(key, RSAPublicKey) and FEWEST_RSA_BITS <= key.key_size <= MOST_RSA_BITS):
        raise Invalid(f"public_key is not an RSA key of {FEWEST_RSA_BITS} to {MOST_RSA_BITS} bits.")
    if key.public_numbers().e > LARGEST_EXPONENT:
        raise Invalid(f"public_key has an exponent of more than {LARGEST_EXPONENT}; 65537 is usual.")


def _check_secret(secret: str | None) -> None:
    if secret is None:
        return
    plain = secret.isascii() and secret.isprintable() and " " not in secret
    if not (plain and SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET):
        raise Invalid(
            f"secret must have {SHORTEST_SECRET} to {LONGEST_SECRET} printable ASCII characters without blanks."
        )
