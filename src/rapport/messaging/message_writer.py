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

NOBODY = Sender()


class MessageWriter:
    """Writes the messages of a template of a channel. origin is what the unsubscribe links lead back to.

    Get one a batch.
    """

    def __init__(self, scope: Scope, channel: Channel, template: Template, origin: Origin) -> None:
        self._kind, self._template, self._origin = channel.behaviour, template, origin
        self._scope, self._link = scope, unsubscribe_links(scope)
        self._sender = sender_of(scope, channel, template)

    def write(
        self, message_id: str, customer_id: str, to: str, values: Mapping[str, str | None], extra: Mapping[str, Any]
    ) -> Message:
        """One message. values and extra are those of render; what the origin says is put in."""
        url = self._link(customer_id, self._origin, to)
        own = {
            "unsubscribe_url": url,
            "campaign_id": str(self._origin.campaign_id),
            "template_id": str(self._origin.template_id),
        }
        content = render(self._template, customer_id, values, {**extra, **own}, self._scope.now_local())
        message = self._kind.write(message_id, customer_id, to, content, url)
        return replace(message, sender=self._sender) if self._sender != NOBODY else message
