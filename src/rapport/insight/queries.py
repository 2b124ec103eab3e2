"""Warehouse SQL of the features: one subquery a source, joined per customer.

Every query binds {data_date:Date}, the window starts and the end of the data date as instants, and
`sample_of` to take one customer in so many (1 takes all). Nothing after the data date is read, so
the same SQL gives the features of any earlier date.
"""

from datetime import date, datetime, timedelta
from typing import Any

from rapport.access.scope import Scope
from rapport.conditions.interaction_codes import CLICKED, OPENED
from rapport.conditions.purchases import IS_PURCHASE, MAY_LOSE, ValueRule
from rapport.conditions.send_days import LONGEST_LEAD, SEND_DAY
from rapport.customers.settings import value_rule
from rapport.insight import work
from rapport.insight.features import FEATURES, WINDOWS
from rapport.insight.stages import stage_rules
from rapport.stores.warehouse import identifier

SAMPLE = "cityHash64(customer_id) % {sample_of:UInt64} = 0"
DAY_END = "toDateTime({data_date:Date} + 1, 'UTC')"

_ORDER_WINDOWS = "".join(
    f""",
            countIf(day > {{data_date:Date}} - {days}) AS orders_{suffix.lower()},
            sumIf(amount, day > {{data_date:Date}} - {days}) AS amount_{suffix.lower()}"""
    for suffix, days, _ in WINDOWS
)

# A gap with a day in Churn is at least churn_days + 2 long: the day of the return is no such day.
# purchases holds (day, amount) of every order: gaps between days and the value of repeat days need
# the sequence. The table's order makes the aggregation one pass in constant memory.
ORDERS = f"""
    SELECT
        * EXCEPT (purchases),
        arrayCompact(purchases.1) AS days,
        arrayDifference(days) AS gaps,
        toInt64(length(days)) AS purchase_days,
        arrayLastIndex(gap -> gap > {{churn_days:Int32}} + 1, gaps) AS reactivation_index,
        if(reactivation_index > 0, toDate(days[reactivation_index]), toDate(0)) AS reactivation_day,
        arrayCount(gap -> gap > {{churn_days:Int32}} + 1, gaps) AS long_gaps,
        arraySum(gap -> greatest(gap - {{churn_days:Int32}} - 1, 0), gaps) AS past_churn_days,
        arraySum(purchase -> if(purchase.1 = days[1], purchase.2, 0), purchases) AS first_day_amount
    FROM (
        SELECT
            customer_id,
            toInt64(count()) AS orders,
            sum(amount) AS amount_total,
            max(amount) AS amount_largest,
            argMax(amount, (transaction_time, transaction_id)) AS amount_last,
            sum(discount) AS discount_total,
            countIf(promo_code != '') AS promo_orders,
            min(day) AS first_day,
            max(day) AS last_day,
            arraySort(groupArray((toUInt16(day), amount))) AS purchases{_ORDER_WINDOWS}
        FROM (
            SELECT *, toDate(transaction_time) AS day FROM transactions
            WHERE transaction_time < {DAY_END} AND {IS_PURCHASE} AND {SAMPLE}
        )
        GROUP BY customer_id
    )
"""  # noqa: S608 - built from constants of this module


def _refunds(values: ValueRule) -> str:
    """What customers got back: most rows do not say which order they refund, so it is of all orders together."""
    return f"""
        SELECT customer_id, sum({values.given_back_sql}) AS refunded FROM transactions
        WHERE transaction_time < {DAY_END} AND {values.gives_back_sql} AND {SAMPLE}
        GROUP BY customer_id
    """  # noqa: S608 - ours


# The arrays of a customer's products and categories are sorted, so that a tie has one winner; the
# table's order makes them arrays of one customer at a time.
ITEMS = f"""
    WITH
        arraySort(groupArrayIf(product_id, NOT is_return)) AS products,
        arraySort(groupArrayIf(category, NOT is_return AND category != '')) AS categories,
        arrayEnumerateUniq(products) AS product_times,
        arrayEnumerateUniq(categories) AS category_times
    SELECT
        customer_id,
        sumIf(quantity, NOT is_return) AS items_bought,
        sumIf(quantity, is_return) AS items_returned,
        countEqual(product_times, 1) AS products_bought,
        countEqual(category_times, 1) AS categories_bought,
        products[indexOf(product_times, arrayMax(product_times))] AS favorite_product,
        categories[indexOf(category_times, arrayMax(category_times))] AS favorite_category
    FROM (
        SELECT *, joinGet({{category_table:String}}, 'category', product_id) AS category FROM transaction_items
        WHERE transaction_time < {DAY_END} AND {SAMPLE}
    )
    GROUP BY customer_id
"""  # noqa: S608 - ours

SOURCES = (
    "customers",
    "transactions",
    "transaction_items",
    "activity_events",
    "campaign_recipients",
    "campaign_interactions",
)

CATEGORIES = "SELECT product_id, toString(any(category)) AS category FROM products GROUP BY product_id"

EVENTS = f"""
    SELECT
        customer_id,
        countIf(event_at >= fromUnixTimestamp64Milli({{start_1w:Int64}}, 'UTC')) AS events_1w,
        countIf(event_at >= fromUnixTimestamp64Milli({{start_1m:Int64}}, 'UTC')) AS events_1m,
        countIf(event_at >= fromUnixTimestamp64Milli({{start_3m:Int64}}, 'UTC')) AS events_3m,
        toDate(max(event_at), {{zone:String}}) AS last_event_day
    FROM activity_events
    WHERE event_at < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC') AND {SAMPLE}
    GROUP BY customer_id
"""  # noqa: S608 - ours

# Responses stand by the day of processing, so that their rates go by it, too.
RECEIVED = f"""
    SELECT
        customer_id,
        uniqExactIf(campaign_id, sent_on > {{data_date:Date}} - 7) AS campaigns_1w,
        uniqExactIf(campaign_id, sent_on > {{data_date:Date}} - 30) AS campaigns_1m,
        uniqExactIf(campaign_id, execution_date > {{data_date:Date}} - 7) AS asked_1w,
        uniqExactIf(campaign_id, execution_date > {{data_date:Date}} - 30) AS asked_1m,
        max(sent_on) AS last_campaign_day
    FROM (
        SELECT customer_id, campaign_id, execution_date, {SEND_DAY} AS sent_on FROM campaign_recipients
        WHERE execution_date > {{data_date:Date}} - {365 + LONGEST_LEAD} AND execution_date <= {{data_date:Date}}
          AND action_id > 1 AND {SAMPLE}
    )
    WHERE sent_on > {{data_date:Date}} - 365 AND sent_on <= {{data_date:Date}}
    GROUP BY customer_id
"""  # noqa: S608 - ours

RESPONSES = f"""
    WITH
        interaction_at >= fromUnixTimestamp64Milli({{start_1w:Int64}}, 'UTC') AS in_week,
        interaction_at >= fromUnixTimestamp64Milli({{start_1m:Int64}}, 'UTC') AS in_month
    SELECT
        customer_id,
        countIf(event_id = {OPENED} AND in_week) AS opens_1w,
        countIf(event_id = {OPENED} AND in_month) AS opens_1m,
        countIf(event_id = {CLICKED} AND in_week) AS clicks_1w,
        countIf(event_id = {CLICKED} AND in_month) AS clicks_1m,
        toDate(maxIf(interaction_at, event_id = {OPENED}), {{zone:String}}) AS last_open_day,
        toDate(maxIf(interaction_at, event_id = {CLICKED}), {{zone:String}}) AS last_click_day,
        uniqExactIf(campaign_id, delivery_date > {{data_date:Date}} - 7) AS responded_1w,
        uniqExactIf(campaign_id, delivery_date > {{data_date:Date}} - 30) AS responded_1m
    FROM campaign_interactions
    WHERE delivery_date > {{data_date:Date}} - 365 AND delivery_date <= {{data_date:Date}}
      AND interaction_at < fromUnixTimestamp64Milli({{end:Int64}}, 'UTC') AND event_id IN ({OPENED}, {CLICKED})
      AND {SAMPLE}
    GROUP BY customer_id
"""  # noqa: S608 - ours

# What the models need besides the calculated attributes, in their own units.
INTERNAL = f"""
        customer_id,
        registration_day,
        first_day,
        last_day,
        purchase_days,
        reactivation_day,
        toInt32(long_gaps) AS past_churns,
        toInt32(past_churn_days) AS past_churn_days,
        if({MAY_LOSE}, refunded, least(refunded, amount_total)) AS amount_refunded,
        if(purchase_days > 1, (amount_total - first_day_amount) / (purchase_days - 1), 0) AS repeat_value,
        toInt32({{data_date:Date}} - first_day) AS days_since_first,
        toInt32({{data_date:Date}} - last_day) AS days_since_last,
        toInt32({{data_date:Date}} - reactivation_day) AS days_since_reactivation"""

FEATURE_COLUMNS = ",\n        ".join(f"{feature.sql} AS {identifier(feature.name)}" for feature in FEATURES)


def features_on_date(values: ValueRule) -> str:
    """SQL of the features of all customers on a date."""
    return f"""
    SELECT {INTERNAL},
        {FEATURE_COLUMNS}
    FROM (
        SELECT customer_id, REGISTRATION_DATE AS registration_day, DATE_OF_BIRTH FROM customers WHERE {SAMPLE}
    ) AS customer
    LEFT JOIN ({ORDERS}) AS source_orders USING (customer_id)
    LEFT JOIN ({_refunds(values)}) AS source_refunds USING (customer_id)
    LEFT JOIN ({ITEMS}) AS source_items USING (customer_id)
    LEFT JOIN ({EVENTS}) AS source_events USING (customer_id)
    LEFT JOIN ({RECEIVED}) AS source_received USING (customer_id)
    LEFT JOIN ({RESPONSES}) AS source_responses USING (customer_id)
    WHERE ifNull(registration_day, {{data_date:Date}}) <= {{data_date:Date}} OR orders > 0
    SETTINGS optimize_aggregation_in_order = 1
"""  # noqa: S608 - ours


def fill_features(scope: Scope, name: str, day: date, data_date: date, sample_of: int = 1) -> str:
    """Make the working table of the features on data_date of one customer in sample_of; answers its quoted name.

    day is the date that is being worked on, whose tables the working table belongs to.
    """
    engine = "Join(ANY, LEFT, product_id)"
    categories = work.fill(scope, "categories", day, CATEGORIES, engine=engine)
    parameters = {**date_parameters(scope, data_date, sample_of), **stage_rules(scope).parameters()}
    values = value_rule(scope)
    parameters |= values.parameters()
    parameters["category_table"] = f"{scope.warehouse.name}.{categories.strip('`')}"
    parts = scope.warehouse.customer_slices(*SOURCES)
    return work.fill(scope, name, day, features_on_date(values), parts=parts, **parameters)


def date_parameters(scope: Scope, data_date: date, sample_of: int = 1) -> dict[str, Any]:
    """What the SQL of this module binds, but for the days of the stage rules. Instants are epoch milliseconds."""

    def start_of(day: date) -> int:
        return int(scope.instant(datetime(day.year, day.month, day.day)).timestamp() * 1000)

    end = data_date + timedelta(days=1)
    starts = {f"start_{suffix.lower()}": start_of(end - timedelta(days=days)) for suffix, days, _ in WINDOWS}
    return {
        "data_date": data_date,
        "sample_of": sample_of,
        "zone": str(scope.time_zone),
        "end": start_of(end),
        **starts,
    }
