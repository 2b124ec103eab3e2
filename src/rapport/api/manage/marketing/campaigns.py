"""Management of campaigns: the runs of series, what became of everybody, results."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.campaigns import occurrences as campaign_occurrences
from rapport.campaigns.delivery import completion, quiet_hours
from rapport.campaigns.measurement import results
from rapport.campaigns.measurement.results import Results
from rapport.campaigns.models import Occurrence
from rapport.campaigns.runs import by_hand, explanations, pausing, testing
from rapport.campaigns.runs import clearance as campaign_clearance
from rapport.campaigns.runs.clearance import Clearance
from rapport.campaigns.runs.explanations import Answer, CustomerOutcome
from rapport.campaigns.runs.testing import EndedTest, TestStatus
from rapport.campaigns.schemas import OneTimeBody, PlainGoal
from rapport.campaigns.states import Portion
from rapport.delivery.returns.link_clicks import FollowedLink, followed_links
from rapport.messaging.tracking.tokens import SentFor
from rapport.stores.parts import Part

router = SectionRouter("Management: campaigns", "/manage/v1/campaigns", JsonRoute)
CampaignId = Annotated[int, Path(ge=1, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1)]
OtherGoal = Annotated[
    Literal["orders", "value"] | None,
    Query(description="Show who ordered (orders), or what was spent (value), instead of the goal of the series"),
]
Text = Annotated[str, Query(max_length=255, pattern=r"^[^\x00]*$")]


class CampaignOut(BaseModel):
    """A campaign: one run of a series. A unit is a customer on a channel; at the end, counts adds up to targeted."""

    model_config = ConfigDict(from_attributes=True)

    id: int = Field(examples=[17])
    series_id: int
    name: str = Field(examples=["Win back: lapsed buyers"], description="The name of its series when it was planned")
    execution_date: date = Field(description="The day of processing")
    send_date: date = Field(description="The send day, lead_time days later: the execution date on the wire")
    run: int = Field(description="0 for the planned run of the day, 1, 2 and so on for extra ones")
    state: str = Field(examples=["scheduled"])
    error: str
    target_group_id: int
    campaign_type: str = Field(examples=["Test/Control"])
    duration: int
    lead_time: int
    notes: str
    tags: list[str]
    is_multi_channel: bool
    is_recurrence: bool
    is_one_time: bool
    is_triggered: bool = Field(description="Whether it is a day of a triggered campaign, see /manage/v1/triggers")
    conditional: bool
    targeted: int
    test_size: int
    control_size: int
    counts: dict[str, int] = Field(examples=[{"sent": 890, "control": 100, "failed": 10}])
    clearance_by: datetime | None = Field(description="Deadline of approval; conditional campaigns only")
    cleared_at: datetime | None = Field(description="When the approval was decided")
    processed_at: datetime | None
    confirmed_at: datetime | None = Field(description="When a person confirmed it after the blast guard had stopped it")
    handed_over_at: datetime | None = Field(description="When the lists of external channels were handed over")
    executed_at: datetime | None = Field(description="When the first channel was handed over or sent (event 1)")
    paused_at: datetime | None = Field(description="Since when it is paused; null unless it is paused")
    resumed_at: datetime | None = Field(description="When it was last resumed after a pause")
    canceled_at: datetime | None
    finished_at: datetime | None
    quiet_until: datetime | None = Field(
        None, description="The end of the quiet hours, if messages wait for it; null otherwise"
    )


# What the answer calls portions.
PORTIONS: dict[Any, str] = {Portion.WHOLE: "all", Portion.TEST: "test", Portion.REST: "rest"}


class CampaignChannelOut(BaseModel):
    """What a recipient group gets on a channel; scheduled_time is tenant wall-clock time."""

    model_config = ConfigDict(from_attributes=True)

    recipient_group_id: int
    channel_id: int
    template_id: int = Field(description="0 for the rest of an A/B test, until the winner is chosen")
    portion: Annotated[
        Literal["all", "test", "rest"], BeforeValidator(lambda portion: PORTIONS.get(portion, portion))
    ] = Field(description="all: without an A/B test; test: recipients who take part in the test; rest: the others")
    action_id: int
    promo_code: str
    scheduled_time: datetime
    send_id: str
    recipients: int
    own_times: bool = Field(
        description="Whether customers have individual send times; scheduled_time is the first of them"
    )
    waits_until: datetime | None = Field(
        description="The next individual send time for which the channel waits; null if it waits for none"
    )
    state: str
    error: str


class ReasonOut(BaseModel):
    """Units by channel (0: none), outcome and reason."""

    channel_id: int
    outcome: str = Field(examples=["excluded"])
    reason: str = Field(examples=["in a running campaign"])
    units: int


class CampaignDetail(CampaignOut):
    """A campaign with its channels and the outcomes so far."""

    channels: list[CampaignChannelOut]
    reasons: list[ReasonOut]
    clearance: Clearance | None = Field(description="State of the approval; conditional campaigns only")
    ab_tests: list[TestStatus] = Field(description="Its A/B tests, by recipient group and channel")


def rendered_campaigns(scope: Scope, campaigns: Sequence[Occurrence]) -> list[CampaignOut]:
    """Campaigns as they are answered, in their order."""
    quiet_until = quiet_hours.held_until(scope, campaigns)
    answers = [CampaignOut.model_validate(campaign) for campaign in campaigns]
    return [answer.model_copy(update={"quiet_until": quiet_until.get(answer.id)}) for answer in answers]


@router.get("", summary="List campaigns")
def list_campaigns(
    series_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    state: Annotated[str | None, Query(max_length=30, pattern=r"^[a-z ]*$")] = None,
    execution_date: date | None = None,
    first: Annotated[date | None, Query(description="Processed on this day or later")] = None,
    last: Annotated[date | None, Query(description="Processed on this day or before")] = None,
    limit: Limit = 100,
    offset: Offset = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[CampaignOut]:
    """Campaigns, newest first."""
    occurrences = campaign_occurrences.occurrences(
        principal.scope, series_id, state, execution_date, limit, offset, first, last
    )
    return Part(rendered_campaigns(principal.scope, occurrences), occurrences.total)


@router.post("/one-time", status_code=201, summary="Run an action on a list of customers")
def one_time(body: OneTimeBody, principal: Principal = Depends(admin)) -> CampaignOut:  # noqa: B008
    """Start a one-time campaign; unknown customers get the outcome excluded."""
    return rendered_campaigns(principal.scope, [by_hand.one_time(principal.scope, body)])[0]


@router.get("/{campaign_id}", summary="Get a campaign")
def get_campaign(campaign_id: CampaignId, principal: Principal = Depends(admin)) -> CampaignDetail:  # noqa: B008
    """A campaign with its channels and its current counts."""
    scope = principal.scope
    campaign = campaign_occurrences.occurrence(scope, campaign_id)
    data: dict[str, Any] = rendered_campaigns(scope, [campaign])[0].model_dump()
    data["counts"] = completion.counts_of(scope, campaign)
    channels = [
        CampaignChannelOut.model_validate(row).model_dump()
        for row in campaign_occurrences.channel_rows(scope, campaign_id)
    ]
    data["clearance"] = (
        campaign_clearance.clearance(scope, campaign_id) if campaign.conditional and not campaign.is_triggered else None
    )
    reasons, ab_tests = explanations.reason_counts(scope, campaign_id), testing.tests_of(scope, campaign)
    return CampaignDetail(**data, channels=channels, reasons=reasons, ab_tests=ab_tests)


@router.get("/{campaign_id}/clearance", summary="Get the approval status of a conditional campaign")
def get_clearance(campaign_id: CampaignId, principal: Principal = Depends(admin)) -> Clearance:  # noqa: B008
    """The deadline, and how many customers have been approved, refused and not reported so far; 409 if the campaign
    is not conditional.
    """
    return campaign_clearance.clearance(principal.scope, campaign_id)


@router.get("/{campaign_id}/outcomes", summary="List the outcomes of a campaign's customers")
def list_outcomes(
    campaign_id: CampaignId,
    outcome: Text = "",
    limit: Limit = 1000,
    offset: Offset = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[CustomerOutcome]:
    """Outcomes by customer and channel; `outcome` selects one kind."""
    return explanations.outcome_rows(principal.scope, campaign_id, outcome, limit=limit, offset=offset)


@router.get(
    "/{campaign_id}/customers/{customer_id:path}", summary="Explain why a customer did or did not get a campaign"
)
def why(
    campaign_id: CampaignId,
    customer_id: Annotated[str, Path(min_length=1, max_length=255, pattern=r"^[^\x00]+$")],
    principal: Principal = Depends(admin),  # noqa: B008
) -> Answer:
    """The customer's group, the outcome, and an explanation in words."""
    return explanations.why(principal.scope, campaign_id, customer_id)


@router.get("/{campaign_id}/results", summary="Get results against control")
def get_results(
    campaign_id: CampaignId,
    goal: OtherGoal = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> Results:
    """Every recipient group against control over the measurement window so far; 409 before execution."""
    return results.results(principal.scope, campaign_id, goal and PlainGoal(kind=goal))


@router.get("/{campaign_id}/links", summary="List the links that were followed in a campaign's mail")
def list_links(campaign_id: CampaignId, principal: Principal = Depends(admin)) -> list[FollowedLink]:  # noqa: B008
    """How often each tracked link was followed, the most followed first.

    Repeated clicks of one customer count each time; clicks of scanners and proxies are counted separately. A link with
    placeholders is shown as it is in the template.
    """
    campaign_occurrences.occurrence(principal.scope, campaign_id)
    return followed_links(principal.scope, SentFor.CAMPAIGN, campaign_id)


@router.post("/{campaign_id}/cancel", summary="Cancel a campaign")
def cancel(campaign_id: CampaignId, principal: Principal = Depends(admin)) -> CampaignOut:  # noqa: B008
    """Stop a campaign: messages that have not been sent are skipped; 409 if the campaign has ended."""
    return rendered_campaigns(principal.scope, [by_hand.cancel(principal.scope, campaign_id)])[0]


@router.post("/{campaign_id}/pause", summary="Pause the sending of a campaign")
def pause_sending(campaign_id: CampaignId, principal: Principal = Depends(admin)) -> CampaignOut:  # noqa: B008
    """No more of its messages leave; those already on their way to the mail server still arrive. Lists of external
    channels are not held back. 409 if the campaign is neither scheduled nor being sent.
    """
    return rendered_campaigns(principal.scope, [pausing.pause(principal.scope, campaign_id)])[0]


@router.post("/{campaign_id}/resume", summary="Resume the sending of a campaign")
def resume_sending(campaign_id: CampaignId, principal: Principal = Depends(admin)) -> CampaignOut:  # noqa: B008
    """Send the rest of a paused campaign, beginning within a minute. Nobody gets a message twice. 409 if the campaign
    is not paused.
    """
    return rendered_campaigns(principal.scope, [pausing.resume(principal.scope, campaign_id)])[0]


@router.post("/{campaign_id}/ab-test", summary="End an A/B test early")
def end_test(campaign_id: CampaignId, body: EndedTest, principal: Principal = Depends(admin)) -> TestStatus:  # noqa: B008
    """Choose the winner of an A/B test yourself, or let Rapport choose it now, by the figures so far. The rest is sent
    within a minute or, if the test is still being sent, directly after it. 409 if the winner has already been chosen,
    or if the campaign has ended.
    """
    return testing.end_test(principal.scope, campaign_id, body)


@router.post("/{campaign_id}/confirm", summary="Confirm a campaign that the blast guard stopped")
def confirm(campaign_id: CampaignId, principal: Principal = Depends(admin)) -> CampaignOut:  # noqa: B008
    """Continue a campaign; 409 if it does not await confirmation. The campaign's error says why it was stopped."""
    return rendered_campaigns(principal.scope, [by_hand.confirm(principal.scope, campaign_id)])[0]
