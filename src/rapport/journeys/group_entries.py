"""Customers come into journeys by entering or leaving a target group, each day from one data date to the next."""

from collections.abc import Iterator
from datetime import date

import structlog
from sqlalchemy import select, update

from rapport.access.scope import Scope
from rapport.audiences import changing, membership
from rapport.errors import Away, RapportError
from rapport.journeys.entering import Entrant, enter, key_of
from rapport.journeys.models import Journey, JourneyVersion
from rapport.journeys.schemas import GroupEntry, JourneyBody
from rapport.journeys.states import JourneyStatus
from rapport.stores.workers.listening import Topic, publish

log = structlog.get_logger("rapport.journeys")
AT_ONCE = 10_000


def enter_by_groups(scope: Scope, data_date: date) -> None:
    """Bring in everybody whose target group changed up to a data date, once a date however often it is called.

    Changes of days on which a journey was paused or draining bring nobody in. The fault of one journey is logged and
    holds up no other. Raises Away.
    """
    for journey, body in _behind(scope, data_date):
        try:
            if isinstance(body.entry, GroupEntry):
                _follow_group(scope, journey, body, body.entry, data_date)
        except Away:
            raise
        except RapportError:
            log.exception("a journey did not follow its group", tenant_id=scope.tenant_id, journey_id=journey.id)


def _behind(scope: Scope, data_date: date) -> list[tuple[Journey, JourneyBody]]:
    """Journeys that customers come into by a group, and that have not followed it up to a data date."""
    query = (
        select(Journey, JourneyVersion.body)
        .join(
            JourneyVersion,
            (JourneyVersion.tenant_id == Journey.tenant_id)
            & (JourneyVersion.journey_id == Journey.id)
            & (JourneyVersion.version == Journey.version),
        )
        .where(
            Journey.tenant_id == scope.tenant_id,
            Journey.status != JourneyStatus.ARCHIVED,
            Journey.changes_until.is_(None) | (Journey.changes_until < data_date),
            JourneyVersion.body["entry"]["kind"].astext == "group",
        )
    )
    with scope.reads() as session:
        rows = session.execute(query.order_by(Journey.id)).all()
    return [(journey, JourneyBody.model_validate(body)) for journey, body in rows]


def _follow_group(scope: Scope, journey: Journey, body: JourneyBody, entry: GroupEntry, data_date: date) -> None:
    membership.ensure_members(scope, {entry.target_group_id}, data_date)
    if journey.status is JourneyStatus.ACTIVE and journey.changes_until is not None:
        for customer_ids in _changed(scope, entry, journey.changes_until, data_date):
            entrants = [
                Entrant(customer_id, key_of("group", data_date, customer_id.lower())) for customer_id in customer_ids
            ]
            with scope.records() as session:
                enter(scope, session, journey.id, journey.version, body, entrants)
                publish(session, Topic.TRIGGERS, scope.tenant_id)
    with scope.records() as session:
        session.execute(
            update(Journey)
            .where(Journey.tenant_id == scope.tenant_id, Journey.id == journey.id)
            .values(changes_until=data_date)
        )


def _changed(scope: Scope, entry: GroupEntry, since: date, data_date: date) -> Iterator[list[str]]:
    """Who came into a group, or left it, as its entry says, by pages.

    They changed since a data date, or since the newest one before data_date whose members are still stored.
    """
    kept = membership.snapshot(scope, entry.target_group_id, since) is not None
    after = ""
    while True:
        changes = changing.changes(
            scope, entry.target_group_id, data_date, since if kept else None, limit=AT_ONCE, after=after
        )
        yield [changed.customer_id for changed in changes.customers if changed.change == entry.change]
        if len(changes.customers) < AT_ONCE:
            return
        after = changes.customers[-1].customer_id


changing.register_group_follower(enter_by_groups)
