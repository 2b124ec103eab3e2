"""What customers got of a campaign on a channel: as the warehouse has it, and as firings tell that are not in it yet.

Firings of triggers are kept a floor above: whoever asks brings the lookup of those.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.models import Occurrence

# A server takes bound values in an address of limited length.
IDS_AT_ONCE = 2000
# Ids are looked up as they are, which the order of the table makes quick; only strangers ignoring case.
RECIPIENTS = """
    SELECT customer_id, min((recipient_group_id, action_id, template_id)) FROM campaign_recipients
    WHERE execution_date = {day:Date} AND campaign_id = {campaign:UInt32} AND channel_id = {channel:UInt32}
        AND customer_id IN {ids:Array(String)}
    GROUP BY customer_id
"""
RESPELLED = RECIPIENTS.replace("customer_id IN {ids", "lowerUTF8(customer_id) IN {ids")


class Received(NamedTuple):
    """What a customer got of a campaign on a channel; the id as the warehouse spells it."""

    customer_id: str
    group: int
    action: int
    template: int


# What customers got of a triggered campaign on a channel that is not in the warehouse yet. It is called in the caller's
# transaction with campaign, channel and ids in lower case; what it leaves out must be in the warehouse.
UnfiledReceipts = Callable[[Scope, Session, int, int, Sequence[str]], Iterable[Received]]


def received(
    scope: Scope,
    session: Session,
    campaign: Occurrence,
    channel_id: int,
    customer_ids: Iterable[str],
    unfiled_receipts: UnfiledReceipts,
) -> dict[str, Received]:
    """What customers got of a campaign on a channel, by id in lower case; those who got nothing are absent."""
    ids = list(customer_ids)
    messages: dict[str, Received] = {}
    if campaign.is_triggered:
        # Firings first: one that is filed after this look is found by the next, the other way round by neither.
        persons = list(dict.fromkeys(customer_id.lower() for customer_id in ids))
        unfiled = unfiled_receipts(scope, session, campaign.id, channel_id, persons)
        messages = {message.customer_id.lower(): message for message in unfiled}
    parameters = {"day": campaign.execution_date, "campaign": campaign.id, "channel": channel_id}
    for sql, fold in ((RECIPIENTS, str), (RESPELLED, str.lower)):
        for part in parts(
            dict.fromkeys(fold(customer_id) for customer_id in ids if customer_id.lower() not in messages)
        ):
            answer = scope.warehouse.rows(sql, ids=part, **parameters)
            messages.update(
                (str(customer_id).lower(), Received(str(customer_id), *map(int, place)))
                for customer_id, place in answer
            )
    return messages


def parts(ids: Iterable[str]) -> Iterator[list[str]]:
    """Ids in as many lists as it takes to bind them."""
    whole = list(ids)
    return (whole[begin : begin + IDS_AT_ONCE] for begin in range(0, len(whole), IDS_AT_ONCE))
