"""What is held of persons to whom applications sent: which address or device got what, until the log drops it."""

from typing import Any

from rapport.access.personal_data import Anonymised, Erased, PersonalData
from rapport.access.scope import Scope
from rapport.transactional import erasure
from rapport.transactional.pushes import erasure as push_erasure


def _anonymise(scope: Scope, anonymised: Anonymised) -> None:
    erasure.forget_addresses(scope, anonymised.texts.addresses)


def _erase(scope: Scope, erased: Erased) -> int:
    pushed = push_erasure.forget_customer(scope, erased.customer_id)
    return erasure.forget_customer(scope, erased.customer_id) + pushed


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    return erasure.held(scope, customer_id) | push_erasure.held(scope, customer_id)


PERSONAL_DATA = PersonalData(
    "transactional",
    records={
        "transactional_recipients": ("address", "mark", "customer_id", "person", "personalizations"),
        "push_recipients": ("customer_id", "person", "install_id"),
    },
    export=_export,
    anonymise=_anonymise,
    erase=_erase,
)
