"""What messaging holds of persons: their wishes, addresses that get nothing, and whom channels do not reach.

Beyond the id, addresses of suppressions identify somebody: a removal of identifying data leaves their marks alone. An
erasure keeps the wishes, under a pseudonym.
"""

from typing import Any

from rapport.access.personal_data import Anonymised, Erased, PersonalData
from rapport.access.scope import Scope
from rapport.messaging import erasure
from rapport.messaging.contactability import consent_log, suppressed_addresses, unreached
from rapport.messaging.contactability.exclusions import exclusions
from rapport.messaging.contactability.preferences import preferences
from rapport.messaging.contactability.suppressions import list_suppressions
from rapport.messaging.topics import subscriptions

MOST_SHOWN = 1000


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    return {
        "suppressions": list(list_suppressions(scope, customer_id, limit=MOST_SHOWN)),
        "exclusions": list(exclusions(scope, customer_id, limit=MOST_SHOWN)),
        "preferences": list(preferences(scope, customer_id)),
        "topics": list(subscriptions.subscriptions_of(scope, customer_id)),
        "consent_changes": list(consent_log.changes(scope, customer_id, limit=MOST_SHOWN)),
    }


def _erase(scope: Scope, erased: Erased) -> int:
    return erasure.forget(scope, erased.customer_id, erased.address_marks)


def _anonymise(scope: Scope, anonymised: Anonymised) -> None:
    with scope.records() as session:
        suppressed_addresses.forget_addresses_like(scope, session, anonymised.texts.are_in)


PERSONAL_DATA = PersonalData(
    "messaging",
    records={
        "suppressions": ("customer_key", "customer_id"),
        "exclusions": ("customer_key", "customer_id"),
        "suppressed_addresses": ("customer_key", "mark", "address"),
        "topic_subscriptions": ("customer_key", "customer_id"),
        "consent_changes": ("customer_key", "customer_id"),
        "preference_link_requests": ("mark", "address"),
        "keyword_replies": ("mark", "address"),
        "short_links": ("customer_key",),
        "soft_bounces": ("mark",),
        "channel_preferences": ("customer_key", "customer_id"),
    },
    made_tables=unreached.tables,
    export=_export,
    anonymise=_anonymise,
    erase=_erase,
)
