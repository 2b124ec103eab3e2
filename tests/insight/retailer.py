"""A retailer for the tests of the model."""

from rapport.access.scope import Scope


def fill_shop(scope: Scope) -> None:
    """Two years of 4000 customers who come, buy at a rate of their own and stop."""
    execute = scope.warehouse.execute
    execute("""
        INSERT INTO customers (customer_id, REGISTRATION_DATE)
        SELECT concat('C', toString(number)), toDate('2024-09-01') + cityHash64(number, 7) % 660 FROM numbers(4000)
    """)
    execute("""
        INSERT INTO transactions (transaction_id, customer_id, transaction_time, amount)
        WITH intDiv(number, 10) AS c, toInt64(cityHash64(c, 7) % 660) AS first, 20 + cityHash64(c, 8) % 500 AS span
        SELECT toString(number), concat('C', toString(c)),
            toDateTime('2024-09-01 12:00:00', 'UTC') + toUInt32((first + cityHash64(number, 3) % span) * 86400),
            round(exp(2 + cityHash64(c, 5) % 100 / 50 + cityHash64(number, 6) % 100 / 200), 2)
        FROM numbers(39000) WHERE number % 10 <= cityHash64(c) % 10
    """)
    execute("""
        INSERT INTO transaction_items
            (transaction_id, line_number, customer_id, transaction_time, product_id, unit_price)
        SELECT transaction_id, line, customer_id, transaction_time,
            concat('P', toString(cityHash64(customer_id, line) % 9)), amount
        FROM transactions ARRAY JOIN [1, 2] AS line
    """)
