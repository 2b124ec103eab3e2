"""Run by test_own_times_killed: sends a campaign at customers' own times, and dies when told to.

usage: own_times_killed.py DATA_DIR SMTP_PORT WRITES   (0: never dies)
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from campaign_tenant import add_channels
from killed_runs import CAMPAIGN, TENANT, accounted, add_tenant, die_after, process_run

from rapport.access.scope import scope_of
from rapport.campaigns.cycle import tasks
from rapport.customers.attributes import AttributeInfo
from rapport.settings import Settings
from rapport.stores import Stores, open_stores
from rapport.stores.workflows import work

ZONES = ["Asia/Tokyo", "Europe/Berlin", "America/New_York"]
PEOPLE = 18
TIME_ZONE = AttributeInfo("TIMEZONE", "", "", "Nvarchar", "batch")
# When the time of each zone has come; before it, nothing of it leaves.
TIMES = [datetime(2026, 3, 10, hour, minute, tzinfo=UTC) for hour, minute in ((7, 30), (9, 0), (14, 0))]


def begin(stores: Stores, port: int) -> None:
    """A tenant with a processed run to customers of three zones."""
    rows = [[f"c{n}", f"c{n}@example.com", ZONES[n % 3]] for n in range(PEOPLE)]
    scope = add_tenant(stores, 4, ["customer_id", "EMAIL", "TIMEZONE"], rows, [TIME_ZONE])
    add_channels(scope, port)
    channel = {"channel_id": 504, "template_id": 1, "send_time": "10:00", "send_time_zone": "customer"}
    process_run(scope, channel)


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
    scope = scope_of(stores, TENANT)
    for number in range(first, len(TIMES)):
        reached.write_text(str(number))
        stores.clock.set(TIMES[number])
        tasks.execute_due(scope)
    work.wait(f"send:{TENANT}:{CAMPAIGN}:504:1:0:{len(TIMES) - 1}")  # what is resumed may still be ending
    became = accounted(scope)
    print(json.dumps([became["state"], list(became["outcomes"].values())]))
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
