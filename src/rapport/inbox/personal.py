"""What inboxes hold of persons: the messages to them. Those to visitors go with the visitors, in real time."""

from typing import Any

from rapport.access.personal_data import Anonymised, Erased, PersonalData
from rapport.access.scope import Scope
from rapport.inbox import forgetting


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    return {"inbox_messages": forgetting.held(scope, [customer_id.lower()])}


def _anonymise(scope: Scope, anonymised: Anonymised) -> None:
    forgetting.forget_texts(scope, anonymised.customer_ids, anonymised.texts)


def _erase(scope: Scope, erased: Erased) -> int:
    with scope.records() as session:
        return forgetting.forget(scope, session, [erased.customer_id.lower()])


PERSONAL_DATA = PersonalData(
    "inbox",
    records={"inbox_messages": ("person", "customer_id")},
    export=_export,
    anonymise=_anonymise,
    erase=_erase,
)
