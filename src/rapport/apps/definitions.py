"""The apps of a tenant: made, changed and deleted; their keys, which are shown when they are made."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from rapport.access.digests import digest
from rapport.access.scope import Scope
from rapport.apps.credentials import new_api_key, new_key, new_vapid_keys
from rapport.apps.models import UNIQUE_APP_NAME, App, Banner, DeepLink, DeviceEventKey, Install, ProviderError
from rapport.errors import NotFound
from rapport.stores.records import hold, next_id, unique_name

MAX_ID = 2**31 - 1


@dataclass(frozen=True)
class MadeApp:
    """An app with the keys that were made for it, None where none was. The server key itself is kept nowhere."""

    app: App
    secret_key: str | None
    server_key: str | None


def apps(scope: Scope) -> list[App]:
    """The tenant's apps, by id."""
    with scope.reads() as session:
        return list(session.scalars(select(App).where(App.tenant_id == scope.tenant_id).order_by(App.id)))


def app(scope: Scope, app_id: int) -> App:
    """An app by id. Raises NotFound."""
    with scope.reads() as session:
        return _get(scope, session, app_id)


def web_app(scope: Scope) -> App | None:
    """The app that browsers are which name the tenant alone; None when there is none."""
    with scope.reads() as session:
        return session.scalar(select(App).where(App.tenant_id == scope.tenant_id, App.for_web))


def create_app(scope: Scope, name: str, web_settings: dict[str, Any], *, for_web: bool) -> MadeApp:
    """Make an app with keys of its own. Raises Conflict when the name is taken.

    for_web: browsers that name the tenant alone are this one's from now on, and no other's.
    """
    secret_key, server_key, vapid, now = new_key(), new_key(), new_vapid_keys(), scope.clock.now()
    with scope.records() as session, unique_name(UNIQUE_APP_NAME, "an app", name):
        hold(session, scope.tenant_id, "apps")
        if for_web:
            _take_web(scope, session)
        app = App(
            tenant_id=scope.tenant_id,
            id=next_id(session, scope.tenant_id, "device_app"),
            name=name.strip(),
            api_key=new_api_key(),
            secret_key=secret_key,
            secret_key_hash=digest(secret_key),
            server_key_hash=digest(server_key),
            vapid_public_key=vapid.public,
            vapid_private_key=vapid.private,
            for_web=for_web,
            web_settings=web_settings,
            created_at=now,
            updated_at=now,
        )
        session.add(app)
        session.flush()
        scope.audit(session, "create", f"app {app.id}", name=app.name, for_web=for_web)
    return MadeApp(app, secret_key, server_key)


def change_app(scope: Scope, app_id: int, changes: dict[str, Any]) -> App:
    """Change name, for_web or web_settings of an app. Raises NotFound; Conflict when the name is taken."""
    with scope.records() as session, unique_name(UNIQUE_APP_NAME, "an app", str(changes.get("name", ""))):
        hold(session, scope.tenant_id, "apps")
        changed = _get(scope, session, app_id)
        if changes.get("for_web"):
            _take_web(scope, session)
        for member, value in changes.items():
            setattr(changed, member, value.strip() if member == "name" else value)
        changed.updated_at = scope.clock.now()
        session.flush()
        scope.audit(session, "change", f"app {app_id}", **changes)
    return changed


def rotate_keys(scope: Scope, app_id: int, *, secret: bool, server: bool) -> MadeApp:
    """Give an app a new secret key, a new server key, or both; the ones before are refused at once. Raises NotFound."""
    with scope.records() as session:
        hold(session, scope.tenant_id, "apps")
        rotated = _get(scope, session, app_id)
        secret_key, server_key = new_key() if secret else None, new_key() if server else None
        if secret_key:
            rotated.secret_key, rotated.secret_key_hash = secret_key, digest(secret_key)
        if server_key:
            rotated.server_key_hash = digest(server_key)
        rotated.updated_at = scope.clock.now()
        scope.audit(session, "rotate", f"keys of app {app_id}", secret_key=secret, server_key=server)
    return MadeApp(rotated, secret_key, server_key)


def delete_app(scope: Scope, app_id: int) -> None:
    """Delete an app with its installs; its keys are refused at once. Raises NotFound."""
    with scope.records() as session:
        hold(session, scope.tenant_id, "apps")
        name = _get(scope, session, app_id).name
        for table in (Banner, DeepLink, DeviceEventKey, Install, ProviderError):
            session.execute(delete(table).where(table.tenant_id == scope.tenant_id, table.app_id == app_id))
        session.execute(delete(App).where(App.tenant_id == scope.tenant_id, App.id == app_id))
        scope.audit(session, "delete", f"app {app_id}", name=name)


def _take_web(scope: Scope, session: Session) -> None:
    session.execute(update(App).where(App.tenant_id == scope.tenant_id, App.for_web).values(for_web=False))


def _get(scope: Scope, session: Session, app_id: int) -> App:
    there = session.get(App, (scope.tenant_id, app_id)) if app_id <= MAX_ID else None
    if there is None:
        raise NotFound(f"There is no app {app_id}.")
    return there
