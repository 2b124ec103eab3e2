"""Users and the legacy login: a name and a password for a token that lives 20 minutes from its last use."""

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from rapport.access.digests import digest
from rapport.access.ended import keep_ended
from rapport.access.keys import ACCESS_TYPES, Principal
from rapport.access.limits import RateLimiter, share, source
from rapport.access.models import LoginToken, User
from rapport.access.refusals import note_refusal, note_unknown
from rapport.access.scope import Scope, scope_of
from rapport.access.tenant_limits import limits_of
from rapport.errors import Conflict, Invalid, NotFound, TokenExpired, TooManyRequests, Unauthorized
from rapport.stores import Stores

TOKEN_LIFETIME = timedelta(minutes=20)
# A use is noted only when the last note is this old; a token may so end that much early.
NOTED_EVERY = timedelta(seconds=5)
MIN_PASSWORD = 12
SCRYPT_COST, SCRYPT_BLOCK = 2**14, 8
LOGIN_OFF = (
    "Login with user and password is switched off (RAPPORT_LEGACY_LOGIN), so a user could not do anything: "
    "make an API key instead."
)
PER_ADDRESS = 5  # logins a second, whatever the user names

_logins = RateLimiter(1, 1)


def hashed_password(password: str) -> str:
    """A password as it is stored: scrypt with a salt of its own."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${_scrypt(password, salt).hex()}"


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=SCRYPT_COST, r=SCRYPT_BLOCK, p=1)


def password_fits(password: str, stored: str) -> bool:
    """Whether a password is the one that was stored."""
    _, salt, expected = stored.split("$")
    return secrets.compare_digest(_scrypt(password, bytes.fromhex(salt)), bytes.fromhex(expected))


# Compared with when there is no such user, so that an answer's time tells nothing: the form of a hash, of no password.
NOBODY = f"scrypt${secrets.token_hex(16)}${secrets.token_hex(64)}"


def create_user(scope: Scope, username: str, password: str, access_type: str = "Admin") -> User:
    """Add a user. Raises Invalid, and Conflict for a name that another user of the tenant has.

    Conflict, too, while login is switched off: nobody could log in as it.
    """
    if not scope.stores.settings.legacy_login:
        raise Conflict(LOGIN_OFF)
    if not username.strip():
        raise Invalid("username must not be empty.")
    if len(password) < MIN_PASSWORD:
        raise Invalid(f"password must have at least {MIN_PASSWORD} characters.")
    if access_type not in ACCESS_TYPES:
        raise Invalid(f"access_type must be one of {', '.join(ACCESS_TYPES)}.")
    user = User(
        tenant_id=scope.tenant_id,
        username=username.strip(),
        username_key=username.strip().lower(),
        password_hash=hashed_password(password),
        access_type=access_type,
        created_at=scope.clock.now(),
    )
    try:
        with scope.records() as session:
            session.add(user)
            session.flush()
            scope.audit(session, "create", f"user {user.id}", username=user.username, access_type=access_type)
    except IntegrityError as error:
        raise Conflict(f"The user name {username!r} is taken.") from error
    return user


def users(scope: Scope) -> list[User]:
    """The tenant's users, oldest first."""
    with scope.reads() as session:
        return list(session.scalars(select(User).where(User.tenant_id == scope.tenant_id).order_by(User.id)))


def delete_user(scope: Scope, user_id: int) -> None:
    """Remove a user; its tokens end at once. Raises NotFound."""
    with scope.records() as session:
        user = session.get(User, user_id)
        if user is None or user.tenant_id != scope.tenant_id:
            raise NotFound(f"There is no user {user_id}.")
        session.execute(
            delete(LoginToken).where(LoginToken.tenant_id == scope.tenant_id, LoginToken.user_id == user_id)
        )
        session.delete(user)
        keep_ended(scope, {digest(user.password_hash): scope.clock.now()})
        scope.audit(session, "delete", f"user {user_id}", username=user.username)


def login(stores: Stores, username: str, password: str, address: str) -> str:
    """A new token.

    Raises Unauthorized for wrong credentials, TooManyRequests for a second login from an address within a
    second or while the last token still lives.
    """
    name = username.strip().lower()
    address_source = source(address)
    _logins.hit(f"address:{address_source}", share(PER_ADDRESS, stores.api_processes))
    # Of one address only: whoever tries passwords of somebody's from elsewhere must not keep that one from logging in.
    _logins.hit(f"user:{name} of {address_source}")
    user, now = _user(stores, name, password, address), stores.clock.now()
    with stores.records.session() as session:
        session.execute(select(User.id).where(User.id == user.id).with_for_update())
        of_user = LoginToken.user_id == user.id
        used_at = session.scalar(select(func.max(LoginToken.last_used_at)).where(of_user))
        if used_at is not None and used_at + TOKEN_LIFETIME > now:
            wait = max(1, int((used_at + TOKEN_LIFETIME - now).total_seconds()))
            raise TooManyRequests("The last token is still valid: use it instead of logging in again.", wait)
        session.execute(delete(LoginToken).where(of_user, LoginToken.last_used_at < now - timedelta(days=1)))
        token = secrets.token_urlsafe(32)
        session.add(LoginToken(hash=digest(token), tenant_id=user.tenant_id, user_id=user.id, last_used_at=now))
    return token


def _user(stores: Stores, name: str, password: str, address: str) -> User:
    """The user of a name whose password it is; tenants may have users of one name. Raises Unauthorized."""
    with stores.records.reads() as session:
        named = list(session.scalars(select(User).where(User.username_key == name).order_by(User.id)))
    fitting = [user for user in named if password_fits(password, user.password_hash)]
    if not named:
        password_fits(password, NOBODY)
        note_unknown("unknown user", address)
    if not fitting:
        for user in named:
            note_refusal(stores, user.tenant_id, f"user {user.username}", "wrong password", address)
        raise Unauthorized("The user name or the password is wrong.")
    return fitting[0]


def token_principal(stores: Stores, token: str) -> Principal:
    """Who a token belongs to; its 20 minutes begin anew. Raises Unauthorized, TokenExpired."""
    now = stores.clock.now()
    with stores.records.session() as session:
        row = session.execute(
            select(LoginToken, User).join(User, User.id == LoginToken.user_id).where(LoginToken.hash == digest(token))
        ).one_or_none()
        if row is None:
            raise Unauthorized("The Authorization-Token is not known.")
        login_token, user = row
        if login_token.last_used_at + TOKEN_LIFETIME < now:
            raise TokenExpired("Authorization-Token Expired")
        if login_token.last_used_at + NOTED_EVERY < now:
            session.execute(update(LoginToken).where(LoginToken.hash == login_token.hash).values(last_used_at=now))
    scope = scope_of(stores, user.tenant_id, actor=f"user {user.username}")
    return Principal(-user.id, user.access_type, None, (), scope, limits_of(scope).calls)
