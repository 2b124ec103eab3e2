"""Messages of one template on one channel, ready to leave: rendered, and written as the channel's kind does."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rapport.access.scope import Scope
from rapport.channels.messages import Message, Sender
from rapport.channels.models import Channel
from rapport.messaging.contactability.suppressions import Origin, unsubscribe_links
from rapport.messaging.models import Template
from rapport.messaging.rendering import render
from rapport.messaging.template_senders import sender_of
from rapport.messaging.topics.preference_links import preference_links
from rapport.messaging.tracking.tokens import SentFor, TokenWriter
from rapport.messaging.tracking.tracking import Tracking

NOBODY = Sender()
PREFERENCE_CENTER = "PREFERENCE_CENTER"  # the tag of the link to the page of preferences


class MessageWriter:
    """Writes the messages of a template of a channel. origin is what the links and reports of them lead back to.

    Get one a batch.
    """

    def __init__(self, scope: Scope, channel: Channel, template: Template, origin: Origin) -> None:
        self._kind, self._template, self._origin = channel.behaviour, template, origin
        self._scope, self._link = scope, unsubscribe_links(scope)
        self._sender = sender_of(scope, channel, template)
        self._tokens = _tokens(scope, channel, origin)
        tracks = self._kind.tracks(scope, channel.settings)
        self._tracking = Tracking(scope, template, self._tokens) if tracks and self._tokens else None
        has_tag = any(PREFERENCE_CENTER in text for text in (template.subject, template.html, template.text))
        self._preferences = preference_links(scope, channel.id, template.topic_id) if has_tag else None

    def write(
        self, message_id: str, customer_id: str, to: str, values: Mapping[str, str | None], extra: Mapping[str, Any]
    ) -> Message:
        """One message. values and extra are those of render; what the origin says is put in."""
        url = self._link(customer_id, self._origin, to)
        own = {
            "unsubscribe_url": url,
            "preference_center": self._preferences(customer_id) if self._preferences and customer_id else url,
            "campaign_id": str(self._origin.campaign_id),
            "template_id": str(self._origin.template_id),
        }
        now = self._scope.now_local()
        if self._tracking is None:
            content = render(self._template, customer_id, values, {**extra, **own}, now)
        else:
            link_token = self._tracking.token(message_id, customer_id)
            tracked = {**extra, **own, **self._tracking.values(link_token)}
            content = render(self._tracking.template, customer_id, values, tracked, now)
            content = self._tracking.signed(content, link_token)
        message = self._kind.write(message_id, customer_id, to, content, url)
        if self._sender != NOBODY:
            message = replace(message, sender=self._sender)
        return replace(message, return_token=self._tokens.return_token(message_id)) if self._tokens else message


def _tokens(scope: Scope, channel: Channel, origin: Origin) -> TokenWriter | None:
    """What names the messages of an origin; None where nothing comes back, or it would be nobody's."""
    sent_for = SentFor.CAMPAIGN if origin.campaign_id else SentFor.TRANSACTIONAL
    source_id = origin.campaign_id or origin.send_id
    if not (channel.behaviour.has_returns and source_id):
        return None
    return TokenWriter(scope, sent_for, source_id, channel.id, origin.template_id)
