"""What recipients did with a campaign, as outside systems report it: each thing a customer did in a day counts once.

A row says what the customer really got: recipient group, action and template are those of
its recipients, whatever the report names. Reports of one tenant are taken one after the other, so
that the same report is never written twice, in whatever order and however often it comes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.measurement.received import Received, UnfiledReceipts, parts, received
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.states import EXECUTED_STATES, RunState
from rapport.conditions.interaction_codes import (
    BOUNCED,
    CLICKED,
    DELETED,
    DELIVERED,
    DROPPED,
    MACHINE_CLICKED,
    MACHINE_OPENED,
    OPENED,
    SENT,
    SPAM_REPORT,
    UNSUBSCRIBED,
)
from rapport.errors import Invalid
from rapport.messaging.contactability import soft_bounces, suppressions
from rapport.messaging.contactability.soft_bounces import DeliveryReport
from rapport.stores.records import locks
from rapport.stores.records.locks import Lock

log = structlog.get_logger("rapport.campaigns")

INTERACTIONS = {
    SENT: "sent",
    DELIVERED: "delivered",
    OPENED: "opened",
    CLICKED: "clicked",
    UNSUBSCRIBED: "unsubscribed",
    DROPPED: "dropped",
    SPAM_REPORT: "spam report",
    BOUNCED: "bounced",
}
# What scanners and proxies did, and what was deleted: counted apart, and reported by nobody but Rapport itself.
UNREPORTED = {MACHINE_OPENED: "machine opened", MACHINE_CLICKED: "machine clicked", DELETED: "deleted"}
RECORDED = INTERACTIONS | UNREPORTED
# Interactions after which a customer must not be written to on the channel any more.
SUPPRESSING = {UNSUBSCRIBED: "unsubscribed", SPAM_REPORT: "complaint", BOUNCED: "bounced"}
# Interactions that only a message that arrived makes possible.
ARRIVED = frozenset({DELIVERED, OPENED, CLICKED})
REPORTED_STATES = (*EXECUTED_STATES, RunState.CANCELED)
# A vendor's calendar may be a day before or after the tenant's.
A_DAY = timedelta(days=1)
COLUMNS = (
    "delivery_date",
    "campaign_id",
    "customer_id",
    "channel_id",
    "template_id",
    "recipient_group_id",
    "action_id",
    "event_id",
    "interaction_at",
    "app_id",
    "origin",
)
PRESENT = """
    SELECT customer_id, event_id, toString(toDate(interaction_at, {zone:String})) FROM campaign_interactions
    WHERE delivery_date = {day:Date} AND campaign_id = {campaign:UInt32} AND channel_id = {channel:UInt32}
        AND event_id IN {events:Array(UInt8)} AND customer_id IN {ids:Array(String)}
"""
PRESENT_FOLDED = PRESENT.replace("customer_id IN {ids", "lowerUTF8(customer_id) IN {ids")


@dataclass(frozen=True, slots=True)
class ReportedInteraction:
    """One thing that a customer did with a campaign. at is an instant; event_id a key of INTERACTIONS."""

    campaign_id: int
    channel_id: int
    template_id: int
    event_id: int
    customer_id: str
    at: datetime
    recipient_group_id: int | None = None
    app_id: str = ""
    origin: str = "api"


Place = tuple[int, int]  # campaign, channel
ChannelRows = dict[Place, list[OccurrenceChannel]]


def add_interactions(scope: Scope, rows: Sequence[ReportedInteraction], unfiled_receipts: UnfiledReceipts) -> int:
    """Keep what was reported; how many of the rows were new. May be repeated, also in part.

    Customers to whom the campaign did not go on the channel are passed over, which the audit row counts:
    one wrong id must not hold up all others. An unsubscription, spam report or bounce suppresses the
    customer on the channel, recipient or not. Raises Invalid when a campaign, channel, template or
    recipient group is not known, or the day is not one of the campaign's; nothing is written then.
    """
    campaigns = reported_on(scope, rows)
    with _alone(scope) as session:
        new, strangers = _new(scope, session, rows, campaigns, unfiled_receipts)
        _suppress(scope, session, [*new, *((row, None) for row in strangers)])
        _note_arrivals(scope, session, [row for row, _ in new])
        # Committed first: were the process killed right after the insert, a repetition would find nothing new.
        session.commit()
        scope.warehouse.insert(
            "campaign_interactions", COLUMNS, [_columns(campaigns, row, message) for row, message in new]
        )
        for campaign_id in campaigns:
            mine = sum(row.campaign_id == campaign_id for row, _ in new)
            unknown = sum(row.campaign_id == campaign_id for row in strangers)
            scope.audit(session, "interactions", f"campaign {campaign_id}", new=mine, not_recipients=unknown)
        session.commit()
    if strangers:
        log.warning("interactions of others than recipients", tenant_id=scope.tenant_id, customers=len(strangers))
    return len(new)


def reported_on(scope: Scope, rows: Iterable[ReportedInteraction]) -> dict[int, Occurrence]:
    """The campaigns that rows name, by id. Raises Invalid for a row that cannot be."""
    places = {
        (row.campaign_id, row.channel_id, row.template_id, row.recipient_group_id, row.event_id, _day(scope, row.at))
        for row in rows
    }
    campaigns, channel_rows = executed(scope, {place[0] for place in places})
    for campaign, channel, template, group, event, day in places:
        check_place(channel_rows, campaign, channel, template)
        _check_group(channel_rows, campaign, channel, template, group)
        if event not in UNREPORTED:
            check_event(event)
        _check_day(scope, campaigns[campaign], day)
    return campaigns


def check_event(event: int) -> None:
    """Whether a number is that of something a person did, which others may report. Raises Invalid."""
    if event not in INTERACTIONS:
        raise Invalid(f"EventID must be one of {', '.join(map(str, INTERACTIONS))}, not {event}.")


def check_interaction_date(scope: Scope, campaign_id: int, day: date) -> None:
    """Whether customers can have done something with a campaign on a day of the tenant. Raises Invalid."""
    campaigns, _ = executed(scope, {campaign_id})
    _check_day(scope, campaigns[campaign_id], day)


def executed(scope: Scope, campaign_ids: set[int]) -> tuple[dict[int, Occurrence], ChannelRows]:
    """Executed (or then canceled) campaigns by id, and their rows by campaign and channel. Raises Invalid."""
    mine = (Occurrence.tenant_id == scope.tenant_id, Occurrence.id.in_(campaign_ids))
    rows = (OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id.in_(campaign_ids))
    channel_rows: ChannelRows = defaultdict(list)
    with scope.reads() as session:
        campaigns = {campaign.id: campaign for campaign in session.scalars(select(Occurrence).where(*mine))}
        for row in session.scalars(select(OccurrenceChannel).where(*rows)):
            channel_rows[row.campaign_id, row.channel_id].append(row)
    for campaign_id in sorted(campaign_ids):
        if campaign_id not in campaigns:
            raise Invalid(f"CampaignID: there is no campaign {campaign_id}.")
        if campaigns[campaign_id].state not in REPORTED_STATES:
            raise Invalid(f"CampaignID: campaign {campaign_id} is {campaigns[campaign_id].state} and was not executed.")
    return campaigns, channel_rows


def check_place(channel_rows: ChannelRows, campaign: int, channel: int, template: int) -> None:
    """Whether a campaign brings a template on a channel. Raises Invalid."""
    if (campaign, channel) not in channel_rows:
        raise Invalid(f"ChannelID: campaign {campaign} does not use channel {channel}.")
    if all(row.template_id != template for row in channel_rows[campaign, channel]):
        raise Invalid(f"TemplateID: campaign {campaign} does not use template {template} on channel {channel}.")


def _check_group(channel_rows: ChannelRows, campaign: int, channel: int, template: int, group: int | None) -> None:
    """Whether a recipient group that is named gets a template on a channel, which the campaign uses. Raises Invalid."""
    rows = channel_rows[campaign, channel]
    if group is None or any((row.recipient_group_id, row.template_id) == (group, template) for row in rows):
        return
    if all(row.recipient_group_id != group for row in rows):
        raise Invalid(f"RecipientGroupID: campaign {campaign} has no recipient group {group} on channel {channel}.")
    where = f"template {template} on channel {channel}"
    raise Invalid(f"RecipientGroupID: recipient group {group} of campaign {campaign} does not use {where}.")


def _check_day(scope: Scope, campaign: Occurrence, day: date) -> None:
    first, last = campaign.execution_date - A_DAY, scope.today() + A_DAY
    if not first <= day <= last:
        raise Invalid(f"InteractionDate must be a day from {first} to {last} for campaign {campaign.id}, not {day}.")


@contextmanager
def _alone(scope: Scope) -> Iterator[Session]:
    """A session that holds the tenant's lock of reports, also beyond its commits."""
    with scope.stores.records.engine.connect() as connection:
        locks.take(connection, Lock.INTERACTIONS, scope.tenant_id)
        connection.commit()
        try:
            with Session(connection) as session:
                yield session
        finally:
            connection.rollback()
            locks.release(connection, Lock.INTERACTIONS, scope.tenant_id)
            connection.commit()


@contextmanager
def no_reports(scope: Scope) -> Iterator[None]:
    """Hold off reports of interactions for the length of the block."""
    with _alone(scope):
        yield


ReportedMessage = tuple[ReportedInteraction, Received]


def _new(
    scope: Scope,
    session: Session,
    rows: Sequence[ReportedInteraction],
    campaigns: dict[int, Occurrence],
    unfiled_receipts: UnfiledReceipts,
) -> tuple[list[ReportedMessage], list[ReportedInteraction]]:
    """Those rows that are not in the warehouse yet, with what the customer got, each once; and those of strangers."""
    by_place: dict[Place, list[ReportedInteraction]] = defaultdict(list)
    for row in rows:
        by_place[row.campaign_id, row.channel_id].append(row)
    new: list[ReportedMessage] = []
    strangers: list[ReportedInteraction] = []
    for (campaign_id, channel_id), mine in by_place.items():
        campaign = campaigns[campaign_id]
        customer_ids = [row.customer_id for row in mine]
        messages = received(scope, session, campaign, channel_id, customer_ids, unfiled_receipts)
        seen = _present(scope, campaign, channel_id, {row.event_id for row in mine}, messages)
        for row in mine:
            customer_id = row.customer_id.lower()
            key = (customer_id, row.event_id, _day(scope, row.at))
            if customer_id not in messages:
                strangers.append(row)
            elif key not in seen:
                seen.add(key)
                new.append((row, messages[customer_id]))
    return new, strangers


def _present(
    scope: Scope, campaign: Occurrence, channel: int, events: set[int], messages: dict[str, Received]
) -> set[tuple[str, int, date]]:
    """What is there of customers: id in lower case, interaction and day of the tenant."""
    campaign_channel = {"day": campaign.execution_date, "campaign": campaign.id, "channel": channel}
    parameters = {**campaign_channel, "zone": scope.time_zone.key, "events": sorted(events)}
    # Customers whom nobody has loaded are spelled as the event that set the trigger off, each time another way.
    sql, ids = (
        (PRESENT_FOLDED, list(messages))
        if campaign.is_triggered
        else (PRESENT, [message.customer_id for message in messages.values()])
    )
    answers = (scope.warehouse.rows(sql, ids=part, **parameters) for part in parts(ids))
    return {
        (str(customer_id).lower(), int(event), date.fromisoformat(day))
        for rows in answers
        for customer_id, event, day in rows
    }


def _day(scope: Scope, at: datetime) -> date:
    return at.astimezone(scope.time_zone).date()


def _suppress(scope: Scope, session: Session, rows: Iterable[tuple[ReportedInteraction, Received | None]]) -> None:
    """Suppress who unsubscribed, complained or bounced, on the channel where that was."""
    customers_by_event: dict[tuple[int, int], list[str]] = defaultdict(list)
    for row, message in rows:
        if row.event_id in SUPPRESSING:
            customers_by_event[row.channel_id, row.event_id].append(message.customer_id if message else row.customer_id)
    for (channel, event), customer_ids in sorted(customers_by_event.items()):
        suppressions.suppress_many(scope, session, channel, SUPPRESSING[event], customer_ids)


def _note_arrivals(scope: Scope, session: Session, rows: Iterable[ReportedInteraction]) -> None:
    """Forget the soft bounces of who has got a message since."""
    arrived = [DeliveryReport(row.channel_id, row.customer_id, row.at) for row in rows if row.event_id in ARRIVED]
    if arrived and soft_bounces.any_counted(scope, session):
        soft_bounces.arrived(scope, session, arrived)


def _columns(campaigns: dict[int, Occurrence], row: ReportedInteraction, message: Received) -> tuple[object, ...]:
    day = campaigns[row.campaign_id].execution_date
    place = (row.channel_id, message.template, message.group, message.action)
    return (day, row.campaign_id, message.customer_id, *place, row.event_id, row.at, row.app_id, row.origin)
