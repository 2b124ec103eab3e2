"""kill -9 while push messages leave: none is lost, and only what was in flight may come again, under its own id."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway_server import eventually
from sqlalchemy import select, update

sys.path.append(str(Path(__file__).parents[1] / "channels"))

import apns_server
from push_tenant import add_channel, add_install

from loaded_program import begin_script
from rapport.access.scope import Scope
from rapport.apps import definitions
from rapport.delivery.models import OutboxMessage, State
from rapport.stores import Stores
from rapport.transactional.models import PushRecipient
from rapport.transactional.pushes import accepting
from rapport.transactional.pushes.messages import PushSender
from rapport.transactional.pushes.orders import PushContent, PushOrder, Target

CHILD = """
import sys, time, types
from rapport.settings import Settings
from rapport.stores.clock import Clock
from rapport.stores.records import Records
from rapport.stores.workers.base import Workers
from rapport.transactional.pushes.messages import PushSender
settings = Settings(allow_private_addresses=True, apns_url=sys.argv[2])
opened = {"records": Records(sys.argv[1]), "settings": settings, "clock": Clock(), "workers": Workers()}
PushSender(types.SimpleNamespace(**opened)).start()
time.sleep(60)
"""


def ended(scope: Scope) -> list[str]:
    with scope.records() as session:
        rows = session.scalars(select(PushRecipient).where(PushRecipient.tenant_id == scope.tenant_id)).all()
        return [row.state for row in rows if row.ended_at]


def test_pushes_in_flight_at_kill_9(stores: Stores, scope: Scope) -> None:
    app = definitions.create_app(scope, "Shop", {}, for_web=False).app
    add_channel(scope, timeout_seconds=2)
    people = [f"P{n}" for n in range(60)]
    for n, person in enumerate(people):
        add_install(scope, app.id, person, f"dd{n:04x}")
    with apns_server.serving() as slow:
        held: list[bool] = [True]

        def answer(taken: apns_server.Taken) -> Any:
            return None if held[0] and len(slow.taken) > 20 else apns_server.OK

        slow.answer = answer
        child = begin_script(CHILD, stores.records.url, slow.url)
        try:
            accepting.send(scope, app, PushOrder(Target(people), PushContent("Hi", "There")))
            eventually(lambda: len(slow.taken) > 20, 30)
        finally:
            child.kill()
            child.wait()
        held[0] = False
        with scope.records() as session:  # as if the time of its claims had come
            claimed = update(OutboxMessage).where(OutboxMessage.tenant_id == scope.tenant_id)
            past = datetime.now(UTC) - timedelta(seconds=1)
            session.execute(claimed.where(OutboxMessage.state == State.CLAIMED).values(due_at=past))
        present, stores.settings.apns_url = stores.settings.apns_url, slow.url
        rest = PushSender(stores)
        rest.start()
        try:
            eventually(lambda: len(ended(scope)) == len(people))
        finally:
            rest.stop()
            stores.settings.apns_url = present
        assert set(ended(scope)) == {"sent"}
        by_token = slow.by_token()
        assert len(by_token) == len(people)
        assert all(len({one.headers["apns-id"] for one in taken}) == 1 for taken in by_token.values())
        assert max(len(taken) for taken in by_token.values()) <= 2
