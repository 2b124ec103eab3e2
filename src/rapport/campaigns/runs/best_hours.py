"""Send-time optimisation: the hour of his own day at which a customer opens and clicks most.

Counted are the opens and clicks of people, not of machines, of the last WINDOW, by the hour of the customer's own
clock. With n of them, n_h in the hour h, and p_h the share of the hour h among those of all customers of the tenant,
the best hour is that with the largest (n_h + WEIGHT p_h) / (n + WEIGHT): the customer's own habit, drawn to that of
all as long as little is known of it. Of equal hours the first is the best; quiet hours are left out. Of whom fewer
than LEAST are known has none.
"""

# ruff: noqa: S608 - statements are put together of constants

from collections import Counter
from collections.abc import Sequence
from datetime import date, time, timedelta
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.delivery.quiet_hours import is_inside
from rapport.campaigns.runs.time_zones import CustomerZones, offset_changes, whole_seconds
from rapport.campaigns.runs.timings import NO_HOUR
from rapport.campaigns.settings import Hours
from rapport.conditions.interaction_codes import CLICKED, OPENED

WINDOW = timedelta(days=90)
LEAST, WEIGHT = 5, 5
# The most opens and clicks of a customer that are looked at: more are no habit of a person.
MOST = 1000
# Campaigns that were processed longer ago than this before the window are not looked at: hardly anybody opens them.
OLD = timedelta(days=90)
# Who reports them by day alone does not say when they were.
WITHOUT_HOUR = "api"

OPENS = f"""
    FROM campaign_interactions
    WHERE delivery_date >= {{delivered_since:Date}} AND event_id IN ({OPENED}, {CLICKED}) AND origin != '{WITHOUT_HOUR}'
        AND interaction_at >= {{opened_since:DateTime64(3, 'UTC')}}
        AND interaction_at < {{opened_until:DateTime64(3, 'UTC')}}
"""
JOIN_HABIT = f"""
    LEFT JOIN (
        SELECT customer_id AS opener_id, groupArray({MOST})(toUInt32(interaction_at)) AS opened_at
        {OPENS} GROUP BY opener_id ORDER BY opener_id
    ) AS habit ON habit.opener_id = member.customer_id
"""
# The hour of an instant by the clock of a zone.
LOCAL_HOUR = """
    intDiv(at + {zone_offsets:Array(Int32)}[zone + 1] + arraySum(
        (changes_at, step) -> if(at >= changes_at, step, 0),
        {zone_changes:Array(Array(UInt32))}[zone + 1], {zone_steps:Array(Array(Int32))}[zone + 1]
    ), 3600) % 24
"""
BEST_HOUR = f"""
    if(length(habit.opened_at) < {LEAST}, {NO_HOUR}, toUInt8(arrayMap(
        scores -> indexOf(scores, arrayMax(scores)) - 1,
        [arrayMap(
            (hour, share) -> if(share < 0, -1, countEqual(hours_opened, hour) + {WEIGHT} * share),
            range({NO_HOUR}), {{hour_shares:Array(Float64)}}
        )]
    )[1]))
"""
HOURS_OPENED = f"arrayMap(at -> {LOCAL_HOUR}, habit.opened_at)"
OF_ALL = f"""
    SELECT hour, count() FROM (
        SELECT {LOCAL_HOUR} AS hour FROM (SELECT customer_id, toUInt32(interaction_at) AS at {OPENS}) AS opened
        LEFT JOIN (SELECT customer_id AS known_id, NUMBER AS zone FROM profiles WHERE data_date = {{data_date:Date}})
            AS profile ON profile.known_id = opened.customer_id
    ) GROUP BY hour
"""


def parameters_of(scope: Scope, data_date: date, zones: CustomerZones, quiet_hours: Hours | None) -> dict[str, Any]:
    """What the SQL of best hours binds: of all customers, what is known of their hours now."""
    until = whole_seconds(scope.clock.now())
    since = until - WINDOW
    offsets, changes = zip(*(offset_changes(zone, since, until) for zone in zones.zones), strict=True)
    parameters: dict[str, Any] = {
        "delivered_since": (since - OLD).date(),
        "opened_since": since,
        "opened_until": until,
        "zone_offsets": list(offsets),
        "zone_changes": [[at for at, _ in of_zone] for of_zone in changes],
        "zone_steps": [[step for _, step in of_zone] for of_zone in changes],
        **zones.parameters,
    }
    counts = Counter[int]()
    statement = OF_ALL.replace("NUMBER", zones.number_sql(zones.value))
    for part in scope.warehouse.customer_slices("campaign_interactions", "profiles"):
        rows = part.rows(statement, data_date=data_date, **parameters)
        counts.update({int(hour): int(opens) for hour, opens in rows})
    return parameters | {"hour_shares": _shares(counts, quiet_hours)}


def _shares(counts: Counter[int], quiet_hours: Hours | None) -> Sequence[float]:
    """The share of each hour among all that were counted; -1 of one that begins in quiet hours."""
    whole = max(counts.total(), 1)
    return [-1.0 if is_inside(time(hour), quiet_hours) else counts[hour] / whole for hour in range(NO_HOUR)]
