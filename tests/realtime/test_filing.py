"""Handled events into the warehouse: once each, under the known customer, whatever was killed in between."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from senders import Sender, handle, idle, logged, metric, stored
from sqlalchemy import text, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope
from rapport.access.service import create_tenant, update_tenant
from rapport.customers import activity as customer_activity
from rapport.customers import event_types
from rapport.customers.importing import imports
from rapport.customers.writes import attribute_requests, locks
from rapport.realtime.events.intake import Incoming, Intake
from rapport.realtime.events.names import Names
from rapport.realtime.recording import warehouse_batches
from rapport.realtime.recording.warehouse_batches import file_batch
from rapport.realtime.recording.warehouse_writer import Filer
from rapport.realtime.retention import Purge

NOW = datetime.now(UTC).replace(microsecond=123000)


@pytest.fixture(scope="module")
def intake(scope: Scope) -> Intake:
    return Intake(scope.stores)


def incoming(customer_id: str, name: str = "deposit", **members: Any) -> Incoming:
    return Incoming(name, **{"origin": "server", "event_at": NOW, "customer_id": customer_id} | members)


def filed(scope: Scope, intake: Intake, *events: Incoming, names: Names | None = None) -> int:
    intake.accept_now(scope, events)
    handle(scope)
    return settled(scope, names or Names())


def settled(scope: Scope, names: Names) -> int:
    """File what waits, also while the tables are held for a moment by an erasure; how many events those were."""
    number, deadline = 0, time.monotonic() + 60
    while stored(scope) and time.monotonic() < deadline:
        number += file_batch(scope, names)
    return number


def activity(scope: Scope, customer_id: str, columns: str = "*") -> list[tuple[Any, ...]]:
    sql = f"SELECT {columns} FROM (SELECT * FROM activity_events WHERE customer_id = {{id:String}} ORDER BY seq)"
    return scope.warehouse.rows(sql, id=customer_id)


def test_an_event_is_filed_with_its_parameters(scope: Scope, intake: Intake) -> None:
    scope.warehouse.insert("customers", ["customer_id"], [("Known-One",)])
    parameters = {"amount": 12.5, "count": 3, "vip": True, "note": "ünï"}
    intake.accept_now(scope, [incoming("KNOWN-one", parameters=parameters)])
    assert file_batch(scope, Names()) == 0  # not handled yet
    handle(scope)
    assert file_batch(scope, Names()) == 1
    number = event_types.event_type_named(scope, "deposit")
    assert number is not None and not number.declared
    assert set(number.parameters) == set(parameters)
    kept = {"amount": "12.5", "count": "3", "vip": "true", "note": "ünï"}
    rows = activity(scope, "Known-One", "* EXCEPT (event_id, seq)")
    assert rows == [(number.id, "Known-One", NOW.replace(tzinfo=None), kept, "", "server")]
    assert stored(scope) == []


def test_a_repeated_filing_writes_nothing_twice(scope: Scope, intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill after the warehouse has a batch, or a part of it, and before the records know."""
    events = [incoming(f"Again-{n}") for n in range(5)] + [incoming("", visitor_id=f"again-{n}") for n in range(5)]
    write = customer_activity.add_activity

    def killed(*arguments: Any) -> None:
        write(*arguments)
        raise KeyboardInterrupt

    intake.accept_now(scope, events)
    handle(scope)
    monkeypatch.setattr(customer_activity, "add_activity", killed)
    with pytest.raises(KeyboardInterrupt):  # the customers' are written, the visitors' are not
        file_batch(scope, Names())
    monkeypatch.setattr(customer_activity, "add_activity", write)
    monkeypatch.setattr(warehouse_batches, "DONE", text("SELECT 1 WHERE :tenant_id > 0 AND :numbers IS NULL"))
    assert file_batch(scope, Names()) == 10  # all are written, and still in the records
    assert len(stored(scope)) == 10
    monkeypatch.undo()
    assert file_batch(scope, Names()) == 10
    assert stored(scope) == []
    for table, column in (("activity_events", "customer_id"), ("visitor_events", "visitor_id")):
        sql = f"SELECT {column}, count() FROM {table} WHERE {column} ILIKE 'again-%' GROUP BY 1"
        assert dict(scope.warehouse.rows(sql)) == {f"{'A' if column[0] == 'c' else 'a'}gain-{n}": 1 for n in range(5)}


def test_a_number_given_out_again_is_another_event(scope: Scope, intake: Intake) -> None:
    """Records from a backup are behind the warehouse: their next events get numbers that it has."""
    assert filed(scope, intake, incoming("First-Of-Number")) == 1
    with scope.records() as session:
        sequence = "pg_get_serial_sequence('accepted_events', 'seq')"
        session.execute(text(f"SELECT setval({sequence}, nextval({sequence}) - 1, false)"))
    assert filed(scope, intake, incoming("Second-Of-Number")) == 1
    (first,), (second,) = activity(scope, "First-Of-Number", "seq"), activity(scope, "Second-Of-Number", "seq")
    assert first == second


def test_events_of_many_months_are_filed_at_once(scope: Scope, intake: Intake) -> None:
    """Each month is a partition of the table; there may be more of them than the engine allows by default."""
    late = [incoming("Late", event_at=datetime(2010, 1, 5, tzinfo=UTC) + timedelta(days=31 * n)) for n in range(130)]
    assert filed(scope, intake, *late) == 130
    assert activity(scope, "Late", "count(), uniqExact(toYYYYMM(event_at))") == [(130, 130)]


def test_one_event_that_cannot_be_written_is_logged_and_holds_up_none(
    scope: Scope, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = warehouse_batches._row

    def poisoned(one: Any, *others: Any) -> dict[str, Any]:
        if one.customer_id == "Poison":
            raise ValueError("poison")
        return row(one, *others)

    monkeypatch.setattr(warehouse_batches, "_row", poisoned)
    intake.accept_now(scope, [incoming("Poison")])
    handle(scope)
    for apart in (False, True):  # alone it may be the engine's fault
        with pytest.raises(ValueError):
            file_batch(scope, Names(), apart=apart)
    intake.accept_now(scope, [incoming("Sound-1"), incoming("Sound-2")])
    handle(scope)
    filer = Filer(scope.stores)
    for _ in range(6):
        assert len(stored(scope)) == 3
        filer.file_all()
    assert len(activity(scope, "Sound-1")) == len(activity(scope, "Sound-2")) == 1
    assert activity(scope, "Poison") == [] and stored(scope) == []
    assert [one["status"] for one in logged(scope, person="poison")] == ["error"]


def test_nothing_is_filed_while_others_change_the_tables(scope: Scope, intake: Intake) -> None:
    with locks.writing(scope):
        intake.accept_now(scope, [incoming("Waits")])
        handle(scope)
        assert file_batch(scope, Names()) == 0
        assert len(stored(scope, customer_id="Waits")) == 1
    assert settled(scope, Names()) == 1
    assert len(activity(scope, "Waits")) == 1


def test_spellings_of_strangers_are_one_until_the_customer_is_known(scope: Scope, intake: Intake) -> None:
    names = Names()
    filed(scope, intake, incoming("stranger-X"), incoming("STRANGER-x"), names=names)
    assert len(activity(scope, "stranger-X")) + len(activity(scope, "STRANGER-x")) == 2
    assert {len(activity(scope, one)) for one in ("stranger-X", "STRANGER-x")} == {0, 2}


def test_files_of_activity_and_events_do_not_replace_each_other(scope: Scope, intake: Intake, tmp_path: Path) -> None:
    filed(scope, intake, incoming("Mixed", name="login"))

    def load(mode: str, *ids: str) -> None:
        path = tmp_path / f"activity-{mode}-{len(ids)}.csv"
        lines = [f"{one},login,Mixed,2025-03-01 10:00:00" for one in ids]
        path.write_text("Event_ID,Event_Name,Customer_ID,Event_Date\n" + "\n".join(lines) + "\n")
        assert imports.import_file(scope, "activity", path, None, mode, confirm_removal=True).rejected == 0

    load("incremental", "f1", "f2")
    rows = activity(scope, "Mixed", "origin, seq > 0, visitor_id")
    assert Counter(rows) == {("file", 0, ""): 2, ("server", 1, ""): 1}
    load("full", "f3")
    assert Counter(activity(scope, "Mixed", "origin, event_id = 'f3'")) == {("file", 1): 1, ("server", 0): 1}
    known = event_types.event_type_named(scope, "login")
    assert known is not None
    assert activity(scope, "Mixed", "DISTINCT event_type_id") == [(known.id,)]


# What events say of customers.


def attribute(scope: Scope, customer_id: str, *names: str) -> tuple[Any, ...] | None:
    sql = f"SELECT {', '.join(names)} FROM customers WHERE customer_id = {{id:String}}"
    return scope.warehouse.row(sql, id=customer_id)


def test_details_overwrite_the_customer_s_attributes(scope: Scope, intake: Intake) -> None:
    scope.warehouse.insert("customers", ["customer_id", "CITY"], [("Detailed", "Bonn")])
    with scope.records() as session:
        session.execute(update(Tenant).where(Tenant.id == scope.tenant_id).values(last_data_date=date(2025, 1, 1)))
    scope.warehouse.insert("profiles", ["data_date", "customer_id"], [(date(2025, 1, 1), "Detailed")])
    first = {"ootb_city": "Oslo", "ootb_date_of_birth": "1980-02-03", "ootb_alias": "nobody's", "other": 1}
    second = {"ootb_city": "Rome", "ootb_is_mobile_verified": True, "ootb_allow_email": "No"}
    update_event = "ootb_user_details_update"
    filed(
        scope,
        intake,
        incoming("detailed", update_event, parameters=first),
        incoming("DETAILED", update_event, parameters=second),
        incoming("Detailed", "set_email_event", origin="sdk", parameters={"email": "d@example.org"}),
    )
    names = ("CITY", "DATE_OF_BIRTH", "IS_SMS_VERIFIED", "ALLOW_EMAIL", "EMAIL")
    assert attribute(scope, "Detailed", *names) == ("Rome", date(1980, 2, 3), "Yes", "No", "d@example.org")
    sql = "SELECT CITY, EMAIL FROM profiles WHERE customer_id = 'Detailed'"
    assert scope.warehouse.rows(sql) == [("Rome", "d@example.org")]
    assert len(activity(scope, "Detailed")) == 3
    assert logged(scope, person="detailed") == []


def test_a_server_makes_a_customer_and_an_app_does_not(scope: Scope, intake: Intake) -> None:
    details = {"ootb_email": "new@example.org"}
    filed(
        scope,
        intake,
        incoming("By-Server", "ootb_user_details_update", parameters=details),
        incoming("By-App", "ootb_user_details_update", origin="sdk", parameters=details),
        incoming("By-App", "set_email_event", origin="sdk", parameters={"email": "app@example.org"}),
    )
    assert attribute(scope, "By-Server", "EMAIL") == ("new@example.org",)
    assert attribute(scope, "By-App", "EMAIL") is None


def test_an_app_changes_no_details_of_a_customer(scope: Scope, intake: Intake) -> None:
    columns = ["customer_id", "EMAIL", "ALLOW_EMAIL", "CITY"]
    scope.warehouse.insert("customers", columns, [("Known", "known@example.org", "Yes", "Oslo")])
    details = {"ootb_email": "other@example.org", "ootb_allow_email": "No", "ootb_is_blocked": True, "ootb_city": "X"}
    filed(scope, intake, incoming("Known", "ootb_user_details_update", origin="sdk", parameters=details))
    names = ("EMAIL", "ALLOW_EMAIL", "IS_BLOCKED", "CITY")
    assert attribute(scope, "Known", *names) == ("known@example.org", "Yes", None, "Oslo")
    assert len(activity(scope, "Known")) == 1, "what happened is kept"


def test_an_app_may_be_kept_from_changing_customers(scope: Scope, intake: Intake) -> None:
    scope.warehouse.insert("customers", ["customer_id", "EMAIL"], [("Guarded", "old@example.org")])
    changed = update_tenant(scope, {"settings": {"events": {"apps_change_customers": False}}})
    email = {"parameters": {"email": "stolen@example.org"}}
    filed(changed, intake, incoming("Guarded", "set_email_event", origin="sdk", **email))
    assert attribute(scope, "Guarded", "EMAIL") == ("old@example.org",)
    update_tenant(scope, {"settings": {"events": None}})


def test_a_detail_that_cannot_be_is_warned_of_and_the_others_are_written(scope: Scope, intake: Intake) -> None:
    scope.warehouse.insert("customers", ["customer_id"], [("Half",)])
    details = {"ootb_date_of_birth": "long ago", "ootb_country": "NO"}
    filed(scope, intake, incoming("Half", "ootb_user_details_update", parameters=details))
    assert attribute(scope, "Half", "DATE_OF_BIRTH", "COUNTRY") == (None, "NO")
    (entry,) = logged(scope, person="half")
    assert (entry["status"], entry["reason"]) == ("warning", "DATE_OF_BIRTH cannot have this value")


def test_a_removed_person_stays_anonymous(scope: Scope, intake: Intake) -> None:
    scope.warehouse.insert("customers", ["customer_id", "EMAIL"], [("Removed-One", "r@example.org")])
    assert attribute_requests.remove_pii(scope, ["Removed-One"]) == []
    details = {"ootb_email": "back@example.org", "ootb_city": "Rome"}
    filed(
        scope,
        intake,
        incoming("Removed-One", "ootb_user_details_update", parameters=details),
        incoming("Removed-One", "signup", parameters={"email": "back@example.org", "plan": "gold"}),
    )
    assert attribute(scope, "Removed-One", "EMAIL", "CITY") == (None, "Rome")
    properties = [found for (found,) in activity(scope, "Removed-One", "properties")]
    assert properties == [{"ootb_city": "Rome"}, {"plan": "gold"}]
    idle(scope)


def test_a_metric_that_names_no_campaign_that_there_is_is_warned_of(scope: Scope, base_url: str) -> None:
    sender = Sender(base_url, scope)
    place = {"campaignId": 4711, "ChannelID": "505", "template_id": 11}
    batch = [
        metric(customer="Reporter", context=place),
        metric(customer="Reporter", event="seen", context=place),
        metric(customer="Reporter", context={"campaign": 1}),
        metric(customer="Reporter", context={"provider": "x"}),
    ]
    assert sender.vendor(batch).status_code == 200
    handle(scope)
    assert file_batch(scope, Names()) == 4
    reasons = sorted(one["reason"] for one in logged(scope, person="reporter") if "declared" not in one["reason"])
    assert reasons == [
        "A metric of a campaign must name its channel and template.",
        "CampaignID: there is no campaign 4711.",
        "The event's name does not say what the customer did.",
    ]
    assert len(activity(scope, "Reporter")) == 4
    sender.client.close()


# The filer and its chores.


def test_the_filer_files_for_every_tenant_and_only_one_of_two_does(scope: Scope, intake: Intake) -> None:
    other = create_tenant(scope.stores, f"other {time.time_ns()}")
    for one in (scope, other):
        intake.accept_now(one, [incoming("Everywhere")])
        handle(one)
    filers = [Filer(scope.stores), Filer(scope.stores)]
    for filer in filers:
        filer.start()
    deadline = time.monotonic() + 60
    while (stored(scope) or stored(other)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [filer.leader is not None and filer.leader.leads for filer in filers].count(True) == 1
    for filer in filers:
        filer.stop()
    assert len(activity(scope, "Everywhere")) == len(activity(other, "Everywhere")) == 1


@pytest.fixture
def clock(scope: Scope) -> Iterator[Any]:
    yield scope.stores.clock
    scope.stores.clock.set(None)


def test_what_is_too_old_is_dropped(scope: Scope, intake: Intake, clock: Any, api: httpx.Client) -> None:
    other = create_tenant(scope.stores, f"old {time.time_ns()}")

    def kept(table: str) -> int:
        with other.records() as session:
            sql = text(f"SELECT count(*) FROM {table} WHERE tenant_id = :t")
            return int(session.execute(sql, {"t": other.tenant_id}).scalar_one())

    def send() -> bool:
        event = incoming("Old", event_id="old-1", warnings=["odd"])
        return intake.accept_now(other, [event])[0].duplicate

    def purged() -> None:
        purge = Purge(scope.stores)
        while purge.portion():
            pass

    assert send() is False
    clock.set(datetime.now(UTC) + timedelta(days=7))
    purged()
    assert send() is True
    clock.set(datetime.now(UTC) + timedelta(days=9, hours=1))
    purged()
    assert (kept("event_keys"), kept("event_log")) == (0, 1)
    assert send() is False
    clock.set(datetime.now(UTC) + timedelta(days=31))
    purged()
    assert kept("event_log") == 1  # that of the ninth day
    assert kept("event_counts") == 3  # one status on each of three days
