"""The winners of A/B tests: which variant those get who were not in the test. Chosen once, when the rest is sent."""

# ruff: noqa: S608 - statements are put together of constants and numbers

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, or_
from sqlalchemy.orm import Session, aliased

from rapport.access.scope import Scope
from rapport.campaigns.ab_tests import UNDECIDED, Ground, KeptTest, VariantFigures, test_key
from rapport.campaigns.delivery import rest_times
from rapport.campaigns.delivery.units import Unit, row_of, rows_of_unit, unit_of
from rapport.campaigns.goals import goal_of, is_click, sales, sales_parameters
from rapport.campaigns.measurement.windows import window
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.occurrences import locked
from rapport.campaigns.plans import PlannedChannel, PlannedTest
from rapport.campaigns.schemas import Goal
from rapport.campaigns.states import ABMetric, Portion, RunState
from rapport.conditions.interaction_codes import CLICKED, OPENED, SPAM_REPORT, UNSUBSCRIBED
from rapport.conditions.outcomes import Outcome
from rapport.conditions.purchases import ValueRule
from rapport.customers.settings import value_rule
from rapport.messaging import templates
from rapport.stores.clock import wall_time

OF_GROUP = """
    execution_date = {execution_date:Date} AND campaign_id = {campaign:UInt32} AND channel_id = {channel:UInt32}
    AND recipient_group_id = {group:UInt16}
"""
OF_TEST = f"{OF_GROUP} AND portion = {int(Portion.TEST)}"
SENT = f"""
    SELECT recipient.template_id, count(), countIf(ended.outcome = '{Outcome.SENT}')
    FROM (SELECT customer_id, template_id FROM campaign_recipients WHERE {OF_TEST}) AS recipient
    LEFT JOIN (
        SELECT customer_id, outcome FROM campaign_outcomes
        WHERE execution_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}
            AND channel_id = {{channel:UInt32}}
    ) AS ended ON ended.customer_id = recipient.customer_id
    GROUP BY recipient.template_id
"""
REACTIONS = f"""
    SELECT template_id, uniqExactIf(customer_id, event_id = {OPENED}), uniqExactIf(customer_id, event_id = {CLICKED}),
        uniqExactIf(customer_id, event_id = {UNSUBSCRIBED}), uniqExactIf(customer_id, event_id = {SPAM_REPORT})
    FROM campaign_interactions
    WHERE delivery_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}
        AND channel_id = {{channel:UInt32}}
        AND customer_id IN (SELECT customer_id FROM campaign_recipients WHERE {OF_TEST})
    GROUP BY template_id
"""
GIVE = f"""
    ALTER TABLE campaign_recipients
    UPDATE template_id = {{template:UInt32}}, $TIMES
    WHERE {OF_GROUP} AND portion = {int(Portion.REST)} AND template_id = {UNDECIDED}
"""
AT_ONCE = "scheduled_time = {time:DateTime('UTC')}"


def responders_sql(values: ValueRule, goal: Goal) -> str:
    """SQL of how many recipients of each variant met a goal within a time."""
    since, until = "{since:DateTime('UTC')}", "{until:DateTime('UTC')}"
    done = sales(values, goal, since, until, f"SELECT customer_id FROM campaign_recipients WHERE {OF_TEST}")
    return f"""
        SELECT recipient.template_id, uniqExact(recipient.customer_id)
        FROM (SELECT customer_id, template_id FROM campaign_recipients WHERE {OF_TEST}) AS recipient
        INNER JOIN (SELECT DISTINCT customer_id FROM ({done}) WHERE counts) AS met
            ON met.customer_id = recipient.customer_id
        GROUP BY recipient.template_id
    """


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
        rest.scheduled_time = wall_time(scope.clock.now() + planned_test.wait, scope.time_zone)


def let_rest_follow(scope: Scope, session: Session, unit: Unit) -> None:
    """The rest is not late because its test took longer than it was to wait; in the transaction that ends the test.

    Where customers have times of their own, the wait begins now, unless a person has ended the test.
    """
    rest = row_of(scope, session, rest_of(scope, unit.campaign, unit.channel_id, unit.group))
    earliest = scope.clock.now()
    campaign = locked(scope, session, unit.campaign.id)
    planned_test = campaign.plan.ab_test(unit.group, unit.channel_id)
    if unit.has_own_times and planned_test and kept_test(campaign, unit.group, unit.channel_id).ended_at is None:
        earliest += planned_test.wait
    rest.scheduled_time = max(rest.scheduled_time, wall_time(earliest, scope.time_zone))


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


def figures_of(scope: Scope, campaign: Occurrence, group: int, channel: PlannedChannel) -> tuple[VariantFigures, ...]:
    """What became of the variants of a test so far, in their order."""
    if channel.ab_test is None:
        return ()
    of_group = {
        "execution_date": campaign.execution_date,
        "campaign": campaign.id,
        "channel": channel.channel_id,
        "group": group,
    }
    sent = {int(template): row for template, *row in scope.warehouse.rows(SENT, **of_group)}
    reacted = {int(template): row for template, *row in scope.warehouse.rows(REACTIONS, **of_group)}
    responders = _responders(scope, campaign, of_group, {template: int(row[1]) for template, row in reacted.items()})
    return tuple(
        _figures(channel.ab_test, n, sent.get(template, [0, 0]), reacted.get(template, [0] * 4), responders)
        for n, template in enumerate(channel.template_ids)
    )


def _responders(
    scope: Scope, campaign: Occurrence, of_group: Mapping[str, Any], clicked: dict[int, int]
) -> dict[int, int]:
    """How many recipients of each variant have met the goal of a run since its window began."""
    goal = goal_of(campaign.plan)
    if is_click(goal):
        return clicked
    since, now = window(scope, campaign)[0], scope.clock.local(scope.time_zone)
    bound = {"since": since, "until": now, **sales_parameters(scope, goal), **of_group}
    rows = scope.warehouse.rows(responders_sql(value_rule(scope), goal), **bound)
    return {int(template): int(customers) for template, customers in rows}


def _figures(
    planned_test: PlannedTest, n: int, sent: Sequence[Any], reacted: Sequence[Any], met_goal: Mapping[int, int]
) -> VariantFigures:
    variant, (recipients, messages) = planned_test.variants[n], map(int, sent)
    responders = met_goal.get(variant.template_id, 0)
    opens, clicks, unsubscribes, complaints = map(int, reacted)
    measured = {ABMetric.OPENS: opens, ABMetric.CLICKS: clicks, ABMetric.RESPONDERS: responders}[planned_test.metric]
    return VariantFigures(
        template_id=variant.template_id,
        name=variant.name,
        recipients=recipients,
        sent=messages,
        opens=opens,
        clicks=clicks,
        unsubscribes=unsubscribes,
        complaints=complaints,
        responders=responders,
        rate=measured / messages if messages else 0.0,
    )
