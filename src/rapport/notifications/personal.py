"""What notifications hold of persons: deliveries that name them."""

from typing import Any

from rapport.access.personal_data import Anonymised, Erased, PersonalData
from rapport.access.scope import Scope
from rapport.notifications import erasure


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    return {"deliveries": erasure.naming(scope, customer_id)}


def _anonymise(scope: Scope, of: Anonymised) -> None:
    erasure.forget(scope, of.customer_ids)


def _erase(scope: Scope, of: Erased) -> int:
    return erasure.forget(scope, [of.customer_id])


PERSONAL_DATA = PersonalData(
    "notifications",
    records={"deliveries": ("event_key", "body")},
    export=_export,
    anonymise=_anonymise,
    erase=_erase,
)
