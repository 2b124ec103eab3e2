"""Target groups over HTTP: the wire's functions and the management API."""

import time
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.audiences import groups
from rapport.campaigns.models import Occurrence
from rapport.conditions.language import parsing

DATA_DATE = date(2026, 3, 28)
MANAGE = "/manage/v1/target-groups"
GERMAN = {"attribute": "COUNTRY", "operator": "equals", "value": "de"}


@pytest.fixture(scope="module", autouse=True)
def data(scope: Scope) -> None:
    scope.clock.set(datetime(2026, 3, 29, 8, tzinfo=UTC))
    ids = [f"C{i:03}" for i in range(100)]
    scope.warehouse.insert("customers", ["customer_id"], [(one,) for one in ids])
    rows = [(DATA_DATE, one, "DE" if i % 4 == 0 else "FR", "x@example.com") for i, one in enumerate(ids)]
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "COUNTRY", "EMAIL"], rows)
    newest(scope, DATA_DATE)


def newest(scope: Scope, day: date | None) -> None:
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=day))


@pytest.fixture(scope="module")
def group(api: httpx.Client) -> dict:
    made = api.post(MANAGE, json={"name": "Lapsed, north", "definition": GERMAN, "priority": 3})
    assert made.status_code == 201
    return made.json()


def test_name_and_id_lead_to_each_other(api: httpx.Client, group: dict) -> None:
    by_name = api.get("/Groups/GetTargetGroupID", params={"targetgroupname": "LAPSED, north"})
    assert (by_name.status_code, by_name.json()) == (200, {"TargetGroupID": group["id"]})
    by_id = api.get("/current/groups/GetTargetGroupName", params={"TargetGroupID": group["id"]})
    assert by_id.json() == {"TargetGroupName": "Lapsed, north"}
    assert api.get("/current/groups/GetTargetGroupID", params={"TargetGroupName": "no"}).status_code == 404
    assert api.get("/current/groups/GetTargetGroupName", params={"TargetGroupID": 99}).status_code == 404
    assert api.get("/current/groups/GetTargetGroupID").json() == "TargetGroupName is required."
    assert api.get("/current/groups/GetTargetGroupName", params={"TargetGroupID": "x"}).status_code == 400


def test_details_leave_archived_groups_out(api: httpx.Client, group: dict) -> None:
    old = api.post(MANAGE, json={"name": "Old", "definition": {"all": []}}).json()
    assert api.post(f"{MANAGE}/{old['id']}/archive").json()["archived"] is True
    listed = api.get("/current/groups/GetTargetGroupDetails").json()
    told = {"TargetGroupID": group["id"], "TargetGroupName": "Lapsed, north", "TargetGroupPriority": 3}
    assert told in listed and old["id"] not in [one["TargetGroupID"] for one in listed]
    assert api.get("/current/groups/GetTargetGroupName", params={"TargetGroupID": old["id"]}).status_code == 200
    assert [one["id"] for one in api.get(MANAGE, params={"archived": True}).json()] == [old["id"]]


def test_groups_by_date_are_those_of_executed_campaigns(api: httpx.Client, scope: Scope) -> None:
    day = date(2026, 3, 1)
    runs = [(9, "successful", False), (5, "failed", False), (9, "scheduled", False), (6, "planned", False)]
    runs += [(7, "canceled", False), (0, "successful", True)]
    with scope.records() as session:
        for number, (target_group, state, one_time) in enumerate(runs, start=900_001):
            session.add(
                Occurrence(
                    tenant_id=scope.tenant_id,
                    id=number,
                    series_id=number,
                    execution_date=day,
                    state=state,
                    target_group_id=target_group,
                    campaign_type="Test/Control",
                    duration=1,
                    is_one_time=one_time,
                )
            )
    answer = api.get("/current/groups/GetTargetGroupsByDate", params={"date": "2026-03-01"})
    assert answer.json() == [{"TargetGroupID": 5}, {"TargetGroupID": 9}]
    assert api.get("/current/groups/GetTargetGroupsByDate", params={"Date": "2026-03-02"}).json() == []
    assert api.get("/current/groups/GetTargetGroupsByDate", params={"Date": "x"}).status_code == 400


def test_an_integrations_key_may_not_ask_for_groups(integrations_api: httpx.Client) -> None:
    assert integrations_api.get("/current/groups/GetTargetGroupDetails").status_code == 403


def test_a_list_of_customers_becomes_a_group(api: httpx.Client) -> None:
    path = "/api/v2/target-group/customer-list"
    made = api.post(path, json={"List-Name": "VIPs", "customers": ["c001", "C002", "ghost"]})
    told = made.json()
    assert made.status_code == 200
    assert (told["list-name"], told["existed-customers"], told["non-existed-customers"]) == ("VIPs", 2, ["ghost"])
    members = api.get(f"{MANAGE}/{told['target-group-id']}/members", params={"data_date": DATA_DATE.isoformat()})
    assert members.json() == {"customer_ids": ["C001", "C002"]}
    assert api.get(f"{MANAGE}/{told['target-group-id']}/members").json() == members.json()
    for body in ({"list-name": "VIPs", "customers": ["C001"]}, {"list-name": "X", "customers": []}, {"customers": []}):
        assert api.post(path, json=body).status_code == 400
    assert (
        api.post(path, json={"list-name": "X", "customers": ["ghost"]}).json() == "customers has no ID of a customer."
    )


def test_a_group_is_changed_counted_and_read(api: httpx.Client) -> None:
    made = api.post(MANAGE, json={"name": "Changing", "definition": GERMAN}).json()
    assert (made["size"], made["sentence"]) == (None, "Country is 'de'")
    sized = api.post(f"{MANAGE}/{made['id']}/size").json()
    assert (sized["size"], sized["size_date"]) == (25, "2026-03-28")
    changed = api.patch(f"{MANAGE}/{made['id']}", json={"definition": {"not": GERMAN}, "priority": 1}).json()
    assert (changed["version"], changed["size"], changed["priority"]) == (2, None, 1)
    assert api.get(f"{MANAGE}/{made['id']}").json() == changed
    page = {"data_date": "2026-03-28", "limit": 2, "offset": 2}
    assert api.get(f"{MANAGE}/{made['id']}/members", params=page).json() == {"customer_ids": ["C003", "C005"]}
    assert api.get(f"{MANAGE}/{made['id']}/members", params={"data_date": "2020-01-01"}).status_code == 404
    assert api.get(f"{MANAGE}/999999").status_code == 404
    assert api.post(MANAGE, json={"name": "CHANGING", "definition": GERMAN}).status_code == 409
    assert api.get(MANAGE, params={"limit": 1}).json()[0]["id"] == 1


def test_definitions_are_counted_sampled_and_told(api: httpx.Client) -> None:
    assert api.post(f"{MANAGE}/size", json={"definition": GERMAN}).json()["size"] == 25
    sample = api.post(f"{MANAGE}/sample", json={"definition": GERMAN, "customers": 5}).json()["customer_ids"]
    assert len(sample) == 5 and all(int(one[1:]) % 4 == 0 for one in sample)
    assert api.post(f"{MANAGE}/sentence", json={"definition": {"all": []}}).json() == {"sentence": "Every customer"}
    wrong = {"all": [GERMAN, {"attribute": "COUNTRY", "operator": "in", "value": []}]}
    answer = api.post(f"{MANAGE}/size", json={"definition": wrong})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "definition.all[1].value must be a list with at least one value."


def ended(api: httpx.Client, count_id: str) -> dict[str, Any]:
    """A count, when it has ended."""
    for _ in range(100):
        told: dict[str, Any] = api.get(f"/manage/v1/target-group-counts/{count_id}").json()
        if told["state"] != "running":
            break
        time.sleep(0.02)
    return told


def test_before_the_first_day_is_modelled_a_size_says_so(api: httpx.Client, scope: Scope) -> None:
    orders = {"attribute": "NUMBER_OF_ORDERS", "operator": "greater", "value": 1}
    made = api.post(MANAGE, json={"name": "Early", "definition": GERMAN}).json()
    told = api.post(f"{MANAGE}/size", json={"definition": orders})
    assert told.json()["detail"] == (
        "definition.attribute names 'NUMBER_OF_ORDERS', which is not a customer attribute."
    )
    newest(scope, None)
    try:
        answers = [
            api.post(f"{MANAGE}/size", json={"definition": {"not": {"all": []}}}),
            api.post(f"{MANAGE}/size", json={"definition": orders}),
        ]
        scope.clock.set(datetime(2026, 4, 9, 8, tzinfo=UTC))
        answers.append(api.post(f"{MANAGE}/{made['id']}/size"))
        answers.append(api.post(f"{MANAGE}/sample", json={"definition": GERMAN, "customers": 5}))
        begun = api.post("/manage/v1/target-group-counts", json={"definition": GERMAN}).json()
        counted = ended(api, begun["id"])
    finally:
        scope.clock.set(datetime(2026, 3, 29, 8, tzinfo=UTC))
        newest(scope, DATA_DATE)
    assert [one.status_code for one in answers] == [409, 400, 409, 409]
    assert (counted["state"], counted["size"]) == ("failed", None) and "No day has been modelled" in counted["error"]
    assert all("No day has been modelled yet" in one.json()["detail"] for one in answers)
    assert api.post(f"{MANAGE}/size", json={"definition": {"not": {"all": []}}}).json()["size"] == 0


def test_counts_are_begun_read_and_canceled(api: httpx.Client) -> None:
    counts = "/manage/v1/target-group-counts"
    begun = api.post(counts, json={"definition": GERMAN})
    assert begun.status_code == 201
    told = ended(api, begun.json()["id"])
    assert (told["state"], told["size"], told["data_date"]) == ("done", 25, "2026-03-28")
    assert told["age_seconds"] >= 0
    assert api.post(f"{counts}/{told['id']}/cancel").json()["state"] == "done"
    assert api.get(f"{counts}/{'0' * 32}").status_code == 404


def test_attributes_are_offered_with_operators_and_examples(api: httpx.Client) -> None:
    choices = {one["name"]: one for one in api.get("/manage/v1/condition-attributes").json()}
    assert choices["COUNTRY"]["examples"] == ["FR", "DE"]
    assert choices["EMAIL"]["examples"] == []
    assert "starts_with" in choices["COUNTRY"]["operators"]


def test_operators_are_shown_by_one_name(api: httpx.Client, scope: Scope) -> None:
    """Clients made of the document know no other; groups that were saved before are shown so as well."""
    odd = {"any": [{**GERMAN, "operator": "NotEquals"}, {"attribute": "EMAIL", "operator": "isNull", "value": None}]}
    plain = {"any": [{**GERMAN, "operator": "not_equals"}, {"attribute": "EMAIL", "operator": "is_empty"}]}
    made = api.post(MANAGE, json={"name": "Other words", "definition": odd}).json()
    assert made["definition"] == plain
    saved_before = groups.create_target_group(scope, "Other words, before", odd)
    assert api.get(f"{MANAGE}/{saved_before.id}").json()["definition"] == plain


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is parsed from now on, one entry for each definition."""
    seen: list[Any] = []
    condition = parsing._Parser.condition

    def noted(self: Any, data: Any, path: str, depth: int) -> Any:
        if depth == 1:
            seen.append(data)
        return condition(self, data, path, depth)

    monkeypatch.setattr(parsing._Parser, "condition", noted)
    return seen


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("target-groups", {"name": "Once"}),
        ("target-groups/size", {}),
        ("target-groups/sample", {"customers": 3}),
        ("target-groups/sentence", {}),
        ("target-group-counts", {}),
    ],
)
def test_a_definition_is_parsed_once_a_request(api: httpx.Client, parsed: list[Any], path: str, more: Any) -> None:
    definition = {"all": [GERMAN, {"attribute": "CITY", "operator": "is_empty"}]}
    answer = api.post(f"/manage/v1/{path}", json={**more, "definition": definition})
    assert answer.status_code in (200, 201), answer.text
    assert parsed == [definition]


def test_a_saved_group_is_parsed_once_a_request(api: httpx.Client, group: dict, parsed: list[Any]) -> None:
    for method, path in (("get", ""), ("post", "/size")):
        del parsed[:]
        assert api.request(method, f"{MANAGE}/{group['id']}{path}").status_code == 200
        assert parsed == [GERMAN]


def test_a_count_refuses_what_the_size_refuses(api: httpx.Client) -> None:
    unknown = {"history": "campaigns", "where": {"action": 77}}
    answers = [
        api.post(f"/manage/v1/{path}", json={"definition": unknown})
        for path in ("target-groups/size", "target-group-counts")
    ]
    assert [one.status_code for one in answers] == [400, 400]
    assert {one.json()["detail"] for one in answers} == {"definition names action 77, which does not exist."}
