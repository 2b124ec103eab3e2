"""Who clicked in a message of triggered campaigns, each customer within some time of its own."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.campaigns.models import Occurrence
from rapport.conditions.interaction_codes import CLICKED

# What quiet hours delay, and days of another calendar, lie within so many days of the time.
AROUND = timedelta(days=2)
CLICKERS = f"""
    SELECT DISTINCT lowerUTF8(interaction.customer_id)
    FROM campaign_interactions AS interaction
    INNER JOIN (
        SELECT
            arrayJoin(arrayZip({{persons:Array(String)}}, {{begins:Array(DateTime64(3, 'UTC'))}})) AS member,
            member.1 AS person, member.2 AS begin
    ) AS entry ON entry.person = lowerUTF8(interaction.customer_id)
    WHERE interaction.delivery_date IN {{days:Array(Date)}} AND interaction.campaign_id IN {{campaigns:Array(UInt32)}}
        AND interaction.event_id = {CLICKED} AND lowerUTF8(interaction.customer_id) IN {{persons:Array(String)}}
        AND interaction.interaction_at >= entry.begin
        AND interaction.interaction_at < entry.begin + toIntervalSecond({{seconds:UInt32}})
"""  # noqa: S608 - of constants


def clickers(scope: Scope, series_ids: Collection[int], begins: Mapping[str, datetime], within: timedelta) -> set[str]:
    """Those of persons (customer ids in lower case) who clicked in a message of some triggered campaigns, by their
    numbers, within a time from the instant of each on. Machines do not count.
    """
    if not begins:
        return set()
    first, last = min(begins.values()).date() - AROUND, max(begins.values()).date() + within + AROUND
    days = select(Occurrence.id, Occurrence.execution_date).where(
        Occurrence.tenant_id == scope.tenant_id,
        Occurrence.series_id.in_(series_ids),
        Occurrence.execution_date.between(first, last),
    )
    with scope.reads() as session:
        campaigns = session.execute(days).all()
    if not campaigns:
        return set()
    rows = scope.warehouse.rows(
        CLICKERS,
        persons=list(begins),
        begins=list(begins.values()),
        days=sorted({day for _, day in campaigns}),
        campaigns=[campaign_id for campaign_id, _ in campaigns],
        seconds=int(within.total_seconds()),
    )
    return {str(person) for (person,) in rows}
