"""The winners of A/B tests: which variant those get who were not in the test. Chosen once, when the rest is sent."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, exists, or_
from sqlalchemy.orm import Session, aliased

from rapport.access.scope import Scope
from rapport.campaigns.ab_tests import UNDECIDED, Ground, KeptTest, VariantFigures, test_key
from rapport.campaigns.delivery import rest_times
from rapport.campaigns.delivery.units import Unit, row_of, rows_of_unit, unit_of
from rapport.campaigns.delivery.variant_figures import OF_GROUP, figures_of, known_winner
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.occurrences import locked, occurrence
from rapport.campaigns.plans import PlannedChannel, PlannedTest
from rapport.campaigns.states import Portion, RunState
from rapport.messaging import templates
from rapport.stores.clock import wall_time

GIVE = f"""
    ALTER TABLE campaign_recipients
    UPDATE template_id = {{template:UInt32}}, $TIMES
    WHERE {OF_GROUP} AND portion = {int(Portion.REST)} AND template_id = {UNDECIDED}
"""
# How often somebody looks whether the winner of a test is known.
LOOKS = timedelta(minutes=15)
AT_ONCE = "scheduled_time = {time:DateTime('UTC')}"


def is_test_over() -> ColumnElement[bool]:
    """Whether a row of OccurrenceChannel has no A/B test to wait for, as a condition: the rest follows its test."""
    test = aliased(OccurrenceChannel)
    is_tested = exists().where(
        test.tenant_id == OccurrenceChannel.tenant_id,
        test.campaign_id == OccurrenceChannel.campaign_id,
        test.recipient_group_id == OccurrenceChannel.recipient_group_id,
        test.channel_id == OccurrenceChannel.channel_id,
        test.portion == Portion.TEST,
        test.state.in_([RunState.SCHEDULED, RunState.EXECUTING]),
    )
    return or_(OccurrenceChannel.portion != Portion.REST, ~is_tested)


def rest_of(scope: Scope, campaign: Occurrence, channel_id: int, group: int) -> Unit:
    """The unit of those who get the winner."""
    return unit_of(scope, campaign, channel_id, group, Portion.REST)


def tested_time(scope: Scope, session: Session, rest: Unit) -> datetime:
    """When the test before a rest was to be sent (tenant wall clock)."""
    return row_of(scope, session, _tested(scope, rest)).scheduled_time


def _tested(scope: Scope, rest: Unit) -> Unit:
    return unit_of(scope, rest.campaign, rest.channel_id, rest.group, Portion.TEST)


def await_decision(scope: Scope, session: Session, unit: Unit) -> None:
    """Set when the winner of a test is chosen, in the transaction in which the test begins.

    Where customers have times of their own the last of them decides, which is known.
    """
    campaign = locked(scope, session, unit.campaign.id)
    planned_test = None if unit.has_own_times else campaign.plan.ab_test(unit.group, unit.channel_id)
    if planned_test is not None and kept_test(campaign, unit.group, unit.channel_id).ended_at is None:
        rest = row_of(scope, session, rest_of(scope, campaign, unit.channel_id, unit.group))
        _wait(scope, campaign, rest, planned_test, scope.clock.now() + planned_test.wait)


def let_rest_follow(scope: Scope, session: Session, unit: Unit) -> None:
    """The rest is not late because its test took longer than it was to wait; in the transaction that ends the test.

    Where customers have times of their own, the wait begins now, unless a person has ended the test.
    """
    rest = row_of(scope, session, rest_of(scope, unit.campaign, unit.channel_id, unit.group))
    campaign = locked(scope, session, unit.campaign.id)
    planned_test = campaign.plan.ab_test(unit.group, unit.channel_id)
    planned_at, now = scope.instant(rest.scheduled_time), scope.clock.now()
    if unit.has_own_times and planned_test and kept_test(campaign, unit.group, unit.channel_id).ended_at is None:
        _wait(scope, campaign, rest, planned_test, max(planned_at, now + planned_test.wait))
    elif planned_at < now:
        rest.scheduled_time = wall_time(now, scope.time_zone)


def _wait(
    scope: Scope, campaign: Occurrence, rest: OccurrenceChannel, planned_test: PlannedTest, latest_at: datetime
) -> None:
    """Let a rest wait until its winner is chosen, or until somebody first looks whether it is known."""
    keep(campaign, rest.recipient_group_id, rest.channel_id, latest_at=latest_at)
    _look_again(scope, rest, planned_test, latest_at)


def _look_again(scope: Scope, rest: OccurrenceChannel, planned_test: PlannedTest, latest_at: datetime) -> None:
    next_look = scope.clock.now() + LOOKS if planned_test.when_known else latest_at
    rest.scheduled_time = wall_time(min(next_look, latest_at), scope.time_zone)


def is_to_be_chosen(scope: Scope, due: OccurrenceChannel) -> bool:
    """Whether the winner for a rest whose time has come is to be chosen now; one that may be known before the end of
    its wait waits on while it is not. May be repeated.
    """
    campaign = occurrence(scope, due.campaign_id)
    kept, planned_test = _test(campaign, due)
    if not _may_be_known(scope, kept, planned_test):
        return True
    channel = campaign.plan.group(due.recipient_group_id).channel(due.channel_id)
    winner = known_winner(scope, campaign, due.recipient_group_id, channel)
    with scope.records() as session:
        campaign = locked(scope, session, due.campaign_id)
        kept, planned_test = _test(campaign, due)
        if planned_test is None or kept.latest_at is None or not _may_be_known(scope, kept, planned_test):
            return True
        rest = row_of(scope, session, rest_of(scope, campaign, due.channel_id, due.recipient_group_id))
        if winner is None:
            _look_again(scope, rest, planned_test, kept.latest_at)
        else:
            keep(campaign, due.recipient_group_id, due.channel_id, known=winner)
    return winner is not None


def _test(campaign: Occurrence, row: OccurrenceChannel) -> tuple[KeptTest, PlannedTest | None]:
    group, channel_id = row.recipient_group_id, row.channel_id
    return kept_test(campaign, group, channel_id), campaign.plan.ab_test(group, channel_id)


def _may_be_known(scope: Scope, kept: KeptTest, planned_test: PlannedTest | None) -> bool:
    """Whether a test may still end before the end of its wait because its winner is known."""
    if planned_test is None or not planned_test.when_known or kept.latest_at is None:
        return False
    is_open = kept.winner is None and kept.known is None and kept.ended_at is None
    return is_open and scope.clock.now() < kept.latest_at


def is_rest_sent(scope: Scope, unit: Unit) -> bool:
    """Whether the rest after a test is being sent."""
    with scope.reads() as session:
        rest = row_of(scope, session, rest_of(scope, unit.campaign, unit.channel_id, unit.group))
    return rest.state == RunState.EXECUTING


def kept_test(campaign: Occurrence, group: int, channel_id: int) -> KeptTest:
    """What a campaign keeps of a test."""
    return campaign.ab_tests.get(test_key(group, channel_id), KeptTest())


def keep(campaign: Occurrence, group: int, channel_id: int, **values: Any) -> KeptTest:
    """Note something of a test, in the transaction that holds its campaign; what is kept now."""
    kept = kept_test(campaign, group, channel_id).model_copy(update=values)
    campaign.ab_tests = {**campaign.ab_tests, test_key(group, channel_id): kept}
    return kept


def decide(scope: Scope, unit: Unit) -> None:
    """Choose the winner of a test, once, and give it to the rest of its group. May be repeated."""
    channel = unit.campaign.plan.group(unit.group).channel(unit.channel_id)
    figures = figures_of(scope, unit.campaign, unit.group, channel)
    with scope.records() as session:
        campaign = locked(scope, session, unit.campaign.id)
        kept = kept_test(campaign, unit.group, unit.channel_id)
        winner = kept.winner
        if winner is None:
            present = {template.id for template in templates.listed_templates(scope, unit.channel_id)}
            winner, ground = best(channel, figures, present)
            if kept.known in present:
                winner, ground = kept.known, Ground.KNOWN
            if kept.chosen in present:
                winner, ground = kept.chosen, Ground.CHOSEN
            values = {"winner": winner, "ground": ground, "decided_at": scope.clock.now(), "figures": figures}
            kept = keep(campaign, unit.group, unit.channel_id, **values)
        tested = rows_of_unit(scope, session, _tested(scope, unit))
        rest = row_of(scope, session, unit)
        rest.template_id = winner
        rest.send_id = next(row.send_id for row in tested if row.template_id == winner)
        time = rest.scheduled_time.replace(tzinfo=UTC)
    if unit.has_own_times:
        _give_at_own_times(scope, unit, winner, kept.decided_at or scope.clock.now())
    else:
        scope.warehouse.execute(GIVE.replace("$TIMES", AT_ONCE), template=winner, time=time, **unit.bindings)


def _give_at_own_times(scope: Scope, unit: Unit, winner: int, decided_at: datetime) -> None:
    """Give the winner to the rest, to each customer at the first of his times after the choice. May be repeated."""
    times = rest_times.times_after(scope, unit, decided_at)
    if times["keys"]:
        statement = GIVE.replace("$TIMES", rest_times.MOVE)
        scope.warehouse.execute(statement, template=winner, **times, **unit.bindings)
    first = rest_times.first_time(scope, unit)
    with scope.records() as session:
        row_of(scope, session, unit).scheduled_time = first


def best(channel: PlannedChannel, figures: Sequence[VariantFigures], present: Collection[int]) -> tuple[int, Ground]:
    """The variant with the best rate. That of the channel wins if it is among several, or if too few were sent.

    Variants whose templates were deleted do not win, unless all were.
    """
    candidates = [variant for variant in figures if variant.template_id in present] or figures
    ids = [variant.template_id for variant in candidates]
    fallback = channel.template_id if channel.template_id in ids or not ids else ids[0]
    planned_test = channel.ab_test
    if planned_test is None or any(variant.sent < planned_test.minimum_sent for variant in figures):
        return fallback, Ground.TOO_FEW
    highest = max(variant.rate for variant in candidates)
    leaders = [variant.template_id for variant in candidates if variant.rate == highest]
    if len(leaders) == 1:
        return leaders[0], Ground.BEST
    return fallback if fallback in leaders else leaders[0], Ground.TIE
