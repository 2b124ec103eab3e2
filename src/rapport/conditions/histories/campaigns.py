"""The history of campaigns: what customers were selected for, and what of it was sent."""

# ruff: noqa: S608 - statements are put together of constants; values are bound

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

from rapport.conditions.histories.base import OF_CUSTOMERS, Happening, History, Query, Reading
from rapport.conditions.histories.campaign_filters import CAMPAIGN_FILTERS
from rapport.conditions.histories.filters import Choices, Filter
from rapport.conditions.language.nodes import HistoryIs
from rapport.conditions.outcomes import Outcome
from rapport.conditions.purchases import ValueRule
from rapport.conditions.schema import Kind
from rapport.conditions.send_days import LONGEST_LEAD, SEND_DAY
from rapport.conditions.sql.rendering import within_sql

CONTROL_ACTION_ID = 1
SENT, TARGETED, CONTROL = "sent", "targeted", "control"
EPOCH, LEAD = date(1970, 1, 1), timedelta(days=LONGEST_LEAD)

# A receipt is sent when an outcome of its channel says so; control members have no outcome of that kind.
READ = f"""
    SELECT recipient.customer_id, {SEND_DAY}, recipient.campaign_id, recipient.action_id, recipient.channel_id,
        recipient.template_id,
        (recipient.campaign_id, recipient.customer_id, recipient.channel_id) IN (
            SELECT campaign_id, customer_id, channel_id FROM campaign_outcomes
            WHERE {OF_CUSTOMERS} AND execution_date >= toDate32({{since:Date}}) - {LONGEST_LEAD}
                AND outcome = '{Outcome.SENT}'
        )
    FROM campaign_recipients AS recipient
    WHERE recipient.{OF_CUSTOMERS} AND recipient.execution_date >= toDate32({{since:Date}}) - {LONGEST_LEAD}
"""


@dataclass(frozen=True, slots=True)
class CampaignReceipt:
    """A row of a campaign's audience, on its send day. sent tells whether it left; action 1 is the control group."""

    execution_date: date
    campaign: int
    action: int
    channel: int
    series: int = 0
    template: int = 0
    sent: bool = True


# What became of a recipient is in another table, so that no column answers it.
OUTCOME = Filter[CampaignReceipt](
    "outcome",
    Choices(dict.fromkeys((SENT, TARGETED, CONTROL), 0)),
    "sent (the default), targeted (selected to get it, whether or not it left) or control",
)


class Campaigns(History[CampaignReceipt]):
    """Recipients count on the send day, once a channel."""

    name = "campaigns"
    title = "campaigns"
    description = "Campaigns that customers got, on the send day. A campaign on two channels counts twice."
    table = "campaign_recipients"
    also_read = ("campaign_outcomes",)
    time_column = SEND_DAY
    time_kind = Kind.DATE
    filters = (*CAMPAIGN_FILTERS, OUTCOME)

    def rules_sql(self, query: Query) -> Iterator[str]:
        """The outcome, and the days of processing, in the order of which both tables are."""
        processed = _processed(query)
        yield processed
        outcomes, control = _outcomes(query.node), f"action_id = {CONTROL_ACTION_ID}"
        parts = {CONTROL: control, TARGETED: f"NOT {control}", SENT: ""}
        if SENT in outcomes and TARGETED not in outcomes:
            parts[SENT] = (
                f"NOT {control} AND (campaign_id, customer_id, channel_id) IN (SELECT campaign_id, customer_id, "
                f"channel_id FROM campaign_outcomes WHERE {processed} AND outcome = '{SENT}')"
            )
        yield f"({' OR '.join(f'({parts[name]})' for name in outcomes if parts[name])})"

    def happening(self, node: HistoryIs, row: CampaignReceipt, values: ValueRule) -> Happening | None:
        """A receipt with one of the outcomes that are asked for."""
        is_control = row.action == CONTROL_ACTION_ID
        outcomes = {CONTROL} if is_control else {TARGETED, SENT} if row.sent else {TARGETED}
        return Happening(row.execution_date) if outcomes.intersection(_outcomes(node)) else None

    def read(self, reading: Reading) -> Iterable[tuple[str, CampaignReceipt]]:
        """Receipts, with the series of their campaigns."""
        rows = reading.rows(READ)
        series = reading.series_of({int(row[2]) for row in rows})
        for customer_id, day, campaign, action, channel, template, is_sent in rows:
            receipt = CampaignReceipt(day, campaign, action, channel, series.get(campaign, 0), template, bool(is_sent))
            yield customer_id, receipt


def _outcomes(node: HistoryIs) -> tuple[str, ...]:
    return node.filter(OUTCOME.name) or (SENT,)


def _processed(query: Query) -> str:
    """SQL of the days that campaigns of the window can have been processed on."""
    low = query.window.low and max(query.window.low, EPOCH + LEAD) - LEAD
    return within_sql(replace(query.window, low=low, strict=False), Kind.DATE, "execution_date", query.binder)
