"""What happens in a journey: how many customers reached each step and stand on it, how they ended, and one's way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text

from rapport.access.scope import Scope
from rapport.errors import NotFound
from rapport.journeys.models import JourneyMember, JourneyStepTaken
from rapport.journeys.states import MemberState
from rapport.realtime.matching import firings
from rapport.stores.parts import Part, part

STEPS = text(f"""
    SELECT taken.step, count(*) AS reached, count(DISTINCT member.person) AS customers,
        count(*) FILTER (
            WHERE member.state = '{MemberState.ACTIVE}' AND member.taken = taken.number
        ) AS standing,
        count(*) FILTER (
            WHERE member.state = '{MemberState.ENDED}' AND member.taken = taken.number
        ) AS ended
    FROM journey_steps_taken AS taken
    JOIN journey_members AS member ON member.id = taken.member_id AND member.tenant_id = taken.tenant_id
    WHERE taken.tenant_id = :tenant_id AND taken.journey_id = :journey_id
    GROUP BY taken.step
""")  # noqa: S608 - ours
RESULTS = text("""
    SELECT step, result, count(*) FROM journey_steps_taken
    WHERE tenant_id = :tenant_id AND journey_id = :journey_id AND result <> ''
    GROUP BY step, result ORDER BY step, result
""")


@dataclass(frozen=True)
class StepNumbers:
    """How often a step was reached, by how many customers; how many stand on it, and how many ended there.

    results counts where it led: branches, the event or the time of a wait.
    """

    step: str
    reached: int
    customers: int
    standing: int
    ended: int
    results: dict[str, int]


@dataclass(frozen=True)
class JourneyNumbers:
    """How many customers came in, by what became of them, and the steps."""

    entered: int
    active: int
    held_out: int
    endings: dict[str, int]
    steps: list[StepNumbers]


def numbers(scope: Scope, journey_id: int, step_ids: Sequence[str] = ()) -> JourneyNumbers:
    """What happens in a journey, over all of its versions: the steps of step_ids in this order, then all others."""
    parameters = {"tenant_id": scope.tenant_id, "journey_id": journey_id}
    of_journey = (JourneyMember.tenant_id == scope.tenant_id, JourneyMember.journey_id == journey_id)
    counted = select(JourneyMember.state, JourneyMember.ending, func.count()).where(*of_journey)
    with scope.reads() as session:
        states = session.execute(counted.group_by(JourneyMember.state, JourneyMember.ending)).all()
        results: dict[str, dict[str, int]] = {}
        for step, result, count in session.execute(RESULTS, parameters):
            results.setdefault(step, {})[result] = int(count)
        steps = {
            row.step: StepNumbers(
                row.step, row.reached, row.customers, row.standing, row.ended, results.get(row.step, {})
            )
            for row in session.execute(STEPS, parameters)
        }
    for step_id in step_ids:
        steps.setdefault(step_id, StepNumbers(step_id, 0, 0, 0, 0, {}))
    places = {step_id: place for place, step_id in enumerate(step_ids)}
    return JourneyNumbers(
        entered=sum(count for _, _, count in states),
        active=sum(count for state, _, count in states if state is MemberState.ACTIVE),
        held_out=sum(count for state, _, count in states if state is MemberState.HELD_OUT),
        endings={ending: count for state, ending, count in states if state is MemberState.ENDED},
        steps=sorted(steps.values(), key=lambda step: (places.get(step.step, len(places)), step.step)),
    )


def members(
    scope: Scope,
    journey_id: int,
    limit: int,
    offset: int,
    *,
    customer_id: str = "",
    step: str = "",
    state: MemberState | None = None,
) -> Part[JourneyMember]:
    """Those who came into a journey, the newest first."""
    query = select(JourneyMember).where(
        JourneyMember.tenant_id == scope.tenant_id, JourneyMember.journey_id == journey_id
    )
    if customer_id:
        query = query.where(JourneyMember.person == customer_id.lower())
    if step:
        query = query.where(JourneyMember.step == step, JourneyMember.state == MemberState.ACTIVE)
    if state is not None:
        query = query.where(JourneyMember.state == state)
    with scope.reads() as session:
        return part(session, query.order_by(JourneyMember.id.desc()), limit, offset)


@dataclass(frozen=True)
class WayStep:
    """A step that a customer reached, and where it led.

    outcome and reason are those of its message, or its state until it has one; empty once firings are not kept.
    """

    number: int
    step: str
    at: datetime
    result: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class WayTaken:
    """One customer's way: who, and the steps in order."""

    member: JourneyMember
    steps: list[WayStep]


def way(scope: Scope, journey_id: int, member_id: int) -> WayTaken:
    """One customer's way through a journey. Raises NotFound."""
    steps = select(JourneyStepTaken).where(
        JourneyStepTaken.tenant_id == scope.tenant_id, JourneyStepTaken.member_id == member_id
    )
    with scope.reads() as session:
        member = session.get(JourneyMember, member_id)
        if member is None or (member.tenant_id, member.journey_id) != (scope.tenant_id, journey_id):
            raise NotFound(f"Journey {journey_id} has no member {member_id}.")
        taken = list(session.scalars(steps.order_by(JourneyStepTaken.number)))
    fired = {
        firing.event_key: (firing.outcome or firing.state, firing.reason)
        for firing in firings.fired_for(scope, member.person, member.firing_key())
    }
    return WayTaken(
        member,
        [
            WayStep(step.number, step.step, step.at, step.result, *fired.get(member.firing_key(step.number), ("", "")))
            for step in taken
        ],
    )


def words(scope: Scope, member: JourneyMember) -> str:
    """Why a customer stands where it stands, in a sentence; times are the tenant's."""
    if member.state is MemberState.HELD_OUT:
        return "The customer is kept out of the journey, to compare with."
    if member.state is MemberState.ENDED:
        return f"The journey ended: {member.ending}{f', {member.reason}' if member.reason else ''}."
    if not member.step:
        return "The customer is about to take the first step."
    if member.due_at is not None and member.due_at <= scope.clock.now():
        return f"The wait on step {member.step} is over; the customer goes on as soon as the journey moves on."
    until = f" until {member.due_at.astimezone(scope.time_zone):%Y-%m-%d %H:%M}" if member.due_at else ""
    return f"The customer waits on step {member.step}{until}."
