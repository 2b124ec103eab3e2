"""Answers about a campaign's customers: who got what, and why one did not get it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.ab_tests import UNDECIDED
from rapport.campaigns.models import Occurrence
from rapport.campaigns.occurrences import channel_rows, occurrence
from rapport.campaigns.runs.clearance import NOT_CLEARED, REFUSED, reported_status
from rapport.campaigns.states import RunState
from rapport.conditions.outcomes import Outcome
from rapport.errors import NotFound
from rapport.stores.parts import Part

FROM_OUTCOMES = """
    FROM campaign_outcomes
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
        AND ({outcome:String} = '' OR outcome = {outcome:String})
        AND ({customer:String} = '' OR lowerUTF8(customer_id) = lowerUTF8({customer:String}))
"""
OUTCOMES = f"""
    SELECT customer_id, channel_id, outcome, reason, message_id, toString(recorded_at) {FROM_OUTCOMES}
    ORDER BY customer_id, channel_id LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}
"""
COUNT_OUTCOMES = f"SELECT count() {FROM_OUTCOMES}"

REASONS = """
    SELECT channel_id, outcome, reason, count() FROM campaign_outcomes
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
    GROUP BY channel_id, outcome, reason ORDER BY channel_id, outcome, reason
"""

PLACES = """
    SELECT channel_id, recipient_group_id, action_id, template_id, promo_code, toString(scheduled_time), portion
    FROM campaign_recipients
    WHERE execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32}
        AND lowerUTF8(customer_id) = lowerUTF8({customer:String})
    ORDER BY channel_id
"""

# What an outcome means, in words for the question "why did this customer not get it?".
WORDS = {
    Outcome.CONTROL: "Held back as control member.",
    Outcome.EXCLUDED: "Excluded: {reason}.",
    Outcome.CAPPED: "Excluded: the customer has got as many messages as the frequency cap allows.",
    Outcome.SUPPRESSED: "Not contacted on channel {channel}: {reason}.",
    Outcome.NO_ADDRESS: "Has no address for channel {channel}.",
    Outcome.SENT: "Sent on channel {channel}.",
    Outcome.FAILED: "Could not be sent on channel {channel}: {reason}.",
    Outcome.SKIPPED: "Not sent on channel {channel}: {reason}.",
}
WORDS_OF_REASON = {
    NOT_CLEARED: "Excluded on channel {channel}: nobody approved the customer before the deadline.",
    REFUSED: "Excluded on channel {channel}: the external system refused the customer.",
}
ON_HOLD = "Waits for approval on channel {channel} until {deadline}: {status} so far."
WAITING = "Not sent yet on channel {channel}."
AWAITS_WINNER = "Gets the winner of the A/B test on channel {channel}, which has not been chosen yet."
NOT_MEMBER = "Was not in the target group when the campaign was processed."
NO_FIRING = "The trigger has not fired for this customer, or the outcome is not recorded yet."
NOT_PROCESSED = "The campaign has not been processed."


@dataclass(frozen=True)
class CustomerOutcome:
    """The outcome of a customer in a campaign on a channel (0: none). recorded_at is UTC."""

    customer_id: str
    channel_id: int
    outcome: str
    reason: str
    message_id: str
    recorded_at: str


@dataclass(frozen=True)
class Answer:
    """Why a customer did or did not get a campaign: group, outcome, and an explanation in words."""

    customer_id: str
    places: list[dict[str, Any]]
    outcomes: list[CustomerOutcome]
    explanation: list[str]


def outcome_rows(
    scope: Scope, campaign_id: int, outcome: str = "", customer_id: str = "", limit: int = 1000, offset: int = 0
) -> Part[CustomerOutcome]:
    """Outcomes of a campaign by customer and channel. Raises NotFound for the campaign."""
    parameters = {
        "execution_date": occurrence(scope, campaign_id).execution_date,
        "campaign": campaign_id,
        "outcome": outcome,
        "customer": customer_id,
    }
    rows = scope.warehouse.rows(OUTCOMES, **parameters, limit=limit, offset=offset)
    if len(rows) < limit and (rows or not offset):
        total = offset + len(rows)
    else:
        total = int(scope.warehouse.value(COUNT_OUTCOMES, **parameters))
    return Part((CustomerOutcome(*row) for row in rows), total)


def reason_counts(scope: Scope, campaign_id: int) -> list[dict[str, Any]]:
    """Units of a campaign by channel, outcome and reason. Raises NotFound."""
    campaign = occurrence(scope, campaign_id)
    rows = scope.warehouse.rows(REASONS, execution_date=campaign.execution_date, campaign=campaign_id)
    names = ("channel_id", "outcome", "reason", "units")
    return [dict(zip(names, row, strict=True)) for row in rows]


def nobody_left(reasons: Sequence[Mapping[str, Any]]) -> str:
    """Why a run had nobody to send to, by what reason_counts gives of it, most frequent first."""
    units: Counter[str] = Counter()
    for row in reasons:
        units[row["reason"] or row["outcome"]] += row["units"]
    summary = ", ".join(
        f"{words} ({count})" for words, count in sorted(units.items(), key=lambda entry: (-entry[1], entry[0]))
    )
    return f"Nobody was left to write to: {summary}."


def why(scope: Scope, campaign_id: int, customer_id: str) -> Answer:
    """What a campaign did with a customer, and why. Raises NotFound for the campaign."""
    campaign = occurrence(scope, campaign_id)
    if not customer_id.strip():
        raise NotFound("customer_id must not be empty.")
    common = {"execution_date": campaign.execution_date, "campaign": campaign_id, "customer": customer_id}
    places = _places(scope, campaign, common)
    rows = outcome_rows(scope, campaign_id, customer_id=customer_id)
    explanation = [words_of(row.outcome, row.reason, row.channel_id) for row in rows]
    decided_channels = {row.channel_id for row in rows}
    waiting = _waiting(scope, campaign, customer_id)
    explanation += [
        (AWAITS_WINNER if _awaits_winner(campaign, place) else waiting).format(channel=place["channel_id"])
        for place in places
        if place["channel_id"] not in decided_channels
    ]
    if not explanation:
        explanation = [_absent(campaign)]
    return Answer(customer_id, places, rows, explanation)


def _places(scope: Scope, campaign: Occurrence, common: dict[str, Any]) -> list[dict[str, Any]]:
    """Where a customer was placed. Times that move to later ones do so in the records first; customers' own are later
    than those of their units.
    """
    names = ("channel_id", "recipient_group_id", "action_id", "template_id", "promo_code", "scheduled_time")
    times = {
        (row.channel_id, row.recipient_group_id, row.portion): str(row.scheduled_time)
        for row in channel_rows(scope, campaign.id)
    }
    places = []
    for *values, portion in scope.warehouse.rows(PLACES, **common):
        place = dict(zip(names, values, strict=True))
        key = (place["channel_id"], place["recipient_group_id"], portion)
        places.append({**place, "scheduled_time": max(times.get(key, ""), place["scheduled_time"])})
    return places


def _awaits_winner(campaign: Occurrence, place: Mapping[str, Any]) -> bool:
    """Whether a customer waits for the winner of an A/B test."""
    is_tested = campaign.plan.ab_test(place["recipient_group_id"], place["channel_id"]) is not None
    return is_tested and place["template_id"] == UNDECIDED


def words_of(outcome: str, reason: str, channel_id: int) -> str:
    """A sentence that says what an outcome on a channel (0: none) means."""
    pattern = (
        WORDS_OF_REASON.get(reason, WORDS[Outcome(outcome)]) if outcome == Outcome.EXCLUDED else WORDS[Outcome(outcome)]
    )
    return pattern.format(reason=reason, channel=channel_id)


def _waiting(scope: Scope, campaign: Occurrence, customer_id: str) -> str:
    """What to say of a channel on which nothing became of a customer yet."""
    if campaign.state != RunState.AWAITING_CLEARANCE or campaign.clearance_by is None:
        return WAITING
    deadline = campaign.clearance_by.astimezone(scope.time_zone)
    words = {"deadline": f"{deadline:%Y-%m-%d %H:%M:%S}", "status": reported_status(scope, campaign, customer_id)}
    return ON_HOLD.format(channel="{channel}", **words)


def _absent(campaign: Occurrence) -> str:
    """Why a campaign knows nothing of a customer."""
    if campaign.is_triggered:
        return NO_FIRING
    return NOT_MEMBER if campaign.processed_at else NOT_PROCESSED
