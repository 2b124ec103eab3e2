"""What became of everybody, and what they did, for a warehouse of one's own.

Rows are read in pieces of bounded size, in order of the table. Whoever takes them day by day takes those written since
the last time: written_at is the engine's clock, which all processes share. A statement that writes may have begun long
before its rows are seen, so the next time begins a while before this one, and a few rows come twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from rapport.access.scope import Scope
from rapport.campaigns.measurement.interactions import RECORDED
from rapport.campaigns.runs.queries import named
from rapport.errors import Invalid

AT_ONCE = 50_000
# Longer than a statement may take until its rows are there (stores.warehouse_server).
SEEN_WITHIN = timedelta(minutes=15)
NOW = "SELECT toUnixTimestamp64Milli(now64(3))"
# The days and instants that the warehouse knows.
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2149, 6, 6)
FIRST_INSTANT, LAST_INSTANT = datetime(1970, 1, 1, tzinfo=UTC), datetime(2149, 6, 6, tzinfo=UTC)

# Ties are read whole, so that the next piece begins behind them.
OUTCOMES = named("""
    WITH piece AS (
        SELECT * FROM campaign_outcomes
        WHERE execution_date BETWEEN {first:Date} AND {last:Date} AND written_at >= {since:DateTime64(3, 'UTC')}
            AND (execution_date, campaign_id, customer_id, channel_id, firing_id)
                > ({key_0:Date}, {key_1:UInt32}, {key_2:String}, {key_3:UInt32}, {key_4:UInt64})
        ORDER BY execution_date, campaign_id, customer_id, channel_id, firing_id LIMIT {at_once:UInt32} WITH TIES
    )
    SELECT toDate32(piece.execution_date) AS execution_date, piece.campaign_id AS campaign_id,
        piece.customer_id AS customer_id, piece.channel_id AS channel_id, piece.firing_id AS firing_id,
        piece.outcome AS outcome, piece.reason AS reason, piece.message_id AS message_id,
        recipient.recipient_group_id AS recipient_group_id,
        greatest(piece.drawn_group, recipient.drawn_group) AS drawn_group, recipient.action_id AS action_id,
        recipient.template_id AS template_id,
        if(piece.outcome = $SENT AND own.promo_code != '', own.promo_code, recipient.promo_code) AS promo_code,
        CAST(
            JSONExtractKeysAndValues(rewarded.given, 'String') AS Array(Tuple(reward_type String, value String))
        ) AS rewards,
        JSONExtract(
            rewarded.given_by, 'Array(Tuple(promotion_id String, promotion_tier_id String, promo_code String))'
        ) AS promotions,
        if(recipient.campaign_id = 0, NULL, toDateTime64(recipient.scheduled_time, 0, 'UTC')) AS scheduled_time,
        piece.recorded_at AS recorded_at, piece.written_at AS written_at
    FROM piece
    LEFT JOIN (
        SELECT * FROM campaign_recipients
        WHERE execution_date IN (SELECT execution_date FROM piece) AND campaign_id IN (SELECT campaign_id FROM piece)
            AND customer_id IN (SELECT customer_id FROM piece)
    ) AS recipient ON recipient.campaign_id = piece.campaign_id AND recipient.customer_id = piece.customer_id
        AND recipient.channel_id = piece.channel_id AND recipient.firing_id = piece.firing_id
    LEFT ANY JOIN (
        SELECT * FROM campaign_codes
        WHERE execution_date IN (SELECT execution_date FROM piece) AND campaign_id IN (SELECT campaign_id FROM piece)
            AND customer_id IN (SELECT customer_id FROM piece)
    ) AS own ON own.campaign_id = piece.campaign_id AND own.customer_id = piece.customer_id
        AND own.channel_id = piece.channel_id
    LEFT ANY JOIN (
        SELECT campaign_id, firing_id, lowerUTF8(customer_id) AS customer_key, argMax(reward_values, seq) AS given,
            argMax(grants, seq) AS given_by
        FROM campaign_rewards
        WHERE execution_date IN (SELECT execution_date FROM piece) AND campaign_id IN (SELECT campaign_id FROM piece)
            AND customer_key IN (SELECT lowerUTF8(customer_id) FROM piece)
        GROUP BY campaign_id, firing_id, customer_key
    ) AS rewarded ON rewarded.campaign_id = piece.campaign_id AND rewarded.firing_id = piece.firing_id
        AND rewarded.customer_key = if(piece.outcome = $SENT, lowerUTF8(piece.customer_id), '')
    ORDER BY execution_date, campaign_id, customer_id, channel_id, firing_id
""")
INTERACTED = """
    SELECT toDate32(delivery_date) AS execution_date, channel_id, event_id, customer_id, campaign_id,
        transform(event_id, {numbers:Array(UInt8)}, {words:Array(String)}, '') AS event, interaction_at, template_id,
        recipient_group_id, action_id, app_id, origin, written_at
    FROM campaign_interactions
    WHERE delivery_date BETWEEN {first:Date} AND {last:Date} AND written_at >= {since:DateTime64(3, 'UTC')}
        AND (delivery_date, channel_id, event_id, customer_id, campaign_id)
            > ({key_0:Date}, {key_1:UInt32}, {key_2:UInt8}, {key_3:String}, {key_4:UInt32})
    ORDER BY delivery_date, channel_id, event_id, customer_id, campaign_id LIMIT {at_once:UInt32} WITH TIES
"""
TEXTS = ("customer_id", "outcome", "reason", "message_id", "promo_code", "event", "app_id", "origin")
# Lists, whose form does not depend on the reward types of a tenant.
LISTS = {"rewards": ("reward_type", "value"), "promotions": ("promotion_id", "promotion_tier_id", "promo_code")}
# The first five are the order of the rows.
OUTCOME_COLUMNS = (
    *("execution_date", "campaign_id", "customer_id", "channel_id", "firing_id", "outcome", "reason", "message_id"),
    *("recipient_group_id", "drawn_group", "action_id", "template_id", "promo_code", "rewards", "promotions"),
    *("scheduled_time", "recorded_at", "written_at"),
)
INTERACTION_COLUMNS = (
    *("execution_date", "channel_id", "event_id", "customer_id", "campaign_id", "event", "interaction_at"),
    *("template_id", "recipient_group_id", "action_id", "app_id", "origin", "written_at"),
)
KEY_COLUMNS = 5


@dataclass(frozen=True)
class Period:
    """Which rows: of campaigns by the days of their processing, both included, and written since an instant.

    Raises Invalid for a last day before the first.
    """

    first: date | None = None
    last: date | None = None
    since: datetime | None = None

    def __post_init__(self) -> None:
        if self.first and self.last and self.last < self.first:
            raise Invalid(f"last must not be before first, which is {self.first}.")

    def bound(self) -> dict[str, str]:
        """What the statements bind."""
        first, last = max(self.first or FIRST_DAY, FIRST_DAY), min(self.last or LAST_DAY, LAST_DAY)
        since = min(max(self.since or FIRST_INSTANT, FIRST_INSTANT), LAST_INSTANT).astimezone(UTC)
        return {"first": f"{first}", "last": f"{last}", "since": f"{since:%Y-%m-%d %H:%M:%S.%f}"[:-3]}

    def audit_values(self) -> dict[str, str]:
        """What the audit log says of it."""
        bounds = {"first": self.first, "last": self.last, "since": self.since}
        return {name: value.isoformat() for name, value in bounds.items() if value}


@dataclass(frozen=True)
class Export:
    """A table in batches. next_since: from when on rows written later have to be asked for the next time."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    next_since: datetime


def export_outcomes(scope: Scope, period: Period) -> Export:
    """What became of each unit of campaigns, with its place: all that a period has. The audit log has it."""
    return _export(scope, "outcomes", OUTCOMES, OUTCOME_COLUMNS, [f"{FIRST_DAY}", 0, "", 0, 0], period)


def export_interactions(scope: Scope, period: Period) -> Export:
    """What recipients did with campaigns: all that a period has. The audit log has it."""
    words = {"numbers": list(RECORDED), "words": list(RECORDED.values())}
    after = [f"{FIRST_DAY}", 0, 0, "", 0]
    return _export(scope, "interactions", INTERACTED, INTERACTION_COLUMNS, after, period, **words)


def _export(
    scope: Scope, name: str, sql: str, columns: Sequence[str], after: list[Any], period: Period, **more: object
) -> Export:
    schema = pa.schema([(column, _type(column)) for column in columns])
    seen = FIRST_INSTANT + timedelta(milliseconds=int(scope.warehouse.value(NOW))) - SEEN_WITHIN
    with scope.records() as session:
        scope.audit(session, "export", name, **period.audit_values())
    return Export(schema, _pieces(scope, sql, schema, after, {**period.bound(), **more}), seen)


def _type(column: str) -> pa.DataType:
    if column in TEXTS:
        return pa.string()
    if column in LISTS:
        return pa.list_(pa.struct([(member, pa.string()) for member in LISTS[column]]))
    if column.endswith("_date"):
        return pa.date32()
    if column.endswith("_at"):
        return pa.timestamp("ms", "UTC")
    return pa.timestamp("s") if column.endswith("_time") else pa.int64()


def _pieces(
    scope: Scope, sql: str, schema: pa.Schema, after: list[Any], parameters: dict[str, Any]
) -> Iterator[pa.RecordBatch]:
    """Tables of so many rows, each from behind the last row of the one before."""
    while True:
        key = {f"key_{n}": value for n, value in enumerate(after)}
        table = scope.warehouse.arrow(sql, **parameters, **key, at_once=AT_ONCE).cast(schema)
        yield from table.to_batches()
        if table.num_rows < AT_ONCE:
            return
        after = [str(number) if isinstance(number, date) else number for number in _last(table)]


def _last(table: pa.Table) -> list[Any]:
    return [column[-1].as_py() for column in table.columns[:KEY_COLUMNS]]
