"""Management of daily cycles: run one, see what they did."""

from datetime import date, datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.campaigns.cycle import cycles, daily
from rapport.campaigns.schemas import Day

router = SectionRouter("Management: campaigns", "/manage/v1/cycles", JsonRoute)


class Step(BaseModel):
    """A finished step."""

    name: str = Field(examples=["features"])
    seconds: float = Field(examples=[1.2])


class CycleOut(BaseModel):
    """A cycle of a data date; the runs of a date are numbered from 0."""

    model_config = ConfigDict(from_attributes=True)

    data_date: date
    run: int
    state: str = Field(examples=["finished"])
    steps: list[Step]
    error: str
    started_at: datetime
    finished_at: datetime | None


class CycleIn(Body):
    """A cycle to run."""

    data_date: Day = Field(examples=["2026-03-09"], description="A day that is over")


@router.get("", summary="List daily cycles")
def list_cycles(
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[CycleOut]:
    """Cycles, the newest date first."""
    return cycles.cycles(principal.scope, limit, offset).each(CycleOut.model_validate)


@router.post("", status_code=201, summary="Run a daily cycle")
def start_cycle(body: CycleIn, principal: Principal = Depends(admin)) -> CycleOut:  # noqa: B008
    """Start the cycle of a date in the background. A finished date is computed again; its campaigns stay as
    they are.
    """
    daily.start_cycle(principal.scope, body.data_date)
    return CycleOut.model_validate(cycles.row(principal.scope, body.data_date))


@router.get("/{data_date}", summary="Get the last cycle of a date")
def get_cycle(data_date: date, principal: Principal = Depends(admin)) -> CycleOut:  # noqa: B008
    """The last run of a date's cycle."""
    return CycleOut.model_validate(cycles.row(principal.scope, data_date))
