"""Trying a trigger: what an event would do, without storing or sending anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.campaigns import service as campaigns
from rapport.errors import Invalid
from rapport.realtime.background import Background
from rapport.realtime.deciding import Candidate, decided
from rapport.realtime.evaluating import Arrival, watched
from rapport.realtime.models import ASKING, DELAYED
from rapport.realtime.triggers import Catalogue, Role, compiled
from rapport.realtime.visitors import customer_of, person_of

NOTHING = "The event does not match: it would do nothing."
DOES = {Role.CLOSES: "It would close an open sequence.", Role.RESTARTS: "It would begin the window anew."}
OPENS = {
    "simple": "It meets the trigger.",
    "repeated": "It would count; from here on as if it completed the number.",
    "sequence": "It would open a sequence; from here on as if its window ended without a closing event.",
}


@dataclass(frozen=True)
class Trial:
    """What an event would do. outcome is what would become of the firing now: sent, control, excluded, waiting ..."""

    matches: bool
    meets_conditions: bool
    outcome: str
    reason: str
    recipient_group_id: int
    explanation: list[str]


def try_event(
    scope: Scope, series_id: int, event: str, parameters: Mapping[str, Any], customer_id: str, visitor_id: str
) -> Trial:
    """What an event of a person would do to a triggered campaign, whatever its status. Raises NotFound, Invalid."""
    series = campaigns.triggered_series(scope, series_id)
    if not customer_id and not visitor_id:
        raise Invalid("customer_id or visitor_id must be given.")
    catalogue = compiled(scope, [series])
    if series_id in catalogue.faults:
        raise Invalid(catalogue.faults[series_id])
    now = scope.clock.now()
    with scope.records() as session:
        customer_id = customer_id or customer_of(session, scope, [visitor_id]).get(visitor_id, "")
        arrival = Arrival(0, "trial", event, customer_id, visitor_id, parameters, now, now)
        roles = [watch.role for watch in watched(catalogue, arrival, scope.today())]
        if not roles:
            return Trial(False, False, "", "", 0, [NOTHING])
        if roles[0] is not Role.OPENS:
            return Trial(True, False, "", "", 0, [DOES[roles[0]]])
        return _fired(session, catalogue, series, arrival, now)


def _fired(session: Session, catalogue: Catalogue, series: campaigns.Series, arrival: Arrival, now: datetime) -> Trial:
    trigger = catalogue.triggers[series.id]
    said = [OPENS[trigger.body.trigger.kind]]
    is_visitor = not arrival.customer_id
    who = arrival.visitor_id if is_visitor else arrival.customer_id
    person = person_of(arrival.customer_id, arrival.visitor_id)
    one = Candidate(trigger, person, who, is_visitor, arrival.key, arrival.parameters)
    background = Background.of(session, catalogue, [one], now)
    if not background.meets(one):
        return Trial(True, False, "", "", 0, [*said, "The person does not meet the conditions of the campaign."])
    background.count(session, [one])
    found = decided(one, campaigns.planned_day(catalogue.scope, series), background)
    outcome = {ASKING: "waiting for the gateway", DELAYED: "waiting for the end of quiet hours"}.get(
        found.state, found.outcome or "sending"
    )
    said.append(f"Outcome: {outcome}{f', {found.reason}' if found.reason else ''}.")
    return Trial(True, True, outcome, found.reason, found.group, said)
