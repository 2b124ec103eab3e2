"""What deciding about a batch of candidates rests on: who they are, what they got before, where they can be reached."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.audiences.facts import Needs, load
from rapport.campaigns.delivery import quiet_hours
from rapport.campaigns.plans import PlannedGroup
from rapport.campaigns.runs import addressed, hold_out
from rapport.campaigns.triggered.schemas import ReEntry, ReEntryRule
from rapport.conditions import Facts
from rapport.conditions.outcomes import Outcome
from rapport.customers import attributes, consent
from rapport.delivery.models import Source, State
from rapport.realtime.events.owners import IS_FIRST
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import Catalogue, Trigger
from rapport.realtime.matching.reachability import Fault, Reach, address_attributes, attributes_of
from rapport.realtime.states import FiringState

EVER = datetime(1970, 1, 1)
# Of a frequency cap: the tenant's days up to one, by their number and the last.
Days = tuple[int, date]

# Firings of a person asked.person: its own, and those of visitors who turned out to be the customer.
THEIRS = f"""firing.tenant_id = :tenant_id AND firing.person = ANY(ARRAY(
            SELECT asked.person UNION ALL SELECT 'v:' || owner.visitor_id FROM visitor_owners AS owner
            WHERE owner.tenant_id = :tenant_id AND owner.person = asked.person AND {IS_FIRST}
        ))"""  # noqa: S608 - ours
# When a firing goes out or went out: at the end of quiet hours, else when it was made.
LEAVES = "coalesce(firing.due_at, firing.fired_at)"
# How often they went out, were held back, or may still go out, since a time.
ENTERED = text(f"""
    SELECT asked.person, asked.series_id, (
        SELECT count(*) FROM trigger_firings AS firing
        WHERE {THEIRS} AND firing.series_id = asked.series_id AND {LEAVES} > asked.since
            AND firing.outcome IN ('', '{Outcome.SENT}', '{Outcome.FAILED}', '{Outcome.CONTROL}')
    )
    FROM json_to_recordset(CAST(:rows AS json)) AS asked(person text, series_id int, since timestamptz)
""")  # noqa: S608 - ours
# Messages that left with them in some days; a firing that may still leave in them counts as one, and one that was held
# back as the messages that it would have had.
MESSAGES = text(f"""
    SELECT asked.person, (
        SELECT coalesce(sum(CASE WHEN firing.outcome = '{Outcome.CONTROL}' THEN firing.messages ELSE 1 END), 0)
            FROM trigger_firings AS firing
        LEFT JOIN messages
            ON messages.tenant_id = firing.tenant_id AND messages.source = '{Source.FIRING}'
                AND messages.source_id = firing.id
                AND messages.state IN ('{State.PENDING}', '{State.CLAIMED}', '{State.SENT}')
        WHERE {THEIRS} AND {LEAVES} >= :since AND {LEAVES} < :before
            AND (messages.id IS NOT NULL OR firing.outcome = '{Outcome.CONTROL}'
                OR firing.state = ANY(CAST(:waiting AS text[])))
    )
    FROM unnest(CAST(:persons AS text[])) AS asked(person)
""")  # noqa: S608 - ours


# The recipient group, 0 for control, in which customers had a trigger when nobody knew yet that they are.
DRAWN = text(f"""
    SELECT DISTINCT ON (asked.person, asked.series_id) asked.person, asked.series_id, firing.recipient_group_id
    FROM json_to_recordset(CAST(:rows AS json)) AS asked(person text, series_id int)
    JOIN visitor_owners AS owner ON owner.tenant_id = :tenant_id AND owner.person = asked.person AND {IS_FIRST}
    JOIN trigger_firings AS firing ON firing.tenant_id = owner.tenant_id AND firing.person = 'v:' || owner.visitor_id
        AND firing.series_id = asked.series_id
    WHERE firing.recipient_group_id > 0 OR firing.outcome IN ('', '{Outcome.CONTROL}')
    ORDER BY asked.person, asked.series_id, firing.id
""")  # noqa: S608 - ours


@dataclass
class Background:
    """Of one batch; counts go on as decisions are noted, so that a person is not let in twice by one batch."""

    scope: Scope
    catalogue: Catalogue
    now: datetime
    reach: Reach
    entered: Counter[tuple[str, int]] = field(default_factory=Counter)
    messages: dict[str, Counter[Days]] = field(default_factory=lambda: defaultdict(Counter))
    running: set[str] = field(default_factory=set)
    drawn: dict[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, session: Session, catalogue: Catalogue, candidates: Sequence[Candidate], now: datetime) -> "Background":
        """What the conditions and rules of candidates ask about them."""
        background = cls(
            catalogue.scope,
            catalogue,
            now,
            Reach(
                catalogue.channels,
                consent.consents(catalogue.scope),
                attributes.forbidding(catalogue.scope),
                purposes=catalogue.purposes,
                kept_back=hold_out.active_hold_out(
                    catalogue.scope, catalogue.scope.today(), address_attributes(catalogue.channels)
                ),
            ),
        )
        persons = {candidate.person: candidate.customer_id for candidate in candidates if not candidate.is_visitor}
        needs = Needs()
        needs.attributes |= {*background.reach.forbidding}
        for trigger in {candidate.trigger.id: candidate.trigger for candidate in candidates}.values():
            _ask(needs, trigger, catalogue)
        today = catalogue.scope.today()
        scope = catalogue.scope
        background.reach.customers = load(scope, catalogue.schema, catalogue.data_date, persons.values(), needs, today)
        if needs.channels:
            background.reach.find_reachable(scope, needs.channels)
        return background

    def meets(self, candidate: Candidate) -> bool:
        """Whether a person meets the customer conditions, and visitors are asked for if it is one."""
        if candidate.is_visitor and not candidate.trigger.body.visitors:
            return False
        customer = self.reach.customers.get(candidate.person)
        return candidate.trigger.meets(customer.facts if customer else Facts(candidate.customer_id, self.scope.today()))

    def count(self, session: Session, candidates: Sequence[Candidate]) -> None:
        """What persons who met their triggers got before, and where they must not be written to."""
        self._count_entries(session, candidates)
        self._count_messages(session, candidates)
        self._ask_drawn(session, candidates)
        if any(not candidate.trigger.body.rules.include_all for candidate in candidates):
            self.running = addressed.in_running(self.scope, self._customers(candidates))
        used = {
            channel.channel_id
            for candidate in candidates
            for group in candidate.trigger.body.groups
            for channel in group.channels
        }
        self.reach.ask(self.scope, used, self._customers(candidates))

    def _customers(self, candidates: Iterable[Candidate]) -> list[str]:
        return sorted({self.spelled(candidate) for candidate in candidates if not candidate.is_visitor})

    def spelled(self, candidate: Candidate) -> str:
        """The id of a candidate as the warehouse knows it, else as it was given."""
        customer = self.reach.customers.get(candidate.person)
        return customer.customer_id if customer else candidate.customer_id

    def leaves_at(self, trigger: Trigger) -> datetime:
        """When what fires now goes out: at once, or at the end of quiet hours."""
        hours = trigger.body.quiet_hours
        waits = hours is not None and hours.then == "delay"
        return (quiet_hours.quiet_until(self.scope, hours, self.now) if waits else None) or self.now

    def _days(self, trigger: Trigger) -> Days:
        """The days in which the messages of a person are counted for a trigger's cap."""
        cap = trigger.body.rules.frequency_cap
        assert cap is not None, "only triggers with a cap are counted for"  # noqa: S101 - tells the type checker
        return cap.days, self.leaves_at(trigger).astimezone(self.scope.time_zone).date()

    def _count_entries(self, session: Session, candidates: Sequence[Candidate]) -> None:
        entries = {
            (candidate.person, candidate.trigger.id): _since(
                candidate.trigger.body.re_entry, self.leaves_at(candidate.trigger)
            )
            for candidate in candidates
            if candidate.trigger.body.re_entry != ReEntryRule.UNLIMITED
        }
        rows = [{"person": person, "series_id": series, "since": since} for (person, series), since in entries.items()]
        if rows:
            parameters = {"tenant_id": self.scope.tenant_id, "rows": orjson.dumps(rows).decode()}
            for person, series, times in session.execute(ENTERED, parameters):
                self.entered[person, series] = times

    def _ask_drawn(self, session: Session, candidates: Sequence[Candidate]) -> None:
        keys = sorted(
            {
                (candidate.person, candidate.trigger.id)
                for candidate in candidates
                if candidate.trigger.body.visitors and not candidate.is_visitor
            }
        )
        if keys:
            rows = orjson.dumps([{"person": person, "series_id": series} for person, series in keys]).decode()
            for person, series, group in session.execute(DRAWN, {"tenant_id": self.scope.tenant_id, "rows": rows}):
                self.drawn[person, series] = group

    def has_entered(self, candidate: Candidate) -> bool:
        """Whether the person has had the trigger as often as it may."""
        limit = candidate.trigger.body.re_entry
        if limit == ReEntryRule.UNLIMITED:
            return False
        times = limit.times if isinstance(limit, ReEntry) else 1
        return self.entered[candidate.person, candidate.trigger.id] >= times

    def _count_messages(self, session: Session, candidates: Sequence[Candidate]) -> None:
        persons_by_days: dict[Days, dict[str, str]] = defaultdict(dict)
        for candidate in candidates:
            if candidate.trigger.body.rules.frequency_cap is not None:
                persons_by_days[self._days(candidate.trigger)][candidate.person] = (
                    "" if candidate.is_visitor else self.spelled(candidate)
                )
        for days, persons in persons_by_days.items():
            for person, messages in messages_of(self.scope, session, persons, days).items():
                self.messages[person][days] = messages

    def is_capped(self, candidate: Candidate) -> bool:
        """Whether the person has had as many messages as the trigger's cap allows."""
        cap = candidate.trigger.body.rules.frequency_cap
        return cap is not None and self.messages[candidate.person][self._days(candidate.trigger)] >= cap.messages

    def note(self, candidate: Candidate, outcome: str, messages: int) -> None:
        """Count a decision of this batch, with the messages that it brings."""
        if outcome in ("", Outcome.SENT, Outcome.FAILED, Outcome.CONTROL):
            self.entered[candidate.person, candidate.trigger.id] += 1
        if messages and candidate.person in self.messages:
            day = self.leaves_at(candidate.trigger).astimezone(self.scope.time_zone).date()
            for number, last in self.messages[candidate.person]:
                if last - timedelta(days=number - 1) <= day <= last:
                    self.messages[candidate.person][number, last] += messages

    def faults(self, candidate: Candidate, group: PlannedGroup) -> dict[int, Fault]:
        """The channels of a group on which a candidate cannot be reached, with outcome and reason."""
        return self.reach.faults(candidate.person, group)


def _ask(needs: Needs, trigger: Trigger, catalogue: Catalogue) -> None:
    """Add what a trigger's conditions, exclusions and channels ask about a customer."""
    needs.of_condition(trigger.condition)
    needs.groups |= set(trigger.body.rules.exclude_target_group_ids)
    used = {channel.channel_id for group in trigger.body.groups for channel in group.channels}
    needs.attributes |= attributes_of(catalogue.channels, used | needs.channels)


def messages_of(
    scope: Scope,
    session: Session,
    persons: Mapping[str, str],
    days: Days,
    waiting: Sequence[str] = (FiringState.DELAYED, FiringState.ASKING),
) -> Counter[str]:
    """How many messages persons had, or are to have, in some days; persons are given with their ids as customers.

    waiting are the states of firings that count although they have not gone out.
    """
    number, last = days
    first = last - timedelta(days=number - 1)
    parameters = {
        "tenant_id": scope.tenant_id,
        "persons": sorted(persons),
        "since": scope.instant(datetime.combine(first, time())),
        "before": scope.instant(datetime.combine(last + timedelta(days=1), time())),
        "waiting": list(waiting),
    }
    counts = Counter[str]()
    for person, messages in session.execute(MESSAGES, parameters):
        counts[person] = int(messages)
    customer_ids = sorted({customer_id for customer_id in persons.values() if customer_id})
    for customer_id, messages in addressed.scheduled_messages(scope, customer_ids, first).items():
        counts[customer_id.lower()] += messages
    return counts


def _since(limit: Any, leaves_at: datetime) -> datetime:
    return leaves_at - timedelta(days=limit.days) if isinstance(limit, ReEntry) else EVER
