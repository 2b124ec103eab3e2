"""Whatever bytes are stored of a person, it is exported as JSON, read, anonymised and erased."""

import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from canaries import wait_until_gone

from rapport.access.scope import Scope
from rapport.customers.importing import imports
from rapport.customers.writes import attribute_requests
from rapport.notifications.models import Delivery

AT = datetime(2025, 5, 31, 12, tzinfo=UTC)
# Bytes that are no UTF-8, zero bytes, half an emoji as some programs write it, and much of them.
STORE = """
    INSERT INTO {table} ({columns}, properties)
    SELECT {values}, map('latin', unhex('4dfc6c6c6572'), 'zero', unhex('410042'), 'half', unhex('eda0bd'),
        'long', concat(repeat(unhex('ff20'), 500000), 'zqcanarylong@example.com'))
"""
PLACES = {
    "transactions": ("transaction_id, customer_id, transaction_time, amount", "'T-{who}', '{who}', now(), 1"),
    "activity_events": ("event_id, event_type_id, customer_id, event_at", "'E-{who}', 1, '{who}', now()"),
}


@pytest.fixture(params=["anonymised", "erased"])
def who(scope: Scope, request: pytest.FixtureRequest) -> str:
    name: str = request.param
    scope.warehouse.execute(
        "INSERT INTO customers (customer_id, REGISTRATION_DATE, CITY, FIRST_NAME) "
        f"SELECT '{name}', today(), unhex('4dfc6e6368656e'), unhex('4ae96c')"
    )
    for table, (columns, values) in PLACES.items():
        scope.warehouse.execute(STORE.format(table=table, columns=columns, values=values.format(who=name)))
    with scope.records() as session:
        session.add(
            Delivery(
                tenant_id=scope.tenant_id,
                listener_id=1,
                event_type_id=11,
                event_key=f"11:{name}:bytes",
                message_id=f"msg_{name}",
                body='{"customerID":"somebody","text":"\\\\ud83d"}'.replace("\\\\", "\\"),
                state="parked",
                created_at=AT,
            )
        )
    return name


def test_of_a_person_with_any_bytes(scope: Scope, api: httpx.Client, who: str) -> None:
    held = api.get(f"/manage/v1/persons/{who}")
    assert held.status_code == 200, held.text[:300]
    read = json.loads(held.content.decode())["warehouse"]
    assert read["transactions"][0]["properties"]["latin"] == "M\ufffdller"
    assert read["customers"][0]["CITY"] == "M\ufffdnchen"
    assert api.get(f"/Customers/{who}/Attributes").status_code == 200
    if who == "erased":
        assert api.delete(f"/manage/v1/persons/{who}").status_code == 204
    else:
        answer = api.post("/current/customers/RemoveCustomerPII", json={"CustomerIDs": [who]})
        assert (answer.status_code, answer.json()) == (200, {"FailedCustomerIDs": []})
    own = [f"T-{who}"] if who == "erased" else []
    wait_until_gone(scope, ["zqcanarylong", *own], [])


def test_refused_values_that_name_a_person_are_hidden(scope: Scope, api: httpx.Client, tmp_path: Path) -> None:
    attribute_requests.upsert(scope, "Refused-77", [["FIRST_NAME", "Zqcanaryname"]], None)
    path = tmp_path / "orders.csv"
    path.write_text(
        "Order_ID,CustomerID,Order_Date,Amount\n"
        "T1,Refused-77,2025-02-01 10:00:00,for Zqcanaryname\n"
        "T2,Refused-77,2025-02-01 10:00:00,zqcanary@example.com\n"
        "T3,Refused-77,2025-02-01 10:00:00,Refused-77\n"
        "T4,Other,2025-02-01 10:00:00,twelve\n"
    )
    told = imports.import_file(scope, "transactions", path, None, "incremental", allow_rejects=False)
    assert told.rejects_path is not None and "Zqcanaryname" in told.rejects_path.read_text()
    assert api.post("/current/customers/RemoveCustomerPII", json={"CustomerIDs": ["Refused-77"]}).status_code == 200
    left = told.rejects_path.read_text()
    assert "twelve" in left and left.count("(not shown)") == 3
    assert not any(word in left.lower() for word in ("zqcanary", "refused-77"))
