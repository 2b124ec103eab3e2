"""Writes of customers through the API are carried out in the order in which they were acknowledged."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.customers import attributes, changes
from rapport.customers.attributes import AttributeInfo
from rapport.customers.importing import imports
from rapport.customers.models import AttributeJob
from rapport.customers.privacy import anonymisation
from rapport.customers.writes import attribute_requests, attribute_writes, locks, ordering
from rapport.customers.writes.writer import Writer
from rapport.errors import Away
from rapport.stores.records.locks import Lock

quick = settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
PEOPLE = ["Ann", "bob", "Cyd"]
NAMES = ["POINTS", "TIER", "ALLOW_EMAIL"]
OWN = ["POINTS", "TIER"]
Write = tuple[str, str, str]  # customer, attribute, value


@pytest.fixture(scope="module", autouse=True)
def people(scope: Scope) -> None:
    infos = [AttributeInfo(name, "", "", "Nvarchar", "batch", api_updatable=True) for name in (*OWN, "SHARED")]
    attributes.declare(scope, infos)
    rows = [(name, date(2024, 2, 17), "Norway") for name in PEOPLE]
    scope.warehouse.insert("customers", ["customer_id", "REGISTRATION_DATE", "COUNTRY"], rows)


def update(api: httpx.Client, *writes: Write) -> None:
    items = [
        {"CustomerID": customer, "Attributes": [{"RealFieldName": name, "Value": value}]}
        for customer, name, value in writes
    ]
    body = {"CustomerNewAttributesValuesList": items}
    answer = api.post("/current/customers/UpdateCustomerAttributes", json=body)
    assert answer.status_code == 200, answer.text


def upsert(api: httpx.Client, *writes: Write) -> None:
    customer = writes[0][0]
    given = [{"RealFieldName": name, "Value": value} for _, name, value in writes]
    answer = api.put("/Customers/UpsertCustomer", json={"CustomerId": customer, "Attributes": given})
    assert answer.json() == {"isSuccess": True, "errors": []}, answer.text


CALLS: dict[str, Callable[..., None]] = {"update": update, "upsert": upsert}


def settled(scope: Scope) -> None:
    """Wait until nothing is in line."""
    mine = select(AttributeJob.id).where(AttributeJob.tenant_id == scope.tenant_id, AttributeJob.finished_at.is_(None))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with scope.records() as session:
            if session.scalar(mine.limit(1)) is None:
                return
        time.sleep(0.02)
    raise AssertionError("writes are still in line")


def value(scope: Scope, customer: str, name: str) -> Any:
    sql = f"SELECT {name} FROM customers WHERE lowerUTF8(customer_id) = lowerUTF8({{id:String}})"
    return scope.warehouse.value(sql, id=customer)


def expected(writes: Sequence[Write]) -> dict[tuple[str, str], str]:
    return {(customer, name): value for customer, name, value in writes}


calls = st.lists(
    st.tuples(st.sampled_from(list(CALLS)), st.sampled_from(PEOPLE), st.sampled_from(NAMES)), min_size=2, max_size=12
)


@quick
@given(some=calls, pauses=st.lists(st.sampled_from([0.0, 0.0, 0.05]), min_size=12, max_size=12))
def test_of_calls_one_after_the_other_the_last_stays(
    api: httpx.Client, scope: Scope, some: list[tuple[str, str, str]], pauses: list[float]
) -> None:
    writes = []
    for number, ((kind, customer, name), pause) in enumerate(zip(some, pauses, strict=False)):
        given = "Yes" if name == "ALLOW_EMAIL" and number % 2 else "No" if name == "ALLOW_EMAIL" else f"v{number}"
        writes.append((customer, name, given))
        CALLS[kind](api, writes[-1])
        time.sleep(pause)
    settled(scope)
    assert {key: value(scope, *key) for key in expected(writes)} == expected(writes)


@quick
@given(threads=st.integers(2, 4), rounds=st.integers(2, 6), kinds=st.lists(st.sampled_from(list(CALLS)), min_size=24))
def test_of_calls_side_by_side_each_sender_keeps_its_order(
    api: httpx.Client, scope: Scope, threads: int, rounds: int, kinds: list[str]
) -> None:
    """Every sender writes an attribute of its own, one call after the other; and all of Ann's one that they share."""

    def send(number: int) -> None:
        for turn in range(rounds):
            customer, given = PEOPLE[number % 3], f"{number}.{turn}"
            shared = [(customer, "SHARED", given)] if customer == "Ann" else []
            CALLS[kinds[number * rounds + turn]](api, (customer, OWN[number // 3], given), *shared)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(send, range(threads)))
    settled(scope)
    last = f".{rounds - 1}"
    for number in range(threads):
        assert value(scope, PEOPLE[number % 3], OWN[number // 3]) == f"{number}{last}"
    assert value(scope, "Ann", "SHARED").endswith(last)


def test_numbers_are_in_order_of_commits(scope: Scope) -> None:
    """Who begins to be accepted while another is waits for the other's commit, and is numbered after it."""
    other = create_tenant(scope.stores, f"numbers-{time.time_ns()}")
    done: list[str] = []

    def second() -> None:
        with other.records() as session:
            done.append(ordering.accept(session, other.tenant_id, other.clock.now(), "update", {"items": []}))

    with locks.writing(other):  # nobody carries out meanwhile
        with other.records() as session:
            first = ordering.accept(session, other.tenant_id, other.clock.now(), "update", {"items": []})
            thread = threading.Thread(target=second)
            thread.start()
            blocked = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND objid = :tenant AND classid = :lock")
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with scope.stores.records.reading() as connection:
                    if connection.scalar(blocked, {"tenant": other.tenant_id, "lock": Lock.WRITES_AND_EVENT_TYPES}):
                        break
                time.sleep(0.01)
            assert not done
        thread.join()
        mine = select(AttributeJob).where(AttributeJob.tenant_id == other.tenant_id).order_by(AttributeJob.seq)
        with other.records() as session:
            assert [job.id for job in session.scalars(mine)] == [first, *done]


def test_an_upsert_is_newer_than_what_was_accepted_before(api: httpx.Client, scope: Scope) -> None:
    for turn in range(5):
        update(api, ("Ann", "ALLOW_EMAIL", "Yes"), ("bob", "POINTS", f"{turn}"))
        upsert(api, ("Ann", "ALLOW_EMAIL", "No"))
        assert (value(scope, "Ann", "ALLOW_EMAIL"), value(scope, "bob", "POINTS")) == ("No", f"{turn}")
    settled(scope)
    assert value(scope, "Ann", "ALLOW_EMAIL") == "No"


def test_an_update_after_an_upsert_is_newer(api: httpx.Client, scope: Scope) -> None:
    upsert(api, ("New1", "POINTS", "1"))
    update(api, ("NEW1", "POINTS", "2"))
    settled(scope)
    assert value(scope, "New1", "POINTS") == "2"


def test_a_new_attribute_can_be_written_at_once(api: httpx.Client, scope: Scope) -> None:
    for number in range(3):
        new = {"Name": f"SHADE_{number}", "Type": "NVARCHAR(20)", "DefaultValue": "grey"}
        assert api.post("/current/customers/AddCustomerAttribute", json=new).status_code == 200
        update(api, ("Cyd", f"SHADE_{number}", "red"))
    settled(scope)
    for number in range(3):
        assert [value(scope, who, f"SHADE_{number}") for who in ("Cyd", "Ann")] == ["red", "grey"]


def test_of_one_call_the_last_value_of_an_attribute_stays(api: httpx.Client, scope: Scope) -> None:
    update(api, *(("Ann", "POINTS", str(number)) for number in range(20)))
    settled(scope)
    assert value(scope, "Ann", "POINTS") == "19"


def test_an_import_is_newer_than_what_was_accepted_before(api: httpx.Client, scope: Scope, tmp_path: Path) -> None:
    """Values in line when the file takes its place are older than it; those that are acknowledged after are newer."""
    path = tmp_path / "customers.csv"
    path.write_text("Customer_ID,POINTS\nAnn,file\nbob,file\n")
    with locks.writing(scope):  # as a long write of another: what is accepted waits
        update(api, ("Ann", "POINTS", "old"), ("Cyd", "POINTS", "old"))
    imports.import_file(scope, "customers", path, None, "incremental", allow_rejects=False)
    assert [value(scope, who, "POINTS") for who in PEOPLE] == ["file", "file", "old"]
    update(api, ("bob", "POINTS", "new"))
    settled(scope)
    assert [value(scope, who, "POINTS") for who in PEOPLE] == ["file", "new", "old"]


def test_calls_and_files_side_by_side_lose_nothing_to_what_is_older(
    api: httpx.Client, scope: Scope, tmp_path: Path
) -> None:
    """Each sender writes an attribute of its own and one that all share, of everybody, and is answered each time."""
    answered: list[tuple[float, float, str]] = []

    def load(*writes: Write) -> None:
        path = tmp_path / f"{writes[0][2]}.csv"
        rows = "".join(f"{who},{given},{given}\n" for who, name, given in writes if name == "SHARED")
        path.write_text(f"Customer_ID,COUNTRY,SHARED\n{rows}")
        assert imports.import_file(scope, "customers", path).loaded == len(PEOPLE)

    def put(*writes: Write) -> None:
        for who in PEOPLE:
            upsert(api, *(one for one in writes if one[0] == who))

    senders: dict[str, tuple[Callable[..., None], int]] = {
        "POINTS": (partial(update, api), 6),
        "TIER": (put, 3),
        "COUNTRY": (load, 2),
    }

    def send(name: str) -> None:
        call, rounds = senders[name]
        for turn in range(rounds):
            given, began = f"{name}-{turn}", time.monotonic()
            call(*((who, at, given) for who in PEOPLE for at in (name, "SHARED")))
            answered.append((began, time.monotonic(), given))

    with ThreadPoolExecutor(len(senders)) as pool:
        list(pool.map(send, senders))
    settled(scope)
    for who in PEOPLE:
        assert {at: value(scope, who, at) for at in senders} == {at: f"{at}-{n - 1}" for at, (_, n) in senders.items()}
        stays = str(value(scope, who, "SHARED"))
        ended = next(end for _, end, given in answered if given == stays)
        assert not [given for began, _, given in answered if began > ended]


def test_who_is_anonymised_meanwhile_stays_so(api: httpx.Client, scope: Scope) -> None:
    changes.change_attribute(scope, "EMAIL", {"api_updatable": True})
    upsert(api, ("Gone", "EMAIL", "gone@example.com"))
    with locks.writing(scope):
        update(api, ("Gone", "EMAIL", "back@example.com"), ("Gone", "POINTS", "7"))
    assert api.post("/current/customers/RemoveCustomerPII", json={"CustomerIDs": ["gone"]}).status_code == 200
    settled(scope)
    assert (value(scope, "Gone", "EMAIL"), value(scope, "Gone", "POINTS")) == (None, "7")


@pytest.fixture
def other(scope: Scope) -> Iterator[Scope]:
    yield create_tenant(scope.stores, f"other-{time.time_ns()}")


def test_a_tenant_whose_tables_are_held_holds_up_no_other(scope: Scope, other: Scope) -> None:
    """However many of its writes wait."""
    with locks.writing(scope):
        for number in range(12):
            items = [{"customer": "Ann", "values": [["POINTS", str(number)]]}]
            attribute_requests.update_attributes(scope, items, None)
        attribute_requests.upsert(other, "Z", [["COUNTRY", "Norway"]], None)
        changes.change_attribute(other, "COUNTRY", {"api_updatable": True})
        attribute_requests.update_attributes(other, [{"customer": "Z", "values": [["COUNTRY", "Peru"]]}], None)
        settled(other)
        assert value(other, "Z", "COUNTRY") == "Peru"
    settled(scope)
    assert value(scope, "Ann", "POINTS") == "11"


def test_one_write_that_cannot_be_carried_out_does_not_end_the_line(scope: Scope, other: Scope) -> None:
    attribute_requests.upsert(other, "Z", [], None)
    changes.change_attribute(other, "COUNTRY", {"api_updatable": True})
    with locks.writing(other), other.records() as session:
        ordering.accept(session, other.tenant_id, other.clock.now(), "of a later release", {"items": []})
    attribute_requests.update_attributes(other, [{"customer": "Z", "values": [["COUNTRY", "Peru"]]}], None)
    settled(other)
    assert value(other, "Z", "COUNTRY") == "Peru"


def lose_lock(scope: Scope) -> None:
    """End the session that holds the tenant's tables of customers, as an outage of the records does."""
    holder = text("""
        SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
        WHERE locktype = 'advisory' AND classid = :lock AND objid = :tenant_id AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """)
    with scope.stores.records.reading() as connection:
        assert connection.execute(holder, {"lock": Lock.CUSTOMER_WRITES, "tenant_id": scope.tenant_id}).scalars().all()


def test_a_write_whose_lock_was_lost_is_carried_out_again(other: Scope) -> None:
    """Another process may have built the table that it puts in place before the write."""
    carried = []

    def carry_out(scope: Scope, jobs: Sequence[AttributeJob]) -> list[dict[str, Any] | None]:
        carried.append([job.payload for job in jobs])
        if len(carried) == 1:
            lose_lock(scope)
        return [{"isSuccess": True, "requestId": job.id} for job in jobs]

    ordering.register_handler("whose lock is lost", carry_out)
    with pytest.raises(Away), locks.writing(other):
        with other.records() as session:
            ordering.accept(session, other.tenant_id, other.clock.now(), "whose lock is lost", {"items": []})
        ordering.carry_out(other)
    with ordering.writing(other):
        assert carried == [[{"items": []}], [{"items": []}]]


def test_a_single_write_whose_lock_was_lost_is_not_answered(other: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    write = attribute_writes.upsert_customer

    def lost(*arguments: Any) -> Any:
        faults = write(*arguments)
        lose_lock(other)
        return faults

    monkeypatch.setattr(attribute_writes, "upsert_customer", lost)
    with pytest.raises(Away):
        attribute_requests.upsert(other, "Z", [["COUNTRY", "Norway"]], None)


def test_an_erasure_whose_lock_was_lost_puts_no_table_in_place(other: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    attribute_requests.upsert(other, "Z", [["COUNTRY", "Norway"]], None)
    anonymisation.remember(other, ["Z"])
    clean = anonymisation._clean

    def lost(scope: Scope, table: str) -> None:
        lose_lock(scope)
        clean(scope, table)

    place = "SELECT uuid FROM system.tables WHERE database = currentDatabase() AND name = 'customers'"
    before = other.warehouse.value(place)
    with monkeypatch.context() as patch, pytest.raises(Away):
        patch.setattr(anonymisation, "_clean", lost)
        anonymisation.rewrite(other)
    assert other.warehouse.value(place) == before
    anonymisation.rewrite(other)
    assert other.warehouse.value(place) != before


def test_a_tenant_that_is_gone_is_not_looked_at_again_and_again(scope: Scope) -> None:
    writer = Writer(scope.stores)
    writer.carry_out(2_000_000_000)
    writer.round([])  # here, where its own thread has not taken it yet
    writer.stop()
    assert writer.round([]) is None
