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
    add_profiles,
    add_series,
    customer,
    group,
    outcomes,
    publish,
    tally,
)

from rapport.access.scope import Scope
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import cycles, daily, scheduler, tasks
from rapport.campaigns.cycle import cycles as campaign_cycles
from rapport.campaigns.cycle.scheduler import Scheduler
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import by_hand, processing
from rapport.channels.messages import MESSAGES
from rapport.stores.workers.base import running


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
    threads = [threading.Thread(target=scheduler.begin_cycle, args=(tenant,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.run for row in campaign_cycles.cycles(tenant) if row.data_date == day] == [0]
    tasks.work.wait(cycles.key(tenant, day, 0))
    assert campaign_cycles.result(tenant, day).state == "finished"
    assert scheduler.due_cycle(tenant) is None


def test_the_watchdog_tells_what_has_not_begun(tenant: Scope) -> None:
    tenant.clock.set(datetime(2026, 5, 2, 4, 31, tzinfo=UTC))
    publish(tenant, DATA_DATE)  # a tenant that had a cycle before
    said = scheduler.overdue(tenant)
    assert "The daily cycle of 2026-05-01 has not begun." in said
    tenant.clock.set(datetime(2026, 5, 2, 4, 29, tzinfo=UTC))
    assert "The daily cycle of 2026-05-01 has not begun." not in scheduler.overdue(tenant)


def test_a_run_by_hand_is_not_late_before_it_was_there(tenant: Scope) -> None:
    """Its time of sending may be hours ago: since then it has only been waited for from its processing on."""
    day = date(2026, 6, 2)
    tenant.clock.set(datetime(2026, 6, 2, 12, tzinfo=UTC))
    midnight = add_series(
        tenant,
        1,
        [group(2, (EXTERNAL, 3), time="00:00")],
        rules={"include_all": True},
        schedule={"kind": "once", "start_date": "2026-01-01"},
    )
    add_profiles(tenant, [customer(number) for number in range(3)], day - timedelta(days=1))
    number = plan_next_run(tenant, midnight.id, day)
    processing.prepare_members(tenant, number, day - timedelta(days=1))
    assert processing.process(tenant, number, day - timedelta(days=1)) == "scheduled"
    (row,) = occurrences.channel_rows(tenant, number)
    assert row.scheduled_time == datetime(2026, 6, 2)
    said = f"Campaign {number} on channel {EXTERNAL} has not begun to be sent."
    assert said not in scheduler.overdue(tenant)
    tenant.clock.set(datetime(2026, 6, 2, 12, 29, tzinfo=UTC))
    assert said not in scheduler.overdue(tenant)
    tenant.clock.set(datetime(2026, 6, 2, 12, 30, tzinfo=UTC))
    assert said in scheduler.overdue(tenant)
    by_hand.cancel(tenant, number)
    assert said not in scheduler.overdue(tenant)


def sent(tenant: Scope) -> int:
    """How many were written to until now, by all runs."""
    return sum(tally(outcomes(tenant, run.id)).get("sent", 0) for run in occurrences.occurrences(tenant))


def test_due_sends_are_begun_by_the_thread(tenant: Scope) -> None:
    today = date(2026, 4, 2)
    tenant.clock.set(datetime(2026, 4, 2, 5, tzinfo=UTC))
    daily.run_cycle(tenant, today - timedelta(days=1))
    found = occurrences.occurrences(tenant, execution_date=today)[0]
    assert found.state == "scheduled"
    tenant.clock.set(datetime(2026, 4, 2, 8, 31, tzinfo=UTC))
    assert f"Campaign {found.id} on channel {EXTERNAL} has not begun to be sent." in scheduler.overdue(tenant)
    listed = MESSAGES.labels("external", "sent")
    counted, before = listed._value.get(), sent(tenant)
    with running(Scheduler(tenant.stores)):
        ended = threading.Event()
        while scheduler.overdue(tenant) or occurrences.occurrence(tenant, found.id).state != "successful":
            ended.wait(0.05)
    assert sent(tenant) > before
    while listed._value.get() - counted < sent(tenant) - before:  # other tenants of this process are counted, too
        ended.wait(0.05)
