"""A tenant without data, then with a little: nothing fails, and models are learned as soon as they can be."""

from datetime import date, timedelta

from rapport.access.scope import Scope
from rapport.insight import service as insight
from rapport.insight.estimation import fits

D = date(2026, 6, 29)


def fitted(scope: Scope, day: date) -> bool:
    fit = fits.fit_for(scope, fits.FUTURE_VALUE, day)
    assert fit is not None
    found: bool = fit.report["fitted"]
    return found


def test_from_nothing_to_a_fit(scope: Scope) -> None:
    insight.run_model(scope, D)
    assert scope.warehouse.value("SELECT count() FROM profiles") == 0
    scope.warehouse.execute("INSERT INTO customers (customer_id) VALUES ('a'), ('b')")
    scope.warehouse.execute("""
        INSERT INTO transactions (transaction_id, customer_id, transaction_time, amount)
        VALUES ('1', 'a', '2026-06-30 10:00:00', 5), ('2', 'a', '2026-06-30 12:00:00', 7)
    """)
    day = D + timedelta(days=1)
    insight.run_model(scope, day)
    sql = """
        SELECT LIFECYCLE_STAGE, DORMANT_TYPE, VALUE_SEGMENT, FUTURE_VALUE > 0, CHURN_PROBABILITY BETWEEN 0 AND 1
        FROM profiles WHERE data_date = {day:Date} ORDER BY customer_id
    """
    assert scope.warehouse.rows(sql, day=day) == [
        ("New", None, "Top", 1, 1),
        ("Dormant", "Prospect", None, None, None),
    ]
    assert not fitted(scope, day)
    scope.warehouse.execute("""
        INSERT INTO transactions (transaction_id, customer_id, transaction_time, amount)
        SELECT concat('n', toString(number)), concat('c', toString(number % 90)),
            toDateTime('2026-02-01 00:00:00', 'UTC') + toUInt32(cityHash64(number) % 140 * 86400), 10 + number % 7
        FROM numbers(200)
    """)
    scope.warehouse.execute("INSERT INTO customers (customer_id) SELECT concat('c', toString(number)) FROM numbers(90)")
    insight.run_model(scope, day + timedelta(days=1))
    assert fitted(scope, day + timedelta(days=1))
    assert not fitted(scope, day)
    _old_snapshots_go(scope)


def _old_snapshots_go(scope: Scope) -> None:
    for offset in range(3, 8):
        insight.run_model(scope, D + timedelta(days=offset))
    kept = scope.warehouse.rows("SELECT DISTINCT data_date FROM profiles ORDER BY data_date")
    assert [day for (day,) in kept][-3:] == [D + timedelta(days=offset) for offset in (5, 6, 7)]
    assert all(day > D + timedelta(days=4) for (day,) in kept)
