"""Deliveries that name a person: found for an export, dropped for an erasure."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import ARRAY, BigInteger, CollectionAggregate, any_, cast, delete, select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.notifications.models import Delivery

AT_ONCE = 1000


def naming(scope: Scope, customer_id: str) -> list[Delivery]:
    """Deliveries whose payload holds a CustomerID as one of its texts, ignoring case; oldest first."""
    with scope.records() as session:
        ids = list(_naming(scope, session, [customer_id]))
        mine = select(Delivery).where(Delivery.tenant_id == scope.tenant_id, Delivery.id == _any(ids))
        return list(session.scalars(mine.order_by(Delivery.id)))


def forget(scope: Scope, customer_ids: Iterable[str]) -> int:
    """Drop every delivery that names one of these persons, posted or not; how many those were."""
    with scope.records() as session:
        ids = list(_naming(scope, session, customer_ids))
        session.execute(delete(Delivery).where(Delivery.tenant_id == scope.tenant_id, Delivery.id == _any(ids)))
    return len(ids)


def _any(ids: list[int]) -> CollectionAggregate[Any]:
    """Any of ids, however many: as one bound value."""
    return any_(cast(ids, ARRAY(BigInteger)))


def _naming(scope: Scope, session: Session, customer_ids: Iterable[str]) -> Iterator[int]:
    keys = {customer_id.lower() for customer_id in customer_ids}
    statement = select(Delivery.id, Delivery.event_key, Delivery.body).where(Delivery.tenant_id == scope.tenant_id)
    for number, event_key, body in session.execute(statement.execution_options(yield_per=AT_ONCE)):
        # The standard reader takes what may stand in a body of before, such as half an emoji.
        texts = {text.lower() for text in [*_texts(json.loads(body)), *event_key.split(":")]}
        if not keys.isdisjoint(texts):
            yield number


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for element in value.values() if isinstance(value, dict) else value:
            yield from _texts(element)
