"""Apple's push service: HTTP/2, with a token that is signed with the key of the tenant's developer account."""

import hashlib
import re
import time
import uuid

import jwt
from hpack import NeverIndexedHeaderTuple

from rapport.apps.devices import Device
from rapport.channels.push.answers import TAKEN, Answer, Verdict, by_status, json_object, refusal
from rapport.channels.push.http2 import Headers, InDoubt, NotCarriedOut, NotReached, Pool, Response
from rapport.channels.push.payloads import MOST_APNS, Push, apns_payload
from rapport.channels.push.settings import PushSettings
from rapport.errors import Unavailable
from rapport.settings import Settings

NAME = "APNs"
# The service takes a signed token for an hour, and new ones no more often than every twenty minutes.
TOKEN_SECONDS, SHORTEST_SECONDS = 45 * 60.0, 20 * 60.0
NAMESPACE = uuid.UUID("8f6f3c5e-4a0f-4d53-9a5c-2f4f5f0f3f11")
# Words by which it says that a token will never be good again.
DEAD_WORDS = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered", "ExpiredToken"})
OF_PROVIDER_TOKEN = frozenset({"ExpiredProviderToken", "MissingProviderToken"})
# How often a request is made again that no connection carried out.
TRIES = 10
# What may stand in a header or a path as a device or a template says it.
TOKEN, TOPIC, KEY = re.compile(r"[A-Za-z0-9_-]{1,400}"), re.compile(r"[A-Za-z0-9.-]{1,255}"), re.compile(r"[!-~]{1,64}")


class ApnsProvider:
    """Messages for iOS; each install is of the production environment or of the sandbox."""

    name = "apns"

    def __init__(self, settings: PushSettings, server: Settings, seconds: float) -> None:
        self._settings = settings
        self._production, self._sandbox = Pool(server.apns_url, seconds), Pool(server.apns_sandbox_url, seconds)
        self._token, self._token_at = b"", float("-inf")

    async def send(self, push: Push, device: Device, message_id: str) -> Answer:
        """Hand over a message; where the service did not look at it, again."""
        body = apns_payload(push, device.badge)
        if len(body) > MOST_APNS:
            return Answer(Verdict.REFUSED, "the message is too large for APNs")
        if not TOKEN.fullmatch(device.token):
            return Answer(Verdict.DEAD, "not a token of APNs")
        pool = self._production if device.is_production else self._sandbox
        answer = Answer(Verdict.LATER, "APNs closed the connection")
        for _ in range(TRIES):
            token = self._bearer()
            headers = self._headers(pool, push, device, message_id, token)
            try:
                answer = _answer(await pool.request(headers, body))
            except NotReached:
                return Answer(Verdict.AWAY, "APNs cannot be reached")
            except InDoubt:
                return Answer(Verdict.LATER, "APNs did not answer in time")
            except NotCarriedOut:
                continue
            if answer.status != 403 or not self._renewed(token, answer):
                return answer
        return answer

    async def check(self) -> None:
        """Sign a token and connect to the production environment. Raises Unavailable."""
        self._bearer()
        try:
            await self._production.check()
        except NotReached as error:
            raise Unavailable("Apple's push service cannot be reached.") from error

    async def close(self) -> None:
        """Leave both environments."""
        await self._production.close()
        await self._sandbox.close()

    def _bearer(self) -> bytes:
        """The signed token; the same for all requests of most of an hour."""
        if time.monotonic() - self._token_at > TOKEN_SECONDS:
            claims = {"iss": self._settings.apns_team_id, "iat": int(time.time())}
            key_id = {"kid": self._settings.apns_key_id}
            token = jwt.encode(claims, self._settings.apns_key, algorithm="ES256", headers=key_id)
            self._token, self._token_at = b"bearer " + token.encode(), time.monotonic()
        return self._token

    def _renewed(self, token: bytes, answer: Answer) -> bool:
        """Whether there is another signed token after one was refused for its age."""
        if not any(answer.reason.endswith(word) for word in OF_PROVIDER_TOKEN):
            return False
        if token == self._token and time.monotonic() - self._token_at > SHORTEST_SECONDS:
            self._token_at = float("-inf")
        return token != self._bearer()

    def _headers(self, pool: Pool, push: Push, device: Device, message_id: str, token: bytes) -> Headers:
        details = push.details
        topic = device.bundle_id if TOPIC.fullmatch(device.bundle_id) else self._settings.apns_topic
        kind, priority = (b"background", b"5") if push.is_silent else (b"alert", b"10" if details.urgent else b"5")
        identity = str(uuid.uuid5(NAMESPACE, f"{message_id}/{device.app_id}/{device.install_id}"))
        expiration = int(time.time()) + details.ttl_seconds if details.ttl_seconds else 0
        # One message replaces another with the same key: so a message that was in doubt is shown once.
        collapse = details.collapse_key or message_id
        own = NeverIndexedHeaderTuple
        return [
            (b":method", b"POST"),
            (b":scheme", pool.scheme),
            (b":authority", pool.authority),
            own(b":path", b"/3/device/" + device.token.encode()),
            (b"authorization", token),
            (b"apns-topic", topic.encode()),
            (b"apns-push-type", kind),
            (b"apns-priority", priority),
            own(b"apns-id", identity.encode()),
            own(b"apns-expiration", str(expiration).encode()),
            own(b"apns-collapse-id", _collapse_id(collapse)),
        ]


def _collapse_id(key: str) -> bytes:
    return key.encode() if KEY.fullmatch(key) else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest().encode()


def _answer(response: Response) -> Answer:
    if response.status == 200:
        return TAKEN
    word = str(json_object(response.body).get("reason", ""))
    return refusal(NAME, response.status, word, _verdict(response.status, word), _wait(response))


def _verdict(status: int, word: str) -> Verdict:
    if status == 410 or word in DEAD_WORDS:
        return Verdict.DEAD
    # What is wrong with the account is put right by people: messages wait for them as long as for a server.
    return Verdict.LATER if status == 403 else by_status(status)


def _wait(response: Response) -> float:
    value = response.headers.get(b"retry-after", b"")
    return float(min(int(value), 24 * 3600)) if value.isdigit() else 0.0
