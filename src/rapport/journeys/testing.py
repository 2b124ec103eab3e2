"""What the branches of a test inside a journey brought so far: customers, each over the same time after the step."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.measurement.clicks import clickers
from rapport.campaigns.measurement.responses import Response, summed
from rapport.campaigns.measurement.variants import Standings, standings
from rapport.journeys.models import JourneyTest
from rapport.journeys.purchases import AT_ONCE, Begun, lot_of
from rapport.journeys.schemas import JourneyBody, MessageStep, TestStep
from rapport.journeys.states import DecisionGround, TestMetric
from rapport.journeys.walking import DRAWN

# The customers who count; a test that knows nothing after so many has branches that are as good as alike.
MOST = 200_000
# Everybody counts once, from the first time that the customer took the step; whoever followed a winner does not.
TAKEN = text(f"""
    SELECT customer_id, person, branch, at
    FROM (
        SELECT DISTINCT ON (member.person) member.customer_id, member.person, taken.at,
            CAST(substr(taken.result, {len(DRAWN) + 2}) AS int) AS branch
        FROM journey_steps_taken AS taken
        JOIN journey_members AS member ON member.tenant_id = taken.tenant_id AND member.id = taken.member_id
        WHERE taken.tenant_id = :tenant_id AND taken.journey_id = :journey_id AND taken.version = :version
            AND taken.step = :step AND taken.result LIKE '{DRAWN} %'
        ORDER BY member.person, taken.at, taken.member_id, taken.number
    ) AS first
    ORDER BY at, person LIMIT {MOST}
""")  # noqa: S608 - ours


@dataclass(frozen=True)
class BranchFigures:
    """A branch: how many customers drew it, those of them whose time is over (measured), how many of these clicked or
    ordered (responders), and what they spent, in the tenant's currency; None if clicks decide.

    rate is the share of responders, or money per customer, in which the few largest amounts are capped. difference is
    what lies between it and that of the best branch, with the interval at all times; None for the best branch, and
    while there is too little to tell.
    """

    branch: int
    customers: int
    measured: int
    responders: int
    value: float | None
    rate: float
    difference: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class JourneyTestStatus:
    """A test of a version: winner is the number of the branch that all take from decided_at on.

    decision_at is when the winner is chosen at the latest; None where that has no end, or nobody has taken the step.
    """

    version: int
    metric: TestMetric
    winner: int | None
    ground: DecisionGround | None
    decided_at: datetime | None
    decision_at: datetime | None
    branches: list[BranchFigures]


@dataclass(frozen=True)
class Measured:
    """The figures of a test now, and when the first customer took the step; none while nobody has."""

    branches: list[BranchFigures]
    compared: Standings
    began_at: datetime | None

    def decision(self, step: TestStep, now: datetime) -> tuple[int, DecisionGround] | None:
        """The branch that has won by now, and why; None while none has."""
        if any(branch.measured < step.minimum_customers for branch in self.branches):
            return None
        best = self.compared.best[0] + 1
        if step.when_known and self.compared.is_known:
            return best, DecisionGround.KNOWN
        decision_at = _decision_at(step, self.began_at)
        if decision_at is None or now < decision_at:
            return None
        return best, DecisionGround.BEST if len(self.compared.best) == 1 else DecisionGround.TIE


def _decision_at(step: TestStep, began_at: datetime | None) -> datetime | None:
    if step.decide_after_minutes is None or began_at is None:
        return None
    return began_at + timedelta(minutes=step.decide_after_minutes)


def measured(scope: Scope, journey_id: int, version: int, body: JourneyBody, step: TestStep) -> Measured:
    """Measure a test: clicks until now, orders and money until the end of the newest data date."""
    parameters = {"tenant_id": scope.tenant_id, "journey_id": journey_id, "version": version, "step": step.id}
    with scope.reads() as session:
        taken = session.execute(TAKEN, parameters).all()
    is_click = step.metric is TestMetric.CLICKS
    until = _wall_until(scope)
    over_at = scope.clock.now() if is_click else scope.instant(until)
    over = [row for row in taken if row.at + timedelta(minutes=step.window_minutes) <= over_at]
    responses = _clicked(scope, body, step, over) if is_click else _bought(scope, step, over, until)
    compared = standings(responses, by_money=step.metric is TestMetric.VALUE)
    branches = [
        BranchFigures(
            branch=place,
            customers=sum(row.branch == place for row in taken),
            measured=response.customers,
            responders=response.responders,
            value=None if is_click else response.value,
            rate=standing.mean,
            difference=standing.difference,
            interval=standing.interval,
        )
        for place, (response, standing) in enumerate(zip(responses, compared.variants, strict=True), start=1)
    ]
    return Measured(branches, compared, taken[0].at if taken else None)


def _wall_until(scope: Scope) -> datetime:
    """The end of the newest data date, until which all orders are there, or now without one (tenant wall clock)."""
    data_date, now = scope.data_date(), scope.clock.local(scope.time_zone)
    return now if data_date is None else min(now, datetime.combine(data_date + timedelta(days=1), time()))


def _clicked(scope: Scope, body: JourneyBody, step: TestStep, taken: Sequence[Row[Any]]) -> list[Response]:
    """The customers of each branch with those who clicked in a message of the journey."""
    series_ids = {message.campaign_id for message in body.steps if isinstance(message, MessageStep)}
    within = timedelta(minutes=step.window_minutes)
    clicked = set[str]()
    for place in range(0, len(taken), AT_ONCE):
        begins = {row.person: row.at for row in taken[place : place + AT_ONCE]}
        clicked |= clickers(scope, series_ids, begins, within)
    return [
        Response(len(persons), len(persons & clicked))
        for branch in range(1, len(step.branches) + 1)
        for persons in [{row.person for row in taken if row.branch == branch}]
    ]


def _bought(scope: Scope, step: TestStep, taken: Sequence[Row[Any]], until: datetime) -> list[Response]:
    """What the customers of each branch ordered and spent."""
    draws = range(0, len(taken), AT_ONCE)
    lots = []
    for draw in draws:
        begun = [Begun(row.customer_id, row.at, row.branch) for row in taken[draw : draw + AT_ONCE]]
        lots.append(lot_of(scope, draw, begun, [step.window_minutes], until))
    done = summed(scope, lots)
    return [
        sum((done.of(draw, [branch], is_control=False) for draw in draws), Response())
        for branch in range(1, len(step.branches) + 1)
    ]


def _decided(scope: Scope, session: Session, journey_id: int, version: int) -> dict[str, JourneyTest]:
    """The tests of a version whose winners were chosen, by step."""
    query = select(JourneyTest).where(
        JourneyTest.tenant_id == scope.tenant_id,
        JourneyTest.journey_id == journey_id,
        JourneyTest.version == version,
    )
    return {test.step: test for test in session.scalars(query)}


def statuses(scope: Scope, journey_id: int, version: int, body: JourneyBody) -> dict[str, JourneyTestStatus]:
    """The tests of a version, by step; the figures no longer change once a winner was chosen."""
    steps = [step for step in body.steps if isinstance(step, TestStep)]
    if not steps:
        return {}
    with scope.reads() as session:
        tests = _decided(scope, session, journey_id, version)
    return {step.id: _status(scope, journey_id, version, body, step, tests.get(step.id)) for step in steps}


def _status(
    scope: Scope, journey_id: int, version: int, body: JourneyBody, step: TestStep, test: JourneyTest | None
) -> JourneyTestStatus:
    if test is not None:
        branches = [BranchFigures(**figures) for figures in test.branches]
        return JourneyTestStatus(version, step.metric, test.winner, test.ground, test.decided_at, None, branches)
    figures = measured(scope, journey_id, version, body, step)
    decision_at = _decision_at(step, figures.began_at)
    return JourneyTestStatus(version, step.metric, None, None, None, decision_at, figures.branches)


def kept(branches: Sequence[BranchFigures]) -> list[dict[str, Any]]:
    """Figures as the records keep them."""
    return [asdict(branch) for branch in branches]
