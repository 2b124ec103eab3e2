"""What notifications hold of persons: deliveries that name them."""

from typing import Any

from rapport.access.personal_data import Anonymised, Erased, PersonalData
from rapport.access.scope import Scope
from rapport.notifications import erasure


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    return {"deliveries": erasure.naming(scope, customer_id)}


def _anonymise(scope: Scope, anonymised: Anonymised) -> None:
    erasure.forget(scope, anonymised.customer_ids)


def _erase(scope: Scope, erased: Erased) -> int:
    return erasure.forget(scope, [erased.customer_id])


PERSONAL_DATA = PersonalData(
    "notifications",
    records={"deliveries": ("event_key", "body")},
    export=_export,
    anonymise=_anonymise,
    erase=_erase,
)
