"""Management of the model: rules, bands and fits, and what the next run makes of them."""

from datetime import date, timedelta

import httpx
import pytest
from retailer import fill_shop

from rapport.access.scope import Scope
from rapport.insight import service as insight

D = date(2026, 6, 30)


@pytest.fixture(scope="module", autouse=True)
def shop(scope: Scope) -> None:
    fill_shop(scope)


def test_rules_and_segments_are_changed_and_applied(api: httpx.Client, scope: Scope) -> None:
    for bad in (
        [{"kind": "new", "days": 61}],
        [{"kind": "churn", "days": 0}],
        [{"kind": "churn", "days": 20}],
        [{"kind": "new", "name": "Churn"}],
    ):
        answer = api.put("/manage/v1/lifecycle-stages", json=bad)
        assert answer.status_code == 400, bad
    assert api.put("/manage/v1/lifecycle-stages", json=[{"kind": "star"}]).status_code in (400, 422)
    changed = api.put("/manage/v1/lifecycle-stages", json=[{"kind": "churn", "days": 90, "name": "Lapsed"}])
    assert {"id": 4, "kind": "churn", "name": "Lapsed", "days": 90} in changed.json()
    segments = [{"name": "Best", "share": 0.25}, {"name": "Rest", "share": 0.75}]
    assert api.put("/manage/v1/value-segments", json=segments[:1]).status_code == 400
    assert api.put("/manage/v1/value-segments", json=[segments[0]] * 4).status_code == 400
    answer = api.put("/manage/v1/value-segments", json=segments).json()
    assert [segment["id"] for segment in answer] == [1, 2]
    assert api.get("/manage/v1/value-segments").json() == answer
    insight.run_model(scope, D)
    counts = dict(
        scope.warehouse.rows("SELECT VALUE_SEGMENT, count() FROM profiles WHERE data_date = {d:Date} GROUP BY 1", d=D)
    )
    assert counts["Best"] == pytest.approx((counts["Best"] + counts["Rest"]) / 4, abs=1)
    lapsed = scope.warehouse.row(
        "SELECT min(DAYS_SINCE_LAST_ORDER), countIf(LIFECYCLE_STAGE = 'Churn') FROM profiles "
        "WHERE data_date = {d:Date} AND LIFECYCLE_STAGE_ID = 4 AND LIFECYCLE_STAGE = 'Lapsed'",
        d=D,
    )
    assert lapsed == (91, 0)


def test_refit_on_request(api: httpx.Client, scope: Scope) -> None:
    insight.run_model(scope, D + timedelta(days=1))
    assert api.post("/manage/v1/model-fits/refit").status_code == 202
    insight.run_model(scope, D + timedelta(days=2))
    fits_now = api.get("/manage/v1/model-fits").json()
    assert {fit["data_date"] for fit in fits_now} == {str(D + timedelta(days=2))}
    assert {fit["kind"] for fit in fits_now} >= {"future value", "microsegments:1", "microsegments:5"}
    value = next(fit for fit in fits_now if fit["kind"] == "future value")
    assert value["parameters"]["purchases"]["alpha"] > 0 and value["report"]["back_test"]
