"""The sending of a unit whose customers have times of their own, as durable work: a workflow for each round."""

from datetime import timedelta

from rapport.campaigns.delivery import lateness, rounds, sending, winners
from rapport.campaigns.delivery.send_tasks import AFTER_ROUNDS, UnitArguments, finish_unit, given_up, unit_at
from rapport.campaigns.faults import ATTEMPTS, FAULTS
from rapport.campaigns.states import Portion
from rapport.stores.workflows import work

# Instead of a number of messages: the unit was held up, and what is late by that does not leave.
HELD_UP = -1


@work.workflow("campaigns.send_round")
def send_round(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int, number: int) -> None:
    """Send what is due of a unit. The first round, 0, enters all of its messages; the last one ends the unit."""
    unit = (tenant_id, campaign_id, channel_id, group, portion)
    error = ""
    try:
        low = ""
        for batch, high in enumerate([] if number else _open(*unit), start=1):
            if not _enter(*unit, batch, low, high):
                break
            low = high
        if _sent_what_is_due(unit, number):
            return
    except FAULTS as fault:
        error = given_up(unit, fault)
    finish_unit(*unit, error)


def _sent_what_is_due(unit: UnitArguments, number: int) -> bool:
    """Send what is due in a round; whether the next round is to come."""
    batch = _begin_round(*unit, number)
    if batch is None:
        return False
    sent = HELD_UP  # nothing is known of how late it is
    while sent:
        if sent == HELD_UP:
            while _give_up_late(*unit, batch + 1):
                batch += 1
        sent = _send_due(*unit, batch + 1)
        batch += sent > 0
    return _end_round(*unit, number)


@work.step("campaigns.open_round", ATTEMPTS)
def _open(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int) -> list[str]:
    """Begin a unit: the last customers of the batches in which its messages are entered.

    The winner of an A/B test is chosen when the rest begins.
    """
    scope, unit = unit_at(tenant_id, campaign_id, channel_id, group, portion)
    if not sending.begin(scope, unit):
        return []
    if unit.portion is Portion.REST:
        winners.decide(scope, unit)
    return sending.plan_batches(scope, unit)


@work.step("campaigns.enter_waiting", ATTEMPTS)
def _enter(
    tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int, batch: int, low: str, high: str
) -> bool:
    return rounds.enter_waiting(*unit_at(tenant_id, campaign_id, channel_id, group, portion), batch, low, high)


@work.step("campaigns.begin_round", ATTEMPTS)
def _begin_round(
    tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int, number: int
) -> int | None:
    return rounds.begin_round(*unit_at(tenant_id, campaign_id, channel_id, group, portion), number)


@work.step("campaigns.give_up_late", ATTEMPTS)
def _give_up_late(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int, batch: int) -> int:
    return rounds.give_up_late(*unit_at(tenant_id, campaign_id, channel_id, group, portion), batch)


@work.step("campaigns.send_due", ATTEMPTS)
def _send_due(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int, batch: int) -> int:
    """Send up to a batch of what is due; how many messages that were, or HELD_UP."""
    scope, unit = unit_at(tenant_id, campaign_id, channel_id, group, portion)
    lateness.require_not_paused(scope, unit)
    if lateness.is_held_up(scope, unit):
        return HELD_UP
    return sending.send_retries(scope, unit, batch, AFTER_ROUNDS)


@work.step("campaigns.end_round", ATTEMPTS)
def _end_round(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int, number: int) -> bool:
    """Let the next round begin when the first message is due that waits; whether one does."""
    scope, unit = unit_at(tenant_id, campaign_id, channel_id, group, portion)
    seconds = sending.held_for(scope, unit)
    if seconds is None:
        return False
    return rounds.end_round(scope, unit, number, scope.clock.now() + timedelta(seconds=seconds))
