"""What becomes of a trigger that was met: who is kept out, held back, waits, is asked for, or goes out at once.

Rules are taken in the order of scheduled campaigns. Splits are hashes of campaign and person, so that a
person is in the same group whenever the trigger fires again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.campaigns.delivery import quiet_hours
from rapport.campaigns.models import Occurrence
from rapport.campaigns.plans import Plan, PlannedGroup
from rapport.campaigns.runs import splits
from rapport.campaigns.runs.splits import CONTROL, GROUP
from rapport.campaigns.triggered.schemas import JourneyTrigger
from rapport.conditions.outcomes import KEPT_OUT, Outcome
from rapport.delivery import once
from rapport.delivery.once import Recipient
from rapport.messaging.contactability import rules
from rapport.realtime.matching.background import Background
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import Catalogue
from rapport.realtime.matching.outgoing import Outgoing
from rapport.realtime.matching.reachability import Fault, Reach
from rapport.realtime.matching.releasing import let_out, state_of, wake
from rapport.realtime.states import FiringState

ADD_FIRINGS = text(f"""
    INSERT INTO trigger_firings
        (tenant_id, series_id, campaign_id, event_key, person, customer_id, is_visitor, parameters,
         recipient_group_id, drawn_group, messages, state, outcome, reason, fired_at, due_at, finished_at)
    SELECT :tenant_id, series_id, campaign_id, event_key, person, customer_id, is_visitor, parameters,
        recipient_group_id, drawn_group, messages, state, outcome, reason, :now, due_at,
        CASE WHEN state = '{FiringState.DONE}' THEN CAST(:now AS timestamptz) END
    FROM json_to_recordset(CAST(:rows AS json)) AS rows(
        series_id int, campaign_id int, event_key text, person text, customer_id text, is_visitor boolean,
        parameters jsonb, recipient_group_id int, drawn_group int, messages int, state text, outcome text, reason text,
        due_at timestamptz
    )
    ON CONFLICT DO NOTHING RETURNING id, series_id, event_key
""")  # noqa: S608 - ours


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a candidate. group is the recipient group, 0 for control and whoever is kept out.

    drawn is the group that a control member would have been in.
    """

    state: FiringState
    outcome: str = ""
    reason: str = ""
    group: int = 0
    due_at: datetime | None = None
    faults: Mapping[int, Fault] | None = None
    drawn: int = 0
    messages: int = 1


def group_of(series_id: int, groups: Sequence[PlannedGroup], person: str) -> int:
    """The recipient group of a person, from 1."""
    cuts = splits.cuts([group.share for group in groups])
    return splits.group_at(splits.trigger_part(series_id, GROUP, person), cuts)


def is_control(series_id: int, share: float, person: str) -> bool:
    """Whether a person is one of those held back."""
    return splits.trigger_part(series_id, CONTROL, person) < splits.cut_of(share)


def decide(session: Session, catalogue: Catalogue, candidates: Sequence[Candidate]) -> int:
    """Make the firings of candidates and let out what goes out, in the caller's transaction; how many were made.

    Who does not meet the customer conditions has not met the trigger and leaves no firing.
    """
    now, today = catalogue.scope.clock.now(), catalogue.scope.today()
    on_time = [candidate for candidate in candidates if candidate.trigger.runs_on(today)]
    background = Background.of(session, catalogue, on_time, now)
    met = [candidate for candidate in on_time if background.meets(candidate)]
    if not met:
        return 0
    background.count(session, met)
    decisions = []
    for candidate in met:
        campaign = catalogue.occurrence(candidate.trigger.series, today)
        decision = decided(candidate, campaign, background)
        background.note(candidate, decision.outcome, _messages(campaign, decision))
        decisions.append((candidate, campaign, decision))
    decisions = _once_an_address(session, background, decisions)
    return _add(session, catalogue, background, decisions, now)


def _messages(campaign: Occurrence, decision: Decision) -> int:
    """How many messages a decision counts for: one as long as it waits, then one on each channel, or as if so."""
    if decision.outcome not in ("", Outcome.SENT, Outcome.CONTROL):
        return 0
    if decision.faults is None:
        return decision.messages
    return len(campaign.plan.group(decision.group).channels) - len(decision.faults)


DecidedCandidate = tuple[Candidate, Occurrence, Decision]


def _once_an_address(
    session: Session, background: Background, decisions: Sequence[DecidedCandidate]
) -> list[DecidedCandidate]:
    """The same, but that nothing goes to an address that somebody else has had of the campaign."""
    going, reach = [], background.reach
    for candidate, campaign, decision in decisions:
        faults = decision.faults
        group = campaign.plan.group(decision.group)
        addresses = {} if faults is None else reach.addresses(candidate.person, group, faults)
        going.append(Recipient(campaign.id, candidate.person, addresses))
    checked: list[DecidedCandidate] = []
    for (candidate, campaign, decision), late in zip(
        decisions, once.refused(background.scope, session, going), strict=True
    ):
        group = campaign.plan.group(decision.group)
        checked.append((candidate, campaign, _skipped(group, decision, late, reach) if late else decision))
    return checked


def _skipped(group: PlannedGroup, decision: Decision, late: Mapping[int, Fault], reach: Reach) -> Decision:
    faults = {**(decision.faults or {}), **late}
    if len(faults) == len(group.channels):
        return Decision(FiringState.DONE, *min(faults.values()), group=decision.group, faults=faults)
    state, outcome, reason = state_of(group, faults, reach.channels)
    return Decision(state, outcome, reason, group=decision.group, faults=faults)


def decided(candidate: Candidate, campaign: Occurrence, background: Background) -> Decision:
    """What becomes of a candidate as a member of a campaign."""
    kept = kept_out(candidate, background, campaign.plan)
    if kept is not None:
        return kept
    groups, person = campaign.plan.groups, background.reach.divided_by(candidate.person, campaign.plan)
    # Who had it as a visitor stays where it was.
    drawn = background.drawn.get((candidate.person, candidate.trigger.id))
    group = drawn if drawn and drawn <= len(groups) else group_of(candidate.trigger.id, groups, person)
    faults = background.faults(candidate, groups[group - 1])
    if len(faults) == len(groups[group - 1].channels):
        return Decision(FiringState.DONE, *min(faults.values()), group=group, faults=faults)
    until = quiet_hours.quiet_until(background.scope, candidate.trigger.body.quiet_hours, background.now)
    hours = candidate.trigger.body.quiet_hours
    if until is not None and hours is not None and hours.then == "skip":
        return Decision(FiringState.DONE, *rules.QUIET.outcome_and_reason())
    share = campaign.plan.control_share
    if (drawn == 0 and splits.cut_of(share)) or (drawn is None and is_control(candidate.trigger.id, share, person)):
        # Control waits too, so that whoever opts out meanwhile is missing on both sides.
        if until is None:
            return Decision(
                FiringState.DONE, Outcome.CONTROL, drawn=group, messages=len(groups[group - 1].channels) - len(faults)
            )
        return Decision(FiringState.DELAYED, due_at=until, drawn=group)
    if until is not None:
        return Decision(FiringState.DELAYED, group=group, due_at=until)
    if campaign.conditional:
        return Decision(FiringState.ASKING, group=group)
    return _out(background, groups[group - 1], group, faults)


def _out(background: Background, planned: PlannedGroup, group: int, faults: Mapping[int, Fault]) -> Decision:
    state, outcome, reason = state_of(planned, faults, background.reach.channels)
    return Decision(state, outcome, reason, group=group, faults=faults)


def kept_out(candidate: Candidate, background: Background, plan: Plan) -> Decision | None:
    """The first rule of a campaign's plan that keeps a person out; None when none does."""
    customer = background.reach.customers.get(candidate.person)
    is_loaded = candidate.is_visitor or candidate.trigger.body.visitors or (customer is not None and customer.loaded)
    fault = rules.first(
        {
            rules.UNKNOWN: lambda: not is_loaded,
            **background.reach.barring(candidate.person, plan),
            rules.FIRED_BEFORE: lambda: background.has_entered(candidate),
            rules.RUNNING: lambda: (
                not plan.rules.include_all and customer is not None and customer.customer_id in background.running
            ),
            rules.CAPPED: lambda: background.is_capped(candidate),
        }
    )
    return Decision(FiringState.DONE, *fault) if fault else None


def _add(
    session: Session,
    catalogue: Catalogue,
    background: Background,
    decisions: Sequence[DecidedCandidate],
    now: datetime,
) -> int:
    """Write firings and let out those that go; who was kept out for a reason has one firing of that a day, but
    one for each step of a journey, where the way of the customer shows it.
    """
    scope = catalogue.scope
    rows, by_key = [], {}
    for candidate, campaign, decision in decisions:
        key = _key(candidate, campaign, decision)
        by_key[candidate.trigger.id, key] = (candidate, campaign, decision)
        rows.append(_row(candidate, campaign, decision, key, background))
    parameters = {"tenant_id": scope.tenant_id, "now": now, "rows": orjson.dumps(rows).decode()}
    added = session.execute(ADD_FIRINGS, parameters).all()
    outgoing, asking = [], False
    for number, series_id, key in added:
        candidate, campaign, decision = by_key[series_id, key]
        asking = asking or decision.state == FiringState.ASKING
        if decision.faults is not None:
            customer_id = background.spelled(candidate)
            faults = decision.faults
            outgoing.append(
                Outgoing(
                    number, campaign, decision.group, customer_id, candidate.is_visitor, candidate.parameters, faults
                )
            )
    let_out(scope, session, outgoing, background.reach.channels)
    if asking:
        wake(session)
    return len(added)


def _key(candidate: Candidate, campaign: Occurrence, decision: Decision) -> str:
    if decision.outcome not in KEPT_OUT or isinstance(candidate.trigger.body.trigger, JourneyTrigger):
        return candidate.event_key
    identity = f"{campaign.id}/{decision.outcome}/{decision.reason}/{candidate.person}"
    return "kept:" + hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()


def _row(
    candidate: Candidate, campaign: Occurrence, decision: Decision, key: str, background: Background
) -> dict[str, Any]:
    return {
        "series_id": candidate.trigger.id,
        "campaign_id": campaign.id,
        "event_key": key,
        "person": candidate.person,
        "customer_id": background.spelled(candidate),
        "is_visitor": candidate.is_visitor,
        "parameters": candidate.parameters,
        "recipient_group_id": decision.group,
        "drawn_group": decision.group or decision.drawn,
        "messages": decision.messages,
        "state": decision.state,
        "outcome": decision.outcome,
        "reason": decision.reason,
        "due_at": decision.due_at,
    }
