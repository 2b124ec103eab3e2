"""Conditional runs: held after processing until an outside system approves customers; silence means no."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.closing import close_rest, counts_of
from rapport.campaigns.models import AWAITING_CLEARANCE, NOT_RUN, SCHEDULED, Occurrence, OccurrenceChannel
from rapport.campaigns.occurrences import locked, move, occurrence
from rapport.campaigns.settings import settings_of
from rapport.notifications import service as notifications

NOT_CLEARED = "not cleared"


def ask_clearance(scope: Scope, session: Session, campaign_id: int) -> None:
    """Set the deadline (some minutes before the first send) and announce it with event 5."""
    times = session.scalars(
        select(OccurrenceChannel.scheduled_time).where(
            OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id == campaign_id
        )
    )
    by = scope.instant(min(times)) - timedelta(minutes=settings_of(scope).clearance_minutes)
    found = locked(session, scope, campaign_id)
    found.clearance_by = by
    wall = by.astimezone(scope.time_zone).strftime("%Y-%m-%d %H:%M:%S")
    payload = {"CampaignID": campaign_id, "ClearanceRequiredBy": wall}
    notifications.notify(scope, session, 5, payload, f"5:{campaign_id}")


def due_clearances(scope: Scope) -> list[int]:
    """Campaigns whose deadline of approval has come."""
    wanted = select(Occurrence.id).where(
        Occurrence.tenant_id == scope.tenant_id,
        Occurrence.state == AWAITING_CLEARANCE,
        Occurrence.clearance_by <= scope.clock.now(),
    )
    with scope.records() as session:
        return list(session.scalars(wanted.order_by(Occurrence.id)))


def clear(scope: Scope, campaign_id: int) -> None:
    """End the wait of a campaign: nobody was approved, so it goes to nobody. May be repeated."""
    reason = "No customer was approved before the deadline."
    with scope.records() as session:
        if locked(session, scope, campaign_id).state != AWAITING_CLEARANCE:
            return
    close_rest(scope, campaign_id, "skipped", NOT_CLEARED)
    values = {"state": NOT_RUN, "error": reason, "finished_at": scope.clock.now()}
    counts = counts_of(scope, occurrence(scope, campaign_id))
    with scope.records() as session:
        move(session, scope, campaign_id, (AWAITING_CLEARANCE,), counts=counts, **values)
        rows = select(OccurrenceChannel).where(
            OccurrenceChannel.tenant_id == scope.tenant_id,
            OccurrenceChannel.campaign_id == campaign_id,
            OccurrenceChannel.state == SCHEDULED,
        )
        for row in session.scalars(rows):
            row.state = NOT_RUN
