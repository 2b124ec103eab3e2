"""Huawei's push service, with access tokens of the app's own id and secret."""

from urllib.parse import quote, urlencode

import orjson

from rapport.apps.devices import Device
from rapport.channels.push.answers import TAKEN, Answer, Verdict, by_status, json_object, refusal
from rapport.channels.push.payloads import MOST_FCM, Push, hms_message
from rapport.channels.push.posts import Posts, wait_of
from rapport.channels.push.settings import PushSettings
from rapport.channels.push.tokens import AccessToken, Fetched, TokenRefused
from rapport.errors import Unavailable
from rapport.settings import Settings
from rapport.stores.outside.posting import Answer as Posted

NAME = "HMS"
# Its own codes, which it answers with status 200 as well.
SUCCESS, INVALID_TOKENS = "80000000", "80300007"
OF_TOKEN, TOO_MUCH = frozenset({"80200001", "80200003"}), frozenset({"80300029", "82000001"})
OF_SERVER = frozenset({"81000001"})


class HmsProvider:
    """Messages for devices of Huawei, with the same data as those for Android."""

    name = "hms"

    def __init__(self, settings: PushSettings, server: Settings, posts: Posts) -> None:
        self._posts, self._token_url = posts, server.hms_token_url
        self._url = f"{server.hms_url.rstrip('/')}/v1/{quote(settings.hms_app_id, safe='')}/messages:send"
        self._login = {
            "grant_type": "client_credentials",
            "client_id": settings.hms_app_id,
            "client_secret": settings.hms_app_secret,
        }
        self._token = AccessToken(self._fetch)

    async def send(self, push: Push, device: Device, message_id: str) -> Answer:
        """Hand over a message, once more with a new token where the service takes the one no more."""
        message = hms_message(push, device.token)
        if len(str(message["message"]["data"]).encode()) > MOST_FCM:
            return Answer(Verdict.REFUSED, "the message is too large for HMS")
        body = orjson.dumps(message)
        posted = await self._token.posted(lambda token: self._post(token, body), _is_of_token)
        return posted if isinstance(posted, Answer) else _answer(posted)

    async def check(self) -> None:
        """Get an access token. Raises Unavailable."""
        try:
            await self._token.get()
        except TokenRefused as error:
            raise Unavailable(f"Huawei gives no access token: {error.reason}.") from error

    async def close(self) -> None:
        """The connections are shared."""

    async def _post(self, token: str, body: bytes) -> Posted:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json; charset=UTF-8"}
        return await self._posts.post(self._url, headers, body)

    async def _fetch(self) -> Fetched:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        posted = await self._posts.post(self._token_url, form, urlencode(self._login).encode())
        if posted.status is None:
            raise TokenRefused("the server of access tokens for HMS cannot be reached", away=True)
        answered = json_object(posted.body)
        token, seconds = answered.get("access_token"), answered.get("expires_in")
        if not posted.ok or not isinstance(token, str) or not isinstance(seconds, int):
            raise TokenRefused("HMS refused the app's id and secret", away=False)
        return token, float(seconds)


def _is_of_token(posted: Posted) -> bool:
    """Whether the service takes a token no more."""
    return posted.status == 401 or _code(posted) in OF_TOKEN


def _code(posted: Posted) -> str:
    return str(json_object(posted.body).get("code", ""))


def _answer(posted: Posted) -> Answer:
    if posted.status is None:
        if not posted.asked:
            return Answer(Verdict.AWAY, "HMS cannot be reached")
        return Answer(Verdict.LATER, "HMS did not answer")
    code = _code(posted)
    if posted.ok and code in (SUCCESS, ""):
        return TAKEN
    if code == INVALID_TOKENS:
        return refusal(NAME, posted.status, "", Verdict.DEAD)
    may_pass = posted.status == 401 or code in OF_TOKEN | TOO_MUCH | OF_SERVER
    verdict = Verdict.LATER if may_pass else by_status(posted.status)
    return Answer(verdict, f"HMS answered {code if code.isdigit() else posted.status}", posted.status, wait_of(posted))
