"""What became of the variants of an A/B test so far, and how they compare."""

# ruff: noqa: S608 - statements are put together of constants and numbers

from collections.abc import Mapping, Sequence
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.ab_tests import VariantFigures
from rapport.campaigns.goals import VALUE, goal_of, is_click, sales, sales_parameters
from rapport.campaigns.measurement.responses import PAST_DAYS, Response, summed
from rapport.campaigns.measurement.variants import Standings, standings
from rapport.campaigns.measurement.windows import window
from rapport.campaigns.models import Occurrence
from rapport.campaigns.plans import PlannedChannel, PlannedTest
from rapport.campaigns.schemas import Goal
from rapport.campaigns.states import ABMetric, Portion
from rapport.conditions.interaction_codes import CLICKED, OPENED, SPAM_REPORT, UNSUBSCRIBED
from rapport.conditions.outcomes import Outcome
from rapport.conditions.purchases import ValueRule
from rapport.customers.settings import value_rule

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
# Metrics of what customers bought, whatever the goal of the series is.
OF_BUYERS = (ABMetric.ORDERS, ABMetric.VALUE)
REACHED = f"""
    SELECT customer_id, template_id FROM campaign_recipients
    WHERE {OF_TEST} AND customer_id IN (
        SELECT customer_id FROM campaign_outcomes
        WHERE execution_date = {{execution_date:Date}} AND campaign_id = {{campaign:UInt32}}
            AND channel_id = {{channel:UInt32}} AND outcome = '{Outcome.SENT}'
    )
"""


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


def buyers_sql(values: ValueRule) -> str:
    """SQL of a row a customer whom a variant was sent to, as responses.summed takes it; drawn is the template."""
    since, until = "{since:DateTime('UTC')}", "{until:DateTime('UTC')}"
    earliest = f"{since} - toIntervalDay({{past:UInt32}})"
    done = sales(values, VALUE, earliest, until, f"SELECT customer_id FROM ({REACHED})")
    return f"""
    WITH sale.transaction_time >= {since} AS within, sale.transaction_time < {since} AS earlier
    SELECT {{campaign:UInt32}} AS campaign, recipient.customer_id AS customer, 1 AS grp,
        any(recipient.template_id) AS drawn, countIf(within AND sale.counts) AS orders,
        sumIf(sale.money, within) AS value, sumIf(sale.money, earlier) AS past
    FROM ({REACHED}) AS recipient
    LEFT JOIN ({done}) AS sale ON sale.customer_id = recipient.customer_id
    GROUP BY customer
    """


def figures_of(scope: Scope, campaign: Occurrence, group: int, channel: PlannedChannel) -> tuple[VariantFigures, ...]:
    """What became of the variants of a test so far, in their order."""
    return _compared(scope, campaign, group, channel)[0]


def known_winner(scope: Scope, campaign: Occurrence, group: int, channel: PlannedChannel) -> int | None:
    """The variant that is known to be the best by the figures so far, None while none is."""
    figures, compared = _compared(scope, campaign, group, channel)
    planned_test = channel.ab_test
    if planned_test is None or compared is None or not compared.is_known:
        return None
    if any(variant.sent < planned_test.minimum_sent for variant in figures):
        return None
    return figures[compared.best[0]].template_id


def _compared(
    scope: Scope, campaign: Occurrence, group: int, channel: PlannedChannel
) -> tuple[tuple[VariantFigures, ...], Standings | None]:
    if channel.ab_test is None:
        return (), None
    of_group = {
        "execution_date": campaign.execution_date,
        "campaign": campaign.id,
        "channel": channel.channel_id,
        "group": group,
    }
    sent = {int(template): row for template, *row in scope.warehouse.rows(SENT, **of_group)}
    reacted = {int(template): row for template, *row in scope.warehouse.rows(REACTIONS, **of_group)}
    responders = _responders(scope, campaign, of_group, {template: int(row[1]) for template, row in reacted.items()})
    buyers = _buyers(scope, campaign, of_group) if channel.ab_test.metric in OF_BUYERS else None
    figures = [
        _figures(channel.ab_test, n, sent.get(template, [0, 0]), reacted.get(template, [0] * 4), responders, buyers)
        for n, template in enumerate(channel.template_ids)
    ]
    measured = [_measured(channel.ab_test.metric, variant, buyers) for variant in figures]
    compared = standings(measured, by_money=channel.ab_test.metric is ABMetric.VALUE)
    return tuple(
        variant.model_copy(update={"rate": own.mean, "difference": own.difference, "interval": own.interval})
        for variant, own in zip(figures, compared.variants, strict=True)
    ), compared


def _responders(
    scope: Scope, campaign: Occurrence, of_group: Mapping[str, Any], clicked: dict[int, int]
) -> dict[int, int]:
    """How many recipients of each variant have met the goal of a run since its window began."""
    goal = goal_of(campaign.plan)
    if is_click(goal):
        return clicked
    bound = {**_so_far(scope, campaign), **sales_parameters(scope, goal), **of_group}
    rows = scope.warehouse.rows(responders_sql(value_rule(scope), goal), **bound)
    return {int(template): int(customers) for template, customers in rows}


def _buyers(scope: Scope, campaign: Occurrence, of_group: Mapping[str, Any]) -> dict[int, Response]:
    """What customers whom each variant was sent to have bought since the window of a run began."""
    bound = {**_so_far(scope, campaign), **sales_parameters(scope, VALUE), **of_group, "past": PAST_DAYS}
    done = summed(scope, [(buyers_sql(value_rule(scope)), bound)])
    return {cell.drawn: response for cell, response in done.cells.items()}


def _so_far(scope: Scope, campaign: Occurrence) -> dict[str, Any]:
    """From the begin of a run's window until now (tenant wall clock)."""
    return {"since": window(scope, campaign)[0], "until": scope.clock.local(scope.time_zone)}


def _figures(
    planned_test: PlannedTest,
    place: int,
    sent: Sequence[Any],
    reacted: Sequence[Any],
    met_goal: Mapping[int, int],
    buyers: Mapping[int, Response] | None,
) -> VariantFigures:
    """The counts of a variant, not compared yet."""
    variant, (recipients, messages) = planned_test.variants[place], map(int, sent)
    opens, clicks, unsubscribes, complaints = map(int, reacted)
    bought = None if buyers is None else buyers.get(variant.template_id, Response())
    return VariantFigures(
        template_id=variant.template_id,
        name=variant.name,
        recipients=recipients,
        sent=messages,
        opens=opens,
        clicks=clicks,
        unsubscribes=unsubscribes,
        complaints=complaints,
        responders=met_goal.get(variant.template_id, 0),
        orders=None if bought is None else bought.responders,
        value=None if bought is None else bought.value,
        rate=0.0,
    )


def _measured(metric: ABMetric, variant: VariantFigures, buyers: Mapping[int, Response] | None) -> Response:
    """What a metric counts of a variant, among the customers whom it was sent to."""
    if buyers is not None:
        return buyers.get(variant.template_id, Response())
    counts = {ABMetric.OPENS: variant.opens, ABMetric.CLICKS: variant.clicks, ABMetric.RESPONDERS: variant.responders}
    return Response(variant.sent, counts[metric] or 0)
