"""Management of journeys: what they are, who is in them, and what happens there."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.access.scope import Scope
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.audiences import lists
from rapport.journeys import checking, definitions, effect, reading, testing
from rapport.journeys.effect import JourneyEffect
from rapport.journeys.models import Journey, JourneyMember
from rapport.journeys.schemas import JourneyBody, JourneyOut, StepId
from rapport.journeys.states import JourneyStatus, MemberState
from rapport.journeys.testing import JourneyTestStatus

router = SectionRouter("Management: journeys", "/manage/v1/journeys", JsonRoute)
JourneyId = Annotated[int, Path(ge=1, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1)]
MOST_UNKNOWN = 100
CustomerId = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$", examples=["Q1001"])]


class JourneyNew(JourneyBody):
    """A journey to create."""

    status: Literal["active", "paused"] = Field("active", description="paused: a draft that takes nobody in")


class JourneyChange(JourneyBody):
    """The new definition of a journey, with the version that you read."""

    version: int = Field(ge=1, le=2**31 - 1, examples=[1])


class JourneyStatusBody(Body):
    """The new status of a journey."""

    status: JourneyStatus = Field(examples=["paused"])


class MembersNew(Body):
    """Customers to bring into a journey."""

    customer_ids: list[CustomerId] = Field(min_length=1, max_length=10_000)
    key: str = Field("", max_length=100, description="The same call with the same key brings nobody in twice")


class MembersMove(Body):
    """Where customers of older versions are to stand in the newest one."""

    steps: dict[StepId, StepId] = Field({}, max_length=100, description="New IDs of steps, by the old ones")


class MemberCount(BaseModel):
    """How many customers a call brought in, or moved."""

    customers: int


class MembersAdded(MemberCount):
    """How many customers a call brought in, and the first of those of whom Rapport has no data."""

    unknown: list[str] = Field(
        description="At most 100 of the IDs for which Rapport has no data yet. These customers come in, but messages "
        "reach them only after their data are loaded",
        examples=[["Q1O01"]],
    )


class MemberOut(BaseModel):
    """A customer who came into a journey."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    customer_id: str
    version: int
    state: MemberState
    step: str = Field(description="Where the customer stands or ended; empty before the first step")
    since: datetime = Field(description="When the step was reached")
    due_at: datetime | None = Field(description="When the wait is over at the latest")
    entered_at: datetime
    ended_at: datetime | None
    ending: str
    reason: str
    sentence: str = ""


class StepTakenOut(BaseModel):
    """A step that a customer reached, and where it led."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    step: str
    at: datetime
    result: str
    outcome: str = Field(description="Of its message, or the state of the message until it has one; kept for 30 days")
    reason: str = Field(description="Why the message was not sent, or is not yet")


class WayOut(MemberOut):
    """One customer's way through a journey."""

    steps: list[StepTakenOut]


class StepNumbersOut(BaseModel):
    """How many customers reached a step, stand on it, and ended there; results counts where it led."""

    model_config = ConfigDict(from_attributes=True)

    step: str
    reached: int
    customers: int
    standing: int
    ended: int
    results: dict[str, int]
    test: JourneyTestStatus | None = Field(None, description="Of a step of the kind test: that of the newest version")


class JourneyNumbersOut(BaseModel):
    """How many customers came into a journey, and what became of them."""

    model_config = ConfigDict(from_attributes=True)

    entered: int
    active: int
    held_out: int
    endings: dict[str, int]
    steps: list[StepNumbersOut]


def _rendered(scope: Scope, stored: Journey, body: JourneyBody) -> JourneyOut:
    more = {name: getattr(stored, name) for name in ("id", "status", "version", "created_at")}
    return JourneyOut.model_validate({**body.model_dump(), **more, "warnings": checking.warnings(scope, body)})


def _member(scope: Scope, member: JourneyMember) -> MemberOut:
    rendered = MemberOut.model_validate(member)
    return rendered.model_copy(update={"sentence": reading.words(scope, member)})


@router.get("", summary="List journeys")
def list_journeys(
    status: JourneyStatus | None = None,
    limit: Limit = 100,
    offset: Offset = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[JourneyOut]:
    """The tenant's journeys with their newest definitions, by ID."""
    scope = principal.scope
    return definitions.journeys(scope, status, limit, offset).each(lambda stored: _rendered(scope, *stored))


@router.post("", status_code=201, summary="Create a journey")
def create_journey(body: JourneyNew, principal: Principal = Depends(admin)) -> JourneyOut:  # noqa: B008
    """Create a journey. Whatever it names must exist, every step must be reachable, and every circle must wait."""
    plain = JourneyBody.model_validate(body.model_dump(exclude={"status"}))
    stored = definitions.create_journey(principal.scope, plain, JourneyStatus(body.status))
    return _rendered(principal.scope, *definitions.journey(principal.scope, stored.id))


@router.get("/{journey_id}", summary="Get a journey")
def get_journey(journey_id: JourneyId, principal: Principal = Depends(admin)) -> JourneyOut:  # noqa: B008
    """One journey with its newest definition."""
    return _rendered(principal.scope, *definitions.journey(principal.scope, journey_id))


@router.put("/{journey_id}", summary="Replace a journey")
def update_journey(
    journey_id: JourneyId,
    body: JourneyChange,
    principal: Principal = Depends(admin),  # noqa: B008
) -> JourneyOut:
    """Replace a journey by a new version; customers finish the version in which they are. 409 when it was changed
    since the version that the body names.
    """
    plain = JourneyBody.model_validate(body.model_dump(exclude={"version"}))
    definitions.update_journey(principal.scope, journey_id, plain, body.version)
    return _rendered(principal.scope, *definitions.journey(principal.scope, journey_id))


@router.put("/{journey_id}/status", summary="Activate, pause, drain or archive a journey")
def change_journey_status(
    journey_id: JourneyId,
    body: JourneyStatusBody,
    principal: Principal = Depends(admin),  # noqa: B008
) -> JourneyOut:
    """paused: nobody comes in or goes on. draining: nobody comes in, the others finish. archived: it ends for all."""
    definitions.set_status(principal.scope, journey_id, body.status)
    return _rendered(principal.scope, *definitions.journey(principal.scope, journey_id))


@router.post("/{journey_id}/members", summary="Bring customers into a journey")
def add_journey_members(
    journey_id: JourneyId,
    body: MembersNew,
    principal: Principal = Depends(admin),  # noqa: B008
) -> MembersAdded:
    """Customers who are in the journey, or may not come in again, are left out."""
    # First, so that a warehouse that is away leaves nobody half brought in.
    unknown = lists.unknown_customers(principal.scope, body.customer_ids, MOST_UNKNOWN)
    entered = definitions.add_members(principal.scope, journey_id, body.customer_ids, body.key)
    return MembersAdded(customers=entered, unknown=unknown)


@router.post("/{journey_id}/move", summary="Move customers to the newest version of a journey")
def move_journey_members(
    journey_id: JourneyId,
    body: MembersMove,
    principal: Principal = Depends(admin),  # noqa: B008
) -> MemberCount:
    """Customers stay on the step of the same ID, or go to the one that `steps` names; others finish their version."""
    return MemberCount(customers=definitions.move_members(principal.scope, journey_id, body.steps))


@router.get("/{journey_id}/results", summary="Get what happens in a journey")
def get_journey_results(
    journey_id: JourneyId,
    principal: Principal = Depends(admin),  # noqa: B008
) -> JourneyNumbersOut:
    """How many customers came in, reached each step, stand there, and how they ended. The steps are in the order of the
    newest version; those that only older versions have come last.
    """
    scope = principal.scope
    stored, body = definitions.journey(scope, journey_id)
    numbers = JourneyNumbersOut.model_validate(reading.numbers(scope, journey_id, [step.id for step in body.steps]))
    tests = testing.statuses(scope, journey_id, stored.version, body)
    steps = [step.model_copy(update={"test": tests.get(step.step)}) for step in numbers.steps]
    return numbers.model_copy(update={"steps": steps})


@router.get("/{journey_id}/effect", summary="Compare a journey with its hold-out")
def get_journey_effect(
    journey_id: JourneyId,
    days: Annotated[int, Query(ge=1, le=365, description="Days after a customer came in")] = 30,
    principal: Principal = Depends(admin),  # noqa: B008
) -> JourneyEffect:
    """How many of the customers in a journey ordered within `days` after they came in, and what they spent, against
    those who are kept out of it; `curve` says the same of shorter times. Only customers of versions with a hold-out
    count, each from the first time that the customer came in.
    """
    definitions.journey(principal.scope, journey_id)
    return effect.journey_effect(principal.scope, journey_id, days)


@router.get("/{journey_id}/members", summary="List the customers of a journey")
def list_journey_members(
    journey_id: JourneyId,
    customer_id: Annotated[str, Query(max_length=255, pattern=r"^[^\x00]*$")] = "",
    step: Annotated[str, Query(max_length=40, pattern=r"^[^\x00]*$", description="Only those who stand on it")] = "",
    state: MemberState | None = None,
    limit: Limit = 100,
    offset: Offset = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[MemberOut]:
    """Those who came in, the newest first; `step` asks for those who stand on it."""
    scope = principal.scope
    definitions.journey(scope, journey_id)
    page = reading.members(scope, journey_id, limit, offset, customer_id=customer_id, step=step, state=state)
    return page.each(lambda member: _member(scope, member))


@router.get("/{journey_id}/members/{member_id}", summary="Get one customer's way through a journey")
def get_journey_member(
    journey_id: JourneyId,
    member_id: Annotated[int, Path(ge=1, le=2**63 - 1)],
    principal: Principal = Depends(admin),  # noqa: B008
) -> WayOut:
    """The steps that the customer reached, where each led, and where the customer stands."""
    way = reading.way(principal.scope, journey_id, member_id)
    steps = [StepTakenOut.model_validate(step) for step in way.steps]
    return WayOut(**_member(principal.scope, way.member).model_dump(), steps=steps)
