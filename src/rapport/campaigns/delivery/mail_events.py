"""What became of the mail of campaigns, as interactions: once a customer, campaign, channel, interaction and day.

Clicks count as opens, too: whoever clicks has the message open, whether images are shown or not. What machines did is
kept under codes of its own. A message that came back for good suppresses the customer on the channel and a complaint
does; one that came back for now counts as a soft bounce of the day; one that was blocked does neither.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import structlog

from rapport.access.scope import Scope
from rapport.campaigns.delivery import keyword_wishes
from rapport.campaigns.measurement.interactions import SUPPRESSING, ReportedInteraction, add_interactions, executed
from rapport.campaigns.measurement.received import UnfiledReceipts, parts
from rapport.conditions.interaction_codes import (
    BOUNCED,
    CLICKED,
    DELETED,
    DELIVERED,
    DROPPED,
    MACHINE_CLICKED,
    MACHINE_OPENED,
    OPENED,
    SPAM_REPORT,
    UNSUBSCRIBED,
)
from rapport.customers.privacy import persons
from rapport.delivery.models import MailEvent, MailEventKind
from rapport.delivery.returns.events import ANY_CAMPAIGN, EventSink
from rapport.errors import Invalid
from rapport.messaging.contactability import soft_bounces, suppressions
from rapport.messaging.contactability.soft_bounces import DeliveryReport
from rapport.stores.isolating import isolate

log = structlog.get_logger("rapport.campaigns")
ORIGIN = "mail"
CODES: dict[str, tuple[int, ...]] = {
    MailEventKind.DELIVERED: (DELIVERED,),
    MailEventKind.OPENED: (OPENED,),
    MailEventKind.CLICKED: (CLICKED, OPENED),
    MailEventKind.DELETED: (DELETED,),
    MailEventKind.UNSUBSCRIBED: (UNSUBSCRIBED,),
    MailEventKind.PERMANENT: (BOUNCED,),
    MailEventKind.TEMPORARY: (DROPPED,),
    MailEventKind.BLOCK: (DROPPED,),
    MailEventKind.COMPLAINT: (SPAM_REPORT,),
}
OF_MACHINES = {MailEventKind.OPENED: (MACHINE_OPENED,), MailEventKind.CLICKED: (MACHINE_CLICKED,)}
CUSTOMERS = """
    SELECT substring(message_id, 1, 16) AS key, any(customer_id) FROM campaign_outcomes
    WHERE execution_date = {day:Date} AND campaign_id = {campaign:UInt32} AND channel_id = {channel:UInt32}
        AND substring(message_id, 1, 16) IN {keys:Array(String)}
    GROUP BY key
"""


class CampaignMailEvents(EventSink):
    """Records the events of messages of campaigns. unfiled_receipts: see interactions.add_interactions."""

    def __init__(self, unfiled_receipts: UnfiledReceipts) -> None:
        self._unfiled_receipts = unfiled_receipts

    def record(self, scope: Scope, events: Sequence[MailEvent]) -> list[MailEvent]:
        """Record events; those whose customer is not known yet: the outcomes of a batch are entered at its end."""
        wishes = [event for event in events if event.source_id == ANY_CAMPAIGN]
        events = [event for event in events if event.source_id != ANY_CAMPAIGN]
        customers = _customers(scope, [event for event in events if not event.customer_id])
        unknown = [event for event in events if not event.customer_id and event.message_key not in customers]
        rows, soft = [], []
        for event in events:
            customer_id = event.customer_id or customers.get(event.message_key, "")
            if not customer_id:
                continue
            codes = OF_MACHINES.get(MailEventKind(event.kind)) if event.by_machine else None
            rows += [_row(event, customer_id, code) for code in codes or CODES[event.kind]]
            if event.kind == MailEventKind.TEMPORARY:
                soft.append(DeliveryReport(event.channel_id, customer_id, event.at))
        _add(scope, _of_living(scope, rows), self._unfiled_receipts)
        if soft:
            soft_bounces.soft_bounced(scope, soft)
        return [*unknown, *keyword_wishes.record(scope, wishes)]


def _row(event: MailEvent, customer_id: str, code: int) -> ReportedInteraction:
    place = (event.source_id, event.channel_id, event.template_id)
    return ReportedInteraction(*place, code, customer_id, event.at, origin=ORIGIN)


def _of_living(scope: Scope, rows: Iterable[ReportedInteraction]) -> list[ReportedInteraction]:
    """The rows without those that suppress persons who were erased since, whose wish is kept by pseudonym alone."""
    living = []
    for row in rows:
        if row.event_id in SUPPRESSING and persons.is_erased(scope, row.customer_id):
            suppressions.suppress(scope, row.customer_id, row.channel_id, SUPPRESSING[row.event_id])
        else:
            living.append(row)
    return living


def _add(scope: Scope, rows: Sequence[ReportedInteraction], unfiled_receipts: UnfiledReceipts) -> None:
    """Add interactions. One that cannot be, since its campaign is gone, still stops further messages."""
    isolate(
        rows,
        lambda items: add_interactions(scope, items, unfiled_receipts),
        aside=lambda row, error: _only_suppress(scope, row, error),
        is_fatal=lambda error: not isinstance(error, Invalid),
    )


def _only_suppress(scope: Scope, row: ReportedInteraction, error: Exception) -> None:
    log.warning("an event of a message cannot be recorded", tenant_id=scope.tenant_id, reason=str(error))
    if row.event_id in SUPPRESSING:
        suppressions.suppress(scope, row.customer_id, row.channel_id, SUPPRESSING[row.event_id])


def _customers(scope: Scope, events: Iterable[MailEvent]) -> dict[str, str]:
    """The customers of messages by the beginning of the message id, as far as their outcomes are in the warehouse."""
    keys: dict[tuple[int, int], set[str]] = defaultdict(set)
    for event in events:
        keys[event.source_id, event.channel_id].add(event.message_key)
    customers: dict[str, str] = {}
    for (campaign_id, channel_id), of_campaign in keys.items():
        try:
            campaigns, _ = executed(scope, {campaign_id})
        except Invalid:
            continue
        place = {"day": campaigns[campaign_id].execution_date, "campaign": campaign_id, "channel": channel_id}
        for part in parts(sorted(of_campaign)):
            customers |= {str(key): str(who) for key, who in scope.warehouse.rows(CUSTOMERS, keys=part, **place)}
    return customers
