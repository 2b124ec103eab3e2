"""The unsubscribe list of a brand as integrators read and change it, the attribute that follows it, what an erasure
leaves of it, and messages that wait while somebody unsubscribes.
"""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_server import eventually
from sqlalchemy import text, update

from rapport import conditions
from rapport.access import keys
from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.api.wire.optimail_unsubscribers import CallLimits
from rapport.audiences import counting
from rapport.channels import service as channels
from rapport.channels.messages import Origin
from rapport.customers import attributes
from rapport.errors import TooManyRequests
from rapport.messaging.contactability import preferences, suppressions, unsubscribed_attribute
from rapport.stores import Stores

BRAND, OTHER, SMS = 504, 520, 505
DATA_DATE = date(2026, 2, 28)
CUSTOMERS = {"Q1": "one@example.com", "Q2": "two@example.com", "Q3": "Two <TWO@example.com>"}
NO_ERROR, INVALID = {"Error": None}, {"Error": "Invalid email"}


@pytest.fixture
def scope(stores: Stores, request: pytest.FixtureRequest) -> Iterator[Scope]:
    """A tenant for each test: what was said in one is no preference in another."""
    yield create_tenant(stores, f"{request.node.name[:60]}-{time.time_ns()}", "Europe/Berlin", "EUR")
    stores.clock.set(None)


@pytest.fixture
def api(base_url: str, scope: Scope) -> Iterator[httpx.Client]:
    _, secret = keys.create_key(scope, "tests", "tests@example.com", "Admin")
    with httpx.Client(base_url=base_url, headers={"X-API-KEY": secret}, timeout=60) as client:
        yield client


@pytest.fixture(autouse=True)
def filled(scope: Scope) -> None:
    channels.create_channel(scope, "Letters", "email", id=BRAND)
    channels.create_channel(scope, "Outlet", "email", id=OTHER)
    channels.create_channel(scope, "SMS", "external", id=SMS, address_attribute="MOBILE_NUMBER")
    rows = [list(row) for row in CUSTOMERS.items()]
    scope.warehouse.insert("customers", ["customer_id", "EMAIL"], rows)
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "EMAIL"], [[DATA_DATE, *row] for row in rows])
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DATA_DATE))


def add(api: httpx.Client, *addresses: str, brand: Any = BRAND) -> httpx.Response:
    body = {"BrandId": brand, "EmailAddresses": list(addresses)}
    return api.post("/current/optimail/AddUnsubscribers", json=body)


def delete(api: httpx.Client, address: str, brand: Any = BRAND) -> httpx.Response:
    return api.post("/Optimail/DeleteUnsubscribers", json={"BRANDID": brand, "EmailAddress": address})


def listed(api: httpx.Client, brand: int = BRAND, **query: Any) -> list[str]:
    answer = api.get("/current/optimail/getunsubscribers", params={"BrandId": brand, **query})
    assert answer.status_code == 200, answer.text
    return [row["Email"] for row in answer.json()]


def selected(scope: Scope, word: str) -> list[str]:
    """Whom a target group by the attribute has."""
    condition = {"attribute": "OptimailUnsubscribed", "operator": "equals", "value": word}
    return sorted(counting.sample_now(scope, conditions.parse(condition), 10))


def unsubscribed(scope: Scope) -> dict[str, str]:
    sql = "SELECT customer_id, OptimailUnsubscribed FROM customers ORDER BY customer_id"
    return dict(scope.warehouse.rows(sql)) if "OPTIMAILUNSUBSCRIBED" in attributes.attributes(scope) else {}


def test_addresses_are_added_listed_and_deleted(scope: Scope, api: httpx.Client) -> None:
    assert listed(api) == []
    for day, address in ((1, "First@Example.com"), (2, "two@example.com"), (3, "stranger@example.com")):
        scope.clock.set(datetime(2026, 3, day, 23, 59, 59, tzinfo=UTC))
        for _ in range(2):
            answer = add(api, address)
            assert (answer.status_code, answer.json()) == (200, NO_ERROR)
    rows = api.get("/Optimail/GetUnsubscribers", params={"BrandID": BRAND}).json()
    assert rows == [
        {"Email": "first@example.com", "UnsubscribedTime": "2026-03-01 23:59:59"},
        {"Email": "two@example.com", "UnsubscribedTime": "2026-03-02 23:59:59"},
        {"Email": "stranger@example.com", "UnsubscribedTime": "2026-03-03 23:59:59"},
    ]
    assert listed(api, StartDate="2026-03-02", EndDate="2026-03-03") == ["two@example.com", "stranger@example.com"]
    assert listed(api, StartDate="2026-03-01", EndDate="2026-03-01") == ["first@example.com"]
    assert listed(api, **{"$skip": 1, "$top": 1}) == ["two@example.com"]
    assert listed(api, OTHER) == [], "each brand has its own"
    assert preferences.unreachable(scope, BRAND, ["Q3"], addresses={"Q3": CUSTOMERS["Q3"]}) == {
        "Q3": "suppression list"
    }
    assert preferences.unreachable(scope, OTHER, ["Q3"], addresses={"Q3": CUSTOMERS["Q3"]}) == {}
    eventually(lambda: unsubscribed(scope) == {"Q1": "No", "Q2": "Yes", "Q3": "Yes"})
    eventually(lambda: (selected(scope, "Yes"), selected(scope, "No")) == (["Q2", "Q3"], ["Q1"]))
    for address in ("TWO@example.com", "two@example.com", "never@example.com"):
        assert delete(api, address).json() == NO_ERROR
    assert listed(api) == ["first@example.com", "stranger@example.com"]
    eventually(lambda: unsubscribed(scope) == {"Q1": "No", "Q2": "No", "Q3": "No"})
    scope.clock.set(None)


def off(scope: Scope, channel_id: int) -> set[str]:
    """Which customers get nothing on a channel, by their ids and addresses."""
    return set(preferences.unreachable(scope, channel_id, list(CUSTOMERS), addresses=CUSTOMERS))


def test_a_channel_takes_over_the_list_of_the_brand_that_it_joins(scope: Scope, api: httpx.Client) -> None:
    brand = channels.channel(scope, BRAND).settings["brand_id"]
    suppressions.suppress(scope, "Q1", BRAND, "complaint")
    suppressions.suppress(scope, "Q2", BRAND, "bounced")
    add(api, "Stranger@example.com")
    created = channels.create_channel(scope, "Second letters", "email", settings={"brand_id": brand})
    assert off(scope, created.id) == {"Q1"}, "a bounce says something of one channel only"
    stranger = {"S": "stranger@example.com"}
    assert preferences.unreachable(scope, created.id, ["S"], addresses=stranger) == {"S": "suppression list"}
    entries = suppressions.list_suppressions(scope, channel_id=created.id)
    assert [(entry.customer_id, entry.reason) for entry in entries] == [("Q1", "complaint")]

    assert off(scope, OTHER) == set()
    channels.update_channel(scope, OTHER, settings={"brand_id": brand})
    assert off(scope, OTHER) == {"Q1"}
    suppressions.allow(scope, "Q1", OTHER)
    channels.update_channel(scope, OTHER, settings={"brand_id": brand, "port": 2525}, name="Moved")
    assert off(scope, OTHER) == set(), "only who joins takes the list over"


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        ({"BrandId": BRAND, "EmailAddresses": ["good@example.com", "no address"]}, 200, INVALID),
        ({"BrandId": BRAND, "EmailAddresses": [""]}, 200, INVALID),
        ({"BrandId": 999, "EmailAddresses": ["good@example.com"]}, 404, "There is no brand 999."),
        ({"BrandId": SMS, "EmailAddresses": ["good@example.com"]}, 404, f"There is no brand {SMS}."),
        ({"BrandId": BRAND, "EmailAddresses": ["a@example.com"] * 201}, 400, "at most 200 addresses, not 201"),
        ({"BrandId": BRAND, "EmailAddresses": []}, 400, "EmailAddresses"),
        ({"EmailAddresses": ["good@example.com"]}, 400, "BrandId"),
        ({"BrandId": "x", "EmailAddresses": ["good@example.com"]}, 400, "BrandId"),
        ([], 400, "The body must be a JSON object."),
    ],
)
def test_nothing_is_added_of_what_cannot_be(api: httpx.Client, body: Any, status: int, answer: Any) -> None:
    before = listed(api)
    told = api.post("/current/optimail/AddUnsubscribers", json=body)
    assert told.status_code == status
    assert told.json() == answer if isinstance(answer, dict) else answer in told.json()
    assert listed(api) == before


def test_200_addresses_are_taken_and_one_that_is_none_cannot_be_deleted(api: httpx.Client) -> None:
    assert add(api, *(f"n{n}@many.example" for n in range(200)), brand=OTHER).json() == NO_ERROR
    assert len(listed(api, OTHER)) == 200
    assert delete(api, "no address").json() == INVALID
    assert (delete(api, "n1@many.example", 999).status_code, delete(api, "n1@many.example", OTHER).json()) == (
        404,
        NO_ERROR,
    )


@pytest.mark.parametrize(
    "query",
    [
        {"BrandID": BRAND, "StartDate": "2026-03-02"},
        {"BrandID": BRAND, "StartDate": "2026-03-02", "EndDate": "2026-03-01"},
        {"BrandID": BRAND, "StartDate": "02.03.2026", "EndDate": "2026-03-04"},
        {},
    ],
)
def test_wrong_dates_are_refused(api: httpx.Client, query: dict[str, Any]) -> None:
    assert api.get("/current/optimail/GetUnsubscribers", params=query).status_code == 400


def test_who_unsubscribes_by_a_link_or_from_everything_is_on_the_list(
    scope: Scope, api: httpx.Client, base_url: str
) -> None:
    link = suppressions.unsubscribe_links(scope)("Q1", Origin(BRAND), CUSTOMERS["Q1"]).rpartition("/")[2]
    httpx.post(f"{base_url}/unsubscribe/{link}", data={"scope": "all", "language": "en"})
    assert CUSTOMERS["Q1"] in listed(api) and CUSTOMERS["Q1"] in listed(api, OTHER)
    [kept] = api.get("/manage/v1/suppressions", params={"customer_id": "Q1"}).json()
    assert (kept["reason"], kept["source"], kept["channel_id"]) == ("unsubscribed", "link", None)
    [change] = api.get("/manage/v1/consent-log", params={"customer_id": "Q1"}).json()
    assert (change["agreed"], change["wording"], change["actor"]) == (
        False,
        "Which messages? Everything",
        "unsubscribe link",
    )
    eventually(lambda: unsubscribed(scope).get("Q1") == "Yes")
    assert delete(api, CUSTOMERS["Q1"]).json() == NO_ERROR
    assert CUSTOMERS["Q1"] not in listed(api) and CUSTOMERS["Q1"] in listed(api, OTHER), "what goes for others stays"
    assert preferences.unreachable(scope, BRAND, ["Q1"], addresses={"Q1": CUSTOMERS["Q1"]}) == {}
    assert preferences.unreachable(scope, SMS, ["Q1"]) == {"Q1": "suppression list"}
    eventually(lambda: unsubscribed(scope).get("Q1") == "Yes")
    delete(api, CUSTOMERS["Q1"], OTHER)
    eventually(lambda: unsubscribed(scope).get("Q1") == "No")


def test_a_bounce_is_no_wish_and_a_list_that_is_imported_is(scope: Scope, api: httpx.Client, tmp_path: Path) -> None:
    suppressions.suppress(scope, "Q2", BRAND, "bounced")
    assert CUSTOMERS["Q2"] not in listed(api)
    file = {"file": ("list.csv", "email\nimported@example.com\n")}
    data = {"channel_id": str(BRAND), "reason": "unsubscribed"}
    assert api.post("/manage/v1/suppressions/file", files=file, data=data).json()["added"] == 1
    assert "imported@example.com" in listed(api)
    [kept] = api.get("/manage/v1/suppressions/of-address", params={"address": "imported@example.com"}).json()
    assert (kept["reason"], kept["source"]) == ("unsubscribed", "file")
    suppressions.allow(scope, "Q2", BRAND)


def test_the_attribute_is_put_right_once_a_day(scope: Scope, api: httpx.Client) -> None:
    add(api, "later@example.com")
    eventually(lambda: unsubscribed(scope) == {"Q1": "No", "Q2": "No", "Q3": "No"})
    scope.warehouse.insert(
        "customers", ["customer_id", "EMAIL"], [["Later", "later@example.com"], ["Never", "n@x.example"]]
    )
    update = {"CustomerID": "Q2", "Attributes": [{"RealFieldName": "OptimailUnsubscribed", "Value": "Yes"}]}
    api.post("/current/customers/UpdateCustomerAttributes", json={"CustomerNewAttributesValuesList": [update]})
    eventually(lambda: unsubscribed(scope).get("Q2") == "Yes")
    unsubscribed_attribute.refresh(scope)
    assert unsubscribed(scope) == {"Q1": "No", "Q2": "No", "Q3": "No", "Later": "Yes", "Never": "No"}


def stored_addresses(scope: Scope) -> dict[str, str | None]:
    sql = "SELECT mark, max(address) FROM suppressed_addresses WHERE tenant_id = :id GROUP BY mark"
    with scope.records() as session:
        return {str(mark): address for mark, address in session.execute(text(sql), {"id": scope.tenant_id})}


@pytest.mark.parametrize("call", ["erased", "anonymised"])
def test_only_a_mark_is_left_of_a_person(scope: Scope, api: httpx.Client, call: str) -> None:
    address = f"{call}-person@example.com"
    scope.warehouse.insert("customers", ["customer_id", "EMAIL"], [[call, address]])
    add(api, address)
    add(api, address, brand=OTHER)
    suppressions.suppress(scope, call, SMS)
    assert listed(api).count(address) == 1 and address in stored_addresses(scope).values()
    if call == "erased":
        assert api.delete(f"/manage/v1/persons/{call}").status_code == 204
    else:
        api.post("/current/customers/RemoveCustomerPII", json={"CustomerIDs": [call]})
    assert address not in listed(api) and address not in stored_addresses(scope).values()
    sent_to = {"Somebody else": address}
    assert preferences.unreachable(scope, BRAND, list(sent_to), addresses=sent_to) == {
        "Somebody else": "suppression list"
    }
    assert preferences.unreachable(scope, OTHER, list(sent_to), addresses=sent_to) == {
        "Somebody else": "suppression list"
    }


def test_calls_at_once_and_in_a_minute_are_bounded() -> None:
    limits = CallLimits()
    inside, leave = threading.Barrier(11), threading.Event()

    def call() -> None:
        with limits.call(1, 1, counted=True):
            inside.wait(30)
            leave.wait(30)

    calls = [threading.Thread(target=call) for _ in range(10)]
    for each in calls:
        each.start()
    inside.wait(30)
    with pytest.raises(TooManyRequests, match="At most 10 calls"), limits.call(1, 1, counted=False):
        pass
    with limits.call(2, 1, counted=True):
        pass
    leave.set()
    for each in calls:
        each.join()
    with pytest.raises(TooManyRequests):
        for _ in range(600):
            with limits.call(1, 1, counted=True):
                pass
