"""The ledger of messages: claimed before each leaves, settled on each reply, moved to the warehouse per batch.

After a kill only messages that were in flight are in doubt; they stand as claimed and are tried
again under the same message id. Every write names the lease's token and has no effect without it.
"""

# ruff: noqa: S608 - statements are put together of constants, checked identifiers and numbers

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.campaigns.delivery.units import Unit
from rapport.campaigns.leases import Held, LeaseLost
from rapport.campaigns.runs import queries
from rapport.channels.service import Receipt
from rapport.delivery import service as delivery

HOLDS = "EXISTS (SELECT 1 FROM campaign_leases WHERE tenant_id = :tenant_id AND name = :lease AND token = :token)"
OF_UNIT = "tenant_id = :tenant_id AND campaign_id = :campaign_id AND channel_id = :channel_id"

CLAIM = f"""
    INSERT INTO campaign_sends
        (tenant_id, campaign_id, channel_id, recipient_group_id, customer_id, message_id, batch, state, reason,
         attempts)
    SELECT :tenant_id, :campaign_id, :channel_id, :group, customer_id, message_id, :batch, 'claimed', '', 0
    FROM unnest(CAST(:customers AS text[]), CAST(:messages AS text[])) AS given (customer_id, message_id)
    WHERE {HOLDS}
    ON CONFLICT DO NOTHING
"""

# The rows are picked first: as a subquery of IN they would be picked again for every row of the unit.
CLAIM_RETRIES = f"""
    WITH due AS MATERIALIZED (
        SELECT customer_id AS who FROM campaign_sends
        WHERE {OF_UNIT} AND recipient_group_id = :group AND state = 'retry' AND attempts <= :attempts
        ORDER BY customer_id LIMIT :size
    )
    UPDATE campaign_sends SET batch = :batch, state = 'claimed' FROM due
    WHERE {OF_UNIT} AND customer_id = due.who AND {HOLDS}
"""

BATCH_SIZE = f"SELECT count(*) FROM campaign_sends WHERE {OF_UNIT} AND batch = :batch"
CLAIMED = f"""
    SELECT customer_id, message_id FROM campaign_sends
    WHERE {OF_UNIT} AND batch = :batch AND state = 'claimed' ORDER BY 1
"""
SETTLED = f"""
    SELECT customer_id, state, reason, message_id FROM campaign_sends
    WHERE {OF_UNIT} AND batch = :batch AND state IN ('sent', 'failed', 'suppressed', 'skipped')
"""

SETTLE = f"""
    UPDATE campaign_sends SET state = given.state, reason = given.reason,
        attempts = attempts + CASE WHEN campaign_sends.state = 'claimed' THEN 1 ELSE 0 END
    FROM unnest(CAST(:customers AS text[]), CAST(:states AS text[]), CAST(:reasons AS text[]))
        AS given (who, state, reason)
    WHERE {OF_UNIT} AND customer_id = given.who AND {HOLDS}
"""

BATCHES = f"SELECT DISTINCT batch FROM campaign_sends WHERE {OF_UNIT} AND recipient_group_id = :group ORDER BY 1"
DROP = f"DELETE FROM campaign_sends WHERE {OF_UNIT} AND recipient_group_id = :group"


def _bindings(held: Held, unit: Unit, **more: Any) -> dict[str, Any]:
    return {
        "tenant_id": held.tenant_id,
        "campaign_id": unit.campaign.id,
        "channel_id": unit.channel_id,
        "group": unit.group,
        "lease": held.name,
        "token": held.token,
        **more,
    }


def claim(held: Held, unit: Unit, batch: int, customers: Sequence[str]) -> dict[str, str]:
    """Enter a batch's messages before they leave; those of them that are to be sent, ids by customer."""
    place = (held.tenant_id, delivery.Source.RUN, unit.campaign.id, unit.channel_id)
    messages = [delivery.message_id(*place, customer) for customer in customers]
    bindings = _bindings(held, unit, batch=batch, customers=list(customers), messages=messages)
    held.connection.execute(text(CLAIM), bindings)
    return _claimed(held, unit, batch)


def claim_retries(held: Held, unit: Unit, batch: int, attempts: int, size: int) -> tuple[dict[str, str], int]:
    """Take up to size messages that failed for now, tried at most so often.

    Those to be sent, and how many belong to the batch: a repeated call gives what is left of the same ones.
    """
    whole = _bindings(held, unit, batch=batch, attempts=attempts, size=size)
    if not held.connection.execute(text(BATCH_SIZE), whole).scalar_one():
        held.connection.execute(text(CLAIM_RETRIES), whole)
    return _claimed(held, unit, batch), held.connection.execute(text(BATCH_SIZE), whole).scalar_one()


def _claimed(held: Held, unit: Unit, batch: int) -> dict[str, str]:
    rows = held.connection.execute(text(CLAIMED), _bindings(held, unit, batch=batch))
    return {row.customer_id: row.message_id for row in rows}


def settle(held: Held, unit: Unit, receipts: Mapping[str, Receipt], last: bool) -> None:
    """Enter what became of messages by customer; a temporary failure is to be retried unless this was the last try.

    What has left is entered even if the records are away meanwhile.
    """
    states = [
        "retry" if one.outcome == "failed" and not one.permanent and not last else one.outcome
        for one in receipts.values()
    ]
    reasons = [one.reason for one in receipts.values()]
    bindings = _bindings(held, unit, customers=list(receipts), states=states, reasons=reasons)
    if held.note(SETTLE, bindings) < len(receipts):
        raise LeaseLost(f"Another worker sends campaign {unit.campaign.id} on channel {unit.channel_id} now.")


def flush(scope: Scope, held: Held, unit: Unit, batch: int) -> None:
    """Write the outcomes of a batch to the warehouse, once."""
    at = scope.clock.now()
    rows = held.connection.execute(text(SETTLED), _bindings(held, unit, batch=batch)).all()
    if rows and not scope.warehouse.value(queries.COUNT_BATCH, batch=batch, **unit.bindings):
        day, campaign = unit.campaign.execution_date, unit.campaign.id
        names = ["execution_date", "campaign_id", "customer_id", "channel_id", "outcome", "reason", "message_id"]
        scope.warehouse.insert(
            "campaign_outcomes",
            [*names, "batch", "recorded_at"],
            [(day, campaign, who, unit.channel_id, state, why, mid, batch, at) for who, state, why, mid in rows],
        )


def flush_all(scope: Scope, held: Held, unit: Unit) -> None:
    """flush() of every batch of a unit that has something settled."""
    for batch in held.connection.execute(text(BATCHES), _bindings(held, unit)).scalars().all():
        flush(scope, held, unit, batch)


def drop(held: Held, unit: Unit) -> None:
    """Forget a finished unit's messages: their outcomes are in the warehouse."""
    held.connection.execute(text(DROP), _bindings(held, unit))
