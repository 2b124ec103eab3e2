"""Messages of one template on one channel, ready to leave: rendered, and written as the channel's kind does."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.messages import Content, Message, Origin
from rapport.channels.models import Channel
from rapport.messaging.contactability.suppressions import unsubscribe_links
from rapport.messaging.editions import Edition, Editions
from rapport.messaging.models import Template
from rapport.messaging.template_senders import sender_of
from rapport.messaging.topics.preference_links import preference_links
from rapport.messaging.tracking.short_links import Shortener
from rapport.messaging.tracking.tokens import SentFor, TokenWriter
from rapport.messaging.tracking.tracking import Tracking, view_link

# Instants at which messages were written are kept without the fraction of the second.
A_SECOND = timedelta(seconds=1)
# Tags of links that are made only for templates that have them.
PREFERENCE_CENTER, VIEW_IN_BROWSER = "PREFERENCE_CENTER", "VIEW_IN_BROWSER"


class MessageWriter:
    """Writes the messages of a template of a channel. origin is what the links and reports of them lead back to.

    Get one a batch. written_at is the instant at which messages were written that are shown again, without a pixel.
    tracks: whether links and opens are tracked where the channel's are.
    """

    def __init__(
        self,
        scope: Scope,
        channel: Channel,
        template: Template,
        origin: Origin,
        written_at: datetime | None = None,
        *,
        tracks: bool = True,
    ) -> None:
        self._kind, self._origin = channel.behaviour, origin
        self._editions = Editions(scope, template, written_at and written_at + A_SECOND)
        self._scope, self._link = scope, unsubscribe_links(scope)
        self._sender = sender_of(scope, channel, template)
        self._written_at = written_at
        self._tokens = _tokens(scope, channel, origin, written_at)
        self._tracks = tracks and self._tokens is not None and self._kind.tracks(scope, channel.settings)
        self._tracking: dict[str, Tracking] = {}
        self._preferences = (
            preference_links(scope, channel.id, template.topic_id) if self._editions.has(PREFERENCE_CENTER) else None
        )
        self._shortener = Shortener(scope) if self._kind.has_short_links else None
        self._shows = origin.campaign_id > 0 and self._editions.has(VIEW_IN_BROWSER)

    @property
    def attributes(self) -> list[str]:
        """The customer attributes that its messages need, see Editions."""
        return self._editions.attributes

    def write(
        self, message_id: str, customer_id: str, to: str, values: Mapping[str, str | None], extra: Mapping[str, Any]
    ) -> Message:
        """One message. values and extra are those of render; what the origin says is put in.

        Whoever is no customer has no link to unsubscribe: it keeps the wish of one.
        """
        url = self._link(customer_id, self._origin, to) if customer_id else ""
        content = self._content(message_id, customer_id, url, values, extra)
        if self._shortener is not None:
            content = replace(content, text=self._shortener.shortened(message_id, customer_id, content.text))
        message = self._kind.write(message_id, customer_id, to, content, url)
        return_token = self._tokens.return_token(message_id) if self._tokens else ""
        return replace(message, sender=self._sender, return_token=return_token, origin=self._origin)

    def keep_links(self, records: Session | Connection) -> None:
        """Keep the short links of the messages that were written, in the caller's transaction, before any leaves."""
        if self._shortener is not None:
            self._shortener.keep(records)

    def content(
        self, message_id: str, customer_id: str, to: str, values: Mapping[str, str | None], extra: Mapping[str, Any]
    ) -> Content:
        """What the message says: subject, text and HTML."""
        return self._content(message_id, customer_id, self._link(customer_id, self._origin, to), values, extra)

    def _content(
        self, message_id: str, customer_id: str, url: str, values: Mapping[str, str | None], extra: Mapping[str, Any]
    ) -> Content:
        own = {
            "unsubscribe_url": url,
            "preference_center": self._preferences(customer_id) if self._preferences and customer_id else url,
            "view_in_browser": self._view(message_id, customer_id),
            "campaign_id": str(self._origin.campaign_id),
            "template_id": str(self._origin.template_id),
        }
        written_at = self._written_at or self._scope.clock.now()
        now = written_at.astimezone(self._scope.time_zone).replace(tzinfo=None, microsecond=0)
        edition = self._editions.of(values)
        tracking = self._tracking_of(edition)
        if tracking is None:
            return edition.render(customer_id, values, {**extra, **own}, now)
        link_token = tracking.token(message_id, customer_id)
        tracked = {**extra, **own, **tracking.values(link_token)}
        content = edition.render(customer_id, values, tracked, now, tracking.template)
        return tracking.signed(content, link_token)

    def _tracking_of(self, edition: Edition) -> Tracking | None:
        """The tracking of an edition's messages; None where it is not known who opens and clicks."""
        if not self._tracks or self._tokens is None:
            return None
        if edition.language not in self._tracking:
            shows_again = self._written_at is not None
            tracking = Tracking(self._scope, edition.template, self._tokens, with_pixel=not shows_again)
            self._tracking[edition.language] = tracking
        return self._tracking[edition.language]

    def _view(self, message_id: str, customer_id: str) -> str:
        """The link that shows the message; empty of one that cannot be shown, or does not ask for it."""
        if not (self._shows and self._tokens and customer_id):
            return ""
        return view_link(self._scope, self._tokens, message_id, customer_id)


def _tokens(scope: Scope, channel: Channel, origin: Origin, written_at: datetime | None) -> TokenWriter | None:
    """What names the messages of an origin; None where nothing comes back, or it would be nobody's."""
    sent_for = SentFor.CAMPAIGN if origin.campaign_id else SentFor.TRANSACTIONAL
    source_id = origin.campaign_id or origin.send_id
    if not (channel.behaviour.has_returns and source_id):
        return None
    return TokenWriter(scope, sent_for, source_id, channel.id, origin.template_id, written_at=written_at)
