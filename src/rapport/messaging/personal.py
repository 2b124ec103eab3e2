"""What messaging holds of persons: their wishes, addresses that get nothing, and whom channels do not reach.

Nothing of it identifies anybody beyond the id, so that a removal of identifying data leaves it; an erasure keeps the
wishes, under a pseudonym.
"""

from typing import Any

from rapport.access.personal_data import Erased, PersonalData
from rapport.access.scope import Scope
from rapport.messaging import erasure
from rapport.messaging.contactability import unreached
from rapport.messaging.contactability.preferences import preferences
from rapport.messaging.contactability.suppressions import list_suppressions

MOST_SHOWN = 1000


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    return {
        "suppressions": list(list_suppressions(scope, customer_id, limit=MOST_SHOWN)),
        "preferences": list(preferences(scope, customer_id)),
    }


def _erase(scope: Scope, erased: Erased) -> int:
    return erasure.forget(scope, erased.customer_id)


PERSONAL_DATA = PersonalData(
    "messaging",
    records={
        "suppressions": ("customer_key", "customer_id"),
        "suppressed_addresses": ("customer_key", "mark"),
        "soft_bounces": ("mark",),
        "channel_preferences": ("customer_key", "customer_id"),
    },
    made_tables=unreached.tables,
    export=_export,
    erase=_erase,
)
