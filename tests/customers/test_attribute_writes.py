"""Attributes over the wire: added, updated, upserted, read back, with callbacks."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.customers import attributes, event_types
from rapport.customers.attributes import AttributeInfo
from rapport.customers.writes import attribute_requests
from rapport.notifications.deliverer import Deliverer
from rapport.stores import Stores
from rapport.stores.workers.base import running

D = date(2025, 6, 1)


class Receiver:
    """A callback's far end: keeps what it gets, answers the statuses it was told to."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.answers: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append(json.loads(body))
                self.send_response(outer.answers.pop(0) if outer.answers else 200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count: int = 1) -> list[Any]:
        deadline = time.monotonic() + 60
        while len(self.got) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.got) >= count
        got, self.got = self.got, []
        return got


@pytest.fixture(scope="module", autouse=True)
def deliverer(stores: Stores) -> Iterator[None]:
    with running(Deliverer(stores, {})):
        yield


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module", autouse=True)
def people(scope: Scope) -> None:
    attributes.declare(
        scope,
        [
            AttributeInfo("POINTS", "Points", "Points of loyalty", "Bigint", "batch", api_updatable=True),
            AttributeInfo("BALANCE", "Balance", "", "Decimal", "batch", api_updatable=True),
            AttributeInfo("LAST_SEEN", "Last Seen", "", "Date", "batch", api_updatable=True),
            AttributeInfo("DAYS_SINCE", "Days Since", "", "Int", "calculated"),
        ],
    )
    scope.warehouse.insert(
        "customers",
        ["customer_id", "REGISTRATION_DATE", "COUNTRY", "POINTS", "BALANCE"],
        [(name, date(2024, 2, 17), "Norway", 5, Decimal("140")) for name in ("Ann", "bob", "Cyd")],
    )
    for day, days in ((date(2025, 5, 31), 1), (D, 2)):
        scope.warehouse.execute(
            "INSERT INTO profiles (data_date, customer_id, REGISTRATION_DATE, COUNTRY, POINTS, BALANCE, DAYS_SINCE) "
            "SELECT {day:Date}, customer_id, REGISTRATION_DATE, COUNTRY, POINTS, BALANCE, {days:Int32} FROM customers "
            "WHERE customer_id != 'Cyd' OR {days:Int32} = 2",
            day=day,
            days=days,
        )
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=D))


def values(api: httpx.Client, customer: str) -> dict[str, str | None]:
    answer = api.get(f"/Customers/{customer}/Attributes")
    assert answer.status_code == 200, answer.text
    return {row["RealFieldName"]: row["Value"] for row in answer.json()}


def post_updates(api: httpx.Client, url: str | None, **customers: list[tuple[str, Any]]) -> httpx.Response:
    items = [
        {"CustomerId": name, "Attributes": [{"RealFieldName": n, "Value": v} for n, v in given]}
        for name, given in customers.items()
    ]
    return api.post(
        "/Customers/UpdateCustomerAttributes", json={"CustomerNewAttributesValuesList": items, "CallbackURL": url}
    )


def test_profile_is_rendered_as_the_contract_says(api: httpx.Client) -> None:
    rows = api.get("/current/customers/CYD/attributes").json()
    types = [row["FieldType"] for row in rows]
    numeric = [kind in ("Bigint", "Int", "Decimal") for kind in types]
    assert numeric == sorted(numeric, reverse=True) and numeric[0]
    found = {row["RealFieldName"]: row for row in rows}
    assert found["REGISTRATION_DATE"]["Value"] == "02/17/2024 00:00:00"
    assert found["BALANCE"] == {
        "RealFieldName": "BALANCE",
        "Alias": "Balance",
        "FieldType": "Decimal",
        "Value": "140.0000",
    }
    assert found["DAYS_SINCE"]["Value"] == "2" and found["EMAIL"]["Value"] is None
    assert api.get("/Customers/nobody/Attributes").status_code == 404


def test_attribute_list(api: httpx.Client, integrations_api: httpx.Client) -> None:
    rows = api.get("/Model/getcustomerattributelist").json()
    names = [row["RealFieldName"] for row in rows]
    assert names == sorted(names) and {"COUNTRY", "POINTS", "DAYS_SINCE"} <= set(names)
    assert {"RealFieldName": "POINTS", "Description": "Points of loyalty"} in rows
    assert integrations_api.get("/Model/GetCustomerAttributeList").status_code == 403


def test_valid_values_are_applied_and_bad_ones_told(api: httpx.Client, scope: Scope, receiver: Receiver) -> None:
    answer = post_updates(
        api,
        receiver.url,
        ANN=[("points", "12"), ("BALANCE", 1.23456), ("NOPE", 1), ("DAYS_SINCE", 3), ("COUNTRY", "Sweden")],
        Bob=[("POINTS", "many"), ("LAST_SEEN", "2025-05-05"), ("BALANCE", None)],
        Zed=[("POINTS", 1)],
    )
    assert answer.status_code == 200
    (told,) = receiver.wait()
    assert told["requestId"] == answer.json()["requestId"] and told["isSuccess"] is False
    assert sorted((e["error"], e["customerId"], e["realFieldName"]) for e in told["errors"]) == [
        ("INVALID_CUSTOMER", "Zed", "POINTS"),
        ("INVALID_FIELD", "ANN", "NOPE"),
        ("INVALID_VALUE", "Bob", "POINTS"),
        ("UPDATE_FIELD_TEMPORARY_UNAVAILABLE", "ANN", "COUNTRY"),
        ("UPDATE_FIELD_TEMPORARY_UNAVAILABLE", "ANN", "DAYS_SINCE"),
    ]
    for table in ("customers", f"profiles WHERE data_date = '{D}'"):
        found = scope.warehouse.rows(
            f"SELECT customer_id, POINTS, BALANCE, LAST_SEEN FROM (SELECT * FROM {table}) ORDER BY 1"
        )
        assert [row for row in found if row[0] in ("Ann", "bob")] == [
            ("Ann", 12, Decimal("1.2346"), None),
            ("bob", 5, None, date(2025, 5, 5)),
        ]
    assert (
        scope.warehouse.value("SELECT POINTS FROM profiles WHERE customer_id = 'Ann' AND data_date = '2025-05-31'") == 5
    )
    assert values(api, "ann")["POINTS"] == "12"


def test_limits_and_bad_bodies(api: httpx.Client) -> None:
    many = {f"c{number}": [("POINTS", 1)] for number in range(1001)}
    assert "1000" in post_updates(api, None, **many).json()
    assert post_updates(api, None, Ann=[("POINTS", 1)] * 11).status_code == 400
    assert post_updates(api, None).status_code == 400
    assert post_updates(api, "ftp://example.com/x", Ann=[("POINTS", 1)]).status_code == 400
    assert (
        api.post(
            "/Customers/UpdateCustomerAttributes", content=b"{", headers={"content-type": "application/json"}
        ).status_code
        == 400
    )


def test_a_failing_callback_is_tried_again(api: httpx.Client, receiver: Receiver) -> None:
    receiver.answers = [500]
    post_updates(api, receiver.url, Cyd=[("POINTS", 6)])
    first, second = receiver.wait(2)
    assert first == second and first["isSuccess"] is True and "errors" not in first


def add(api: httpx.Client, url: str, **body: Any) -> None:
    assert api.post("/current/customers/AddCustomerAttribute", json={**body, "CallbackURL": url}).status_code == 200


def test_an_attribute_is_added_with_its_default(api: httpx.Client, scope: Scope, receiver: Receiver) -> None:
    add(api, receiver.url, Name="LOYALTY_TIER", Type="VARCHAR(10)", DefaultValue="Basic")
    assert receiver.wait() == [{"attributeName": "LOYALTY_TIER", "isSuccess": True}]
    assert values(api, "bob")["LOYALTY_TIER"] == "Basic"
    assert scope.warehouse.value("SELECT countIf(LOYALTY_TIER = 'Basic') = count() FROM customers") == 1
    post_updates(api, receiver.url, bob=[("LOYALTY_TIER", "Gold")], Ann=[("LOYALTY_TIER", "far too long a word")])
    assert receiver.wait()[0]["errors"] == [
        {"error": "INVALID_VALUE", "customerId": "Ann", "realFieldName": "LOYALTY_TIER"}
    ]
    assert (values(api, "bob")["LOYALTY_TIER"], values(api, "Ann")["LOYALTY_TIER"]) == ("Gold", "Basic")


def test_why_an_attribute_is_not_added(api: httpx.Client, receiver: Receiver) -> None:
    for body, error_id in (
        ({"Name": "country", "Type": "INT"}, "2"),
        ({"Name": "X1", "Type": "TEXT"}, "3"),
        ({"Name": "X1", "Type": "DECIMAL(10,2)"}, "3"),
        ({"Name": "X1", "Type": "INT", "DefaultValue": "abc"}, "4"),
        ({"Name": "bad name", "Type": "INT"}, "5"),
    ):
        add(api, receiver.url, **body)
        (told,) = receiver.wait()
        assert (told["isSuccess"], told["errorId"]) == (False, error_id), told
    assert api.post("/Customers/AddCustomerAttribute", json={"Name": "X"}).status_code == 400


def test_at_most_forty(stores: Stores, receiver: Receiver) -> None:
    other = create_tenant(stores, f"forty-{time.time_ns()}")
    attributes.declare(other, [AttributeInfo(f"API_{n}", "", "", "Int", "api") for n in range(39)])
    for name, error_id in (("FORTIETH", None), ("ONE_MORE", "1")):
        attribute_requests.add_attribute(other, name, "INT", None, receiver.url)
        assert receiver.wait()[0].get("errorId") == error_id


def test_upsert_creates_and_overwrites(api: httpx.Client, scope: Scope) -> None:
    body = {
        "CustomerId": "New1",
        "Attributes": [
            {"RealFieldName": "EMAIL", "Value": "n@example.com"},
            {"RealFieldName": "POINTS", "Value": "x"},
            {"RealFieldName": "NOPE", "Value": "1"},
        ],
    }
    answer = api.put("/Customers/UpsertCustomer", json=body).json()
    assert [error["error"] for error in answer["errors"]] == ["INVALID_VALUE", "INVALID_FIELD"]
    assert values(api, "NEW1")["EMAIL"] == "n@example.com"
    body = {"CustomerID": "NEW1", "Attributes": [{"RealFieldName": "POINTS", "Value": 9}]}
    assert api.put("/current/customers/upsertcustomer", json=body).json() == {"isSuccess": True, "errors": []}
    assert values(api, "New1")["POINTS"] == "9" and values(api, "New1")["EMAIL"] == "n@example.com"
    assert scope.warehouse.value("SELECT count() FROM customers WHERE lowerUTF8(customer_id) = 'new1'") == 1


def test_changers(integrations_api: httpx.Client, scope: Scope) -> None:
    rows = integrations_api.get(
        "/Customers/GetCustomerAttributeChangers",
        params={"ChangedCustomerAttribute": "days_since", "CustomerAttributes": "COUNTRY"},
    ).json()
    found = {row["CustomerID"]: row for row in rows}
    assert found["Ann"] == {
        "CustomerID": "Ann",
        "InitialCustomerAttribute": "1",
        "FinalCustomerAttribute": "2",
        "CustomerAttributes": ["Norway"],
    }
    assert found["Cyd"]["InitialCustomerAttribute"] is None and found["Cyd"]["FinalCustomerAttribute"] == "2"
    unchanged = integrations_api.get(
        "/Customers/GetCustomerAttributeChangers", params={"ChangedCustomerAttributes": "REGISTRATION_DATE"}
    ).json()
    assert {row["CustomerID"] for row in unchanged} <= {"Cyd", "New1"}
    legacy = integrations_api.get(
        "/Customers/GetCustomerAttributeChangers",
        params={"ChangedCustomerAttributes": "DAYS_SINCE", "StartDate": "2025-01-01", "EndDate": "2025-02-01"},
    ).json()
    assert len(legacy) == len(rows)
    for row in legacy:
        assert row["InitialCustomerAttributes"] == (row["InitialCustomerAttribute"] or "NULL")
        assert row["FinalCustomerAttributes"] == row["FinalCustomerAttribute"]
    assert {row["InitialCustomerAttributes"] for row in legacy if row["CustomerID"] == "Cyd"} == {"NULL"}
    for bad in ("", "COUNTRY;CITY", "NOPE"):
        answer = integrations_api.get(
            "/Customers/GetCustomerAttributeChangers", params={"ChangedCustomerAttribute": bad}
        )
        assert answer.status_code == 400


def test_activity_events_in_the_tenants_time(api: httpx.Client, scope: Scope) -> None:
    (number,) = event_types.ensure(scope, ["cart_left"], ["total"]).values()
    rows = [
        ("e1", number, "Ann", datetime.fromisoformat("2025-06-01 21:59:59+00:00"), {"total": "84.5", "a": "b"}),
        ("e2", number, "bob", datetime.fromisoformat("2025-06-01 22:00:00+00:00"), {}),
    ]
    scope.warehouse.insert(
        "activity_events", ["event_id", "event_type_id", "customer_id", "event_at", "properties"], rows
    )
    url = "/Customers/GetCustomersActivityEventAttributes"
    assert api.get(url, params={"EventID": number, "Date": "2025-06-01"}).json() == [
        {
            "CustomerID": "Ann",
            "EventID": number,
            "EventDate": "2025-06-01 23:59:59",
            "EventAttributes": [{"Name": "a", "Value": "b"}, {"Name": "total", "Value": "84.5"}],
        }
    ]
    both = api.get(url, params={"EventID": number, "StartDate": "2025-06-01", "EndDate": "2025-06-02"}).json()
    assert [row["CustomerID"] for row in both] == ["Ann", "bob"]
    assert api.get(url, params={"EventID": 9, "Date": "2025-06-01"}).status_code == 400
    assert api.get(url, params={"EventID": number}).status_code == 400


def test_odd_texts_are_no_server_errors(api: httpx.Client) -> None:
    assert post_updates(api, None, Ann=[("POINTS", "\x00")]).status_code == 400
    assert post_updates(api, None, Ann=[("POINTS", "\\u0000")]).status_code == 200
    assert api.patch("/manage/v1/attributes/points", json={"alias": "\x00"}).status_code == 400
    files = {"file": ("..\x00/'a b*.csv", b"Customer_ID\n1\n")}
    assert api.post("/manage/v1/imports", files=files, data={"kind": "customers"}).status_code in (201, 400)
    assert api.put("/Customers/UpsertCustomer", json={"CustomerId": "\x00 ", "Attributes": []}).status_code == 400
    assert api.get("/Customers/%00/Attributes").status_code == 404
