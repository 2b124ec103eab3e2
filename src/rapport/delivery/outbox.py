"""The one way of a message through the records: entered, claimed, renewed, settled, given up, dropped.

A message is claimed before it leaves. Each claim has a number, and every change by whoever claimed it names that
number: once somebody else has claimed the message, or given it up, an earlier claim changes nothing any more. After
kill -9 only messages that were in flight are in doubt; they are claimed again and leave under the same message id.

Two ways lead to a claim. Messages of a batch are claimed by the step that sends the batch, under its lease. Those
without a batch are claimed when they are due, for a while, and the claim is renewed as long as its process lives. A
source that has a sender in its own process may enter them claimed, and hand them over.
"""

# ruff: noqa: S608 - statements are put together of constants

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import Connection, CursorResult, RowMapping, TextClause, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.delivery.ids import message_id_sql
from rapport.delivery.models import DUE as DUE_AT
from rapport.delivery.models import IS_OPEN, Source, State
from rapport.redemptions import allocation
from rapport.stores.workers.listening import Topic, publish

Records = Session | Connection
REASON_LENGTH = 300
UNSENT = [State.FAILED, State.SUPPRESSED, State.SKIPPED, State.NO_ADDRESS]

# Entries are rows of `entry`: members of Entry, with a message id and the state in which the message comes in.
INSERT = f"""
    INSERT INTO messages (tenant_id, source, source_id, channel_id, customer_id, recipient_group_id, template_id,
        action_id, promo_code, batch, message_id, state, reason, due_at, attempts, claims)
    SELECT :tenant_id, :source, entry.source_id, entry.channel_id, entry.customer_id, entry.recipient_group_id,
        entry.template_id, entry.action_id, entry.promo_code, :batch, entry.message_id, entry.state, entry.reason,
        entry.due_at, 0, CASE WHEN entry.state = '{State.CLAIMED}' THEN 1 ELSE 0 END
"""
# A message of a batch is claimed at once, unless it waits for an instant.
ENTRIES = f"""
    FROM (
        SELECT given.source_id, given.channel_id, given.customer_id, given.recipient_group_id, given.template_id,
            given.action_id, given.promo_code, given.reason, given.due_at, {{message_id}} AS message_id,
            CASE WHEN CAST(:batch AS integer) IS NULL OR given.due_at IS NOT NULL THEN given.state
                ELSE '{State.CLAIMED}' END AS state
        FROM json_to_recordset(CAST(:entries AS json)) AS given (source_id bigint, channel_id int, customer_id text,
            recipient_group_id int, template_id int, action_id int, promo_code text, state text, reason text,
            due_at timestamptz)
    ) AS entry
"""
# Whoever enters a batch again claims what of it is in doubt: it was claimed, and whether it left nobody knows.
ENTER = f"""
    {INSERT} {ENTRIES}
    ON CONFLICT (tenant_id, source, source_id, channel_id, customer_id) DO UPDATE SET claims = messages.claims + 1
        WHERE messages.state = '{State.CLAIMED}' AND messages.batch = excluded.batch
"""
# For a source that enters its own rows and their messages in one statement, where it has the entries as a table.
ENTER_TABLE = f"{INSERT} FROM entry RETURNING *"

CLAIM = f"""
    WITH RECURSIVE {{picked}}
    UPDATE messages SET state = '{State.CLAIMED}', claims = messages.claims + 1, due_at = :due_at,
        batch = coalesce(:batch, messages.batch)
    FROM picked WHERE messages.id = picked.id
    RETURNING messages.*
"""
# Messages of a source that are due, of each channel as many as it has room for, those that are due longest first.
# Channels are found by steps through the index.
DUE = f"""
    waiting (tenant_id, channel_id) AS (
        (SELECT tenant_id, channel_id FROM messages WHERE source = :source AND batch IS NULL AND {IS_OPEN}
         ORDER BY tenant_id, channel_id LIMIT 1)
        UNION ALL
        SELECT following.tenant_id, following.channel_id FROM waiting CROSS JOIN LATERAL (
            SELECT tenant_id, channel_id FROM messages
            WHERE source = :source AND batch IS NULL AND {IS_OPEN}
                AND (messages.tenant_id, messages.channel_id) > (waiting.tenant_id, waiting.channel_id)
            ORDER BY tenant_id, channel_id LIMIT 1
        ) AS following
    ),
    busy (tenant_id, channel_id, messages) AS (
        SELECT * FROM unnest(CAST(:tenants AS integer[]), CAST(:channels AS integer[]), CAST(:messages AS integer[]))
    ),
    picked AS MATERIALIZED (
        SELECT due.id FROM (SELECT * FROM waiting ORDER BY random()) AS lane
        LEFT JOIN busy ON busy.tenant_id = lane.tenant_id AND busy.channel_id = lane.channel_id
        CROSS JOIN LATERAL (
            SELECT id FROM messages
            WHERE source = :source AND messages.tenant_id = lane.tenant_id AND messages.channel_id = lane.channel_id
                AND batch IS NULL AND {IS_OPEN} AND {DUE_AT} <= :now
            ORDER BY {DUE_AT}, id
            LIMIT greatest(:per_channel - coalesce(busy.messages, 0), 0)
            FOR UPDATE SKIP LOCKED
        ) AS due
        LIMIT :free
    )
"""
OF_MAILING = """tenant_id = :tenant_id AND source = :source AND source_id = :source_id AND channel_id = :channel_id
        AND recipient_group_id = :recipient_group_id AND batch IS NOT NULL"""
# The rows are picked first: as a subquery of IN they would be picked again for every row of the unit.
RETRIES = f"""
    picked AS MATERIALIZED (
        SELECT id FROM messages WHERE {OF_MAILING} AND state = '{State.PENDING}' AND attempts <= :attempts
            AND {DUE_AT} <= :now
        ORDER BY {DUE_AT}, customer_id LIMIT :size
    )
"""
IN_DOUBT = f"""
    picked AS MATERIALIZED (
        SELECT id FROM messages WHERE {OF_MAILING} AND batch = :batch AND state = '{State.CLAIMED}'
    )
"""

# Whoever changes several messages locks them in order of their ids, so that two never wait for each other for ever. A
# renewal that a hung server carries out late shortens no claim that a later one has renewed meanwhile.
RENEW = text(f"""
    WITH picked AS MATERIALIZED (
        SELECT messages.id FROM json_to_recordset(CAST(:claims AS json)) AS held (id bigint, claims int)
        JOIN messages ON messages.id = held.id AND messages.claims = held.claims
        WHERE messages.state = '{State.CLAIMED}' ORDER BY messages.id FOR UPDATE OF messages
    )
    UPDATE messages SET due_at = greatest(messages.due_at, :due_at) FROM picked WHERE messages.id = picked.id
""")
SETTLE = text(f"""
    WITH settled AS MATERIALIZED (
        SELECT messages.id, ended.state, ended.reason, ended.due_at, ended.answered
        FROM json_to_recordset(CAST(:settled AS json)) AS ended (id bigint, claims int, state text, reason text,
            due_at timestamptz, answered boolean)
        JOIN messages ON messages.id = ended.id AND messages.claims = ended.claims
        WHERE messages.tenant_id = :tenant_id AND messages.state IN ('{State.CLAIMED}', ended.state)
        ORDER BY messages.id FOR UPDATE OF messages
    )
    UPDATE messages SET state = settled.state, reason = settled.reason, due_at = settled.due_at,
        attempts = messages.attempts
            + CASE WHEN settled.answered AND messages.state = '{State.CLAIMED}' THEN 1 ELSE 0 END
    FROM settled WHERE messages.id = settled.id
""")
# What waits and was due before an instant, a part of it as a batch of its own.
GIVE_UP_LATE = text(f"""
    WITH picked AS MATERIALIZED (
        SELECT id FROM messages WHERE {OF_MAILING} AND state = '{State.PENDING}' AND due_at < :due_before
        ORDER BY {DUE_AT}, customer_id LIMIT :size
    )
    UPDATE messages SET state = '{State.FAILED}', reason = :reason, claims = messages.claims + 1, batch = :batch
    FROM picked WHERE messages.id = picked.id
""")
# What waits for the same thing and is due before it comes.
PUT_OFF = text(f"""
    WITH picked AS MATERIALIZED (
        SELECT id FROM messages
        WHERE {OF_MAILING} AND state = '{State.PENDING}' AND reason = :reason AND due_at < :until
        ORDER BY id FOR UPDATE
    )
    UPDATE messages SET due_at = :until FROM picked WHERE messages.id = picked.id
""")
GIVE_UP = text(f"""
    WITH picked AS MATERIALIZED (SELECT id FROM messages WHERE {OF_MAILING} AND {IS_OPEN} ORDER BY id FOR UPDATE)
    UPDATE messages SET state = '{State.FAILED}', reason = :reason, claims = messages.claims + 1
    FROM picked WHERE messages.id = picked.id
""")
DROP = text("""
    WITH picked AS MATERIALIZED (
        SELECT messages.id FROM json_to_recordset(CAST(:ended AS json))
            AS ended (tenant_id int, source_id bigint, channel_id int, recipient_group_id int)
        JOIN messages ON messages.tenant_id = ended.tenant_id AND messages.source_id = ended.source_id
            AND messages.channel_id = coalesce(ended.channel_id, messages.channel_id)
            AND messages.recipient_group_id = coalesce(ended.recipient_group_id, messages.recipient_group_id)
        WHERE messages.source = :source ORDER BY messages.id FOR UPDATE OF messages
    )
    DELETE FROM messages USING picked WHERE messages.id = picked.id
""")
# What nobody has claimed yet; what is being claimed is left to whoever claims it.
WITHDRAW = text(f"""
    WITH picked AS MATERIALIZED (
        SELECT id FROM messages WHERE tenant_id = :tenant_id AND source = :source AND source_id = ANY(:source_ids)
            AND state = '{State.PENDING}' AND claims = 0
        ORDER BY id FOR UPDATE SKIP LOCKED
    )
    DELETE FROM messages USING picked WHERE messages.id = picked.id RETURNING messages.source_id
""")


@dataclass(frozen=True, slots=True)
class Entry:
    """A message to a customer that is to leave, or that is known not to: then with the state and the reason.

    customer_id is empty for a visitor whom nobody knows. due_at is when it is to leave at the earliest; None: at once.
    """

    source_id: int
    channel_id: int
    customer_id: str
    recipient_group_id: int
    template_id: int
    action_id: int
    promo_code: str
    state: State = State.PENDING
    reason: str = ""
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is the caller's to send. attempts are those before this one; claims is the number of the claim."""

    id: int
    tenant_id: int
    source: Source
    source_id: int
    channel_id: int
    customer_id: str
    recipient_group_id: int
    template_id: int
    action_id: int
    promo_code: str
    message_id: str
    attempts: int
    claims: int


OF_CLAIM = [member.name for member in fields(Claim)]


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a message: a final state, or PENDING to be tried again, at once or at an instant.

    answered: whether its server was asked and answered, which counts as an attempt.
    """

    claim: Claim
    state: State
    reason: str = ""
    due_at: datetime | None = None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Mailing:
    """What a source sends to one recipient group on one channel, in batches."""

    tenant_id: int
    source: Source
    source_id: int
    channel_id: int
    recipient_group_id: int


def enter(
    scope: Scope, records: Records, source: Source, entries: Sequence[Entry], batch: int | None = None
) -> list[Claim]:
    """Enter messages, each once; whoever sends what is due is told when the caller's transaction commits.

    With a batch they are claimed at once, unless they wait for an instant. Of a batch that is entered again the claims
    are those in doubt: entered, claimed and not settled.
    """
    if not entries:
        return []
    parameters = {"tenant_id": scope.tenant_id, "source": source, "batch": batch}
    parameters["entries"] = orjson.dumps(entries).decode()
    entered = records.execute(_enter(source, tells_claims=batch is not None), parameters)
    if batch is not None:
        claimed = (row for row in entered if row.state == State.CLAIMED)
        return [Claim(id_, tenant_id, source, *others) for id_, tenant_id, _, *others, _ in claimed]
    if any(entry.state is State.PENDING for entry in entries):
        publish(records, Topic.MESSAGES)
    return []


@cache
def _enter(source: Source, *, tells_claims: bool) -> TextClause:
    """The statement by which messages of a source are entered."""
    place = ("given.source_id", "given.channel_id", "given.customer_id")
    statement = ENTER.format(message_id=message_id_sql("CAST(:tenant_id AS integer)", source, *place))
    return text(f"{statement} RETURNING {', '.join(OF_CLAIM)}, state" if tells_claims else statement)


def claim_due(
    records: Records,
    source: Source,
    free: int,
    per_channel: int,
    busy: Mapping[tuple[int, int], int],
    now: datetime,
    until: datetime,
) -> list[Claim]:
    """Claim up to free messages of a source that are due, until an instant; of each channel at most per_channel in all.

    busy counts those of a tenant's channel that the caller has under way.
    """
    parameters = {
        "source": source,
        "tenants": [tenant for tenant, _ in busy],
        "channels": [channel for _, channel in busy],
        "messages": list(busy.values()),
        "per_channel": per_channel,
        "free": free,
        "now": now,
        "due_at": until,
    }
    return _claimed(records, DUE, {**parameters, "batch": None})


def claim_retries(
    records: Records, mailing: Mailing, batch: int, attempts: int, size: int, now: datetime
) -> list[Claim]:
    """Claim up to size messages that were refused for now, after at most so many attempts, as a batch of their own;
    what waits for an instant is claimed only after it.
    """
    parameters = {**asdict(mailing), "batch": batch, "attempts": attempts, "size": size, "due_at": None, "now": now}
    return _claimed(records, RETRIES, parameters)


def claim_again(records: Records, mailing: Mailing, batch: int) -> list[Claim]:
    """Claim what is in doubt of a batch that was begun before."""
    return _claimed(records, IN_DOUBT, {**asdict(mailing), "batch": batch, "due_at": None})


def renew(records: Records, claims: Sequence[Claim], until: datetime) -> None:
    """Say that these are still being sent, and stay claimed until an instant."""
    rows = [{"id": claim.id, "claims": claim.claims} for claim in claims]
    records.execute(RENEW, {"claims": _json(rows), "due_at": until})


def settle(scope: Scope, records: Records, settled: Sequence[Settled]) -> int:
    """Enter what became of messages of a tenant; how many of the claims were still good. Safe to repeat."""
    rows = [
        {
            "id": ended.claim.id,
            "claims": ended.claim.claims,
            "state": ended.state,
            "reason": ended.reason[:REASON_LENGTH],
            "due_at": ended.due_at,
            "answered": ended.answered,
        }
        for ended in settled
    ]
    changed = _changed(records.execute(SETTLE, {"tenant_id": scope.tenant_id, "settled": _json(rows)}))
    if unsent := [ended.claim.id for ended in settled if ended.claim.promo_code and ended.state in UNSENT]:
        allocation.give_back(scope, records, unsent, UNSENT)
    return changed


def put_off(records: Records, mailing: Mailing, reason: str, until: datetime) -> None:
    """Let everything wait until an instant that waits for the same reason and is due before."""
    records.execute(PUT_OFF, {**asdict(mailing), "reason": reason[:REASON_LENGTH], "until": until})


def give_up(records: Records, mailing: Mailing, reason: str) -> None:
    """Let everything fail that is not settled; whoever has claimed some of it cannot settle it any more."""
    records.execute(GIVE_UP, {**asdict(mailing), "reason": reason[:REASON_LENGTH]})
    allocation.give_back_of_mailing(records, asdict(mailing), UNSENT)


def give_up_late(records: Records, mailing: Mailing, batch: int, due_before: datetime, size: int, reason: str) -> int:
    """Let up to size messages fail that wait and were due before an instant, as a batch of their own; how many."""
    parameters = {"batch": batch, "due_before": due_before, "size": size, "reason": reason[:REASON_LENGTH]}
    changed = _changed(records.execute(GIVE_UP_LATE, {**asdict(mailing), **parameters}))
    allocation.give_back_of_mailing(records, asdict(mailing), UNSENT)
    return changed


def drop_mailing(records: Records, mailing: Mailing) -> None:
    """Forget the messages of a mailing that has ended."""
    records.execute(DROP, {"source": mailing.source, "ended": _json([asdict(mailing)])})


def drop_sources(records: Records, source: Source, sources: Sequence[tuple[int, int]]) -> int:
    """Forget the messages of sources, given as tenant and id; how many there were."""
    ended = [{"tenant_id": tenant_id, "source_id": source_id} for tenant_id, source_id in sources]
    return _changed(records.execute(DROP, {"source": source, "ended": _json(ended)}))


def withdraw(scope: Scope, records: Records, source: Source, source_ids: Sequence[int]) -> list[int]:
    """Take messages of sources back that nobody has begun to send; the sources of those that never leave now."""
    parameters = {"tenant_id": scope.tenant_id, "source": source, "source_ids": list(source_ids)}
    return list(records.execute(WITHDRAW, parameters).scalars())


def _claimed(records: Records, picked: str, parameters: Mapping[str, Any]) -> list[Claim]:
    return [claim_of(row) for row in records.execute(text(CLAIM.format(picked=picked)), parameters).mappings()]


def claim_of(row: RowMapping) -> Claim:
    """The claim that a row of messages is, to whoever has just made it."""
    members = {name: row[name] for name in OF_CLAIM}
    return Claim(**members | {"source": Source(row["source"])})


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(rows).decode()


def _changed(result: Any) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
