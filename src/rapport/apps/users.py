"""Users of an app with their installs: customers, and installs of nobody known, which are users of their own."""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import case, select

from rapport.access.scope import Scope
from rapport.apps.models import Install
from rapport.errors import NotFound


@dataclass(frozen=True)
class User:
    """A user by the identifier that the app has for it: a CustomerID, or else the id of the one install."""

    identifier: str
    is_customer: bool
    installs: list[Install]


# Of an install of nobody known, its own id stands beside no person.
NOBODYS = case((Install.person.is_(None), Install.install_id), else_="")


def user(scope: Scope, app_id: int, identifier: str) -> User:
    """A user by the identifier, a CustomerID in any case. Raises NotFound."""
    mine = (Install.tenant_id == scope.tenant_id, Install.app_id == app_id)
    is_customers = Install.person == identifier.lower()
    is_own = Install.person.is_(None) & (Install.install_id == identifier)
    with scope.reads() as session:
        query = select(Install).where(*mine, is_customers | is_own).order_by(Install.seen_at.desc())
        installs = list(session.scalars(query))
    customers = [install for install in installs if install.customer_id is not None]
    if not installs:
        raise NotFound(f"There is no user {identifier!r}.")
    return _user(customers or installs)


def users(scope: Scope, app_id: int, limit: int, offset: int) -> list[User]:
    """A page of the users of an app, customers first, each kind by id."""
    mine = (Install.tenant_id == scope.tenant_id, Install.app_id == app_id)
    keys = select(Install.person, NOBODYS.label("own")).where(*mine).group_by(Install.person, NOBODYS)
    page = keys.order_by(Install.person.collate("C").nulls_last(), NOBODYS.collate("C")).limit(limit).offset(offset)
    installs = defaultdict[tuple[str | None, str], list[Install]](list)
    with scope.reads() as session:
        page_keys = [(row.person, row.own) for row in session.execute(page)]
        persons = [person for person, _ in page_keys if person is not None]
        own = [install_id for person, install_id in page_keys if person is None]
        theirs = Install.person.in_(persons) | (Install.person.is_(None) & Install.install_id.in_(own))
        for install in session.scalars(select(Install).where(*mine, theirs).order_by(Install.seen_at.desc())):
            installs[install.person, "" if install.person else install.install_id].append(install)
    return [_user(installs[key]) for key in page_keys if key in installs]


def _user(installs: list[Install]) -> User:
    newest = installs[0]
    return User(newest.customer_id or newest.install_id, newest.customer_id is not None, installs)
