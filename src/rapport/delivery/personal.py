"""What delivery holds of persons: messages under way, what came back about them and is not recorded yet, and who has
an address of a campaign, by mark and pseudonym.

Messages of firings go with the firings, in real time.
"""

from typing import Any

from rapport.access.personal_data import Erased, PersonalData
from rapport.access.scope import Scope
from rapport.delivery import reading
from rapport.delivery.returns import events


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    return {"messages": reading.under_way(scope, customer_id), "mail_events": events.waiting_of(scope, customer_id)}


def _erase(scope: Scope, erased: Erased) -> int:
    return events.forget(scope, erased.customer_id)


PERSONAL_DATA = PersonalData(
    "delivery",
    records={"messages": ("customer_id",), "firing_addresses": ("mark", "holder"), "mail_events": ("customer_id",)},
    export=_export,
    erase=_erase,
)
