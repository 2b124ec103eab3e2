"""What a series is to bring: the goal that its results and its self-optimising split go by.

A goal is yes or no for each customer (ordered, bought a product, clicked), of which groups have rates, or an amount
(money, margin), of which they have means. A run keeps the goal that it was planned with.
"""

# ruff: noqa: S608 - statements are put together of constants

from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.models import ORDERS, Series
from rapport.campaigns.plans import Plan, channels_in
from rapport.campaigns.schemas import Goal, PlainGoal
from rapport.channels import service as channels
from rapport.conditions.purchases import IN_FORCE, IS_PURCHASE, OF_PAYOUT, ValueRule
from rapport.customers.settings import value_rule
from rapport.errors import Invalid

VALUE = PlainGoal(kind="value")

WORDS = {
    "orders": "customers who ordered",
    "value": "what customers spent",
    "click": "customers who clicked",
    "margin": "what was earned by the orders of customers",
    "product": "customers who bought the product",
    "category": "customers who bought something of the category",
}
LINES = "is_return = 0 AND transaction_time >= {since} AND transaction_time < {until}"
OF_CATEGORY = "SELECT product_id FROM products WHERE lowerUTF8(category) = lowerUTF8({goal:String})"
# By kind, whether the lines of a transaction are of the goal.
OF_GOAL = {
    "product": "lowerUTF8(product_id) = lowerUTF8({goal:String})",
    "category": f"product_id IN ({OF_CATEGORY})",
}
# What refunds name the order that they are of; they come after it, and count however late.
REFUNDS = """
    SELECT refund_of, customer_id AS refunded, sum(abs(amount)) AS given_back FROM transactions
    WHERE refund_of != '' AND {in_force} AND transaction_time >= {since}
    GROUP BY refund_of, refunded
"""
MARGIN = "toFloat64OrZero(properties[{goal:String}])"

# Where to look for what a goal names, and whether it is there.
NAMED_IN = {"margin": "transactions", "product": "products", "category": "products"}
KNOWN = {
    "margin": """
        SELECT 1 FROM transactions WHERE toFloat64OrNull(properties[{goal:String}]) IS NOT NULL LIMIT 1
    """,
    "product": f"""
        SELECT 1 FROM products WHERE {OF_GOAL["product"]}
        UNION ALL SELECT 1 FROM transaction_items WHERE {OF_GOAL["product"]} LIMIT 1
    """,
    "category": OF_CATEGORY + " LIMIT 1",
}
UNKNOWN = {
    "margin": "goal.property names {!r}, which no transaction has as a number.",
    "product": "goal.product_id names {!r}, which is no product.",
    "category": "goal.category names {!r}, which no product is of.",
}


def goal_of(plan: Plan) -> Goal:
    """The goal of a run, by its plan; whether customers order for those from before goals."""
    return plan.goal or ORDERS


def is_amount(goal: Goal) -> bool:
    """Whether a goal is an amount for each customer, else yes or no."""
    return goal.kind in ("value", "margin")


def is_click(goal: Goal) -> bool:
    """Whether a goal is what customers do with a message, which control cannot."""
    return goal.kind == "click"


def sales_parameters(scope: Scope, goal: Goal) -> dict[str, Any]:
    """What the SQL of a goal's sales binds."""
    return {**_named(goal), **value_rule(scope).parameters()}


def _named(goal: Goal) -> dict[str, str]:
    return {"goal": name for name in goal.model_dump(exclude={"kind"}).values()}  # noqa: B035 - there is one, or none


def sales(values: ValueRule, goal: Goal, since: str, until: str, customers: str) -> str:
    """SQL of the transactions of customers within a time that came in: customer_id, transaction_time, money, counts,
    promo_code, is_kept.

    is_kept: not given back wholly; counts: of the goal besides; money what of it, less the part of the order
    that was given back, whenever that was. Payouts are rows that count for nothing, with money below 0.
    """
    money, counts, joined, rows, is_order = values.value_sql, "true", "", values.has_value_sql, f"NOT ({OF_PAYOUT})"
    if goal.kind == "margin" or goal.kind in OF_GOAL or not values.has_payouts:
        rows, is_order = IS_PURCHASE, "true"
    if goal.kind == "margin":
        money = MARGIN
    elif goal.kind in OF_GOAL:
        money, counts = "of_goal", "line_of != ''"
        lines = f"{LINES.format(since=since, until=until)} AND {OF_GOAL[goal.kind]}"
        joined = f"""LEFT JOIN (
            SELECT transaction_id AS line_of, sum(quantity * unit_price) AS of_goal FROM transaction_items
            WHERE {lines} GROUP BY line_of
        ) AS lines ON line_of = transaction_id"""
    refunds = REFUNDS.format(in_force=IN_FORCE, since=since)
    return f"""
        SELECT customer_id, transaction_time, ({money}) * greatest(0, 1 - given_back / amount) AS money,
            {is_order} AND given_back < amount AS is_kept, is_kept AND {counts} AS counts, promo_code
        FROM transactions
        LEFT JOIN ({refunds}) AS refunds ON refunds.refund_of = transaction_id AND refunded = customer_id
        {joined}
        WHERE transaction_time >= {since} AND transaction_time < {until} AND {rows}
            AND customer_id IN ({customers})
    """


def warnings(scope: Scope, series: Series) -> list[str]:
    """What of a series' goal is not measured, in sentences: what names something without any data yet, and clicks on
    channels that Rapport sends on.
    """
    goal = series.goal
    if not is_click(goal):
        return [
            f"goal {goal.kind}: there are no {NAMED_IN[goal.kind]} yet, so that {name!r} could not be looked for. "
            "The goal shows nothing before they are loaded."
            for name in _named(goal).values()
            if not _has_data(scope, goal) and not _is_known(scope, goal, name)
        ]
    channel_ids = channels_in(series.groups)
    return [
        f"goal click: clicks in {channel.behaviour.message_noun} of channel {channel.id} ({channel.name}) are not "
        "measured: Rapport sends it itself, and does not track its links. The goal shows nothing of it: turn tracking "
        "on, or choose another goal, such as orders."
        for channel in channels.channels(scope)
        if channel.id in channel_ids and not channel.behaviour.learns_clicks(scope, channel.settings)
    ]


def check_goal(scope: Scope, goal: Goal, groups: int) -> None:
    """A goal must tell groups apart and name something that there is, once there are data. Raises Invalid."""
    if is_click(goal) and groups < 2:
        raise Invalid(
            "goal click compares groups with each other: control cannot click, so at least two groups are needed."
        )
    for name in _named(goal).values():
        if _has_data(scope, goal) and not _is_known(scope, goal, name):
            raise Invalid(UNKNOWN[goal.kind].format(name))


def _has_data(scope: Scope, goal: Goal) -> bool:
    """Whether there is anything of the kind that a goal names."""
    return scope.warehouse.row(f"SELECT 1 FROM {NAMED_IN[goal.kind]} LIMIT 1") is not None


def _is_known(scope: Scope, goal: Goal, name: str) -> bool:
    return scope.warehouse.row(KNOWN[goal.kind], goal=name) is not None
