"""A run of a date replaces that date exactly, in whatever order dates are run, and rules apply from the next run."""

from datetime import date, timedelta

import pytest
from retailer import fill_shop

from rapport.access.scope import Scope
from rapport.insight import future, stages, work
from rapport.insight import service as insight
from rapport.insight.estimation import fits, trees

D = date(2026, 6, 30)
TABLES = ("profiles", "model_results", "product_recommendations")


@pytest.fixture(scope="module", autouse=True)
def shop(scope: Scope) -> None:
    fill_shop(scope)
    scope.settings["insight"] = {"profile_days": 400}


def contents(scope: Scope, day: date) -> dict[str, tuple[int, int]]:
    """Rows and a fingerprint of every table of a date."""
    fingerprint = "count(), groupBitXor(cityHash64(toString(tuple(*))))"
    return {
        table: scope.warehouse.row(f"SELECT {fingerprint} FROM {table} WHERE data_date = {{day:Date}}", day=day)
        for table in TABLES
    }


def test_dates_run_again_and_out_of_order_are_the_same(scope: Scope) -> None:
    days = [D - timedelta(days=1), D]
    for day in (D, days[0]):
        insight.run_model(scope, day)
    published = scope.data_date()
    assert published is not None and published >= D
    before = {day: contents(scope, day) for day in days}
    assert all(rows > 0 for found in before.values() for rows, _ in found.values())
    assert len({found["profiles"] for found in before.values()}) == 2
    segments = scope.records_json("SELECT * FROM microsegments WHERE tenant_id = :tenant_id ORDER BY id", {})
    for day in (D, days[0]):
        insight.run_model(scope, day)
        assert {day: contents(scope, day) for day in days} == before
    assert scope.data_date() == published
    assert scope.records_json("SELECT * FROM microsegments WHERE tenant_id = :tenant_id ORDER BY id", {}) == segments


def test_every_step_may_run_twice(scope: Scope) -> None:
    insight.run_model(scope, D)
    before = contents(scope, D)
    for _, step in insight.MODEL_STEPS:
        step(scope, D)
        step(scope, D)
    assert contents(scope, D) == before


def test_the_future_is_not_read(scope: Scope) -> None:
    insight.run_model(scope, D)
    before = contents(scope, D)
    scope.warehouse.execute(
        "INSERT INTO transactions (transaction_id, customer_id, transaction_time, amount) "
        "SELECT concat('late', toString(number)), concat('C', toString(number)), "
        "toDateTime('2026-07-01 00:00:00', 'UTC') + number, 999 FROM numbers(50)"
    )
    insight.run_model(scope, D)
    assert contents(scope, D) == before
    scope.warehouse.execute("DELETE FROM transactions WHERE startsWith(transaction_id, 'late')")


def test_trees_are_compared_on_held_out_customers(scope: Scope) -> None:
    insight.run_model(scope, D)
    fit = fits.fit_for(scope, fits.FUTURE_VALUE, D)
    assert fit is not None
    report = fit.report["back_test"]
    assert report
    grown = trees.unpacked(fit.trees)
    names = {stage.name: stage.id for stage in stages.stage_rules(scope).stages.values()}
    for name, test in report.items():
        better = min((model for model in ("trees", "bg_nbd") if model in test), key=lambda m: test[m]["deviance"])
        assert test["chosen"] in ("bg_nbd", better)
        assert (names[name] in grown) == (test["chosen"] == "trees")
        assert abs(test["bg_nbd"]["bias"]) <= abs(test["bg_nbd"]["bias_before"])
    assert trees.unpacked(b"") == {}


def test_values_in_sql_are_those_of_the_models_in_python(scope: Scope) -> None:
    insight.run_model(scope, D)
    insight.build_features(scope, D)
    scoring = future.models_for(scope, D)
    scored = set(scoring.trees)
    sql = f"""
        SELECT f.customer_id AS customer_id, toFloat64(purchase_days - 1) AS x, (last_day - first_day) / 7 AS t_x,
            days_since_first / 7 AS T, TOTAL_ORDER_AMOUNT AS amount, TOTAL_REFUND_AMOUNT AS refunded,
            r.future_value AS value, toFloat64(lifecycle_stage_id) AS stage
        FROM {work.table("features", D)} AS f INNER JOIN model_results AS r ON r.customer_id = f.customer_id
        WHERE data_date = {{d:Date}} AND purchase_days > 0
    """
    found = scope.warehouse.arrow(sql, d=D)
    columns = ("x", "t_x", "T", "amount", "refunded", "value", "stage")
    *known, value, stage = (found[name].to_numpy() for name in columns)
    expected = scoring.models.year_value(*known) * [scoring.factors.get(stage_id, 1.0) for stage_id in stage]
    by_model = [stage_id not in scored for stage_id in stage]
    assert sum(by_model) > 0 or scored == {1, 2, 3, 4}
    assert value[by_model] == pytest.approx(expected[by_model], rel=0.01)
    work.drop(scope, D)
