"""The products that are recommended to one customer."""

from rapport.access.scope import Scope

BEST = """
    SELECT if(product.name = '', recommended.product_id, product.name) FROM (
        SELECT product_id, min(priority) AS best FROM product_recommendations
        WHERE data_date = {data_date:Date} AND customer_id = {customer:String}
        GROUP BY product_id ORDER BY best, product_id LIMIT {count:UInt32}
    ) AS recommended LEFT JOIN products AS product ON product.product_id = recommended.product_id
    ORDER BY recommended.best, recommended.product_id
"""


def recommended(scope: Scope, customer_id: str, count: int) -> list[str]:
    """The names of the first products for a customer on the newest data date, best first; ids where a name lacks."""
    data_date = scope.data_date()
    if data_date is None or not count:
        return []
    parameters = {"data_date": data_date, "customer": customer_id, "count": count}
    return [str(name) for (name,) in scope.warehouse.rows(BEST, **parameters)]
