"""Value segments: bands of customers by future value, with the tenant's names and shares."""

from collections.abc import Sequence
from itertools import accumulate

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.errors import Invalid
from rapport.insight.models import ValueSegment

DEFAULTS = (("Top", 0.1), ("High", 0.2), ("Middle", 0.3), ("Base", 0.4))
MOST_SEGMENTS = 20
ROUNDING = 1e-6


def value_segments(scope: Scope) -> list[ValueSegment]:
    """The tenant's segments by id; the defaults come to exist at the first question."""
    mine = select(ValueSegment).where(ValueSegment.tenant_id == scope.tenant_id).order_by(ValueSegment.id)
    with scope.records() as session:
        segments = list(session.scalars(mine))
        if not segments:
            session.execute(insert(ValueSegment).values(_rows(scope, DEFAULTS)).on_conflict_do_nothing())
            segments = list(session.scalars(mine))
        return segments


def _rows(scope: Scope, bands: Sequence[tuple[str, float]]) -> list[dict[str, object]]:
    return [
        {"tenant_id": scope.tenant_id, "id": number, "name": name, "share": share}
        for number, (name, share) in enumerate(bands, 1)
    ]


def define_value_segments(scope: Scope, bands: Sequence[tuple[str, float]]) -> list[ValueSegment]:
    """Replace the bands, most valuable first; the next cycle applies them.

    Raises Invalid: too few or many, a name that is empty or used twice, shares that are not the whole.
    """
    names = [name.strip() for name, _ in bands]
    if not 1 <= len(bands) <= MOST_SEGMENTS:
        raise Invalid(f"segments must be from 1 to {MOST_SEGMENTS}.")
    if "" in names or len({name.lower() for name in names}) < len(names):
        raise Invalid("name must not be empty or used twice.")
    if any(share <= 0 for _, share in bands) or abs(sum(share for _, share in bands) - 1) > ROUNDING:
        raise Invalid("share must be above 0 in every segment, and the shares must add up to 1.")
    rows = _rows(scope, [(name, share) for name, (_, share) in zip(names, bands, strict=True)])
    with scope.records() as session:
        session.execute(delete(ValueSegment).where(ValueSegment.tenant_id == scope.tenant_id))
        session.execute(insert(ValueSegment).values(rows))
        scope.audit(session, "change", "value segments", segments=[{"name": n, "share": s} for n, s in bands])
    return value_segments(scope)


def cuts(scope: Scope) -> list[float]:
    """The share of customers that each band ends at; the last is above 1, so that nobody is left out."""
    ends = [round(end, 9) for end in accumulate(segment.share for segment in value_segments(scope))]
    return [*ends[:-1], 2.0]
