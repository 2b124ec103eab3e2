"""Generic HTTP: each message is a POST that the channel's settings describe."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import orjson

from rapport.access.scope import Scope
from rapport.channels.handing import Decided
from rapport.channels.messages import Message, Receipt
from rapport.channels.sms.posts import Posts
from rapport.channels.sms.sending import NO_SUCH_NUMBER, SmsTransport
from rapport.channels.sms.settings import SmsChannelSettings
from rapport.errors import Invalid, Unavailable
from rapport.hosts import PORTS, Unresolved, checked_url, public_addresses
from rapport.stores.outside.posting import REFUSED, Answer

TAG = re.compile(r"\[%([A-Z_]+)%\]")
TAGS = ("TO", "FROM", "TEXT", "MESSAGE_ID", "TOKEN", "SECRET")
CONTENT_TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
IN_HOST = re.compile(r"[^/?#]*//[^/?#]*\[%")
# Statuses by which a provider asks to be tried again, beside those of its own faults.
TRY_AGAIN = frozenset({408, 409, 425, 429})
SERVER_FAULT = 500


def checked(channel: SmsChannelSettings, *, allow_private: bool) -> None:
    """Raises Invalid for settings by which nothing can be posted, naming the setting."""
    if not channel.url:
        raise Invalid("settings.url is required if settings.via is http.")
    if IN_HOST.match(channel.url):
        raise Invalid("settings.url must not have a tag in its host.")
    checked_url(TAG.sub("0", channel.url), "settings.url", allow_private=allow_private)
    texts = {"url": channel.url, "body": channel.body, **{f"headers.{name}": v for name, v in channel.headers.items()}}
    for name, written in texts.items():
        unknown = [tag for tag in TAG.findall(written) if tag not in TAGS]
        if unknown:
            raise Invalid(f"settings.{name} has the tag {unknown[0]}: there are {', '.join(TAGS)}.")
    if "[%TEXT%]" not in channel.body + channel.url or "[%TO%]" not in channel.body + channel.url:
        raise Invalid("settings.body must have the tags TO and TEXT.")
    if channel.format == "json" and not _is_json(TAG.sub("0", channel.body)):
        raise Invalid("settings.body must be JSON, with each tag within quotation marks.")


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def member(body: Any, path: str) -> str:
    """The text of a member of JSON or of a form, by names and places with dots between; empty where there is none."""
    for name in path.split("."):
        if isinstance(body, Mapping):
            body = body.get(name)
        elif isinstance(body, list) and name.isdigit() and int(name) < len(body):
            body = body[int(name)]
        else:
            return ""
    return "" if body is None or isinstance(body, Mapping | list) else str(body)


class HttpTransport(SmsTransport):
    """A POST a message, as many at once as the channel has connections."""

    def __init__(self, scope: Scope, channel: SmsChannelSettings) -> None:
        super().__init__(scope, channel)
        self._allow_private = scope.stores.settings.allow_private_addresses
        self._posts = Posts(channel.timeout_seconds, allow_private=self._allow_private)

    def begin(self, messages: Sequence[Message], decided: Decided) -> None:
        """Post each."""
        for message in messages:
            self._posts.begin(self._deliver(message, decided))

    async def _deliver(self, message: Message, decided: Decided) -> None:
        try:
            receipt = await self._posted(message)
        except Exception as error:  # a receipt is owed whatever happens
            receipt = Receipt(message.message_id, "failed", f"not sent: {type(error).__name__}")
        decided.put(receipt)

    async def _posted(self, message: Message) -> Receipt:
        channel = self._channel
        values = {
            "TO": message.to,
            "FROM": channel.sender,
            "TEXT": message.text,
            "MESSAGE_ID": message.message_id,
            "TOKEN": message.return_token,
            "SECRET": channel.secret,
        }
        url = TAG.sub(lambda tag: quote(values[tag[1]], safe=""), channel.url)
        headers = {name: TAG.sub(lambda tag: values[tag[1]], text) for name, text in channel.headers.items()}
        write = _in_json if channel.format == "json" else quote_plus
        body = TAG.sub(lambda tag: write(values[tag[1]]), channel.body)
        headers = {"Content-Type": CONTENT_TYPES[channel.format], "User-Agent": "Rapport", **headers}
        answer = await self._posts.post(url, headers, body.encode())
        receipt = receipt_of(message.message_id, answer, channel)
        if channel.id_member and answer.ok and answer.body:
            self.note_submitted(_id_in(answer.body, channel.id_member), message)
        return receipt

    def check(self) -> None:
        """Look up the host. Nothing can be asked of a provider without a message. Raises Unavailable."""
        parts = urlsplit(TAG.sub("0", self._channel.url))
        try:
            public_addresses(parts.hostname or "", parts.port or PORTS[parts.scheme], allow_private=self._allow_private)
        except (Unresolved, Invalid) as error:
            raise Unavailable(error.message) from error

    def close(self) -> None:
        """Let posts under way end."""
        self._posts.close()


def receipt_of(message_id: str, answer: Answer, channel: SmsChannelSettings) -> Receipt:
    """What the answer of a provider means for a message."""
    if answer.status is None:
        return Receipt(message_id, "failed", f"provider: {answer.error}", away=answer.error == REFUSED)
    answered = (answer.body or b"").decode("utf-8", "replace")
    if channel.invalid_text and channel.invalid_text in answered:
        return Receipt(message_id, "failed", NO_SUCH_NUMBER, permanent=True)
    if answer.ok and channel.accepted_text in answered:
        return Receipt(message_id, "sent")
    if answer.ok:
        return Receipt(message_id, "failed", "provider did not accept it", permanent=True)
    passes = answer.status in TRY_AGAIN or answer.status >= SERVER_FAULT
    wait = answer.retry_after.total_seconds() if answer.retry_after else 0.0
    reason = f"provider {answer.error}"
    return Receipt(message_id, "failed", reason, permanent=not passes, retry_after=wait if passes else 0.0)


def _in_json(text: str) -> str:
    return orjson.dumps(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")).decode()[1:-1]


def _id_in(body: bytes, path: str) -> str:
    try:
        return member(orjson.loads(body), path)
    except orjson.JSONDecodeError:
        return ""
