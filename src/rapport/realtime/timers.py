"""What fires by the clock: sequences whose deadline has come, and firings that waited for the end of quiet hours."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.audiences import service as audiences
from rapport.campaigns import service as campaigns
from rapport.campaigns.service import QuietHours
from rapport.channels.service import channels as channels_of
from rapport.customers import service as customers
from rapport.realtime import progress
from rapport.realtime.deciding import Candidate, decide, unwelcome
from rapport.realtime.evaluating import Key, States
from rapport.realtime.facts import Needs, load
from rapport.realtime.models import ASKING, DELAYED, DONE, Firing, TriggerState
from rapport.realtime.quiet import quiet_until
from rapport.realtime.reach import Reach
from rapport.realtime.releasing import let_go, refuse, wake
from rapport.realtime.triggers import Catalogue
from rapport.realtime.visitors import VISITOR, customer_of

log = structlog.get_logger("rapport.realtime")
AT_ONCE = 500
# A closing event may still be under way when the deadline comes.
GRACE = timedelta(seconds=2)

DUE_SEQUENCES = text("""
    SELECT series_id, person FROM trigger_states
    WHERE tenant_id = :tenant_id AND deadline <= :now ORDER BY deadline LIMIT :most
""")
DUE = text("""
    SELECT t.id FROM tenants AS t
    WHERE EXISTS (
        SELECT 1 FROM trigger_states AS s WHERE s.tenant_id = t.id AND s.deadline <= CAST(:now AS timestamptz) - :grace
    ) OR EXISTS (
        SELECT 1 FROM trigger_firings AS f WHERE f.tenant_id = t.id AND f.state = 'delayed' AND f.due_at <= :now
    )
    ORDER BY t.id
""")


def due_sequences(session: Session, scope: Scope) -> list[Key]:
    """Sequences whose deadline has come, as series and person, the oldest first."""
    bound = {"tenant_id": scope.tenant_id, "now": scope.clock.now() - GRACE, "most": AT_ONCE}
    return [(int(series), str(person)) for series, person in session.execute(DUE_SEQUENCES, bound)]


def end_sequences(catalogue: Catalogue, session: Session, keys: Sequence[Key]) -> None:
    """End sequences and fire for them, in the caller's transaction; those of a trigger not active just end."""
    scope = catalogue.scope
    now = scope.clock.now() - GRACE
    visitors = [person.removeprefix(VISITOR) for _, person in keys if person.startswith(VISITOR)]
    known = customer_of(session, scope, visitors)
    states = States(scope, session)
    states.load([*keys, *((series, customer) for series, _ in keys for customer in _lower(known))])
    states.adopt(catalogue.triggers, {person: person for _, person in keys if not person.startswith(VISITOR)})
    found = [one for key in keys if (one := _ended(catalogue, states, key, known, now)) is not None]
    states.keep()
    decide(session, catalogue, found)


def drop_sequence(scope: Scope, key: Key, error: Exception) -> None:
    """Forget a sequence that cannot be ended, so that it holds up no other."""
    log.error("a sequence cannot be ended", tenant_id=scope.tenant_id, series_id=key[0], error=str(error)[:300])
    series, person = key
    with scope.records() as session:
        found = session.get(TriggerState, (scope.tenant_id, series, person))
        if found is not None:
            session.delete(found)


def _lower(known: dict[str, str]) -> set[str]:
    return {customer.lower() for customer in known.values()}


def _ended(catalogue: Catalogue, states: States, key: Key, known: dict[str, str], now: datetime) -> Candidate | None:
    """The candidate that a sequence comes to; None when a visitor's turns out to be closed or moved on."""
    series, person = key
    trigger = catalogue.triggers.get(series)
    state = states.at(key)
    if trigger is None:
        progress.end(state)
        return None
    customer = known.get(person.removeprefix(VISITOR), "") if person.startswith(VISITOR) else ""
    if customer:
        states.join(trigger, person, customer.lower(), customer)
        person = customer.lower()
        state = states.of(trigger, person)
    if state.deadline is None or state.deadline > now:
        return None
    opened = progress.end(state)
    who = opened["customer_id"] or opened["visitor_id"]
    is_visitor = person.startswith(VISITOR)
    return Candidate(trigger, person, who, is_visitor, opened["key"], opened["parameters"])


def due_firings(session: Session, scope: Scope) -> list[int]:
    """Firings whose quiet hours have ended, by id, the oldest first."""
    due = (Firing.tenant_id == scope.tenant_id, Firing.state == DELAYED, Firing.due_at <= scope.clock.now())
    return list(session.scalars(select(Firing.id).where(*due).order_by(Firing.due_at, Firing.id).limit(AT_ONCE)))


def give_up(scope: Scope, firing_id: int, error: Exception) -> None:
    """End a firing that cannot be taken up, so that it holds up no other."""
    log.error("a firing cannot be taken up", tenant_id=scope.tenant_id, firing_id=firing_id, error=str(error)[:300])
    with scope.records() as session:
        refuse(scope, session, firing_id, "failed", "It could not be taken up after quiet hours.")


def resume(scope: Scope, session: Session, firing_ids: Sequence[int]) -> None:
    """Take up firings whose quiet hours have ended, in the caller's transaction.

    Whom the rules keep out by now is kept out; so is everybody of a trigger that is not active any more.
    """
    now = scope.clock.now()
    wanted = select(Firing).where(
        Firing.tenant_id == scope.tenant_id, Firing.id.in_(firing_ids), Firing.state == DELAYED
    )
    waiting = list(session.scalars(wanted.order_by(Firing.due_at, Firing.id).with_for_update()))
    days = {one.id: one for one in campaigns.of_ids(scope, sorted({one.campaign_id for one in waiting}))}
    active = {one.id for one in campaigns.triggered(scope, "active")}
    reach = _reach(scope, waiting, days)
    going = []
    for one in waiting:
        campaign = days[one.campaign_id]
        until = quiet_until(scope, _hours(campaign), now)
        reason = "" if one.series_id in active else "its trigger is not active any more"
        kept = ("skipped", reason) if reason else unwelcome(reach, one.person, campaign.plan["rules"])
        if kept:
            one.state, one.finished_at, (one.outcome, one.reason) = DONE, now, kept
        elif until is not None:
            one.due_at = until
        elif campaign.conditional:
            one.state = ASKING
        else:
            going.append(one)
    let_go(session, scope, going)
    if any(one.state == ASKING for one in waiting):
        wake(session)
    session.flush()


def _hours(campaign: campaigns.Occurrence) -> QuietHours | None:
    """The quiet hours that a campaign was planned with."""
    hours = campaign.plan["trigger"]["quiet_hours"]
    return None if hours is None else QuietHours.model_validate(hours)


def _reach(scope: Scope, waiting: Sequence[Firing], days: dict[int, campaigns.Occurrence]) -> Reach:
    """The flags and groups of the customers of firings."""
    found = Reach({one.id: one for one in channels_of(scope)}, customers.consents(scope))
    needs = Needs(groups={n for day in days.values() for n in day.plan["rules"]["exclude_target_group_ids"]})
    ids = [one.customer_id for one in waiting if not one.is_visitor]
    found.known = load(scope, audiences.schema(scope), scope.data_date(), ids, needs, scope.today())
    return found
