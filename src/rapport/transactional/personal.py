"""What transactional mail holds of persons: to which address what was sent, until the log drops it."""

from rapport.access.personal_data import Anonymised, Erased, PersonalData
from rapport.access.scope import Scope
from rapport.transactional import erasure


def _anonymise(scope: Scope, anonymised: Anonymised) -> None:
    erasure.forget_addresses(scope, anonymised.texts.addresses)


def _erase(scope: Scope, erased: Erased) -> int:
    return erasure.forget_customer(scope, erased.customer_id)


PERSONAL_DATA = PersonalData(
    "transactional",
    records={"transactional_recipients": ("address", "mark", "personalizations")},
    export=erasure.held,
    anonymise=_anonymise,
    erase=_erase,
)
