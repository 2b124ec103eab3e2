"""Counts warn of properties that no row has, with the name that is the most like them."""

from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope

SIZE = "/manage/v1/target-groups/size"
DATA_DATE = date(2026, 3, 28)
AT = datetime(2026, 3, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    scope.clock.set(datetime(2026, 3, 29, 8, tzinfo=UTC))
    scope.warehouse.insert("profiles", ["data_date", "customer_id"], [[DATA_DATE, who] for who in ("A", "B")])
    columns = ["transaction_id", "customer_id", "transaction_time", "amount", "type", "properties"]
    rows = [("1", "A", AT, 5.0, "bet", {"Sport": "football", "Odds": "2"}), ("2", "B", AT, 5.0, "bet", {"Market": ""})]
    scope.warehouse.insert("transactions", columns, rows)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))


def bought(properties: dict[str, str], history: str = "transactions") -> dict[str, Any]:
    return {"history": history, "where": {"properties": properties}}


def warned(api: httpx.Client, definition: dict[str, Any]) -> tuple[int, list[str]]:
    answer = api.post(SIZE, json={"definition": definition})
    assert answer.status_code == 200, answer.text
    return answer.json()["size"], answer.json()["warnings"]


def test_a_property_that_rows_have_brings_no_warning(api: httpx.Client) -> None:
    assert warned(api, bought({"Sport": "football"})) == (1, [])
    assert warned(api, bought({"Sport": "golf"})) == (0, []), "a value may be one that nobody has"
    assert warned(api, bought({"Market": "x"})) == (0, []), "it may be blank everywhere"
    assert warned(api, {"all": []}) == (2, [])


@pytest.mark.parametrize(
    ("name", "alike"), [("sport", "Sport"), ("Sprot", "Sport"), ("odds_", "Odds"), ("the market", "Market")]
)
def test_a_property_that_no_row_has_is_told_with_the_most_similar(api: httpx.Client, name: str, alike: str) -> None:
    told = f"No row of transactions has a property {name!r} yet; the most similar property is {alike!r}."
    assert warned(api, bought({name: "football"})) == (0, [told])
    assert warned(api, {"not": {"any": [bought({name: "football"})]}}) == (2, [told])


def test_every_unknown_name_is_told_once(api: httpx.Client) -> None:
    definition = {"any": [bought({"Sprot": "a"}), bought({"Sprot": "b", "Ods": "2", "Sport": "c"})]}
    _, warnings = warned(api, definition)
    assert [warning.split("'")[1] for warning in warnings] == ["Ods", "Sprot"]


def test_a_history_without_properties_says_so(api: httpx.Client) -> None:
    told = ["No row of activity has a property 'page' yet; no row has properties."]
    assert warned(api, bought({"page": "home"}, "activity")) == (0, told)


def test_a_saved_group_warns_until_the_property_has_come(api: httpx.Client, scope: Scope) -> None:
    given = {"name": "Live bettors", "definition": bought({"Live": "yes"})}
    made = api.post("/manage/v1/target-groups", json=given)
    assert made.status_code == 201
    path = f"/manage/v1/target-groups/{made.json()['id']}/size"
    [told] = api.post(path).json()["warnings"]
    assert told.startswith("No row of transactions has a property 'Live' yet")
    columns = ["transaction_id", "customer_id", "transaction_time", "amount", "type", "properties"]
    scope.warehouse.insert("transactions", columns, [("3", "B", AT, 5.0, "bet", {"Live": "yes"})])
    sized = api.post(path).json()
    assert (sized["size"], sized["warnings"]) == (1, [])
