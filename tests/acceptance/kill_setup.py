"""Run by test_kill: fills a data folder with a retailer whose campaigns are all due, and closes it.

usage: kill_setup.py DATA_DIR LISTENER_URL
"""

import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from rapport.access.scope import Scope
from rapport.access.service import allow_sender_domain, create_tenant
from rapport.audiences import groups
from rapport.campaigns import definitions
from rapport.campaigns.schemas import ActionBody, Group, GroupChannel, Schedule, SeriesBody, SeriesRules
from rapport.channels import service as channels
from rapport.customers.importing import imports
from rapport.demo import files
from rapport.demo.world import World
from rapport.messaging import templates
from rapport.notifications import service as notifications
from rapport.settings import Settings
from rapport.stores import open_stores

CUSTOMERS = 1500


def load(scope: Scope, world: World, folder: Path) -> None:
    everybody = np.arange(len(world.people))
    orders = world.orders_before(world.days)
    head, lines = files.write_orders(world, orders, 1, folder, "all")
    for kind, path in (
        ("products", files.write_products(world, folder / "products.csv")),
        ("customers", files.write_customers(world, everybody, folder / "customers.csv")),
        ("transactions", head),
        ("items", lines),
    ):
        assert imports.import_file(scope, kind, path).rejected == 0


def campaign(scope: Scope, name: str, group: int, *places: tuple[int, int]) -> None:
    start = scope.today() - timedelta(days=1)
    reached = [GroupChannel(channel_id=c, template_id=t, send_time="00:00") for c, t in places]
    definitions.create_series(
        scope,
        SeriesBody(
            name=name,
            target_group_id=group,
            schedule=Schedule(kind="daily", start_date=start),
            groups=[Group(action_id=2, share=1.0, channels=reached)],
            rules=SeriesRules(include_all=group == 2),
            duration=3,
        ),
    )


def main(data_dir: Path, listener: str) -> None:
    stores = open_stores(Settings(data_dir=data_dir, allow_private_addresses=True))
    day = {"data_ready_time": "00:00", "blast_minimum": 100_000, "messages_per_day": 50}
    scope = create_tenant(stores, "Killed", "UTC", "EUR", {"campaigns": day})
    world = World(CUSTOMERS, scope.today() - timedelta(days=1), 1, 3)
    with tempfile.TemporaryDirectory() as folder:
        load(scope, world, Path(folder))
    allow_sender_domain(scope, "example.com")
    mail = channels.create_channel(scope, "Email", "email", settings={"from_address": "shop@example.com"}).id
    text = channels.create_channel(scope, "SMS", "external", address_attribute="MOBILE_NUMBER").id
    letter = templates.create_template(scope, mail, "Letter", "Hello [%FIRST_NAME:you%]", "<p>[%PROMO_CODE%]</p>").id
    note = templates.create_template(scope, text, "Note", text="Hello").id
    definitions.create_action(scope, ActionBody(name="Voucher", promo_codes=["V1"]))
    groups.create_target_group(scope, "Northern", {"attribute": "COUNTRY", "operator": "in", "value": ["NO", "GB"]})
    groups.create_target_group(scope, "All", {"all": []})
    campaign(scope, "North", 1, (mail, letter), (text, note))
    campaign(scope, "Everybody", 2, (mail, letter))
    for event in (1, 2, 3, 13):
        notifications.register_listener(scope, event, f"{listener}/{event}", None)
    print(datetime.now().isoformat())
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
