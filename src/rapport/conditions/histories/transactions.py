"""The history of transactions: orders, deposits, bets."""

# ruff: noqa: S608 - statements are put together of constants; values are bound

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rapport.conditions.histories.base import OF_CUSTOMERS, Happening, History, Query, Reading, scaled
from rapport.conditions.histories.filters import Filter, Texts
from rapport.conditions.histories.times import wall
from rapport.conditions.language.nodes import HistoryIs
from rapport.conditions.measures import AMOUNT_SCALE, Measure
from rapport.conditions.purchases import NO_VALUE_STATUSES, OF_ORDER, OF_PAYOUT, ValueRule
from rapport.conditions.schema import Kind
from rapport.conditions.text import fold

READ = f"""
    SELECT customer_id, transaction_id, toUnixTimestamp(transaction_time), amount, type, status, platform, promo_code,
        mapFilter((name, value) -> has({{names:Array(String)}}, name), properties), $SUBTRACTED
    FROM transactions WHERE {OF_CUSTOMERS} AND transaction_time >= {{since:DateTime('UTC')}}
"""
READ_ITEMS = f"""
    SELECT line.customer_id, line.transaction_id, line.product_id, line.quantity, line.unit_price, product.category,
        line.is_return
    FROM transaction_items AS line LEFT JOIN (
        SELECT product_id, any(category) AS category FROM products GROUP BY product_id
    ) AS product ON product.product_id = line.product_id
    WHERE line.{OF_CUSTOMERS} AND line.transaction_time >= {{since:DateTime('UTC')}}
"""


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a transaction."""

    product_id: str
    quantity: float
    unit_price: float
    category: str = ""
    is_return: bool = False


@dataclass(frozen=True, slots=True)
class Transaction:
    """An order, deposit or bet; time is the tenant's wall clock, naive. subtracted is what its property takes away."""

    time: datetime
    amount: float
    type: str = "order"
    status: str = ""
    platform: str = ""
    promo_code: str = ""
    items: Sequence[Item] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    subtracted: float = 0.0


# These ask for lines of a transaction, so that no column of the transaction itself answers them.
PRODUCT = Filter[Transaction]("product", Texts(), "A product that is on a line of the transaction")
CATEGORY = Filter[Transaction]("category", Texts(), "The category of a product on a line of the transaction")


class Transactions(History[Transaction]):
    """Transactions count by their amounts; filters of products count the matching lines."""

    name = "transactions"
    title = "transactions"
    description = (
        "Orders, deposits, bets. What is no order by its type (withdrawal, bonus, refund, and what the tenant says), "
        "without a positive amount, or canceled, failed or void counts only if `type` or `status` names it. Payouts "
        "are taken from the sum. With `product` or `category`, the amount is that of the matching lines."
    )
    table = "transactions"
    time_column = "transaction_time"
    time_kind = Kind.TIME
    measures = tuple(Measure)
    filters = (
        Filter[Transaction]("type", Texts(), "A type, such as order", "type", lambda row: row.type),
        Filter[Transaction]("status", Texts(), "A status, such as paid", "status", lambda row: row.status),
        Filter[Transaction](
            "platform", Texts(), "The platform on which it was made", "platform", lambda row: row.platform
        ),
        Filter[Transaction]("promo_code", Texts(), "The code redeemed", "promo_code", lambda row: row.promo_code),
        PRODUCT,
        CATEGORY,
    )
    properties = "properties"

    def from_sql(self, query: Query) -> str:
        """Transactions; with what the matching lines amount to, where products are asked for."""
        if not _by_item(query.node):
            return self.table
        parts = ["is_return = 0", query.in_window("transaction_time")]
        if products := query.node.filter(PRODUCT.name):
            parts.append(query.texts("product_id", products))
        if categories := query.node.filter(CATEGORY.name):
            parts.append(f"product_id IN (SELECT product_id FROM products WHERE {query.texts('category', categories)})")
        return (
            f"{self.table} INNER JOIN (SELECT transaction_id, "
            f"sum(toInt64(round(quantity * unit_price * {AMOUNT_SCALE}))) AS item_amount FROM transaction_items "
            f"WHERE {' AND '.join(parts)} GROUP BY transaction_id) AS matching_line USING (transaction_id)"
        )

    def amount_sql(self, query: Query) -> str:
        """What the transaction amounts to, or its matching lines; in a sum of values, less what is paid out."""
        if _by_item(query.node):
            return "item_amount"
        if not _is_of_values(query.node):
            return _scaled_sql("amount")
        values = query.schema.values
        query.binder.bind_named(**values.parameters())
        paid = f"{_scaled_sql('amount')} - {_scaled_sql(values.subtracted_sql)}"
        return f"if({OF_PAYOUT}, -{_scaled_sql('abs(amount)')}, {paid})"

    def rules_sql(self, query: Query) -> Iterator[str]:
        """What is no purchase counts only if a filter names it."""
        if query.node.filter("status") is None:
            yield query.texts("status", NO_VALUE_STATUSES, "NOT IN")
        if query.node.filter("type") is None:
            query.binder.bind_named(**query.schema.values.parameters())
            yield f"({OF_ORDER} OR {OF_PAYOUT})" if _is_of_values(query.node) else OF_ORDER

    def happening(self, node: HistoryIs, row: Transaction, values: ValueRule) -> Happening | None:
        """A purchase, or what the condition names; with the amount of its matching lines where products are asked."""
        if node.filter("status") is None and fold(row.status) in NO_VALUE_STATUSES:
            return None
        if _is_of_values(node) and values.is_payout(row.type):
            return Happening(row.time, -scaled(abs(row.amount)))
        if node.filter("type") is None and not values.is_order(row.type, row.amount):
            return None
        if not _by_item(node):
            return Happening(row.time, scaled(row.amount) - (scaled(row.subtracted) if _is_of_values(node) else 0))
        items = [item for item in row.items if _is_asked_for(node, item)]
        return Happening(row.time, sum(scaled(item.quantity * item.unit_price) for item in items)) if items else None

    def read(self, reading: Reading) -> Iterable[tuple[str, Transaction]]:
        """Transactions with the properties that conditions ask for; their lines only where one asks for products."""
        items: dict[tuple[str, str], list[Item]] = defaultdict(list)
        if any(_by_item(node) for node in reading.nodes):
            for customer_id, number, product, quantity, price, category, is_return in reading.rows(READ_ITEMS):
                items[customer_id, number].append(Item(product, quantity, price, category, bool(is_return)))
        names = sorted({name for node in reading.nodes for name, _ in node.properties})
        sql = READ.replace("$SUBTRACTED", reading.values.subtracted_sql)
        rows = reading.rows(sql, names=names, **reading.values.parameters())
        for customer_id, number, at, amount, kind, status, platform, code, *rest in rows:
            lines = items.get((customer_id, number), ())
            yield customer_id, Transaction(wall(at), amount, kind, status, platform, code, lines, *rest)


def _by_item(node: HistoryIs) -> bool:
    return bool(node.filter(PRODUCT.name) or node.filter(CATEGORY.name))


def _is_of_values(node: HistoryIs) -> bool:
    """Whether payouts are taken away: from the sum of what counts, not of types that a condition names."""
    return node.measure is Measure.SUM and node.filter("type") is None and not _by_item(node)


def _scaled_sql(amount: str) -> str:
    return f"toInt64(round({amount} * {AMOUNT_SCALE}))"


def _is_asked_for(node: HistoryIs, item: Item) -> bool:
    products, categories = node.filter(PRODUCT.name), node.filter(CATEGORY.name)
    return (
        not item.is_return
        and (products is None or fold(item.product_id) in products)
        and (categories is None or fold(item.category) in categories)
    )
