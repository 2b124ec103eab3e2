"""Right to be forgotten: nothing that identifies a person stays, in the tables or in the data folder."""

import subprocess
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.customers.importing import imports
from rapport.customers.privacy import anonymisation, persons
from rapport.customers.privacy.personal_values import PersonalTexts
from rapport.customers.writes import attribute_requests

CANARIES = {"EMAIL": "canarymail", "FIRST_NAME": "canaryfirst", "ADDRESS": "canarystreet"}
FILE = "Customer_ID,Registration_Date,Email,First_Name,Address,City\n"
DAYS = (date(2025, 5, 30), date(2025, 5, 31))

AT_ONCE: dict[str, Any] = {}


@pytest.fixture(scope="module")
def removed(scope: Scope, api: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A person planted everywhere and removed; the answer's failed ids."""
    # Uncompressed columns, so that a search of the folder's bytes can find what is there.
    for table in ("customers", "profiles"):
        for column in CANARIES:
            scope.warehouse.execute(f"ALTER TABLE {table} MODIFY COLUMN `{column}` Nullable(String) CODEC(NONE)")
    path = tmp_path_factory.mktemp("pii") / "people.csv"
    path.write_text(
        FILE + "Kim,2025-01-01,canarymail@x.org,canaryfirst,canarystreet 1,Oslo\nLee,2025-01-01,l@x.org,Lee,,Bonn\n"
    )
    imports.import_file(scope, "customers", path, None, "full", allow_rejects=False)
    for day in DAYS:
        scope.warehouse.execute(
            "INSERT INTO profiles (data_date, customer_id, EMAIL, FIRST_NAME, ADDRESS, CITY) "
            "SELECT {day:Date}, customer_id, EMAIL, FIRST_NAME, ADDRESS, CITY FROM customers",
            day=day,
        )
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DAYS[1]))
    event = ("e1", 1, "Kim", datetime(2025, 5, 1, tzinfo=UTC), {"Email": "canarymail@x.org", "page": "home"})
    columns = ["event_id", "event_type_id", "customer_id", "event_at", "properties"]
    scope.warehouse.insert("activity_events", columns, [event])
    assert found(scope, "canarymail")
    answer = api.post("/current/customers/RemoveCustomerPII", json={"CustomerIDs": ["KIM", "Nobody"]})
    assert answer.status_code == 200
    failed: list[str] = answer.json()["FailedCustomerIDs"]
    # What the answer left behind is noted at once: other tests of this module go on to change it.
    AT_ONCE["attributes"] = api.get("/Customers/kim/Attributes").json()
    AT_ONCE["profiles"] = identifying(scope, "profiles", "Kim")
    AT_ONCE["other"] = identifying(scope, "customers", "Lee")
    return failed


def found(scope: Scope, word: str) -> list[str]:
    folder = scope.stores.settings.data_dir / "warehouse" / "store"
    return subprocess.run(["grep", "-rla", word, str(folder)], capture_output=True, text=True).stdout.split()


def identifying(scope: Scope, table: str, customer: str) -> list[tuple[object, ...]]:
    return scope.warehouse.rows(
        f"SELECT EMAIL, FIRST_NAME, ADDRESS, CITY FROM {table} WHERE customer_id = {{c:String}}", c=customer
    )


def test_values_are_gone_at_once_and_the_person_stays(scope: Scope, api: httpx.Client, removed: list[str]) -> None:
    assert removed == ["Nobody"]
    values = {row["RealFieldName"]: row["Value"] for row in AT_ONCE["attributes"]}
    assert (values["EMAIL"], values["FIRST_NAME"], values["CITY"]) == (None, None, "Oslo")
    assert AT_ONCE["profiles"] == [(None, None, None, "Oslo")] * 2
    assert AT_ONCE["other"] == [("l@x.org", "Lee", None, "Bonn")]
    again = api.post("/Customers/RemoveCustomerPII", json={"customerids": ["Kim"]})
    assert again.json() == {"FailedCustomerIDs": []}


def test_no_byte_stays_in_the_data_folder(scope: Scope, removed: list[str]) -> None:
    deadline = time.monotonic() + 60
    left, properties = list(CANARIES.values()), None
    while (left or properties != {"page": "home"}) and time.monotonic() < deadline:
        left = [word for word in left if found(scope, word)]
        properties = scope.warehouse.value("SELECT properties FROM activity_events WHERE event_id = 'e1'")
        time.sleep(0.05)
    assert left == []
    assert properties == {"page": "home"}


def test_later_loads_and_writes_stay_masked(
    scope: Scope, api: httpx.Client, removed: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "again.csv"
    path.write_text(FILE + "kim,2025-01-01,new@x.org,Kim,Way 2,Rome\nLee,2025-01-01,l2@x.org,Lee,,Bonn\n")
    imports.import_file(scope, "customers", path, None, "incremental", allow_rejects=False)
    assert identifying(scope, "customers", "Kim") == [(None, None, None, "Rome")]
    assert identifying(scope, "customers", "Lee")[0][0] == "l2@x.org"
    body = {"CustomerId": "Kim", "Attributes": [{"RealFieldName": n, "Value": "x"} for n in ("EMAIL", "CITY")]}
    assert api.put("/Customers/UpsertCustomer", json=body).status_code == 200
    assert identifying(scope, "customers", "Kim") == [(None, None, None, "x")]


def test_updates_that_are_not_merged_yet_are_kept(scope: Scope, removed: list[str]) -> None:
    attribute_requests.upsert(scope, "Lee", [["CITY", "Wien"]], None)
    anonymisation.rewrite(scope)
    assert identifying(scope, "customers", "Lee")[0][3] == "Wien"


def test_what_is_marked_as_identifying_later(scope: Scope, api: httpx.Client, removed: list[str]) -> None:
    attribute_requests.upsert(scope, "Kim", [["LANGUAGE", "canarytongue"]], None)
    answer = api.patch("/manage/v1/attributes/language", json={"is_pii": True, "alias": "Tongue"})
    assert answer.status_code == 200 and answer.json()["alias"] == "Tongue"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if scope.warehouse.value("SELECT count() FROM customers WHERE LANGUAGE = 'canarytongue'") == 0:
            return
        time.sleep(0.05)
    raise AssertionError("still there")


def test_who_is_known_by_transactions_or_events_only_was_received(scope: Scope, removed: list[str]) -> None:
    at = datetime(2025, 5, 1, tzinfo=UTC)
    columns = ["transaction_id", "customer_id", "transaction_time", "amount", "properties"]
    told = {"Recipient_Email": "canarystray@x.org", "Colour": "red"}
    orders = [("s1", "Stray", at, 1.0, told), ("s2", "STRAY", at, 1.0, told)]
    scope.warehouse.insert("transactions", columns, orders)
    event = ("s3", 1, "Éve", at, {"Email": "canarystray@x.org"})
    scope.warehouse.insert(
        "activity_events", ["event_id", "event_type_id", "customer_id", "event_at", "properties"], [event]
    )
    assert attribute_requests.remove_pii(scope, ["stray", "Nobody", "éve"]) == ["Nobody"]
    anonymisation.rewrite(scope)
    left = "SELECT properties FROM transactions WHERE lower(customer_id) = 'stray'"
    assert scope.warehouse.rows(left) == [({"Colour": "red"},)] * 2
    assert scope.warehouse.value("SELECT properties FROM activity_events WHERE event_id = 's3'") == {}
    assert attribute_requests.remove_pii(scope, ["Stray", "Nobody"]) == ["Nobody"]


def test_others_know_what_identified_a_person_though_the_disk_is_rewritten_meanwhile(
    scope: Scope, removed: list[str]
) -> None:
    scope.warehouse.insert("customers", ["customer_id", "FIRST_NAME"], [("Raced", "canaryraced")])
    known = []

    def elsewhere(own: PersonalTexts) -> None:
        anonymisation.rewrite(scope)  # as the removal of somebody else does, which was accepted before
        known.append(own.are_in("a gift from canaryraced"))

    assert attribute_requests.remove_pii(scope, ["Raced"], elsewhere) == []
    assert known == [True] and scope.warehouse.columns("erase_values") == {}


def test_bad_lists(api: httpx.Client, removed: list[str]) -> None:
    for body in ({}, {"CustomerIDs": []}, {"CustomerIDs": "Kim"}, {"CustomerIDs": [str(n) for n in range(50_001)]}):
        assert api.post("/Customers/RemoveCustomerPII", json=body).status_code == 400


def test_long_lists(scope: Scope, removed: list[str]) -> None:
    strangers = [f"stranger {number}" for number in range(5000)]
    assert attribute_requests.remove_pii(scope, [*strangers, "KIM"]) == strangers


def test_export_of_a_person(scope: Scope, removed: list[str]) -> None:
    held = persons.export(scope, "LEE", ["customers", "profiles", "transactions"])
    assert len(held["profiles"]) == 2 and len(held["customers"]) == 1
    assert held["transactions"] == [] and held["customers"][0]["FIRST_NAME"] == "Lee"
