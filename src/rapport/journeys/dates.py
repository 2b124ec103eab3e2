"""Customers come into journeys on the day that an attribute of theirs names, such as their birthday, by the clock."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences import meeting
from rapport.conditions import Condition
from rapport.conditions.language.operators import Operator
from rapport.journeys.by_clock import FollowerByClock, put_off
from rapport.journeys.entering import Entrant, enter, key_of
from rapport.journeys.models import Journey
from rapport.journeys.schemas import DateEntry, JourneyBody
from rapport.journeys.states import JourneyStatus
from rapport.journeys.versions import newest_bodies
from rapport.journeys.walking import next_time
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import Catalogue
from rapport.realtime.matching.followers import register_follower

log = structlog.get_logger("rapport.journeys")
AT_ONCE = 5_000


def entry_condition(entry: DateEntry, day: date | None = None) -> Condition:
    """What customers meet on a day who come in by a date; day matters only to a date that comes once."""
    if entry.each_year:
        comparison: dict[str, Any] = {"operator": Operator.ANNIVERSARY_IN_DAYS.value, "value": 0}
    else:
        comparison = {"operator": Operator.EQUALS.value, "value": (day or date.min).isoformat()}
    return conditions.parse({"attribute": entry.attribute, **comparison})


def next_dates(scope: Scope, body: JourneyBody) -> datetime | None:
    """When customers come in next whose date it is; None for a journey that they do not come into by a date."""
    return _next_dates(scope, body, scope.clock.now())


def _next_dates(scope: Scope, body: JourneyBody, after: datetime) -> datetime | None:
    return next_time(body.entry.time, (), after, scope.time_zone) if isinstance(body.entry, DateEntry) else None


class DateFollower(FollowerByClock):
    """Brings customers into the journeys of all tenants on their dates.

    A day that is over is not made up for: whoever's birthday it was gets no wishes on the day after.
    """

    def __init__(self) -> None:
        super().__init__(Journey.dates_at, (JourneyStatus.ACTIVE,))

    def carry_out(self, session: Session, catalogue: Catalogue, numbers: Sequence[int]) -> list[Candidate]:
        """Let the next of those come in whose date it is; they take their first step as all who come in."""
        scope = catalogue.scope
        query = select(Journey).where(Journey.tenant_id == scope.tenant_id, Journey.id.in_(numbers))
        journeys = list(session.scalars(query.order_by(Journey.id).with_for_update()))
        bodies = newest_bodies(scope, session, journeys)
        for journey in journeys:
            if journey.dates_at is not None and journey.dates_at <= scope.clock.now():
                _bring_in(session, catalogue, journey, bodies[journey.id])
        return []

    def give_up(self, scope: Scope, number: int, error: Exception) -> None:
        """Leave out the day of a journey that cannot be carried out."""
        log.error("nobody came in by date", tenant_id=scope.tenant_id, journey_id=number, error=str(error)[:300])
        put_off(scope, number, dates_at=scope.clock.now() + timedelta(days=1), dates_after=meeting.START)


def _bring_in(session: Session, catalogue: Catalogue, journey: Journey, body: JourneyBody) -> None:
    scope, day = catalogue.scope, catalogue.scope.today()
    midnight = scope.instant(datetime.combine(day, time())) - timedelta(microseconds=1)
    begins = _next_dates(scope, body, midnight)
    if begins is None or begins > scope.clock.now():  # what was due is of a day that is over
        journey.dates_at, journey.dates_after = next_dates(scope, body), meeting.START
        return
    if journey.dates_at != begins:
        journey.dates_at, journey.dates_after = begins, meeting.START
    came = customers_on(catalogue, body, day, journey.dates_after, AT_ONCE)
    entrants = [Entrant(customer_id, key_of("date", day, customer_id.lower())) for _, customer_id in came]
    enter(scope, session, journey.id, journey.version, body, entrants)
    if len(came) == AT_ONCE:
        journey.dates_after = came[-1][0]
    else:
        journey.dates_at, journey.dates_after = next_dates(scope, body), meeting.START


def customers_on(catalogue: Catalogue, body: JourneyBody, day: date, after: int, at_once: int) -> list[tuple[int, str]]:
    """The customers of the newest profiles who come in on a tenant day, as place and id, behind a place.

    Raises Invalid for an attribute that is gone, or no date any more.
    """
    if catalogue.data_date is None or not isinstance(body.entry, DateEntry):
        return []
    date_of_customers = day + timedelta(days=body.entry.days_before)
    # The schema's today is the day after its data date.
    schema = replace(catalogue.schema, data_date=date_of_customers - timedelta(days=1))
    condition = entry_condition(body.entry, date_of_customers)
    return meeting.customers_meeting(catalogue.scope, condition, schema, catalogue.data_date, after, at_once)


register_follower(DateFollower())
