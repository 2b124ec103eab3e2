"""The schedule of all tenants: what is due when, in one statement, and none waits for another."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, update

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.access.service import create_tenant
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import cycles, measuring
from rapport.campaigns.cycle.agenda import Agenda, agendas
from rapport.campaigns.cycle.scheduler import Alarms, Scheduler
from rapport.campaigns.leases import lease
from rapport.campaigns.models import Cycle, Occurrence, OccurrenceChannel
from rapport.campaigns.states import CycleState, RunState
from rapport.customers.importing import imports
from rapport.delivery.models import OutboxMessage
from rapport.stores import Stores
from rapport.stores.workflows import work

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
TODAY, YESTERDAY = date(2026, 6, 10), date(2026, 6, 9)


@pytest.fixture
def tenant(stores: Stores, request: pytest.FixtureRequest) -> Iterator[Scope]:
    """A tenant of the test's own, in Auckland: twelve hours ahead in June."""
    made = create_tenant(stores, f"agenda of {request.node.name}", "Pacific/Auckland")
    stores.clock.set(NOON)
    yield made
    with stores.records.session() as session:  # nothing of it is due for the tests that follow
        for table in (OccurrenceChannel, Occurrence, Cycle):
            session.query(table).filter_by(tenant_id=made.tenant_id).delete()
    stores.clock.set(None)


def add_run(scope: Scope, number: int, state: str, send_time: datetime | None = None, **more: Any) -> None:
    """A run that was processed yesterday, sent on one channel at a wall-clock time when there is one."""
    values = {
        "execution_date": YESTERDAY,
        "campaign_type": "Test/Control",
        "duration": 1,
        "handed_over_at": NOON,
        **more,
    }
    with scope.records() as session:
        session.add(Occurrence(tenant_id=scope.tenant_id, id=number, series_id=number, state=state, **values | more))
        if send_time is not None:
            place = {"recipient_group_id": 1, "channel_id": 7, "template_id": 1, "action_id": 2}
            unit = OccurrenceChannel(tenant_id=scope.tenant_id, campaign_id=number, scheduled_time=send_time, **place)
            session.add(unit)


def add_cycle(scope: Scope, data_date: date, run: int, state: str) -> None:
    with scope.records() as session:
        session.add(
            Cycle(tenant_id=scope.tenant_id, data_date=data_date, run=run, state=state, steps=[], started_at=NOON)
        )


def agenda_of(scope: Scope) -> Agenda:
    return next(one for one in agendas(scope.stores) if one.scope.tenant_id == scope.tenant_id)


def test_what_is_due_of_a_tenant_and_when(tenant: Scope) -> None:
    # 12:00 UTC of June 10 is midnight of June 11 there; the day of June 10 is ready at the first 04:00 UTC after it.
    midnight = datetime(2026, 6, 10, 12, tzinfo=UTC)
    ready = datetime(2026, 6, 11, 4, tzinfo=UTC)
    assert agenda_of(tenant).data_date == TODAY
    assert agenda_of(tenant).due == {"cycle": ready}
    add_cycle(tenant, TODAY, 0, CycleState.FAILED)
    assert agenda_of(tenant).due == {"cycle": ready + timedelta(days=1)}
    add_cycle(tenant, TODAY, 1, CycleState.RUNNING)  # was perhaps not handed to a worker
    assert agenda_of(tenant).due == {"cycle": midnight}
    add_cycle(tenant, TODAY, 2, CycleState.FINISHED)
    add_run(tenant, 1, RunState.SCHEDULED, datetime(2026, 6, 12, 9))
    add_run(tenant, 2, RunState.EXECUTING, datetime(2026, 6, 11, 18, 30))
    add_run(tenant, 3, RunState.CANCELED, datetime(2026, 6, 11, 8))
    sends = datetime(2026, 6, 11, 6, 30, tzinfo=UTC)
    due = {"cycle": ready + timedelta(days=1), "sends": sends, "alarm": sends + timedelta(minutes=30)}
    assert agenda_of(tenant).due == due
    deadline = datetime(2026, 6, 10, 20, tzinfo=UTC)
    add_run(tenant, 4, RunState.AWAITING_CLEARANCE, clearance_by=deadline)
    assert agenda_of(tenant).due == due | {"sends": deadline, "alarm": deadline + timedelta(minutes=30)}
    add_run(tenant, 5, RunState.SCHEDULED, handed_over_at=None)
    assert agenda_of(tenant).due["sends"] < NOON - timedelta(days=365)


def test_a_day_that_has_not_begun_is_late(tenant: Scope) -> None:
    tenant.clock.set(datetime(2026, 6, 11, 4, 30, tzinfo=UTC))
    assert not agenda_of(tenant).is_late, "nobody waits for the days of a tenant that never had one"
    with tenant.records() as session:
        session.execute(update(Tenant).where(Tenant.id == tenant.tenant_id).values(last_data_date=YESTERDAY))
    found = agenda_of(tenant)
    assert found.is_late and found.due["alarm"] == datetime(2026, 6, 11, 4, 30, tzinfo=UTC)
    tenant.clock.set(datetime(2026, 6, 11, 4, 29, tzinfo=UTC))
    assert not agenda_of(tenant).is_late
    tenant.clock.set(datetime(2026, 6, 11, 5, tzinfo=UTC))
    add_cycle(tenant, TODAY, 0, CycleState.RUNNING)
    assert not agenda_of(tenant).is_late


@contextmanager
def statements(stores: Stores) -> Iterator[list[str]]:
    """What this thread asks the records meanwhile."""
    seen: list[str] = []
    mine = threading.get_ident()

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.get_ident() == mine:
            seen.append(statement)

    event.listen(stores.records.engine, "before_cursor_execute", note)
    yield seen
    event.remove(stores.records.engine, "before_cursor_execute", note)


def test_one_statement_tells_of_all_tenants(tenant: Scope) -> None:
    others = [create_tenant(tenant.stores, f"{number} of many") for number in range(3)]
    with statements(tenant.stores) as seen:
        found = agendas(tenant.stores)
    assert {one.tenant_id for one in (tenant, *others)} <= {one.scope.tenant_id for one in found}
    assert len(seen) == 1


def test_a_tenant_that_cannot_be_read_is_left_out(tenant: Scope) -> None:
    other = create_tenant(tenant.stores, "on another planet")
    of_other = update(Tenant).where(Tenant.id == other.tenant_id)
    with tenant.stores.records.session() as session:
        session.execute(of_other.values(time_zone="Mars/Base"))
    try:
        read = {one.scope.tenant_id for one in agendas(tenant.stores)}
    finally:
        with tenant.stores.records.session() as session:
            session.execute(of_other.values(time_zone="UTC"))
    assert tenant.tenant_id in read and other.tenant_id not in read


@contextmanager
def running(stores: Stores) -> Iterator[Scheduler]:
    made = Scheduler(stores)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def wait_for(scope: Scope, number: int, state: str) -> None:
    pause = threading.Event()
    while occurrences.occurrence(scope, number).state != state:
        pause.wait(0.05)


def test_a_slow_tenant_holds_up_no_other(tenant: Scope) -> None:
    other = create_tenant(tenant.stores, "behind a slow one")
    assert other.tenant_id > tenant.tenant_id
    for scope in (tenant, other):
        add_run(scope, 1, RunState.AWAITING_CLEARANCE, datetime(2026, 6, 12, 9), clearance_by=NOON - timedelta(hours=1))
    with ExitStack() as held:
        held.enter_context(lease(tenant, "clear/1"))  # its decision takes as long as this is held
        with running(tenant.stores):
            wait_for(other, 1, RunState.NOT_RUN)
            assert occurrences.occurrence(tenant, 1).state == RunState.AWAITING_CLEARANCE
            held.close()
            wait_for(tenant, 1, RunState.NOT_RUN)


def test_a_day_begins_as_soon_as_its_data_are_loaded(tenant: Scope, tmp_path: Path) -> None:
    tenant.clock.set(datetime(2026, 6, 11, 5, tzinfo=UTC))
    tenant.warehouse.insert("customers", ["customer_id"], [("K1",)])
    file = tmp_path / "transactions.csv"
    file.write_text("Transaction_ID,CustomerID,Transaction_Date,Amount\nT1,K1,2026-06-10 09:00:00,9.5\n")
    with running(tenant.stores) as begun:
        pause = threading.Event()
        while (tenant.tenant_id, "cycle") not in begun._rests:  # it was looked for data in vain
            pause.wait(0.02)
        assert cycles.state_of(tenant, TODAY) == ""
        assert imports.import_file(tenant, "transactions", file).loaded == 1
        while not cycles.state_of(tenant, TODAY):
            pause.wait(0.05)
    work.wait(cycles.key(tenant, TODAY, 0))
    assert cycles.state_of(tenant, TODAY) == CycleState.FINISHED


def test_an_alarm_is_given_again_after_a_quarter_of_an_hour_whatever_the_clock_says(tenant: Scope) -> None:
    with tenant.records() as session:
        session.execute(update(Tenant).where(Tenant.id == tenant.tenant_id).values(last_data_date=YESTERDAY))
    scope = scope_of(tenant.stores, tenant.tenant_id)
    passed = [0.0]
    alarms = Alarms(lambda: passed[0])

    def told() -> bool:
        before = dict(alarms._logged_at[scope.tenant_id])
        alarms.tell(scope)
        return alarms._logged_at[scope.tenant_id] != before

    scope.clock.set(datetime(2026, 6, 11, 6, tzinfo=UTC))
    assert told()
    passed[0] = 899.0
    assert not told()
    passed[0] = 900.0
    scope.clock.set(datetime(2026, 6, 11, 5, tzinfo=UTC))  # set back
    assert told()


def test_what_is_about_to_leave_is_counted(tenant: Scope, stores: Stores) -> None:
    before = measuring.pending_sends(stores)
    add_run(tenant, 1, RunState.SCHEDULED, NOON)
    add_run(tenant, 2, RunState.EXECUTING, NOON)
    add_run(tenant, 3, RunState.CANCELED, NOON)
    with tenant.records() as session:
        of_tenant = OccurrenceChannel.tenant_id == tenant.tenant_id
        session.execute(update(OccurrenceChannel).where(of_tenant).values(recipients=10))
        executing = of_tenant & (OccurrenceChannel.campaign_id == 2)
        session.execute(update(OccurrenceChannel).where(executing).values(state=RunState.EXECUTING))
        of_run = {"source": "run", "source_id": 2, "template_id": 1, "action_id": 2, "batch": 1}
        place = {"tenant_id": tenant.tenant_id, "channel_id": 7, "recipient_group_id": 1, **of_run}
        for customer_id, state in (("A", "sent"), ("B", "failed"), ("C", "pending")):
            session.add(OutboxMessage(**place, customer_id=customer_id, message_id=customer_id, state=state))
    now = measuring.pending_sends(stores)
    assert now.messages - before.messages == 10 + 8
    named = {f"{tenant.tenant_id}/{number}" for number in (1, 2)}
    assert {one for one in now.campaigns if one.startswith(f"{tenant.tenant_id}/")} == named
    assert now.open_campaigns - before.open_campaigns == 2
