"""Journeys follow events: customers come in by them, go on by those that they waited for, and leave by others."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import timedelta

import structlog
from sqlalchemy import TextClause, select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.conditions import Facts
from rapport.errors import RapportError
from rapport.journeys.advancing import Journeys, Moving, advance, drop_messages, end, members_of
from rapport.journeys.compiling import CompiledJourney, compiled_journey, event_matches
from rapport.journeys.entering import Entrant, enter
from rapport.journeys.models import JourneyMember
from rapport.journeys.schemas import EventEntry, WaitForStep
from rapport.journeys.states import Ending, JourneyStatus, MemberState
from rapport.journeys.versions import VersionInUse, versions_in_use
from rapport.journeys.walking import Came
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import Catalogue
from rapport.realtime.matching.evaluating import Arrival
from rapport.realtime.matching.followers import register_follower

log = structlog.get_logger("rapport.journeys")
AT_ONCE = 500
# An event that arrives later than this after it happened brings nobody in.
LATENESS = timedelta(hours=1)
MOVING = (JourneyStatus.ACTIVE, JourneyStatus.DRAINING)
MOVES = f"('{JourneyStatus.ACTIVE}', '{JourneyStatus.DRAINING}')"
TENANTS_DUE = text(f"""
    SELECT DISTINCT journey.tenant_id AS id FROM journeys AS journey
    WHERE journey.status IN {MOVES} AND EXISTS (
        SELECT 1 FROM journey_members AS member
        WHERE member.tenant_id = journey.tenant_id AND member.journey_id = journey.id
            AND member.state = '{MemberState.ACTIVE}' AND member.due_at <= :now
    )
""")  # noqa: S608 - ours
DUE = text(f"""
    SELECT due.id FROM journeys AS journey CROSS JOIN LATERAL (
        SELECT member.id, member.due_at FROM journey_members AS member
        WHERE member.tenant_id = journey.tenant_id AND member.journey_id = journey.id
            AND member.state = '{MemberState.ACTIVE}' AND member.due_at <= :now
        ORDER BY member.due_at LIMIT :most
    ) AS due
    WHERE journey.tenant_id = :tenant_id AND journey.status IN {MOVES}
    ORDER BY due.due_at, due.id LIMIT :most
""")  # noqa: S608 - ours
STAMP = text(f"""
    SELECT coalesce(string_agg(concat_ws('/', id, version, status, (
        SELECT count(*) FROM journey_tests AS test
        WHERE test.tenant_id = journeys.tenant_id AND test.journey_id = journeys.id
    )), ',' ORDER BY id), '')
    FROM journeys WHERE tenant_id = :tenant_id AND status IN {MOVES}
""")  # noqa: S608 - ours


class JourneyFollower:
    """Moves customers on in the journeys of all tenants."""

    tenants_due: TextClause = TENANTS_DUE

    def __init__(self) -> None:
        self._compiled: dict[int, tuple[Catalogue, str, Journeys]] = {}

    def events(self, catalogue: Catalogue) -> frozenset[str]:
        """The events that journeys of a tenant name."""
        journeys = self.journeys(catalogue).values()
        return frozenset(match.event for journey in journeys for _, match in event_matches(journey.body))

    def journeys(self, catalogue: Catalogue) -> Journeys:
        """The journeys of a tenant that take customers in or move them on, by number and version.

        One that cannot be evaluated is absent: its customers stay where they are.
        """
        scope = catalogue.scope
        with scope.stores.records.reading() as connection:
            stamp = str(connection.scalar(STAMP, {"tenant_id": scope.tenant_id}))
            cached = self._compiled.get(scope.tenant_id)
            if cached is not None and cached[0] is catalogue and cached[1] == stamp:
                return cached[2]
            versions = versions_in_use(connection, scope.tenant_id) if stamp else []
        journeys = {
            (version.journey_id, version.version): journey
            for version in versions
            if version.status in MOVING and (journey := _compiled(catalogue, version)) is not None
        }
        self._compiled[scope.tenant_id] = (catalogue, stamp, journeys)
        return journeys

    def follow(self, session: Session, catalogue: Catalogue, arrivals: Sequence[Arrival]) -> list[Candidate]:
        """Take events of customers, in order; visitors whom nobody has identified are in no journey."""
        journeys = self.journeys(catalogue)
        candidates = []
        for together in _rounds([arrival for arrival in arrivals if arrival.customer_id]):
            candidates += _follow(session, catalogue, journeys, together)
        return candidates

    def due(self, scope: Scope, session: Session) -> list[int]:
        """Members whose time has come."""
        parameters = {"tenant_id": scope.tenant_id, "now": scope.clock.now(), "most": AT_ONCE}
        return list(session.scalars(DUE, parameters))

    def carry_out(self, session: Session, catalogue: Catalogue, numbers: Sequence[int]) -> list[Candidate]:
        """Move members on whose time has come."""
        now = catalogue.scope.clock.now()
        members = [
            member
            for member in members_of(catalogue.scope, session, numbers)
            if member.due_at is not None and member.due_at <= now
        ]
        journeys = self.journeys(catalogue)
        for member in members:
            if (member.journey_id, member.version) not in journeys:
                member.due_at = now + LATENESS  # looked at again; nobody of it goes on before it is mended
        return advance(session, catalogue, journeys, [Moving(member, Came.TIME, now) for member in members])

    def give_up(self, scope: Scope, number: int, error: Exception) -> None:
        """End the way of a member that cannot go on."""
        log.error("a journey cannot go on", tenant_id=scope.tenant_id, member_id=number, error=str(error)[:300])
        with scope.records() as session:
            for member in members_of(scope, session, [number]):
                end(scope, member, Ending.FAILED, f"step {member.step or 1}: {type(error).__name__}")


def _compiled(catalogue: Catalogue, version: VersionInUse) -> CompiledJourney | None:
    try:
        return compiled_journey(
            catalogue,
            version.journey_id,
            version.version,
            version.status,
            version.body,
            version.winners,
            is_newest=version.is_newest,
        )
    except RapportError as error:
        log.error(
            "a journey cannot be evaluated",
            tenant_id=catalogue.scope.tenant_id,
            journey_id=version.journey_id,
            fault=error.message,
        )
        return None


def _rounds(arrivals: Sequence[Arrival]) -> list[list[Arrival]]:
    """The same in order, in lists in which each person has one event: those of different persons go together."""
    rounds: list[list[Arrival]] = []
    had = Counter[str]()
    for arrival in arrivals:
        if had[arrival.person] == len(rounds):
            rounds.append([])
        rounds[had[arrival.person]].append(arrival)
        had[arrival.person] += 1
    return rounds


def _follow(session: Session, catalogue: Catalogue, journeys: Journeys, arrivals: Sequence[Arrival]) -> list[Candidate]:
    """What events of different persons do: they end ways, move members on who waited, or bring customers in."""
    scope = catalogue.scope
    facts = {
        arrival.seq: catalogue.parameters(arrival.event, arrival.parameters, scope.today()) for arrival in arrivals
    }
    moving: list[Moving] = []
    left: list[JourneyMember] = []
    inside = set[tuple[int, str]]()
    by_person = {arrival.person: arrival for arrival in arrivals}
    for member in _inside(scope, session, journeys, by_person):
        arrival = by_person[member.person]
        journey = journeys.get((member.journey_id, member.version))
        if journey is not None and _leaves(journey, member, arrival, facts[arrival.seq]):
            end(scope, member, Ending.EXITED, f"event {arrival.event}")
            left.append(member)
            continue
        inside.add((member.journey_id, member.person))
        if journey is not None and _awaited(journey, member, arrival, facts[arrival.seq]):
            moving.append(Moving(member, Came.EVENT, arrival.at))
    session.flush()
    drop_messages(scope, session, left)
    entered: list[int] = []
    for journey in journeys.values():
        entrants = [
            Entrant(arrival.customer_id, arrival.key, arrival.at, arrival.parameters)
            for arrival in arrivals
            if (journey.id, arrival.person) not in inside and _brings_in(journey, arrival, facts[arrival.seq])
        ]
        entered += enter(scope, session, journey.id, journey.version, journey.body, entrants)
    moving += [Moving(member, Came.TIME, member.entered_at) for member in members_of(scope, session, entered)]
    return advance(session, catalogue, journeys, moving)


def _leaves(journey: CompiledJourney, member: JourneyMember, arrival: Arrival, facts: Facts) -> bool:
    """Whether an event, not of before the member came in, ends its way."""
    return arrival.at >= member.entered_at and any(
        journey.is_met(f"exit.events[{place}]", match, arrival.event, facts)
        for place, match in enumerate(journey.body.exit.events)
    )


def _awaited(journey: CompiledJourney, member: JourneyMember, arrival: Arrival, facts: Facts) -> bool:
    """Whether a member waits for an event: it happened since the wait began, and before it was over."""
    step = journey.body.step(member.step)
    return (
        isinstance(step, WaitForStep)
        and member.since <= arrival.at
        and (member.due_at is None or arrival.at <= member.due_at)
        and journey.is_met(f"steps.{step.id}.match", step.match, arrival.event, facts)
    )


def _brings_in(journey: CompiledJourney, arrival: Arrival, facts: Facts) -> bool:
    """Whether an event brings its customer into a journey as it is now."""
    entry = journey.body.entry
    return (
        journey.is_newest
        and journey.status is JourneyStatus.ACTIVE
        and isinstance(entry, EventEntry)
        and arrival.received_at - arrival.at <= LATENESS
        and journey.is_met("entry.match", entry.match, arrival.event, facts)
    )


def _inside(scope: Scope, session: Session, journeys: Journeys, persons: Collection[str]) -> list[JourneyMember]:
    """The ways of persons that move, held in the caller's transaction."""
    query = select(JourneyMember).where(
        JourneyMember.tenant_id == scope.tenant_id,
        JourneyMember.person.in_(persons),
        JourneyMember.state == MemberState.ACTIVE,
        JourneyMember.journey_id.in_({number for number, _ in journeys}),
    )
    return list(session.scalars(query.order_by(JourneyMember.id).with_for_update()))


register_follower(JourneyFollower())
