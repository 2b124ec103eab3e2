"""Customers go on in their journeys: what they did and where they stand is one transaction with what it leads to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.audiences.facts import KnownCustomer, Needs, load
from rapport.campaigns.runs.time_zones import zone_named
from rapport.conditions import Facts
from rapport.customers import attributes, consent
from rapport.customers.writes import ordering
from rapport.journeys.compiling import CompiledJourney
from rapport.journeys.models import JourneyMember
from rapport.journeys.states import Ending, MemberState
from rapport.journeys.walking import BY_CONDITIONS, Came, Walker, Way, details, is_held_out, walk
from rapport.notifications import service as notifications
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import Catalogue
from rapport.realtime.matching.reachability import Reach, attributes_of
from rapport.realtime.matching.timers import drop_delayed

Journeys = Mapping[tuple[int, int], CompiledJourney]
NOT_ADMITTED = text("DELETE FROM journey_members WHERE tenant_id = :tenant_id AND id = ANY(CAST(:ids AS bigint[]))")
LEAVE = text("""
    UPDATE journey_steps_taken AS taken SET result = leaving.result
    FROM json_to_recordset(CAST(:rows AS json)) AS leaving(member_id bigint, number int, result text)
    WHERE taken.tenant_id = :tenant_id AND taken.member_id = leaving.member_id AND taken.number = leaving.number
""")
TAKE = text("""
    INSERT INTO journey_steps_taken (tenant_id, member_id, number, journey_id, version, step, at, result)
    SELECT :tenant_id, member_id, number, journey_id, version, step, :now, result
    FROM json_to_recordset(CAST(:rows AS json)) AS taken(
        member_id bigint, number int, journey_id int, version int, step text, result text
    )
    ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True)
class Moving:
    """A member whom time or an event moves on, and when this happened: a step is reached at the time of its event,
    however late that is handled, so that what the customer did meanwhile was waited for.
    """

    member: JourneyMember
    came: Came
    at: datetime


@dataclass
class Advanced:
    """What the customers of a batch come to, before it is written."""

    going: list[tuple[JourneyMember, int, Way]]
    not_admitted: list[int]


def members_of(scope: Scope, session: Session, ids: Sequence[int]) -> list[JourneyMember]:
    """Those of these who are in their journeys, held until the caller's transaction ends."""
    query = select(JourneyMember).where(
        JourneyMember.tenant_id == scope.tenant_id,
        JourneyMember.id.in_(ids),
        JourneyMember.state == MemberState.ACTIVE,
    )
    return list(session.scalars(query.order_by(JourneyMember.id).with_for_update()))


def advance(session: Session, catalogue: Catalogue, journeys: Journeys, moving: Sequence[Moving]) -> list[Candidate]:
    """Move members on whom time or an event moves, in the caller's transaction; the campaigns that they are led to.

    Those of a version that cannot be evaluated stay where they are.
    """
    walking = [each for each in moving if (each.member.journey_id, each.member.version) in journeys]
    if not walking:
        return []
    scope = catalogue.scope
    known = _known_customers(catalogue, journeys, [each.member for each in walking])
    advanced = Advanced([], [])
    for each in walking:
        _move(scope, journeys[each.member.journey_id, each.member.version], known, each, advanced)
    _write(scope, session, advanced)
    return _led_to(catalogue, advanced.going)


def _known_customers(
    catalogue: Catalogue, journeys: Journeys, members: Sequence[JourneyMember]
) -> dict[str, KnownCustomer]:
    """What the conditions of their journeys ask about members, by person."""
    scope, needs = catalogue.scope, Needs()
    for key in sorted({(member.journey_id, member.version) for member in members}):
        needs.add(journeys[key].needs)
    needs.attributes |= attributes_of(catalogue.channels, needs.channels)
    reach = Reach(
        catalogue.channels, consent.consents(scope), attributes.forbidding(scope), purposes=catalogue.purposes
    )
    ids = [member.customer_id for member in members]
    reach.customers = load(scope, catalogue.schema, catalogue.data_date, ids, needs, scope.today())
    if needs.channels:
        reach.find_reachable(scope, needs.channels)
    return reach.customers


def _move(
    scope: Scope,
    journey: CompiledJourney,
    known: Mapping[str, KnownCustomer],
    moving: Moving,
    advanced: Advanced,
) -> None:
    member = moving.member
    customer = known.get(member.person)
    facts = customer.facts if customer else Facts(member.customer_id, scope.today())
    now, before = scope.clock.now(), member.taken
    if customer is not None:
        member.customer_id = customer.customer_id
    if not member.step:
        if journey.admits is not None and not journey.admits(facts):
            advanced.not_admitted.append(member.id)
            return
        if is_held_out(journey, member.person):
            member.state, member.due_at = MemberState.HELD_OUT, None
            return
    own_zone = zone_named(str(facts.attributes.get(journey.zone_attribute) or "")) or scope.time_zone
    walker = Walker(member.person, facts, moving.at, now, scope.time_zone, own_zone)
    way = walk(journey, walker, member.step, member.taken, moving.came)
    if way.step != member.step or way.taken != member.taken:
        member.since = moving.at
    member.step, member.taken, member.due_at = way.step, way.taken, way.due_at
    if way.ending is not None:
        end(scope, member, way.ending, way.reason)
    advanced.going.append((member, before, way))


def drop_messages(scope: Scope, session: Session, members: Sequence[JourneyMember]) -> None:
    """Drop the messages of members who left by an event or a condition that wait for the end of quiet hours."""
    if members:
        keys = [(member.person, member.firing_key()) for member in members]
        drop_delayed(scope, session, keys, "left the journey")


def end(scope: Scope, member: JourneyMember, ending: Ending, reason: str) -> None:
    """End a member's journey."""
    member.state, member.ending, member.reason = MemberState.ENDED, ending, reason[:200]
    member.ended_at, member.due_at = scope.clock.now(), None


def _write(scope: Scope, session: Session, advanced: Advanced) -> None:
    """Write where members stand, the steps that they took, and what these do."""
    session.flush()
    tenant_id, now = scope.tenant_id, scope.clock.now()
    if advanced.not_admitted:
        session.execute(NOT_ADMITTED, {"tenant_id": tenant_id, "ids": advanced.not_admitted})
    left = [
        {"member_id": member.id, "number": before, "result": way.left}
        for member, before, way in advanced.going
        if way.left and before
    ]
    taken = [
        {
            "member_id": member.id,
            "number": step.number,
            "journey_id": member.journey_id,
            "version": member.version,
            "step": step.step,
            "result": step.result,
        }
        for member, _, way in advanced.going
        for step in way.steps
    ]
    if left:
        session.execute(LEAVE, {"tenant_id": tenant_id, "rows": orjson.dumps(left).decode()})
    if taken:
        session.execute(TAKE, {"tenant_id": tenant_id, "now": now, "rows": orjson.dumps(taken).decode()})
    drop_messages(scope, session, [member for member, _, way in advanced.going if way.reason == BY_CONDITIONS])
    _tell(scope, session, advanced.going)
    _write_attributes(scope, session, advanced.going)


def _tell(scope: Scope, session: Session, going: Sequence[tuple[JourneyMember, int, Way]]) -> None:
    notified = [
        notifications.Notification(
            {
                "JourneyID": member.journey_id,
                "StepID": step,
                "CustomerID": member.customer_id,
                **details(member.parameters),
            },
            f"{notifications.JOURNEY_STEP}:{member.id}:{number}",
            notifications.GENERAL,
        )
        for member, _, way in going
        for number, step in way.notified.items()
    ]
    if notified:
        notifications.notify_many(scope, session, notifications.JOURNEY_STEP, notified)


def _write_attributes(scope: Scope, session: Session, going: Sequence[tuple[JourneyMember, int, Way]]) -> None:
    items = [
        {"customer": member.customer_id, "values": [[name, value] for name, value in values.items()]}
        for member, _, way in going
        for values in way.values.values()
    ]
    if items:
        ordering.accept(session, scope.tenant_id, scope.clock.now(), ordering.UPDATE, {"items": items})


def _led_to(catalogue: Catalogue, going: Sequence[tuple[JourneyMember, int, Way]]) -> list[Candidate]:
    """The campaigns of messages that members reached; one that is not active sends nothing."""
    return [
        Candidate(trigger, member.person, member.customer_id, False, member.firing_key(number), member.parameters)
        for member, _, way in going
        for number, campaign_id in way.campaigns.items()
        if (trigger := catalogue.triggers.get(campaign_id)) is not None
    ]
