"""Whom a trigger could reach today, who would be kept out and why: counted, with nothing stored, asked or sent."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy.orm import Session

from rapport import conditions
from rapport.access.scope import Scope
from rapport.audiences import counting, membership
from rapport.campaigns.delivery import quiet_hours
from rapport.campaigns.publishing.rewards import CustomerRewards
from rapport.campaigns.runs.clearance import REFUSED
from rapport.campaigns.runs.dry_runs import WouldNotReach, WouldReach
from rapport.campaigns.states import SeriesStatus
from rapport.campaigns.triggered import definitions, runs
from rapport.conditions.outcomes import Outcome
from rapport.errors import Conflict, Invalid
from rapport.realtime.matching import rewarding
from rapport.realtime.matching.background import Background
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import Catalogue, Trigger, compiled
from rapport.realtime.matching.deciding import Decision, decided
from rapport.realtime.matching.outgoing import Outgoing
from rapport.realtime.matching.trials import NOT_TODAY
from rapport.realtime.states import FiringState

# Of more customers so many are looked at, spread evenly, and what is counted is scaled.
LOOKED_AT = 20_000
AT_ONCE = 2_000
# No currency has more decimals.
DIGITS = 3
WAITS = "It is a quiet hour: what fires now waits until {until:%H:%M}."
DROPPED = "It is a quiet hour until {until:%H:%M}: what fires now is skipped."
ASKED = "The gateway is asked about everybody before anything goes out; what it would say is not known."
BUDGETED = "Promotions decide about each customer alone: their budgets may end before everybody has had a reward."
SAMPLED = "{looked_at} of them were looked at, spread evenly; all numbers but customers are scaled to {customers}."
NOTHING = CustomerRewards("", {})

Unreached = tuple[int, str, str]


@dataclass(frozen=True)
class WouldGrant:
    """Customers whom promotions would grant a reward, by the key of its type, and the sum of its values."""

    reward_type: str
    customers: int
    value: float


@dataclass(frozen=True)
class TriggerDryRun:
    """The outcomes of the firings if everybody who meets its conditions met the trigger now, once.

    customers are those on the data date; rewards are what promotions would grant; notes are sentences about them all.
    """

    trigger_id: int
    data_date: date
    customers: int
    looked_at: int
    addressed: int
    control: int
    reached: list[WouldReach]
    not_reached: list[WouldNotReach]
    rewards: list[WouldGrant]
    notes: list[str]


def dry_run(scope: Scope, trigger_id: int) -> TriggerDryRun:
    """Count a triggered campaign, active or paused. Visitors whom nobody knows are not among those counted.

    Raises NotFound; Invalid when it cannot be evaluated; Conflict before the first data date or for an archived one.
    """
    series, data_date = definitions.triggered_series(scope, trigger_id), scope.data_date()
    if data_date is None:
        raise Conflict("There are no data yet: run a daily cycle first.")
    if series.status == SeriesStatus.ARCHIVED:
        raise Conflict(f"Triggered campaign {trigger_id} is archived.")
    catalogue = compiled(scope, [series])
    if trigger_id in catalogue.faults:
        raise Invalid(catalogue.faults[trigger_id])
    trigger = catalogue.triggers[trigger_id]
    condition = conditions.Every(()) if trigger.condition is None else trigger.condition
    groups = set(trigger.body.rules.exclude_target_group_ids) | conditions.groups_in(condition)
    membership.ensure_members(scope, groups, data_date)
    customers, sample = counting.size_now(scope, condition), counting.sample_now(scope, condition, LOOKED_AT)
    tally = _Tally(catalogue, trigger)
    with scope.records() as session:
        for first in range(0, len(sample), AT_ONCE):
            tally.count(session, sample[first : first + AT_ONCE])
    return tally.result(data_date, customers)


class _Tally:
    """Decisions on customers, counted; nothing of them is kept."""

    def __init__(self, catalogue: Catalogue, trigger: Trigger) -> None:
        self._catalogue, self._trigger, self._scope = catalogue, trigger, catalogue.scope
        self._campaign = runs.planned_day(self._scope, trigger.series)
        self._now = self._scope.clock.now()
        self._looked_at = self._addressed = self._control = 0
        self._reached: Counter[tuple[int, int]] = Counter()
        self._not_reached: Counter[Unreached] = Counter()
        self._rewarded: Counter[str] = Counter()
        self._granted: dict[str, Decimal] = defaultdict(Decimal)

    def count(self, session: Session, customer_ids: Sequence[str]) -> None:
        """What would become of some customers."""
        self._looked_at += len(customer_ids)
        candidates = [
            Candidate(self._trigger, customer_id.lower(), customer_id, False, "dry run", {})
            for customer_id in customer_ids
        ]
        background = Background.of(session, self._catalogue, candidates, self._now)
        met = [candidate for candidate in candidates if background.meets(candidate)]
        if met:
            background.count(session, met)
        decisions = {place: decided(candidate, self._campaign, background) for place, candidate in enumerate(met)}
        rewards = self._rewards(met, decisions)
        for place, candidate in enumerate(met):
            if rewards.get(place, NOTHING) is None:
                self._not_reached[0, Outcome.EXCLUDED, REFUSED] += 1
            else:
                self._add(candidate, decisions[place], background)

    def _rewards(
        self, met: Sequence[Candidate], decisions: Mapping[int, Decision]
    ) -> dict[int, CustomerRewards | None]:
        """What promotions would grant those who would be reached, by their places."""
        reached = [
            Outgoing(place, self._campaign, decision.group, met[place].customer_id, False, {}, decision.faults or {})
            for place, decision in decisions.items()
            if decision.group and decision.outcome in ("", Outcome.SENT)
        ]
        granted = rewarding.foretold(self._scope, reached)
        for rewards in granted.values():
            for name, value in rewards.values.items() if rewards else ():
                self._rewarded[name] += 1
                self._granted[name] += Decimal(value)
        return granted

    def _add(self, candidate: Candidate, decision: Decision, background: Background) -> None:
        if decision.outcome == Outcome.CONTROL or (decision.state == FiringState.DELAYED and not decision.group):
            self._control += 1
            self._not_reached[0, Outcome.CONTROL, ""] += 1
        elif not decision.group:
            self._not_reached[0, decision.outcome, decision.reason] += 1
        else:
            self._add_channels(candidate, decision.group, background)

    def _add_channels(self, candidate: Candidate, group: int, background: Background) -> None:
        planned = self._campaign.plan.group(group)
        faults = background.faults(candidate, planned)
        for channel in planned.channels:
            channel_id = channel.channel_id
            if channel_id in faults:
                self._not_reached[channel_id, *faults[channel_id]] += 1
            else:
                self._reached[group, channel_id] += 1
        self._addressed += len(faults) < len(planned.channels)

    def result(self, data_date: date, customers: int) -> TriggerDryRun:
        """What was counted, scaled to so many customers."""
        scale = customers / self._looked_at if self._looked_at else 1.0
        return TriggerDryRun(
            trigger_id=self._trigger.id,
            data_date=data_date,
            customers=customers,
            looked_at=self._looked_at,
            addressed=round(self._addressed * scale),
            control=round(self._control * scale),
            reached=[WouldReach(*reached, round(n * scale)) for reached, n in sorted(self._reached.items())],
            not_reached=[
                WouldNotReach(*unreached, round(n * scale)) for unreached, n in sorted(self._not_reached.items())
            ],
            rewards=[
                WouldGrant(name, round(n * scale), round(float(self._granted[name]) * scale, DIGITS))
                for name, n in sorted(self._rewarded.items())
            ],
            notes=list(self._notes(customers)),
        )

    def _notes(self, customers: int) -> Iterator[str]:
        if not self._trigger.runs_on(self._scope.today()):
            yield NOT_TODAY
        hours = self._trigger.body.quiet_hours
        until = quiet_hours.quiet_until(self._scope, hours, self._now)
        if hours is not None and until is not None:
            words = WAITS if hours.then == "delay" else DROPPED
            yield words.format(until=until.astimezone(self._scope.time_zone))
        if self._campaign.conditional:
            yield ASKED
        if self._rewarded:
            yield BUDGETED
        if self._looked_at < customers:
            yield SAMPLED.format(looked_at=self._looked_at, customers=customers)
