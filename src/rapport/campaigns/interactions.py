"""What recipients did with a campaign, as outside systems report it: each thing a customer did in a day counts once.

A row says what the customer really got: recipient group, action and template are those of
campaign_recipients, whatever the report names. Reports of one tenant are taken one after the other, so
that the same report is never written twice, in whatever order and however often it comes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.models import CANCELED, EXECUTED_STATES, Occurrence, OccurrenceChannel
from rapport.errors import Invalid
from rapport.messaging import service as messaging

log = structlog.get_logger("rapport.campaigns")

INTERACTIONS = {
    0: "sent",
    1: "delivered",
    2: "opened",
    3: "clicked",
    4: "unsubscribed",
    5: "dropped",
    6: "spam report",
    7: "bounced",
}
# Interactions after which a customer must not be written to on the channel any more.
SUPPRESSING = {4: "unsubscribed", 6: "complaint", 7: "bounced"}
REPORTED_STATES = (*EXECUTED_STATES, CANCELED)
LOCK_NUMBER = 7011
LOCK = "SELECT pg_advisory_lock(:lock, :tenant_id)"
UNLOCK = "SELECT pg_advisory_unlock(:lock, :tenant_id)"
# A server takes bound values in an address of limited length.
IDS_AT_ONCE = 2000

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
# Ids are looked up as they are, which the order of the table makes quick; only strangers ignoring case.
RECIPIENTS = """
    SELECT customer_id, min((recipient_group_id, action_id, template_id)) FROM campaign_recipients
    WHERE execution_date = {day:Date} AND campaign_id = {campaign:UInt32} AND channel_id = {channel:UInt32}
        AND customer_id IN {ids:Array(String)}
    GROUP BY customer_id
"""
RESPELLED = RECIPIENTS.replace("customer_id IN {ids", "lowerUTF8(customer_id) IN {ids")
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


class Got(NamedTuple):
    """What a customer of a campaign got on a channel; the id as the warehouse spells it."""

    customer_id: str
    group: int
    action: int
    template: int


Place = tuple[int, int]  # campaign, channel
Given = dict[Place, list[OccurrenceChannel]]


def add_interactions(scope: Scope, rows: Sequence[ReportedInteraction]) -> int:
    """Keep what was reported; how many of the rows were new. May be repeated, also in part.

    Customers to whom the campaign did not go on the channel are passed over, which the audit row counts:
    one wrong id must not hold up all others. An unsubscription, spam report or bounce suppresses the
    customer on the channel, recipient or not. Raises Invalid when a campaign, channel, template or
    recipient group is not known; nothing is written then.
    """
    campaigns, given = reported_on(scope, rows)
    with _alone(scope) as session:
        new, strangers = _new(scope, rows, campaigns, given)
        _suppress(scope, session, [*new, *((row, None) for row in strangers)])
        # Committed first: were the process killed right after the insert, a repetition would find nothing new.
        session.commit()
        scope.warehouse.insert("campaign_interactions", COLUMNS, [_columns(campaigns, row, got) for row, got in new])
        for campaign_id in campaigns:
            mine = sum(row.campaign_id == campaign_id for row, _ in new)
            unknown = sum(row.campaign_id == campaign_id for row in strangers)
            scope.audit(session, "interactions", f"campaign {campaign_id}", new=mine, not_recipients=unknown)
        session.commit()
    if strangers:
        log.warning("interactions of others than recipients", tenant_id=scope.tenant_id, customers=len(strangers))
    return len(new)


def reported_on(scope: Scope, rows: Iterable[ReportedInteraction]) -> tuple[dict[int, Occurrence], Given]:
    """The campaigns that rows name and what they gave on each channel. Raises Invalid for a row that cannot be."""
    wanted = {(row.campaign_id, row.channel_id, row.template_id, row.recipient_group_id, row.event_id) for row in rows}
    campaigns, given = executed(scope, {one[0] for one in wanted})
    for campaign, channel, template, group, event in wanted:
        check_place(given, campaign, channel, template)
        if group is not None and group not in {place.recipient_group_id for place in given[campaign, channel]}:
            raise Invalid(f"RecipientGroupID: campaign {campaign} has no recipient group {group} on channel {channel}.")
        if event not in INTERACTIONS:
            raise Invalid(f"EventID must be one of {', '.join(map(str, INTERACTIONS))}, not {event}.")
    return campaigns, given


def executed(scope: Scope, campaign_ids: set[int]) -> tuple[dict[int, Occurrence], Given]:
    """Executed (or then canceled) campaigns by id, and their rows by campaign and channel. Raises Invalid."""
    mine = (Occurrence.tenant_id == scope.tenant_id, Occurrence.id.in_(campaign_ids))
    rows = (OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id.in_(campaign_ids))
    given: Given = defaultdict(list)
    with scope.records() as session:
        found = {one.id: one for one in session.scalars(select(Occurrence).where(*mine))}
        for row in session.scalars(select(OccurrenceChannel).where(*rows)):
            given[row.campaign_id, row.channel_id].append(row)
    for campaign_id in sorted(campaign_ids):
        if campaign_id not in found:
            raise Invalid(f"CampaignID: there is no campaign {campaign_id}.")
        if found[campaign_id].state not in REPORTED_STATES:
            raise Invalid(f"CampaignID: campaign {campaign_id} is {found[campaign_id].state} and was not executed.")
    return found, given


def check_place(given: Given, campaign: int, channel: int, template: int) -> None:
    """Whether a campaign brings a template on a channel. Raises Invalid."""
    if (campaign, channel) not in given:
        raise Invalid(f"ChannelID: campaign {campaign} does not use channel {channel}.")
    if all(row.template_id != template for row in given[campaign, channel]):
        raise Invalid(f"TemplateID: campaign {campaign} does not use template {template} on channel {channel}.")


@contextmanager
def _alone(scope: Scope) -> Iterator[Session]:
    """A session that holds the tenant's lock of reports, also beyond its commits."""
    bound = {"lock": LOCK_NUMBER, "tenant_id": scope.tenant_id}
    with scope.stores.records.engine.connect() as connection:
        connection.execute(text(LOCK), bound)
        connection.commit()
        try:
            with Session(connection) as session:
                yield session
        finally:
            connection.rollback()
            connection.execute(text(UNLOCK), bound)
            connection.commit()


@contextmanager
def no_reports(scope: Scope) -> Iterator[None]:
    """Hold off reports of interactions for the length of the block."""
    with _alone(scope):
        yield


Known = tuple[ReportedInteraction, Got]


def _new(
    scope: Scope, rows: Sequence[ReportedInteraction], campaigns: dict[int, Occurrence], given: Given
) -> tuple[list[Known], list[ReportedInteraction]]:
    """Those rows that are not in the warehouse yet, with what the customer got, each once; and those of strangers."""
    by_place: dict[Place, list[ReportedInteraction]] = defaultdict(list)
    for row in rows:
        by_place[row.campaign_id, row.channel_id].append(row)
    new: list[Known] = []
    strangers: list[ReportedInteraction] = []
    for place, mine in by_place.items():
        got = _got(scope, campaigns[place[0]], given[place], mine)
        seen = _present(scope, campaigns[place[0]], place[1], {row.event_id for row in mine}, got)
        for row in mine:
            who = row.customer_id.lower()
            key = (who, row.event_id, _day(scope, row.at))
            if who not in got:
                strangers.append(row)
            elif key not in seen:
                seen.add(key)
                new.append((row, got[who]))
    return new, strangers


def _got(
    scope: Scope, campaign: Occurrence, places: Sequence[OccurrenceChannel], rows: Sequence[ReportedInteraction]
) -> dict[str, Got]:
    """What customers got of a campaign on the channel of places, by id in lower case; others are absent."""
    bound = {"day": campaign.execution_date, "campaign": campaign.id, "channel": places[0].channel_id}
    found: dict[str, Got] = {}
    for sql, fold in ((RECIPIENTS, str), (RESPELLED, str.lower)):
        missing = dict.fromkeys(fold(row.customer_id) for row in rows if row.customer_id.lower() not in found)
        for part in _parts(missing):
            answer = scope.warehouse.rows(sql, ids=part, **bound)
            found.update((str(who).lower(), Got(str(who), *map(int, place))) for who, place in answer)
    for row in rows:
        if row.customer_id.lower() not in found and (unfiled := _unfiled(campaign, places, row)):
            found[row.customer_id.lower()] = unfiled
    return found


def _present(
    scope: Scope, campaign: Occurrence, channel: int, events: set[int], got: dict[str, Got]
) -> set[tuple[str, int, date]]:
    """What is there of customers: id in lower case, interaction and day of the tenant."""
    place = {"day": campaign.execution_date, "campaign": campaign.id, "channel": channel}
    bound = {**place, "zone": scope.time_zone.key, "events": sorted(events)}
    # Those who are not among the recipients yet are spelled as it came.
    sql, ids = (
        (PRESENT_FOLDED, list(got)) if campaign.is_triggered else (PRESENT, [one.customer_id for one in got.values()])
    )
    parts = (scope.warehouse.rows(sql, ids=part, **bound) for part in _parts(ids))
    return {(str(who).lower(), int(event), date.fromisoformat(day)) for rows in parts for who, event, day in rows}


def _parts(ids: Iterable[str]) -> Iterator[list[str]]:
    whole = list(ids)
    return (whole[begin : begin + IDS_AT_ONCE] for begin in range(0, len(whole), IDS_AT_ONCE))


def _unfiled(campaign: Occurrence, places: Sequence[OccurrenceChannel], row: ReportedInteraction) -> Got | None:
    """What a recipient of a triggered campaign got whose firing is not in the warehouse yet: told by the template."""
    if not campaign.is_triggered or campaign.finished_at is not None:
        return None
    fitting = [place for place in places if place.template_id == row.template_id]
    named = [place for place in fitting if place.recipient_group_id == row.recipient_group_id]
    place = min(named or fitting, key=lambda one: one.recipient_group_id)
    return Got(row.customer_id, place.recipient_group_id, place.action_id, place.template_id)


def _day(scope: Scope, at: datetime) -> date:
    return at.astimezone(scope.time_zone).date()


def _suppress(scope: Scope, session: Session, rows: Iterable[tuple[ReportedInteraction, Got | None]]) -> None:
    """Suppress who unsubscribed, complained or bounced, on the channel where that was."""
    found: dict[tuple[int, int], list[str]] = defaultdict(list)
    for row, got in rows:
        if row.event_id in SUPPRESSING:
            found[row.channel_id, row.event_id].append(got.customer_id if got else row.customer_id)
    for (channel, event), customer_ids in sorted(found.items()):
        messaging.suppress_many(scope, session, channel, SUPPRESSING[event], customer_ids)


def _columns(campaigns: dict[int, Occurrence], row: ReportedInteraction, got: Got) -> tuple[object, ...]:
    day = campaigns[row.campaign_id].execution_date
    place = (row.channel_id, got.template, got.group, got.action)
    return (day, row.campaign_id, got.customer_id, *place, row.event_id, row.at, row.app_id, row.origin)
