"""What a transactional message says: its template with the values of the request, or the request's own content."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import orjson
import structlog

from rapport.access.scope import Scope
from rapport.channels.messages import AttachedFile, Content, Origin, Receipt, Sender
from rapport.channels.models import Channel
from rapport.delivery.content import Written
from rapport.errors import RapportError
from rapport.messaging import templates
from rapport.messaging.editions import Edition, Editions
from rapport.messaging.models import Template
from rapport.messaging.tags.language import TRANSACTIONAL
from rapport.messaging.template_senders import sender_of
from rapport.messaging.tracking import tracking
from rapport.messaging.tracking.tokens import SentFor, TokenWriter, newest_secret
from rapport.stores.workers.leader import FAULTS
from rapport.transactional.models import Recipient, Send
from rapport.transactional.requests import FinalContent

log = structlog.get_logger("rapport.transactional")


def values_of(recipient: Recipient) -> dict[str, str]:
    """The values of tags that a request gave for a recipient, by their names in upper case."""
    values: dict[str, str] = orjson.loads(recipient.personalizations) if recipient.personalizations else {}
    return values


def final_content(send: Send) -> FinalContent | None:
    """The content that a request gave; None for mail of a template, and once it was dropped."""
    return FinalContent(**orjson.loads(send.content)) if send.content else None


def filled(
    scope: Scope,
    edition: Edition,
    values: Mapping[str, str],
    tracked: Mapping[str, str] | None = None,
    template: Template | None = None,
    customer_id: str = "",
) -> Content:
    """An edition of a template with the values of a recipient, of tags with or without the prefix; what has none is
    empty.

    tracked: what the placeholders of tracking stand for, which template has.
    """
    prefixed = {f"{TRANSACTIONAL}{name}": value for name, value in values.items()}
    own = {"template_id": str(edition.template.id), **(tracked or {})}
    return edition.render(customer_id, values, {**prefixed, **own}, scope.now_local(), template)


class Writer:
    """Writes messages on a channel; each template is read once, unless it is known. Get one a batch.

    Links and opens are tracked as the channel says. Of content that a request gave only opens are: its addresses, which
    may let somebody in, are kept nowhere else.
    """

    def __init__(self, scope: Scope, channel: Channel, known: Iterable[Template] = ()) -> None:
        self._scope, self._channel = scope, channel
        self._known = {template.id: template for template in known}
        self._templates: dict[int, tuple[Editions, Sender]] = {}
        self._secret = newest_secret(scope)
        self._tracks = channel.behaviour.tracks(scope, channel.settings)

    def write(self, send: Send, recipient: Recipient, files: Sequence[AttachedFile]) -> Written:
        """One message, or why it cannot be written, which is no other message's fault."""
        try:
            place = (send.id, self._channel.id, send.template_id or 0)
            tokens = TokenWriter(self._scope, SentFor.TRANSACTIONAL, *place, newest=self._secret)
            content, sender = self._content(send, recipient, tokens)
            letter = self._channel.behaviour.write(recipient.message_id, "", recipient.address, content)
            return_token = tokens.return_token(recipient.message_id)
            origin = Origin(self._channel.id, template_id=send.template_id or 0, send_id=send.id)
            return replace(letter, sender=sender, attachments=tuple(files), return_token=return_token, origin=origin)
        except FAULTS:
            raise
        except RapportError as error:
            return Receipt(recipient.message_id, "failed", error.message, permanent=True)
        except Exception as error:
            log.exception("a message cannot be written", channel_id=self._channel.id, message_id=recipient.message_id)
            return Receipt(recipient.message_id, "failed", f"not sent: {type(error).__name__}", permanent=True)

    def _content(self, send: Send, recipient: Recipient, tokens: TokenWriter) -> tuple[Content, Sender]:
        if (final := final_content(send)) is not None:
            sender = Sender(final.from_email, final.from_name, final.reply_to)
            content = Content(final.subject, final.text, final.html)
            return (
                tracking.with_pixel(self._scope, content, tokens, recipient.message_id, "") if self._tracks else content
            ), sender
        editions, sender = self._editions(send.template_id or 0)
        values = values_of(recipient)
        edition = editions.of(values)
        if not self._tracks:
            return filled(self._scope, edition, values), sender
        tracked = tracking.Tracking(self._scope, edition.template, tokens)
        link_token = tracked.token(recipient.message_id, "")
        content = filled(self._scope, edition, values, tracked.values(link_token), tracked.template)
        return tracked.signed(content, link_token), sender

    def _editions(self, template_id: int) -> tuple[Editions, Sender]:
        if template_id not in self._templates:
            known = self._known.get(template_id)
            template = known or templates.template(self._scope, self._channel.id, template_id)
            sender = sender_of(self._scope, self._channel, template)
            self._templates[template_id] = Editions(self._scope, template), sender
        return self._templates[template_id]
