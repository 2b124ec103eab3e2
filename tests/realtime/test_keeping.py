"""How long firings are kept: for a month, and for as long as a rule of a trigger looks back at them."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
import trigger_world as world
from sqlalchemy import func, select

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.campaigns.models import Series
from rapport.delivery.models import OutboxMessage
from rapport.realtime import retention
from rapport.realtime.models import Firing
from rapport.realtime.retention import Purge
from rapport.stores import Stores

MONTH = retention.FIRINGS_KEPT


@pytest.fixture
def own(stores: Stores) -> Iterator[Scope]:
    """A tenant of the test's own, whose triggers nobody else's rules look back at."""
    made = create_tenant(stores, f"keeping {time.time_ns()}")
    world.fill(made, [{"customer_id": f"C{n}"} for n in range(4)] + [{"customer_id": "Out", "IS_OPTIN": "no"}])
    yield made
    stores.clock.set(None)


def fire(scope: Scope, *who: str) -> None:
    for customer in who:
        world.event(scope, "add_to_cart", customer)
    world.process(scope)


def kept_after(scope: Scope, series: Series, days: float) -> list[str]:
    """Whose firings of a campaign are there when so many days have passed; the clock stays there."""
    scope.clock.set(world.NOW + timedelta(days=days))
    purge = Purge(scope.stores)
    while purge.portion():
        pass
    with scope.records() as session:
        wanted = select(Firing.customer_id).where(Firing.tenant_id == scope.tenant_id, Firing.series_id == series.id)
        return sorted(session.scalars(wanted))


def messages(scope: Scope) -> int:
    with scope.records() as session:
        wanted = select(func.count()).select_from(OutboxMessage).where(OutboxMessage.tenant_id == scope.tenant_id)
        return int(session.scalar(wanted) or 0)


def test_a_firing_is_kept_for_a_month_and_goes_with_its_messages(own: Scope) -> None:
    series = world.trigger(own)
    before = messages(own)
    fire(own, "C1", "Out")
    world.file(own)
    assert messages(own) == before + 1
    assert kept_after(own, series, MONTH.days - 0.5) == ["C1", "Out"]
    assert kept_after(own, series, MONTH.days + 0.5) == []
    assert messages(own) == before
    assert own.warehouse.value(
        "SELECT count() FROM campaign_recipients WHERE customer_id = 'C1' AND firing_id > 0"
    )  # the accounts have it


def test_what_is_not_in_the_accounts_yet_stays(own: Scope) -> None:
    series = world.trigger(own)
    fire(own, "C2")
    assert kept_after(own, series, 400) == ["C2"]
    world.file(own)
    assert kept_after(own, series, 400) == []


def test_whoever_may_be_met_once_is_remembered(own: Scope) -> None:
    series = world.trigger(own, re_entry="once")
    fire(own, "C3", "Out")
    world.file(own)
    assert kept_after(own, series, 400) == ["C3"]
    fire(own, "C3")
    assert world.fired(own, series)[-1] == ("C3", "excluded", "fired before")


def test_re_entry_and_caps_look_back_as_far_as_they_say(own: Scope) -> None:
    slow = world.trigger(own, re_entry={"times": 1, "days": 60})
    fire(own, "C1")
    world.file(own)
    assert kept_after(own, slow, 59) == ["C1"]
    assert kept_after(own, slow, 61) == []
    own.clock.set(world.NOW)
    capped = world.trigger(own, rules={"frequency_cap": {"messages": 9, "days": 100}})
    free = world.trigger(own)
    fire(own, "C2")
    world.file(own)
    assert kept_after(own, capped, 99) == kept_after(own, free, 99) == ["C2"]  # a cap counts those of others too
    assert kept_after(own, capped, 101) == kept_after(own, free, 101) == []


def test_pages_are_gone_through_to_the_last(own: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAGES_AT_ONCE", 1)
    series = world.trigger(own)
    fire(own, *(f"C{n % 4}" for n in range(200)))
    world.file(own)
    assert len(kept_after(own, series, MONTH.days - 1)) == 200
    assert kept_after(own, series, MONTH.days + 1) == []
