"""The read machinery: spellings, bad values, pages, attributes, tenants."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from campaign_world import EMAIL, TODAY, attributes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.api.wire import actions, customers_campaigns, customers_reactions
from rapport.customers.attributes import AttributeInfo, declare
from rapport.stores import Stores

pytestmark = pytest.mark.usefixtures("world")

BY_DATE = "/current/customers/GetCustomerActionDetailsByDate"
BY_GROUP = "/current/customers/GetCustomerActionsByTargetGroup"
CALLS: dict[str, dict[str, Any]] = {
    "actions/GetAllActions": {},
    "actions/GetActionsByTargetGroup": {"TargetGroupID": 31, "Date": TODAY},
    "actions/GetActionID": {"ActionName": "Spring voucher 5"},
    "actions/GetActionName": {"ActionID": 12},
    "actions/GetActionDetailsByTargetGroup": {"TargetGroupID": 31, "Date": TODAY},
    "actions/GetPromoCodes": {"Date": TODAY},
    "actions/GetPromoCodesByCampaign": {"CampaignID": 1},
    "actions/GetPromoCodesByTargetGroup": {"TargetGroupID": 31, "Date": TODAY},
    "actions/GetExecutedCampaignDetails": {"Date": TODAY},
    "actions/GetCampaignDetails": {"CampaignID": 1},
    "actions/GetExecutionChannels": {},
    "actions/GetExecutedCampaignsByChannel": {"ChannelID": EMAIL, "Date": TODAY},
    "actions/GetExecutedCampaignChannelDetails": {"CampaignID": 1, "ChannelID": EMAIL},
    "customers/GetCurrentlyTargetedCustomers": {},
    "customers/GetCanceledCampaignCustomers": {"CampaignID": 5},
    "customers/GetProcessedCampaignCustomers": {"CampaignID": 7},
    "customers/GetCustomerLastActionExecuted": {"CustomerID": "C001"},
    "customers/GetCustomerActionsByTargetGroup": {"TargetGroupID": 31, "Date": TODAY},
    "customers/GetCustomerOneTimeActionsByCampaign": {"CampaignID": 8},
    "customers/GetCustomerOneTimeActionsByDate": {"Date": TODAY},
    "customers/GetCustomersByAction": {"RecipientGroupID": 1, "ActionID": 12, "Date": TODAY},
    "customers/GetCustomersActionEndedByDate": {"Date": TODAY},
    "customers/GetCustomerSendDetailsByCampaign": {"CampaignID": 1},
    "customers/GetCustomerSendDetailsByChannel": {"CampaignID": 1, "ChannelID": EMAIL},
    "customers/GetCustomerExecutionDetailsByCampaign": {"CampaignID": 1},
    "customers/GetCustomerActionDetailsByDate": {"Date": TODAY},
    "customers/GetCustomerProductDetailsByDate": {"Date": TODAY},
    "customers/GetCustomerProductDetailsByCampaign": {"CampaignID": 1},
    "customers/GetCampaignInteractionCustomers": {"Date": TODAY, "ChannelID": EMAIL, "EventID": 2},
    "customers/GetCustomerChannelInteractions": {
        "CustomerID": "C001",
        "StartDate": "2026-03-05",
        "EndDate": "2026-03-10",
    },
}
UNPAGED = {
    "GetActionID", "GetActionName", "GetCampaignDetails", "GetCustomerLastActionExecuted",
    "GetCustomerChannelInteractions",
}  # fmt: skip


@pytest.fixture(scope="module")
def other_api(stores: Stores, base_url: str) -> Iterator[httpx.Client]:
    """A client with an Admin key of an empty tenant."""
    other = create_tenant(stores, f"other-{time.time_ns()}")
    _, secret = keys.create_key(other, "other", "other@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as client:
        yield client


def test_every_function_of_the_section_is_called_here() -> None:
    routers = (actions.router, customers_campaigns.router, customers_reactions.router)
    served = {getattr(route, "path", "").removeprefix("/current/") for router in routers for route in router.routes}
    assert served == set(CALLS)


@pytest.mark.parametrize("function", CALLS)
def test_every_spelling_gives_the_same(api: httpx.Client, function: str) -> None:
    category, name = function.split("/")
    expected = api.get(f"/current/{function}", params=CALLS[function])
    assert expected.status_code == 200, expected.text
    assert expected.json()
    assert expected.headers["content-type"] == "application/json"
    lower = {key.lower(): value for key, value in CALLS[function].items()}
    mixed = {key[0].lower() + key[1:]: value for key, value in CALLS[function].items()}
    for path, params in (
        (f"/{category.title()}/{name}", CALLS[function]),
        (f"/CURRENT/{category.upper()}/{name.upper()}", lower),
        (f"/{category}/{name.lower()}/", mixed),
    ):
        answer = api.get(path, params={**params, "unknown": "x"})
        assert (answer.status_code, answer.json()) == (200, expected.json())


@pytest.mark.parametrize("function", CALLS)
def test_required_parameters_and_verbs(api: httpx.Client, function: str) -> None:
    for name in CALLS[function]:
        without = {key: value for key, value in CALLS[function].items() if key != name}
        for params in (without, {**without, name: ""}, {**without, name: "  "}):
            answer = api.get(f"/current/{function}", params=params)
            assert (answer.status_code, answer.json()) == (400, f"{name} is required.")
    for verb in ("POST", "PUT", "DELETE"):
        answer = api.request(verb, f"/current/{function}", params=CALLS[function])
        assert (answer.status_code, answer.json()) == (405, f"{function.split('/')[1]} takes GET, not {verb}.")
        assert answer.headers["allow"] == "GET"


DELIMITER = "one character, and none of : / ? & # % $ + ="
OF_BOUNDS = {False: " of at least 0", True: " of at most 2147483647"}


@pytest.mark.parametrize("function", CALLS)
def test_malformed_values(api: httpx.Client, function: str) -> None:
    for name in CALLS[function]:
        if name.endswith("ID") and name != "CustomerID":
            bad, sentence = ("x", "-1", "1.5", "2147483648", "99999999999999", "٣"), "a whole number"
        elif name.endswith("Date"):
            bad, sentence = (
                ("2026-02-30", "10/03/2026", "2026-3-1", "yesterday", "2026-03-10x"),
                "a date as YYYY-MM-DD",
            )
        else:
            bad, sentence = (), ""
        for text in bad:
            answer = api.get(f"/current/{function}", params={**CALLS[function], name: text})
            bound = "" if name.endswith("Date") else OF_BOUNDS[text.isascii() and text.isdigit()]
            assert (answer.status_code, answer.json()) == (400, f"{name} must be {sentence}{bound}, not {text!r}.")


@pytest.mark.parametrize("function", CALLS)
def test_another_tenant_sees_nothing(other_api: httpx.Client, function: str) -> None:
    answer = other_api.get(f"/current/{function}", params=CALLS[function])
    if answer.status_code == 404:
        assert "no " in answer.json()
    else:
        assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize("function", CALLS)
def test_pages_cover_every_row_once_in_order(api: httpx.Client, function: str) -> None:
    path, params = f"/current/{function}", CALLS[function]
    whole = api.get(path, params=params).json()
    if function.split("/")[1] in UNPAGED:
        assert api.get(path, params={**params, "$top": 1, "$skip": 10}).json() == whole
        return
    size = max(1, len(whole) // 3)
    pages = [
        api.get(path, params={**params, "$top": size, "$skip": skip}).json() for skip in range(0, len(whole) + 1, size)
    ]
    assert [row for each in pages for row in each] == whole
    assert api.get(path, params={**params, "$skip": len(whole)}).json() == []


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(5, 300),
    names=st.sampled_from(["", "EMAIL", "country;REGISTRATION_DATE;EMAIL"]),
    control=st.booleans(),
)
def test_any_page_size_gives_the_unpaged_answer(api: httpx.Client, size: int, names: str, control: bool) -> None:
    params = {
        "TargetGroupID": 31, "Date": TODAY, "CustomerAttributes": names, "IncludeControlGroup": control,
        "IncludeRecipientGroupID": "true",
    }  # fmt: skip
    whole = api.get(BY_GROUP, params=params).json()
    rows: list[dict[str, Any]] = []
    while page := api.get(BY_GROUP, params={**params, "$top": size, "$skip": len(rows)}).json():
        rows += page
        assert len(page) <= size
    assert rows == whole
    if names == "EMAIL":
        assert [row["CustomerAttributes"] for row in whole] == [attributes(row["CustomerID"])[:1] for row in whole]


def test_page_parameters_in_every_spelling(api: httpx.Client) -> None:
    whole = api.get(BY_DATE, params={"Date": TODAY}).json()
    for query in ("$top=3&$skip=2", "%24top=3&%24SKIP=2", "%24TOP=3&$Skip=2", "top=3&skip=2", "Top=3&%24skip=2"):
        assert api.get(f"{BY_DATE}?Date={TODAY}&{query}").json() == whole[2:5]
    assert api.get(f"{BY_DATE}?Date={TODAY}&$top=2000000000&$skip=").json() == whole
    assert api.get(f"{BY_DATE}?Date={TODAY}&$skip=2147483647").json() == []


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("$top=0", "$top must be a whole number of at least 1, not '0'."),
        ("$top=-1", "$top must be a whole number of at least 1, not '-1'."),
        ("top=x", "$top must be a whole number of at least 1, not 'x'."),
        ("$skip=-1", "$skip must be a whole number of at least 0, not '-1'."),
        ("$skip=2147483648", "$skip must be a whole number of at most 2147483647, not '2147483648'."),
        ("CustomerAttributes=EMAIL;Shoe", "CustomerAttributes names 'Shoe', which is not a customer attribute."),
        ("CustomerAttributes=EMAIL;;COUNTRY", "CustomerAttributes must not contain a blank name."),
        ("CustomerAttributes=;EMAIL", "CustomerAttributes must not contain a blank name."),
        ("CustomerAttributesDelimiter=%26", f"CustomerAttributesDelimiter must be {DELIMITER}."),
        ("CustomerAttributesDelimiter=;;", f"CustomerAttributesDelimiter must be {DELIMITER}."),
        ("IncludeControlGroup=yes", "IncludeControlGroup must be true or false, not 'yes'."),
        ("ChannelID=e-mail", "ChannelID must be a whole number of at least 0, not 'e-mail'."),
    ],
)
def test_bad_values_of_shared_parameters(api: httpx.Client, query: str, sentence: str) -> None:
    answer = api.get(f"{BY_GROUP}?TargetGroupID=31&Date={TODAY}&{query}")
    assert (answer.status_code, answer.json()) == (400, sentence)


def test_text_with_a_null_character_is_refused(api: httpx.Client) -> None:
    for path in ("actions/GetActionID?ActionName=a%00b", "customers/GetCustomerLastActionExecuted?CustomerID=%00"):
        answer = api.get(f"/current/{path}")
        assert (answer.status_code, "must not contain a null character" in answer.json()) == (400, True)


def test_a_path_with_a_null_character_is_told_of_it(api: httpx.Client) -> None:
    for path in ("/v1/promotions/a%00b", "/v1/promocodes/a%00b"):
        answer = api.get(path)
        assert (answer.status_code, answer.json()["message"]) == (400, "The path must not contain a null character.")


def test_pages_are_clamped_to_the_largest(api: httpx.Client, world: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.stores.settings, "max_page", 7)
    monkeypatch.setattr(world.stores.settings, "max_execution_page", 9)
    assert len(api.get(BY_DATE, params={"Date": TODAY}).json()) == 7
    clamped = api.get(BY_DATE, params={"Date": TODAY, "$top": 50})
    assert (len(clamped.json()), clamped.headers["X-Page-Limit"]) == (7, "7")
    assert "X-Page-Limit" not in api.get(BY_DATE, params={"Date": TODAY, "$top": 7}).headers
    assert "X-Page-Limit" not in api.get("/Actions/GetAllActions", params={"$top": 50}).headers
    executions = "/Customers/GetCustomerExecutionDetailsByCampaign"
    assert len(api.get(executions, params={"CampaignID": 1}).json()) == 7
    assert len(api.get(executions, params={"CampaignID": 1, "$top": 2000000}).json()) == 9
    assert len(api.get("/Actions/GetAllActions").json()) == 4


def test_values_of_every_type_of_attribute(api: httpx.Client, world: Scope) -> None:
    kinds = {"Bigint": 9007199254740993, "Int": -5, "Decimal": "12.5", "Date": "1931-02-03",
             "Datetime": "2026-03-01 07:08:09", "Nvarchar": 'Zoë "x" \\ \n', "Varchar": ""}  # fmt: skip
    declare(world, [AttributeInfo(f"T_{kind}", kind, "", kind, "batch") for kind in kinds])
    params = {
        "RecipientGroupID": 1,
        "ActionID": 12,
        "Date": TODAY,
        "CustomerAttributes": ";".join(f"t_{kind}" for kind in kinds),
    }
    chosen = next(
        row["CustomerID"] for row in api.get(BY_DATE, params=params).json() if attributes(row["CustomerID"])[0]
        and (row["RecipientGroupID"], row["ActionID"]) == (1, 12)
    )  # fmt: skip
    sets = ", ".join(f"T_{kind} = {{{kind}:String}}" for kind in kinds)
    world.warehouse.execute(
        f"ALTER TABLE profiles UPDATE {sets} WHERE customer_id = {{chosen:String}} AND data_date = '2026-03-09'",
        chosen=chosen,
        **{kind: str(value) for kind, value in kinds.items()},
    )
    rows = api.get("/Customers/GetCustomersByAction", params=params).json()
    found = {row["CustomerID"]: row["CustomerAttributes"] for row in rows}
    expected = {**kinds, "Bigint": "9007199254740993", "Int": "-5", "Decimal": "12.5000"}
    assert found.pop(chosen) == list(expected.values())
    assert set(map(tuple, found.values())) == {(None,) * len(kinds)}


def test_an_attribute_of_another_type_or_none_is_read_as_it_is(api: httpx.Client, world: Scope) -> None:
    declare(world, [AttributeInfo("T_CHANGED", "Changed", "", "Decimal", "batch")])
    params = {"TargetGroupID": 31, "Date": TODAY, "CustomerAttributes": "T_CHANGED"}
    assert api.get(BY_GROUP, params=params).status_code == 200
    assert api.patch("/manage/v1/attributes/T_CHANGED", json={"field_type": "Nvarchar"}).status_code == 200
    rows = api.get(BY_GROUP, params=params)
    assert (rows.status_code, {tuple(row["CustomerAttributes"]) for row in rows.json()}) == (200, {(None,)})
    assert api.delete("/manage/v1/attributes/T_CHANGED").status_code in (200, 204)
    answer = api.get(BY_GROUP, params=params)
    assert (answer.status_code, answer.json()) == (
        400,
        "CustomerAttributes names 'T_CHANGED', which is not a customer attribute.",
    )


def test_before_the_first_data_date_every_attribute_is_null(api: httpx.Client, world: Scope) -> None:
    with world.records() as session:
        session.connection().exec_driver_sql(f"UPDATE tenants SET last_data_date = NULL WHERE id = {world.tenant_id}")
    try:
        params = {"TargetGroupID": 31, "Date": TODAY, "CustomerAttributes": "EMAIL"}
        rows = api.get(BY_GROUP, params=params).json()
        assert rows and all(row["CustomerAttributes"] == [None] for row in rows)
    finally:
        with world.records() as session:
            session.connection().exec_driver_sql(
                f"UPDATE tenants SET last_data_date = '2026-03-09' WHERE id = {world.tenant_id}"
            )
