"""From an event to event 11 among neighbours who are ill: one dead and one slow listener, one slow gateway."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from gateway_server import PATIENCE_SECONDS, GatewayServer, eventually, gateway_server
from sqlalchemy import func, select
from trigger_world import NOW, event, events, fill, firings, trigger, until, waiting
from webhook_receiver import receiving

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.notifications import service as notifications
from rapport.notifications.deliverer import Deliverer
from rapport.realtime import gateways
from rapport.realtime.gateway_worker import Decider
from rapport.realtime.matching.processor import BATCH, Processor
from rapport.stores import Stores
from rapport.stores.workers.base import running

SMS, CUSTOMERS = 505, 20
# More than one listener or gateway is told or asked at once.
ROUNDS, BUSY = 12, 40


@dataclass
class Company:
    """A tenant with a listener for event 11, and a gateway or none."""

    scope: Scope

    def act(self, number: int) -> None:
        """One customer does what fires the trigger."""
        customer = f"C{number % CUSTOMERS}"
        event(self.scope, "add_to_cart", customer)
        with self.scope.records() as session:
            session.execute(select(func.pg_notify("rapport_events", str(self.scope.tenant_id))))


@contextmanager
def working(stores: Stores) -> Iterator[None]:
    """Everything between an event and a listener, as a server runs it."""
    with running(Deliverer(stores, {}, timeout=PATIENCE_SECONDS), Decider(stores), Processor(stores)):
        yield


def company(stores: Stores, name: str, listener: str, gateway: GatewayServer | None = None) -> Company:
    made = create_tenant(stores, f"{name} {time.time_ns()}", "Europe/Berlin", "EUR")
    fill(made)
    notifications.register_listener(made, 11, listener, SMS)
    trigger(made, conditional=gateway is not None)
    if gateway:
        gateways.set_gateway(made, gateway.url, timeout_seconds=PATIENCE_SECONDS)
    return Company(made)


@pytest.fixture
def at_once(stores: Stores) -> Iterator[None]:
    yield
    stores.clock.set(None)


def test_the_well_are_told_while_the_ill_have_not_answered(stores: Stores, at_once: None) -> None:
    with (
        socket.socket() as dead,
        receiving() as slow,
        receiving() as good,
        receiving() as beside_slow_gateway,
        receiving() as beside_good_gateway,
        gateway_server() as slow_gateway,
        gateway_server() as good_gateway,
    ):
        slow.gate.clear()
        slow_gateway.gate.clear()
        dead.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        ill = [
            company(stores, "dead listener", f"http://127.0.0.1:{dead.getsockname()[1]}/"),
            company(stores, "slow listener", slow.url),
            company(stores, "slow gateway", beside_slow_gateway.url, slow_gateway),
        ]
        well = company(stores, "good listener", good.url)
        asking = company(stores, "good gateway", beside_good_gateway.url, good_gateway)
        with working(stores):
            for one in ill:  # more than may be under way at once
                for number in range(BUSY):
                    one.act(number)
            eventually(lambda: slow.posts and slow_gateway.asked)
            for number in range(ROUNDS):
                well.act(number)
                asking.act(number)
            eventually(lambda: len(good.posts) == ROUNDS and len(beside_good_gateway.posts) == ROUNDS)
            assert len(good_gateway.asked) == ROUNDS
            assert (slow.answered, slow_gateway.answered) == (0, 0), "nobody has waited for those who are ill"
            slow.gate.set()
            slow_gateway.gate.set()
            eventually(lambda: all(one.outcome == "sent" for one in firings(ill[2].scope)))
            eventually(lambda: len(beside_slow_gateway.posts) == BUSY)
            eventually(lambda: len(slow.posts) == BUSY)


def test_a_flood_of_events_is_handled_beside_those_of_others(
    stores: Stores, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood, neighbour = (create_tenant(stores, f"{name} {time.time_ns()}") for name in ("flood", "beside it"))
    for one, number in ((flood, 3 * BATCH), (neighbour, 1)):
        one.clock.set(NOW)
        events(one, [("page_view", "C1")] * number)
    processor, turns = Processor(stores), list[int]()
    batch = processor.batch

    def noted(tenant_id: int, most: int) -> int | None:
        turns.append(tenant_id)
        return batch(tenant_id, most)

    monkeypatch.setattr(processor, "batch", noted)
    processor.start()
    try:
        until(lambda: waiting(flood) == 0)
    finally:
        processor.stop()
    theirs = [one for one in turns if one in (flood.tenant_id, neighbour.tenant_id)]
    assert (theirs.index(neighbour.tenant_id), waiting(neighbour)) == (1, 0)
