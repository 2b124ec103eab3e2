"""Run by test_sms_killed: sends a campaign of text messages until it has ended, from where it was killed before.

usage: sms_killed.py DATA_DIR SETTINGS   (of the channel, JSON)
"""

import json
import sys
from pathlib import Path

from killed_runs import accounted, add_tenant, process_run, send

from rapport.channels import service as channels
from rapport.messaging import templates
from rapport.settings import Settings
from rapport.stores import open_stores

PEOPLE, BATCH, CHANNEL = 24, 8, 493
# Numbers that are kept for stories; the stand-ins know none that ends in 99.
NUMBERS = {f"c{n}": f"+4917139200{n:02d}" for n in range(1, PEOPLE)} | {"nobody": "+491713920099"}


def main(folder: Path, settings: str) -> None:
    """Send, and tell what became of it."""
    began = folder.exists()
    stores = open_stores(Settings(data_dir=folder, allow_private_addresses=True))
    if not began:
        rows = [list(row) for row in NUMBERS.items()]
        scope = add_tenant(stores, BATCH, ["customer_id", "MOBILE_NUMBER"], rows)
        channels.create_channel(scope, "Texts", "sms", id=CHANNEL, settings=json.loads(settings))
        templates.save_template(scope, CHANNEL, "Hello", text="Hi [%CUSTOMER_ID%]", id=1)
        process_run(scope, {"channel_id": CHANNEL, "template_id": 1})
    print(json.dumps(accounted(send(stores))))
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
