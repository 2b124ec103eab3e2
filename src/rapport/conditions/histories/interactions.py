"""The history of interactions: what recipients did with messages."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rapport.conditions.histories.base import OF_CUSTOMERS, Happening, History, Query, Reading
from rapport.conditions.histories.campaign_filters import CAMPAIGN_FILTERS
from rapport.conditions.histories.filters import Choices, Filter
from rapport.conditions.histories.times import instant
from rapport.conditions.interaction_codes import (
    BOUNCED,
    CLICKED,
    DROPPED,
    FIRST_OF_OTHERS,
    OPENED,
    SPAM_REPORT,
    UNSUBSCRIBED,
)
from rapport.conditions.language.nodes import HistoryIs
from rapport.conditions.purchases import ValueRule
from rapport.conditions.schema import Kind

# An interaction has a number in storage and a name in conditions.
INTERACTIONS = {
    "opened": OPENED,
    "clicked": CLICKED,
    "unsubscribed": UNSUBSCRIBED,
    "dropped": DROPPED,
    "reported_spam": SPAM_REPORT,
    "bounced": BOUNCED,
}
# What machines did is nothing that a customer did.
REACTIONS = f"event_id < {FIRST_OF_OTHERS}"
READ = f"""
    SELECT customer_id, toUnixTimestamp64Milli(interaction_at), event_id, campaign_id, action_id, channel_id,
        template_id
    FROM campaign_interactions
    WHERE {OF_CUSTOMERS} AND interaction_at >= {{since:DateTime('UTC')}} AND {REACTIONS}
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True)
class Interaction:
    """What a recipient did: event is a number of INTERACTIONS, at is aware."""

    at: datetime
    event: int
    campaign: int
    action: int = 0
    channel: int = 0
    series: int = 0
    template: int = 0


class Interactions(History[Interaction]):
    """Interactions count at the moment that was reported."""

    name = "interactions"
    title = "interactions"
    description = "What recipients did with the messages of campaigns, or what became of the messages."
    table = "campaign_interactions"
    time_column = "interaction_at"
    time_kind = Kind.INSTANT
    filters = (
        *CAMPAIGN_FILTERS,
        Filter[Interaction](
            "event", Choices(INTERACTIONS), "What happened to the message", "event_id", lambda row: row.event
        ),
    )

    def rules_sql(self, query: Query) -> Iterable[str]:
        """Only what people did counts."""
        return (REACTIONS,)

    def happening(self, node: HistoryIs, row: Interaction, values: ValueRule) -> Happening:
        """Every interaction counts."""
        return Happening(row.at)

    def read(self, reading: Reading) -> Iterable[tuple[str, Interaction]]:
        """Interactions, with the series of their campaigns."""
        rows = reading.rows(READ)
        series = reading.series_of({int(row[3]) for row in rows})
        for customer_id, at, event, campaign, action, channel, template in rows:
            yield (
                customer_id,
                Interaction(instant(at), event, campaign, action, channel, series.get(campaign, 0), template),
            )
