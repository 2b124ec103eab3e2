"""Providers that do not sign: their calls have the user name and password of the webhook's URL (RFC 7617)."""

import base64
import hmac

from rapport.delivery.returns.providers.base import Call
from rapport.errors import Unauthorized


def check_password(call: Call) -> None:
    """Whether a call has the key as its password, with any user name; without a key the secret path has to do.

    Raises Unauthorized.
    """
    if not call.key:
        return
    scheme, _, credentials = call.headers.get("authorization", "").partition(" ")
    try:
        password = base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:  # neither Base64 nor UTF-8
        password = ""
    if scheme.lower() != "basic" or not hmac.compare_digest(password.encode(), call.key.encode()):
        raise Unauthorized("The call has not the password of the webhook.")
