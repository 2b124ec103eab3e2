"""Whether one customer may be written to on a channel: what the rules of a trigger would say if it were met now."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.audiences import membership
from rapport.campaigns import definitions as campaign_definitions
from rapport.campaigns.delivery import quiet_hours
from rapport.campaigns.models import Series
from rapport.campaigns.plans import Plan, PlannedChannel, PlannedGroup, PlannedRules, channels_in
from rapport.campaigns.runs import addressed, explanations
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import SeriesStatus
from rapport.campaigns.triggered import definitions
from rapport.campaigns.triggered.schemas import ReEntryRule, TriggeredBody
from rapport.channels import service as channels
from rapport.errors import Conflict, Invalid, NotFound
from rapport.messaging.contactability import rules
from rapport.realtime.matching.background import Background
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.catalogue import Catalogue, Trigger, compiled
from rapport.realtime.matching.deciding import kept_out
from rapport.realtime.matching.reachability import Fault
from rapport.stores.clock import Clock

# The outcome of whoever may be written to, but not before the end of quiet hours.
WAITING = "waiting"
MAY = "May be contacted on channel {channel}."
WAITS = "It is a quiet hour: messages on channel {channel} wait until {until:%H:%M}."
# A channel alone is asked about as if a campaign without rules of its own used it.
NO_RULES: dict[str, Any] = {"include_all": True, "exclude_target_group_ids": [], "frequency_cap": None}
FARTHEST = timedelta(days=366)


@dataclass(frozen=True)
class Eligibility:
    """Whether a customer may be written to at an instant; outcome and reason are those of campaigns, empty if so.

    not_before is when the quiet hours end that the instant lies in, if the message would wait for it.
    """

    customer_id: str
    channel_id: int
    series_id: int | None
    at: datetime
    may_be_written_to: bool
    outcome: str
    reason: str
    not_before: datetime | None
    explanation: str


def eligibility(
    scope: Scope, customer_id: str, channel_id: int, series_id: int | None = None, at: datetime | None = None
) -> Eligibility:
    """Whether a customer may be written to on a channel, by a series or triggered campaign if one is named.

    at is an instant from now on, to which what is known of the customer now is applied; None: now. Raises NotFound for
    the channel and the series, Invalid for a series that does not use the channel and for an instant that is past or
    too far, Conflict for an archived series.
    """
    channels.channel(scope, channel_id)
    series = None if series_id is None else _series(scope, series_id, channel_id)
    scope = _at(scope, at)
    body = _body(scope, series, channel_id)
    plan = Plan(rules=PlannedRules(**body.rules.model_dump()), groups=_groups(series, channel_id))
    _know_members(scope, body.rules.exclude_target_group_ids)
    catalogue, trigger = compiled(scope, []), Trigger(series or Series(id=0), body, None, None)
    candidate = Candidate(trigger, customer_id.lower(), customer_id, False, "", {})
    with scope.records() as session:
        background = _background(session, catalogue, candidate)
    if series is not None and series.trigger is None:
        background.running = addressed.in_running(scope, [background.spelled(candidate)], series)
    return _answer(background, candidate, plan, channel_id, series_id)


def _series(scope: Scope, series_id: int, channel_id: int) -> Series:
    try:
        series = definitions.triggered_series(scope, series_id)
    except NotFound:
        series = campaign_definitions.series(scope, series_id)
    if series.status == SeriesStatus.ARCHIVED:
        raise Conflict(f"Series {series_id} is archived.")
    if channel_id not in channels_in(series.groups):
        raise Invalid(f"channel_id: series {series_id} does not use channel {channel_id}.")
    return series


def _at(scope: Scope, at: datetime | None) -> Scope:
    """The scope at an instant: every rule asks its clock."""
    if at is None:
        return scope
    now = scope.clock.now()
    if not now <= at <= now + FARTHEST:
        raise Invalid(f"at must be an instant of the next {FARTHEST.days} days: past states are not stored.")
    standing = Clock()
    standing.set(at)
    return replace(scope, stores=replace(scope.stores, clock=standing))


def _body(scope: Scope, series: Series | None, channel_id: int) -> TriggeredBody:
    """What a trigger would be that has the rules of a series; its own body for one that is triggered."""
    if series is not None and series.trigger is not None:
        return definitions.triggered_body(series)
    rules = NO_RULES if series is None else series.rules.model_dump(include=set(NO_RULES), exclude_unset=True)
    any_hour = (series is not None and series.rules.any_hour) or channels.is_pulled(scope, channel_id)
    hours = None if any_hour else tenant_settings(scope, CampaignSettings).quiet_hours
    used = sorted(channels_in(_groups(series, channel_id)))
    planned = [{"channel_id": number, "template_id": 1} for number in used]
    return TriggeredBody.model_validate(
        {
            "name": "eligibility",
            "trigger": {"kind": "simple", "event": "eligibility"},
            "groups": [{"action_id": 2, "channels": planned}],
            "rules": {"include_all": False, **rules},
            "re_entry": ReEntryRule.UNLIMITED,
            "quiet_hours": hours and hours.model_dump(),
        }
    )


def _groups(series: Series | None, channel_id: int) -> tuple[PlannedGroup, ...]:
    """The recipient groups of a series; without one, a group on the channel with a template of no app."""
    alone = PlannedGroup(action_id=2, channels=(PlannedChannel(channel_id=channel_id, template_id=0),))
    return (alone,) if series is None else series.groups


def _know_members(scope: Scope, group_ids: list[int]) -> None:
    data_date = scope.data_date()
    if group_ids and data_date is not None:
        membership.ensure_members(scope, set(group_ids), data_date)


def _background(session: Session, catalogue: Catalogue, candidate: Candidate) -> Background:
    background = Background.of(session, catalogue, [candidate], catalogue.scope.clock.now())
    background.count(session, [candidate])
    return background


def _answer(
    background: Background, candidate: Candidate, plan: Plan, channel_id: int, series_id: int | None
) -> Eligibility:
    scope, hours = background.scope, candidate.trigger.body.quiet_hours
    until = None
    kept = kept_out(candidate, background, plan)
    outcome, reason = (
        (kept.outcome, kept.reason) if kept else _fault(background, candidate, plan, channel_id) or ("", "")
    )
    if not outcome and hours is not None:
        until = quiet_hours.quiet_until(scope, hours, background.now)
        if until is not None:
            outcome, reason = (rules.QUIET.outcome if hours.then == "skip" else WAITING), rules.QUIET.reason
    if outcome == WAITING and until is not None:
        explanation = WAITS.format(channel=channel_id, until=until.astimezone(scope.time_zone))
    else:
        explanation = explanations.words_of(outcome, reason, channel_id) if outcome else MAY.format(channel=channel_id)
    return Eligibility(
        customer_id=background.spelled(candidate),
        channel_id=channel_id,
        series_id=series_id,
        at=background.now,
        may_be_written_to=not outcome,
        outcome=outcome,
        reason=reason,
        not_before=until if outcome == WAITING else None,
        explanation=explanation,
    )


def _fault(background: Background, candidate: Candidate, plan: Plan, channel_id: int) -> Fault | None:
    """Why no group of the plan that uses the channel can reach a customer on it; None when one can."""
    faults = []
    for group in plan.groups:
        if channel_id in group.channel_ids:
            faults.append(background.faults(candidate, group.on(channel_id)).get(channel_id))
    return faults[0] if all(faults) else None
