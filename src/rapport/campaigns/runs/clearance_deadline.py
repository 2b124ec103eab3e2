"""The deadline of a conditional run: it goes on for exactly the customers that were approved.

Every step may be repeated, and a repetition after a kill finds the same reports: none is accepted
once the decision has begun. Nobody leaves the recipients before the reason stands in the outcomes.
"""

# ruff: noqa: S608 - statements are put together of constants

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, select

from rapport.access.scope import Scope
from rapport.campaigns.delivery.completion import counts_of
from rapport.campaigns.leases import lease
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.occurrences import channel_rows, locked, occurrence
from rapport.campaigns.publishing import giving_back, publisher
from rapport.campaigns.runs import queries
from rapport.campaigns.runs.clearance import LEFT_OUT, NOT_CLEARED, REFUSED, VERDICTS
from rapport.campaigns.states import RunState
from rapport.conditions.outcomes import Outcome

NOBODY = "No customer was approved before the deadline."

OF_CAMPAIGN = "execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}"

LEAVE_OUT = f"""
    INSERT INTO campaign_outcomes (* EXCEPT (firing_id, written_at))
    SELECT recipient.execution_date, recipient.campaign_id, recipient.customer_id, recipient.channel_id,
        '{Outcome.EXCLUDED}',
        if(verdict.reports > 0, '{REFUSED}', '{NOT_CLEARED}'), '', 0, {{at:DateTime64(3, 'UTC')}}, recipient.drawn_group
    FROM (
        SELECT execution_date, campaign_id, customer_id, channel_id, drawn_group FROM campaign_recipients
        WHERE {OF_CAMPAIGN} AND channel_id > 0
            AND (customer_id, channel_id) NOT IN (
                SELECT customer_id, channel_id FROM campaign_outcomes WHERE {OF_CAMPAIGN}
            )
    ) AS recipient
    LEFT JOIN ({VERDICTS}) AS verdict ON verdict.customer_key = lowerUTF8(recipient.customer_id)
    WHERE verdict.approved = 0
"""

OF_LEFT_OUT = f"""
    {OF_CAMPAIGN} AND customer_id IN (SELECT customer_id FROM campaign_outcomes WHERE {OF_CAMPAIGN} AND {LEFT_OUT})
"""

PLANNED_TIMES = f"""
    SELECT channel_id, recipient_group_id, toString(min(scheduled_time)) FROM campaign_recipients
    WHERE {OF_CAMPAIGN} GROUP BY channel_id, recipient_group_id
"""

MOVE_SENDS = f"""
    ALTER TABLE campaign_recipients UPDATE scheduled_time = greatest(scheduled_time, {{time:DateTime('UTC')}}),
        due_at = if(due_at = 0, due_at, greatest(due_at, {{instant:DateTime('UTC')}}))
    WHERE {OF_CAMPAIGN} AND channel_id = {{channel:UInt32}} AND recipient_group_id = {{group:UInt16}}
"""

ADDRESSED = f"SELECT uniqExact(customer_id) FROM campaign_recipients WHERE {OF_CAMPAIGN} AND channel_id > 0"


def undecided(tenant_id: Any) -> Select[Any]:
    """A SELECT of the ids of campaigns of a tenant (or of a column's) that wait for approval."""
    return select(Occurrence.id).where(
        Occurrence.tenant_id == tenant_id, Occurrence.state == RunState.AWAITING_CLEARANCE
    )


def due_clearances(scope: Scope, since: datetime | None = None) -> list[int]:
    """Campaigns whose deadline of approval has come, or had come by an earlier instant."""
    query = undecided(scope.tenant_id).where(Occurrence.clearance_by <= (since or scope.clock.now()))
    with scope.reads() as session:
        return list(session.scalars(query.order_by(Occurrence.id)))


def clear(scope: Scope, campaign_id: int) -> None:
    """End the wait of a campaign whose deadline has come. Any number of callers at once is as good as one."""
    with lease(scope, f"clear/{campaign_id}"):
        if _is_due(scope, campaign_id):
            publisher.publish(scope, campaign_id)
        if not _end_reports(scope, campaign_id):
            return
        campaign = occurrence(scope, campaign_id)
        _leave_out(scope, campaign)
        giving_back.of_left_out(scope, campaign)
        _move_sends(scope, campaign)
        _go_on(scope, campaign_id)


@contextmanager
def none_decided(scope: Scope) -> Iterator[None]:
    """Hold off decisions on the clearance of campaigns for the length of the block."""
    with scope.reads() as session:
        campaign_ids = list(session.scalars(undecided(scope.tenant_id).order_by(Occurrence.id)))
    with ExitStack() as leases:
        for campaign_id in campaign_ids:
            leases.enter_context(lease(scope, f"clear/{campaign_id}"))
        yield


def _is_due(scope: Scope, campaign_id: int) -> bool:
    by = occurrence(scope, campaign_id).clearance_by
    return by is not None and by <= scope.clock.now()


def _end_reports(scope: Scope, campaign_id: int) -> bool:
    """Begin the decision: waits for reports being written, and none is accepted after. False when none is due."""
    with scope.records() as session:
        campaign = locked(scope, session, campaign_id)
        if campaign.state != RunState.AWAITING_CLEARANCE:
            return False
        if campaign.cleared_at is None and campaign.clearance_by and campaign.clearance_by <= scope.clock.now():
            campaign.cleared_at = scope.clock.now()
        return campaign.cleared_at is not None


def _parameters(campaign: Occurrence) -> dict[str, Any]:
    return {"execution_date": campaign.execution_date, "campaign": campaign.id}


def _leave_out(scope: Scope, campaign: Occurrence) -> None:
    """Give everybody who was not approved that outcome on every channel, then take them out of the recipients."""
    for part in scope.warehouse.customer_slices(*queries.ACCOUNT):
        part.execute(LEAVE_OUT, at=scope.clock.now(), **_parameters(campaign))
    for table in ("campaign_recipients", "campaign_products"):
        if scope.warehouse.value(f"SELECT count() FROM {table} WHERE {OF_LEFT_OUT}", **_parameters(campaign)):
            scope.warehouse.execute(f"DELETE FROM {table} WHERE {OF_LEFT_OUT}", **_parameters(campaign))


def _move_sends(scope: Scope, campaign: Occurrence) -> None:
    """Bring to the recipients what moved when approval was asked for late; control has the first send's time.

    Of customers with times of their own those move who would get it before the first send.
    """
    times = {(row.channel_id, row.recipient_group_id): row.scheduled_time for row in channel_rows(scope, campaign.id)}
    times[0, 0] = min(times.values())
    for channel, group, planned_time in scope.warehouse.rows(PLANNED_TIMES, **_parameters(campaign)):
        time = times[channel, group]
        if datetime.fromisoformat(planned_time) != time:
            aware = time.replace(tzinfo=UTC)
            place = {"channel": channel, "group": group, **_parameters(campaign)}
            scope.warehouse.execute(MOVE_SENDS, time=aware, instant=scope.instant(time), **place)


def _go_on(scope: Scope, campaign_id: int) -> None:
    """Make the decision known: scheduled for whoever is left, or not run."""
    campaign = occurrence(scope, campaign_id)
    rows = scope.warehouse.rows(queries.RECIPIENTS_BY_PLACE, **_parameters(campaign))
    remaining = {(channel, group): int(n) for channel, group, n in rows if channel}
    addressed = int(scope.warehouse.value(ADDRESSED, **_parameters(campaign)))
    counts = counts_of(scope, campaign)
    with scope.records() as session:
        current = locked(scope, session, campaign_id)
        if current.state != RunState.AWAITING_CLEARANCE:
            return
        if remaining:
            current.state = RunState.SCHEDULED
        else:
            current.state, current.error = RunState.NOT_RUN, NOBODY
            current.finished_at = scope.clock.now()
        current.plan = current.plan.with_asked(current.test_size)
        current.test_size, current.counts = addressed, counts
        for row in session.scalars(
            select(OccurrenceChannel).where(
                OccurrenceChannel.tenant_id == scope.tenant_id, OccurrenceChannel.campaign_id == campaign_id
            )
        ):
            row.recipients = remaining.get((row.channel_id, row.recipient_group_id), 0)
            row.state = RunState.SCHEDULED if row.recipients else RunState.SUCCESSFUL if remaining else RunState.NOT_RUN
