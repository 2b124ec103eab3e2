"""What fires by the clock: sequences whose deadline has come, and firings that waited for the end of quiet hours."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.audiences import schema
from rapport.audiences.facts import Needs, load
from rapport.campaigns.delivery import quiet_hours
from rapport.campaigns.models import Occurrence
from rapport.campaigns.plans import PlannedGroup
from rapport.campaigns.runs import hold_out
from rapport.campaigns.triggered import definitions, runs
from rapport.campaigns.triggered.schemas import QuietHours
from rapport.channels.service import channels as channels_of
from rapport.conditions.outcomes import Outcome
from rapport.customers import attributes, consent
from rapport.customers.person_ids import VISITOR
from rapport.messaging.contactability import rules
from rapport.realtime.events.owners import found_out, owners
from rapport.realtime.matching import progress
from rapport.realtime.matching.background import Days, messages_of
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import Catalogue, fault_entry
from rapport.realtime.matching.deciding import decide, group_of
from rapport.realtime.matching.evaluating import Key, States
from rapport.realtime.matching.reachability import Fault, Reach, address_attributes, attributes_of
from rapport.realtime.matching.releasing import NOT_ACTIVE, let_go, refuse, wake
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
            tenant.id,
            EXISTS (
                SELECT 1 FROM accepted_events AS accepted WHERE accepted.tenant_id = tenant.id AND accepted.state = 0
            ) AS waits,
            EXISTS (
                SELECT 1 FROM trigger_states AS state
                WHERE state.tenant_id = tenant.id AND state.deadline <= CAST(:now AS timestamptz) - :grace
            ) OR EXISTS (
                SELECT 1 FROM trigger_firings AS firing
                WHERE firing.tenant_id = tenant.id AND firing.state = '{FiringState.DELAYED}' AND firing.due_at <= :now
            ) AS due
        FROM tenants AS tenant
    ) AS tenants_to_look_at
    WHERE waits OR due ORDER BY id
""")  # noqa: S608 - ours


def due_sequences(scope: Scope, session: Session) -> list[Key]:
    """Sequences whose deadline has come, as series and person, the oldest first."""
    parameters = {"tenant_id": scope.tenant_id, "now": scope.clock.now() - GRACE, "most": AT_ONCE}
    return [(int(series), str(person)) for series, person in session.execute(DUE_SEQUENCES, parameters)]


def end_sequences(session: Session, catalogue: Catalogue, keys: Sequence[Key]) -> None:
    """End sequences and fire for them, in the caller's transaction; those of a trigger
    that is not active, or was something else, just end."""
    scope = catalogue.scope
    now = scope.clock.now() - GRACE
    visitors = [person.removeprefix(VISITOR) for _, person in keys if person.startswith(VISITOR)]
    owned = owners(scope, session, visitors)
    customer_ids = {visitor: owned.first(visitor) for visitor in visitors if owned.first(visitor)}
    customers_of = {person: person for _, person in keys if not person.startswith(VISITOR)}
    customers_of |= {customer.lower(): customer for customer in customer_ids.values()}
    states = States(scope, session, catalogue.triggers)
    of_visitors = [(series, customer_ids.get(person.removeprefix(VISITOR), "").lower()) for series, person in keys]
    states.load([*keys, *((series, customer) for series, customer in of_visitors if customer)])
    states.adopt(customers_of)
    candidates = [candidate for key in keys for candidate in _ended(catalogue, states, key, customer_ids, now)]
    states.keep()
    _tell_of_faults(session, catalogue, keys)
    decide(session, catalogue, candidates)


def _tell_of_faults(session: Session, catalogue: Catalogue, keys: Sequence[Key]) -> None:
    """Log sequences that ended without firing because their trigger cannot be evaluated."""
    for series_id, ended in Counter(series for series, _ in keys if series in catalogue.faults).items():
        sequences = "1 open sequence" if ended == 1 else f"{ended} open sequences"
        then = f" {sequences} ended without firing."
        session.add(fault_entry(catalogue.scope, series_id, catalogue.faults[series_id], then))


def drop_sequence(scope: Scope, key: Key, error: Exception) -> None:
    """Forget a sequence that cannot be ended, so that it holds up no other."""
    log.error("a sequence cannot be ended", tenant_id=scope.tenant_id, series_id=key[0], error=str(error)[:300])
    series, person = key
    with scope.records() as session:
        state = session.get(TriggerState, (scope.tenant_id, series, person))
        if state is not None:
            session.delete(state)


def _ended(
    catalogue: Catalogue, states: States, key: Key, customer_ids: Mapping[str, str], now: datetime
) -> Iterator[Candidate]:
    """The candidates that sequences come to; none when a visitor's turns out to be closed or moved on."""
    series, person = key
    trigger = catalogue.triggers.get(series)
    if trigger is None or not states.was_stored(key):
        states.drop(key)
        return
    customer = customer_ids.get(person.removeprefix(VISITOR), "") if person.startswith(VISITOR) else ""
    if customer:
        states.join(trigger, person, customer.lower(), customer)
        person = customer.lower()
    state, is_visitor = states.of(trigger, person), person.startswith(VISITOR)
    fires = trigger.body.visitors or not is_visitor
    while state.deadline is not None and state.deadline <= now:
        opened = progress.end(state, fires=fires)
        if fires:
            customer_id = opened["customer_id"] or opened["visitor_id"]
            yield Candidate(trigger, person, customer_id, is_visitor, opened["key"], opened["parameters"])


def due_firings(scope: Scope, session: Session) -> list[int]:
    """Firings whose quiet hours have ended, by id, the oldest first."""
    due = (Firing.tenant_id == scope.tenant_id, Firing.state == FiringState.DELAYED, Firing.due_at <= scope.clock.now())
    return list(session.scalars(select(Firing.id).where(*due).order_by(Firing.due_at, Firing.id).limit(AT_ONCE)))


def give_up(scope: Scope, firing_id: int, error: Exception) -> None:
    """End a firing that cannot be taken up, so that it holds up no other."""
    log.error("a firing cannot be taken up", tenant_id=scope.tenant_id, firing_id=firing_id, error=str(error)[:300])
    with scope.records() as session:
        refuse(scope, session, firing_id, Outcome.FAILED, "It could not be taken up after quiet hours.")


def delayed_firings(scope: Scope, session: Session, beginning: str) -> list[tuple[str, str]]:
    """Firings that wait for the end of quiet hours, as person and key, by how the keys of what fired them begin."""
    query = select(Firing.person, Firing.event_key).where(
        Firing.tenant_id == scope.tenant_id,
        Firing.state == FiringState.DELAYED,
        Firing.event_key.startswith(beginning, autoescape=True),
    )
    return [(str(person), str(key)) for person, key in session.execute(query)]


def drop_delayed(scope: Scope, session: Session, firings: Iterable[tuple[str, str]], reason: str) -> None:
    """End firings that wait for the end of quiet hours, in the caller's transaction, and count them as excluded: by
    person, and how the key of what fired them begins.
    """
    parameters = {
        "tenant_id": scope.tenant_id,
        "now": scope.clock.now(),
        "reason": reason,
        "rows": orjson.dumps([{"person": person, "beginning": key} for person, key in firings]).decode(),
    }
    session.execute(DROP_DELAYED, parameters)


def resume(scope: Scope, session: Session, firing_ids: Sequence[int]) -> None:
    """Take up firings whose quiet hours have ended, in the caller's transaction.

    Whom the rules keep out by now is kept out, control members too, and visitors as the customers that they turned out
    to be; so is everybody of a trigger that is not active any more.
    """
    now = scope.clock.now()
    query = select(Firing).where(
        Firing.tenant_id == scope.tenant_id, Firing.id.in_(firing_ids), Firing.state == FiringState.DELAYED
    )
    waiting = list(session.scalars(query.order_by(Firing.due_at, Firing.id).with_for_update()))
    due = DueFirings.of(scope, session, waiting)
    going = []
    for firing in waiting:
        until = quiet_hours.quiet_until(scope, _hours(due.campaign(firing)), now)
        if until is not None:
            firing.due_at = until
        elif kept := due.kept_out(firing):
            firing.state, firing.finished_at, (firing.outcome, firing.reason) = FiringState.DONE, now, kept
        elif not firing.recipient_group_id:
            firing.state, firing.finished_at, firing.outcome = FiringState.DONE, now, Outcome.CONTROL
        elif due.campaign(firing).conditional:
            firing.state = FiringState.ASKING
        else:
            going.append(firing)
    let_go(scope, session, going)
    if any(firing.state == FiringState.ASKING for firing in waiting):
        wake(session)
    session.flush()


DROP_DELAYED = text(f"""
    UPDATE trigger_firings AS firing
    SET state = '{FiringState.DONE}', outcome = '{Outcome.EXCLUDED}', reason = :reason, finished_at = :now
    FROM json_to_recordset(CAST(:rows AS json)) AS dropped(person text, beginning text)
    WHERE firing.tenant_id = :tenant_id AND firing.person = dropped.person
        AND firing.state = '{FiringState.DELAYED}' AND starts_with(firing.event_key, dropped.beginning)
""")  # noqa: S608 - ours


@dataclass
class DueFirings:
    """Firings whose quiet hours have ended: who they are now, and what they got meanwhile.

    customers are those that visitors turned out to be since, by person.
    messages are those of persons in the days of a cap; they go on as firings go out.
    """

    scope: Scope
    days: Mapping[int, Occurrence]
    active: set[int]
    customers: Mapping[str, str]
    reach: Reach
    messages: dict[Days, Counter[str]]

    @classmethod
    def of(cls, scope: Scope, session: Session, waiting: Sequence[Firing]) -> "DueFirings":
        """Of firings that are held by the caller."""
        days = {
            campaign.id: campaign
            for campaign in runs.occurrences_by_id(scope, sorted({firing.campaign_id for firing in waiting}))
        }
        customer_ids = found_out(scope, session, waiting)
        persons_by_days: dict[Days, dict[str, str]] = defaultdict(dict)
        for firing in waiting:
            if cap := days[firing.campaign_id].plan.rules.frequency_cap:
                customer = customer_ids.get(firing.person, "" if firing.is_visitor else firing.customer_id)
                persons_by_days[cap.days, scope.today()][customer.lower() or firing.person] = customer
        messages = {
            cap_days: messages_of(scope, session, persons, cap_days, [FiringState.ASKING])
            for cap_days, persons in persons_by_days.items()
        }
        return cls(
            scope,
            days,
            definitions.active_triggers(scope),
            customer_ids,
            _reach(scope, waiting, customer_ids, days),
            messages,
        )

    def person(self, firing: Firing) -> str:
        """Whom a firing is of, as far as is known now."""
        customer = self.customers.get(firing.person) if firing.is_visitor else None
        return customer.lower() if customer else firing.person

    def campaign(self, firing: Firing) -> Occurrence:
        """The campaign of a firing."""
        return self.days[firing.campaign_id]

    def kept_out(self, firing: Firing) -> Fault | None:
        """Why a firing does not go out now, as outcome and reason; who goes or is held back is counted."""
        campaign, group, person = self.campaign(firing), self._group(firing), self.person(firing)
        if firing.series_id not in self.active:
            return NOT_ACTIVE
        cap = campaign.plan.rules.frequency_cap
        fault = rules.first(
            {
                **self.reach.barring(person, campaign.plan),
                rules.CAPPED: lambda: cap and self.messages[cap.days, self.scope.today()][person] >= cap.messages,
            }
        )
        if fault:
            return fault
        faults = self.reach.faults(firing.person, group, also=person)
        if len(faults) == len(group.channels):
            return min(faults.values())
        messages = len(group.channels) - len(faults)
        if not firing.recipient_group_id:
            firing.messages = messages
        elif self.campaign(firing).conditional:
            messages = 1
        for counted in self.messages.values():
            counted[person] += messages
        return None

    def _group(self, firing: Firing) -> PlannedGroup:
        """The recipient group of a firing; of a control member the one that it would be in."""
        plan, number = self.campaign(firing).plan, firing.recipient_group_id
        number = number or group_of(firing.series_id, plan.groups, self.reach.divided_by(firing.person, plan))
        return plan.group(number)


def _hours(campaign: Occurrence) -> QuietHours | None:
    """The quiet hours that a campaign was planned with."""
    return campaign.plan.quiet_hours


def _reach(
    scope: Scope, waiting: Sequence[Firing], customer_ids: Mapping[str, str], days: Mapping[int, Occurrence]
) -> Reach:
    """The flags and groups of the customers of firings, and where they can be reached."""
    channels, forbidding = {channel.id: channel for channel in channels_of(scope)}, attributes.forbidding(scope)
    reach = Reach(channels, consent.consents(scope), forbidding)
    reach.kept_back = hold_out.active_hold_out(scope, scope.today(), address_attributes(reach.channels))
    used = {channel_id for day in days.values() for channel_id in day.plan.channel_ids}
    needs = Needs(groups={n for day in days.values() for n in day.plan.rules.exclude_target_group_ids})
    needs.attributes |= attributes_of(reach.channels, used) | {*forbidding}
    ids = [*(firing.customer_id for firing in waiting if not firing.is_visitor), *customer_ids.values()]
    reach.customers = load(scope, schema.schema(scope), scope.data_date(), ids, needs, scope.today())
    reach.ask(scope, used, ids)
    return reach
