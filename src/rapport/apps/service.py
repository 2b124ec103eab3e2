"""What channels ask of apps: who has an install that can do something, and which installs a customer has."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from enum import StrEnum

from sqlalchemy import ColumnElement, func, select

from rapport.access.scope import Scope
from rapport.apps.credentials import app_by_key, authenticated
from rapport.apps.models import Install

__all__ = [
    "Ability",
    "app_by_key",
    "authenticated",
    "installs_by_id",
    "installs_of",
    "installs_with_token",
    "persons_stand",
    "persons_with",
]

READ_TOGETHER = 5000


class Ability(StrEnum):
    """What an install must be able to do."""

    TAKES_PUSH = "takes push"
    SHOWS_IN_APP = "shows in-app messages"


def _able(ability: Ability) -> ColumnElement[bool]:
    if ability is Ability.TAKES_PUSH:
        return Install.token.is_not(None) & Install.notifications_enabled.is_not(False)
    return Install.in_app_consent.is_(True)


def persons_with(
    scope: Scope, ability: Ability, app_id: int | None = None, among: Collection[str] | None = None
) -> set[str]:
    """The customers, in lower case, who have an install with an ability, of one app or of all; among: of these only."""
    statement = select(Install.person).where(Install.tenant_id == scope.tenant_id, Install.person.is_not(None))
    statement = statement.where(_able(ability))
    if app_id is not None:
        statement = statement.where(Install.app_id == app_id)
    if among is not None:
        statement = statement.where(Install.person.in_([customer_id.lower() for customer_id in among]))
    with scope.reads() as session:
        return {person for person in session.scalars(statement.distinct()) if person is not None}


def persons_stand(scope: Scope) -> str:
    """A text that changes with whatever persons_with tells."""
    newest = func.max(func.greatest(Install.seen_at, Install.token_at, Install.token_ended_at))
    statement = select(func.count(Install.person), func.count(Install.token), newest)
    with scope.reads() as session:
        return str(session.execute(statement.where(Install.tenant_id == scope.tenant_id)).one())


def installs_of(scope: Scope, customer_ids: Collection[str], app_id: int | None = None) -> dict[str, list[Install]]:
    """The installs of customers, with a push token or not, of one app or of all; those seen last come first.

    The keys are the CustomerIDs as they were asked for; one without an install has no key.
    """
    asked = defaultdict[str, list[str]](list)
    for customer_id in dict.fromkeys(customer_ids):
        asked[customer_id.lower()].append(customer_id)
    statement = select(Install).where(Install.tenant_id == scope.tenant_id, Install.person.in_(list(asked)))
    if app_id is not None:
        statement = statement.where(Install.app_id == app_id)
    by_customer: dict[str, list[Install]] = {}
    with scope.reads() as session:
        for install in session.scalars(statement.order_by(Install.seen_at.desc(), Install.install_id)):
            for customer_id in asked[install.person or ""]:
                by_customer.setdefault(customer_id, []).append(install)
    return by_customer


def installs_by_id(scope: Scope, app_id: int, install_ids: Collection[str]) -> list[Install]:
    """The installs of an app of these ids; those that there are not are absent."""
    statement = select(Install).where(
        Install.tenant_id == scope.tenant_id, Install.app_id == app_id, Install.install_id.in_(list(install_ids))
    )
    with scope.reads() as session:
        return list(session.scalars(statement.order_by(Install.install_id))) if install_ids else []


def installs_with_token(scope: Scope, app_id: int) -> Iterator[Install]:
    """All installs of an app that have a push token, some at a time."""
    after = ""
    while True:
        statement = select(Install).where(
            Install.tenant_id == scope.tenant_id,
            Install.app_id == app_id,
            Install.install_id > after,
            Install.token.is_not(None),
        )
        with scope.reads() as session:
            part = list(session.scalars(statement.order_by(Install.install_id).limit(READ_TOGETHER)))
        yield from part
        if len(part) < READ_TOGETHER:
            return
        after = part[-1].install_id
