"""How the days of all tenants stand, for /metrics: the same whichever process is asked."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import Gauge
from sqlalchemy import text

from rapport.campaigns.cycle.agenda import DAY, Agenda, agendas, ready_at
from rapport.campaigns.states import CycleState, RunState, SeriesStatus
from rapport.delivery.models import Source, State
from rapport.stores import Stores

DAYS = Gauge("rapport_days", "Tenants by the state of their day: late, running or failed", ["state"])
OLDEST = Gauge(
    "rapport_day_oldest_seconds", "Seconds since the data of the oldest unpublished day were expected to be complete"
)

NAMED = 100
OPEN = text(f"""
    SELECT campaign.tenant_id, campaign.id, greatest(0, coalesce(
        (SELECT sum(group_channel.recipients) FROM campaign_channels AS group_channel
            WHERE group_channel.tenant_id = campaign.tenant_id AND group_channel.campaign_id = campaign.id
            AND group_channel.state IN ('{RunState.SCHEDULED}', '{RunState.EXECUTING}'))
        - (SELECT count(*) FROM messages
            WHERE messages.tenant_id = campaign.tenant_id AND messages.source = '{Source.RUN}'
            AND messages.source_id = campaign.id
            AND messages.state NOT IN ('{State.PENDING}', '{State.CLAIMED}')
            AND (messages.channel_id, messages.recipient_group_id) IN (
                SELECT group_channel.channel_id, group_channel.recipient_group_id
                FROM campaign_channels AS group_channel
                WHERE group_channel.tenant_id = campaign.tenant_id AND group_channel.campaign_id = campaign.id
                    AND group_channel.state = '{RunState.EXECUTING}'
            )), 0)) AS messages
    FROM campaigns AS campaign
    WHERE campaign.state IN (
        '{RunState.PROCESSING}', '{RunState.AWAITING_CLEARANCE}', '{RunState.SCHEDULED}', '{RunState.EXECUTING}'
    ) AND NOT campaign.is_triggered
    ORDER BY campaign.tenant_id, campaign.id
""")  # noqa: S608 - ours
ACTIVE = text(f"""
    SELECT count(*) FILTER (WHERE trigger IS NULL), count(*) FILTER (WHERE trigger IS NOT NULL)
    FROM campaign_series WHERE status = '{SeriesStatus.ACTIVE}' AND customer_list_id IS NULL
""")  # noqa: S608 - ours


def measure(stores: Stores) -> None:
    """Tell the metrics of the days that are due and not finished."""
    tenant_agendas = agendas(stores)
    now = stores.clock.now()
    DAYS.labels("late").set(sum(agenda.is_late for agenda in tenant_agendas))
    for state in (CycleState.RUNNING, CycleState.FAILED):
        DAYS.labels(state).set(sum(agenda.day_state == state for agenda in tenant_agendas))
    oldest = max((now - at for at in map(_waits_since, tenant_agendas) if at is not None), default=timedelta())
    OLDEST.set(max(oldest.total_seconds(), 0.0))


@dataclass(frozen=True)
class PendingSends:
    """What campaigns of all tenants would send by themselves. messages are recipients' that were not written to yet."""

    campaigns: list[str]  # "tenant/campaign", at most NAMED of them
    open_campaigns: int
    messages: int
    active_series: int
    active_triggers: int


def pending_sends(stores: Stores) -> PendingSends:
    """What waits, and what would begin when it is due."""
    with stores.records.reading() as connection:
        open_campaigns = connection.execute(OPEN).all()
        series, triggers = connection.execute(ACTIVE).one()
    names = [f"{tenant_id}/{campaign_id}" for tenant_id, campaign_id, _ in open_campaigns[:NAMED]]
    return PendingSends(
        names, len(open_campaigns), sum(int(campaign.messages) for campaign in open_campaigns), series, triggers
    )


def _waits_since(agenda: Agenda) -> datetime | None:
    """When the first day after the published one was to be there; None for a tenant that never had one."""
    return None if agenda.published is None else ready_at(agenda.scope, agenda.published + DAY)
