"""People who unsubscribe by the link of a message: the wish is kept, and the message's campaign gets an interaction."""

from datetime import date

from rapport.access.scope import Scope
from rapport.campaigns.erasure import alias
from rapport.campaigns.measurement.interactions import no_reports
from rapport.channels.messages import Origin
from rapport.conditions.interaction_codes import UNSUBSCRIBED
from rapport.customers.privacy import persons
from rapport.messaging.contactability import suppressions
from rapport.messaging.models import EVERY_CHANNEL, WishSource

# One row a customer, campaign and channel, however often the wish is repeated.
RECORD = """
    INSERT INTO campaign_interactions
        (delivery_date, campaign_id, customer_id, channel_id, template_id, recipient_group_id, action_id, event_id,
         interaction_at)
    SELECT {day:Date}, {campaign_id:UInt32}, {customer_id:String}, {channel_id:UInt32}, {template_id:UInt32},
           {recipient_group_id:UInt16}, {action_id:UInt32}, {event:UInt8}, {at:DateTime64(3, 'UTC')}
    WHERE NOT EXISTS (
        SELECT 1 FROM campaign_interactions
        WHERE delivery_date = {day:Date} AND channel_id = {channel_id:UInt32} AND event_id = {event:UInt8}
          AND customer_id = {customer_id:String} AND campaign_id = {campaign_id:UInt32}
    )
"""


def unsubscribe(scope: Scope, customer_id: str, origin: Origin, *, everything: bool = False, wording: str = "") -> None:
    """Carry out a person's wish: nothing more on the message's channel, or on any. May be repeated freely.

    wording is what the person read.

    The campaign of the message gets one interaction 4 (unsubscribed) a customer, also of clicks at the same time. Of a
    person who was erased since, neither names the CustomerID again.
    """
    channel_id = EVERY_CHANNEL if everything else origin.channel_id
    suppressions.suppress(scope, customer_id, channel_id, mark=origin.address, source=WishSource.LINK, wording=wording)
    if origin.campaign_id:
        note(scope, customer_id, origin)


def note(scope: Scope, customer_id: str, origin: Origin) -> None:
    """Enter that a person refused messages after one of a campaign. May be repeated freely."""
    with no_reports(scope):
        recorded_id = alias(scope, customer_id) if persons.is_erased(scope, customer_id) else customer_id
        _record(scope, recorded_id, origin)


def _record(scope: Scope, customer_id: str, origin: Origin) -> None:
    scope.warehouse.execute(
        RECORD,
        day=date.fromisoformat(origin.delivery_date) if origin.delivery_date else scope.today(),
        campaign_id=origin.campaign_id,
        customer_id=customer_id,
        channel_id=origin.channel_id,
        template_id=origin.template_id,
        recipient_group_id=origin.recipient_group_id,
        action_id=origin.action_id,
        event=UNSUBSCRIBED,
        at=scope.clock.now().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
    )
