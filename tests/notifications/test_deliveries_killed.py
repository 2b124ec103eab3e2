"""kill -9 again and again while deliveries are made: each arrives, and what comes twice has the same id and body."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

from webhook_receiver import eventually, receiving

from loaded_program import begin_script
from rapport.access.scope import Scope
from rapport.notifications import service
from rapport.notifications.deliverer import PER_LISTENER, Deliverer
from rapport.stores import Stores
from rapport.stores.clock import Clock

KILLS = 2
EVENTS = 6 * PER_LISTENER
CHILD = """
import sys, time, types
from datetime import datetime, timedelta, UTC
from rapport.notifications.deliverer import Deliverer
from rapport.settings import Settings
from rapport.stores.clock import Clock
from rapport.stores.records import Records
from rapport.stores.workers.base import Workers
clock = Clock()
clock.set(datetime.now(UTC) + timedelta(seconds=int(sys.argv[2])))  # the leases of whoever was killed before are over
settings = Settings(allow_private_addresses=True)
stores = types.SimpleNamespace(records=Records(sys.argv[1]), settings=settings, workers=Workers())
Deliverer(stores, {}, clock).start()
time.sleep(60)
"""


def test_every_delivery_arrives(stores: Stores, scope: Scope, clock: Clock) -> None:
    with receiving((200, {}, 0.05)) as receiver:
        listener = service.register_listener(scope, 11, receiver.url)
        with scope.records() as session:
            for number in range(EVENTS):
                service.notify(scope, session, 11, {"customerID": f"Q{number}"}, f"11:{number}:505")
        for kill in range(KILLS):
            seen = len(receiver.posts)
            child = begin_script(CHILD, stores.records.url, 40 * kill)
            try:
                eventually(lambda seen=seen: len(receiver.posts) >= seen + PER_LISTENER + 8, 30)
            finally:
                child.kill()
                child.wait()
        states = {one.state for one in service.deliveries(scope, listener.id, limit=EVENTS)}
        assert states == {"pending", "delivered"}, "killed half-way"
        clock.set(datetime.now(UTC) + timedelta(seconds=40 * KILLS))
        deliverer = Deliverer(stores, {}, clock)
        deliverer.start()
        try:
            eventually(lambda: not service.deliveries(scope, listener.id, state="pending"), 20)
        finally:
            deliverer.stop()
        bodies = defaultdict(set)
        for post in receiver.posts:
            if len(post.body) < int(post.headers["content-length"]):
                continue  # the killed process did not even get to its end
            bodies[post.headers["webhook-id"]].add(post.body)
        assert len(bodies) == EVENTS
        assert all(len(same) == 1 for same in bodies.values())
        assert len({next(iter(same)) for same in bodies.values()}) == EVENTS
        assert len(receiver.posts) - EVENTS <= KILLS * PER_LISTENER, "only what was in flight comes again"
