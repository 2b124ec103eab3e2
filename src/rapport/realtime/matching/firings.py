"""Firings: what becomes of triggers that were met, from the decision to the accounts of the campaign."""

from typing import Any

from sqlalchemy import select

from rapport.access.scope import Scope
from rapport.realtime.matching.candidates import Candidate
from rapport.realtime.matching.deciding import decide
from rapport.realtime.matching.releasing import conclude, refuse, release, wake
from rapport.realtime.models import Firing
from rapport.realtime.recording.ended_firings import file_batch
from rapport.realtime.recording.pending_receipts import unfiled
from rapport.stores.parts import Part, part

__all__ = [
    "Candidate",
    "conclude",
    "decide",
    "file_batch",
    "firings",
    "refuse",
    "release",
    "unfiled",
    "wake",
]


def firings(scope: Scope, series_id: int, limit: int = 100, offset: int = 0, **filters: Any) -> Part[Firing]:
    """The firings of a triggered campaign, newest first; filters are columns of Firing and their values."""
    query = select(Firing).where(Firing.tenant_id == scope.tenant_id, Firing.series_id == series_id)
    query = query.filter_by(**{name: value for name, value in filters.items() if value not in (None, "")})
    with scope.reads() as session:
        return part(session, query.order_by(Firing.id.desc()), limit, offset)
