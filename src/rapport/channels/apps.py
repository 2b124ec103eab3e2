"""The apps of external channels, under the ids that their vendors gave them."""

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.channels.models import App


def apps(scope: Scope, channel_id: int) -> list[App]:
    """The apps of a channel, by id."""
    statement = select(App).where(App.tenant_id == scope.tenant_id, App.channel_id == channel_id)
    with scope.reads() as session:
        return list(session.scalars(statement.order_by(App.app_id.collate("C"))))


def add_apps(scope: Scope, channel_id: int, names: Mapping[str, str]) -> None:
    """Register apps of a channel by id and name; one that is known, in any case, gets the new name and keeps its id."""
    now = scope.clock.now()
    by_key = {app_id.lower(): (app_id, name) for app_id, name in names.items()}
    with scope.records() as session:
        # In order of the key, so that two callers with the same apps wait for each other and never lock up.
        for key, (app_id, name) in sorted(by_key.items()):
            key_columns = {"tenant_id": scope.tenant_id, "channel_id": channel_id, "app_key": key}
            statement = insert(App).values(**key_columns, app_id=app_id, name=name, updated_at=now)
            changes = {"name": name, "updated_at": now}
            session.execute(statement.on_conflict_do_update(index_elements=list(key_columns), set_=changes))
        scope.audit(session, "save", f"apps of channel {channel_id}", apps=sorted(names))


def delete_apps(scope: Scope, session: Session, pairs: Sequence[tuple[int, str]]) -> None:
    """Remove apps by channel and id in any case, in the caller's transaction; unknown ones are no error."""
    keys = [(channel_id, app_id.lower()) for channel_id, app_id in pairs]
    statement = delete(App).where(App.tenant_id == scope.tenant_id, tuple_(App.channel_id, App.app_key).in_(keys))
    deleted = session.execute(statement.returning(App.channel_id, App.app_id)).all()
    for channel_id, app_id in sorted((row.channel_id, row.app_id) for row in deleted):
        scope.audit(session, "delete", f"app {app_id} of channel {channel_id}")
