"""Management of series: campaigns as they are built."""

from datetime import date
from typing import Annotated, Literal

from fastapi import Depends, Path, Query
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.manage.marketing.campaigns import CampaignOut, OtherGoal, rendered_campaigns
from rapport.api.sections import CHANGES_NOTHING, SectionRouter
from rapport.campaigns import definitions
from rapport.campaigns.measurement import planned, series_results
from rapport.campaigns.measurement.power import Detectable
from rapport.campaigns.measurement.series_results import SeriesResults
from rapport.campaigns.models import Series
from rapport.campaigns.runs import by_hand, dry_runs
from rapport.campaigns.runs.dry_runs import DryRun
from rapport.campaigns.schemas import PlainGoal, SeriesBody, SeriesOut
from rapport.stores.parts import Part

router = SectionRouter("Management: campaigns", "/manage/v1/series", JsonRoute)
SeriesId = Annotated[int, Path(ge=1, le=2**31 - 1)]


class SeriesNew(SeriesBody):
    """A series to create."""

    status: Literal["active", "paused"] = Field(
        "active", description="paused: a draft, nothing runs until it is active"
    )


class SeriesMade(SeriesOut):
    """A series that was created, with the difference that its results can show, and after how long."""

    detectable: Detectable


class SeriesChange(SeriesBody):
    """The new content of a series, with the version that you read."""

    version: int = Field(ge=1, le=2**31 - 1, examples=[1])


class StatusChange(Body):
    """The new status of a series."""

    status: Literal["active", "paused", "archived"] = Field(examples=["paused"])


class NextRuns(BaseModel):
    """The days on which a series will run if nothing is changed."""

    execution_dates: list[date] = Field(examples=[["2026-03-16", "2026-03-23"]])


def rendered(scope: Scope, series: Series) -> SeriesOut:
    """A series for the answer; the list of a one-time campaign has target group 0."""
    more = {name: getattr(series, name) for name in ("id", "customer_list_id", "status", "version", "created_at")}
    return SeriesOut.model_validate(
        definitions.body_of(series) | more | {"warnings": definitions.series_warnings(scope, series)}
    )


@router.get("", summary="List series")
def list_series(
    status: Literal["active", "paused", "archived"] | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[SeriesOut]:
    """The tenant's series, by id."""
    whole = definitions.all_series(principal.scope, status)
    return Part.of(whole, limit, offset).each(lambda series: rendered(principal.scope, series))


@router.post("", status_code=201, summary="Create a series")
def create_series(body: SeriesNew, principal: Principal = Depends(admin)) -> SeriesMade:  # noqa: B008
    """Create a series; what it names (target groups, actions, channels, templates) must exist.

    An active series runs with the next daily cycle of its days. `warnings` lists likely mistakes; `detectable` says
    which difference one run, and a year of runs, can show with the current customers of the target group.
    """
    scope = principal.scope
    plain = SeriesBody.model_validate(body.model_dump(exclude={"status"}))
    series = definitions.create_series(scope, plain, body.status)
    return SeriesMade(**rendered(scope, series).model_dump(), detectable=planned.planned(scope, series))


@router.get("/{series_id}", summary="Get a series")
def get_series(series_id: SeriesId, principal: Principal = Depends(admin)) -> SeriesOut:  # noqa: B008
    """One series."""
    return rendered(principal.scope, definitions.series(principal.scope, series_id))


@router.get("/{series_id}/results", summary="Get results of a series over its runs")
def get_series_results(
    series_id: SeriesId,
    goal: OtherGoal = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> SeriesResults:
    """The effect of a series since it began: all complete runs combined, each compared within itself."""
    series = definitions.series(principal.scope, series_id)
    return series_results.series_results(principal.scope, series, goal and PlainGoal(kind=goal))


@router.put("/{series_id}", summary="Replace a series")
def update_series(
    series_id: SeriesId,
    body: SeriesChange,
    principal: Principal = Depends(admin),  # noqa: B008
) -> SeriesOut:
    """Replace a series; 409 when it was changed since the version that the body names."""
    plain = SeriesBody.model_validate(body.model_dump(exclude={"version"}))
    return rendered(principal.scope, definitions.update_series(principal.scope, series_id, plain, body.version))


@router.put("/{series_id}/status", summary="Activate, pause or archive a series")
def change_status(
    series_id: SeriesId,
    body: StatusChange,
    principal: Principal = Depends(admin),  # noqa: B008
) -> SeriesOut:
    """This does not affect runs that are already planned: cancel them."""
    return rendered(principal.scope, definitions.set_status(principal.scope, series_id, body.status))


@router.get("/{series_id}/next-runs", summary="Preview the next runs of a series")
def next_runs(
    series_id: SeriesId,
    count: Annotated[int, Query(ge=1, le=100)] = 10,
    principal: Principal = Depends(admin),  # noqa: B008
) -> NextRuns:
    """The next days on which a series runs, from today on."""
    return NextRuns(execution_dates=definitions.next_runs(principal.scope, series_id, count))


@router.post("/{series_id}/runs", status_code=201, summary="Run a series now")
def run_now(series_id: SeriesId, principal: Principal = Depends(admin)) -> CampaignOut:  # noqa: B008
    """Start an extra run of an active series with today's date; the campaign is processed in the background.

    409 for a series that is paused or archived, and for the series of a one-time campaign.
    """
    return rendered_campaigns(principal.scope, [by_hand.run_now(principal.scope, series_id)])[0]


@router.post("/{series_id}/dry-run", summary="Count the customers a series would reach", openapi_extra=CHANGES_NOTHING)
def dry_run_series(series_id: SeriesId, principal: Principal = Depends(admin)) -> DryRun:  # noqa: B008
    """Counts what a run would do today: how many customers each group would reach, and how many would be excluded and
    why. Nothing is planned or sent.
    """
    return dry_runs.dry_run(principal.scope, series_id)
