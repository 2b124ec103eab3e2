"""Files for senders: how customers are divided among them, repetitions, erased persons, what a webhook may be."""

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from avro_files import records
from campaign_tenant import (
    DATA_DATE,
    EMAIL,
    EXTERNAL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_profiles,
    add_series,
    customer,
    group,
    publish,
    recipients,
)
from sqlalchemy import update

from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope
from rapport.campaigns import erasure, occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.delivery import engagements, webhooks
from rapport.campaigns.delivery import engagements as campaign_engagements
from rapport.campaigns.delivery.engagements import SECRET_MEMBERS
from rapport.campaigns.delivery.units import Unit
from rapport.campaigns.models import Engagement, Webhook
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.channels import service as channels
from rapport.customers.privacy import persons
from rapport.errors import Conflict, Invalid, NotFound
from rapport.notifications import service as notifications
from rapport.notifications.secret_members import with_secrets
from rapport.persons.declared import going

URL = "http://127.0.0.1:9/files"
BOUND = 60.0  # seconds


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    scope.clock.set(NOW)
    people = [customer(number) for number in range(23)]
    add_profiles(scope, people)
    names = ["customer_id", "FIRST_NAME"]
    scope.warehouse.insert("customers", names, [[one[name] for name in names] for one in people])
    publish(scope)
    add_channels(scope)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Voucher", ("V10",))
    return scope


@pytest.fixture(autouse=True)
def morning(tenant: Scope) -> Iterator[None]:
    tenant.clock.set(NOW)
    yield


def executed(scope: Scope, rows: int, at: str | None = None, attributes: Sequence[str] = ("first_name",)) -> int:
    """A campaign whose channel has a webhook, with so few customers a file as a person could not set."""
    webhooks.set_webhook(scope, EXTERNAL, URL, "texts", 10_000, list(attributes))
    with scope.records() as session:
        session.execute(update(Webhook).where(Webhook.tenant_id == scope.tenant_id).values(rows_per_file=rows))
    where = group(2, (EXTERNAL, 4), time=at)
    series = add_series(scope, 1, [where], rules={"include_all": True}, control_share=0.2)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)
    scope.clock.set(NOW + timedelta(hours=1))
    assert tasks.execute_due(scope) == (0 if at else 1)
    return number


def told(scope: Scope, number: int) -> list[dict[str, Any]]:
    rows = notifications.deliveries(scope, limit=1000)
    secrets = (scope.stores, SECRET_MEMBERS, scope.tenant_id)
    bodies = [orjson.loads(with_secrets(*secrets, row.event_type_id, row.body)) for row in rows]
    assert not [row for row in rows if row.event_type_id == 14 and orjson.loads(row.body)["DecryptionKey"]]
    return [body for body in bodies if body["EventTypeID"] == 14 and body["CampaignID"] == number]


def files(scope: Scope, event: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The customers of every file of an engagement."""
    key, found = event["DecryptionKey"], []
    metadata = orjson.loads(campaign_engagements.read_file(scope, event["BucketName"], event["MetadataFilePath"], key))
    for number in range(1, metadata["NumberOfFiles"] + 1):
        path = f"{event['CustomersFolderPath']}/customers_file{number:03}.deflate.avro"
        found.append(list(records(campaign_engagements.read_file(scope, event["BucketName"], path, key))))
    assert metadata["NumberOfCustomers"] == sum(map(len, found))
    return found


def renewed(scope: Scope, event: dict[str, Any], before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The customers of the one file of an engagement as soon as durable work has written it anew."""
    deadline = time.monotonic() + BOUND
    while (after := files(scope, event)[0]) == before and time.monotonic() < deadline:
        time.sleep(0.05)
    return after


def test_customers_are_divided_among_files_in_order_and_a_repetition_changes_nothing(tenant: Scope) -> None:
    number = executed(tenant, 5)
    (event,) = told(tenant, number)
    found = files(tenant, event)
    everybody = [row[0] for row in recipients(tenant, number) if row[1]]
    assert [len(one) for one in found] == [5] * (len(everybody) // 5) + [len(everybody) % 5] * bool(len(everybody) % 5)
    rows = [row for one in found for row in one]
    place = {"PromoCode": "V10", "ScheduledTime": "2026-03-10 09:00:00"}
    names = dict(tenant.warehouse.rows("SELECT customer_id, FIRST_NAME FROM customers"))  # others may have been erased
    assert rows == [{"CustomerID": who, **place, "FIRST_NAME": names.get(who)} for who in everybody]
    assert len([row for row in rows if row["FIRST_NAME"] == row["CustomerID"]]) >= len(rows) - 2
    unit = Unit(occurrences.occurrence(tenant, number), EXTERNAL, 1)
    engagements.hand_over(tenant, unit)
    assert told(tenant, number) == [event] and files(tenant, event) == found


def test_a_person_who_is_erased_leaves_the_files(tenant: Scope) -> None:
    number = executed(tenant, 100)
    (event,) = told(tenant, number)
    (before,) = files(tenant, event)
    gone = before[3]["CustomerID"]
    persons.erase(tenant, gone, going(tenant))
    erasure.clear_accounts(tenant, pseudonym(tenant, gone))
    (after,) = files(tenant, event)
    assert len(after) == len(before) and gone not in {row["CustomerID"] for row in after}
    assert [row for row in before if row["CustomerID"] != gone] == [row for row in after if row in before]
    (alias,) = [row for row in after if row not in before]
    assert alias["CustomerID"].startswith("erased-") and alias["FIRST_NAME"] is None
    webhooks.delete_webhook(tenant, EXTERNAL)
    engagements.write_again(tenant, {(number, EXTERNAL, 1)})
    with pytest.raises(NotFound):
        files(tenant, event)


def test_a_person_whose_data_was_removed_is_without_it_in_the_files(tenant: Scope, api: httpx.Client) -> None:
    number = executed(tenant, 100, attributes=("first_name", "email"))
    (event,) = told(tenant, number)
    (before,) = files(tenant, event)
    masked = before[5]["CustomerID"]
    assert before[5]["FIRST_NAME"] and before[5]["EMAIL"] == f"{masked.lower()}@example.com"
    answer = api.post("/current/customers/RemoveCustomerPII", json={"CustomerIDs": [masked]})
    assert answer.json() == {"FailedCustomerIDs": []}
    after = renewed(tenant, event, before)
    assert [row for row in after if row["CustomerID"] == masked] == [before[5] | {"FIRST_NAME": None, "EMAIL": None}]
    assert [row for row in before if row["CustomerID"] != masked] == [
        row for row in after if row["CustomerID"] != masked
    ]


def test_who_is_erased_between_the_event_and_the_send_is_not_in_the_files(tenant: Scope) -> None:
    number = executed(tenant, 100, at="22:00")
    (event,) = told(tenant, number)
    (before,) = files(tenant, event)
    gone = before[2]["CustomerID"]
    persons.erase(tenant, gone, going(tenant))
    erasure.clear_accounts(tenant, pseudonym(tenant, gone))
    assert files(tenant, event) == [[row for row in before if row["CustomerID"] != gone]]
    tenant.clock.set(NOW + timedelta(hours=15))
    assert tasks.execute_due(tenant) == 1
    found = occurrences.occurrence(tenant, number)
    assert found.state == "successful" and found.counts["skipped"] == 1
    assert found.counts["sent"] == len(before) - 1


def test_a_channel_without_a_webhook_has_no_files(tenant: Scope) -> None:
    if webhooks.webhook(tenant, EXTERNAL):
        webhooks.delete_webhook(tenant, EXTERNAL)
    with pytest.raises(NotFound, match="has no webhook"):
        webhooks.delete_webhook(tenant, EXTERNAL)
    notifications.register_listener(tenant, 14, URL, EXTERNAL)  # by the call: with what nobody set
    found = webhooks.webhook(tenant, EXTERNAL)
    assert found is not None and (found.name, found.rows_per_file, found.attributes) == ("hook505", 10_000, [])
    webhooks.delete_webhook(tenant, EXTERNAL)
    series = add_series(tenant, 1, [group(2, (EXTERNAL, 4))], rules={"include_all": True})
    unit = Unit(occurrences.occurrence(tenant, plan_next_run(tenant, series.id, TODAY)), EXTERNAL, 1)
    engagements.hand_over(tenant, unit)
    with tenant.records() as session:
        found_rows = session.query(Engagement).filter_by(tenant_id=tenant.tenant_id, campaign_id=unit.campaign.id)
        assert found_rows.count() == 0


def test_what_a_webhook_cannot_be(tenant: Scope) -> None:
    channels.create_channel(tenant, "Other texts", "external", id=550)
    webhooks.set_webhook(tenant, EXTERNAL, URL, "texts", 10_000, [])
    with pytest.raises(Conflict, match="There is a webhook named 'texts' already"):
        webhooks.set_webhook(tenant, 550, URL, "texts", 10_000, [])
    with pytest.raises(Invalid, match="only external channels have webhooks"):
        webhooks.set_webhook(tenant, EMAIL, URL, "mail", 10_000, [])
    with pytest.raises(Invalid, match="ChannelID is required with EventTypeID 14"):
        notifications.register_listener(tenant, 14, URL)
    with pytest.raises(NotFound):
        webhooks.set_webhook(tenant, 999, URL, "none", 10_000, [])
