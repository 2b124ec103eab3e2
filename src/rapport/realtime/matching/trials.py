"""Trying a trigger: what an event would do, without storing or sending anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns.models import Series
from rapport.campaigns.publishing.rewards import CustomerRewards
from rapport.campaigns.runs.clearance import REFUSED
from rapport.campaigns.triggered import definitions, runs
from rapport.conditions.outcomes import Outcome
from rapport.customers.person_ids import person_of
from rapport.errors import Invalid
from rapport.realtime.events.validation import parameters_of
from rapport.realtime.events.visitors import customer_of
from rapport.realtime.matching import rewarding
from rapport.realtime.matching.background import Background
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import Catalogue, Role, compiled
from rapport.realtime.matching.deciding import decided
from rapport.realtime.matching.evaluating import Arrival, States, watched
from rapport.realtime.matching.outgoing import Outgoing
from rapport.realtime.states import FiringState

NOTHING = "The event does not match: it would do nothing."
DOES = {Role.CLOSES: "It would close an open sequence.", Role.RESTARTS: "It would begin the window anew."}
NOT_OPEN = "It would begin the window anew, but no sequence of the person is open: it would do nothing."
NOT_TODAY = "Today is not from its first to its last day: nothing would fire."
WAITS = {FiringState.ASKING: "waiting for the gateway", FiringState.DELAYED: "waiting for the end of quiet hours"}
OPENS = {
    "simple": "It meets the trigger.",
    "repeated": "It would count; from here on as if it completed the number.",
    "sequence": "It would open a sequence; from here on as if its window ended without a closing event.",
}


@dataclass(frozen=True)
class Trial:
    """What an event would do. outcome is the outcome that a firing would have now: sent, control, excluded, waiting
    ... rewards are what promotions would grant, by the key of the reward type.
    """

    matches: bool
    meets_conditions: bool
    outcome: str
    reason: str
    recipient_group_id: int
    explanation: list[str]
    rewards: Mapping[str, str] = field(default_factory=dict)


def try_event(
    scope: Scope, series_id: int, event: str, parameters: Mapping[str, Any], customer_id: str, visitor_id: str
) -> Trial:
    """What an event of a person would do to a triggered campaign, whatever its status. Raises NotFound, Invalid."""
    series = definitions.triggered_series(scope, series_id)
    if not customer_id and not visitor_id:
        raise Invalid("customer_id or visitor_id must be given.")
    catalogue = compiled(scope, [series])
    if series_id in catalogue.faults:
        raise Invalid(catalogue.faults[series_id])
    now = scope.clock.now()
    with scope.records() as session:
        customer_id = customer_id or customer_of(scope, session, [visitor_id]).get(visitor_id, "")
        warnings: list[str] = []
        read = parameters_of(parameters, catalogue.types.get(event), warnings)
        arrival = Arrival(0, "trial", event, customer_id, visitor_id, read, now, now)
        roles = [watch.role for watch in watched(catalogue, arrival, scope.today())]
        explanation = [f"{warning}." for warning in warnings]
        if not roles:
            return Trial(False, False, "", "", 0, [*explanation, NOTHING])
        if roles[0] is Role.CLOSES or (roles[0] is Role.RESTARTS and _is_open(session, catalogue, series, arrival)):
            return Trial(True, False, "", "", 0, [*explanation, DOES[roles[0]]])
        if Role.OPENS not in roles:
            return Trial(True, False, "", "", 0, [*explanation, NOT_OPEN])
        return _fired(session, catalogue, series, arrival, now, explanation)


def _is_open(session: Session, catalogue: Catalogue, series: Series, arrival: Arrival) -> bool:
    """Whether a sequence of the person is open now."""
    states = States(catalogue.scope, session, catalogue.triggers)
    states.load([(series.id, arrival.person)])
    if arrival.customer_id:
        states.adopt({arrival.person: arrival.customer_id})
    return any(
        sequence.covers(arrival.at) for sequence in states.of(catalogue.triggers[series.id], arrival.person).sequences
    )


def _fired(
    session: Session,
    catalogue: Catalogue,
    series: Series,
    arrival: Arrival,
    now: datetime,
    warnings: Sequence[str],
) -> Trial:
    trigger = catalogue.triggers[series.id]
    explanation = [*warnings, OPENS[trigger.body.trigger.kind]]
    if not trigger.runs_on(catalogue.scope.today()):
        return Trial(True, False, "", "", 0, [*explanation, NOT_TODAY])
    is_visitor = not arrival.customer_id
    customer_id = arrival.visitor_id if is_visitor else arrival.customer_id
    person = person_of(arrival.customer_id, arrival.visitor_id)
    candidate = Candidate(trigger, person, customer_id, is_visitor, arrival.key, arrival.parameters)
    background = Background.of(session, catalogue, [candidate], now)
    if not background.meets(candidate):
        return Trial(True, False, "", "", 0, [*explanation, "The person does not meet the conditions of the campaign."])
    background.count(session, [candidate])
    campaign = runs.planned_day(catalogue.scope, series)
    decision, rewards = decided(candidate, campaign, background), dict[str, str]()
    if campaign.plan.rules.publishes_promotions and decision.group and decision.outcome in ("", Outcome.SENT):
        who, faults = background.spelled(candidate), decision.faults or {}
        firing = Outgoing(0, campaign, decision.group, who, is_visitor, candidate.parameters, faults)
        granted = rewarding.foretold(catalogue.scope, [firing])[0]
        rewards = dict(granted.values) if granted else {}
        explanation.append(_words(granted))
        if granted is None and decision.state not in WAITS:
            decision = replace(decision, state=FiringState.DONE, outcome=Outcome.EXCLUDED, reason=REFUSED)
    is_control = decision.state == FiringState.DELAYED and not decision.group
    outcome = Outcome.CONTROL if is_control else WAITS.get(decision.state, decision.outcome or FiringState.SENDING)
    explanation.append(f"Outcome: {outcome}{f', {decision.reason}' if decision.reason else ''}.")
    return Trial(True, True, outcome, decision.reason, decision.group, explanation, rewards)


def _words(granted: CustomerRewards | None) -> str:
    if granted is None:
        return "The promotions of its promo codes grant the person nothing: nothing would be sent."
    if not granted.grants:
        return "None of its promo codes belongs to a promotion: nobody is kept out, and nothing is granted."
    values = ", ".join(f"{name} {value}" for name, value in sorted(granted.values.items()))
    return f"The promotions of its promo codes would grant the person: {values}."
