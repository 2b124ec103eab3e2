"""Warehouse SQL of messaging."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from rapport.access.pseudonyms import PSEUDONYM, pseudonym_secret
from rapport.access.scope import Scope

if TYPE_CHECKING:
    from rapport.messaging.suppressions import Origin

SPELLING = "SELECT customer_id FROM customers WHERE lowerUTF8(customer_id) = lowerUTF8({customer_id:String}) LIMIT 1"

KNOWN = f"SELECT customer_id FROM customers WHERE {PSEUDONYM} IN {{marks:Array(String)}}"  # noqa: S608 - a constant
# A server takes bound values in an address of limited length.
MARKS_AT_ONCE = 2000

# One row a customer, campaign and channel, however often the wish is repeated.
UNSUBSCRIBED = """
INSERT INTO campaign_interactions
    (delivery_date, campaign_id, customer_id, channel_id, template_id, recipient_group_id, action_id, event_id,
     interaction_at)
SELECT {day:Date}, {campaign_id:UInt32}, {customer_id:String}, {channel_id:UInt32}, {template_id:UInt32},
       {recipient_group_id:UInt16}, {action_id:UInt32}, 4, {at:DateTime64(3, 'UTC')}
WHERE NOT EXISTS (
    SELECT 1 FROM campaign_interactions
    WHERE delivery_date = {day:Date} AND channel_id = {channel_id:UInt32} AND event_id = 4
      AND customer_id = {customer_id:String} AND campaign_id = {campaign_id:UInt32}
)
"""


def spelling(scope: Scope, customer_id: str) -> str:
    """A customer id as the warehouse spells it; as given when there is no such customer yet."""
    found = scope.warehouse.rows(SPELLING, customer_id=customer_id)
    return str(found[0][0]) if found else customer_id


def known(scope: Scope, marks: Sequence[str]) -> list[str]:
    """The CustomerIDs of those customers whose pseudonym is among marks."""
    secret = pseudonym_secret(scope)
    parts = [list(marks[begin : begin + MARKS_AT_ONCE]) for begin in range(0, len(marks), MARKS_AT_ONCE)]
    rows = (scope.warehouse.rows(KNOWN, marks=part, pseudonym_secret=secret) for part in parts)
    return [str(customer_id) for part in rows for (customer_id,) in part]


def record_unsubscribed(scope: Scope, customer_id: str, origin: "Origin", day: date) -> None:
    """Add the interaction "unsubscribed" of a customer with a campaign, unless it is there."""
    at = scope.clock.now().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    scope.warehouse.execute(
        UNSUBSCRIBED,
        day=day,
        campaign_id=origin.campaign_id,
        customer_id=customer_id,
        channel_id=origin.channel_id,
        template_id=origin.template_id,
        recipient_group_id=origin.recipient_group_id,
        action_id=origin.action_id,
        at=at,
    )
