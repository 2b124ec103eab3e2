"""kill -9 while transactional mail leaves: none is lost, and only what was in flight may come again, under its id."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import httpx
from campaign_mail import mailbox
from gateway_server import eventually
from sqlalchemy import update
from transactional_world import add_stream, body, ended, person

from loaded_program import begin_script
from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.delivery.models import OutboxMessage, State
from rapport.stores import Stores
from rapport.transactional.messages import TransactionalSender

CONNECTIONS = 4
CHILD = """
import sys, time, types
from rapport.settings import Settings
from rapport.stores.clock import Clock
from rapport.stores.records import Records
from rapport.stores.workers.base import Workers
from rapport.transactional.messages import TransactionalSender
settings = Settings(allow_private_addresses=True)
opened = {"records": Records(sys.argv[1]), "settings": settings, "clock": Clock(), "workers": Workers()}
TransactionalSender(types.SimpleNamespace(**opened)).start()
time.sleep(60)
"""


def test_mail_in_flight_at_kill_9(stores: Stores, scope: Scope, api: httpx.Client) -> None:
    with mailbox() as box:
        box.pause = 0.1
        channel = add_stream(scope, box.port)
        channels.update_channel(scope, channel.id, settings={**channel.settings, "connections": CONNECTIONS})
        request = body(*(person() for _ in range(80)))
        send_id = api.post("/TransactionalMail/SendTransactionalMail", json=request).json()["SendID"]
        child = begin_script(CHILD, stores.records.url)
        try:
            eventually(lambda: len(box.messages) > 10, 30)
        finally:
            child.kill()
            child.wait()
        box.pause = 0
        with scope.records() as session:  # as if the time of its claims had come
            claimed = update(OutboxMessage).where(OutboxMessage.tenant_id == scope.tenant_id)
            past = datetime.now(UTC) - timedelta(seconds=1)
            session.execute(claimed.where(OutboxMessage.state == State.CLAIMED).values(due_at=past))
        sender = TransactionalSender(stores)
        sender.start()
        try:
            entries = ended(api, send_id)
        finally:
            sender.stop()
        assert {entry["state"] for entry in entries} == {"sent"}
        ids = Counter(mail["Message-ID"] for mail in box.messages)
        assert len(ids) == len(box.to) == 80
        assert sum(ids.values()) - 80 <= 2 * CONNECTIONS, "what was in flight, or decided and not entered yet"
