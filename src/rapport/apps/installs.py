"""Installs as they are looked at: one by its id, those of a search, and what push services refused."""

from sqlalchemy import exists, select

from rapport.access.scope import Scope
from rapport.apps.models import Install, ProviderError
from rapport.errors import NotFound
from rapport.stores.parts import Part, part


def is_installed(scope: Scope, app_id: int, install_id: str) -> bool:
    """Whether an install is known."""
    mine = (Install.tenant_id == scope.tenant_id, Install.app_id == app_id, Install.install_id == install_id)
    with scope.reads() as session:
        return bool(session.scalar(select(exists().where(*mine))))


def install(scope: Scope, app_id: int, install_id: str) -> Install:
    """An install by its id. Raises NotFound."""
    with scope.reads() as session:
        there = session.get(Install, (scope.tenant_id, app_id, install_id))
    if there is None:
        raise NotFound(_missing(app_id, install_id))
    return there


def delete_install(scope: Scope, app_id: int, install_id: str) -> None:
    """Delete an install. Raises NotFound."""
    with scope.records() as session:
        there = session.get(Install, (scope.tenant_id, app_id, install_id))
        if there is None:
            raise NotFound(_missing(app_id, install_id))
        session.delete(there)
        scope.audit(session, "delete", f"an install of app {app_id}")


def _missing(app_id: int, install_id: str) -> str:
    return f"There is no install {install_id!r} of app {app_id}."


def search(scope: Scope, app_id: int, customer_id: str | None, limit: int, offset: int) -> Part[Install]:
    """The installs of an app, of one customer or of all; those seen last come first."""
    statement = select(Install).where(Install.tenant_id == scope.tenant_id, Install.app_id == app_id)
    if customer_id is not None:
        statement = statement.where(Install.person == customer_id.lower())
    with scope.reads() as session:
        return part(session, statement.order_by(Install.seen_at.desc(), Install.install_id), limit, offset)


def provider_errors(scope: Scope, app_id: int, install_id: str | None, limit: int, offset: int) -> Part[ProviderError]:
    """What push services refused of an app, of one install or of all, newest first."""
    statement = select(ProviderError).where(ProviderError.tenant_id == scope.tenant_id, ProviderError.app_id == app_id)
    if install_id is not None:
        statement = statement.where(ProviderError.install_id == install_id)
    with scope.reads() as session:
        return part(session, statement.order_by(ProviderError.id.desc()), limit, offset)
