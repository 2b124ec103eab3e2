"""How the customers of a triggered campaign responded: each in a window of its own, from its first firing of the day.

Control members have firings too, so their windows run alike. Whoever the gateway did not allow counts in the
group that it was in by hash: control was never asked about, so the allowed alone do not compare with it.
"""

# ruff: noqa: S608 - statements are put together of constants

from datetime import datetime, time, timedelta
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.models import Occurrence
from rapport.campaigns.queries import CAME_IN
from rapport.campaigns.splits import PARTS, cuts

# Where a person falls, in parts of a million, by a hash that Python and the engine have in common.
PART = f"""
    reinterpretAsUInt64(substring(SHA256(concat({{series:String}}, '/group/', lowerUTF8(customer_id))), 1, 8)) % {PARTS}
"""
ASSIGNED = f"""
    SELECT customer_id, max(place) AS grp, min(at) AS begin FROM (
        SELECT customer_id, recipient_group_id AS place, scheduled_time AS at FROM campaign_recipients
        WHERE execution_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}
        UNION ALL
        SELECT customer_id, toUInt16(arrayFirstIndex(cut -> {PART} < cut, {{cuts:Array(UInt32)}})) AS place,
            toDateTime(toString(toDateTime(recorded_at), {{zone:String}}), 'UTC') AS at
        FROM campaign_outcomes
        WHERE execution_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}
            AND outcome = 'excluded' AND startsWith(reason, 'gateway') AND NOT startsWith(customer_id, 'v:')
    )
    GROUP BY customer_id
"""
WITHIN = "t.transaction_time >= r.begin AND t.transaction_time < r.begin + toIntervalDay({days:UInt32})"
RESPONSES = f"""
    SELECT {{campaign:UInt32}}, grp, count(), countIf(orders > 0), sum(value), sum(value * value)
    FROM (
        SELECT r.customer_id, any(r.grp) AS grp, countIf(t.amount > 0 AND {WITHIN}) AS orders,
            sumIf(t.amount, {WITHIN}) AS value
        FROM ({ASSIGNED}) AS r
        LEFT JOIN (
            SELECT customer_id, transaction_time, amount FROM transactions
            WHERE transaction_time >= {{since:DateTime('UTC')}} AND transaction_time < {{until:DateTime('UTC')}}
                AND {CAME_IN}
                AND customer_id IN (SELECT customer_id FROM ({ASSIGNED}))
        ) AS t ON t.customer_id = r.customer_id
        GROUP BY r.customer_id
    )
    GROUP BY grp ORDER BY grp
"""


def trigger_window(found: Occurrence, first: datetime) -> tuple[datetime, datetime]:
    """From the first firing to the end of the window of the last one that the day can have, in tenant wall clock.

    What quiet hours delayed goes out on the next day at the latest.
    """
    waits = (found.plan["trigger"] or {}).get("quiet_hours") is not None
    last = datetime.combine(found.execution_date, time()) + timedelta(days=2 if waits else 1)
    return first, last + timedelta(days=found.duration)


def bindings(scope: Scope, found: Occurrence, since: datetime, until: datetime) -> dict[str, Any]:
    """What the statement binds."""
    return {
        "execution_date": found.execution_date,
        "campaign": found.id,
        "series": str(found.series_id),
        "cuts": cuts([float(group["share"]) for group in found.plan["groups"]]),
        "zone": str(scope.time_zone),
        "since": since,
        "until": until,
        "days": found.duration,
    }
