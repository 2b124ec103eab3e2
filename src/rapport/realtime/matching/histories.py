"""The histories of a few customers, as far as conditions ask for them: each read by customer and time."""

# ruff: noqa: S608 - statements are put together of constants

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns import service as campaigns
from rapport.conditions import CampaignReceipt, Event, Interaction, Item, Schema, Transaction
from rapport.conditions.comparing import within
from rapport.conditions.histories import LONGEST_LEAD, SEND_DAY
from rapport.conditions.nodes import HistoryIs
from rapport.conditions.schema import Anchor, Kind

Histories = dict[str, Sequence[Any]]
OF_CUSTOMERS = "customer_id IN {ids:Array(String)}"

TRANSACTIONS = f"""
    SELECT customer_id, transaction_id, toUnixTimestamp(transaction_time), amount, type, status, platform, promo_code
    FROM transactions WHERE {OF_CUSTOMERS} AND transaction_time >= {{since:DateTime('UTC')}}
"""
ITEMS = f"""
    SELECT i.customer_id, i.transaction_id, i.product_id, i.quantity, i.unit_price, p.category, i.is_return
    FROM transaction_items AS i LEFT JOIN (
        SELECT product_id, any(category) AS category FROM products GROUP BY product_id
    ) AS p ON p.product_id = i.product_id
    WHERE i.{OF_CUSTOMERS} AND i.transaction_time >= {{since:DateTime('UTC')}}
"""
EVENTS = f"""
    SELECT customer_id, event_type_id, toUnixTimestamp64Milli(event_at), properties
    FROM activity_events
    WHERE {OF_CUSTOMERS} AND event_at >= {{since:DateTime('UTC')}}
        AND (empty({{types:Array(UInt32)}}) OR event_type_id IN {{types:Array(UInt32)}})
"""
# A receipt is sent when an outcome of its channel says so; control members have no outcome of that kind.
RECEIPTS = f"""
    SELECT r.customer_id, {SEND_DAY}, r.campaign_id, r.action_id, r.channel_id, r.template_id,
        (r.campaign_id, r.customer_id, r.channel_id) IN (
            SELECT campaign_id, customer_id, channel_id FROM campaign_outcomes
            WHERE {OF_CUSTOMERS} AND execution_date >= toDate32({{since:Date}}) - {LONGEST_LEAD} AND outcome = 'sent'
        )
    FROM campaign_recipients AS r
    WHERE r.{OF_CUSTOMERS} AND r.execution_date >= toDate32({{since:Date}}) - {LONGEST_LEAD}
"""
INTERACTIONS = f"""
    SELECT customer_id, toUnixTimestamp64Milli(interaction_at), event_id, campaign_id, action_id, channel_id,
        template_id
    FROM campaign_interactions
    WHERE {OF_CUSTOMERS} AND interaction_at >= {{since:DateTime('UTC')}}
"""


def _since(asked: Sequence[HistoryIs], schema: Schema, today: date) -> datetime | date:
    """The earliest time that a condition looks back to, with a day to spare for time zones."""
    anchor = Anchor(today, today, schema.time_zone)
    found = [within(one.window, Kind.DATE, anchor).low for one in asked]
    return min((one or date(1970, 1, 2)) for one in found) - timedelta(days=1)


def _by_customer(rows: Sequence[tuple[str, Any]]) -> Histories:
    found: dict[str, list[Any]] = defaultdict(list)
    for customer_id, one in rows:
        found[customer_id].append(one)
    return dict(found)


def _transactions(
    scope: Scope, ids: Sequence[str], asked: Sequence[HistoryIs], schema: Schema, today: date
) -> Histories:
    bound: dict[str, Any] = {"ids": list(ids), "since": _since(asked, schema, today)}
    items: dict[tuple[str, str], list[Item]] = defaultdict(list)
    if any(one.filter("product") or one.filter("category") for one in asked):
        for customer_id, number, product, quantity, price, category, is_return in scope.warehouse.rows(ITEMS, **bound):
            items[customer_id, number].append(Item(product, quantity, price, category, bool(is_return)))
    return _by_customer(
        [
            (
                customer_id,
                Transaction(_wall(at), amount, kind, status, platform, code, items.get((customer_id, number), ())),
            )
            for customer_id, number, at, amount, kind, status, platform, code in scope.warehouse.rows(
                TRANSACTIONS, **bound
            )
        ]
    )


def _events(scope: Scope, ids: Sequence[str], asked: Sequence[HistoryIs], schema: Schema, today: date) -> Histories:
    wanted = [one.filter("event_type") for one in asked]
    types = sorted({number for some in wanted for number in some or ()}) if all(wanted) else []
    rows = scope.warehouse.rows(EVENTS, ids=list(ids), since=_since(asked, schema, today), types=types)
    return _by_customer([(who, Event(int(kind), _instant(at), properties)) for who, kind, at, properties in rows])


def _receipts(scope: Scope, ids: Sequence[str], asked: Sequence[HistoryIs], schema: Schema, today: date) -> Histories:
    rows = scope.warehouse.rows(RECEIPTS, ids=list(ids), since=_since(asked, schema, today))
    series = campaigns.series_of(scope, {int(row[2]) for row in rows})
    return _by_customer(
        [
            (who, CampaignReceipt(day, campaign, action, channel, series.get(campaign, 0), template, bool(sent)))
            for who, day, campaign, action, channel, template, sent in rows
        ]
    )


def _interactions(
    scope: Scope, ids: Sequence[str], asked: Sequence[HistoryIs], schema: Schema, today: date
) -> Histories:
    rows = scope.warehouse.rows(INTERACTIONS, ids=list(ids), since=_since(asked, schema, today))
    series = campaigns.series_of(scope, {int(row[3]) for row in rows})
    return _by_customer(
        [
            (who, Interaction(_instant(at), event, campaign, action, channel, series.get(campaign, 0), template))
            for who, at, event, campaign, action, channel, template in rows
        ]
    )


def _wall(seconds: int) -> datetime:
    """A wall-clock time of the tenant, from the number it is stored as; no time zone of the process shifts it."""
    return datetime(1970, 1, 1) + timedelta(seconds=seconds)


def _instant(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


Reader = Callable[[Scope, Sequence[str], Sequence[HistoryIs], Schema, date], Histories]
READERS: dict[str, Reader] = {
    "transactions": _transactions,
    "activity": _events,
    "campaigns": _receipts,
    "interactions": _interactions,
}
