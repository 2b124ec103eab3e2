"""Journeys as built: each definition is a version, and every change leaves an audit row."""

from collections.abc import Iterable, Mapping
from datetime import date

import orjson
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences import meeting, membership
from rapport.customers.identity import identifies_nobody
from rapport.errors import Conflict, Invalid, NotFound
from rapport.journeys.checking import check_journey
from rapport.journeys.compiling import customer_conditions
from rapport.journeys.dates import next_dates
from rapport.journeys.deciding import next_look
from rapport.journeys.entering import Entrant, enter, key_of
from rapport.journeys.models import UNIQUE_JOURNEY, Journey, JourneyMember, JourneyVersion
from rapport.journeys.schemas import WAITS, GroupEntry, JourneyBody
from rapport.journeys.states import Ending, JourneyStatus, MemberState
from rapport.journeys.versions import newest_bodies
from rapport.realtime.matching.timers import delayed_firings, drop_delayed
from rapport.stores.parts import Part, part
from rapport.stores.records import next_id, unique_name
from rapport.stores.workers.listening import Topic, publish

A_JOURNEY = "a journey"
OF_JOURNEY = text("""
    SELECT id FROM journey_members
    WHERE tenant_id = :tenant_id AND journey_id = :journey_id AND id = ANY(CAST(:ids AS bigint[]))
""")
# Whoever is moved to another step leaves one and reaches one, as the way and the numbers of the steps show.
MOVE = text(f"""
    WITH moved AS (
        UPDATE journey_members
        SET version = :version, step = steps.new_step,
            taken = taken + CAST(steps.new_step <> steps.step AS int)
        FROM json_to_recordset(CAST(:steps AS json)) AS steps(step text, new_step text)
        WHERE tenant_id = :tenant_id AND journey_id = :journey_id AND version < :version
            AND state = '{MemberState.ACTIVE}' AND journey_members.step = steps.step
        RETURNING id, taken, steps.step AS old_step, steps.new_step
    ), leaving AS (
        UPDATE journey_steps_taken AS before SET result = 'moved'
        FROM moved
        WHERE moved.new_step <> moved.old_step AND before.tenant_id = :tenant_id AND before.member_id = moved.id
            AND before.number = moved.taken - 1
    ), reaching AS (
        INSERT INTO journey_steps_taken (tenant_id, member_id, number, journey_id, version, step, at, result)
        SELECT :tenant_id, id, taken, :journey_id, :version, new_step, :now, ''
        FROM moved WHERE new_step <> old_step
    )
    SELECT count(*) FROM moved
""")  # noqa: S608 - ours


def journeys(
    scope: Scope, status: JourneyStatus | None = None, limit: int = 100, offset: int = 0
) -> Part[tuple[Journey, JourneyBody]]:
    """The tenant's journeys with their newest definitions, by number."""
    query = select(Journey).where(Journey.tenant_id == scope.tenant_id)
    if status is not None:
        query = query.where(Journey.status == status)
    with scope.reads() as session:
        page: Part[Journey] = part(session, query.order_by(Journey.id), limit, offset)
        bodies = newest_bodies(scope, session, page)
    return page.each(lambda journey: (journey, bodies[journey.id]))


def journey(scope: Scope, journey_id: int) -> tuple[Journey, JourneyBody]:
    """A journey with its newest definition. Raises NotFound."""
    with scope.reads() as session:
        stored = _get(scope, session, journey_id)
        return stored, newest_bodies(scope, session, [stored])[journey_id]


def _get(scope: Scope, session: Session, journey_id: int, *, is_locked: bool = False) -> Journey:
    stored = session.get(Journey, (scope.tenant_id, journey_id), with_for_update=is_locked)
    if stored is None:
        raise NotFound(f"There is no journey {journey_id}.")
    return stored


def create_journey(scope: Scope, body: JourneyBody, status: JourneyStatus = JourneyStatus.ACTIVE) -> Journey:
    """Define a journey. Raises NotFound or Invalid for what it names and cannot use, Conflict for a name in use."""
    body = check_journey(scope, body)
    with unique_name(UNIQUE_JOURNEY, A_JOURNEY, body.name), scope.records() as session:
        stored = Journey(
            tenant_id=scope.tenant_id,
            id=next_id(session, scope.tenant_id, "journey"),
            name=body.name,
            status=status,
            version=1,
            changes_until=_changes_from(scope, body),
            dates_at=next_dates(scope, body),
            tests_at=next_look(scope, body),
            created_at=scope.clock.now(),
        )
        session.add(stored)
        session.add(_version(scope, stored, body))
        scope.audit(session, "create", f"journey {stored.id}", name=body.name)
        publish(session, Topic.TRIGGERS, scope.tenant_id)
    _prepare(scope, body)
    return stored


def update_journey(scope: Scope, journey_id: int, body: JourneyBody, version: int) -> Journey:
    """Define a journey anew: customers who are in it finish the version in which they are, others begin in the new one.

    Raises NotFound, Invalid, and Conflict for a name in use, when somebody else changed it meanwhile or it is archived.
    """
    body = check_journey(scope, body)
    with unique_name(UNIQUE_JOURNEY, A_JOURNEY, body.name), scope.records() as session:
        stored = _get(scope, session, journey_id, is_locked=True)
        _must_not_be_archived(stored)
        if stored.version != version:
            raise Conflict(f"Journey {journey_id} has version {stored.version}, not {version}: read it again.")
        before = newest_bodies(scope, session, [stored])[journey_id]
        stored.version, stored.name = version + 1, body.name
        if not isinstance(body.entry, GroupEntry):
            stored.changes_until = None
        elif stored.changes_until is None:
            stored.changes_until = _changes_from(scope, body)
        if body.entry != before.entry:
            stored.dates_at, stored.dates_after = next_dates(scope, body), meeting.START
        stored.tests_at = next_look(scope, body) or stored.tests_at
        session.add(_version(scope, stored, body))
        scope.audit(session, "update", f"journey {journey_id}", version=stored.version)
        publish(session, Topic.TRIGGERS, scope.tenant_id)
    _prepare(scope, body)
    return stored


def _changes_from(scope: Scope, body: JourneyBody) -> date | None:
    """The data date from which on changes of a journey's target group bring customers in; None without a group."""
    return scope.data_date() if isinstance(body.entry, GroupEntry) else None


def _version(scope: Scope, stored: Journey, body: JourneyBody) -> JourneyVersion:
    return JourneyVersion(
        tenant_id=scope.tenant_id,
        journey_id=stored.id,
        version=stored.version,
        body=body.model_dump(mode="json"),
        created_at=scope.clock.now(),
    )


def _must_not_be_archived(stored: Journey) -> None:
    if stored.status is JourneyStatus.ARCHIVED:
        raise Conflict(f"Journey {stored.id} is archived.")


def _prepare(scope: Scope, body: JourneyBody) -> None:
    """Have the members of the target groups that conditions ask for, and of the one that customers come in by, so that
    the next data date has a day before.
    """
    data_date = scope.data_date()
    group_ids = set[int]().union(
        *(conditions.groups_in(conditions.parse(written)) for _, written in customer_conditions(body))
    )
    if isinstance(body.entry, GroupEntry):
        group_ids.add(body.entry.target_group_id)
    if group_ids and data_date is not None:
        membership.ensure_members(scope, group_ids, data_date)


def set_status(scope: Scope, journey_id: int, status: JourneyStatus) -> Journey:
    """Activate, pause, drain or archive a journey; archiving ends it for everybody who is in it.

    Raises NotFound, Conflict for an archived one.
    """
    with scope.records() as session:
        stored = _get(scope, session, journey_id, is_locked=True)
        _must_not_be_archived(stored)
        stored.status = status
        if status is JourneyStatus.ARCHIVED:
            _end_for_all(scope, session, journey_id)
        scope.audit(session, status, f"journey {journey_id}")
        publish(session, Topic.TRIGGERS, scope.tenant_id)
    return stored


def _end_for_all(scope: Scope, session: Session, journey_id: int) -> None:
    """End a journey for everybody who is in it, and drop its messages that wait for the end of quiet hours."""
    of_journey = (JourneyMember.tenant_id == scope.tenant_id, JourneyMember.journey_id == journey_id)
    session.execute(
        update(JourneyMember)
        .where(*of_journey, JourneyMember.state == MemberState.ACTIVE)
        .values(state=MemberState.ENDED, ending=Ending.ARCHIVED, ended_at=scope.clock.now(), due_at=None)
    )
    delayed = delayed_firings(scope, session, JourneyMember.FIRING_KEYS)
    member_ids = {JourneyMember.id_in(key) for _, key in delayed}
    mine = set(
        session.scalars(OF_JOURNEY, {"tenant_id": scope.tenant_id, "journey_id": journey_id, "ids": sorted(member_ids)})
    )
    ended = [(person, key) for person, key in delayed if JourneyMember.id_in(key) in mine]
    drop_delayed(scope, session, ended, "the journey was archived")


def add_members(scope: Scope, journey_id: int, customer_ids: Iterable[str], key: str = "") -> int:
    """Bring customers into a journey by name; how many come in, as far as its rules for coming in again let them.

    Words that stand for nobody are left out, such as undefined. Whether a customer meets customer_conditions is seen
    at the first step. The same call with the same key brings nobody in twice. Raises NotFound, Conflict for a journey
    that takes nobody in now.
    """
    with scope.records() as session:
        stored = _get(scope, session, journey_id)
        if stored.status is not JourneyStatus.ACTIVE:
            raise Conflict(f"Journey {journey_id} takes no customers in: it is {stored.status}.")
        body = newest_bodies(scope, session, [stored])[journey_id]
        now = scope.clock.now()
        entrants = [
            Entrant(customer_id, key_of("call", key or now.isoformat(), customer_id.lower()))
            for customer_id in dict.fromkeys(customer_id.strip() for customer_id in customer_ids)
            if not identifies_nobody(customer_id)
        ]
        entered = enter(scope, session, journey_id, stored.version, body, entrants)
        scope.audit(session, "add members", f"journey {journey_id}", customers=len(entered))
        publish(session, Topic.TRIGGERS, scope.tenant_id)
    return len(entered)


def move_members(scope: Scope, journey_id: int, steps: Mapping[str, str]) -> int:
    """Move customers of older versions to the newest one, where they stand on the steps of the same ID, or on those
    that steps names for them; how many. Whoever stands on a step that has no counterpart to wait on finishes the
    older version.

    Raises NotFound, Conflict for an archived journey, Invalid for a step that the newest version does not have, or
    that does not wait.
    """
    with scope.records() as session:
        stored = _get(scope, session, journey_id, is_locked=True)
        _must_not_be_archived(stored)
        body = newest_bodies(scope, session, [stored])[journey_id]
        waits = {step.id for step in body.steps if isinstance(step, WAITS)}
        for old, new in steps.items():
            if body.step(new) is None:
                raise Invalid(f"steps.{old} names {new!r}, which is not a step of version {stored.version}.")
            if new not in waits:
                raise Invalid(f"steps.{old} names {new!r}, on which nobody waits.")
        new_steps = {step_id: step_id for step_id in waits} | dict(steps)
        parameters = {
            "tenant_id": scope.tenant_id,
            "journey_id": journey_id,
            "version": stored.version,
            "steps": _rows(new_steps),
            "now": scope.clock.now(),
        }
        count = int(session.scalar(MOVE, parameters) or 0)
        scope.audit(session, "move members", f"journey {journey_id}", version=stored.version, customers=count)
        publish(session, Topic.TRIGGERS, scope.tenant_id)
    return count


def _rows(new_steps: Mapping[str, str]) -> str:
    return orjson.dumps([{"step": old, "new_step": new} for old, new in new_steps.items()]).decode()
