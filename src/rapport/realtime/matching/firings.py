"""The firings of a triggered campaign as they are listed, and those of a person."""

from typing import Any

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.realtime.models import Firing
from rapport.stores.parts import Part, part


def firings(scope: Scope, series_id: int, limit: int = 100, offset: int = 0, **filters: Any) -> Part[Firing]:
    """The firings of a triggered campaign, newest first; filters are columns of Firing and their values."""
    query = select(Firing).where(Firing.tenant_id == scope.tenant_id, Firing.series_id == series_id)
    query = query.filter_by(**{name: value for name, value in filters.items() if value not in (None, "")})
    with scope.reads() as session:
        return part(session, query.order_by(Firing.id.desc()), limit, offset)


def fired_for(scope: Scope, person: str, beginning: str) -> list[Firing]:
    """The firings of a person whose keys begin with a text, the oldest first, as long as they are kept."""
    query = select(Firing).where(
        Firing.tenant_id == scope.tenant_id, Firing.person == person, Firing.event_key.startswith(beginning)
    )
    with scope.reads() as session:
        return list(session.scalars(query.order_by(Firing.id)))
