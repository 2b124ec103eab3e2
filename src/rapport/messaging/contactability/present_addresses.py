"""The addresses that persons who must not be written to have by now: they may be loaded, or changed, after the wish."""

from collections import defaultdict

from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.messaging.contactability.exclusions import EXCLUDED, STANDS
from rapport.messaging.contactability.suppressed_addresses import (
    NOT_SUBSCRIBED,
    OPTED_OUT_OF_CHANNEL,
    SUPPRESSED,
    keep,
)
from rapport.messaging.models import EVERY_CHANNEL

KEPT_AT_ONCE = 10_000
SUPPRESSED_PERSONS = text("""
    SELECT channel_id, '', customer_id, reason, source FROM suppressions
    WHERE tenant_id = :tenant_id AND customer_id <> ''
    ORDER BY customer_key
""")
OPTED_OUT_PERSONS = text("""
    SELECT channel_id, app_key, customer_id, '' AS reason, '' AS source FROM channel_preferences
    WHERE tenant_id = :tenant_id AND customer_id <> '' AND mode = 2
    ORDER BY customer_key
""")
EXCLUDED_PERSONS = text(f"""
    SELECT DISTINCT CAST(:every_channel AS integer), '', customer_id, '' AS reason, '' AS source
    FROM exclusions WHERE tenant_id = :tenant_id AND customer_id <> '' AND {STANDS}
    ORDER BY customer_id
""").bindparams(every_channel=EVERY_CHANNEL)  # noqa: S608 - constants only
UNSUBSCRIBED_PERSONS = text("""
    SELECT :every_channel, 'topic ' || topic_id || ' ' || wire_channel_id, customer_id, '' AS reason, '' AS source
    FROM topic_subscriptions WHERE tenant_id = :tenant_id AND customer_id <> '' AND NOT subscribed
    ORDER BY customer_key
""").bindparams(every_channel=EVERY_CHANNEL)


def keep_again(scope: Scope) -> None:
    """Keep the addresses that persons who must not be written to have by now: loaded since, or changed. Once a day."""
    wishes = (
        (SUPPRESSED_PERSONS, SUPPRESSED),
        (UNSUBSCRIBED_PERSONS, NOT_SUBSCRIBED),
        (OPTED_OUT_PERSONS, OPTED_OUT_OF_CHANNEL),
        (EXCLUDED_PERSONS, EXCLUDED),
    )
    for sql, listed in wishes:
        customers_by_wish: dict[tuple[int, str, str, str], list[str]] = defaultdict(list)
        with scope.stores.records.reading() as connection:
            rows = connection.execute(sql, {"tenant_id": scope.tenant_id, "now": scope.clock.now()})
            for channel_id, app_key, customer_id, reason, source in rows:
                customers_by_wish[channel_id, app_key, reason, source].append(customer_id)
        for (channel_id, app_key, reason, source), customer_ids in sorted(customers_by_wish.items()):
            for begin in range(0, len(customer_ids), KEPT_AT_ONCE):
                part = customer_ids[begin : begin + KEPT_AT_ONCE]
                with scope.records() as session:
                    keep(scope, session, (channel_id, app_key), listed, part, reason=reason, source=source)
