"""Push messages of applications as the sender takes them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import settings_or_defaults
from rapport.channels.messages import Content, Message, Origin, Receipt
from rapport.channels.models import Channel
from rapport.channels.push.addressing import to_app
from rapport.delivery import outbox
from rapport.delivery.content import Written
from rapport.delivery.models import IS_OPEN, Source, State
from rapport.delivery.outbox import Claim, Settled
from rapport.delivery.sources import MessageSource
from rapport.delivery.values import Values, attribute_values
from rapport.delivery.worker import CLOCK, Sender
from rapport.errors import NotFound
from rapport.messaging import templates
from rapport.messaging.editions import Edition, Editions
from rapport.stores import Stores
from rapport.transactional.models import PushNotification, PushRecipient
from rapport.transactional.pushes import orders
from rapport.transactional.settings import TransactionalSettings

GONE = "the template is gone"
# What has been entered of messages, under the numbers of their claims, is what counts here too.
ENDED = text(f"""
    UPDATE push_recipients AS recipient SET state = messages.state, reason = messages.reason, ended_at = :now
    FROM messages
    WHERE messages.source = '{Source.PUSH}' AND messages.source_id = ANY(:ids) AND messages.tenant_id = :tenant_id
        AND NOT messages.{IS_OPEN} AND recipient.tenant_id = :tenant_id AND recipient.id = messages.source_id
        AND recipient.ended_at IS NULL
    RETURNING recipient.id
""")  # noqa: S608 - members of enums


class PushMessages(MessageSource):
    """Recipients of notifications as a source of messages."""

    def write(self, scope: Scope, channel: Channel, claims: Sequence[Claim]) -> Iterator[tuple[Claim, Written]]:
        """What the request said; who unsubscribed gets it all the same, as transactional mail."""
        recipients = _recipients(scope, claims)
        notifications = _notifications(scope, {recipient.notification_id for recipient in recipients.values()})
        editions_by_id = _editions(scope, notifications.values())
        languages = _languages(scope, recipients.values(), editions_by_id.values())
        for claim in claims:
            recipient = recipients.get(claim.source_id)
            if recipient is None:
                continue
            notification = notifications[recipient.notification_id]
            editions = editions_by_id.get(notification.template_id)
            if notification.template_id and editions is None:
                yield claim, Receipt(claim.message_id, "failed", GONE, permanent=True)
                continue
            edition = editions.of(languages.get(recipient.customer_id, {})) if editions else None
            content = _content(scope, notification, edition, recipient.customer_id)
            yield claim, _message(channel, notification, recipient, claim.message_id, content)

    def retry_delays(self, scope: Scope) -> Sequence[float]:
        """As the tenant has set them for transactional mail."""
        return settings_or_defaults(scope, TransactionalSettings).retry_delays

    def is_late(self, scope: Scope, claim: Claim) -> bool:
        """Whether it was due longer ago than the tenant lets messages be late."""
        patience = timedelta(hours=settings_or_defaults(scope, TransactionalSettings).wait_hours)
        recipients = _recipients(scope, [claim]).values()
        notifications = _notifications(scope, {recipient.notification_id for recipient in recipients})
        return all(CLOCK.now() - _latest(notification) > patience for notification in notifications.values())

    def note(self, scope: Scope, session: Session, settled: Sequence[Settled]) -> None:
        """Enter with the notification what has ended, and forget the message."""
        ids = [ended.claim.source_id for ended in settled if ended.state is not State.PENDING]
        if ids:
            parameters = {"tenant_id": scope.tenant_id, "ids": ids, "now": scope.clock.now()}
            ended = [(scope.tenant_id, number) for number in session.scalars(ENDED, parameters)]
            outbox.drop_sources(session, Source.PUSH, ended)

    def note_failed(self, scope: Scope, channel_id: int, failed: Sequence[Settled]) -> None:
        """Nothing: tokens that have ended are forgotten when they are met."""


class PushSender(Sender):
    """Sends push messages of applications in lanes of its own."""

    name = "push sender"
    gathers = 0.05
    per_channel = 400

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores, Source.PUSH, PushMessages())


def _content(scope: Scope, notification: PushNotification, edition: Edition | None, customer_id: str) -> Content:
    """What a customer gets. No attributes are put in: tags have their defaults, as the reference has it."""
    filled = edition.render(customer_id, {}, {}, scope.now_local()) if edition else Content()
    return orders.read(notification.content).over(filled)


def _message(
    channel: Channel, notification: PushNotification, recipient: PushRecipient, message_id: str, content: Content
) -> Message:
    message = channel.behaviour.write(message_id, recipient.customer_id, recipient.customer_id, content)
    origin = Origin(channel.id, template_id=notification.template_id, send_id=notification.id)
    return replace(message, headers=to_app(notification.app_id, recipient.install_id), origin=origin)


def _editions(scope: Scope, notifications: Iterable[PushNotification]) -> dict[int, Editions]:
    """The templates of notifications by id; those that are gone are absent."""
    editions_by_id: dict[int, Editions] = {}
    for channel_id, template_id in {(each.channel_id, each.template_id) for each in notifications if each.template_id}:
        with suppress(NotFound):
            editions_by_id[template_id] = Editions(scope, templates.template(scope, channel_id, template_id))
    return editions_by_id


def _languages(
    scope: Scope, recipients: Iterable[PushRecipient], templates_used: Iterable[Editions]
) -> dict[str, Values]:
    """What says which language customers read, by CustomerID, if any of the templates asks for it."""
    names: set[str] = set().union(*(editions.of_language for editions in templates_used))
    customer_ids = sorted({recipient.customer_id for recipient in recipients if recipient.customer_id})
    return attribute_values(scope, customer_ids, names)


def _latest(notification: PushNotification) -> datetime:
    """When its last message was due: where the day begins last, that is half a day after UTC."""
    return notification.due_at + (timedelta(hours=26) if notification.is_scheduled else timedelta())


def _recipients(scope: Scope, claims: Sequence[Claim]) -> dict[int, PushRecipient]:
    """By their ids; those of persons who were erased meanwhile are gone."""
    ids = [claim.source_id for claim in claims]
    with scope.reads() as session:
        query = select(PushRecipient).where(PushRecipient.tenant_id == scope.tenant_id, PushRecipient.id.in_(ids))
        return {recipient.id: recipient for recipient in session.scalars(query)}


def _notifications(scope: Scope, ids: Collection[int]) -> dict[int, PushNotification]:
    with scope.reads() as session:
        query = select(PushNotification).where(
            PushNotification.tenant_id == scope.tenant_id, PushNotification.id.in_(ids)
        )
        return {notification.id: notification for notification in session.scalars(query)}
