"""Run by test_inbox_killed: sends a campaign to inboxes, and dies when told to.

usage: inbox_killed.py DATA_DIR STORED   (dies right after the message was stored that is the so many-th part; 0: never)
"""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from campaign_tenant import DATA_DATE, NOW, TODAY, add_action, add_group, add_series, group, outcomes, publish
from sqlalchemy import text

from rapport.access.scope import Scope, scope_of
from rapport.access.service import create_tenant, update_tenant
from rapport.campaigns import occurrences
from rapport.campaigns.cycle import tasks
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.campaigns.states import RunState
from rapport.channels import service as channels
from rapport.channels.kinds import inbox
from rapport.inbox.storing import NewMessage, store
from rapport.messaging import templates
from rapport.settings import Settings
from rapport.stores import Stores, open_stores

PEOPLE, BATCH, CHANNEL = 12, 4, 495


def begin(stores: Stores) -> None:
    """A tenant with a processed run to an inbox channel."""
    scope = create_tenant(stores, "Killed", "Europe/Berlin", "EUR")
    scope.clock.set(NOW)
    update_tenant(scope, {"settings": {"campaigns": {"batch_size": BATCH, "retry_delays": [0]}}})
    scope = scope_of(stores, scope.tenant_id)
    rows = [[DATA_DATE, f"c{n}", "NL"] for n in range(PEOPLE)]
    scope.warehouse.insert("profiles", ["data_date", "customer_id", "COUNTRY"], rows)
    publish(scope)
    channels.create_channel(scope, "Inbox", "inbox", id=CHANNEL)
    templates.save_template(scope, CHANNEL, "Hello", "Hi", id=1)
    add_group(scope, "Dutch", "NL")
    series = add_series(scope, 1, [group(add_action(scope).id, (CHANNEL, 1))], control_share=0)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)


def die_after(parts: int) -> None:
    """Kill this process as soon as so many parts of the run are stored, and before that is entered anywhere else."""
    count = 0

    def stored(scope: Scope, messages: Sequence[NewMessage]) -> None:
        nonlocal count
        store(scope, messages)
        count += 1
        if count == parts:
            os.kill(os.getpid(), signal.SIGKILL)

    inbox.store = stored  # type: ignore[attr-defined]


def main(folder: Path, parts: int) -> None:
    """Send what is due, from where an earlier process was killed."""
    began = folder.exists()
    stores = open_stores(Settings(data_dir=folder, allow_private_addresses=True))
    if not began:
        begin(stores)
    stores.clock.set(NOW.replace(hour=9))
    if parts:
        die_after(parts)
    stores.start_work()
    scope = scope_of(stores, 3001)
    tasks.execute_due(scope)
    while occurrences.occurrence(scope, 1).state in (RunState.SCHEDULED, RunState.EXECUTING):
        time.sleep(0.02)  # what is resumed may still be ending
    with scope.reads() as session:
        stored = list(session.scalars(text("SELECT person FROM inbox_messages ORDER BY person")))
    print(json.dumps([occurrences.occurrence(scope, 1).state, [row[2] for row in outcomes(scope, 1)], stored]))
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
