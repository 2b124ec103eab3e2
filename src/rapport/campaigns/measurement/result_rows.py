"""Results of many campaigns as rows of one table: a recipient group of a campaign each."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.campaigns.measurement.exports import Period
from rapport.campaigns.measurement.interactions import INTERACTIONS
from rapport.campaigns.measurement.results import GroupResult, Results, results
from rapport.campaigns.measurement.statistics import Comparison, Estimate
from rapport.campaigns.models import Occurrence
from rapport.campaigns.states import EXECUTED_STATES

CAMPAIGNS_AT_ONCE = 200
ACTS = {number: word.replace(" ", "_") for number, word in INTERACTIONS.items()}
WHOLE, PART, TEXT = pa.int64(), pa.float64(), pa.string()
DAY, WALL_CLOCK = pa.date32(), pa.timestamp("s")
SCHEMA = pa.schema(
    {
        "campaign_id": WHOLE,
        "series_id": WHOLE,
        "name": TEXT,
        "execution_date": DAY,
        "send_date": DAY,
        "state": TEXT,
        "target_group_id": WHOLE,
        "window_start": WALL_CLOCK,
        "window_end": WALL_CLOCK,
        "is_complete": pa.bool_(),
        "goal": TEXT,
        "currency": TEXT,
        "recipient_group_id": WHOLE,
        "action_id": WHOLE,
        "customers": WHOLE,
        "responders": WHOLE,
        "response_rate": PART,
        "value": PART,
        "mean_value": PART,
        "cost": PART,
        **dict.fromkeys(ACTS.values(), WHOLE),
        "control_customers": WHOLE,
        "control_responders": WHOLE,
        "control_rate": PART,
        "uplift": PART,
        "uplift_low": PART,
        "uplift_high": PART,
        "p_value": PART,
        "p_adjusted": PART,
        "more_responders": PART,
        "more_money": PART,
        "more_money_low": PART,
        "more_money_high": PART,
        "verdict": TEXT,
    }.items()
)


def export_results(scope: Scope, period: Period) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Results of all executed campaigns of a period, by campaign and group, each for its goal and as it stands."""
    with scope.records() as session:
        scope.audit(session, "export", "results", **period.audit_values())
    return SCHEMA, _batches(scope, period)


def _batches(scope: Scope, period: Period) -> Iterator[pa.RecordBatch]:
    after = 0
    while campaigns := _executed(scope, period, after):
        after = campaigns[-1].id
        for campaign in campaigns:
            yield pa.RecordBatch.from_pylist(_rows(campaign, results(scope, campaign.id)), SCHEMA)


def _executed(scope: Scope, period: Period, after: int) -> list[Occurrence]:
    first, last = period.first or date.min, period.last or date.max
    statement = select(Occurrence).where(
        Occurrence.tenant_id == scope.tenant_id,
        Occurrence.state.in_(EXECUTED_STATES),
        Occurrence.execution_date.between(first, last),
        Occurrence.id > after,
    )
    with scope.reads() as session:
        return list(session.scalars(statement.order_by(Occurrence.id).limit(CAMPAIGNS_AT_ONCE)))


def _rows(campaign: Occurrence, campaign_results: Results) -> list[dict[str, Any]]:
    head = {
        "campaign_id": campaign.id,
        "series_id": campaign.series_id,
        "name": campaign.name,
        "execution_date": campaign.execution_date,
        "send_date": campaign.send_date,
        "state": campaign_results.state,
        "target_group_id": campaign.target_group_id,
        "window_start": _to_the_second(campaign_results.window_start),
        "window_end": _to_the_second(campaign_results.window_end),
        "is_complete": campaign_results.is_complete,
        "goal": campaign_results.goal.kind,
        "currency": campaign_results.currency,
    }
    return [{**head, **_group(group)} for group in campaign_results.groups]


def _to_the_second(time: datetime) -> datetime:
    return time.replace(microsecond=0)


def _group(group: GroupResult) -> dict[str, Any]:
    return {
        **{name: getattr(group, name) for name in ("recipient_group_id", "action_id", "customers", "responders")},
        **{name: getattr(group, name) for name in ("response_rate", "value", "mean_value", "cost", "verdict")},
        **{column: group.interactions.get(INTERACTIONS[number], 0) for number, column in ACTS.items()},
        **(_compared(group.against_control) if group.against_control else {}),
    }


def _compared(comparison: Comparison) -> dict[str, Any]:
    low, high = comparison.uplift_interval
    plain = ("control_customers", "control_responders", "control_rate", "uplift", "p_value", "p_adjusted")
    return {
        **{name: getattr(comparison, name) for name in plain},
        "uplift_low": low,
        "uplift_high": high,
        "more_responders": comparison.responders.total if comparison.responders else None,
        **(_money(comparison.money) if comparison.money else {}),
    }


def _money(money: Estimate) -> dict[str, float]:
    low, high = money.total_interval
    return {"more_money": money.total, "more_money_low": low, "more_money_high": high}
