"""Sending a unit: of outside channels all are entered in one statement, others go out in batches by a transport."""

import time
from collections import defaultdict, deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import takewhile

from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.campaigns.delivery import lateness, ledger, own_times, recipient_codes, unreached, winners
from rapport.campaigns.delivery.completion import OPEN, close_rest
from rapport.campaigns.delivery.settling import Settlements
from rapport.campaigns.delivery.units import Unit, now_of, row_of, rows_of_unit
from rapport.campaigns.leases import HeldLease, lease
from rapport.campaigns.models import Occurrence, OccurrenceChannel
from rapport.campaigns.occurrences import locked, move
from rapport.campaigns.publishing import rewards
from rapport.campaigns.runs import queries
from rapport.campaigns.runs.staging import stage_name
from rapport.campaigns.settings import CampaignSettings
from rapport.campaigns.states import Portion, RunState
from rapport.channels import service as channels
from rapport.channels.messages import Message, Origin, Receipt
from rapport.channels.models import Channel
from rapport.delivery import content, reading, transports
from rapport.delivery.content import Draft, Written
from rapport.delivery.outbox import Claim
from rapport.delivery.pacing import Pace
from rapport.delivery.precedence import precedence
from rapport.errors import Invalid, NotFound
from rapport.messaging.contactability import kept_off as messaging_kept_off
from rapport.messaging.contactability import purposes
from rapport.messaging.contactability.kept_off import KeptOff
from rapport.messaging.contactability.purposes import Purpose
from rapport.notifications.deliverer import OUTSIDE_CLOCK
from rapport.stores.warehouse import identifier
from rapport.stores.workflows import work

# Instead of the last customer of a batch: it is all of the unit.
WHOLE = ""
# Messages that are written together at least; more of them are as many as leave in so many seconds.
WRITTEN_TOGETHER, MOST_TOGETHER, AHEAD_SECONDS = 100, 500, 0.4
# How many parts are written at once: whoever writes mostly waits for the databases.
PARTS_AHEAD = 2
# How many messages leave before it is looked again whether the run is paused.
BETWEEN_LOOKS = 100
# How many leave before the run gives way to messages that somebody waits for.
BETWEEN_RESTS = 25
# From so many messages on it pays to have other processes send them.
MANY = 200
# Which addresses are taken is as durable as the replies of their messages, which are entered later and wait for the
# disk: what a machine without power forgets was in doubt.
NOT_AWAITED = text("SET LOCAL synchronous_commit TO off")
AMONG_UNIT = f" AND customer_id IN (SELECT customer_id {queries.UNIT})"


def begin(scope: Scope, unit: Unit) -> bool:
    """Mark a unit and its campaign as executing; False when the campaign was canceled or the unit has ended."""
    with scope.records() as session:
        locked(scope, session, unit.campaign.id)
        rows = [row for row in rows_of_unit(scope, session, unit) if row.state in OPEN]
        if not rows or not move(scope, session, unit.campaign.id, OPEN, state=RunState.EXECUTING):
            return False
        if unit.portion is Portion.TEST and rows[0].state == RunState.SCHEDULED:
            winners.await_decision(scope, session, unit)
        for row in rows:
            row.state = RunState.EXECUTING
    return True


def is_open(scope: Scope, unit: Unit) -> bool:
    """Whether a unit is still to be sent: it is not once its campaign is canceled."""
    with scope.reads() as session:
        campaign = locked(scope, session, unit.campaign.id, lock=False)
        return _is_open(campaign, row_of(scope, session, unit))


def _is_open(campaign: Occurrence, row: OccurrenceChannel) -> bool:
    return campaign.state == RunState.EXECUTING and row.state == RunState.EXECUTING


def take_out(scope: Scope, unit: Unit) -> None:
    """Who was suppressed since processing leaves the list of an outside channel. May be repeated."""
    if kept_off := _suppressed_since(scope, unit):
        with lease(scope, unit.lease_name):
            _suppress_late(scope, unit, kept_off)
            withdraw(scope, unit)


def list_unit(scope: Scope, unit: Unit) -> None:
    """Execute a unit of an outside channel, whose list was handed over: at its time everybody on it counts as sent.

    Who was suppressed meanwhile leaves the list first; what was handed over at or after its time is as it was told.
    """
    with lease(scope, unit.lease_name):
        with scope.reads() as session:
            campaign, row = locked(scope, session, unit.campaign.id, lock=False), row_of(scope, session, unit)
        if not _is_open(campaign, row):
            return
        told_in_time = campaign.handed_over_at is None or campaign.handed_over_at < scope.instant(row.scheduled_time)
        if told_in_time and (kept_off := _suppressed_since(scope, unit)):
            _suppress_late(scope, unit, kept_off)
            withdraw(scope, unit)
        batch = unit.start + 1
        if scope.warehouse.value(queries.COUNT_BATCH, batch=batch, **unit.bindings):
            scope.warehouse.execute(queries.DELETE_BATCH, batch=batch, **unit.bindings)
        for part in scope.warehouse.customer_slices(*queries.ACCOUNT):
            part.execute(queries.LIST_UNIT, batch=batch, at=scope.clock.now(), **unit.bindings)


def plan_batches(scope: Scope, unit: Unit) -> list[str]:
    """The last customer of every batch, or WHOLE for all in one. Who was suppressed meanwhile is taken out first."""
    with lease(scope, unit.lease_name):
        if kept_off := _suppressed_since(scope, unit):
            _suppress_late(scope, unit, kept_off)
        size = tenant_settings(scope, CampaignSettings).batch_size
        with scope.reads() as session:
            if sum(row.recipients for row in rows_of_unit(scope, session, unit)) <= size:
                return [WHOLE]
        parts = scope.warehouse.customer_slices(*queries.ACCOUNT)
        return [str(last) for part in parts for (last,) in part.rows(queries.BATCH_ENDS, size=size, **unit.bindings)]


def _suppressed_since(scope: Scope, unit: Unit) -> KeptOff | None:
    """Whom a unit must not reach, when that may be others than at its processing; None when nothing has changed."""
    kept_off, data_date = KeptOff(0, unit.channel_id, _purpose(scope, unit)), _data_date(scope, unit)
    state = messaging_kept_off.stand(scope, kept_off, data_date)
    processed_state = unit.campaign.plan.kept_off.get(f"{unit.channel_id}/{unit.group}")
    return None if state in ("", processed_state) else kept_off


def _data_date(scope: Scope, unit: Unit) -> date:
    return scope.data_date() or unit.campaign.execution_date


def _suppress_late(scope: Scope, unit: Unit, kept_off: KeptOff) -> None:
    """Give that outcome to who was suppressed since processing."""
    name = stage_name(unit.campaign.id, f"late_{unit.channel_id}_{unit.group}")
    table = identifier(name)
    scope.warehouse.execute(queries.NO_TABLE.format(table=table))
    messaging_kept_off.create_suppressed(scope, name)
    messaging_kept_off.load_suppressed(scope, name, kept_off, _data_date(scope, unit), AMONG_UNIT, **unit.bindings)
    statement = queries.SUPPRESS_LATE.replace("SUPPRESSED", table)
    reasons = {
        "faults": list(messaging_kept_off.KEPT_OFF.values()),
        "reasons": list(messaging_kept_off.KEPT_OFF),
    }
    parameters = {"at": scope.clock.now(), **reasons, **unit.bindings}
    for part in scope.warehouse.customer_slices(*queries.ACCOUNT):
        part.execute(statement, **parameters)
    scope.warehouse.execute(queries.NO_TABLE.format(table=table))


def _purpose(scope: Scope, unit: Unit) -> Purpose:
    """What a unit's template is for."""
    with scope.reads() as session:
        template_id = row_of(scope, session, unit).template_id
    return purposes.purpose_of(scope, unit.channel_id, template_id)


def withdraw(scope: Scope, unit: Unit) -> None:
    """Take everybody off the list of an outside channel who was kept off it after processing. May be repeated."""
    if scope.warehouse.value(queries.COUNT_BATCH, batch=unit.start, **unit.bindings):
        scope.warehouse.execute(queries.WITHDRAW, **unit.bindings)
        with scope.records() as session:
            row_of(scope, session, unit).recipients = int(scope.warehouse.value(queries.COUNT_UNIT, **unit.bindings))
            recipient_codes.take_back(scope, session, unit.campaign, unit.channel_id)


def send_batch(scope: Scope, unit: Unit, number: int, low: str, high: str) -> bool:
    """Send to the recipients after low up to high, or WHOLE. False when the campaign was canceled. May be repeated."""
    batch = unit.start + number
    with lease(scope, unit.lease_name) as held:
        if not is_open(scope, unit):
            return False
        rows = scope.warehouse.rows(queries.BATCH, low=low, high=high, **unit.bindings)
        templates = {str(customer_id): int(template_id) for customer_id, template_id in rows}
        claims = ledger.claim(scope, held, unit, batch, list(templates), templates=templates)
        _deliver(scope, held, unit, claims, attempt=0)
        ledger.flush(scope, held, unit, batch)
    return True


def send_retries(scope: Scope, unit: Unit, number: int, attempt: int) -> int:
    """Try up to a batch of temporary failures again; how many were tried. attempt counts retries from 1."""
    batch = unit.retries + number
    with lease(scope, unit.lease_name) as held:
        if not is_open(scope, unit):
            return 0
        size_of_batch = tenant_settings(scope, CampaignSettings).batch_size
        claims, size = ledger.claim_retries(scope, held, unit, batch, attempt, size_of_batch)
        if unit.has_own_times:
            claims = own_times.not_quiet(scope, held, unit, claims)
        _deliver(scope, held, unit, claims, attempt)
        ledger.flush(scope, held, unit, batch)
    return size


def _delays(scope: Scope) -> list[float]:
    return tenant_settings(scope, CampaignSettings).retry_delays


def abandon(scope: Scope, unit: Unit, reason: str) -> None:
    """Give up a unit that cannot be sent: what was sent counts as that, what was not fails with the reason."""
    with lease(scope, unit.lease_name) as held:
        ledger.give_up(scope, held, unit, reason)
        close_rest(scope, unit.campaign.id, "failed", reason, unit)


def forget(scope: Scope, unit: Unit) -> None:
    """Drop a finished unit's ledger, which a list that is pulled has none of.

    That of an A/B test is dropped with that of the rest, once the rest has begun: they are one.
    """
    if channels.is_pulled(scope, unit.channel_id):
        return
    with lease(scope, unit.lease_name) as held:
        if unit.portion is not Portion.TEST or not winners.is_rest_sent(scope, unit):
            ledger.drop(scope, held, unit)


def _deliver(scope: Scope, held: HeldLease, unit: Unit, claims: Sequence[Claim], attempt: int) -> None:
    """Send claimed messages and settle each as its reply comes; what must not leave now waits for its time."""
    if not claims:
        return
    channel, tries = channels.channel(scope, unit.channel_id), ledger.Tries(_delays(scope), attempt)
    claim_of = {claim.message_id: claim for claim in claims}
    pace, providers = Pace(scope, channel, claims[0].source), dict[str, str]()
    away: dict[Claim, Receipt] = {}
    goes_on = channel.behaviour.has_providers
    with (
        closing(_written_ahead(scope, unit, channel, claims)) as parts,
        transports.transports(scope.stores).of(scope, channel, for_many=len(claims) >= MANY) as transport,
        Settlements(scope, held, unit, tries) as settlements,
    ):
        messages = _sendable(scope, unit, settlements, claim_of, parts, pace, providers)
        for receipts in transport.send_many(takewhile(lambda _: goes_on or not away, messages)):
            away.update({claim_of[receipt.message_id]: receipt for receipt in receipts if receipt.away})
            tried = {claim_of[receipt.message_id]: receipt for receipt in receipts if not receipt.away}
            if tried:
                settlements.add(tried)
                first = [(claim, receipt) for claim, receipt in tried.items() if not claim.attempts]
                pace.heard([(providers[claim.message_id], receipt) for claim, receipt in first])
    if away and goes_on:
        unreached.wait_for_providers(scope, held, unit, away)
    elif away:
        unreached.wait_for_server(scope, held, unit, claims, away)
        return
    if len(providers) < len(claims):  # paused meanwhile: the rest stays claimed for the same reason
        raise work.Later


def _sendable(
    scope: Scope,
    unit: Unit,
    settlements: Settlements,
    claim_of: Mapping[str, Claim],
    parts: Iterable[Mapping[str, Written]],
    pace: Pace,
    providers: dict[str, str],
) -> Iterator[Message]:
    """The messages to send of what was written, whose providers are noted; the rest is settled, or held.

    A provider that turns out to be slow gets no more from there on. Once the run is paused no more leaves.
    """
    first = precedence(scope.stores)
    for written in parts:
        unwritten = {claim_of[name]: receipt for name, receipt in written.items() if isinstance(receipt, Receipt)}
        providers |= dict.fromkeys((claim.message_id for claim in unwritten), "")
        if unwritten:
            settlements.add(unwritten)
        messages = [message for message in written.values() if isinstance(message, Message)]
        for begin in range(0, len(messages), BETWEEN_LOOKS):
            if lateness.is_paused(scope, unit):
                return
            until: dict[Claim, datetime] = {}
            looked = messages[begin : begin + BETWEEN_LOOKS]
            for few in range(0, len(looked), BETWEEN_RESTS):
                began = time.monotonic()
                yield from _paced(looked[few : few + BETWEEN_RESTS], claim_of, pace, providers, until)
                first.give_way(time.monotonic() - began)
            if until:
                ahead = now_of(scope, unit) - OUTSIDE_CLOCK.now() if unit.has_own_times else timedelta()
                settlements.hold({claim: at + ahead for claim, at in until.items()})


def _paced(
    messages: Sequence[Message],
    claim_of: Mapping[str, Claim],
    pace: Pace,
    providers: dict[str, str],
    until: dict[Claim, datetime],
) -> Iterator[Message]:
    """Those of messages that may leave now; until when the others wait is entered."""
    until |= {claim_of[name]: at for name, at in pace.held(messages).items()}
    for message in messages:
        claim = claim_of[message.message_id]
        providers[message.message_id] = provider = pace.provider(message)
        if claim in until:
            continue
        if (rests_until := pace.resting_until(provider)) is not None:
            until[claim] = rests_until
            continue
        yield message


def _written_ahead(
    scope: Scope, unit: Unit, channel: Channel, claims: Sequence[Claim]
) -> Generator[dict[str, Written], None, None]:
    """What is written of claims, a part at a time: the next ones are written while the one before them leaves.

    A part is as large as what leaves in a moment: what is written together costs less, and so little is written ahead
    that who says no in between is heard before the message leaves.
    """
    size = WRITTEN_TOGETHER
    with ThreadPoolExecutor(PARTS_AHEAD, "writing") as thread:
        ahead: deque[Future[dict[str, Written]]] = deque()
        begin = 0
        while begin < len(claims):
            ahead.append(thread.submit(_written, scope, unit, channel, claims[begin : begin + size]))
            begin += size
            if len(ahead) > PARTS_AHEAD:
                part, began = ahead.popleft().result(), time.monotonic()
                yield part
                a_second = len(part) / max(time.monotonic() - began, 0.001)
                most = WRITTEN_TOGETHER if precedence(scope.stores).is_claimed else MOST_TOGETHER
                size = min(max(round(a_second * AHEAD_SECONDS), WRITTEN_TOGETHER), most)
        while ahead:
            yield ahead.popleft().result()


def _written(scope: Scope, unit: Unit, channel: Channel, claims: Sequence[Claim]) -> dict[str, Written]:
    """The messages of claims, or why there is none, by message id."""
    began = time.monotonic()
    products = _products(scope, unit, [claim.customer_id for claim in claims])
    in_tags = rewards.in_tags(scope, unit.campaign, [claim.customer_id for claim in claims])
    drafts: dict[int, list[Draft]] = defaultdict(list)
    for claim in claims:
        customer_id = claim.customer_id
        extra = {"promo_code": claim.promo_code, "products": products[customer_id], **in_tags[customer_id]}
        drafts[claim.template_id].append(Draft(claim.message_id, claim.customer_id, extra))
    origin = Origin(
        channel_id=channel.id,
        campaign_id=unit.campaign.id,
        recipient_group_id=unit.group,
        action_id=claims[0].action_id,
        delivery_date=unit.campaign.execution_date.isoformat(),
    )
    written: dict[str, Written] = {}
    with scope.records() as session:
        session.execute(NOT_AWAITED)
        for template_id, of_template in drafts.items():
            of_variant = replace(origin, template_id=template_id)
            try:
                written |= content.write(scope, session, channel, of_variant, of_template)
            except (NotFound, Invalid) as fault:
                if unit.portion is not Portion.TEST:
                    raise
                # One variant that cannot be written takes none of the others with it.
                written |= content.unwritten(of_template, fault.message)
    precedence(scope.stores).give_way(time.monotonic() - began)
    return written


def _products(scope: Scope, unit: Unit, customer_ids: Sequence[str]) -> dict[str, list[str]]:
    products: dict[str, list[str]] = defaultdict(list)
    if unit.campaign.plan.products:
        rows = scope.warehouse.rows(queries.PRODUCTS, customers=list(customer_ids), **unit.bindings)
        for customer_id, name in rows:
            products[customer_id].append(name)
    return products


def held_for(scope: Scope, unit: Unit) -> float | None:
    """In how many seconds the first message of a unit is due that waits after its rounds; None when none does, or the
    campaign was canceled.

    What waits for a round is due: there would be one more if the tenant had changed its settings in time.
    """
    if not is_open(scope, unit):
        return None
    with scope.reads() as session:
        if reading.to_retry(session, unit.mailing(scope)):
            return 0.0
        until = reading.held_until(session, unit.mailing(scope))
    return None if until is None else max((until - now_of(scope, unit)).total_seconds(), 0.0)


def waiting(scope: Scope, unit: Unit) -> int:
    """How many messages of a unit are to be tried again."""
    with scope.reads() as session:
        return reading.to_retry(session, unit.mailing(scope))
