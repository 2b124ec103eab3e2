"""What fires by the clock: sequences whose deadline has come, and firings that waited for the end of quiet hours."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.audiences import service as audiences
from rapport.campaigns import service as campaigns
from rapport.campaigns.service import QuietHours
from rapport.channels.service import channels as channels_of
from rapport.conditions.outcomes import Outcome
from rapport.customers import service as customers
from rapport.messaging.service import rules
from rapport.realtime.events.owners import found_out, owners
from rapport.realtime.events.visitors import VISITOR
from rapport.realtime.matching import progress
from rapport.realtime.matching.background import Days, messages_of
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.deciding import decide, group_of
from rapport.realtime.matching.evaluating import Key, States
from rapport.realtime.matching.facts import Needs, load
from rapport.realtime.matching.reach import Fault, Reach, address_attributes, attributes_of
from rapport.realtime.matching.releasing import NOT_ACTIVE, let_go, refuse, wake
from rapport.realtime.matching.triggers import Catalogue, fault_entry
from rapport.realtime.models import Firing, TriggerState
from rapport.realtime.states import FiringState

log = structlog.get_logger("rapport.realtime")
AT_ONCE = 500
# A closing event may still be under way when the deadline comes.
GRACE = timedelta(seconds=2)

DUE_SEQUENCES = text("""
    SELECT series_id, person FROM trigger_states
    WHERE tenant_id = :tenant_id AND deadline <= :now ORDER BY deadline, series_id, person LIMIT :most
""")
# Tenants of whom events wait, and those of whom something has come due by the clock.
LOOK = text(f"""
    SELECT id, waits, due FROM (
        SELECT
            t.id,
            EXISTS (SELECT 1 FROM accepted_events AS e WHERE e.tenant_id = t.id AND e.state = 0) AS waits,
            EXISTS (
                SELECT 1 FROM trigger_states AS s
                WHERE s.tenant_id = t.id AND s.deadline <= CAST(:now AS timestamptz) - :grace
            ) OR EXISTS (
                SELECT 1 FROM trigger_firings AS f
                WHERE f.tenant_id = t.id AND f.state = '{FiringState.DELAYED}' AND f.due_at <= :now
            ) AS due
        FROM tenants AS t
    ) AS found
    WHERE waits OR due ORDER BY id
""")  # noqa: S608 - ours


def due_sequences(scope: Scope, session: Session) -> list[Key]:
    """Sequences whose deadline has come, as series and person, the oldest first."""
    bound = {"tenant_id": scope.tenant_id, "now": scope.clock.now() - GRACE, "most": AT_ONCE}
    return [(int(series), str(person)) for series, person in session.execute(DUE_SEQUENCES, bound)]


def end_sequences(session: Session, catalogue: Catalogue, keys: Sequence[Key]) -> None:
    """End sequences and fire for them, in the caller's transaction; those of a trigger
    that is not active, or was something else, just end."""
    scope = catalogue.scope
    now = scope.clock.now() - GRACE
    visitors = [person.removeprefix(VISITOR) for _, person in keys if person.startswith(VISITOR)]
    owned = owners(scope, session, visitors)
    known = {one: owned.first(one) for one in visitors if owned.first(one)}
    customers_of = {person: person for _, person in keys if not person.startswith(VISITOR)}
    customers_of |= {customer.lower(): customer for customer in known.values()}
    states = States(scope, session, catalogue.triggers)
    of_visitors = [(series, known.get(person.removeprefix(VISITOR), "").lower()) for series, person in keys]
    states.load([*keys, *((series, customer) for series, customer in of_visitors if customer)])
    states.adopt(customers_of)
    found = [one for key in keys for one in _ended(catalogue, states, key, known, now)]
    states.keep()
    _tell_of_faults(session, catalogue, keys)
    decide(session, catalogue, found)


def _tell_of_faults(session: Session, catalogue: Catalogue, keys: Sequence[Key]) -> None:
    """Log sequences that ended without firing because their trigger cannot be evaluated."""
    for series_id, ended in Counter(series for series, _ in keys if series in catalogue.faults).items():
        some = "1 open sequence" if ended == 1 else f"{ended} open sequences"
        then = f" {some} ended without firing."
        session.add(fault_entry(catalogue.scope, series_id, catalogue.faults[series_id], then))


def drop_sequence(scope: Scope, key: Key, error: Exception) -> None:
    """Forget a sequence that cannot be ended, so that it holds up no other."""
    log.error("a sequence cannot be ended", tenant_id=scope.tenant_id, series_id=key[0], error=str(error)[:300])
    series, person = key
    with scope.records() as session:
        found = session.get(TriggerState, (scope.tenant_id, series, person))
        if found is not None:
            session.delete(found)


def _ended(
    catalogue: Catalogue, states: States, key: Key, known: Mapping[str, str], now: datetime
) -> Iterator[Candidate]:
    """The candidates that sequences come to; none when a visitor's turns out to be closed or moved on."""
    series, person = key
    trigger = catalogue.triggers.get(series)
    if trigger is None or not states.was_found(key):
        states.drop(key)
        return
    customer = known.get(person.removeprefix(VISITOR), "") if person.startswith(VISITOR) else ""
    if customer:
        states.join(trigger, person, customer.lower(), customer)
        person = customer.lower()
    state, is_visitor = states.of(trigger, person), person.startswith(VISITOR)
    fires = trigger.body.visitors or not is_visitor
    while state.deadline is not None and state.deadline <= now:
        opened = progress.end(state, fires)
        if fires:
            who = opened["customer_id"] or opened["visitor_id"]
            yield Candidate(trigger, person, who, is_visitor, opened["key"], opened["parameters"])


def due_firings(scope: Scope, session: Session) -> list[int]:
    """Firings whose quiet hours have ended, by id, the oldest first."""
    due = (Firing.tenant_id == scope.tenant_id, Firing.state == FiringState.DELAYED, Firing.due_at <= scope.clock.now())
    return list(session.scalars(select(Firing.id).where(*due).order_by(Firing.due_at, Firing.id).limit(AT_ONCE)))


def give_up(scope: Scope, firing_id: int, error: Exception) -> None:
    """End a firing that cannot be taken up, so that it holds up no other."""
    log.error("a firing cannot be taken up", tenant_id=scope.tenant_id, firing_id=firing_id, error=str(error)[:300])
    with scope.records() as session:
        refuse(scope, session, firing_id, Outcome.FAILED, "It could not be taken up after quiet hours.")


def resume(scope: Scope, session: Session, firing_ids: Sequence[int]) -> None:
    """Take up firings whose quiet hours have ended, in the caller's transaction.

    Whom the rules keep out by now is kept out, control members too, and visitors as the customers that they turned out
    to be; so is everybody of a trigger that is not active any more.
    """
    now = scope.clock.now()
    wanted = select(Firing).where(
        Firing.tenant_id == scope.tenant_id, Firing.id.in_(firing_ids), Firing.state == FiringState.DELAYED
    )
    waiting = list(session.scalars(wanted.order_by(Firing.due_at, Firing.id).with_for_update()))
    meanwhile = Meanwhile.of(scope, session, waiting)
    going = []
    for one in waiting:
        until = campaigns.quiet_until(scope, _hours(meanwhile.campaign(one)), now)
        if until is not None:
            one.due_at = until
        elif kept := meanwhile.kept_out(one):
            one.state, one.finished_at, (one.outcome, one.reason) = FiringState.DONE, now, kept
        elif not one.recipient_group_id:
            one.state, one.finished_at, one.outcome = FiringState.DONE, now, Outcome.CONTROL
        elif meanwhile.campaign(one).conditional:
            one.state = FiringState.ASKING
        else:
            going.append(one)
    let_go(scope, session, going)
    if any(one.state == FiringState.ASKING for one in waiting):
        wake(session)
    session.flush()


@dataclass
class Meanwhile:
    """Firings whose quiet hours have ended: who they are now, and what they got meanwhile.

    customers are those that visitors turned out to be since, by person.
    messages are those of persons in the days of a cap; they go on as firings go out.
    """

    scope: Scope
    days: Mapping[int, campaigns.Occurrence]
    active: set[int]
    customers: Mapping[str, str]
    reach: Reach
    messages: dict[Days, Counter[str]]

    @classmethod
    def of(cls, scope: Scope, session: Session, waiting: Sequence[Firing]) -> "Meanwhile":
        """Of firings that are held by the caller."""
        days = {one.id: one for one in campaigns.of_ids(scope, sorted({one.campaign_id for one in waiting}))}
        known = found_out(scope, session, waiting)
        persons: dict[Days, dict[str, str]] = defaultdict(dict)
        for one in waiting:
            if cap := days[one.campaign_id].plan.rules.frequency_cap:
                customer = known.get(one.person, "" if one.is_visitor else one.customer_id)
                persons[cap.days, scope.today()][customer.lower() or one.person] = customer
        messages = {
            each: messages_of(scope, session, some, each, [FiringState.ASKING]) for each, some in persons.items()
        }
        return cls(scope, days, campaigns.active_triggers(scope), known, _reach(scope, waiting, known, days), messages)

    def person(self, one: Firing) -> str:
        """Whom a firing is of, as far as is known now."""
        customer = self.customers.get(one.person) if one.is_visitor else None
        return customer.lower() if customer else one.person

    def campaign(self, one: Firing) -> campaigns.Occurrence:
        """The campaign of a firing."""
        return self.days[one.campaign_id]

    def kept_out(self, one: Firing) -> Fault | None:
        """Why a firing does not go out now, as outcome and reason; who goes or is held back is counted."""
        campaign, group, person = self.campaign(one), self._group(one), self.person(one)
        if one.series_id not in self.active:
            return NOT_ACTIVE
        cap = campaign.plan.rules.frequency_cap
        found = rules.first(
            {
                **self.reach.barring(person, campaign.plan),
                rules.CAPPED: lambda: cap and self.messages[cap.days, self.scope.today()][person] >= cap.messages,
            }
        )
        if found:
            return found
        faults = {**self.reach.faults(person, group), **self.reach.faults(one.person, group)}
        if len(faults) == len(group.channels):
            return min(faults.values())
        messages = len(group.channels) - len(faults)
        if not one.recipient_group_id:
            one.messages = messages
        elif self.campaign(one).conditional:
            messages = 1
        for counted in self.messages.values():
            counted[person] += messages
        return None

    def _group(self, one: Firing) -> campaigns.PlannedGroup:
        """The recipient group of a firing; of a control member the one that it would be in."""
        plan, number = self.campaign(one).plan, one.recipient_group_id
        number = number or group_of(one.series_id, plan.groups, self.reach.divided_by(one.person, plan))
        return plan.group(number)


def _hours(campaign: campaigns.Occurrence) -> QuietHours | None:
    """The quiet hours that a campaign was planned with."""
    return campaign.plan.quiet_hours


def _reach(
    scope: Scope, waiting: Sequence[Firing], known: Mapping[str, str], days: Mapping[int, campaigns.Occurrence]
) -> Reach:
    """The flags and groups of the customers of firings, and where they can be reached."""
    ways, forbidding = {one.id: one for one in channels_of(scope)}, customers.forbidding(scope)
    found = Reach(ways, customers.consents(scope), forbidding)
    found.kept_back = campaigns.kept_back_on(scope, scope.today(), address_attributes(found.channels))
    used = {channel_id for day in days.values() for channel_id in day.plan.channel_ids}
    needs = Needs(groups={n for day in days.values() for n in day.plan.rules.exclude_target_group_ids})
    needs.attributes |= attributes_of(found.channels, used) | {*forbidding}
    ids = [*(one.customer_id for one in waiting if not one.is_visitor), *known.values()]
    found.known = load(scope, audiences.schema(scope), scope.data_date(), ids, needs, scope.today())
    found.ask(scope, used, ids)
    return found
