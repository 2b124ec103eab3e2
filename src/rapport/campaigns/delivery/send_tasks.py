"""The sending of a unit as durable work: what begins it, its batches and retries, and what ends it."""

from rapport.access.scope import Scope, current_scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.delivery import completion, handing_over, lateness, sending, winners
from rapport.campaigns.delivery.units import Unit, unit_of
from rapport.campaigns.faults import ATTEMPTS, FAULTS, told
from rapport.campaigns.occurrences import occurrence
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import Portion
from rapport.channels import service as channels
from rapport.channels.kinds import registry
from rapport.stores.workflows import work

# What waits for its time is looked at again after so many seconds: its campaign may be canceled meanwhile.
LONGEST_SLEEP = 300.0
# Instead of a round, for what is tried after all of them: no message was tried more often, whatever the settings were.
AFTER_ROUNDS = 10**6
# Arguments of a unit's work: tenant, campaign, channel, group and portion.
UnitArguments = tuple[int, int, int, int, int]


def unit_at(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int) -> tuple[Scope, Unit]:
    """A unit by its place, and its tenant's scope."""
    scope = current_scope(tenant_id)
    return scope, unit_of(scope, occurrence(scope, campaign_id), channel_id, group, Portion(portion))


@work.step("campaigns.begin_unit", ATTEMPTS)
def begin_unit(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int) -> str:
    """The kind of channel of a unit that begins; empty when there is nothing to send."""
    scope, unit = unit_at(tenant_id, campaign_id, channel_id, group, portion)
    if not sending.begin(scope, unit):
        return ""
    kind = channels.channel(scope, channel_id).behaviour
    if not kind.is_pulled:
        lateness.require_begun_in_time(scope, unit)
    return kind.name


@work.step("campaigns.list_unit", ATTEMPTS)
def _list(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int) -> None:
    """At its time; a campaign that was processed later than that is handed over here."""
    scope, unit = unit_at(tenant_id, campaign_id, channel_id, group, portion)
    if unit.campaign.handed_over_at is None:
        handing_over.hand_over(scope, campaign_id)
    sending.list_unit(scope, unit)


@work.step("campaigns.plan_batches", ATTEMPTS)
def _plan_batches(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int) -> list[str]:
    return sending.plan_batches(*unit_at(tenant_id, campaign_id, channel_id, group, portion))


@work.step("campaigns.send_batch", ATTEMPTS)
def _send(
    tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int, number: int, low: str, high: str
) -> bool:
    scope, unit = unit_at(tenant_id, campaign_id, channel_id, group, portion)
    lateness.require_not_paused(scope, unit)
    lateness.require_no_quiet_hour(scope, unit)
    lateness.require_in_time(scope, unit)
    return sending.send_batch(scope, unit, number, low, high)


@work.step("campaigns.send_retries", ATTEMPTS)
def _retry(
    tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int, number: int, attempt: int
) -> int:
    scope, unit = unit_at(tenant_id, campaign_id, channel_id, group, portion)
    lateness.require_not_paused(scope, unit)
    lateness.require_no_quiet_hour(scope, unit)
    return sending.send_retries(scope, unit, number, attempt)


@work.step("campaigns.retry_delays")
def _delays(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int) -> list[float]:
    """Seconds before each round of retries; no round when nothing is to be tried again."""
    scope, unit = unit_at(tenant_id, campaign_id, channel_id, group, portion)
    return tenant_settings(scope, CampaignSettings).retry_delays if sending.waiting(scope, unit) else []


@work.step("campaigns.abandon_unit", ATTEMPTS, bounded=False)
def _abandon(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int, reason: str) -> None:
    sending.abandon(*unit_at(tenant_id, campaign_id, channel_id, group, portion), reason)


@work.step("campaigns.finish_unit", ATTEMPTS, bounded=False)
def finish_unit(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int, error: str) -> None:
    """End a unit, with the sentence of what went wrong or none, and its campaign with the last of its units."""
    scope, unit = unit_at(tenant_id, campaign_id, channel_id, group, portion)
    completion.finish_unit(scope, unit, error)
    sending.forget(scope, unit)
    completion.finish_campaign(scope, campaign_id)


@work.step("campaigns.open_unit", ATTEMPTS)
def _open(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int) -> list[str]:
    """Begin a unit; of an outside channel it is executed at once. The last customers of its batches of messages.

    A campaign that was processed later than its time is handed over here. The winner of an A/B test is chosen when the
    rest begins.
    """
    scope, unit = unit_at(tenant_id, campaign_id, channel_id, group, portion)
    if not sending.begin(scope, unit):
        return []
    if not channels.channel(scope, channel_id).behaviour.is_pulled:
        lateness.require_begun_in_time(scope, unit)
        if unit.portion is Portion.REST:
            winners.decide(scope, unit)
        return sending.plan_batches(scope, unit)
    if unit.campaign.handed_over_at is None:
        handing_over.hand_over(scope, campaign_id)
    sending.list_unit(scope, unit)
    return []


@work.workflow("campaigns.send_whole_unit")
def send_unit(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int = int(Portion.WHOLE)) -> None:
    """Send what a group of a campaign, or a portion of it, gets on a channel, in durable batches."""
    unit = (tenant_id, campaign_id, channel_id, group, portion)
    error = ""
    try:
        if batches := _open(*unit):
            _send_all(unit, batches)
    except FAULTS as fault:
        error = given_up(unit, fault)
    finish_unit(*unit, error)


@work.workflow("campaigns.send_unit")
def send_unit_as_before(tenant_id: int, campaign_id: int, channel_id: int, group: int) -> None:
    """The same, of a unit that an earlier release began: it is carried on in its steps."""
    unit = (tenant_id, campaign_id, channel_id, group, int(Portion.WHOLE))
    error = ""
    try:
        kind = begin_unit(*unit)
        if kind and registry.kind_named(kind).is_pulled:
            _list(*unit)
        elif kind:
            _send_all(unit, _plan_batches(*unit))
    except FAULTS as fault:
        error = given_up(unit, fault)
    finish_unit(*unit, error)


def given_up(unit: UnitArguments, fault: BaseException) -> str:
    """Abandon a unit that cannot be sent; why, in a sentence."""
    error = told("unit abandoned", fault, tenant_id=unit[0], campaign_id=unit[1], channel_id=unit[2])
    _abandon(*unit, error)
    return error


def _send_all(unit: UnitArguments, batches: list[str]) -> None:
    low = ""
    for number, high in enumerate(batches, start=1):
        if not _send(*unit, number, low, high):
            return
        low = high
    number = 0
    for attempt, delay in enumerate(_delays(*unit), start=1):
        if _waiting(*unit):
            work.sleep(delay)
        while _retry(*unit, number + 1, attempt):
            number += 1
    while (seconds := _held_for(*unit)) is not None:
        work.sleep(min(seconds, LONGEST_SLEEP))
        while _send_held(*unit, number + 1):
            number += 1


@work.step("campaigns.held_for", ATTEMPTS)
def _held_for(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int) -> float | None:
    return sending.held_for(*unit_at(tenant_id, campaign_id, channel_id, group, portion))


@work.step("campaigns.send_held", ATTEMPTS)
def _send_held(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int, number: int) -> int:
    """Send up to a batch of messages that waited for their time; how many were due."""
    scope, unit = unit_at(tenant_id, campaign_id, channel_id, group, portion)
    lateness.require_not_paused(scope, unit)
    lateness.require_no_quiet_hour(scope, unit)
    return sending.send_retries(scope, unit, number, AFTER_ROUNDS)


@work.step("campaigns.waiting", ATTEMPTS)
def _waiting(tenant_id: int, campaign_id: int, channel_id: int, group: int, portion: int) -> int:
    return sending.waiting(*unit_at(tenant_id, campaign_id, channel_id, group, portion))
