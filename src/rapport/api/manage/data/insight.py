"""Management of the model: lifecycle rules, value segments, what was fitted and how well it did."""

from datetime import date, datetime, timedelta
from typing import Any

from fastapi import Depends
from pydantic import BaseModel, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.campaigns import segment_names
from rapport.insight import forecasts, values
from rapport.insight import stages as insight_stages
from rapport.insight.estimation import fits

router = SectionRouter("Management: model", "/manage/v1", JsonRoute)

KINDS = "^(new|active|reactivated|churn|dormant)$"


class StageOut(BaseModel):
    """A lifecycle stage and the number of its rule."""

    id: int = Field(examples=[4])
    kind: str = Field(pattern=KINDS, examples=["churn"])
    name: str = Field(examples=["Churn"])
    days: int = Field(examples=[60], description="0 for Active, which has no number")


class StageIn(Body):
    """A change to a stage; members that are left out stay as they are."""

    kind: str = Field(pattern=KINDS, examples=["churn"])
    name: str | None = Field(None, min_length=1, max_length=100, examples=["Lapsed"])
    days: int | None = Field(None, examples=[90])


class ValueSegmentIn(Body):
    """A band of customers by future value."""

    name: str = Field(min_length=1, max_length=100, examples=["Top"])
    share: float = Field(gt=0, le=1, examples=[0.1], description="Its part of the customers")


class ValueSegmentOut(ValueSegmentIn):
    """A band with its ID; 1 is the most valuable."""

    id: int = Field(examples=[1])


class FitOut(BaseModel):
    """The fit of a model to the data of a date."""

    kind: str = Field(examples=["future value"])
    data_date: date
    fitted_at: datetime
    parameters: dict[str, Any]
    report: dict[str, Any] = Field(description="Sizes, likelihood and, for the future value, the back-test by stage")


class DecileOut(BaseModel):
    """A tenth of the customers by future value on the day of a forecast; there are fewer tenths if many values are
    equal.
    """

    decile: int = Field(examples=[1], description="1 the most valuable")
    customers: int
    expected: float = Field(description="Expected revenue in these days, less refunds")
    came: float = Field(description="Revenue of these days, less refunds")


class ForecastOut(BaseModel):
    """A Sunday's forecast, and the actual revenue of the days after it."""

    made_on: date = Field(description="Data date of the forecast")
    days: int = Field(examples=[91], description="28, 91, 182 or 364 days after it")
    until: date
    expected: float
    came: float
    ratio: float | None = Field(
        description="Expected revenue divided by actual revenue; above 1, the forecast was too high"
    )
    deciles: list[DecileOut]


def _forecast(forecast: Any) -> ForecastOut:
    expected, came = (sum(decile[name] for decile in forecast.deciles) for name in ("expected", "came"))
    return ForecastOut(
        made_on=forecast.made_on,
        days=forecast.days,
        until=forecast.made_on + timedelta(days=forecast.days),
        expected=round(expected, 2),
        came=round(came, 2),
        ratio=round(expected / came, 4) if came else None,
        deciles=[DecileOut.model_validate(decile) for decile in forecast.deciles],
    )


def _stages(principal: Principal) -> list[StageOut]:
    stages = insight_stages.stage_rules(principal.scope).stages.values()
    return [StageOut(id=stage.id, kind=stage.kind, name=stage.name, days=stage.days) for stage in stages]


@router.get("/lifecycle-stages", summary="List lifecycle stages and their rules")
def list_stages(principal: Principal = Depends(admin)) -> list[StageOut]:  # noqa: B008
    """The stages by id."""
    return _stages(principal)


@router.put("/lifecycle-stages", summary="Change lifecycle rules and names")
def change_stages(body: list[StageIn], principal: Principal = Depends(admin)) -> list[StageOut]:  # noqa: B008
    """Changes only the stages in the body; the next cycle applies the rules. Conditions refer to a stage by ID, so
    renaming it does not affect them.
    """
    days = {stage.kind: stage.days for stage in body if stage.days is not None and stage.kind != "active"}
    names = {stage.kind: stage.name for stage in body if stage.name is not None}
    segment_names.change_stages(principal.scope, days, names)
    return _stages(principal)


def _segments(principal: Principal) -> list[ValueSegmentOut]:
    segments = values.value_segments(principal.scope)
    return [ValueSegmentOut(id=segment.id, name=segment.name, share=segment.share) for segment in segments]


@router.get("/value-segments", summary="List value segments")
def list_value_segments(principal: Principal = Depends(admin)) -> list[ValueSegmentOut]:  # noqa: B008
    """All bands, the most valuable first."""
    return _segments(principal)


@router.put("/value-segments", summary="Define value segments")
def define_value_segments(
    body: list[ValueSegmentIn],
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[ValueSegmentOut]:
    """Replace all bands, the most valuable first; shares add up to 1; the next cycle applies them.

    Conditions refer to the position of a band, not to its name: 409 if one uses a band that would no longer exist.
    """
    segment_names.define_value_segments(principal.scope, [(segment.name, segment.share) for segment in body])
    return _segments(principal)


@router.get("/forecasts", summary="List forecasts of future value with actual revenue")
def list_forecasts(principal: Principal = Depends(admin)) -> list[ForecastOut]:  # noqa: B008
    """Every Sunday's forecasts for the next 28, 91, 182 and 364 days, once these have passed, newest first."""
    return [_forecast(forecast) for forecast in forecasts.met_forecasts(principal.scope)]


@router.get("/model-fits", summary="List the latest fit of each model")
def list_fits(principal: Principal = Depends(admin)) -> list[FitOut]:  # noqa: B008
    """Parameters, sizes and back-tests of the models that currently score customers."""
    return [FitOut.model_validate(fit, from_attributes=True) for fit in fits.newest_fits(principal.scope)]


@router.post("/model-fits/refit", status_code=202, summary="Refit every model in the next cycle")
def refit(principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """The next cycle fits all models to its data, whatever the age of the current fits."""
    fits.ask_for_refit(principal.scope)
