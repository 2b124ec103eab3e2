"""What a campaign keeps of its A/B tests: how each of them ended, and on which figures its winner was chosen."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rapport.campaigns.plans import RecordShape

# The template of those who wait for the winner.
UNDECIDED = 0


class Ground(StrEnum):
    """Why a variant won: it was known to be the best before the end of the wait, had the best rate at its end, was
    chosen by a person, or won a tie or a test with too few messages.
    """

    KNOWN = "known"
    BEST = "best"
    CHOSEN = "chosen"
    TIE = "tie"
    TOO_FEW = "too few messages"


class VariantFigures(RecordShape):
    """What became of the messages of a variant in the test. Each customer counts once; machines do not count.

    rate is 0 if no message was sent.
    """

    template_id: int
    name: Annotated[str, Field(description="The name of the variant; empty if it has none")]
    recipients: Annotated[int, Field(description="Recipients who get this variant in the test")]
    sent: Annotated[int, Field(description="Messages that were sent")]
    opens: Annotated[int, Field(description="Recipients who opened it")]
    clicks: Annotated[int, Field(description="Recipients who clicked a link in it")]
    unsubscribes: Annotated[int, Field(description="Recipients who unsubscribed through it")]
    complaints: Annotated[int, Field(description="Recipients who reported it as spam")]
    responders: Annotated[
        int | None,
        Field(description="Recipients who met the goal of the series; null for tests that an earlier release decided"),
    ] = None
    orders: Annotated[
        int | None, Field(description="Recipients who ordered; null if the metric is neither orders nor value")
    ] = None
    value: Annotated[
        float | None, Field(description="What they spent, in the tenant's currency; null as orders is")
    ] = None
    rate: Annotated[
        float,
        Field(
            description="opens, clicks, responders, orders or value (see metric), divided by sent; of value, the "
            "amounts of the few customers who spent most are capped"
        ),
    ]
    difference: Annotated[
        float | None,
        Field(
            description="By how much the rate differs from that of the best variant, adjusted, for value, for what "
            "customers had spent before; null for the best variant, and while there is too little to tell"
        ),
    ] = None
    interval: Annotated[
        tuple[float, float] | None,
        Field(
            description="The interval of the difference. With a probability of 95%, the intervals of all variants hold "
            "at all times, however often you look"
        ),
    ] = None


class KeptTest(RecordShape):
    """How a test ended. A person may end it early (ended_at), with or without naming the winner (chosen).

    latest_at is when the winner is chosen at the latest, known the variant that was known to be the best before that.
    """

    latest_at: datetime | None = None
    known: int | None = None
    ended_at: datetime | None = None
    chosen: int | None = None
    winner: int | None = None
    ground: Ground | None = None
    decided_at: datetime | None = None
    figures: tuple[VariantFigures, ...] = ()


KeptTests = Mapping[str, KeptTest]


def test_key(group: int, channel_id: int) -> str:
    """The key of a test among those of its campaign."""
    return f"{group}/{channel_id}"
