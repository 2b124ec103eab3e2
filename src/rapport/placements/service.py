"""Placements of a tenant: saved under a key, listed, deleted."""

from sqlalchemy import CursorResult, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.errors import Conflict, NotFound
from rapport.placements.definitions import PlacementDefinition
from rapport.placements.models import Placement
from rapport.stores.records import hold

MOST_PLACEMENTS = 1000


def placements(scope: Scope) -> list[Placement]:
    """The tenant's placements, by key."""
    with scope.reads() as session:
        mine = select(Placement).where(Placement.tenant_id == scope.tenant_id)
        return list(session.scalars(mine.order_by(Placement.key.collate("C"))))


def placement(scope: Scope, key: str) -> Placement:
    """A placement. Raises NotFound."""
    with scope.reads() as session:
        stored = session.get(Placement, (scope.tenant_id, key))
    if stored is None:
        raise NotFound(f"There is no placement {key!r}.")
    return stored


def save_placement(scope: Scope, key: str, definition: PlacementDefinition) -> Placement:
    """Create a placement, or replace the one with this key. Raises Invalid, and Conflict for too many."""
    definition.require_valid()
    now, values = scope.clock.now(), definition.columns()
    identity = {"tenant_id": scope.tenant_id, "key": key}
    statement = insert(Placement).values(**identity, **values, created_at=now, updated_at=now)
    statement = statement.on_conflict_do_update(index_elements=list(identity), set_={**values, "updated_at": now})
    with scope.records() as session:
        hold(session, scope.tenant_id, "placements")
        saved = session.scalars(statement.returning(Placement), execution_options={"populate_existing": True}).one()
        mine = select(func.count()).where(Placement.tenant_id == scope.tenant_id)
        if (session.scalar(mine) or 0) > MOST_PLACEMENTS:
            raise Conflict(f"A tenant may have at most {MOST_PLACEMENTS} placements.")
        scope.audit(session, "save", f"placement {key}")
    return saved


def delete_placement(scope: Scope, key: str) -> None:
    """Delete a placement. Raises NotFound."""
    mine = (Placement.tenant_id == scope.tenant_id, Placement.key == key)
    with scope.records() as session:
        deleted = session.execute(delete(Placement).where(*mine))
        if not (isinstance(deleted, CursorResult) and deleted.rowcount):
            raise NotFound(f"There is no placement {key!r}.")
        scope.audit(session, "delete", f"placement {key}")
