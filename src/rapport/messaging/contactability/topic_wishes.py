"""Who is subscribed to a topic on the channels of a number, as rules about messages ask.

What somebody said of a topic stands in topic_subscriptions; who has said nothing is as the topic says. The addresses of
who unsubscribed are kept beside those of suppressions, at the topic's own place, so that no other record of the same
person gets the topic either.
"""

from collections.abc import Collection

from sqlalchemy import text

from rapport.access.scope import Scope
from rapport.messaging.contactability.purposes import Purpose

SUBSCRIBED = text("""
    SELECT customer_id FROM topic_subscriptions
    WHERE tenant_id = :tenant_id AND topic_id = :topic_id AND wire_channel_id = :wire_channel_id AND subscribed
""")
AMONG = text("""
    SELECT customer_key FROM topic_subscriptions
    WHERE tenant_id = :tenant_id AND topic_id = :topic_id AND wire_channel_id = :wire_channel_id AND subscribed
        AND customer_key = ANY(CAST(:keys AS text[]))
""")


def _bound(scope: Scope, purpose: Purpose) -> dict[str, object]:
    return {
        "tenant_id": scope.tenant_id,
        "topic_id": purpose.topic_id,
        "wire_channel_id": purpose.wire_channel_id,
    }


def subscribed(scope: Scope, purpose: Purpose) -> list[str]:
    """The customers who have subscribed to the topic of a purpose, by id."""
    with scope.stores.records.reading() as connection:
        return [str(customer_id) for (customer_id,) in connection.execute(SUBSCRIBED, _bound(scope, purpose))]


def not_subscribed(scope: Scope, purpose: Purpose, customer_ids: Collection[str]) -> list[str]:
    """Those of some customers, by id in lower case, who have not subscribed to the topic of a purpose."""
    keys = {customer_id.lower() for customer_id in customer_ids}
    with scope.stores.records.reading() as connection:
        rows = connection.execute(AMONG, {**_bound(scope, purpose), "keys": sorted(keys)})
        return sorted(keys - {str(key) for (key,) in rows})
