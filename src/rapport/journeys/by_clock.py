"""What the clock does with journeys: at a time that each keeps for it, whatever events come."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import TextClause, text, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from rapport.access.scope import Scope
from rapport.journeys.models import Journey
from rapport.journeys.states import JourneyStatus
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import Catalogue
from rapport.realtime.matching.evaluating import Arrival


class FollowerByClock:
    """A follower of no events: journeys in some statuses are due when the time has come that they have in a column."""

    def __init__(self, time: InstrumentedAttribute[Any], statuses: Collection[JourneyStatus]) -> None:
        named = ", ".join(f"'{status}'" for status in statuses)
        is_due = f"{time.key} <= :now AND status IN ({named})"
        self.tenants_due: TextClause = text(f"SELECT DISTINCT tenant_id AS id FROM journeys WHERE {is_due}")  # noqa: S608
        self._due = text(f"SELECT id FROM journeys WHERE tenant_id = :tenant_id AND {is_due} ORDER BY id")  # noqa: S608

    def events(self, catalogue: Catalogue) -> frozenset[str]:
        """None: the clock moves it."""
        return frozenset()

    def follow(self, session: Session, catalogue: Catalogue, arrivals: Sequence[Arrival]) -> list[Candidate]:
        """Nothing comes of events."""
        return []

    def due(self, scope: Scope, session: Session) -> list[int]:
        """The numbers of journeys whose time has come."""
        return list(session.scalars(self._due, {"tenant_id": scope.tenant_id, "now": scope.clock.now()}))


def put_off(scope: Scope, number: int, **values: Any) -> None:
    """Give a journey that cannot be carried out another time, in a transaction of its own."""
    with scope.records() as session:
        session.execute(
            update(Journey).where(Journey.tenant_id == scope.tenant_id, Journey.id == number).values(**values)
        )
