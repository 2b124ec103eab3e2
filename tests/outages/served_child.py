"""Run by served.py: serves a tenant on a data folder, with pauses short enough for tests.

usage: served_child.py DATA_DIR LISTENER_URL SMTP_PORT WAREHOUSE_URL

Lines on standard input hold it at places and move its clocks (held_places.py).
"""

import asyncio
import json
import socket
import sys
from datetime import timedelta
from pathlib import Path

import held_places
import uvicorn

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.app import carrying_out, create_app
from rapport.campaigns import definitions
from rapport.campaigns.schemas import ActionBody
from rapport.campaigns.triggered import definitions as campaign_definitions
from rapport.campaigns.triggered.schemas import TriggeredBody
from rapport.channels import service as channels
from rapport.commands import logs
from rapport.commands.connections import KEEP_ALIVE_SECONDS
from rapport.customers import event_types
from rapport.delivery import worker
from rapport.messaging import templates
from rapport.notifications import service as notifications
from rapport.realtime.events import tokens
from rapport.realtime.matching import processor
from rapport.realtime.recording import warehouse_writer
from rapport.settings import Settings
from rapport.stores import open_stores
from rapport.stores.workflows import work

PEOPLE = """
    INSERT INTO customers (customer_id, REGISTRATION_DATE, EMAIL)
    SELECT concat('c', toString(number), '@example.com') AS id, toDate('2025-01-01'), id
    FROM numbers(2000)
"""


def shorten() -> None:
    """Wait as long as tests like."""
    work.FIRST_PAUSE, work.LONGEST_PAUSE = 0.1, 0.4
    worker.FIRST_WAIT, worker.LONGEST_WAIT = 0.1, 0.4
    worker.LEASE, worker.RENEW_SECONDS = timedelta(seconds=6), 1.0
    warehouse_writer.RETRY_SECONDS = processor.PAUSE_SECONDS = 0.3


def furnish(scope: Scope, listener: str, smtp_port: int) -> None:
    """Two triggers, of which one writes mail; firings of the other are told."""
    scope.warehouse.execute(PEOPLE)
    mail = {"host": "127.0.0.1", "port": smtp_port, "from_address": "shop@example.com", "timeout_seconds": 30}
    channels.create_channel(scope, "Mail", "email", id=504, address_attribute="CUSTOMER_ID", settings=mail)
    channels.create_channel(scope, "SMS", "external", id=505)
    templates.save_template(scope, 504, "Hello", "Hello", "<p>[%EVENT.n%]</p>", id=1)
    definitions.create_action(scope, ActionBody(name="Voucher"))
    for event, place in (("told", (505, 3)), ("mailed", (504, 1))):
        event_types.declare_event_type(scope, event, {"n": "Number"})
        reached = [{"channel_id": place[0], "template_id": place[1]}]
        body = {
            "name": event,
            "trigger": {"kind": "simple", "event": event},
            "groups": [{"action_id": 2, "channels": reached}],
            "control_share": 0,
            "re_entry": "unlimited",
        }
        campaign_definitions.create_triggered(scope, TriggeredBody.model_validate(body))
    notifications.register_listener(scope, 11, listener)


def main(data_dir: Path, listener: str, smtp_port: int, warehouse_url: str) -> None:
    shorten()
    logs.configure("WARNING")
    settings = Settings(
        data_dir=data_dir, warehouse_url=warehouse_url, allow_private_addresses=True, rate_limit_calls=0
    )
    stores = open_stores(settings)
    held_places.listen()
    limits = {"campaigns": {"messages_per_day": 10_000, "batch_size": 10}, "events": {"events_per_person": 100_000}}
    scope = create_tenant(stores, "Outages", settings=limits)
    furnish(scope, listener, smtp_port)
    _, key = keys.create_key(scope, "tests", "tests@example.com", "Admin")
    with (
        socket.create_server(("127.0.0.1", 0)) as place,
        carrying_out(stores, frozenset({"api", "worker", "scheduler"})),
    ):
        told = {"tenant": scope.tenant_id, "sdk": tokens.tokens(scope)["sdk"].value, "key": key}
        print(json.dumps({**told, "base_url": f"http://127.0.0.1:{place.getsockname()[1]}"}), flush=True)
        app, kept = create_app(stores, "operator"), KEEP_ALIVE_SECONDS
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_keep_alive=kept)
        )
        asyncio.run(server.serve(sockets=[place]))
    stores.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
