"""The scheduler: due things begin once, overdue ones are told."""

import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from campaign_tenant import (
    DATA_DATE,
    EXTERNAL,
    FILL,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_series,
    group,
    publish,
)

from rapport.access.scope import Scope
from rapport.campaigns import cycles, scheduler, tasks
from rapport.campaigns import service as campaigns


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Scope:
    for statement in FILL:
        scope.warehouse.execute(statement)
    add_channels(scope)
    add_group(scope, "Dutch", "NL")
    add_action(scope)
    add_series(scope, 1, [group(2, (EXTERNAL, 3), time="10:00")], rules={"include_all": True})
    return scope


def test_schedulers_at_once_start_one_cycle(tenant: Scope) -> None:
    day = TODAY + timedelta(days=20)
    tenant.clock.set(datetime(2026, 3, 31, 3, 59, tzinfo=UTC))
    assert scheduler.ready_at(tenant, day) == datetime(2026, 3, 31, 4, tzinfo=UTC)
    assert scheduler.due_cycle(tenant) is None
    tenant.clock.set(datetime(2026, 3, 31, 4, tzinfo=UTC))
    assert scheduler.due_cycle(tenant) is None  # the day has no data
    tenant.warehouse.insert(
        "transactions",
        ["transaction_id", "customer_id", "transaction_time", "amount"],
        [("late", "C00001", datetime(2026, 3, 30, 9, tzinfo=UTC), 10.0)],
    )
    assert scheduler.due_cycle(tenant) == day
    threads = [threading.Thread(target=scheduler.tick, args=(tenant,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.run for row in campaigns.cycles(tenant) if row.data_date == day] == [0]
    tasks.work.wait(cycles.key(tenant, day, 0))
    assert campaigns.cycle(tenant, day).state == "finished"
    assert scheduler.due_cycle(tenant) is None


def test_the_watchdog_tells_what_has_not_begun(tenant: Scope) -> None:
    tenant.clock.set(datetime(2026, 5, 2, 4, 31, tzinfo=UTC))
    publish(tenant, DATA_DATE)  # a tenant that had a cycle before
    said = scheduler.overdue(tenant)
    assert "The daily cycle of 2026-05-01 has not begun." in said
    tenant.clock.set(datetime(2026, 5, 2, 4, 29, tzinfo=UTC))
    assert "The daily cycle of 2026-05-01 has not begun." not in scheduler.overdue(tenant)


def test_due_sends_are_begun_by_the_thread(tenant: Scope) -> None:
    today = date(2026, 4, 2)
    tenant.clock.set(datetime(2026, 4, 2, 5, tzinfo=UTC))
    campaigns.run_cycle(tenant, today - timedelta(days=1))
    found = campaigns.occurrences(tenant, execution_date=today)[0]
    assert found.state == "scheduled"
    tenant.clock.set(datetime(2026, 4, 2, 8, 31, tzinfo=UTC))
    assert f"Campaign {found.id} on channel {EXTERNAL} has not begun to be sent." in scheduler.overdue(tenant)
    campaigns.start_scheduler(tenant.stores)
    try:
        ended = threading.Event()
        while scheduler.overdue(tenant) or campaigns.occurrence(tenant, found.id).state != "successful":
            ended.wait(0.05)
    finally:
        campaigns.stop_scheduler()
