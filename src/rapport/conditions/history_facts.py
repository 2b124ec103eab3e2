"""Measures of a history over the facts of one customer."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from rapport.conditions.comparing import within
from rapport.conditions.facts import CampaignReceipt, Event, Facts, Interaction, Item, Transaction
from rapport.conditions.histories import (
    AMOUNT_SCALE,
    CONTROL_ACTION_ID,
    INTERACTIONS,
    SOURCES,
    Measure,
)
from rapport.conditions.measuring import value_without_rows
from rapport.conditions.nodes import HistoryIs
from rapport.conditions.passing import in_range
from rapport.conditions.purchases import NO_VALUE_STATUSES, NO_VALUE_TYPES
from rapport.conditions.schema import Anchor
from rapport.conditions.text import fold


@dataclass(frozen=True, slots=True)
class _Row:
    """When it was, and its amount in ten-thousandths (0 where there is none)."""

    at: date | datetime
    amount: int = 0


def measured(node: HistoryIs, facts: Facts, anchor: Anchor) -> Any:
    """The value of a condition's measure: int, float, date, datetime, or None without rows."""
    window = within(node.window, SOURCES[node.source].time_kind, anchor)
    rows = [row for row in READERS[node.source](node, facts) if in_range(window, row.at)]
    return MEASURES[node.measure](rows) if rows else value_without_rows(node.measure)


MEASURES: dict[Measure, Callable[[Sequence[_Row]], Any]] = {
    Measure.COUNT: len,
    Measure.SUM: lambda rows: sum(row.amount for row in rows),
    Measure.AVERAGE: lambda rows: sum(row.amount for row in rows) / len(rows),
    Measure.MAXIMUM: lambda rows: max(row.amount for row in rows),
    Measure.MINIMUM: lambda rows: min(row.amount for row in rows),
    Measure.FIRST_DATE: lambda rows: min(row.at for row in rows),
    Measure.LAST_DATE: lambda rows: max(row.at for row in rows),
}


def _one_of(node: HistoryIs, name: str, value: Any) -> bool:
    values = node.filter(name)
    return values is None or value in values


def _scaled(amount: float) -> int:
    return round(amount * AMOUNT_SCALE)


# Transactions


def _transactions(node: HistoryIs, facts: Facts) -> Iterable[_Row]:
    for one in facts.transactions:
        if not _counts(node, one):
            continue
        if node.filter("product") is None and node.filter("category") is None:
            yield _Row(one.time, _scaled(one.amount))
        elif items := [item for item in one.items if _bought(node, item)]:
            yield _Row(one.time, sum(_scaled(item.quantity * item.unit_price) for item in items))


def _counts(node: HistoryIs, one: Transaction) -> bool:
    texts = {"type": one.type, "status": one.status, "platform": one.platform, "promo_code": one.promo_code}
    if not all(_one_of(node, name, fold(text)) for name, text in texts.items()):
        return False
    if node.filter("status") is None and fold(one.status) in NO_VALUE_STATUSES:
        return False
    return node.filter("type") is not None or (fold(one.type) not in NO_VALUE_TYPES and one.amount > 0)


def _bought(node: HistoryIs, item: Item) -> bool:
    return (
        not item.is_return
        and _one_of(node, "product", fold(item.product_id))
        and _one_of(node, "category", fold(item.category))
    )


# Activity, campaigns, interactions


def _activity(node: HistoryIs, facts: Facts) -> Iterable[_Row]:
    return (_Row(event.at) for event in facts.events if _happened(node, event))


def _happened(node: HistoryIs, event: Event) -> bool:
    return _one_of(node, "event_type", event.event_type) and all(
        fold(event.properties.get(name, "")) in values for name, values in node.properties
    )


def _of_campaign(node: HistoryIs, one: CampaignReceipt | Interaction) -> bool:
    ids = {
        "campaign": one.campaign,
        "series": one.series,
        "action": one.action,
        "channel": one.channel,
        "template": one.template,
    }
    return all(_one_of(node, name, number) for name, number in ids.items())


def _campaigns(node: HistoryIs, facts: Facts) -> Iterable[_Row]:
    outcomes = node.filter("outcome") or ("sent",)
    for one in facts.campaigns:
        happened = {"control"} if one.action == CONTROL_ACTION_ID else {"targeted", "sent" if one.sent else "targeted"}
        if _of_campaign(node, one) and happened.intersection(outcomes):
            yield _Row(one.execution_date)


def _interactions(node: HistoryIs, facts: Facts) -> Iterable[_Row]:
    events = [INTERACTIONS[name] for name in node.filter("event") or INTERACTIONS]
    return (_Row(one.at) for one in facts.interactions if one.event in events and _of_campaign(node, one))


READERS: dict[str, Callable[[HistoryIs, Facts], Iterable[_Row]]] = {
    "transactions": _transactions,
    "activity": _activity,
    "campaigns": _campaigns,
    "interactions": _interactions,
}
