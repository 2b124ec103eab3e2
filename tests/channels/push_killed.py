"""Run by test_push_run_killed: sends a campaign of push messages, from where an earlier process was killed.

usage: push_killed.py DATA_DIR APNS_URL FCM_URL
"""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "campaigns"))

from killed_runs import accounted, add_tenant, process_run, send
from push_tenant import add_app, add_channel, add_install

from rapport.apps.states import TokenType
from rapport.messaging import templates
from rapport.settings import Settings
from rapport.stores import Stores, open_stores

APPLE, ANDROID = [f"a{n:02}" for n in range(24)], [f"g{n:02}" for n in range(14)]
WITHOUT, BATCH = ["nobody"], 10
PEOPLE = [*APPLE, *ANDROID, *WITHOUT]


def begin(stores: Stores) -> None:
    """A tenant with a processed run to a push channel."""
    scope = add_tenant(stores, BATCH, ["customer_id"], [[person] for person in PEOPLE])
    app_id, channel = add_app(scope), add_channel(scope, timeout_seconds=60)
    for customer_id in APPLE:
        add_install(scope, app_id, customer_id, f"{customer_id}ff")
    for customer_id in ANDROID:
        add_install(scope, app_id, customer_id, customer_id, TokenType.FCM)
    templates.save_template(scope, channel.id, "Hello", "Hi", "", "There", id=1)
    process_run(scope, {"channel_id": channel.id, "template_id": 1})


def main(folder: Path, apns_url: str, fcm_url: str) -> None:
    """Send what is due, from where an earlier process was killed."""
    began, urls = folder.exists(), {"fcm_url": fcm_url, "fcm_token_url": f"{fcm_url}/token"}
    stores = open_stores(Settings(data_dir=folder, allow_private_addresses=True, apns_url=apns_url, **urls))
    if not began:
        begin(stores)
    print(json.dumps(accounted(send(stores))))
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
