"""What providers of text messages call: aggregators by the SMS API, others as the settings of their channel describe.

An address names the tenant and the channel. A call of an aggregator is signed with the channel's secret; the addresses
for other providers cannot be guessed.
"""

import hmac
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from rapport.access.scope import Scope, scope_of
from rapport.access.secrets import tenant_secret
from rapport.channels.models import Channel
from rapport.channels.sms import aggregators, directory
from rapport.channels.sms.aggregator import submission_id
from rapport.channels.sms.http import member
from rapport.channels.sms.incoming import Answer, Report, Reported
from rapport.channels.sms.settings import Via
from rapport.delivery.returns.text_messages import RECORDER
from rapport.errors import Invalid, NotFound, Unauthorized
from rapport.stores import Stores

PATH = "/sms"
MOST_ANSWERS = 1000
LONGEST = 2000
# Names under which aggregators have been seen to send the key by which Rapport calls them.
KEY_NAMES = ("apikey", "api_key", "xapikey", "x-api-key", "aggregatorapikey", "key")
FINAL = {
    "delivered": Reported.DELIVERED,
    "failed": Reported.FAILED,
    "undelivered": Reported.FAILED,
    "undeliverable": Reported.FAILED,
    "notdelivered": Reported.FAILED,
    "rejected": Reported.FAILED,
    "expired": Reported.FAILED,
}
NUMBER_FAULTS = ("invalid", "unknownsubscriber", "nosuchnumber", "absentnumber")


def base_url(scope: Scope, channel: Channel) -> str:
    """The base of the addresses that the aggregator of a channel calls."""
    return f"{scope.stores.settings.links_url}{PATH}/{aggregators.identifier(scope.tenant_id, channel.id)}"


def provider_url(scope: Scope, channel: Channel, what: str) -> str:
    """The address for the reports, or the answers, of a provider of generic HTTP. Whoever knows it may call."""
    return f"{base_url(scope, channel)}/{what}/{_password(scope, channel.id)}"


def channel_at(stores: Stores, identifier: str, via: Via, password: str = "") -> tuple[Scope, Channel]:
    """The SMS channel that an identifier names, whose messages leave by a way. Raises NotFound.

    Via HTTP the address has a password.
    """
    tenant_id, channel_id = aggregators.named(identifier)
    scope = scope_of(stores, tenant_id, actor="SMS provider")
    channel = next((channel for channel in directory.sms_channels(scope) if channel.id == channel_id), None)
    if channel is None or directory.settings_of(channel).via is not via:
        raise NotFound("There is no such SMS channel.")
    if via is Via.HTTP and not hmac.compare_digest(password, _password(scope, channel_id)):
        raise NotFound("There is no such SMS channel.")
    return scope, channel


def _password(scope: Scope, channel_id: int) -> str:
    key = tenant_secret(scope, "sms webhooks").encode()
    return hmac.digest(key, str(channel_id).encode(), "sha256").hex()[:32]


def check_signed(channel: Channel, body: bytes, header: str) -> None:
    """Raises Unauthorized for a call that the aggregator of a channel has not signed."""
    if not aggregators.is_signed(directory.settings_of(channel).shared_secret, body, header):
        raise Unauthorized("x-hub-signature is missing or wrong.")


def take_handshake(scope: Scope, channel: Channel, body: bytes) -> None:
    """Keep where an aggregator takes messages. Raises Invalid."""
    members = {str(name).lower(): value for name, value in _object(body).items()}
    url = members.get("campaignsendurl")
    if not isinstance(url, str) or not url:
        raise Invalid("campaignSendUrl is required.")
    key = next((members[name] for name in KEY_NAMES if isinstance(members.get(name), str)), "")
    secret = directory.settings_of(channel).shared_secret
    aggregators.shake_hands(scope, channel.id, secret, url, key[:LONGEST])


def take_aggregator_report(scope: Scope, channel: Channel, body: bytes) -> bool:
    """Record what an aggregator reports; whether it is final, and about a message that is known. Raises Invalid."""
    call = _object(body)
    kind = call.get("type")
    if not isinstance(kind, Mapping) or not isinstance(call.get("metadata"), Mapping):
        raise Invalid("type and metadata must be objects.")
    status = _status(str(kind.get("status", "")), str(kind.get("subStatus", "")))
    request_id = member(call, "metadata.engagementId") or member(call, "requestId")
    if status is None or not request_id:
        return False
    detail = f"{kind.get('status', '')} {kind.get('subStatus') or ''}".strip()
    return any(
        RECORDER.report(
            scope,
            channel.id,
            Report(status, scope.clock.now(), provider_id=submission_id(request_id, recipient), detail=detail),
        )
        for recipient in _recipients(call)
    )


def _recipients(call: Mapping[str, Any]) -> Iterator[str]:
    """The recipient of a report, by number or customer, wherever the aggregator says it."""
    for place in ("", "recipient.", "recipients.0.", "metadata."):
        for name in ("mobileNumber", "phoneNumber", "to", "customerId"):
            if recipient := member(call, place + name):
                yield recipient


def _status(status: str, more: str) -> Reported | None:
    words = [word.lower().replace(" ", "").replace("_", "") for word in (status, more)]
    final = FINAL.get(words[0])
    if final is Reported.FAILED and any(fault in word for fault in NUMBER_FAULTS for word in words):
        return Reported.INVALID
    return final


def take_aggregator_answers(scope: Scope, channel: Channel, body: bytes) -> int:
    """Carry out what people answered; how many answers there were. Raises Invalid."""
    call = _object(body).get("messages")
    if not isinstance(call, list) or len(call) > MOST_ANSWERS:
        raise Invalid(f"messages must be a list of at most {MOST_ANSWERS} messages.")
    answers = [
        Answer(member(each, "from"), member(each, "message"), scope.clock.now())
        for each in call
        if isinstance(each, Mapping)
    ]
    for answer in answers:
        RECORDER.answer(scope, channel.id, answer)
    return len(answers)


def take_provider_report(scope: Scope, channel: Channel, body: bytes) -> bool:
    """Record what a provider of generic HTTP reports; whether it is final, and about a message that is known."""
    call, form = _members(body), directory.settings_of(channel).reports
    value = member(call, form.status)
    by_value = {
        **dict.fromkeys(form.failed, Reported.FAILED),
        **dict.fromkeys(form.delivered, Reported.DELIVERED),
        **dict.fromkeys(form.invalid, Reported.INVALID),
    }
    status = by_value.get(value)
    token = member(call, form.token) if form.token else ""
    provider_id = member(call, form.id) if form.id else ""
    if status is None or not (token or provider_id):
        return False
    report = Report(status, scope.clock.now(), token=token, provider_id=provider_id, detail=value)
    return RECORDER.report(scope, channel.id, report)


def take_provider_answer(scope: Scope, channel: Channel, body: bytes) -> None:
    """Carry out what somebody answered, as a provider of generic HTTP says it."""
    call, form = _members(body), directory.settings_of(channel).reports
    answer = Answer(member(call, form.sender), member(call, form.text), scope.clock.now())
    RECORDER.answer(scope, channel.id, answer)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        call = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid("The body must be a JSON object.") from error
    if not isinstance(call, Mapping):
        raise Invalid("The body must be a JSON object.")
    return call


def _members(body: bytes) -> Any:
    """A body of JSON or of a form."""
    if body.lstrip()[:1] in (b"{", b"["):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Invalid("The body must be JSON or a form.") from error
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
