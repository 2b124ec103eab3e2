"""What a message on another channel than those of transactional mail says: its template, or what the request gave, with
the values of the request.
"""

from collections.abc import Iterable

import orjson
import structlog

from rapport.access.scope import Scope
from rapport.channels.messages import Origin, Receipt
from rapport.channels.models import Channel
from rapport.delivery.content import Written
from rapport.errors import RapportError
from rapport.messaging import templates
from rapport.messaging.message_writer import MessageWriter
from rapport.messaging.models import Template
from rapport.messaging.tags.language import TRANSACTIONAL
from rapport.stores.workers.leader import FAULTS
from rapport.transactional.models import Recipient, Send
from rapport.transactional.requests import OwnText
from rapport.transactional.writing import values_of

log = structlog.get_logger("rapport.transactional")


def own_template(scope: Scope, channel_id: int, written: OwnText) -> Template:
    """What a request gave as a template that is stored nowhere."""
    return Template(
        tenant_id=scope.tenant_id,
        channel_id=channel_id,
        id=0,
        name="",
        subject=written.subject,
        text=written.text,
        html=written.html,
        details=dict(written.details),
        mjml="",
        from_name="",
        topic_id="",
        translations={},
    )


def template_of(scope: Scope, send: Send) -> Template:
    """The template of a send as it is now, or what its request gave. Raises NotFound."""
    if send.template_id is None:
        return own_template(scope, send.channel_id, OwnText(**orjson.loads(send.content)))
    return templates.template(scope, send.channel_id, send.template_id)


class ChannelWriter:
    """Writes messages on a channel; each template is read once, unless it is known. Get one a batch.

    What a request gave is not tracked: its addresses, which may let somebody in, are kept nowhere else.
    """

    def __init__(self, scope: Scope, channel: Channel, known: Iterable[Template] = ()) -> None:
        self._scope, self._channel = scope, channel
        self._known = {template.id: template for template in known}
        self._writers: dict[int, MessageWriter] = {}

    def write(self, send: Send, recipient: Recipient) -> Written:
        """One message, or why it cannot be written, which is no other message's fault."""
        try:
            values = values_of(recipient)
            extra = {f"{TRANSACTIONAL}{name}": value for name, value in values.items()}
            customer_id = recipient.customer_id
            to = recipient.address or customer_id
            return self._writer(send).write(recipient.message_id, customer_id, to, values, extra)
        except FAULTS:
            raise
        except RapportError as error:
            return Receipt(recipient.message_id, "failed", error.message, permanent=True)
        except Exception as error:
            log.exception("a message cannot be written", channel_id=self._channel.id, message_id=recipient.message_id)
            return Receipt(recipient.message_id, "failed", f"not sent: {type(error).__name__}", permanent=True)

    def keep_links(self) -> None:
        """Keep the short links of the messages, before any leaves."""
        if self._writers:
            with self._scope.records() as session:
                for writer in self._writers.values():
                    writer.keep_links(session)

    def _writer(self, send: Send) -> MessageWriter:
        if send.id not in self._writers:
            template = self._known.get(send.template_id or 0) or template_of(self._scope, send)
            origin = Origin(self._channel.id, template_id=template.id, send_id=send.id)
            self._writers[send.id] = MessageWriter(
                self._scope, self._channel, template, origin, tracks=send.template_id is not None
            )
        return self._writers[send.id]
