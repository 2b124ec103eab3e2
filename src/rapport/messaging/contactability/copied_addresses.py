"""Suppressed addresses of channels, kept on another channel as well."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from rapport.access import kept
from rapport.access.pseudonyms import pseudonyms
from rapport.access.scope import Scope
from rapport.messaging.contactability.suppressed_addresses import NAMELESS, SUPPRESSED

# What was kept first of an address and who said no for it goes on; bounces say something of one channel only.
COPY = text("""
    INSERT INTO suppressed_addresses
        (tenant_id, mark, channel_id, app_key, customer_key, listed, added_at, reason, source, address)
    SELECT DISTINCT ON (mark, customer_key) :tenant_id, mark, CAST(:channel_id AS integer), '', customer_key, listed,
        added_at, reason, source, address
    FROM suppressed_addresses
    WHERE tenant_id = :tenant_id AND channel_id = ANY(CAST(:channels AS integer[])) AND app_key = ''
        AND listed = :listed AND reason <> 'bounced'
    ORDER BY mark, customer_key, added_at
    ON CONFLICT DO NOTHING
    RETURNING mark, customer_key, reason, source
""")


def copy(scope: Scope, session: Session, channel_ids: Sequence[int], channel_id: int) -> int:
    """Keep on a channel the addresses that are suppressed on others by wish, in the caller's transaction; how many are
    new.
    """
    parameters = {"tenant_id": scope.tenant_id, "channels": list(channel_ids), "listed": SUPPRESSED}
    by_why: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for row in session.execute(COPY, {**parameters, "channel_id": channel_id}):
        by_why[row.reason, row.source].append((row.mark, row.customer_key))
    for (reason, source), new in by_why.items():
        where = {"channel": channel_id, "app": "", "listed": SUPPRESSED, "reason": reason, "source": source}
        nameless = [[mark, key] for mark, key in new if NAMELESS.fullmatch(key)]
        named = [(mark, key) for mark, key in new if not NAMELESS.fullmatch(key)]
        persons = pseudonyms(scope, [key for _, key in named])
        of_named = [[mark, person] for (mark, _), person in zip(named, persons, strict=True)]
        kept.keep_wish(scope, kept.ADDRESSES, where, [*nameless, *of_named])
    return sum(map(len, by_why.values()))
