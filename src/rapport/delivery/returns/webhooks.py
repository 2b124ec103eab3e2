"""The addresses that mail providers call: one a channel, which nobody can guess, beside what the provider signs."""

import hmac
import re
from collections.abc import Mapping

import structlog

from rapport.access.scope import Scope, scope_of
from rapport.access.secrets import tenant_secret
from rapport.channels import service as channels
from rapport.channels.brands import brands
from rapport.channels.models import Channel
from rapport.delivery.returns.events import Happening, accept
from rapport.delivery.returns.providers.base import Call, Report
from rapport.delivery.returns.providers.registry import PROVIDERS
from rapport.errors import NotFound
from rapport.messaging.tracking.tokens import MessageToken, TokenReader
from rapport.stores import Stores

log = structlog.get_logger("rapport.delivery")
PATH = "/mail-events"
ADDRESS = re.compile(r"(?P<tenant>[0-9]{1,9})[.](?P<channel>[0-9]{1,10})[.](?P<signature>[0-9a-f]{32})")


def webhook_url(scope: Scope, channel: Channel) -> str:
    """Where the provider of a channel reports to; empty for a channel without one. Whoever knows it may report."""
    provider, _ = provider_of(scope, channel)
    if not provider:
        return ""
    address = f"{scope.tenant_id}.{channel.id}.{_signature(scope, channel.id)}"
    return f"{scope.stores.settings.links_url}{PATH}/{provider}/{address}"


def provider_of(scope: Scope, channel: Channel) -> tuple[str, str]:
    """By which provider mail of a channel leaves, and by what its calls are checked; both may be the brand's."""
    if not channel.behaviour.has_returns:
        return "", ""
    mail = brands.mail_settings(channel.settings, brands.brand_of(scope, channel.settings))
    return mail.provider, mail.events_key


def take(
    stores: Stores, tokens: TokenReader, provider: str, address: str, headers: Mapping[str, str], body: bytes
) -> int:
    """Accept what a provider reports; how many reports there were of messages of the channel.

    headers are by lower-case name. What is about other messages is passed over. Raises NotFound for an address that is
    none, Unauthorized for a call that is not the provider's, Invalid for a body that cannot be read.
    """
    scope, channel = _channel(stores, address)
    of_channel, key = provider_of(scope, channel)
    if provider not in PROVIDERS or provider != of_channel:
        raise _unknown()
    call = Call(headers, body, key)
    PROVIDERS[provider].check(call)
    messages = ((report, _message(tokens, report)) for report in list(PROVIDERS[provider].reports(call)))
    happenings = [
        Happening(message, report.kind, min(report.at, scope.clock.now()), detail=report.detail)
        for report, message in messages
        if message and (message.tenant_id, message.channel_id) == (scope.tenant_id, channel.id)
    ]
    accept(stores, happenings)
    return len(happenings)


def _message(tokens: TokenReader, report: Report) -> MessageToken | None:
    try:
        return tokens.read(report.token)
    except NotFound:
        return None


def _channel(stores: Stores, address: str) -> tuple[Scope, Channel]:
    """The channel that a webhook's address is of. Raises NotFound."""
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        raise _unknown()
    scope, channel_id = scope_of(stores, int(parts["tenant"]), actor="mail provider"), int(parts["channel"])
    if not hmac.compare_digest(parts["signature"], _signature(scope, channel_id)):
        raise _unknown()
    return scope, channels.channel(scope, channel_id)


def _signature(scope: Scope, channel_id: int) -> str:
    key = tenant_secret(scope, "mail webhooks").encode()
    return hmac.digest(key, str(channel_id).encode(), "sha256").hex()[:32]


def _unknown() -> NotFound:
    return NotFound("There is no such webhook.")
