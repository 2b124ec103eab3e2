"""Ending units and campaigns: the sum is checked, the state follows from it, and listeners are told."""

from collections import Counter

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.delivery import bounces, recipient_codes, winners
from rapport.campaigns.delivery.units import Unit, rows_of_unit
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.occurrences import locked, occurrence
from rapport.campaigns.publishing import giving_back
from rapport.campaigns.runs import queries
from rapport.campaigns.states import Portion, RunState
from rapport.channels import messages
from rapport.channels import service as channels
from rapport.delivery import once
from rapport.notifications import service as notifications

OPEN = (RunState.SCHEDULED, RunState.EXECUTING)


def close_rest(scope: Scope, campaign_id: int, outcome: str, reason: str, unit: Unit | None = None) -> None:
    """Give every recipient without an outcome this one (of one unit, or of the campaign). May be repeated."""
    campaign = occurrence(scope, campaign_id)
    for part in scope.warehouse.customer_slices(*queries.ACCOUNT):
        part.execute(
            queries.CLOSE_REST,
            outcome=outcome,
            reason=reason,
            execution_date=campaign.execution_date,
            campaign=campaign_id,
            channel=unit.channel_id if unit else 0,
            group=unit.group if unit else 0,
            portion=int(unit.portion) if unit else 0,
            batch=unit.start if unit else 0,
            at=scope.clock.now(),
        )


def counts_of(scope: Scope, campaign: Occurrence) -> dict[str, int]:
    """Units by outcome as they stand in the warehouse now."""
    common = {"execution_date": campaign.execution_date, "campaign": campaign.id}
    return {outcome: int(n) for outcome, n in scope.warehouse.rows(queries.COUNT_OUTCOMES, **common)}


def finish_unit(scope: Scope, unit: Unit, error: str = "") -> None:
    """End a unit: all of its recipients must have an outcome. Tells events 13 and 1, where that was not done before."""
    counts = Counter[str]()
    for part in scope.warehouse.customer_slices(*queries.ACCOUNT):
        counts.update({outcome: int(n) for outcome, n in part.rows(queries.UNIT_OUTCOMES, **unit.bindings)})
    sent = counts.get("sent", 0)
    kind = channels.kind_at(scope, unit.channel_id)
    pulled = kind is not None and kind.is_pulled
    if counts.get("failed"):
        bounces.note_unit(scope, unit)
    with scope.records() as session:
        campaign = locked(scope, session, unit.campaign.id)
        unit_rows = [row for row in rows_of_unit(scope, session, unit) if row.state == RunState.EXECUTING]
        if not unit_rows:
            return
        if campaign.state == RunState.CANCELED:
            _end(unit_rows, RunState.CANCELED)
            return
        recipients = sum(row.recipients for row in unit_rows)
        missing = recipients - sum(counts.values())
        if missing:
            error = error or f"{missing} of {recipients} recipients have no outcome."
        elif not sent and counts.get("failed"):
            error = error or "No message could be sent."
        _end(unit_rows, RunState.FAILED if error else RunState.SUCCESSFUL, error)
        if unit.portion is Portion.TEST:
            winners.let_rest_follow(scope, session, unit)
        session.flush()
        rows = rows_of(scope, session, unit.campaign.id)
        campaign.error = _errors(rows)
        if not (pulled and campaign.handed_over_at):
            _tell(scope, session, unit, campaign, rows, sent)
    if kind and pulled:
        messages.count(kind.name, "sent", sent)


def _end(rows: list[OccurrenceChannel], state: RunState, error: str = "") -> None:
    for row in rows:
        row.state, row.error = state, error


def _tell(
    scope: Scope, session: Session, unit: Unit, campaign: Occurrence, rows: list[OccurrenceChannel], sent: int
) -> None:
    if all(row.state == RunState.SUCCESSFUL for row in rows if row.channel_id == unit.channel_id):
        tell_channel(scope, session, campaign.id, unit.channel_id, rows)
    if sent:
        tell_executed(scope, session, campaign, rows)


def tell_channel(
    scope: Scope, session: Session, campaign_id: int, channel_id: int, rows: list[OccurrenceChannel]
) -> None:
    """Event 13, once a channel of a campaign; not when a part of the channel has failed."""
    if all(row.state != RunState.FAILED for row in rows if row.channel_id == channel_id):
        payload = {"CampaignID": campaign_id, "ChannelID": channel_id}
        notifications.notify(scope, session, 13, payload, f"13:{campaign_id}:{channel_id}", channel_id=channel_id)


def tell_executed(scope: Scope, session: Session, campaign: Occurrence, rows: list[OccurrenceChannel]) -> None:
    """Event 1, once a campaign: the first of its channels was handed over or sent, and the Status is Successful."""
    if campaign.executed_at is None:
        campaign.executed_at = scope.clock.now()
        channel_ids = sorted({row.channel_id for row in rows})
        payload = {"CampaignID": campaign.id}
        notifications.notify(scope, session, 1, payload, f"1:{campaign.id}", channel_ids=channel_ids)


def rows_of(scope: Scope, session: Session, campaign_id: int) -> list[OccurrenceChannel]:
    """What each group of a campaign gets on each channel, in the caller's transaction."""
    query = select(OccurrenceChannel).where(
        OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id == campaign_id
    )
    order = (OccurrenceChannel.channel_id, OccurrenceChannel.recipient_group_id)
    return list(session.scalars(query.order_by(*order)))


def finish_campaign(scope: Scope, campaign_id: int) -> str:
    """End a campaign whose units have all ended; its state now. Canceled ones get the rest of their outcomes."""
    with scope.records() as session:
        campaign = locked(scope, session, campaign_id)
        if any(row.state in OPEN for row in rows_of(scope, session, campaign_id)):
            return campaign.state
        if campaign.state == RunState.CANCELED:
            close_rest_of_canceled(scope, campaign)
            campaign.counts = counts_of(scope, campaign)
            recipient_codes.take_back_canceled(scope, session, campaign)
            giving_back.of_canceled(scope, campaign)
            once.forget(scope, session, campaign_id)
        elif campaign.state in OPEN:
            _conclude(scope, session, campaign)
            once.forget(scope, session, campaign_id)
        return campaign.state


def close_rest_of_canceled(scope: Scope, campaign: Occurrence) -> None:
    """What was not sent when a campaign was canceled is skipped."""
    close_rest(scope, campaign.id, "skipped", "canceled")


def _conclude(scope: Scope, session: Session, campaign: Occurrence) -> None:
    """The state follows from the sum; a channel that failed is told of, also when others did what they should."""
    campaign.counts, twice = _ended(scope, campaign)
    campaign.finished_at = scope.clock.now()
    problem, failures = _problem(campaign, twice), _errors(rows_of(scope, session, campaign.id))
    failed = problem or (failures and not campaign.counts.get("sent"))
    campaign.state, campaign.error = (RunState.FAILED if failed else RunState.SUCCESSFUL), problem or failures


def _ended(scope: Scope, campaign: Occurrence) -> tuple[dict[str, int], int]:
    """Units by outcome as they stand now, and how many have more than one."""
    common = {"execution_date": campaign.execution_date, "campaign": campaign.id}
    rows = scope.warehouse.rows(queries.COUNT_ENDED, **common)
    twice = sum(int(duplicates) for _, _, duplicates in rows)
    return counts_of(scope, campaign) if twice else {outcome: int(n) for outcome, n, _ in rows}, twice


def _problem(campaign: Occurrence, twice: int) -> str:
    """What is wrong with the sum of a finished campaign; empty when everybody has exactly one outcome."""
    total = sum(campaign.counts.values())
    if twice:
        return f"{twice} recipients have more than one outcome."
    if total != campaign.targeted:
        return f"The outcomes add up to {total}, not to the {campaign.targeted} that were targeted."
    return ""


def _errors(rows: list[OccurrenceChannel]) -> str:
    """What failed of a campaign's channels so far, each fault once."""
    return " ".join(
        dict.fromkeys(f"Channel {row.channel_id}: {row.error}" for row in rows if row.state == RunState.FAILED)
    )
