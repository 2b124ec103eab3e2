"""The products that are recommended to one customer."""

from rapport.access.scope import Scope

BEST = """
    SELECT if(p.name = '', r.product_id, p.name) FROM (
        SELECT product_id, min(priority) AS best FROM product_recommendations
        WHERE data_date = {data_date:Date} AND customer_id = {customer:String}
        GROUP BY product_id ORDER BY best, product_id LIMIT {count:UInt32}
    ) AS r LEFT JOIN products AS p ON p.product_id = r.product_id
    ORDER BY r.best, r.product_id
"""


def recommended(scope: Scope, customer_id: str, count: int) -> list[str]:
    """The names of the first products for a customer on the newest data date, best first; ids where a name lacks."""
    data_date = scope.data_date()
    if data_date is None or not count:
        return []
    parameters = {"data_date": data_date, "customer": customer_id, "count": count}
    return [str(name) for (name,) in scope.warehouse.rows(BEST, **parameters)]
