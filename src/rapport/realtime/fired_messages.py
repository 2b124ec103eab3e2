"""The messages of firings, found again by their tokens."""

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.campaigns.delivery.shown_messages import SentMessage
from rapport.campaigns.publishing.firings import rewards_in
from rapport.campaigns.triggered import definitions
from rapport.delivery.ids import message_id
from rapport.delivery.models import Source
from rapport.messaging.tracking.tokens import MessageToken, message_key
from rapport.realtime.models import Firing
from rapport.realtime.sending import event_values


def fired_message(scope: Scope, message: MessageToken) -> SentMessage | None:
    """What a firing sent to a customer, with what its event said; None for one that is not kept any more."""
    query = select(Firing).where(
        Firing.tenant_id == scope.tenant_id,
        Firing.person == message.customer_id.lower(),
        Firing.campaign_id == message.source_id,
    )
    with scope.reads() as session:
        firings = list(session.scalars(query.order_by(Firing.id)))
    for firing in firings:
        place = (scope.tenant_id, Source.FIRING, firing.id, message.channel_id, message.customer_id)
        identity = message_id(*place)
        if message_key(identity) == message.message_key:
            event = definitions.trigger_events(scope, {firing.series_id}).get(firing.series_id, "")
            of_promotions = rewards_in(firing.customer_id, firing.rewards).tags
            values = {**event_values(event, firing.parameters), **of_promotions}
            return SentMessage(identity, firing.recipient_group_id, values)
    return None
