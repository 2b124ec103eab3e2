"""The products that are recommended to one customer, and those that are popular with all."""

from dataclasses import dataclass

from rapport.access.scope import Scope
from rapport.insight.recommendations import POPULARITY_FADES

BEST = """
    SELECT if(product.name = '', recommended.product_id, product.name) FROM (
        SELECT product_id, min(priority) AS best FROM product_recommendations
        WHERE data_date = {data_date:Date} AND customer_id = {customer:String}
        GROUP BY product_id ORDER BY best, product_id LIMIT {count:UInt32}
    ) AS recommended LEFT JOIN products AS product ON product.product_id = recommended.product_id
    ORDER BY recommended.best, recommended.product_id
"""
# Each product once, by its best place. The score falls with the place: 1, 1/2, 1/3 ...
OF_CUSTOMER = """
    SELECT recommended.product_id, product.name, product.category, 1 / best
    FROM (
        SELECT product_id, min(priority) AS best FROM product_recommendations
        WHERE data_date = {data_date:Date} AND customer_id = {customer:String} GROUP BY product_id
    ) AS recommended
    LEFT JOIN products AS product ON product.product_id = recommended.product_id
    WHERE product.product_id = '' OR product.is_active
    ORDER BY best, recommended.product_id
"""
POPULAR_DAYS = 90
POPULAR = f"""
    SELECT bought.product_id, product.name, product.category, round(sum(weight), 6) AS popularity
    FROM (
        SELECT product_id, customer_id,
            exp(-(toInt32({{today:Date}}) - toInt32(toDate(max(transaction_time)))) / {POPULARITY_FADES}) AS weight
        FROM transaction_items
        WHERE NOT is_return AND toDate(transaction_time) > {{today:Date}} - {POPULAR_DAYS}
        GROUP BY product_id, customer_id
    ) AS bought
    LEFT JOIN products AS product ON product.product_id = bought.product_id
    WHERE product.product_id = '' OR product.is_active
    GROUP BY bought.product_id, product.name, product.category
    ORDER BY popularity DESC, bought.product_id LIMIT {{count:UInt32}}
"""  # noqa: S608 - ours


@dataclass(frozen=True)
class Product:
    """A product that is not inactive; the higher its score, the earlier it comes."""

    product_id: str
    name: str
    category: str
    score: float


def products_of(scope: Scope, customer_id: str) -> list[Product]:
    """The products for a customer on the newest data date, best first."""
    data_date = scope.data_date()
    if data_date is None:
        return []
    return [Product(*row) for row in scope.warehouse.rows(OF_CUSTOMER, data_date=data_date, customer=customer_id)]


def popular(scope: Scope, count: int) -> list[Product]:
    """The products that most customers bought of late, the latest counting most; scores are faded buyers."""
    rows = scope.warehouse.rows(POPULAR, today=scope.today(), count=count)
    return [Product(*row) for row in rows]


def recommended(scope: Scope, customer_id: str, count: int) -> list[str]:
    """The names of the first products for a customer on the newest data date, best first; ids where a name lacks."""
    data_date = scope.data_date()
    if data_date is None or not count:
        return []
    parameters = {"data_date": data_date, "customer": customer_id, "count": count}
    return [str(name) for (name,) in scope.warehouse.rows(BEST, **parameters)]
