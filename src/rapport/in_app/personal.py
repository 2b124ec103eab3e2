"""What is held of persons in apps: their in-app messages, which say what was written to whom."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import delete, select

from rapport.access.personal_data import Anonymised, Erased, PersonalData
from rapport.access.scope import Scope
from rapport.in_app.models import InAppMessage, InAppUser


def messages_of(scope: Scope, customer_id: str) -> Sequence[InAppMessage]:
    """All messages of a user that are kept, in any spelling of the id."""
    theirs = (InAppMessage.tenant_id == scope.tenant_id, InAppMessage.customer_key == customer_id.lower())
    with scope.reads() as session:
        return session.scalars(select(InAppMessage).where(*theirs).order_by(InAppMessage.id)).all()


def forget(scope: Scope, customer_id: str) -> int:
    """Drop the messages of an erased person; how many there were."""
    key = customer_id.lower()
    with scope.records() as session:
        theirs = (InAppMessage.tenant_id == scope.tenant_id, InAppMessage.customer_key == key)
        gone = session.scalars(delete(InAppMessage).where(*theirs).returning(InAppMessage.id)).all()
        session.execute(delete(InAppUser).where(InAppUser.tenant_id == scope.tenant_id, InAppUser.customer_key == key))
    return len(gone)


def _anonymise(scope: Scope, anonymised: Anonymised) -> None:
    """Drop the messages that say who somebody is."""
    keys = [customer_id.lower() for customer_id in anonymised.customer_ids]
    theirs = (InAppMessage.tenant_id == scope.tenant_id, InAppMessage.customer_key.in_(keys))
    with scope.records() as session:
        for message in session.scalars(select(InAppMessage).where(*theirs)):
            parts = orjson.dumps([message.content, message.data, message.inbox])
            if anonymised.texts.are_in(parts.decode()):
                session.delete(message)


def _export(scope: Scope, customer_id: str) -> dict[str, list[Any]]:
    return {"in_app_messages": list(messages_of(scope, customer_id))}


def _erase(scope: Scope, erased: Erased) -> int:
    return forget(scope, erased.customer_id)


PERSONAL_DATA = PersonalData(
    "in_app",
    records={"in_app_messages": ("customer_id", "customer_key"), "in_app_users": ("customer_key",)},
    export=_export,
    anonymise=_anonymise,
    erase=_erase,
)
