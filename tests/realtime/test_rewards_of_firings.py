"""Triggered campaigns publish promotions: each firing is an offer of its own, within budgets, and keeps its reward."""

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import trigger_world as world
from promotion_tenant import add_attributes, create_tenant, launch, leaf, spins, tier
from redemption_calls import lifetime, redeem, set_budgets, used

from rapport.access.scope import Scope, scope_of
from rapport.campaigns.models import Series

SPINS = 5
NUMBERS = itertools.count(1)
PEOPLE = [{"customer_id": f"C{n}", "DEPOSITS": n * 10} for n in range(20)]
PUBLISHES = {"publishes_promotions": True}


@pytest.fixture(scope="module")
def tenant(scope: Scope, api: httpx.Client) -> Scope:
    scope.clock.set(world.NOW)
    add_attributes(scope)
    world.fill(scope, PEOPLE)
    create_tenant(api)
    return scope_of(scope.stores, scope.tenant_id)


@pytest.fixture(autouse=True)
def morning(tenant: Scope) -> Iterator[None]:
    tenant.clock.set(world.NOW)
    yield


def bounded(api: httpx.Client, *budgets: dict[str, Any], least: int = 0) -> str:
    """A promotion of five spins for everybody who has deposited so much, with budgets; its id and code."""
    id = f"FIRED-{next(NUMBERS)}"
    launch(api, id, [tier("all", [leaf("lifetimeDeposits", "greaterThanOrEquals", least)], spins(SPINS))])
    set_budgets(api, id, *budgets)
    return id


def publishing(scope: Scope, event: str, *codes: str, **more: Any) -> Series:
    """A triggered campaign that publishes the promotions of codes on an outside channel."""
    channels = [{"channel_id": world.SMS, "template_id": world.TEMPLATE}]
    groups = [{"action_id": 2, "promo_codes": codes, "channels": channels}]
    return world.trigger(scope, {"kind": "simple", "event": event}, groups=groups, **{"rules": PUBLISHES, **more})


def test_a_firing_carries_the_reward_and_the_budget_is_counted_once(tenant: Scope, api: httpx.Client) -> None:
    id = bounded(api, lifetime("audience", 2), lifetime("reward", 100, "freeSpins"))
    series = publishing(tenant, "level_up", id)
    for customer in ("C1", "C2", "C3"):
        world.event(tenant, "level_up", customer)
    world.process(tenant)
    assert world.fired(tenant, series) == [("C1", "sent", ""), ("C2", "sent", ""), ("C3", "excluded", "refused")]
    assert [(post["customerID"], post["rewards"]) for post in world.told(tenant, series)] == [
        ("C1", {"FREESPINS": "5"}),
        ("C2", {"FREESPINS": "5"}),
    ]
    assert used(api, id) == [2, 2 * SPINS]
