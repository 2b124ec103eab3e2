"""Unique codes for the recipients of messages: one each, when a message is written, and never the same for two.

A campaign names a unique promo code by its id, where it would name a code. The code that a message got stays its own
however often the message is tried, and returns to the others when the message was not sent.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.redemptions.states import PoolKind
from rapport.redemptions.targets import LINKED, of_other_campaigns

Records = Session | Connection
SEPARATOR = ","  # of several codes of one message
POOLS = text("""
    SELECT id FROM code_pools
    WHERE tenant_id = :tenant_id AND id = ANY(CAST(:names AS text[])) AND kind = :unique
""")
ALLOCATED = text("""
    SELECT message_id, pool_id, code FROM pool_codes
    WHERE tenant_id = :tenant_id AND message_id = ANY(CAST(:message_ids AS text[]))
""")
IN_FORCE = f"""pool.is_active AND (pool.starts_at IS NULL OR pool.starts_at <= :now)
        AND (pool.expires_at IS NULL OR pool.expires_at > :now)
        AND {LINKED}"""
ALLOCATE = text(f"""
    WITH wanted AS (
        SELECT message_id, person, place FROM unnest(CAST(:message_ids AS text[]), CAST(:persons AS text[]))
            WITH ORDINALITY AS asked (message_id, person, place)
    ),
    free AS MATERIALIZED (
        SELECT code_key FROM pool_codes
        WHERE tenant_id = :tenant_id AND pool_id = :pool_id AND redemption_id IS NULL AND message_id IS NULL
            AND EXISTS (
                SELECT 1 FROM code_pools AS pool
                WHERE pool.tenant_id = :tenant_id AND pool.id = :pool_id AND {IN_FORCE}
            )
        LIMIT :most FOR UPDATE SKIP LOCKED
    ),
    numbered AS (SELECT code_key, row_number() OVER () AS place FROM free)
    UPDATE pool_codes SET message_id = wanted.message_id, person = nullif(wanted.person, '')
    FROM numbered INNER JOIN wanted ON wanted.place = numbered.place
    WHERE pool_codes.tenant_id = :tenant_id AND pool_codes.code_key = numbered.code_key
    RETURNING pool_codes.message_id, pool_codes.code
""")  # noqa: S608 - a condition of ours
# A code must not be free again, after a loss of power, while its message has left.
AWAITED = text("SET LOCAL synchronous_commit TO on")
GIVE_BACK = """
    UPDATE pool_codes SET message_id = NULL, person = NULL FROM messages
    WHERE messages.tenant_id = :tenant_id AND messages.promo_code <> ''
        AND messages.state = ANY(CAST(:unsent AS text[]))
        AND pool_codes.tenant_id = messages.tenant_id AND pool_codes.message_id = messages.message_id
        AND pool_codes.redemption_id IS NULL AND {which}
"""
GIVE_BACK_OF_MESSAGES = text(GIVE_BACK.format(which="messages.id = ANY(CAST(:ids AS bigint[]))"))
GIVE_BACK_OF_MAILING = text(
    GIVE_BACK.format(
        which="""messages.source = :source AND messages.source_id = :source_id AND messages.channel_id = :channel_id
        AND messages.recipient_group_id = :recipient_group_id"""
    )
)
TAKE_BACK = text("""
    UPDATE pool_codes SET message_id = NULL, person = NULL
    WHERE tenant_id = :tenant_id AND message_id = ANY(CAST(:message_ids AS text[])) AND redemption_id IS NULL
""")


@dataclass(frozen=True)
class Wanted:
    """A message whose promo codes are to be written. person is the CustomerID, empty for nobody's message."""

    message_id: str
    person: str
    promo_code: str


def allocate(scope: Scope, records: Records, campaign_id: int, drafts: Sequence[Wanted]) -> dict[str, str | None]:
    """What stands for the promo codes in messages of a campaign, by id: those of unique ones are the message's own.

    Global codes that are linked to other campaigns are left out. None for a message for which there is no code of its
    own, since all are taken, or the promo code is not in force or linked to other campaigns.
    """
    names = {name for message in drafts for name in message.promo_code.split(SEPARATOR) if name}
    if not names:
        return {message.message_id: message.promo_code for message in drafts}
    pools = sorted(records.execute(POOLS, _pools_among(scope, names)).scalars())
    foreign = of_other_campaigns(scope, records, names, campaign_id)
    if not pools and not foreign:
        return {message.message_id: message.promo_code for message in drafts}
    codes = _allocated(scope, records, [message.message_id for message in drafts])
    for pool_id in pools:
        missing = [
            message
            for message in sorted(drafts, key=lambda message: message.message_id)
            if pool_id in message.promo_code.split(SEPARATOR) and (message.message_id, pool_id) not in codes
        ]
        codes |= _taken(scope, records, campaign_id, pool_id, missing)
    return {message.message_id: _filled(message, pools, foreign, codes) for message in drafts}


def _taken(
    scope: Scope, records: Records, campaign_id: int, pool_id: str, missing: Sequence[Wanted]
) -> dict[tuple[str, str], str]:
    """Free codes of a pool that were taken for messages, by message and pool; fewer where there are not enough."""
    if not missing:
        return {}
    records.execute(AWAITED)
    parameters = {
        "tenant_id": scope.tenant_id,
        "pool_id": pool_id,
        "campaign_id": campaign_id,
        "message_ids": [message.message_id for message in missing],
        "persons": [message.person.lower() for message in missing],
        "most": len(missing),
        "now": scope.clock.now(),
    }
    return {(row.message_id, pool_id): row.code for row in records.execute(ALLOCATE, parameters)}


def _allocated(scope: Scope, records: Records, message_ids: Sequence[str]) -> dict[tuple[str, str], str]:
    parameters = {"tenant_id": scope.tenant_id, "message_ids": list(message_ids)}
    return {(row.message_id, row.pool_id): row.code for row in records.execute(ALLOCATED, parameters)}


def _filled(
    message: Wanted, pools: Collection[str], foreign: Collection[str], codes: Mapping[tuple[str, str], str]
) -> str | None:
    names = [name for name in message.promo_code.split(SEPARATOR) if name in pools or name not in foreign]
    filled = [codes.get((message.message_id, name)) if name in pools else name for name in names]
    return None if None in filled else SEPARATOR.join(filter(None, filled))


def shown(scope: Scope, campaign_id: int, messages: Mapping[str, str]) -> dict[str, str]:
    """The promo codes that messages of a campaign had when they were written, by id; messages has those they name."""
    names = {name for promo_code in messages.values() for name in promo_code.split(SEPARATOR) if name}
    if not names:
        return dict(messages)
    with scope.reads() as session:
        codes = _allocated(scope, session, list(messages))
        foreign = of_other_campaigns(scope, session, names, campaign_id)
    return {
        id: SEPARATOR.join(
            codes.get((id, name), name)
            for name in promo_code.split(SEPARATOR)
            if (id, name) in codes or name not in foreign
        )
        for id, promo_code in messages.items()
    }


def has_unique(scope: Scope, records: Records, promo_code: str) -> bool:
    """Whether some of the promo codes of a message are unique ones."""
    names = promo_code.split(SEPARATOR) if promo_code else []
    return bool(names) and records.execute(POOLS, _pools_among(scope, names)).first() is not None


def _pools_among(scope: Scope, names: Iterable[str]) -> dict[str, Any]:
    return {"tenant_id": scope.tenant_id, "names": sorted(names), "unique": PoolKind.UNIQUE}


def take_back(scope: Scope, records: Records, message_ids: Sequence[str]) -> None:
    """Free the codes of messages of outside systems that were not sent, unless they are redeemed."""
    records.execute(TAKE_BACK, {"tenant_id": scope.tenant_id, "message_ids": list(message_ids)})


def give_back(scope: Scope, records: Records, ids: Sequence[int], unsent: Sequence[str]) -> None:
    """Free the codes of those messages, by their ids in the outbox, that are in a state in which they were not sent."""
    parameters = {"tenant_id": scope.tenant_id, "ids": list(ids), "unsent": list(unsent)}
    records.execute(GIVE_BACK_OF_MESSAGES, parameters)


def give_back_of_mailing(records: Records, mailing: Mapping[str, Any], unsent: Sequence[str]) -> None:
    """The same of a whole mailing: tenant_id, source, source_id, channel_id and recipient_group_id."""
    records.execute(GIVE_BACK_OF_MAILING, {**mailing, "unsent": list(unsent)})
