"""Management of triggered campaigns: what makes them go out, to whom, and what became of every firing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.manage.marketing.campaigns import OtherGoal
from rapport.api.sections import CHANGES_NOTHING, SectionRouter
from rapport.campaigns.measurement import planned, series_results
from rapport.campaigns.measurement.power import Detectable
from rapport.campaigns.measurement.series_results import SeriesResults
from rapport.campaigns.models import Series
from rapport.campaigns.schemas import PlainGoal
from rapport.campaigns.triggered import definitions, sentences
from rapport.campaigns.triggered.schemas import TriggeredBody, TriggeredOut
from rapport.realtime.matching import catalogue, dry_runs, trials
from rapport.realtime.matching import firings as realtime_firings
from rapport.realtime.matching.dry_runs import TriggerDryRun
from rapport.realtime.matching.trials import Trial
from rapport.stores.parts import Part

router = SectionRouter("Management: triggers", "/manage/v1/triggers", JsonRoute)
TriggerId = Annotated[int, Path(ge=1, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1)]
Text = Annotated[str, Query(max_length=310, pattern=r"^[^\x00]*$")]


class TriggeredNew(TriggeredBody):
    """A triggered campaign to create."""

    status: Literal["active", "paused"] = Field(
        "active", description="paused: a draft, nothing runs until it is active"
    )


class TriggeredMade(TriggeredOut):
    """A triggered campaign that was created, with the difference that its results can show, and after how long."""

    detectable: Detectable


class TriggeredChange(TriggeredBody):
    """The new content of a triggered campaign, with the version that you read."""

    version: int = Field(ge=1, le=2**31 - 1, examples=[1])


class TriggerStatus(Body):
    """The new status of a triggered campaign."""

    status: Literal["active", "paused", "archived"] = Field(examples=["paused"])


class GrantOut(BaseModel):
    """A tier of a promotion that granted rewards."""

    promotion_id: str = Field(examples=["spring"])
    promotion_tier_id: str = Field(examples=["high"])
    promo_code: str = Field(examples=["SPR-RELOAD"])


class FiringRewardsOut(BaseModel):
    """Rewards that promotions granted with a firing."""

    values: dict[str, str] = Field(description="By the key of the reward type", examples=[{"FREESPINS": "20"}])
    grants: list[GrantOut]


class FiringOut(BaseModel):
    """A firing with its outcome. recipient_group_id 0 is control; verdict is the gateway's answer, if it was asked."""

    model_config = ConfigDict(from_attributes=True)

    id: int = Field(examples=[4711])
    campaign_id: int
    customer_id: str = Field(description="The visitor ID if is_visitor", examples=["Q1001"])
    is_visitor: bool
    recipient_group_id: int
    state: str = Field(description="delayed, asking, sending, done or filed", examples=["done"])
    outcome: str = Field(examples=["sent"])
    reason: str
    verdict: dict[str, Any] | None
    rewards: FiringRewardsOut | None = Field(description="What promotions granted when it was let out")
    parameters: dict[str, Any]
    fired_at: datetime
    due_at: datetime | None
    finished_at: datetime | None


class TrialBody(Body):
    """An event to test a trigger with; nothing is stored or sent."""

    event: str = Field(min_length=1, max_length=255, examples=["add_to_cart"])
    parameters: dict[str, Any] = Field({}, examples=[{"amount": 80}])
    customer_id: str = Field("", max_length=255, pattern=r"^[^\x00]*$", examples=["Q1001"])
    visitor_id: str = Field("", max_length=255, pattern=r"^[^\x00]*$")


def rendered(scope: Scope, trigger: Series) -> TriggeredOut:
    """A triggered campaign for the answer."""
    return _rendered(scope, [trigger])[0]


def _rendered(scope: Scope, triggers: Sequence[Series]) -> list[TriggeredOut]:
    faults = catalogue.faults(scope, triggers)
    warnings = definitions.triggered_warnings(scope, triggers)
    return [_rendered_trigger(scope, trigger, faults.get(trigger.id, ""), warnings[trigger.id]) for trigger in triggers]


def _rendered_trigger(scope: Scope, trigger: Series, fault: str, warnings: list[str]) -> TriggeredOut:
    body = definitions.triggered_body(trigger)
    more = {name: getattr(trigger, name) for name in ("id", "status", "version", "created_at")}
    words = {"sentence": sentences.triggered_sentence(scope, body), "fault": fault, "warnings": warnings}
    return TriggeredOut.model_validate({**body.model_dump(), **more, **words})


@router.get("", summary="List triggered campaigns")
def list_triggers(
    status: Literal["active", "paused", "archived"] | None = None,
    limit: Limit = 100,
    offset: Offset = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[TriggeredOut]:
    """The tenant's triggered campaigns, by id."""
    scope = principal.scope
    triggers = Part.of(definitions.triggered(scope, status), limit, offset)
    return Part(_rendered(scope, triggers), triggers.total)


@router.post("", status_code=201, summary="Create a triggered campaign")
def create_trigger(body: TriggeredNew, principal: Principal = Depends(admin)) -> TriggeredMade:  # noqa: B008
    """Create a triggered campaign; the events, actions, channels and templates it names must exist.

    It is active at once, or paused as a draft, which can still be tested with events. `detectable` is based on the
    customers who had its event in the last 30 days.
    """
    scope = principal.scope
    plain = TriggeredBody.model_validate(body.model_dump(exclude={"status"}))
    trigger = definitions.create_triggered(scope, plain, body.status)
    return TriggeredMade(**rendered(scope, trigger).model_dump(), detectable=planned.planned_trigger(scope, trigger))


@router.get("/{trigger_id}", summary="Get a triggered campaign")
def get_trigger(trigger_id: TriggerId, principal: Principal = Depends(admin)) -> TriggeredOut:  # noqa: B008
    """One triggered campaign, with its trigger in words."""
    return rendered(principal.scope, definitions.triggered_series(principal.scope, trigger_id))


@router.put("/{trigger_id}", summary="Replace a triggered campaign")
def update_trigger(
    trigger_id: TriggerId,
    body: TriggeredChange,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TriggeredOut:
    """Replace a triggered campaign; 409 when it was changed since the version that the body names."""
    plain = TriggeredBody.model_validate(body.model_dump(exclude={"version"}))
    return rendered(principal.scope, definitions.update_triggered(principal.scope, trigger_id, plain, body.version))


@router.put("/{trigger_id}/status", summary="Activate, pause or archive a triggered campaign")
def change_trigger_status(
    trigger_id: TriggerId,
    body: TriggerStatus,
    principal: Principal = Depends(admin),  # noqa: B008
) -> TriggeredOut:
    """Firings that are being sent are still sent; open sequences of a campaign that is not active end without
    firing.
    """
    return rendered(principal.scope, definitions.set_triggered_status(principal.scope, trigger_id, body.status))


@router.get("/{trigger_id}/results", summary="Get results of a triggered campaign over its days")
def get_trigger_results(
    trigger_id: TriggerId,
    goal: OtherGoal = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> SeriesResults:
    """The effect of a triggered campaign since it began: each customer counts once, from the first firing on."""
    trigger = definitions.triggered_series(principal.scope, trigger_id)
    return series_results.series_results(principal.scope, trigger, goal and PlainGoal(kind=goal))


@router.get("/{trigger_id}/firings", summary="List the firings of a triggered campaign")
def list_firings(
    trigger_id: TriggerId,
    outcome: Text = "",
    customer_id: Text = "",
    campaign_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Limit = 100,
    offset: Offset = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[FiringOut]:
    """Firings, newest first, with outcome and reason."""
    scope = principal.scope
    definitions.triggered_series(scope, trigger_id)
    firings = realtime_firings.firings(
        scope, trigger_id, limit, offset, outcome=outcome, campaign_id=campaign_id, person=customer_id.lower()
    )
    return firings.each(FiringOut.model_validate)


@router.post("/{trigger_id}/test", summary="Test a triggered campaign with an event", openapi_extra=CHANGES_NOTHING)
def try_trigger(trigger_id: TriggerId, body: TrialBody, principal: Principal = Depends(admin)) -> Trial:  # noqa: B008
    """Shows what the event would do: whether it matches, whether the customer meets the conditions, and which rule
    would exclude the customer.
    """
    return trials.try_event(principal.scope, trigger_id, body.event, body.parameters, body.customer_id, body.visitor_id)


@router.post(
    "/{trigger_id}/dry-run",
    summary="Count the customers a triggered campaign could reach",
    openapi_extra=CHANGES_NOTHING,
)
def dry_run_trigger(trigger_id: TriggerId, principal: Principal = Depends(admin)) -> TriggerDryRun:  # noqa: B008
    """Assumes that everybody who meets its conditions meets the trigger now, and counts how many each group would
    reach, and how many would be excluded and why.

    Nothing is stored or sent, and the gateway is not asked. For large tenants, an even sample is counted.
    """
    return dry_runs.dry_run(principal.scope, trigger_id)
