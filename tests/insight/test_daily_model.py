"""The daily model of a date, end to end."""

from datetime import date

import pytest

from rapport.access.scope import Scope
from rapport.insight import service as insight

D = date(2026, 6, 30)


@pytest.fixture(scope="module", autouse=True)
def shop(scope: Scope) -> None:
    scope.warehouse.execute("""
        INSERT INTO customers (customer_id, REGISTRATION_DATE, COUNTRY)
        SELECT concat('C', toString(number)), toDate('2025-01-01') + number % 500, 'NL' FROM numbers(2000)
    """)
    scope.warehouse.execute("""
        INSERT INTO transactions (transaction_id, customer_id, transaction_time, amount)
        SELECT toString(number), concat('C', toString(number % 1900)),
            toDateTime('2025-01-01 10:00:00', 'UTC')
                + toUInt32(number % 1900 % 500 + cityHash64(number) % (545 - number % 1900 % 500)) * 86400,
            10 + cityHash64(number % 1900, 1) % 50 + cityHash64(number, 2) % 10
        FROM numbers(8000)
    """)
    insight.run_model(scope, D)


def test_everybody_has_one_profile_and_one_result(scope: Scope) -> None:
    for table in ("profiles", "model_results"):
        assert scope.warehouse.rows(f"SELECT count(), uniqExact(customer_id) FROM {table}") == [(2000, 2000)]
    assert scope.data_date() == D
