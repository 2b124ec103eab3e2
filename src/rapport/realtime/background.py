"""What deciding about a batch of candidates rests on: who they are, what they got before, where they can be reached."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns import service as campaigns
from rapport.campaigns.service import ReEntry
from rapport.conditions import Facts
from rapport.customers import service as customers
from rapport.realtime.facts import Needs, load
from rapport.realtime.reach import Fault, Reach, attributes_of
from rapport.realtime.triggers import Catalogue, Trigger

if TYPE_CHECKING:
    from rapport.realtime.deciding import Candidate

EVER = datetime(1970, 1, 1)

# Firings of a person w.p: its own, and those of visitors who turned out to be the customer.
THEIRS = """f.tenant_id = :tenant_id AND f.person = ANY(ARRAY(
            SELECT w.p UNION ALL SELECT 'v:' || v.visitor_id FROM visitors AS v
            WHERE v.tenant_id = :tenant_id AND lower(v.customer_id) = w.p
        ))"""
# How often they went out, were held back, or may still go out, since a time.
ENTERED = text(f"""
    SELECT w.p, w.s, (
        SELECT count(*) FROM trigger_firings AS f
        WHERE {THEIRS} AND f.series_id = w.s AND f.fired_at > w.t AND f.outcome IN ('', 'sent', 'failed', 'control')
    )
    FROM json_to_recordset(CAST(:rows AS json)) AS w(p text, s int, t timestamptz)
""")  # noqa: S608 - ours
# Messages that went out with them since a time; a firing that may still go out counts as one.
MESSAGES = text(f"""
    SELECT w.p, (
        SELECT count(*) FROM trigger_firings AS f
        LEFT JOIN firing_messages AS m
            ON m.tenant_id = f.tenant_id AND m.firing_id = f.id AND m.state IN ('pending', 'claimed', 'sent')
        WHERE {THEIRS} AND f.fired_at >= :since AND (m.firing_id IS NOT NULL OR f.state IN ('delayed', 'asking'))
    )
    FROM unnest(CAST(:persons AS text[])) AS w(p)
""")  # noqa: S608 - ours


@dataclass
class Background:
    """Of one batch; counts go on as decisions are noted, so that a person is not let in twice by one batch."""

    scope: Scope
    catalogue: Catalogue
    now: datetime
    reach: Reach
    entered: Counter[tuple[str, int]] = field(default_factory=Counter)
    messages: Counter[tuple[str, int]] = field(default_factory=Counter)
    running: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, session: Session, catalogue: Catalogue, some: "Sequence[Candidate]", now: datetime) -> "Background":
        """What the conditions and rules of candidates ask about them."""
        made = cls(
            catalogue.scope,
            catalogue,
            now,
            Reach(catalogue.channels, customers.consents(catalogue.scope), apps=catalogue.apps),
        )
        persons = {one.person: one.customer_id for one in some if not one.is_visitor}
        needs = Needs()
        for trigger in {one.trigger.id: one.trigger for one in some}.values():
            _ask(needs, trigger, catalogue)
        today = catalogue.scope.today()
        scope = catalogue.scope
        made.reach.known = load(scope, catalogue.schema, catalogue.data_date, persons.values(), needs, today)
        return made

    def meets(self, one: "Candidate") -> bool:
        """Whether a person meets the customer conditions, and visitors are asked for if it is one."""
        if one.is_visitor and not one.trigger.body.visitors:
            return False
        known = self.reach.known.get(one.person)
        return one.trigger.meets(known.facts if known else Facts(one.customer_id, self.scope.today()))

    def count(self, session: Session, some: "Sequence[Candidate]") -> None:
        """What persons who met their triggers got before, and where they must not be written to."""
        self._count_entries(session, some)
        self._count_messages(session, some)
        if any(not one.trigger.body.rules.include_all for one in some):
            self.running = campaigns.in_running(self.scope, self._customers(some))
        used = {place.channel_id for one in some for group in one.trigger.body.groups for place in group.channels}
        self.reach.ask(self.scope, used, self._customers(some))

    def _customers(self, some: "Iterable[Candidate]") -> list[str]:
        return sorted({self.spelled(one) for one in some if not one.is_visitor})

    def spelled(self, one: "Candidate") -> str:
        """The id of a candidate as the warehouse knows it, else as it was given."""
        known = self.reach.known.get(one.person)
        return known.customer_id if known else one.customer_id

    def _count_entries(self, session: Session, some: "Sequence[Candidate]") -> None:
        wanted = {
            (one.person, one.trigger.id): _since(one.trigger.body.re_entry, self.now)
            for one in some
            if one.trigger.body.re_entry != "unlimited"
        }
        rows = [{"p": person, "s": series, "t": since} for (person, series), since in wanted.items()]
        if rows:
            bound = {"tenant_id": self.scope.tenant_id, "rows": orjson.dumps(rows).decode()}
            for person, series, times in session.execute(ENTERED, bound):
                self.entered[person, series] = times

    def has_entered(self, one: "Candidate") -> bool:
        """Whether the person has had the trigger as often as it may."""
        limit = one.trigger.body.re_entry
        if limit == "unlimited":
            return False
        times = limit.times if isinstance(limit, ReEntry) else 1
        return self.entered[one.person, one.trigger.id] >= times

    def _count_messages(self, session: Session, some: "Sequence[Candidate]") -> None:
        capped = [one for one in some if one.trigger.body.rules.frequency_cap is not None]
        for days in {_cap_days(one.trigger) for one in capped}:
            own = [one for one in capped if _cap_days(one.trigger) == days]
            first = self.scope.today() - timedelta(days=days - 1)
            self._count_since(session, own, days, first)

    def _count_since(self, session: Session, some: "Sequence[Candidate]", days: int, first: date) -> None:
        since = self.scope.instant(datetime.combine(first, time()))
        bound = {
            "tenant_id": self.scope.tenant_id,
            "persons": sorted({one.person for one in some}),
            "since": since,
        }
        for person, messages in session.execute(MESSAGES, bound):
            self.messages[person, days] += messages
        for customer_id, messages in campaigns.scheduled_messages(self.scope, self._customers(some), first).items():
            self.messages[customer_id.lower(), days] += messages

    def is_capped(self, one: "Candidate") -> bool:
        """Whether the person has had as many messages as the trigger's cap allows."""
        cap = one.trigger.body.rules.frequency_cap
        return cap is not None and self.messages[one.person, cap.days] >= cap.messages

    def note(self, one: "Candidate", state: str, outcome: str) -> None:
        """Count a decision of this batch."""
        if outcome in ("", "sent", "failed", "control"):
            self.entered[one.person, one.trigger.id] += 1
        if outcome in ("", "sent"):
            for person, days in [key for key in self.messages if key[0] == one.person]:
                self.messages[person, days] += 1
            cap = one.trigger.body.rules.frequency_cap
            if cap is not None and (one.person, cap.days) not in self.messages:
                self.messages[one.person, cap.days] = 1

    def faults(self, one: "Candidate", plan: Mapping[str, Any]) -> dict[int, Fault]:
        """The channels of a group on which a candidate cannot be reached, with outcome and reason."""
        return self.reach.faults(one.person, plan)


def _ask(needs: Needs, trigger: Trigger, catalogue: Catalogue) -> None:
    """Add what a trigger's conditions, exclusions and channels ask about a customer."""
    needs.of_condition(trigger.condition)
    needs.groups |= set(trigger.body.rules.exclude_target_group_ids)
    used = {place.channel_id for group in trigger.body.groups for place in group.channels}
    needs.attributes |= attributes_of(catalogue.channels[channel_id] for channel_id in used)


def _since(limit: Any, now: datetime) -> datetime:
    return now - timedelta(days=limit.days) if isinstance(limit, ReEntry) else EVER


def _cap_days(trigger: Trigger) -> int:
    cap = trigger.body.rules.frequency_cap
    assert cap is not None, "only triggers with a cap are counted for"
    return cap.days
