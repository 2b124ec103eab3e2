"""The messages of a unit in the outbox: claimed before each leaves, settled on each reply, moved to the warehouse per
batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rapport.access.scope import Scope
from rapport.campaigns.delivery import recipient_codes
from rapport.campaigns.delivery.units import Unit, now_of, row_of
from rapport.campaigns.leases import HeldLease, LeaseLost
from rapport.campaigns.runs import queries
from rapport.channels.messages import Receipt
from rapport.delivery import outbox, reading
from rapport.delivery.models import Source, State
from rapport.delivery.outbox import Claim, Entry, Settled


@dataclass(frozen=True)
class Tries:
    """Seconds before each retry of a message, and which round of sending of its unit this is: retries count from 1."""

    delays: Sequence[float]
    round: int


def claim(
    scope: Scope,
    held: HeldLease,
    unit: Unit,
    batch: int,
    customers: Sequence[str],
    due_at: Mapping[str, datetime] | None = None,
    templates: Mapping[str, int] | None = None,
) -> list[Claim]:
    """Enter a batch's messages before they leave; those of them that are to be sent, which are none that have a due_at.

    due_at: until when the messages of customers wait; templates: what each customer gets, if that is not the same.
    """
    with scope.reads() as session:
        row = row_of(scope, session, unit)
    entries = [
        Entry(
            source_id=unit.campaign.id,
            channel_id=unit.channel_id,
            customer_id=customer_id,
            recipient_group_id=unit.group,
            template_id=templates[customer_id] if templates else row.template_id,
            action_id=row.action_id,
            promo_code=row.promo_code,
            due_at=due_at[customer_id] if due_at else None,
        )
        for customer_id in customers
    ]
    return outbox.enter(scope, held.connection, Source.RUN, entries, batch)


def claim_retries(
    scope: Scope, held: HeldLease, unit: Unit, batch: int, attempts: int, size: int
) -> tuple[list[Claim], int]:
    """Take up to size messages that failed for now, tried at most so often, as a batch.

    Those to be sent, and how many belong to the batch: a repeated call gives what is left of the same ones.
    """
    mailing = unit.mailing(scope)
    begun = reading.batch_size(held.connection, mailing, batch)
    if begun:
        return outbox.claim_again(held.connection, mailing, batch), begun
    claims = outbox.claim_retries(held.connection, mailing, batch, attempts, size, now_of(scope, unit))
    return claims, len(claims)


def settle(scope: Scope, held: HeldLease, unit: Unit, receipts: Mapping[Claim, Receipt], tries: Tries) -> None:
    """Enter what became of messages; a temporary failure is to be retried unless this was the message's last try.

    What has left is entered even if the records are away meanwhile.
    """
    now = now_of(scope, unit)
    _enter(scope, held, unit, [_became(claimed, receipt, tries, now) for claimed, receipt in receipts.items()])


def hold(scope: Scope, held: HeldLease, unit: Unit, until: Mapping[Claim, datetime]) -> None:
    """Enter that messages were not tried, and wait for an instant."""
    waiting = [Settled(claimed, State.PENDING, "", at, answered=False) for claimed, at in until.items()]
    _enter(scope, held, unit, waiting)


def put_off(scope: Scope, held: HeldLease, unit: Unit, claims: Sequence[Claim], reason: str, until: datetime) -> None:
    """Enter that messages were not tried for a reason and wait for an instant, as do others that wait for the same."""
    _enter(scope, held, unit, [Settled(claimed, State.PENDING, reason, until, answered=False) for claimed in claims])
    held.note(lambda records: outbox.put_off(records, unit.mailing(scope), reason, until))


def fail(scope: Scope, held: HeldLease, unit: Unit, claims: Sequence[Claim], reason: str) -> None:
    """Enter that messages were not tried and never will be."""
    _enter(scope, held, unit, [Settled(claimed, State.FAILED, reason, answered=False) for claimed in claims])


def _enter(scope: Scope, held: HeldLease, unit: Unit, settled: Sequence[Settled]) -> None:
    if held.note(lambda records: outbox.settle(scope, records, settled)) < len(settled):
        raise LeaseLost(f"Another worker sends campaign {unit.campaign.id} on channel {unit.channel_id} now.")


def _became(claimed: Claim, receipt: Receipt, tries: Tries, now: datetime) -> Settled:
    """What a reply says of a message. After a refusal for now it waits for the next round of its unit.

    It has a time of its own where its server asked for one, and where its unit was ahead of it, because it had been
    held: else the rounds of its unit would take its tries from it at once.
    """
    if State(receipt.outcome) is not State.FAILED or receipt.permanent or claimed.attempts >= len(tries.delays):
        return Settled(claimed, State(receipt.outcome), receipt.reason)
    if not receipt.retry_after and claimed.attempts == tries.round:
        return Settled(claimed, State.PENDING, receipt.reason)
    seconds = max(receipt.retry_after, tries.delays[claimed.attempts])
    return Settled(claimed, State.PENDING, receipt.reason, now + timedelta(seconds=seconds))


def flush(scope: Scope, held: HeldLease, unit: Unit, batch: int) -> None:
    """Write the outcomes of a batch to the warehouse, once."""
    at = scope.clock.now()
    rows = reading.ended(held.connection, unit.mailing(scope), batch)
    if rows and not scope.warehouse.value(queries.COUNT_BATCH, batch=batch, **unit.bindings):
        day, campaign = unit.campaign.execution_date, unit.campaign.id
        recipient_codes.keep_of_messages(
            scope, unit, {name: who for who, state, _, name in rows if state == State.SENT}
        )
        names = ["execution_date", "campaign_id", "customer_id", "channel_id", "outcome", "reason", "message_id"]
        scope.warehouse.insert(
            "campaign_outcomes",
            [*names, "batch", "recorded_at"],
            [
                (day, campaign, customer_id, unit.channel_id, state, reason, message_id, batch, at)
                for customer_id, state, reason, message_id in rows
            ],
        )


def give_up(scope: Scope, held: HeldLease, unit: Unit, reason: str) -> None:
    """Let fail what was entered and not settled; then flush() every batch."""
    mailing = unit.mailing(scope)
    outbox.give_up(held.connection, mailing, reason)
    for batch in reading.batches(held.connection, mailing):
        flush(scope, held, unit, batch)


def give_up_late(
    scope: Scope, held: HeldLease, unit: Unit, batch: int, due_before: datetime, size: int, reason: str
) -> int:
    """Let up to size messages fail, as a batch, that were due before an instant and wait; how many. May be repeated."""
    if scope.warehouse.value(queries.COUNT_BATCH, batch=batch, **unit.bindings):
        return 0
    late = outbox.give_up_late(held.connection, unit.mailing(scope), batch, due_before, size, reason)
    flush(scope, held, unit, batch)
    return late


def drop(scope: Scope, held: HeldLease, unit: Unit) -> None:
    """Forget a finished unit's messages: their outcomes are in the warehouse."""
    outbox.drop_mailing(held.connection, unit.mailing(scope))
