"""What programs have in common that send a campaign and are killed meanwhile: their tenant, its run, how they die."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from campaign_tenant import DATA_DATE, NOW, TODAY, add_action, add_group, add_series, outcomes, publish
from sqlalchemy.orm import Session

from rapport.access.scope import Scope, scope_of
from rapport.access.service import create_tenant, update_tenant
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.campaigns.states import RunState
from rapport.customers import attributes
from rapport.customers.attributes import AttributeInfo
from rapport.stores import Stores
from rapport.stores.records import Records
from rapport.stores.warehouse import Database

TENANT, CAMPAIGN = 3001, 1
DUE = NOW.replace(hour=9)


def add_tenant(
    stores: Stores, batch_size: int, columns: list[str], rows: list[list[Any]], declared: Sequence[AttributeInfo] = ()
) -> Scope:
    """A tenant with these profiles of Dutch people, and attributes that it has declared."""
    scope = create_tenant(stores, "Killed", "Europe/Berlin", "EUR")
    scope.clock.set(NOW)
    update_tenant(scope, {"settings": {"campaigns": {"batch_size": batch_size, "retry_delays": [0]}}})
    attributes.declare(scope, declared)
    profiles = [[DATA_DATE, "NL", *row] for row in rows]
    scope.warehouse.insert("profiles", ["data_date", "COUNTRY", *columns], profiles)
    publish(scope)
    return scope_of(stores, scope.tenant_id)


def process_run(scope: Scope, channel: dict[str, Any]) -> None:
    """A processed run of CAMPAIGN to all of them on a channel."""
    add_group(scope, "Dutch", "NL")
    action = add_action(scope).id
    series = add_series(scope, 1, [{"action_id": action, "channels": [channel]}], control_share=0)
    number = plan_next_run(scope, series.id, TODAY)
    assert number == CAMPAIGN
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)


def send(stores: Stores) -> Scope:
    """Send what is due, from where an earlier process was killed, until the campaign has ended."""
    stores.clock.set(DUE)
    stores.start_work()
    scope = scope_of(stores, TENANT)
    tasks.execute_due(scope)
    while occurrences.occurrence(scope, CAMPAIGN).state in (RunState.SCHEDULED, RunState.EXECUTING):
        time.sleep(0.02)  # what is resumed may still be ending
    return scope


def accounted(scope: Scope) -> dict[str, Any]:
    """The state of the campaign, its counts, and the outcome of each customer."""
    campaign = occurrences.occurrence(scope, CAMPAIGN)
    became = {row[0]: row[2] for row in outcomes(scope, CAMPAIGN)}
    return {"state": campaign.state, "targeted": campaign.targeted, "counts": campaign.counts, "outcomes": became}


def die() -> None:
    """Kill this process, as an operating system without memory does."""
    os.kill(os.getpid(), signal.SIGKILL)


def counting(most: int, then: Callable[[], None]) -> Callable[[], None]:
    """A function that does something when it is called for the so many-th time."""
    count = 0

    def called() -> None:
        nonlocal count
        count += 1
        if count == most:
            then()

    return called


def die_after(writes: int) -> None:
    """Kill this process right after so many statements of the warehouse and transactions of the records."""
    done = counting(writes, die)
    execute, insert, session = Database.execute, Database.insert, Records.session

    def executed(self: Database, *args: object, **bound: object) -> None:
        execute(self, *args, **bound)  # type: ignore[arg-type]
        done()

    def inserted(self: Database, *args: object) -> None:
        insert(self, *args)  # type: ignore[arg-type]
        done()

    @contextmanager
    def committed(self: Records) -> Iterator[Session]:
        with session(self) as held:
            yield held
        done()

    Database.execute, Database.insert, Records.session = executed, inserted, committed  # type: ignore[method-assign, assignment]
