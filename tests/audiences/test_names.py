"""Definitions name stages and segments by what they are called, and go on meaning the same ones when that changes."""

from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.audiences import counting, groups
from rapport.audiences import names as audience_names
from rapport.audiences.models import TargetGroup
from rapport.audiences.names import Definition
from rapport.conditions import parse
from rapport.errors import Invalid
from rapport.insight import values
from rapport.insight.snapshot import declare_attributes

DATA_DATE = date(2026, 3, 28)
STAGES = {1: "New", 2: "Active", 3: "Reactivated", 4: "Churn", 5: "Dormant"}


@pytest.fixture(scope="module", autouse=True)
def data(scope: Scope) -> None:
    """Ten customers of each stage, in value segments 1 to 4."""
    scope.clock.set(datetime(2026, 3, 29, 8, tzinfo=UTC))
    declare_attributes(scope)
    names = ["data_date", "customer_id", "LIFECYCLE_STAGE", "LIFECYCLE_STAGE_ID", "VALUE_SEGMENT", "VALUE_SEGMENT_ID"]
    bands = {segment.id: segment.name for segment in values.value_segments(scope)}
    rows = [(DATA_DATE, f"C{n:03}", STAGES[n // 10 + 1], n // 10 + 1, bands[n % 4 + 1], n % 4 + 1) for n in range(50)]
    scope.warehouse.insert("customers", ["customer_id"], [(row[1],) for row in rows])
    scope.warehouse.insert("profiles", names, rows)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))


def ask(attribute: str, operator: str, value: Any) -> dict[str, Any]:
    return {"attribute": attribute, "operator": operator, "value": value}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (ask("LIFECYCLE_STAGE", "equals", "churn"), ask("LIFECYCLE_STAGE_ID", "equals", 4)),
        (ask("lifecycle_stage", "notIn", ["Churn", "new"]), ask("LIFECYCLE_STAGE_ID", "not_in", [1, 4])),
        (ask("PREVIOUS_LIFECYCLE_STAGE", "not_equals", "New"), ask("PREVIOUS_LIFECYCLE_STAGE_ID", "not_equals", 1)),
        (ask("VALUE_SEGMENT", "in", ["Top"]), ask("VALUE_SEGMENT_ID", "in", [1])),
        (ask("VALUE_SEGMENT", "starts_with", "T"), ask("VALUE_SEGMENT", "starts_with", "T")),
    ],
)
def test_names_are_kept_as_ids_wherever_they_stand(scope: Scope, given: Any, kept: Any) -> None:
    assert audience_names.with_ids(scope, given) == Definition(kept, parse(kept))
    nested = {"all": [{"not": given}, {"any": [{"all": [given]}]}]}
    assert audience_names.with_ids(scope, nested).raw == {"all": [{"not": kept}, {"any": [{"all": [kept]}]}]}
    assert counting.size_now(scope, audience_names.with_ids(scope, given).condition) == counting.size_now(
        scope, parse(kept)
    )


def test_a_renamed_stage_keeps_its_groups(scope: Scope, api: httpx.Client) -> None:
    lapsed = groups.create_target_group(scope, "Lapsed", ask("LIFECYCLE_STAGE", "equals", "Churn"))
    best = groups.create_target_group(scope, "Best", ask("VALUE_SEGMENT", "equals", "Top"))
    older = groups.create_target_group(scope, "Saved before names were ids", {"all": []})
    with scope.records() as session:
        session.get_one(TargetGroup, (scope.tenant_id, older.id)).definition = ask("LIFECYCLE_STAGE", "in", ["Churn"])
    renamed = api.put("/manage/v1/lifecycle-stages", json=[{"kind": "churn", "name": "Sleeping"}])
    assert renamed.status_code == 200
    bands = [{"name": "Gold", "share": 0.1}, {"name": "Rest", "share": 0.9}]
    assert api.put("/manage/v1/value-segments", json=bands).status_code == 200
    examples = {one["name"]: one["examples"] for one in api.get("/manage/v1/condition-attributes").json()}
    assert set(examples["LIFECYCLE_STAGE"]) == {"New", "Active", "Reactivated", "Sleeping", "Dormant"}
    assert set(examples["VALUE_SEGMENT"]) == {"Gold", "Rest"}
    scope.warehouse.execute("ALTER TABLE profiles UPDATE LIFECYCLE_STAGE = 'Sleeping' WHERE LIFECYCLE_STAGE_ID = 4")
    for group, expected in ((lapsed, 10), (best, 13), (older, 10)):
        assert counting.size_target_group(scope, group.id).size == expected, group.name
    told = api.get(f"/manage/v1/target-groups/{lapsed.id}").json()
    assert told["sentence"] == "Lifecycle stage is 'Sleeping'"
    refused = api.put("/manage/v1/value-segments", json=[{"name": "All", "share": 1}])
    assert refused.status_code == 200, "the first band is still there"
    second = groups.create_target_group(scope, "Nothing left", ask("VALUE_SEGMENT_ID", "less", 9))
    assert counting.size_target_group(scope, second.id).size == 50
    api.put("/manage/v1/lifecycle-stages", json=[{"kind": "churn", "name": "Churn"}])
    api.put("/manage/v1/value-segments", json=[{"name": "Top", "share": 0.1}, {"name": "Rest", "share": 0.9}])


def test_a_segment_that_is_asked_for_stays(scope: Scope, api: httpx.Client) -> None:
    bands = [{"name": name, "share": 0.25} for name in ("Top", "High", "Middle", "Base")]
    assert api.put("/manage/v1/value-segments", json=bands).status_code == 200
    group = groups.create_target_group(scope, "Basic", ask("VALUE_SEGMENT", "equals", "Base"))
    refused = api.put("/manage/v1/value-segments", json=[{"name": "All", "share": 1}])
    assert refused.status_code == 409 and f"target group {group.id} 'Basic'" in refused.json()["detail"]
    groups.archive_target_group(scope, group.id)
    assert api.put("/manage/v1/value-segments", json=[*bands[:1], {"name": "Rest", "share": 0.75}]).status_code == 200


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (
            ask("LIFECYCLE_STAGE", "equals", "Asleep"),
            "definition.value names 'Asleep', which does not exist; there are 'N",
        ),
        (
            ask("LIFECYCLE_STAGE_ID", "in", [4, 9]),
            "definition.value names 9, which is not an id of LIFECYCLE_STAGE_ID.",
        ),
        ({"history": "campaigns", "where": {"channel": 504}}, "definition names channel 504, which does not exist."),
        ({"history": "interactions", "where": {"series": [777]}}, "definition names series 777, which does not exist."),
        ({"history": "campaigns", "where": {"template": 5}}, "definition names template 5, which does not exist."),
        ({"history": "campaigns", "where": {"campaign": 5}}, "definition names campaign 5, which does not exist."),
        ({"history": "campaigns", "where": {"action": 5}}, "definition names action 5, which does not exist."),
        (
            {"history": "activity", "where": {"event_type": [987654]}},
            "definition names event_type 987654, which does not exist.",
        ),
        ({"list": 99}, "definition names customer list 99, which does not exist."),
        ({"group": 99}, "definition names target group 99, which does not exist."),
    ],
)
def test_what_does_not_exist_is_refused_wherever_a_definition_is_taken(
    scope: Scope, api: httpx.Client, definition: Any, said: str
) -> None:
    for nested in (definition, {"not": definition}):
        with pytest.raises(Invalid) as error:
            groups.create_target_group(scope, "Wrong", nested)
        assert said.split(".value")[-1] in error.value.message
    for path in ("size", "sample"):
        answer = api.post(f"/manage/v1/target-groups/{path}", json={"definition": definition})
        assert answer.status_code == 400 and answer.json()["detail"].startswith(said)
    assert counting.size_now(scope, parse({"history": "campaigns", "where": {"action": 1}})) == 0
