"""Who has an address: found in any spelling, in every attribute that a channel writes to."""

from datetime import date

import httpx
import pytest
from sqlalchemy import update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.customers.privacy import persons
from rapport.persons.declared import going

PATH = "/manage/v1/persons"
DAY = date(2026, 3, 9)
PEOPLE = [
    ("Anna", "Anna@Example.com", "+49 170 1234567"),
    ("Berta", "Berta <anna@example.com>", None),
    ("Carl", "carl@xn--mller-kva.example", "0049170 1234567"),
    ("Dora", "dora@müller.example", "4917099"),
    ("Gone", "gone@example.com", None),
    ("Emil", None, None),
]


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    channels.create_channel(scope, "Mail", "email", id=504)
    channels.create_channel(scope, "Texts", "external", id=505, address_attribute="MOBILE_NUMBER")
    scope.warehouse.insert("customers", ["customer_id", "EMAIL", "MOBILE_NUMBER"], PEOPLE)
    names = ["data_date", "customer_id", "EMAIL"]
    rows = [
        (DAY, "Anna", "anna@example.com"),
        (DAY, "Frida", "FRIDA@example.com"),
        (date(2026, 3, 8), "Emil", "old@x.example"),
    ]
    scope.warehouse.insert("profiles", names, rows)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DAY))


@pytest.mark.parametrize(
    ("address", "who"),
    [
        (" ANNA@example.com.", ["Anna", "Berta"]),
        ("carl@müller.example", ["Carl"]),
        ("Carl@XN--mller-kva.example", ["Carl"]),
        ("dora@xn--mller-kva.example", ["Dora"]),
        ("+49 (0)170 1234567", ["Anna", "Carl"]),
        ("frida@example.com", ["Frida"]),
        ("old@x.example", []),
        ("nobody@example.com", []),
    ],
)
def test_whoever_has_an_address_is_found_in_any_spelling(api: httpx.Client, address: str, who: list[str]) -> None:
    found = api.get(PATH, params={"address": address}).raise_for_status().json()
    assert [one["customer_id"] for one in found] == who


def test_who_looked_is_in_the_audit_log_without_the_address(api: httpx.Client) -> None:
    api.get(PATH, params={"address": "anna@example.com"}).raise_for_status()
    entry = api.get("/manage/v1/audit-entries", params={"limit": 1}).json()[0]
    assert (entry["action"], entry["object"], entry["details"]) == ("find", "customers by address", {"customers": 2})


def test_who_is_erased_is_not_found(api: httpx.Client, scope: Scope) -> None:
    persons.erase(scope, "Gone", going(scope))
    assert api.get(PATH, params={"address": "gone@example.com"}).json() == []


@pytest.mark.parametrize("asked", [{}, {"address": ""}, {"address": "  "}, {"email": "anna@example.com"}])
def test_what_is_no_address_is_refused(api: httpx.Client, asked: dict[str, str]) -> None:
    answer = api.get(PATH, params=asked)
    assert answer.status_code == 400 and answer.json()["detail"]
