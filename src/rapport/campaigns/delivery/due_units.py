"""Which units are due, and which are being sent."""

from typing import Any

from sqlalchemy import Select, select

from rapport.access.scope import Scope
from rapport.campaigns.delivery import quiet_hours, winners
from rapport.campaigns.delivery.completion import OPEN
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.states import RunState
from rapport.channels import service as channels


def not_begun(tenant_id: Any) -> Select[OccurrenceChannel, Occurrence]:
    """A SELECT of the units of a tenant (or of a column's) that may be sent and were not begun, and their campaigns.

    The rest after an A/B test is not among them before the test is sent.
    """
    return _units(tenant_id).where(
        OccurrenceChannel.state == RunState.SCHEDULED, Occurrence.state.in_(OPEN), winners.is_test_over()
    )


def between_rounds(tenant_id: Any) -> Select[OccurrenceChannel, Occurrence]:
    """A SELECT of the units of a tenant (or of a column's) whose next round waits, and their campaigns."""
    return _units(tenant_id).where(
        OccurrenceChannel.waits_until.is_not(None),
        OccurrenceChannel.state == RunState.EXECUTING,
        Occurrence.state == RunState.EXECUTING,
    )


def _units(tenant_id: Any) -> Select[OccurrenceChannel, Occurrence]:
    of_campaign = (Occurrence.tenant_id == OccurrenceChannel.tenant_id) & (
        Occurrence.id == OccurrenceChannel.campaign_id
    )
    return (
        select(OccurrenceChannel, Occurrence)
        .join(Occurrence, of_campaign)
        .where(OccurrenceChannel.tenant_id == tenant_id)
    )


def due(scope: Scope) -> list[OccurrenceChannel]:
    """Units whose time has come by the clock, that no quiet hour and no pause holds and that were not begun, or whose
    next round has come, in order of time.
    """
    now = scope.clock.now()
    with scope.reads() as session:
        rows = session.execute(not_begun(scope.tenant_id)).all()
        resting = session.execute(between_rounds(scope.tenant_id).where(OccurrenceChannel.waits_until <= now)).all()
    scheduled = [(row, campaign) for row, campaign in rows if scope.instant(row.scheduled_time) <= now]
    due_units = [
        row
        for row, campaign in scheduled
        if (row.own_times or not quiet_hours.is_held(scope, campaign, row.channel_id))
        and (campaign.paused_at is None or channels.is_pulled(scope, row.channel_id))
    ]
    due_units += [row for row, campaign in resting if campaign.paused_at is None]
    return sorted(
        due_units, key=lambda row: (row.scheduled_time, row.campaign_id, row.channel_id, row.recipient_group_id)
    )


def under_way(scope: Scope) -> list[OccurrenceChannel]:
    """Units that were begun and have not ended."""
    query = select(OccurrenceChannel).filter_by(tenant_id=scope.tenant_id, state=RunState.EXECUTING)
    with scope.reads() as session:
        return list(session.scalars(query))
