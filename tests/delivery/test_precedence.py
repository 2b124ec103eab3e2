"""What is sent in bulk gives way to messages that somebody waits for, and to nothing else."""

import time
from collections.abc import Callable

import pytest

from rapport.access.scope import Scope
from rapport.delivery import precedence as rule
from rapport.delivery.precedence import precedence
from rapport.transactional.messages import TransactionalSender


def seconds(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_bulk_rests_while_somebody_waits_and_goes_on_after_it(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule, "AFTER_SECONDS", 0.3)
    first = precedence(scope.stores)
    assert first is precedence(scope.stores), "all of a process heed the same one"
    first.claim()
    assert first.is_claimed
    assert seconds(lambda: first.give_way(0.02)) >= 0.02 * rule.REST
    assert seconds(lambda: first.give_way(60)) >= rule.LONGEST_REST, "and for no longer: the test would not end"
    time.sleep(0.3)
    assert not first.is_claimed


def test_a_request_is_waited_for_from_when_its_place_is_asked_for(scope: Scope) -> None:
    first = precedence(scope.stores)
    first._until = float("-inf")
    sender = TransactionalSender(scope.stores)
    try:
        assert sender.place(scope.tenant_id, 1, 1) is None, "it was not started"
        assert first.is_claimed
    finally:
        sender.dispose()
