"""The features of customers on a data date: what each is called, what it means and how it is computed.

Windows end with the data date and are 7 (_1W), 30 (_1M), 90 (_3M) and 365 (_12M) days long. An
order is a transaction that counts for value. Sources and their columns are in insight.queries.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rapport.customers.attributes import AttributeInfo
from rapport.customers.states import AttributeSource

WINDOWS = (("1W", 7, "7 days"), ("1M", 30, "30 days"), ("3M", 90, "90 days"), ("12M", 365, "365 days"))


@dataclass(frozen=True)
class Feature:
    """One calculated attribute; sql is over the columns of the joined sources."""

    name: str
    field_type: str
    description: str
    sql: str

    def attribute(self) -> AttributeInfo:
        """The attribute as the customers package knows it."""
        alias = self.name.replace("_", " ").capitalize()
        return AttributeInfo(self.name, alias, self.description, self.field_type, AttributeSource.CALCULATED)


def _since(day: str) -> str:
    """Days from a day to the data date; NULL when the day is the zero date of a customer without rows."""
    return f"if({day} = toDate(0), NULL, toInt32({{data_date:Date}} - {day}))"


def _windowed(name: str, field_type: str, description: str, column: str) -> Iterator[Feature]:
    for suffix, _, words in WINDOWS:
        yield Feature(
            f"{name}_{suffix}", field_type, f"{description} in the last {words}", f"{column}_{suffix.lower()}"
        )


PERSON = (
    Feature(
        "DAYS_SINCE_REGISTRATION",
        "Int",
        "Days since the customer registered",
        "toInt32({data_date:Date} - registration_day)",
    ),
    Feature("AGE", "Int", "Age in whole years", "toInt32(age('year', DATE_OF_BIRTH, toDate32({data_date:Date})))"),
    Feature(
        "RANDOM_PERCENTILE",
        "Int",
        "Random slice of customers, 1 to 100, the same every day",
        "toInt32(sipHash64(customer_id) % 100) + 1",
    ),
)

ORDERS = (
    Feature("FIRST_ORDER_DATE", "Date", "Day of the first order", "nullIf(first_day, toDate(0))"),
    Feature("LAST_ORDER_DATE", "Date", "Day of the last order", "nullIf(last_day, toDate(0))"),
    Feature("DAYS_SINCE_FIRST_ORDER", "Int", "Days since the first order", _since("first_day")),
    Feature("DAYS_SINCE_LAST_ORDER", "Int", "Days since the last order", _since("last_day")),
    Feature("NUMBER_OF_ORDERS", "Bigint", "Orders ever", "orders"),
    *_windowed("NUMBER_OF_ORDERS", "Bigint", "Orders", "orders"),
    Feature("NUMBER_OF_ORDER_DAYS", "Bigint", "Distinct days with an order", "purchase_days"),
    Feature("TOTAL_ORDER_AMOUNT", "Decimal", "Amount of all orders ever, before refunds", "amount_total"),
    *_windowed("TOTAL_ORDER_AMOUNT", "Decimal", "Amount of orders, before refunds,", "amount"),
    Feature(
        "TOTAL_REFUND_AMOUNT",
        "Decimal",
        "Refunds and payouts ever; without payouts at most the amount of all orders",
        "amount_refunded",
    ),
    Feature(
        "NET_ORDER_AMOUNT",
        "Decimal",
        "Amount of all orders ever less refunds and payouts",
        "amount_total - amount_refunded",
    ),
    Feature("AVERAGE_ORDER_AMOUNT", "Decimal", "Mean amount of an order", "amount_total / nullIf(orders, 0)"),
    Feature("LARGEST_ORDER_AMOUNT", "Decimal", "Amount of the largest order", "if(orders = 0, NULL, amount_largest)"),
    Feature("LAST_ORDER_AMOUNT", "Decimal", "Amount of the last order", "if(orders = 0, NULL, amount_last)"),
    Feature("TOTAL_DISCOUNT", "Decimal", "Discounts on all orders ever", "discount_total"),
    Feature("NUMBER_OF_PROMO_ORDERS", "Bigint", "Orders with a promo code", "promo_orders"),
    Feature(
        "AVERAGE_DAYS_BETWEEN_ORDERS",
        "Decimal",
        "Mean days between two days with an order",
        "if(purchase_days > 1, (last_day - first_day) / (purchase_days - 1), NULL)",
    ),
    Feature(
        "CHURN_FACTOR",
        "Decimal",
        "Days since the last order divided by the mean days between orders",
        "if(purchase_days > 1, ({data_date:Date} - last_day) * (purchase_days - 1) / (last_day - first_day), NULL)",
    ),
)

ITEMS = (
    Feature("NUMBER_OF_ITEMS", "Decimal", "Items bought ever, without returns", "items_bought"),
    Feature("NUMBER_OF_RETURNED_ITEMS", "Decimal", "Items returned ever", "items_returned"),
    Feature("NUMBER_OF_PRODUCTS", "Bigint", "Distinct products bought", "products_bought"),
    Feature("NUMBER_OF_CATEGORIES", "Bigint", "Distinct product categories bought", "categories_bought"),
    Feature("FAVORITE_PRODUCT", "Nvarchar", "Product bought most often", "nullIf(favorite_product, '')"),
    Feature("FAVORITE_CATEGORY", "Varchar", "Product category bought most often", "nullIf(favorite_category, '')"),
)

ACTIVITY = (
    *(f for f in _windowed("NUMBER_OF_EVENTS", "Bigint", "Activity events", "events") if not f.name.endswith("12M")),
    Feature("DAYS_SINCE_LAST_EVENT", "Int", "Days since the last activity event", _since("last_event_day")),
)

CAMPAIGNS = (
    Feature("CAMPAIGNS_RECEIVED_1W", "Bigint", "Campaigns received in the last 7 days", "campaigns_1w"),
    Feature("CAMPAIGNS_RECEIVED_1M", "Bigint", "Campaigns received in the last 30 days", "campaigns_1m"),
    Feature(
        "DAYS_SINCE_LAST_CAMPAIGN", "Int", "Days since the last campaign, within a year", _since("last_campaign_day")
    ),
    Feature("NUMBER_OF_OPENS_1W", "Bigint", "Messages opened in the last 7 days", "opens_1w"),
    Feature("NUMBER_OF_OPENS_1M", "Bigint", "Messages opened in the last 30 days", "opens_1m"),
    Feature("NUMBER_OF_CLICKS_1W", "Bigint", "Clicks in messages in the last 7 days", "clicks_1w"),
    Feature("NUMBER_OF_CLICKS_1M", "Bigint", "Clicks in messages in the last 30 days", "clicks_1m"),
    Feature("DAYS_SINCE_LAST_OPEN", "Int", "Days since a message was opened, within a year", _since("last_open_day")),
    Feature("DAYS_SINCE_LAST_CLICK", "Int", "Days since a click in a message, within a year", _since("last_click_day")),
    Feature(
        "RESPONSE_RATE_1W",
        "Decimal",
        "Share of the campaigns of the last 7 days that were opened or clicked",
        "least(responded_1w, asked_1w) / nullIf(asked_1w, 0)",
    ),
    Feature(
        "RESPONSE_RATE_1M",
        "Decimal",
        "Share of the campaigns of the last 30 days that were opened or clicked",
        "least(responded_1m, asked_1m) / nullIf(asked_1m, 0)",
    ),
)

FEATURES: tuple[Feature, ...] = (*PERSON, *ORDERS, *ITEMS, *ACTIVITY, *CAMPAIGNS)
