"""kill -9 while mail of firings leaves: none is lost, and only what was in flight may come again, under its id."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from asked_firings import campaign, fire, firing
from campaign_mail import mailbox
from gateway_server import eventually
from sqlalchemy import update

from loaded_program import begin_script
from rapport.access.scope import Scope
from rapport.channels import service as channels
from rapport.delivery.models import OutboxMessage
from rapport.messaging import templates
from rapport.realtime.matching import releasing
from rapport.realtime.sending import Sender
from rapport.stores import Stores

CONNECTIONS = 4
# Nothing of the warehouse is needed for customers whose id is their address.
CHILD = """
import sys, time, types
from rapport.realtime.sending import Sender
from rapport.settings import Settings
from rapport.stores.clock import Clock
from rapport.stores.records import Records
from rapport.stores.workers.base import Workers
settings = Settings(allow_private_addresses=True)
opened = {"records": Records(sys.argv[1]), "settings": settings, "clock": Clock(), "workers": Workers()}
Sender(types.SimpleNamespace(**opened)).start()
time.sleep(60)
"""


def test_mail_in_flight_at_kill_9(stores: Stores, scope: Scope) -> None:
    with mailbox() as box:
        box.pause = 0.1
        settings = {"host": "127.0.0.1", "port": box.port, "from_address": "s@example.com", "connections": CONNECTIONS}
        channels.create_channel(scope, "Mail", "email", id=504, address_attribute="CUSTOMER_ID", settings=settings)
        templates.save_template(scope, 504, "Hello", "Hello", "<p>[%EVENT.level%]</p>", id=1)
        of = campaign(scope, places=[{"channel_id": 504, "template_id": 1}])
        fired = fire(scope, of, *(f"k{number}@example.com" for number in range(80)))
        with scope.records() as session:
            releasing.release(scope, session, fired)
        child = begin_script(CHILD, stores.records.url)
        try:
            eventually(lambda: len(box.messages) > 10, 30)
        finally:
            child.kill()
            child.wait()
        assert any(firing(scope, one).state == "sending" for one in fired)
        box.pause = 0
        with scope.records() as session:  # as if the time of its claims had come
            claimed = update(OutboxMessage).where(OutboxMessage.tenant_id == scope.tenant_id)
            past = datetime.now(UTC) - timedelta(seconds=1)
            session.execute(claimed.where(OutboxMessage.state == "claimed").values(due_at=past))
        sender = Sender(stores)
        sender.start()
        try:
            eventually(lambda: all(firing(scope, one).outcome == "sent" for one in fired))
        finally:
            sender.stop()
        ids = Counter(mail["Message-ID"] for mail in box.messages)
        assert len(ids) == len(box.to) == 80
        assert sum(ids.values()) - 80 <= CONNECTIONS, "at most one a connection"
