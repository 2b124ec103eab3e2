"""Run by test_stored_messages_killed: sends a campaign whose messages Rapport keeps itself, and dies when told to.

usage: stored_messages_killed.py DATA_DIR KIND STORED
(dies right after the message was stored that is in the so many-th part; 0: never)
"""

import json
import sys
from pathlib import Path
from typing import Any

from killed_runs import accounted, add_tenant, counting, die, process_run, send
from sqlalchemy import text

from rapport.channels import service as channels
from rapport.channels.kinds import in_app, inbox
from rapport.messaging import templates
from rapport.settings import Settings
from rapport.stores import Stores, open_stores

PEOPLE, BATCH, CHANNEL = 12, 4, 495
# The settings of a channel of each kind, what its template says, and who has its messages.
SETTINGS: dict[str, dict[str, Any]] = {"inbox": {}, "web_popup": {}, "in_app": {"requires_consent": False}}
TEMPLATES: dict[str, dict[str, Any]] = {
    "inbox": {"subject": "Hi"},
    "web_popup": {"html": "<p>Hi</p>"},
    "in_app": {"details": {"presented_when": "next-open", "content": {"title": "Hi"}}},
}
INBOXES = "SELECT person FROM inbox_messages ORDER BY person"
IN_APPS = "SELECT customer_key FROM in_app_messages ORDER BY customer_key"


def begin(stores: Stores, kind: str) -> None:
    """A tenant with a processed run to a channel of the kind."""
    scope = add_tenant(stores, BATCH, ["customer_id"], [[f"c{n}"] for n in range(PEOPLE)])
    channels.create_channel(scope, "Kept", kind, id=CHANNEL, settings=SETTINGS[kind])
    templates.save_template(scope, CHANNEL, "Hello", id=1, **TEMPLATES[kind])
    process_run(scope, {"channel_id": CHANNEL, "template_id": 1})


def die_after_storing(kind: str, parts: int) -> None:
    """Kill this process as soon as so many parts of the run are stored, and before that is entered anywhere else."""
    transport: Any = in_app.InAppTransport if kind == "in_app" else inbox.InboxTransport
    done, send_many = counting(parts, die), transport.send_many

    def sent(self: Any, messages: Any) -> Any:
        for receipts in send_many(self, messages):
            done()
            yield receipts

    transport.send_many = sent


def main(folder: Path, kind: str, parts: int) -> None:
    """Send what is due, from where an earlier process was killed."""
    began = folder.exists()
    stores = open_stores(Settings(data_dir=folder, allow_private_addresses=True))
    if not began:
        begin(stores, kind)
    if parts:
        die_after_storing(kind, parts)
    scope = send(stores)
    with scope.reads() as session:
        stored = list(session.scalars(text(IN_APPS if kind == "in_app" else INBOXES)))
    became = accounted(scope)
    print(json.dumps([became["state"], list(became["outcomes"].values()), stored]))
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
