"""What all customers of a tenant bet on lately: how popular each selection is, and which leagues go together.

It is read in one statement, of the newest MOST_EVENTS events of DAYS, and kept in this process for KEPT_SECONDS.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from rapport.access.scope import Scope
from rapport.placements.betting import GROUP, WEIGHTS, Step, parameter_sql
from rapport.placements.kept import kept
from rapport.placements.weights import Weights

DAYS, MOST_EVENTS, MOST_ROWS, KEPT_SECONDS = 30, 200_000, 20_000, 60.0
# Days after which a bet counts half.
HALF_LIFE = 7
# Customers with more leagues than this bet on everything: their leagues do not tell what goes together.
MOST_GROUPS = 30

Group = tuple[str, str]  # the category, and what of it: see betting.group_of
EVERYBODY: Group = ("", "")  # a league of every customer

# A selection counts once for each customer, at the furthest step that it has come to.
CROWD = f"""
    WITH bets AS (
        SELECT customer_id, {parameter_sql("category")} AS category,
            {GROUP} AS league,
            {parameter_sql("event")} AS event, {parameter_sql("market")} AS market,
            {parameter_sql("market_name")} AS market_name, {parameter_sql("selection")} AS selection,
            max(if(event_type_id IN {{added:Array(UInt32)}}, {WEIGHTS[Step.ADDED]}, {WEIGHTS[Step.PLACED]}))
                * exp2(-dateDiff('second', max(event_at), {{now:DateTime64(3, 'UTC')}}) / {HALF_LIFE * 86400}) AS weight
        FROM (
            SELECT customer_id, event_type_id, event_at, properties FROM activity_events
            WHERE event_type_id IN {{types:Array(UInt32)}} AND event_at >= {{since:DateTime64(3, 'UTC')}}
                AND event_at <= {{now:DateTime64(3, 'UTC')}}
            ORDER BY event_at DESC LIMIT {MOST_EVENTS}
        )
        GROUP BY customer_id, category, league, event, market, market_name, selection
    )
    SELECT * FROM (
        SELECT 0 AS is_pair, event, market, lowerUTF8(market_name) AS name, selection, sum(weight) AS total
        FROM bets GROUP BY event, market, name, selection ORDER BY total DESC, event, selection LIMIT {MOST_ROWS}
    )
    UNION ALL
    SELECT * FROM (
        SELECT 1 AS is_pair, first.1, first.2, second.1, second.2, toFloat64(count()) AS total
        FROM (
            SELECT first, leagues FROM (
                SELECT arrayDistinct(arrayPushBack(groupUniqArray({MOST_GROUPS + 1})((category, league)), ('', '')))
                    AS leagues
                FROM bets GROUP BY customer_id
            ) ARRAY JOIN leagues AS first
            WHERE length(leagues) <= {MOST_GROUPS + 1}
        ) ARRAY JOIN leagues AS second
        GROUP BY first, second ORDER BY total DESC, first, second LIMIT {MOST_ROWS}
    )
"""  # noqa: S608 - ours


@dataclass
class Crowd:
    """Faded counts of customers by what they bet on, and how many have both of two leagues, or one and EVERYBODY."""

    events: Weights[str] = field(default_factory=Weights[str])
    markets: Weights[tuple[str, str]] = field(default_factory=Weights[tuple[str, str]])  # event, market
    market_names: Weights[str] = field(default_factory=Weights[str])
    selections: Weights[tuple[str, str]] = field(default_factory=Weights[tuple[str, str]])  # event, selection
    together: dict[Group, dict[Group, float]] = field(default_factory=lambda: defaultdict(dict))


def crowd_of(scope: Scope, types: Mapping[int, Step]) -> Crowd:
    """What all customers bet on lately, as it was known not long ago."""
    return kept(scope.stores).of(scope, "crowd", KEPT_SECONDS, lambda: read(scope, types))


def read(scope: Scope, types: Mapping[int, Step]) -> Crowd:
    """What all customers bet on lately."""
    crowd = Crowd()
    telling = {id: step for id, step in types.items() if WEIGHTS[step]}
    if not telling:
        return crowd
    now = scope.clock.now()
    added = [id for id, step in telling.items() if step is Step.ADDED]
    rows = scope.warehouse.rows(CROWD, types=list(telling), added=added, now=now, since=now - timedelta(days=DAYS))
    for is_pair, first, second, third, fourth, total in rows:
        if is_pair:
            crowd.together[first, second][third, fourth] = total
        else:
            crowd.events[first] += total
            crowd.markets[first, second] += total
            crowd.market_names[third] += total
            crowd.selections[first, fourth] += total
    return crowd
