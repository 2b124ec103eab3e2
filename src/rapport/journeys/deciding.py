"""Winners of the tests inside journeys: somebody looks now and then, and the first winner that is chosen stays."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.journeys.by_clock import FollowerByClock, put_off
from rapport.journeys.models import Journey, JourneyTest
from rapport.journeys.schemas import JourneyBody, TestStep
from rapport.journeys.states import JourneyStatus
from rapport.journeys.testing import kept, measured
from rapport.journeys.versions import VersionInUse, versions_in_use
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import Catalogue
from rapport.realtime.matching.followers import register_follower

log = structlog.get_logger("rapport.journeys")
# Between two looks.
LOOKS = timedelta(hours=1)


def next_look(scope: Scope, body: JourneyBody) -> datetime | None:
    """When somebody looks at the tests of a journey next; None for one without any."""
    return scope.clock.now() + LOOKS if any(isinstance(step, TestStep) for step in body.steps) else None


class TestFollower(FollowerByClock):
    """Chooses the winners of the tests in the journeys of all tenants."""

    def __init__(self) -> None:
        super().__init__(Journey.tests_at, (JourneyStatus.ACTIVE, JourneyStatus.DRAINING))

    def carry_out(self, session: Session, catalogue: Catalogue, numbers: Sequence[int]) -> list[Candidate]:
        """Choose the winners that there are; whoever comes to the steps from then on follows them."""
        scope = catalogue.scope
        query = select(Journey).where(Journey.tenant_id == scope.tenant_id, Journey.id.in_(numbers))
        versions = versions_in_use(session.connection(), scope.tenant_id)
        for journey in session.scalars(query.order_by(Journey.id).with_for_update()):
            mine = [version for version in versions if version.journey_id == journey.id]
            open_tests = [_is_open(scope, session, version) for version in mine]
            journey.tests_at = scope.clock.now() + LOOKS if any(open_tests) else None
        return []

    def give_up(self, scope: Scope, number: int, error: Exception) -> None:
        """Look again later at the tests of a journey that cannot be measured."""
        log.error("a test has no figures", tenant_id=scope.tenant_id, journey_id=number, error=str(error)[:300])
        put_off(scope, number, tests_at=scope.clock.now() + LOOKS)


def _is_open(scope: Scope, session: Session, version: VersionInUse) -> bool:
    """Choose the winners of a version that there are; whether a test is left without one."""
    steps = [step for step in version.body.steps if isinstance(step, TestStep) and step.id not in version.winners]
    decisions = [_decide(scope, session, version, step) for step in steps]
    return not all(decisions)


def _decide(scope: Scope, session: Session, version: VersionInUse, step: TestStep) -> bool:
    """Choose the winner of a test if there is one by now; whether there is. One that was chosen before stays."""
    now = scope.clock.now()
    figures = measured(scope, version.journey_id, version.version, version.body, step)
    decision = figures.decision(step, now)
    if decision is None:
        return False
    winner, ground = decision
    values = {
        "tenant_id": scope.tenant_id,
        "journey_id": version.journey_id,
        "version": version.version,
        "step": step.id,
        "winner": winner,
        "ground": ground,
        "decided_at": now,
        "branches": kept(figures.branches),
    }
    session.execute(insert(JourneyTest).values(values).on_conflict_do_nothing())
    return True


register_follower(TestFollower())
