"""A person is erased over HTTP, and the data folder is searched for what was planted."""

import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text, update

from rapport.access.models import AuditEntry, Tenant
from rapport.access.pseudonyms import pseudonym
from rapport.access.scope import Scope
from rapport.campaigns.models import Cycle
from rapport.channels import service as channels
from rapport.customers.importing import imports
from rapport.customers.models import AttributeJob
from rapport.customers.writes import attribute_requests
from rapport.delivery.models import OutboxMessage
from rapport.messaging.contactability import excluding, preferences, suppressed_addresses, suppressions
from rapport.messaging.models import ExclusionReason
from rapport.notifications.models import Delivery
from rapport.transactional.models import Recipient

CANARY, CANARY_KEY = "Zqcanaryid-77", "zqcanaryid-77"
OTHER = "Other-1"
MAIL, NAME, TOWN, ORDER, EVENT = "zqcanarymail@x.org", "Zqcanaryname", "Zqcanarytown", "zqcanaryorder", "zqcanaryevent"
WORD = "zqcanary"
DAY = date(2025, 5, 31)
AT = datetime(2025, 5, 31, 12, tzinfo=UTC)
HOME = "/manage/v1/persons"
PLACES = "SELECT name, toString(uuid) FROM system.tables WHERE database = {d:String}"
UNDER_WAY = """
    SELECT count(*) FROM dbos.workflow_status
    WHERE name IN ('campaigns.purge_person', 'customers.erase') AND status IN ('ENQUEUED', 'PENDING')
"""
# Tables of the records that an erasure takes rows out of.
RECORDS = (
    "suppressions",
    "exclusions",
    "channel_preferences",
    "suppressed_addresses",
    "topic_subscriptions",
    "consent_changes",
    "mail_events",
    "deliveries",
    "messages",
    "transactional_recipients",
    "attribute_jobs",
    "audit_log",
    "pii_removed",
)
BOUND = 120.0


def rows_of(who: str) -> dict[str, dict[str, Any]]:
    """One row a table of the warehouse; a campaign with one message."""
    told = who == CANARY
    campaign = {"campaign_id": 9, "customer_id": who}
    run = {"execution_date": DAY, **campaign}
    person = {"customer_id": who, "EMAIL": MAIL if told else "o@x.org", "CITY": TOWN if told else "Bonn"}
    order = {"transaction_id": ORDER if told else "o1", "customer_id": who, "transaction_time": AT}
    return {
        "customers": {**person, "FIRST_NAME": NAME if told else "O"},
        "profiles": {**person, "data_date": DAY},
        "transactions": {**order, "amount": 5.0},
        "transaction_items": {**order, "line_number": 1, "product_id": "p", "unit_price": 5.0},
        "activity_events": {
            "event_id": EVENT if told else "e1",
            "event_type_id": 1,
            "customer_id": who,
            "event_at": AT,
        },
        "model_results": {"data_date": DAY, "customer_id": who},
        "product_recommendations": {"data_date": DAY, "customer_id": who, "product_id": "p"},
        "target_group_members": {"data_date": DAY, "target_group_id": 4, "customer_id": who},
        "customer_lists": {"list_id": 3, "customer_id": who},
        "campaign_recipients": {**run, "channel_id": 504, "recipient_group_id": 1, "end_date": DAY},
        "campaign_outcomes": {**run, "channel_id": 504, "outcome": "sent", "message_id": f"m-{who}", "recorded_at": AT},
        "campaign_interactions": {"delivery_date": DAY, **campaign, "channel_id": 504, "event_id": 2},
        "campaign_products": {**run, "priority": 1, "product_id": "p"},
        "campaign_clearances": {**run, "status": 1, "seq": 1, "reported_at": AT},
        "campaign_codes": {**run, "channel_id": 504, "promo_code": "V-1"},
        "campaign_rewards": {**run, "reward_values": '{"BONUS": "3.00"}', "grants": "", "seq": 1, "given_at": AT},
    }


def plant(scope: Scope, who: str) -> None:
    for table, row in rows_of(who).items():
        scope.warehouse.insert(table, list(row), [tuple(row.values())])
    # Another campaign, which had not been sent to the person yet.
    row = rows_of(who)["campaign_recipients"] | {"campaign_id": 10}
    scope.warehouse.insert("campaign_recipients", list(row), [tuple(row.values())])
    suppressions.suppress(scope, who, 504, "complaint")
    preferences.set_preference(scope, 505, [who], 2)
    excluding.exclude(scope, {who: None}, ExclusionReason.SELF_EXCLUSION)
    with scope.records() as session:
        session.add(delivery(scope, who))
        session.add(job(scope, who))
        session.add(receipt(scope, who))
        session.add(
            OutboxMessage(
                tenant_id=scope.tenant_id,
                source="run",
                source_id=10,
                channel_id=504,
                customer_id=who,
                recipient_group_id=1,
                message_id="m",
                template_id=1,
                action_id=2,
                batch=1,
                state="pending",
            )
        )


def receipt(scope: Scope, who: str) -> Recipient:
    """Transactional mail to the person's address."""
    address = rows_of(who)["customers"]["EMAIL"]
    return Recipient(
        tenant_id=scope.tenant_id,
        send_id=1,
        brand_id=12,
        channel_id=504,
        template_id=1,
        address=address,
        mark=suppressed_addresses.marks_of(scope, [address])[0],
        personalizations=f'{{"ADDRESS":"{address}"}}',
        message_id="r",
        state="sent",
        ended_at=AT,
    )


def delivery(scope: Scope, who: str) -> Delivery:
    body = (
        f'{{"eventTypeID":11,"customers":[{{"customerID":"{who.upper()}","email":"{MAIL if who == CANARY else ""}"}}]}}'
    )
    return Delivery(
        tenant_id=scope.tenant_id,
        listener_id=1,
        event_type_id=11,
        event_key=f"11:{who}",
        message_id=f"msg_{who}",
        body=body,
        state="parked",
        created_at=AT,
    )


def job(scope: Scope, who: str) -> AttributeJob:
    faults = [{"error": "INVALID_VALUE", "customerId": one, "realFieldName": "CITY"} for one in (who, "third")]
    return AttributeJob(
        tenant_id=scope.tenant_id,
        id=f"job-{scope.tenant_id}-{len(who)}",
        kind="update",
        outcome={"isSuccess": False, "requestId": "r", "errors": faults},
        created_at=AT,
    )


def found(scope: Scope) -> list[str]:
    """Files of the data folder with a planted word, but for the write-ahead log of the records."""
    folder = scope.stores.settings.data_dir
    command = ["grep", "-rlai", "--exclude-dir=pg_wal", WORD, str(folder)]
    return subprocess.run(command, capture_output=True, text=True).stdout.split()


def tidied(scope: Scope) -> list[str]:
    """What is found after both engines have tidied up."""
    tables = ", ".join(RECORDS)
    with scope.stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"VACUUM (FULL, ANALYZE) {tables}"))
        connection.execute(text("VACUUM (FULL) pg_statistic"))  # values that were common are in there too
        connection.execute(text("SELECT pg_switch_wal()"))
        connection.execute(text("CHECKPOINT"))
    return found(scope)


def wait_until_clean(scope: Scope) -> None:
    deadline = time.monotonic() + BOUND
    while (left := found(scope)) and time.monotonic() < deadline:
        left = tidied(scope)
        time.sleep(0.1)
    assert [str(Path(one).relative_to(scope.stores.settings.data_dir)) for one in left] == []


def wait_until_idle(scope: Scope) -> None:
    """Wait for the erasures under way, so that the engines do not stop amid one."""
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        with scope.records() as session:
            if not session.scalar(text(UNDER_WAY)):
                return
        time.sleep(0.05)


def count(scope: Scope, table: str, who: str) -> int:
    sql = f"SELECT count() FROM {table} WHERE lowerUTF8(customer_id) = lowerUTF8({{who:String}})"
    return int(scope.warehouse.value(sql, who=who))


def uncompressed(scope: Scope) -> None:
    """Write texts as they are, so that a search of bytes finds them."""
    for table in rows_of(CANARY):
        kinds = scope.warehouse.columns(table).items()
        texts = [(name, kind) for name, kind in kinds if kind in ("String", "Nullable(String)")]
        changes = ", ".join(f"MODIFY COLUMN `{name}` {kind} CODEC(NONE)" for name, kind in texts)
        scope.warehouse.execute(f"ALTER TABLE {table} {changes}")


def accounts(scope: Scope) -> tuple[list[tuple[Any, ...]], list[int]]:
    """Outcomes of the erased person; rows among recipients, interactions and products."""
    alias = "erased-" + pseudonym(scope, CANARY)[:32]
    sql = """
        SELECT campaign_id, outcome, reason, message_id FROM campaign_outcomes
        WHERE customer_id = {alias:String} ORDER BY campaign_id
    """
    tables = ("campaign_recipients", "campaign_interactions", "campaign_products")
    return scope.warehouse.rows(sql, alias=alias), [count(scope, table, alias) for table in tables]


BEFORE: dict[str, Any] = {}


@pytest.fixture(scope="module")
def erased(scope: Scope, api: httpx.Client) -> Iterator[list[str]]:
    """The person planted in every place, exported and erased; files that held the person before."""
    uncompressed(scope)
    channels.create_channel(scope, "Text", "external", id=505)
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=DAY))
    for who in (CANARY, OTHER):
        plant(scope, who)
    channels.create_channel(scope, "Mail", "email", id=504)  # by whose addresses transactional mail is theirs
    BEFORE["files"] = tidied(scope)
    BEFORE["places"] = dict(scope.warehouse.rows(PLACES, d=scope.warehouse.name))
    BEFORE["export"] = api.get(f"{HOME}/{CANARY_KEY}")
    assert api.delete(f"{HOME}/{CANARY_KEY}").status_code == 204
    BEFORE["after"] = api.get(f"{HOME}/{CANARY}").json()
    wait_until_clean(scope)
    # Noted at once: other tests of this module have the person come back.
    BEFORE["accounts"] = accounts(scope)
    yield list(BEFORE["files"])
    wait_until_idle(scope)


def test_everything_held_is_exported(erased: list[str]) -> None:
    answer = BEFORE["export"]
    assert answer.status_code == 200, answer.text
    held = answer.json()
    assert held["customer_id"] == CANARY
    expected = dict.fromkeys(rows_of(CANARY), 1) | {"campaign_recipients": 2}
    assert {table: len(rows) for table, rows in held["warehouse"].items()} == expected
    assert held["warehouse"]["customers"][0]["EMAIL"] == MAIL
    records = held["records"]
    assert records["suppressions"] == [{"channel_id": 504, "reason": "complaint", "source": "complaint"}]
    assert records["preferences"] == [{"channel_id": 505, "app_id": "", "mode": 2}]
    assert [one["event_type_id"] for one in records["deliveries"]] == [11] and MAIL in records["deliveries"][0]["body"]
    assert [one["campaign_id"] for one in records["messages"]] == [10]
    assert [one["customerId"] for one in records["attribute_requests"][0]["holds"]] == [CANARY]


def test_what_is_read_is_gone_at_once_and_the_wish_stays(erased: list[str]) -> None:
    held = BEFORE["after"]
    assert {table for table, rows in held["warehouse"].items() if rows} <= {
        "campaign_recipients",
        "campaign_outcomes",
        "campaign_interactions",
        "campaign_products",
        "campaign_clearances",
        "campaign_rewards",
        "campaign_codes",
    }
    assert held["records"]["deliveries"] == [] and held["records"]["attribute_requests"] == []
    assert held["records"]["suppressions"] == [{"channel_id": 504, "reason": "complaint", "source": "complaint"}]
    assert held["records"]["preferences"] == [{"channel_id": 505, "app_id": "", "mode": 2}]
    assert [(one["ends_at"], one["reason"]) for one in held["records"]["exclusions"]] == [(None, "self-exclusion")]


def test_no_byte_stays_in_the_data_folder(scope: Scope, erased: list[str]) -> None:
    """The fixture waited for it; before, the search did find the person in both engines."""
    folders = {Path(one).relative_to(scope.stores.settings.data_dir).parts[0] for one in erased}
    assert folders == {"warehouse", "records"}
    parts = {part for file in erased for part in Path(file).parts}
    assert {table for table, place in BEFORE["places"].items() if place in parts} == set(rows_of(CANARY))
    assert found(scope) == []


# Of these the erasure has tests of their own.
ELSEWHERE = (
    "topics",
    "mail_events",
    "app_installs",
    "push_errors",
    "in_app_messages",
    "inbox_messages",
    "push_messages",
    "redemptions",
    "promo_codes",
    "journeys",
)


def test_the_other_person_is_untouched(scope: Scope, api: httpx.Client, erased: list[str]) -> None:
    held = api.get(f"{HOME}/{OTHER.lower()}").json()
    expected = dict.fromkeys(rows_of(OTHER), 1) | {"campaign_recipients": 2}
    assert {table: len(rows) for table, rows in held["warehouse"].items()} == expected
    # Two channels were refused.
    kept_of_each = dict.fromkeys(held["records"], 1) | {"consent_changes": 2} | dict.fromkeys(ELSEWHERE, 0)
    assert {name: len(held["records"][name]) for name in held["records"]} == kept_of_each
    with scope.records() as session:
        mine = select(AttributeJob).where(AttributeJob.tenant_id == scope.tenant_id)
        kept = sorted(one["customerId"] for row in session.scalars(mine) for one in row.outcome["errors"])
    assert kept == sorted([OTHER, "third", "third"])


def test_the_accounts_of_campaigns_still_add_up(erased: list[str]) -> None:
    outcomes, counts = BEFORE["accounts"]
    assert outcomes == [(9, "sent", "", ""), (10, "skipped", "erased", "")]
    assert counts == [2, 1, 1]


def test_erasing_again_and_nobody(api: httpx.Client, scope: Scope, erased: list[str]) -> None:
    assert api.delete(f"{HOME}/{CANARY.upper()}").status_code == 204
    for call in (api.get, api.delete):
        answer = call(f"{HOME}/nobody%2Fat%20all")
        assert answer.status_code == 404 and answer.headers["content-type"].startswith("application/problem+json")
    wait_until_clean(scope)


def test_the_audit_log_does_not_say_who(scope: Scope, erased: list[str]) -> None:
    with scope.records() as session:
        mine = select(AuditEntry).where(AuditEntry.tenant_id == scope.tenant_id, AuditEntry.action == "erase")
        first = session.scalars(mine.order_by(AuditEntry.id)).first()
    assert first is not None and first.object == "1 customers"
    tables = sum(not table.startswith("campaign_") for table in rows_of(CANARY))
    assert first.details == {"rows": {"customers": tables, "messaging": 3, "transactional": 2}}
    assert CANARY.lower() not in str(first.details).lower()
    assert first.actor.startswith("key ")


def test_whoever_comes_back_stays_anonymous_and_unwritten_to(
    scope: Scope, api: httpx.Client, erased: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "back.csv"
    path.write_text(f"Customer_ID,Registration_Date,Email,City\n{CANARY},2025-06-01,{MAIL},Rome\n")
    imports.import_file(scope, "customers", path, None, "incremental", allow_rejects=False)
    row = scope.warehouse.row(f"SELECT EMAIL, CITY FROM customers WHERE customer_id = '{CANARY}'")
    assert row == (None, "Rome")
    suppressed = preferences.suppressions(scope, 504)["customer_id"].to_pylist()
    assert sorted(suppressed) == sorted([CANARY, OTHER])
    assert api.delete(f"{HOME}/{CANARY}").status_code == 204
    wait_until_clean(scope)


def test_what_a_running_day_writes_is_erased_when_it_has_ended(
    scope: Scope, api: httpx.Client, erased: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rapport.persons.clearing.LOOK_AGAIN", timedelta(seconds=0.1))
    wait_until_idle(scope)
    running = Cycle(tenant_id=scope.tenant_id, data_date=DAY, run=0, state="running", started_at=AT)
    with scope.records() as session:
        session.add(running)
    assert api.delete(f"{HOME}/{CANARY}").status_code == 204
    row = rows_of(CANARY)["target_group_members"]
    scope.warehouse.insert("target_group_members", list(row), [tuple(row.values())])
    row = rows_of(CANARY)["campaign_recipients"]
    scope.warehouse.insert("campaign_recipients", list(row), [tuple(row.values())])
    deadline = time.monotonic() + BOUND
    while count(scope, "target_group_members", CANARY) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert count(scope, "target_group_members", CANARY) == 0 and count(scope, "campaign_recipients", CANARY) == 1
    with scope.records() as session:
        session.delete(session.merge(running))
    wait_until_clean(scope)


def test_removing_identifying_data_drops_notifications_that_name_the_person(
    scope: Scope, api: httpx.Client, erased: list[str]
) -> None:
    attribute_requests.upsert(scope, "Third-3", [["EMAIL", "t@x.org"]], None)
    with scope.records() as session:
        session.add(delivery(scope, "Third-3"))
    assert api.get(f"{HOME}/third-3").json()["records"]["deliveries"]
    answer = api.post("/current/customers/RemoveCustomerPII", json={"CustomerIDs": ["Third-3"]})
    assert answer.json() == {"FailedCustomerIDs": []}
    held = api.get(f"{HOME}/third-3").json()
    assert held["records"]["deliveries"] == [] and held["warehouse"]["customers"][0]["EMAIL"] is None
