"""Google's push service for Android: the HTTP v1 API, with access tokens of a service account."""

import asyncio
import functools
from typing import Any

import orjson
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials

from rapport.apps.devices import Device
from rapport.channels.push.answers import TAKEN, Answer, Verdict, by_status, json_object, refusal
from rapport.channels.push.payloads import MOST_FCM, Push, fcm_message
from rapport.channels.push.posts import Posts, wait_of
from rapport.channels.push.settings import PushSettings, service_account
from rapport.channels.push.tokens import AccessToken, Fetched, TokenRefused
from rapport.errors import Unavailable
from rapport.settings import Settings
from rapport.stores.outside.posting import Answer as Posted

NAME = "FCM"
SCOPES = ["https://www.googleapis.com/auth/firebase.messaging"]
TOKEN_SECONDS = 3600.0
# Where it does not say when to come back after too much was asked of it.
QUOTA_SECONDS = 60.0
DEAD_WORDS = frozenset({"UNREGISTERED"})
BAD_TOKEN = "registration token"  # noqa: S105 - words of its sentence about an invalid one


class FcmProvider:
    """Messages for Android, as data that the SDK shows."""

    name = "fcm"

    def __init__(self, settings: PushSettings, server: Settings, posts: Posts) -> None:
        account = service_account(settings.fcm_service_account)
        self._posts, self._seconds = posts, settings.timeout_seconds
        self._url = f"{server.fcm_url.rstrip('/')}/v1/projects/{account['project_id']}/messages:send"
        # Where tokens are issued is the operator's to say, not the file's, which is a tenant's.
        self._account = {**account, "token_uri": server.fcm_token_url}
        self._token = AccessToken(self._fetch)

    async def send(self, push: Push, device: Device, message_id: str) -> Answer:
        """Hand over a message, once more with a new token where the service takes the one no more."""
        message = fcm_message(push, device.token)
        body = orjson.dumps(message)
        if len(orjson.dumps(message["message"]["data"])) > MOST_FCM:
            return Answer(Verdict.REFUSED, "the message is too large for FCM")
        posted = await self._token.posted(lambda token: self._post(token, body), lambda posted: posted.status == 401)
        return posted if isinstance(posted, Answer) else _answer(posted)

    async def check(self) -> None:
        """Get an access token. Raises Unavailable."""
        try:
            await self._token.get()
        except TokenRefused as error:
            raise Unavailable(f"Google gives no access token: {error.reason}.") from error

    async def close(self) -> None:
        """The connections are shared."""

    async def _post(self, token: str, body: bytes) -> Posted:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return await self._posts.post(self._url, headers, body)

    async def _fetch(self) -> Fetched:
        return await asyncio.get_running_loop().run_in_executor(None, self._fetched)

    def _fetched(self) -> Fetched:
        # The library is typed in part only.
        credentials: Any = Credentials.from_service_account_info(self._account, scopes=SCOPES)  # type: ignore[no-untyped-call]
        try:
            credentials.refresh(functools.partial(Request(), timeout=self._seconds))
        except TransportError as error:
            raise TokenRefused("the server of access tokens for FCM cannot be reached", away=True) from error
        except GoogleAuthError as error:
            raise TokenRefused("FCM refused the service account", away=False) from error
        return credentials.token, TOKEN_SECONDS


def _answer(posted: Posted) -> Answer:
    if posted.ok:
        return TAKEN
    if posted.status is None:
        if not posted.asked:
            return Answer(Verdict.AWAY, "FCM cannot be reached")
        return Answer(Verdict.LATER, "FCM did not answer")
    error = json_object(posted.body).get("error")
    error = error if isinstance(error, dict) else {}
    word = _word(error)
    verdict = by_status(posted.status)
    if word in DEAD_WORDS or (posted.status == 400 and BAD_TOKEN in str(error.get("message", "")).lower()):
        verdict = Verdict.DEAD
    elif posted.status in (401, 403) and word != "SENDER_ID_MISMATCH":
        verdict = Verdict.LATER
    wait = wait_of(posted) or (QUOTA_SECONDS if posted.status == 429 else 0.0)
    return refusal(NAME, posted.status, word, verdict, wait)


def _word(error: dict[str, Any]) -> str:
    """What FCM calls the fault, or else what all of Google's services call it."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and isinstance(detail.get("errorCode"), str):
            return str(detail["errorCode"])
    return str(error.get("status", ""))
