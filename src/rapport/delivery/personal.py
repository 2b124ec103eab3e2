"""What delivery holds of persons: messages under way, and who has an address of a campaign, by mark and pseudonym.

Messages of firings go with the firings, in real time.
"""

from typing import Any

from rapport.access.personal_data import PersonalData
from rapport.access.scope import Scope
from rapport.delivery import reading


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    return {"messages": reading.under_way(scope, customer_id)}


PERSONAL_DATA = PersonalData(
    "delivery",
    records={"messages": ("customer_id",), "firing_addresses": ("mark", "holder")},
    export=_export,
)
