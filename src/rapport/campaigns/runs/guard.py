"""The blast guard: a run that is out of proportion stops and asks before anybody gets a message."""

from statistics import median

from sqlalchemy import func, select, type_coerce
from sqlalchemy.dialects.postgresql import JSONB

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.models import Occurrence
from rapport.campaigns.occurrences import live_ids
from rapport.campaigns.runs import queries
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import EXECUTED_STATES, LIVE_STATES, RunState

REMEMBERED_RUNS = 5


def objection(scope: Scope, campaign: Occurrence, addressed: int) -> str:
    """Why a processed run should be confirmed by a person, as one sentence; empty when nothing speaks against it."""
    return _too_large(scope, campaign, addressed) or _too_many(scope, campaign)


def _too_large(scope: Scope, campaign: Occurrence, addressed: int) -> str:
    settings = tenant_settings(scope, CampaignSettings)
    sizes = past_sizes(scope, campaign)
    usual = median(sizes) if sizes else None
    if usual is None or addressed <= settings.blast_minimum or addressed <= settings.blast_factor * usual:
        return ""
    return (
        f"The run would address {addressed} customers, more than {settings.blast_factor:g} times "
        f"the usual {usual:g} of its target group."
    )


def past_sizes(scope: Scope, campaign: Occurrence) -> list[int]:
    """Customers addressed by the last runs of the same target group, newest first; none for a customer list.

    Of a conditional run those count who were asked about, cleared or not: that is what a run is compared by.
    """
    if campaign.is_one_time:
        return []
    query = (
        select(func.coalesce(type_coerce(Occurrence.plan, JSONB)["asked"].as_integer(), Occurrence.test_size))
        .where(
            Occurrence.tenant_id == scope.tenant_id,
            Occurrence.target_group_id == campaign.target_group_id,
            Occurrence.id != campaign.id,
            Occurrence.state.in_(EXECUTED_STATES),
            Occurrence.processed_at.is_not(None),
        )
        .order_by(Occurrence.execution_date.desc(), Occurrence.id.desc())
        .limit(REMEMBERED_RUNS)
    )
    with scope.reads() as session:
        return list(session.scalars(query))


def _too_many(scope: Scope, campaign: Occurrence) -> str:
    limit = tenant_settings(scope, CampaignSettings).messages_per_day
    day = campaign.execution_date
    ids = [
        *live_ids(scope, (*LIVE_STATES, RunState.PROCESSING), day, day, excluded_id=campaign.id, triggered=False),
        campaign.id,
    ]
    parameters = {"execution_date": day, "campaign": campaign.id, "campaigns": ids}
    parts = scope.warehouse.customer_slices("campaign_recipients")
    most = max(int(part.value(queries.MOST_MESSAGES, **parameters) or 0) for part in parts)
    if most <= limit:
        return ""
    return f"The run would bring a customer to {most} messages on {day}, more than the {limit} that are allowed a day."
