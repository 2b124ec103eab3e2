"""Numbers of a campaign that outside systems report: running totals per channel and template, the last one counts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.campaigns.measurement.interactions import check_place, executed
from rapport.campaigns.models import CampaignMetric
from rapport.errors import Invalid

# An enum of its own: "bounced" has another number than among interactions. What 7 and 8 mean is not public, but
# senders report them: their totals are kept under their numbers.
METRICS = {
    0: "sent",
    1: "delivered",
    2: "opened",
    3: "clicked",
    4: "unsubscribed",
    5: "dropped",
    6: "spam report",
    7: "metric 7",
    8: "metric 8",
    9: "bounced",
}
KEY = ("tenant_id", "campaign_id", "channel_id", "template_id", "metric_id")


@dataclass(frozen=True, slots=True)
class ReportedMetric:
    """The total of one kind of thing, a key of METRICS, that happened with a template of a campaign on a channel."""

    campaign_id: int
    channel_id: int
    template_id: int
    metric_id: int
    value: int


@dataclass(frozen=True)
class PlaceMetrics:
    """Reported totals by name for a template of a campaign on a channel, and the time of the newest report (UTC)."""

    channel_id: int
    template_id: int
    totals: dict[str, int]
    reported_at: datetime


def set_metrics(scope: Scope, rows: Sequence[ReportedMetric]) -> None:
    """Keep totals in place of earlier ones; of the same total given twice the last counts. All rows or none.

    Raises Invalid for a metric or campaign that is not known or was not executed,
    or a channel or template that it does not use.
    """
    _, channel_rows = executed(scope, {row.campaign_id for row in rows})
    for row in rows:
        if row.metric_id not in METRICS:
            raise Invalid(f"MetricID must be one of {', '.join(map(str, METRICS))}, not {row.metric_id}.")
        check_place(channel_rows, row.campaign_id, row.channel_id, row.template_id)
    values = {(row.campaign_id, row.channel_id, row.template_id, row.metric_id): row.value for row in rows}
    now = scope.clock.now()
    with scope.records() as session:
        # In order of the key, so that two callers with the same totals wait for each other and never lock up.
        for place, value in sorted(values.items()):
            statement = insert(CampaignMetric).values(
                **dict(zip(KEY, (scope.tenant_id, *place), strict=True)), value=value, reported_at=now
            )
            changes = {"value": value, "reported_at": now}
            session.execute(statement.on_conflict_do_update(index_elements=list(KEY), set_=changes))
        for campaign_id in sorted({row.campaign_id for row in rows}):
            count = sum(row.campaign_id == campaign_id for row in rows)
            scope.audit(session, "metrics", f"campaign {campaign_id}", totals=count)


def metrics_of(scope: Scope, campaign_id: int) -> list[PlaceMetrics]:
    """What was reported of a campaign, by channel and template."""
    mine = (CampaignMetric.tenant_id == scope.tenant_id, CampaignMetric.campaign_id == campaign_id)
    order = (CampaignMetric.channel_id, CampaignMetric.template_id, CampaignMetric.metric_id)
    with scope.reads() as session:
        rows = session.scalars(select(CampaignMetric).where(*mine).order_by(*order)).all()
    by_place: dict[tuple[int, int], list[CampaignMetric]] = defaultdict(list)
    for row in rows:
        by_place[row.channel_id, row.template_id].append(row)
    return [
        PlaceMetrics(
            *place,
            totals={METRICS[row.metric_id]: row.value for row in metrics},
            reported_at=max(row.reported_at for row in metrics),
        )
        for place, metrics in by_place.items()
    ]
