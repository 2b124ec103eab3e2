"""What apps hold of persons: their installs, the push tokens of these, and errors of push services about them."""

from typing import Any

from sqlalchemy import ColumnElement, delete, select, update

from rapport.access.personal_data import Anonymised, Erased, PersonalData
from rapport.access.scope import Scope
from rapport.apps.models import Install, ProviderError

ANONYMISED = "The customer's identifying data was removed."


def _installs_of(scope: Scope, persons: list[str]) -> tuple[ColumnElement[bool], ...]:
    return Install.tenant_id == scope.tenant_id, Install.person.in_(persons)


def _errors_of(scope: Scope, persons: list[str]) -> tuple[ColumnElement[bool], ...]:
    return ProviderError.tenant_id == scope.tenant_id, ProviderError.person.in_(persons)


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    persons = [customer_id.lower()]
    with scope.reads() as session:
        installs = session.scalars(select(Install).where(*_installs_of(scope, persons)).order_by(Install.created_at))
        errors = session.scalars(select(ProviderError).where(*_errors_of(scope, persons)).order_by(ProviderError.id))
        return {"app_installs": list(installs), "push_errors": list(errors)}


def _anonymise(scope: Scope, anonymised: Anonymised) -> None:
    persons = [customer_id.lower() for customer_id in anonymised.customer_ids]
    ended = {"token_ended_at": scope.clock.now(), "token_end_reason": ANONYMISED}
    with scope.records() as session:
        session.execute(delete(ProviderError).where(*_errors_of(scope, persons)))
        statement = update(Install).where(*_installs_of(scope, persons))
        session.execute(statement.values(token=None, token_type=None, token_key=None, device="", **ended))


def _erase(scope: Scope, erased: Erased) -> int:
    persons = [erased.customer_id.lower()]
    with scope.records() as session:
        session.execute(delete(ProviderError).where(*_errors_of(scope, persons)))
        gone = session.scalars(delete(Install).where(*_installs_of(scope, persons)).returning(Install.install_id))
        return len(gone.all())


PERSONAL_DATA = PersonalData(
    "apps",
    records={
        "installs": ("install_id", "customer_id", "person", "token", "device"),
        "provider_errors": ("install_id", "customer_id", "person"),
    },
    export=_export,
    anonymise=_anonymise,
    erase=_erase,
)
