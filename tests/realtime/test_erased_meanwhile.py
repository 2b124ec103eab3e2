"""An erasure while firings of the same person are being made: nothing of the person is left."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import trigger_world as world
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.realtime import persons
from rapport.realtime.matching import timers
from rapport.realtime.matching.catalogue import compiled
from rapport.realtime.matching.processor import TAKE, handle

CART: dict[str, Any] = {
    "kind": "sequence",
    "event": "add_to_cart",
    "closing": [{"event": "purchase"}],
    "window_minutes": 30,
}


@pytest.fixture(scope="module", autouse=True)
def filled(scope: Scope) -> None:
    world.fill(scope)


def events(scope: Scope, session: Session) -> None:
    rows = session.execute(TAKE, {"tenant_id": scope.tenant_id, "batch": 10}).all()
    handle(session, compiled(scope), rows)


def deadlines(scope: Scope, session: Session) -> None:
    timers.end_sequences(session, compiled(scope), timers.due_sequences(scope, session))


@pytest.mark.parametrize(("who", "kind", "work"), [("C1", "simple", events), ("C2", "sequence", deadlines)])
def test_what_is_decided_meanwhile_is_erased_too(
    scope: Scope, who: str, kind: str, work: Callable[[Scope, Session], None]
) -> None:
    series = world.trigger(scope, CART if kind == "sequence" else {"kind": "simple", "event": "level_up"})
    world.event(scope, "add_to_cart" if kind == "sequence" else "level_up", who)
    if kind == "sequence":
        world.process(scope)
        scope.clock.set(world.NOW + timedelta(minutes=31))
    erasure = threading.Thread(target=persons.forget, args=(scope, who, lambda name: None))
    with scope.records() as session:
        work(scope, session)
        erasure.start()
        erasure.join(1)  # it waits for the batch
    erasure.join(60)
    assert not erasure.is_alive() and world.firings(scope, series) == []
    held = persons.held(scope, who)
    assert not any(held.values()), held
