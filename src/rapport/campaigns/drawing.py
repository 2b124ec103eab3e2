"""Who of a run is held back: exactly so many of each group as the share says, those with the lowest lots.

A lot is a hash of campaign and customer, so that a run draws alike however often it is processed, and each campaign
anew. The share is one of those who could be reached. Customers who share an address have one lot, and are one. In a
series whose customers keep their groups, lots are of the series, and those below the share itself are held back.
"""

# ruff: noqa: S608 - statements are put together of constants, checked identifiers and numbers

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.splits import held_back, keeps_groups

MOST = 2**64 - 1
LOTS = "FROM {stage} WHERE verdict = ''"
SIZES = f"SELECT grp, count() {LOTS} GROUP BY grp"
SIZES_OF_UNITS = f"SELECT grp, count() FROM (SELECT DISTINCT grp, lot {LOTS}) GROUP BY grp"
HIGHEST = """
    SELECT {group} AS grp, lot FROM (
        SELECT {distinct} lot FROM {stage} WHERE lot <= {bound} AND verdict = '' AND grp = {group}
        ORDER BY lot LIMIT {n}, 1
    )
"""
DRAWN = """(
        SELECT customer_id, reason, grp, faults,
            if(verdict = '' AND lot <= {highest}[grp], 'control', verdict) AS verdict
        FROM {stage}
    )"""


def drawn(scope: Scope, stage: str, plan: Mapping[str, Any], is_shared: bool) -> str:
    """SQL of the rows of a stage (quoted name) with control among their verdicts; is_shared: some have one lot."""
    groups, control_share = len(plan["groups"]), plan["control_share"]
    if keeps_groups(plan):
        highest = [int(MOST * control_share)] * groups
    else:
        highest = _of_exact_numbers(scope, stage, groups, control_share, is_shared)
    return DRAWN.format(stage=stage, highest=f"CAST({highest}, 'Array(UInt64)')")


def _of_exact_numbers(scope: Scope, stage: str, groups: int, control_share: float, is_shared: bool) -> list[int]:
    """The highest lot that is held back of each group, by how many of each are to be."""
    found = scope.warehouse.rows((SIZES_OF_UNITS if is_shared else SIZES).format(stage=stage))
    counted = {int(group): int(size) for group, size in found}
    sizes = [counted.get(group, 0) for group in range(1, groups + 1)]
    wanted = held_back(sizes, control_share)
    bounds = [_bound(count, size) for count, size in zip(wanted, sizes, strict=True)]
    return _highest_lots(scope, stage, wanted, bounds, is_shared)


def _bound(count: int, size: int) -> int:
    """A lot below which so many of a group are, but for one chance in a thousand million: fewer lots are sorted."""
    return min(MOST, int(MOST * (count + 6 * sqrt(count)) / size)) if size else 0


def _highest_lots(scope: Scope, stage: str, wanted: Sequence[int], bounds: Sequence[int], is_shared: bool) -> list[int]:
    """The highest lot of each group that is held back; 0, which nobody has, where nobody is."""
    distinct = "DISTINCT" if is_shared else ""
    selects = [
        HIGHEST.format(stage=stage, group=group, distinct=distinct, bound=bound, n=count - 1)
        for group, (count, bound) in enumerate(zip(wanted, bounds, strict=True), start=1)
        if count
    ]
    rows = scope.warehouse.rows(" UNION ALL ".join(selects)) if selects else []
    if len(rows) < len(selects):
        return _highest_lots(scope, stage, wanted, [MOST] * len(wanted), is_shared)
    found = {int(group): int(lot) for group, lot in rows}
    return [found.get(group, 0) for group in range(1, len(wanted) + 1)]
