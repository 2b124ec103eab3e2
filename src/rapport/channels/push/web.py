"""Messages for browsers: encrypted for each (RFC 8291), signed with the app's own keys (RFC 8292)."""

import base64
import binascii
import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import http_ece
import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from rapport.apps.devices import Device
from rapport.apps.models import App
from rapport.channels.push.answers import TAKEN, Answer, Verdict, by_status, refusal
from rapport.channels.push.payloads import MOST_WEB, Push, web_payload
from rapport.channels.push.posts import Posts, wait_of
from rapport.stores.outside.posting import Answer as Posted

NAME = "web push"
# A signature may be good for a day at most; it is renewed in good time.
SIGNED_SECONDS, KEPT_SECONDS = 12 * 3600, 6 * 3600.0
MOST_SIGNED = 1000
PRIVATE = "private address"


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a browser gave to be reached: an address, its public key, and a secret that both sides know."""

    endpoint: str
    public_key: bytes
    secret: bytes


class WebPushProvider:
    """Messages for browsers. apps are those of the tenant by id, whose keys browsers subscribed for."""

    name = "web"

    def __init__(self, apps: Mapping[int, App], contact: str, posts: Posts) -> None:
        self._apps, self._contact, self._posts = apps, contact, posts
        self._signed: dict[tuple[int, str], tuple[str, float]] = {}

    async def send(self, push: Push, device: Device, message_id: str) -> Answer:
        """Hand over a message to the push service that the browser has chosen."""
        subscription, app = subscription_of(device.token), self._apps.get(device.app_id)
        if subscription is None or app is None:
            return Answer(Verdict.DEAD, "not a subscription of a browser")
        content = web_payload(push)
        if len(content) > MOST_WEB:
            return Answer(Verdict.REFUSED, "the message is too large for web push")
        details = push.details
        headers = {
            "Authorization": self._signature(app, subscription.endpoint),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(details.ttl_seconds),
            "Urgency": "high" if details.urgent else "normal",
            "Topic": _topic(details.collapse_key or message_id),
        }
        try:
            body = encrypted(content, subscription)
        except ValueError:
            return Answer(Verdict.DEAD, "not a subscription of a browser")
        return _answer(await self._posts.post(subscription.endpoint, headers, body))

    async def check(self) -> None:
        """There is nobody to ask: each browser has a push service of its own."""

    async def close(self) -> None:
        """The connections are shared."""

    def _signature(self, app: App, endpoint: str) -> str:
        """The header by which a push service knows the app; the same for all browsers that use the service."""
        parts = urlsplit(endpoint)
        audience = f"{parts.scheme}://{parts.netloc}"
        signed, until = self._signed.get((app.id, audience), ("", 0.0))
        if time.monotonic() < until:
            return signed
        claims = {"aud": audience, "exp": int(time.time()) + SIGNED_SECONDS, "sub": self._contact}
        token = jwt.encode(claims, app.vapid_private_key, algorithm="ES256")
        if len(self._signed) >= MOST_SIGNED:
            self._signed.clear()
        signed = f"vapid t={token}, k={app.vapid_public_key}"
        self._signed[app.id, audience] = signed, time.monotonic() + KEPT_SECONDS
        return signed


def subscription_of(token: str) -> Subscription | None:
    """The subscription that a token is the JSON of; None where it is none."""
    try:
        parsed = orjson.loads(token)
        endpoint, keys = parsed["endpoint"], parsed["keys"]
        public_key, secret = _decoded(keys["p256dh"]), _decoded(keys["auth"])
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, binascii.Error, ValueError):
        return None
    if not isinstance(endpoint, str) or not endpoint.startswith(("https://", "http://")):
        return None
    return Subscription(endpoint, public_key, secret)


def encrypted(content: bytes, subscription: Subscription) -> bytes:
    """A message that only the browser can read. Raises ValueError for keys that are none."""
    body: bytes = http_ece.encrypt(
        content,
        salt=os.urandom(16),
        private_key=generate_private_key(SECP256R1()),
        dh=subscription.public_key,
        auth_secret=subscription.secret,
        version="aes128gcm",
    )
    return body


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _topic(key: str) -> str:
    """A newer message replaces one with the same topic that waits: at most 32 letters of base64url."""
    return base64.urlsafe_b64encode(hashlib.sha256(key.encode("utf-8", "replace")).digest())[:32].decode()


def _answer(posted: Posted) -> Answer:
    if posted.ok:
        return TAKEN
    if posted.status is None:
        refused = PRIVATE in posted.error
        verdict = Verdict.REFUSED if refused else Verdict.LATER
        return Answer(verdict, "web push leads to a private address" if refused else "web push got no answer")
    verdict = Verdict.DEAD if posted.status in (404, 410) else by_status(posted.status)
    return refusal(NAME, posted.status, "", verdict, wait_of(posted))
