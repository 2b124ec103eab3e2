"""A/B tests of a run: how each stands, and a person who ends one early."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, Field

from rapport.access.scope import Scope
from rapport.campaigns.ab_tests import Ground, KeptTest, VariantFigures
from rapport.campaigns.cycle import tasks
from rapport.campaigns.delivery import winners
from rapport.campaigns.delivery.units import row_of
from rapport.campaigns.delivery.variant_figures import figures_of
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.occurrences import channel_rows, locked, occurrence
from rapport.campaigns.plans import PlannedChannel, PlannedTest
from rapport.campaigns.schemas import Id, Strict, TemplateId
from rapport.campaigns.states import FINAL_STATES, ABMetric, Portion, RunState
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging import templates
from rapport.stores.clock import wall_time

OPEN = (RunState.SCHEDULED, RunState.EXECUTING)


class TestState(StrEnum):
    """The state of an A/B test."""

    PLANNED = "planned"
    SENDING = "sending"
    WAITING = "waiting"
    DECIDED = "decided"
    CANCELED = "canceled"


class TestStatus(BaseModel):
    """An A/B test of a campaign, with its figures so far."""

    recipient_group_id: int
    channel_id: int = Field(examples=[15])
    state: TestState = Field(
        description="planned; sending: the variants are being sent; waiting: until the winner is chosen; decided; "
        "canceled: the campaign ended before the winner was chosen"
    )
    metric: ABMetric
    share: float
    wait_hours: float
    minimum_sent: int
    when_known: bool = Field(description="Whether the winner is chosen as soon as it is known")
    fallback_template_id: int = Field(
        description="The variant that wins if too few messages were sent, or if it shares the best rate"
    )
    variants: list[VariantFigures] = Field(
        description="The figures of the variants; they do not change once the winner is chosen"
    )
    rest: int = Field(description="Recipients who get the winner")
    decision_at: datetime | None = Field(
        description="When the winner is to be chosen at the latest, or was chosen; null before the campaign is "
        "processed"
    )
    ended_at: datetime | None = Field(description="When a person ended the test")
    decided_at: datetime | None = Field(description="When the winner was chosen")
    winner_template_id: int | None = Field(description="The variant that the rest gets")
    ground: Ground | None = Field(
        description="Why it won. known: it was known to be the best before wait_hours were over; best: it had the best "
        "rate; tie: several variants had the best rate; chosen: a person "
        "chose it; too few messages: fewer than minimum_sent were sent of a variant"
    )


class EndedTest(Strict):
    """Which A/B test ends, and its winner."""

    recipient_group_id: Id = Field(examples=[1])
    channel_id: Id = Field(examples=[15])
    template_id: TemplateId | None = Field(
        None, examples=[7], description="The winner. null: Rapport chooses it now, by the figures so far"
    )


def tests_of(scope: Scope, campaign: Occurrence) -> list[TestStatus]:
    """The A/B tests of a campaign, by group and channel."""
    tested = [
        (number, channel)
        for number, group in enumerate(campaign.plan.groups, start=1)
        for channel in group.channels
        if channel.ab_test
    ]
    rows = channel_rows(scope, campaign.id) if tested else []
    return [_status(scope, campaign, rows, *place) for place in tested]


def _status(
    scope: Scope, campaign: Occurrence, rows: Sequence[OccurrenceChannel], group: int, channel: PlannedChannel
) -> TestStatus:
    kept, planned_test = winners.kept_test(campaign, group, channel.channel_id), channel.ab_test
    if planned_test is None:
        raise ValueError("The channel has no A/B test.")
    own = [row for row in rows if (row.recipient_group_id, row.channel_id) == (group, channel.channel_id)]
    rest = next((row for row in own if row.portion == Portion.REST), None)
    return TestStatus(
        recipient_group_id=group,
        channel_id=channel.channel_id,
        state=_state(campaign, [row for row in own if row.portion == Portion.TEST], rest, kept.winner),
        metric=planned_test.metric,
        share=planned_test.share,
        wait_hours=planned_test.wait_hours,
        minimum_sent=planned_test.minimum_sent,
        when_known=planned_test.when_known,
        fallback_template_id=channel.template_id,
        variants=list(kept.figures or figures_of(scope, campaign, group, channel)),
        rest=rest.recipients if rest else 0,
        decision_at=kept.decided_at or _decision_at(scope, planned_test, kept, rest),
        ended_at=kept.ended_at,
        decided_at=kept.decided_at,
        winner_template_id=kept.winner,
        ground=kept.ground,
    )


def _decision_at(
    scope: Scope, planned_test: PlannedTest, kept: KeptTest, rest: OccurrenceChannel | None
) -> datetime | None:
    """When the winner is to be chosen at the latest; its rest is looked at before that where it may be known."""
    if rest is None:
        return None
    if planned_test.when_known and kept.ended_at is None and kept.latest_at is not None:
        return kept.latest_at
    return scope.instant(rest.scheduled_time)


def _state(
    campaign: Occurrence, tested: Sequence[OccurrenceChannel], rest: OccurrenceChannel | None, winner: int | None
) -> TestState:
    if winner is not None:
        return TestState.DECIDED
    if campaign.state in FINAL_STATES:
        return TestState.CANCELED
    if rest is None or any(row.state == RunState.SCHEDULED for row in tested):
        return TestState.PLANNED
    return TestState.SENDING if any(row.state in OPEN for row in tested) else TestState.WAITING


def end_test(scope: Scope, campaign_id: int, body: EndedTest) -> TestStatus:
    """Let the rest of a group have the winner that a person names, or that the figures tell now.

    It follows as soon as the test itself is sent. Raises NotFound for the campaign or test, Invalid for a template that
    is no variant, Conflict when the winner is chosen, or the campaign is not waiting for its time or being sent.
    """
    group, channel_id = body.recipient_group_id, body.channel_id
    with scope.records() as session:
        campaign = locked(scope, session, campaign_id)
        _check(campaign, body)
        if body.template_id is not None:
            templates.template(scope, channel_id, body.template_id)
        rest_unit = winners.rest_of(scope, campaign, channel_id, group)
        rest = row_of(scope, session, rest_unit)
        if rest.state != RunState.SCHEDULED:
            raise Conflict(f"The winner of this A/B test of campaign {campaign_id} has already been chosen.")
        now = scope.clock.now()
        winners.keep(campaign, group, channel_id, ended_at=now, chosen=body.template_id)
        rest.scheduled_time = max(winners.tested_time(scope, session, rest_unit), wall_time(now, scope.time_zone))
        scope.audit(session, "end A/B test", f"campaign {campaign_id}", **body.model_dump())
    tasks.dispatch(scope)
    return next(
        status
        for status in tests_of(scope, occurrence(scope, campaign_id))
        if (status.recipient_group_id, status.channel_id) == (group, channel_id)
    )


def _check(campaign: Occurrence, body: EndedTest) -> None:
    """Raises NotFound for a test that there is not, Invalid for a template that is no variant of it, and Conflict."""
    planned_test = campaign.plan.ab_test(body.recipient_group_id, body.channel_id)
    if planned_test is None:
        place = f"recipient group {body.recipient_group_id} on channel {body.channel_id}"
        raise NotFound(f"Campaign {campaign.id} has no A/B test for {place}.")
    if body.template_id is not None and body.template_id not in planned_test.template_ids:
        raise Invalid(f"template_id must be one of the variants: {', '.join(map(str, planned_test.template_ids))}.")
    if campaign.state not in OPEN:
        raise Conflict(f"Campaign {campaign.id} is {campaign.state}: its A/B tests cannot be ended.")
