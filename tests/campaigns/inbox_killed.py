"""Run by test_inbox_killed: sends a campaign to inboxes, and dies when told to.

usage: inbox_killed.py DATA_DIR STORED   (dies right after the message was stored that is the so many-th part; 0: never)
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from killed_runs import accounted, add_tenant, counting, die, process_run, send
from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.channels.kinds import inbox
from rapport.inbox.storing import NewMessage, store
from rapport.messaging import templates
from rapport.settings import Settings
from rapport.stores import Stores, open_stores

PEOPLE, BATCH, CHANNEL = 12, 4, 495


def begin(stores: Stores) -> None:
    """A tenant with a processed run to an inbox channel."""
    scope = add_tenant(stores, BATCH, ["customer_id"], [[f"c{n}"] for n in range(PEOPLE)])
    channels.create_channel(scope, "Inbox", "inbox", id=CHANNEL)
    templates.save_template(scope, CHANNEL, "Hello", "Hi", id=1)
    process_run(scope, {"channel_id": CHANNEL, "template_id": 1})


def die_after_storing(parts: int) -> None:
    """Kill this process as soon as so many parts of the run are stored, and before that is entered anywhere else."""
    done = counting(parts, die)

    def stored(scope: Scope, messages: Sequence[NewMessage]) -> None:
        store(scope, messages)
        done()

    inbox.store = stored  # type: ignore[attr-defined]


def main(folder: Path, parts: int) -> None:
    """Send what is due, from where an earlier process was killed."""
    began = folder.exists()
    stores = open_stores(Settings(data_dir=folder, allow_private_addresses=True))
    if not began:
        begin(stores)
    if parts:
        die_after_storing(parts)
    scope = send(stores)
    with scope.reads() as session:
        stored = list(session.scalars(text("SELECT person FROM inbox_messages ORDER BY person")))
    became = accounted(scope)
    print(json.dumps([became["state"], list(became["outcomes"].values()), stored]))
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
