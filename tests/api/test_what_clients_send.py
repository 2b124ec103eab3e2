"""What clients of other languages and habits send: it means the same as what the contract shows, and breaks nothing."""

import http.client
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from campaign_world import TODAY
from test_reads import CALLS

from rapport.access import keys
from rapport.access.roles import may_call
from rapport.access.scope import Scope
from rapport.api.reads import PAGE_LIMIT
from rapport.app import create_app, openapi_document
from rapport.customers import event_types
from rapport.stores import Stores
from served_app import serving

pytestmark = pytest.mark.usefixtures("world")

BY_GROUP = "/current/customers/GetCustomerActionsByTargetGroup"
OF_GROUP = {"TargetGroupID": 31, "Date": str(TODAY)}
WRITES = [
    (method, path, operation["operationId"])
    for path, item in openapi_document()["paths"].items()
    for method, operation in item.items()
    if {"APIKeyHeader": []} in operation.get("security", [])
    and "requestBody" in operation
    and not path.startswith("/manage/")
]


@pytest.fixture(scope="module")
def event(scope: Scope) -> int:
    """An activity event that nobody did."""
    return event_types.declare_event_type(scope, "never_done").id


@pytest.fixture(scope="module")
def slashed(api: httpx.Client) -> str:
    """A customer whose id has all that a path gives a meaning of its own."""
    customer = "a/b//c%2F?d;e#f"
    body = {"CustomerID": customer, "Attributes": [{"RealFieldName": "CITY", "Value": "Ulm"}]}
    assert api.put("/current/customers/UpsertCustomer", json=body).json()["isSuccess"]
    return customer


DATED = [(function, name) for function, params in CALLS.items() for name in params if name.endswith("Date")]


@pytest.mark.parametrize(("function", "name"), DATED)
@pytest.mark.parametrize("day", ["0001-01-01", "1753-01-01", "1899-12-30", "1969-12-31", "2149-06-06", "9999-12-31"])
def test_dates_of_clients_that_have_none(api: httpx.Client, function: str, name: str, day: str) -> None:
    given = CALLS[function]
    answer = api.get(f"/current/{function}", params={**given, name: day})
    if name == "Date":
        assert (answer.status_code, answer.json()) == (200, [])
    elif (day < str(TODAY)) == (name == "StartDate"):
        assert (answer.status_code, answer.json()) == (200, api.get(f"/current/{function}", params=given).json())
    else:
        assert (answer.status_code, answer.json()) == (400, "StartDate must not be after EndDate.")


@pytest.mark.parametrize(
    ("function", "params"),
    [
        ("GetCustomersActivityEventAttributes", {"StartDate": "0001-01-01", "EndDate": "2026-01-01"}),
        ("GetCustomersActivityEventAttributes", {"StartDate": "2026-01-01", "EndDate": "9999-12-31"}),
        ("GetCustomersActivityEventAttributes", {"Date": "0001-01-01"}),
        ("GetCustomerProductRecommendations", {"EndDate": "0001-01-15"}),
        ("GetCustomerProductRecommendations", {"StartDate": "2026-12-01"}),
        ("GetCustomerProductRecommendations", {"StartDate": "9999-12-31"}),
    ],
)
def test_ranges_that_end_nowhere(api: httpx.Client, event: int, function: str, params: dict[str, str]) -> None:
    given = {"EventID": event, "SuggestedInCampaign": "true", **params}
    answer = api.get(f"/current/customers/{function}", params=given)
    assert (answer.status_code, answer.json()) == (200, [])


def test_management_takes_no_date_for_an_error_of_its_own(api: httpx.Client) -> None:
    """Every GET of the management API with a parameter of a date."""
    asked = 0
    for path, item in openapi_document()["paths"].items():
        parameters = item.get("get", {}).get("parameters", [])
        for parameter in parameters if path.startswith("/manage/") else ():
            if "date" in str(parameter["schema"]):
                for day in ("0001-01-01", "9999-12-31"):
                    for value in (day, f"{day}T00:00:00", f"{day}T00:00:00+14:00", f"{day}T23:59:59-12:00"):
                        filled = path.replace("{data_date}", day).replace("{", "").replace("}", "")
                        answer = api.get(filled, params={parameter["name"]: value})
                        assert answer.status_code < 500, (path, parameter["name"], value, answer.text)
                        asked += 1
    assert asked


@pytest.mark.parametrize(
    "text",
    [
        f"{TODAY}T00:00:00+02:00", f"{TODAY}T00:00:00 02:00", f"{TODAY}T", f"{TODAY}T00:00:00.0000000Z",
        f"{TODAY} 12:00:00 AM", f"{TODAY} 00:00:00 UTC", f" {TODAY} ", f"{TODAY}T24:00",
    ],
)  # fmt: skip
def test_only_the_day_of_a_time_counts(api: httpx.Client, text: str) -> None:
    expected = api.get(BY_GROUP, params=OF_GROUP).json()
    assert expected
    assert api.get(BY_GROUP, params={**OF_GROUP, "Date": text}).json() == expected


@pytest.mark.parametrize("function", CALLS)
def test_the_text_null_is_no_value(api: httpx.Client, function: str) -> None:
    described = openapi_document()["paths"][f"/current/{function}"]["get"].get("parameters", [])
    nulls = {one["name"]: text for one, text in zip(described, ["null", "NULL", " Null "] * 9, strict=False)}
    left_out = {name: text for name, text in nulls.items() if name not in CALLS[function]}
    expected = api.get(f"/current/{function}", params=CALLS[function])
    answer = api.get(f"/current/{function}", params={**left_out, **CALLS[function]})
    assert (answer.status_code, answer.json()) == (200, expected.json())


def test_booleans_as_numbers(api: httpx.Client) -> None:
    for yes, word in (("1", "true"), ("0", "FALSE")):
        found = api.get(BY_GROUP, params={**OF_GROUP, "IncludeControlGroup": yes})
        assert found.json() == api.get(BY_GROUP, params={**OF_GROUP, "IncludeControlGroup": word}).json()


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("actions/GetActionID", {"ActionName": "Spring voucher 5"}),
        ("customers/GetCustomerLastActionExecuted", {"CustomerID": "C001"}),
        ("customers/GetCustomerChannelInteractions", CALLS["customers/GetCustomerChannelInteractions"]),
        ("groups/GetTargetGroupID", {"TargetGroupName": "Nobody's"}),
        ("segments/GetValueSegmentID", {"ValueSegmentName": "High"}),
    ],
)
def test_blanks_around_a_text_do_not_count(api: httpx.Client, path: str, params: dict[str, Any]) -> None:
    expected = api.get(f"/current/{path}", params=params)
    spaced = {name: f" \t{value}\u00a0 " if name[-2:] != "te" else value for name, value in params.items()}
    answer = api.get(f"/current/{path}", params=spaced)
    assert (answer.status_code, answer.json()) == (expected.status_code, expected.json())


def test_a_delimiter_at_the_end_adds_no_name(api: httpx.Client) -> None:
    rows = api.get(BY_GROUP, params={**OF_GROUP, "CustomerAttributes": "EMAIL; COUNTRY ;"}).json()
    assert rows == api.get(BY_GROUP, params={**OF_GROUP, "CustomerAttributes": "EMAIL;COUNTRY"}).json()
    assert {len(row["CustomerAttributes"]) for row in rows} == {2}


def test_a_customer_with_a_slash_is_found(api: httpx.Client, slashed: str) -> None:
    encoded = "a%2Fb%2F%2Fc%252F%3Fd%3Be%23f"
    for path in (f"/Customers/{encoded}/Attributes", f"//v3.0/customers//{encoded.upper()}/attributes/"):
        found = {row["RealFieldName"]: row["Value"] for row in api.get(path).json()}
        assert found["CITY"] == "Ulm", path
    assert api.get(f"/Customers/%20{encoded}%20/Attributes").status_code == 200
    assert api.get("/Customers/a%2Fb/Attributes").json() == "There is no customer 'a/b'."


def test_types_of_attributes_are_those_of_the_contract(api: httpx.Client, slashed: str) -> None:
    rows = api.get("/Customers/a%2Fb%2F%2Fc%252F%3Fd%3Be%23f/Attributes").json()
    assert {row["FieldType"] for row in rows} <= {"Bigint", "Int", "Decimal", "Date", "Nvarchar", "Varchar"}
    assert next(row for row in rows if row["RealFieldName"] == "LAST_UPDATED")["FieldType"] == "Date"


def test_a_value_left_out_is_not_a_value_of_null(api: httpx.Client, slashed: str) -> None:
    item = {"CustomerID": slashed, "Attributes": [{"RealFieldName": "CITY"}]}
    answer = api.post("/Customers/UpdateCustomerAttributes", json={"CustomerNewAttributesValuesList": [item]})
    where = "CustomerNewAttributesValuesList[0].Attributes[0].Value"
    assert (answer.status_code, answer.json()) == (400, f"{where} is required.")
    answer = api.put("/Customers/UpsertCustomer", json=item)
    assert (answer.status_code, answer.json()) == (400, "Attributes[0].Value is required.")


@pytest.mark.parametrize("day", ["0001-01-01", "1753-01-01", "1900-01-01", "9999-12-31", "01/01/1900 00:00:00"])
def test_placeholder_dates_are_no_values(api: httpx.Client, slashed: str, day: str) -> None:
    body = {"CustomerID": slashed, "Attributes": [{"RealFieldName": "DATE_OF_BIRTH", "Value": day}]}
    answer = api.put("/Customers/UpsertCustomer", json=body).json()
    assert [fault["error"] for fault in answer["errors"]] == ["INVALID_VALUE"]


def test_channel_0_is_no_channel(api: httpx.Client) -> None:
    url = "https://hooks.invalid/none"
    for event, channel in ((5, 0), (13, "0"), (3, 0.0)):
        body = {"EventTypeID": event, "ListenerURL": url, "ChannelID": channel}
        assert api.post("/current/general/RegisterEventListener", json=body).status_code == 200
    listed = api.get("/current/general/GetRegisteredEventListeners").json()
    assert [(row["EventTypeID"], row["ChannelID"]) for row in listed] == [(3, None), (5, None), (13, None)]
    for event in (3, 5, 13):
        body = {"EventTypeID": event, "ChannelID": 0}
        assert api.post("/current/general/UnregisterEventListener", json=body).status_code == 200
    assert api.get("/current/general/GetRegisteredEventListeners").json() == []


@pytest.mark.parametrize(("method", "path", "function"), WRITES)
def test_who_calls_is_looked_at_before_what_is_sent(
    api: httpx.Client, integrations_api: httpx.Client, method: str, path: str, function: str
) -> None:
    content, plain = b"<x/>", {"Content-Type": "text/plain"}
    for key in ("", "rap_wrong"):
        assert api.request(method, path, content=content, headers={**plain, "X-API-KEY": key}).status_code == 401
    covered = may_call("Integrations", function)
    answer = integrations_api.request(method, path, content=content, headers=plain)
    assert answer.status_code == (400 if covered else 403)
    assert api.request(method, path, content=content, headers=plain).status_code == 400


def test_bad_content_counts_against_the_limit_of_a_key(api: httpx.Client, scope: Scope) -> None:
    _, secret = keys.create_key(scope, "slow", "slow@example.com", "Admin", rate_limit=3)
    headers = {"X-API-KEY": secret, "Content-Type": "text/plain"}
    path = "/current/general/RegisterEventListener"
    statuses = [api.post(path, content=b"x", headers=headers).status_code for _ in range(5)]
    assert statuses == [400, 400, 400, 429, 429]


@pytest.fixture(scope="module")
def failing(stores: Stores) -> Iterator[tuple[str, int]]:
    """A server with a route that fails in a way that nobody foresaw."""
    app = create_app(stores)

    def fail() -> None:
        raise ZeroDivisionError("a secret of the inside")

    for path in ("/current/general/Fail", "/manage/v1/fail"):
        app.add_api_route(path, fail, methods=["GET", "POST"])
    with serving(app) as url:
        address = urlsplit(url)
        yield str(address.hostname), int(address.port or 0)


@pytest.mark.parametrize("path", ["/current/general/Fail", "/manage/v1/fail"])
@pytest.mark.parametrize("body", [None, b"{}"])
def test_an_error_inside_leaves_the_connection_as_it_was(
    failing: tuple[str, int], api: httpx.Client, path: str, body: bytes | None
) -> None:
    connection = http.client.HTTPConnection(*failing)
    connection.connect()
    socket, own = connection.sock, {"X-API-KEY": api.headers["x-api-key"]}
    for number in range(3):
        connection.request("POST" if body else "GET", path, body, {**own, "X-Request-ID": f"mine-{number}"})
        answer = connection.getresponse()
        text = answer.read()
        assert (answer.status, answer.headers["X-Request-ID"]) == (500, f"mine-{number}")
        assert b"Internal Server Error" in text and b"secret" not in text and b"Zero" not in text
        connection.request("GET", "/health")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"status":"ok"}')
        assert connection.sock is socket, "the server closed the connection"
    connection.close()


def test_a_page_that_is_cut_says_so_in_the_document() -> None:
    paths = openapi_document()["paths"]
    described = {path for path in paths if PAGE_LIMIT in str(paths[path].get("get", {}).get("responses"))}
    assert "/current/customers/GetCustomerFutureValues" in described
    assert "/current/customers/GetCustomerLastActionExecuted" not in described
