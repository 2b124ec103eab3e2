"""Values where data are awkward: many customers alike, orders sent back, a stray first date, past dates run late."""

from datetime import date, timedelta

import httpx
import pytest

from rapport.access.scope import Scope
from rapport.insight import service as insight
from rapport.insight.estimation import fits

D = date(2026, 6, 28)  # a Sunday
ALIKE, OTHERS = 600, 400
ORDER = "INSERT INTO transactions (transaction_id, customer_id, transaction_time, amount, type, status)"


@pytest.fixture(scope="module", autouse=True)
def shop(scope: Scope) -> None:
    """Many who bought once for the same on one day, some who came back, and one who sends everything back."""
    execute = scope.warehouse.execute
    execute(f"""
        INSERT INTO customers (customer_id, COUNTRY)
        SELECT concat('c', toString(number)), 'NL' FROM numbers({ALIKE + OTHERS})
    """)
    execute("INSERT INTO customers (customer_id, COUNTRY) VALUES ('back', 'NL')")
    execute(f"""
        {ORDER} SELECT concat('a', toString(number)), concat('c', toString(number)), '2026-01-05 10:00:00', 5,
            'order', ''
        FROM numbers({ALIKE})
    """)
    execute(f"""
        {ORDER} SELECT toString(number), concat('c', toString({ALIKE} + number % {OTHERS})),
            toDateTime('2025-01-10 10:00:00', 'UTC') + toUInt32(cityHash64(number) % 530 * 86400),
            20 + cityHash64(number, 1) % 50, 'order', ''
        FROM numbers({OTHERS} * 5)
    """)
    execute(f"{ORDER} VALUES ('stray', 'c700', '1970-01-01 00:00:00', 1, 'order', '')")
    execute(f"""
        {ORDER} SELECT concat('b', toString(number)), 'back',
            toDateTime('2026-01-01 10:00:00', 'UTC') + number * 1500000,
            500, 'order', ''
        FROM numbers(10)
    """)
    execute(f"""
        {ORDER} SELECT concat('r', toString(number)), 'back',
            toDateTime('2026-01-04 10:00:00', 'UTC') + number * 1500000,
            if(number % 2, 500, -500), if(number % 2, 'Refund', 'order'), ''
        FROM numbers(10)
    """)
    execute(f"{ORDER} VALUES ('out', 'c1', '2026-02-01 00:00:00', -5, 'withdrawal', '')")
    insight.run_model(scope, D)


def test_many_alike_have_the_middle_rank(scope: Scope) -> None:
    sql = """
        SELECT FUTURE_VALUE_PERCENTILE, VALUE_SEGMENT, count() AS n, uniqExact(FUTURE_VALUE) FROM profiles
        WHERE data_date = {d:Date} AND toUInt32OrZero(substring(customer_id, 2)) < 600 AND customer_id != 'back'
        GROUP BY ALL
    """
    that_day = "FROM model_results WHERE data_date = {d:Date}"
    theirs = f"(SELECT future_value {that_day} AND customer_id = 'c0')"
    above = scope.warehouse.value(f"SELECT countIf(future_value > {theirs}) {that_day}", d=D)
    middle = 100 - int((above + (ALIKE - 1) / 2) / (ALIKE + OTHERS + 1) * 100)
    assert scope.warehouse.rows(sql, d=D) == [(middle, "Base", ALIKE, 1)]


def test_refunds_are_subtracted_and_the_gross_stands_beside(scope: Scope) -> None:
    sql = """
        SELECT toFloat64(TOTAL_ORDER_AMOUNT), toFloat64(TOTAL_REFUND_AMOUNT), toFloat64(NET_ORDER_AMOUNT),
            toFloat64(FUTURE_VALUE), toFloat64(FUTURE_VALUE_GROSS)
        FROM profiles WHERE data_date = {d:Date} AND customer_id = {c:String}
    """
    total, refunded, left, net, gross = scope.warehouse.rows(sql, d=D, c="back")[0]
    assert (total, refunded, left) == (5000, 5000, 0)
    assert gross > 1000 and net < gross / 50
    assert scope.warehouse.rows(sql, d=D, c="c1")[0][:3] == (5, 0, 5)


def test_a_stray_date_does_not_end_the_back_test(scope: Scope) -> None:
    fit = fits.fit_for(scope, fits.FUTURE_VALUE, D)
    assert fit is not None and fit.report["no_back_test"] is None
    for test in fit.report["back_test"].values():
        assert set(test["bg_nbd"]) >= {"bias", "mean_absolute_error", "root_mean_squared_error", "deviance"}
        assert 0.5 <= test["factor"] <= 2


def test_the_past_keeps_its_fits_and_attributes_and_forecasts_meet_what_came(scope: Scope, api: httpx.Client) -> None:
    early = D - timedelta(days=91)
    scope.warehouse.execute("ALTER TABLE customers UPDATE COUNTRY = 'BE' WHERE customer_id = 'c0'")
    for day in (D + timedelta(days=1), early, D):
        insight.run_model(scope, day)
    countries = "SELECT data_date, COUNTRY FROM profiles WHERE customer_id = 'c0' AND data_date >= {d:Date} ORDER BY 1"
    assert scope.warehouse.rows(countries, d=D) == [(D, "NL"), (D + timedelta(days=1), "BE")]
    for day in (early, D):
        for kind in (fits.FUTURE_VALUE, "microsegments:2"):
            fit = fits.fit_for(scope, kind, day)
            assert fit is not None and fit.data_date == day
    assert fits.fit_for(scope, fits.FUTURE_VALUE, early - timedelta(days=1)) is None

    (met,) = api.get("/manage/v1/forecasts").json()
    assert (met["made_on"], met["days"], met["until"]) == (str(early), 91, str(D))
    came = """
        SELECT sum(value) FROM (
            SELECT customer_id, greatest(sumIf(amount, type = 'order' AND amount > 0)
                - sumIf(abs(amount), type = 'Refund' OR amount < 0), 0) AS value
            FROM transactions WHERE toDate(transaction_time) > {early:Date} AND toDate(transaction_time) <= {d:Date}
            AND customer_id IN (
                SELECT customer_id FROM model_results WHERE data_date = {early:Date} AND future_value > 0
            )
            GROUP BY customer_id
        )
    """
    assert met["came"] == pytest.approx(scope.warehouse.value(came, early=early, d=D), abs=0.1)
    year = scope.warehouse.value("SELECT sum(future_value) FROM model_results WHERE data_date = {d:Date}", d=early)
    assert year / 6 < met["expected"] < year / 2
    places = [decile["decile"] for decile in met["deciles"]]
    assert places == sorted(set(places)) and sum(d["customers"] for d in met["deciles"]) > ALIKE
