"""The demo's world does not flatter the models: tails, returns, and messages that help, do nothing or harm."""

from datetime import date

import numpy as np

from rapport.demo import story
from rapport.demo.world import HISTORY_DAYS, World


def test_values_have_a_tail_and_some_customers_send_back_much() -> None:
    world = World(3000, date(2026, 6, 30), 7, 5)
    orders = world.organic
    count = np.bincount(orders.customer, minlength=3000)
    buyers = count > 0
    mean = np.bincount(orders.customer, orders.amount, minlength=3000)[buyers] / count[buyers]
    assert np.log(mean).std() > 0.6
    assert np.corrcoef(np.log(mean), np.log(count[buyers]))[0, 1] > 0.1
    refunds = world.sent_back(orders, 1)
    assert 0.04 < len(refunds) / len(orders.customer) < 0.15
    for number, customer, day, amount in refunds:
        assert customer == orders.customer[number - 1] and amount == orders.amount[number - 1]
        assert 3 <= day - orders.day[number - 1] <= 11


def test_messages_bring_forward_and_may_harm() -> None:
    assert min(lift for *_, lift in story.ACTIONS) < 0 < max(lift for *_, lift in story.ACTIONS)
    world = World(3000, date(2026, 6, 30), 40, 5)
    everybody = np.flatnonzero(world.people.registered < HISTORY_DAYS)
    extra, _ = world.responses(everybody, np.full(len(everybody), 0.3), HISTORY_DAYS, 3)
    forward = int((~world.stands).sum())
    assert 0 < forward < len(extra)
    extra, _ = world.responses(everybody, np.full(len(everybody), -0.3), HISTORY_DAYS, 3)
    assert len(extra) == 0 and (~world.stands).sum() > forward
    gone = np.flatnonzero(~world.stands)
    assert (world.organic.day[gone] >= HISTORY_DAYS).all()
    day = int(world.organic.day[gone[0]])
    placed = (world.organic.day == day).sum() - (~world.stands[world.organic.day == day]).sum()
    assert len(world.orders_of_day(day, []).customer) == placed
