"""Webhooks of outside channels: whoever sends on one gets the customers of each execution as files, and event 14.

A listener of type 14 is the webhook; what it is called and what stands in its files is kept beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from rapport.access.scope import Scope
from rapport.campaigns.models import Webhook
from rapport.campaigns.publishing.rewards import KEY, keys_among
from rapport.channels import service as channels
from rapport.customers import attributes as customer_attributes
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging.tags.language import REWARD
from rapport.notifications import service as notifications

FILES_READY = 14
DEFAULT_ROWS = 10_000


@dataclass(frozen=True)
class ChannelWebhook:
    """The webhook of a channel. rows is the most customers of a file, attributes are RealFieldNames."""

    channel_id: int
    url: str
    name: str
    rows_per_file: int
    attributes: list[str]


def webhook(scope: Scope, channel_id: int) -> ChannelWebhook | None:
    """The webhook of a channel, None when it has none. One whose address was registered by a call has defaults."""
    listeners = [
        listener
        for listener in notifications.listeners(scope)
        if (listener.event_type_id, listener.channel_id) == (14, channel_id)
    ]
    if not listeners:
        return None
    with scope.reads() as session:
        stored = session.get(Webhook, (scope.tenant_id, channel_id))
    if stored is None:
        return ChannelWebhook(channel_id, listeners[0].url, f"hook{channel_id}", DEFAULT_ROWS, [])
    return ChannelWebhook(channel_id, listeners[0].url, stored.name, stored.rows_per_file, stored.attributes)


def set_webhook(
    scope: Scope, channel_id: int, url: str, name: str, rows_per_file: int, attributes: Sequence[str]
) -> ChannelWebhook:
    """Give an outside channel its webhook, in place of any before.

    Raises NotFound for the channel, Invalid for one that Rapport sends on itself, a URL that is not to be posted
    to or an attribute that is not known, Conflict for a name that another channel's webhook has.
    """
    if not channels.channel(scope, channel_id).behaviour.is_pulled:
        raise Invalid(f"Channel {channel_id} is a native channel: only external channels have webhooks.")
    names = _names(scope, attributes)
    values = {"name": name, "rows_per_file": rows_per_file, "attributes": names, "updated_at": scope.clock.now()}
    with scope.reads() as session:
        name_query = select(Webhook.channel_id).where(Webhook.tenant_id == scope.tenant_id, Webhook.name == name)
        if session.scalar(name_query.where(Webhook.channel_id != channel_id)) is not None:
            raise Conflict(f"There is a webhook named {name!r} already.")
    listener = notifications.register_listener(scope, FILES_READY, url, channel_id)
    try:
        with scope.records() as session:
            statement = insert(Webhook).values(tenant_id=scope.tenant_id, channel_id=channel_id, **values)
            session.execute(
                statement.on_conflict_do_update(index_elements=[Webhook.tenant_id, Webhook.channel_id], set_=values)
            )
            scope.audit(session, "set", f"webhook of channel {channel_id}", name=name)
    except IntegrityError as error:
        raise Conflict(f"There is a webhook named {name!r} already.") from error
    return ChannelWebhook(channel_id, listener.url, name, rows_per_file, names)


def _names(scope: Scope, attributes: Sequence[str]) -> list[str]:
    """Attributes as they are spelt, and rewards as REWARD:KEY, in their order. Raises Invalid for another name."""
    keys = keys_among(attributes)
    for place, key in keys.items():
        if not KEY.fullmatch(key):
            raise Invalid(f"attributes[{place}]: {attributes[place]!r} must name a reward type, as REWARD:freeSpins.")
    others = [name for place, name in enumerate(attributes) if place not in keys]
    infos = iter(customer_attributes.find(scope, others, "attributes"))
    return [
        f"{REWARD}{keys[place]}" if place in keys else next(infos).real_field_name for place in range(len(attributes))
    ]


def delete_webhook(scope: Scope, channel_id: int) -> None:
    """Take a channel's webhook away: what it was not told yet is canceled. Raises NotFound when there is none."""
    if not notifications.unregister_listener(scope, FILES_READY, channel_id):
        raise NotFound(f"Channel {channel_id} has no webhook.")
    with scope.records() as session:
        session.execute(delete(Webhook).where(Webhook.tenant_id == scope.tenant_id, Webhook.channel_id == channel_id))
        scope.audit(session, "delete", f"webhook of channel {channel_id}")
