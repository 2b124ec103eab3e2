"""Run by test_own_times_killed: sends a campaign at customers' own times, and dies when told to.

usage: own_times_killed.py DATA_DIR SMTP_PORT WRITES   (0: never dies)
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from campaign_tenant import DATA_DATE, NOW, TODAY, add_action, add_channels, add_group, add_series, outcomes, publish
from sqlalchemy.orm import Session

from rapport.access.scope import scope_of
from rapport.access.service import create_tenant, update_tenant
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.customers import attributes
from rapport.customers.attributes import AttributeInfo
from rapport.settings import Settings
from rapport.stores import Stores, open_stores
from rapport.stores.records import Records
from rapport.stores.warehouse import Database
from rapport.stores.workflows import work

ZONES = ["Asia/Tokyo", "Europe/Berlin", "America/New_York"]
PEOPLE = 18
# When the time of each zone has come; before it, nothing of it leaves.
TIMES = [datetime(2026, 3, 10, hour, minute, tzinfo=UTC) for hour, minute in ((7, 30), (9, 0), (14, 0))]


def begin(stores: Stores, port: int) -> None:
    """A tenant with a processed run to customers of three zones."""
    scope = create_tenant(stores, "Killed", "Europe/Berlin", "EUR")
    scope.clock.set(NOW)
    update_tenant(scope, {"settings": {"campaigns": {"batch_size": 4, "retry_delays": [0]}}})
    scope = scope_of(stores, scope.tenant_id)
    attributes.declare(scope, [AttributeInfo("TIMEZONE", "", "", "Nvarchar", "batch")])
    rows = [[DATA_DATE, f"c{n}", f"c{n}@example.com", "NL", ZONES[n % 3]] for n in range(PEOPLE)]
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "EMAIL", "COUNTRY", "TIMEZONE"], rows)
    publish(scope)
    add_channels(scope, port)
    add_group(scope, "Dutch", "NL")
    add_action(scope)
    channel = {"channel_id": 504, "template_id": 1, "send_time": "10:00", "send_time_zone": "customer"}
    series = add_series(scope, 1, [{"action_id": 2, "channels": [channel]}], control_share=0)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)


def die_after(writes: int) -> None:
    """Kill this process right after so many statements of the warehouse and transactions of the records."""
    count = 0

    def done() -> None:
        nonlocal count
        count += 1
        if count == writes:
            os.kill(os.getpid(), signal.SIGKILL)

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


def main(folder: Path, port: int, writes: int) -> None:
    """Send what is due at one time after the other, from that on at which an earlier process was killed."""
    reached, began = folder.parent / "reached", folder.exists()
    stores = open_stores(Settings(data_dir=folder, allow_private_addresses=True))
    if not began:
        begin(stores, port)
        reached.write_text("0")
    first = int(reached.read_text())
    stores.clock.set(TIMES[first])
    if writes:
        die_after(writes)
    stores.start_work()
    scope = scope_of(stores, 3001)
    for number in range(first, len(TIMES)):
        reached.write_text(str(number))
        stores.clock.set(TIMES[number])
        tasks.execute_due(scope)
    work.wait(f"send:3001:1:504:1:0:{len(TIMES) - 1}")  # what is resumed may still be ending
    print(json.dumps([occurrences.occurrence(scope, 1).state, [row[2] for row in outcomes(scope, 1)]]))
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
