"""The histories that a condition can ask about, as data: where they are stored and what may be filtered.

An event of an interaction has a number in storage and a name in conditions.
"""

from dataclasses import dataclass
from enum import StrEnum

from rapport.conditions.interaction_codes import BOUNCED, CLICKED, DROPPED, OPENED, SPAM_REPORT, UNSUBSCRIBED
from rapport.conditions.schema import Kind

INTERACTIONS = {
    "opened": OPENED,
    "clicked": CLICKED,
    "unsubscribed": UNSUBSCRIBED,
    "dropped": DROPPED,
    "reported_spam": SPAM_REPORT,
    "bounced": BOUNCED,
}

# Amounts are compared in ten-thousandths of the currency unit, as whole numbers, so that the order
# in which an engine adds them never matters.
AMOUNT_SCALE = 10_000
CONTROL_ACTION_ID = 1

# SQL of the day on which a recipient's campaign is sent: days after its processing, where it has a lead time.
SEND_DAY = "greatest(execution_date, toDate(scheduled_time))"
# The most days between the two, so that a filter of processing days finds all that were sent since a day.
LONGEST_LEAD = 60


class Measure(StrEnum):
    """What is computed over the rows of one customer."""

    COUNT = "count"
    SUM = "sum"
    AVERAGE = "average"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    FIRST_DATE = "first_date"
    LAST_DATE = "last_date"


class Filter(StrEnum):
    """What a filter's values are."""

    TEXT = "text"
    ID = "a whole number"
    INTERACTION = "an interaction"
    OUTCOME = "an outcome"


OUTCOMES = ("sent", "targeted", "control")
COUNTED = (Measure.COUNT, Measure.FIRST_DATE, Measure.LAST_DATE)


@dataclass(frozen=True)
class Source:
    """A history: its table, its time (SQL) and what kind that is, its measures and filters (name -> kind)."""

    table: str
    time_column: str
    time_kind: Kind
    measures: tuple[Measure, ...]
    filters: dict[str, Filter]
    title: str


_CAMPAIGN = {
    "campaign": Filter.ID,
    "series": Filter.ID,
    "action": Filter.ID,
    "channel": Filter.ID,
    "template": Filter.ID,
}

SOURCES = {
    "transactions": Source(
        "transactions",
        "transaction_time",
        Kind.TIME,
        tuple(Measure),
        {
            "type": Filter.TEXT,
            "status": Filter.TEXT,
            "platform": Filter.TEXT,
            "promo_code": Filter.TEXT,
            "product": Filter.TEXT,
            "category": Filter.TEXT,
        },
        "transactions",
    ),
    "activity": Source(
        "activity_events", "event_at", Kind.INSTANT, COUNTED, {"event_type": Filter.ID}, "activity events"
    ),
    "campaigns": Source(
        "campaign_recipients",
        SEND_DAY,
        Kind.DATE,
        COUNTED,
        {**_CAMPAIGN, "outcome": Filter.OUTCOME},
        "campaigns",
    ),
    "interactions": Source(
        "campaign_interactions",
        "interaction_at",
        Kind.INSTANT,
        COUNTED,
        {**_CAMPAIGN, "event": Filter.INTERACTION},
        "interactions",
    ),
}


def measure_kind(source: Source, measure: Measure) -> Kind:
    """The kind of a measure's value; sums and the like are in ten-thousandths."""
    if measure in (Measure.FIRST_DATE, Measure.LAST_DATE):
        return source.time_kind
    return Kind.FLOAT if measure is Measure.AVERAGE else Kind.INTEGER
