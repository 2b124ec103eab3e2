"""Who of a run is in which group, and who is held back: exactly so many as the shares say, by lots.

A lot is a hash of campaign and customer, so that a run draws alike however often it is processed, and each campaign
anew. Groups that reach the same people are drawn from one urn: those with its lowest lots are held back, the next are
in the first group, and so on. Between groups that reach different people a hash decides, since who can be reached
hangs on it. The share of control is one of those who could be reached. Customers who share an address have one lot,
and are one.

In a series whose customers keep their groups, a hash of the series decides on the group, and lots, which are of the
series too, below the share itself are held back.
"""

# ruff: noqa: S608 - statements are put together of constants and numbers

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from rapport.access.scope import Scope
from rapport.campaigns.plans import Plan
from rapport.campaigns.runs.splits import divided, held_back
from rapport.conditions.outcomes import Outcome

LARGEST_LOT = 2**64 - 1
LOTS = "FROM {stage} WHERE verdict = ''"
SIZES = f"SELECT grp, count() {LOTS} GROUP BY grp"
SIZES_OF_UNITS = f"SELECT grp, count() FROM (SELECT DISTINCT grp, lot {LOTS}) GROUP BY grp"
BOUNDS = f"SELECT quantilesExact({{levels}})(lot) FROM (SELECT {{distinct}} lot {LOTS} AND grp IN ({{groups}}))"
DRAWN = f"""(
        SELECT staged.customer_id AS customer_id, staged.reason AS reason, staged.faults AS faults, {{group}} AS grp,
            staged.zone AS zone, staged.best_hour AS best_hour,
            if(staged.verdict = '' AND ({{control}}), '{Outcome.CONTROL}', staged.verdict) AS verdict
        FROM {{stage}} AS staged
    )"""


@dataclass(frozen=True)
class _Urn:
    """Groups that reach the same people, with the highest lot of each segment: held back from each, then in each."""

    groups: Sequence[int]
    bounds: Sequence[int]

    @property
    def control(self) -> str:
        """SQL of whether a row is held back."""
        return f"{self._in_urn} AND staged.lot <= {self.bounds[len(self.groups) - 1]}"

    @property
    def branches(self) -> list[str]:
        """Branches of a multiIf: condition and group of every segment. Who is kept out stays in the group of the hash.

        So does who cannot be reached.
        """
        drawn = f"staged.verdict = '' AND {self._in_urn}"
        groups = [*self.groups, *self.groups]
        return [f"{drawn} AND staged.lot <= {upto}, {group}" for group, upto in zip(groups, self.bounds, strict=True)]

    @property
    def _in_urn(self) -> str:
        return f"staged.grp IN ({', '.join(map(str, self.groups))})"


def drawn(scope: Scope, stage: str, plan: Plan, alike: Sequence[Sequence[int]], *, is_shared: bool) -> str:
    """SQL of the rows of a stage (quoted name) with control among their verdicts.

    alike: for each group those that reach the same people; is_shared: some rows have one lot.
    """
    if plan.rules.keeps_groups:
        control = f"staged.lot <= {int(LARGEST_LOT * plan.control_share)}"
        return DRAWN.format(stage=stage, group="staged.grp", control=control)
    urns = _urns(scope, stage, plan, alike, is_shared)
    branches = ", ".join(branch for urn in urns if len(urn.groups) > 1 for branch in urn.branches)
    group = f"toUInt16(multiIf({branches}, staged.grp))" if branches else "staged.grp"
    return DRAWN.format(stage=stage, group=group, control=" OR ".join(urn.control for urn in urns) or "false")


def _urns(scope: Scope, stage: str, plan: Plan, alike: Sequence[Sequence[int]], is_shared: bool) -> list[_Urn]:
    """The urns of a run that hold anybody."""
    rows = scope.warehouse.rows((SIZES_OF_UNITS if is_shared else SIZES).format(stage=stage))
    counted = {int(group): int(size) for group, size in rows}
    members = list(dict.fromkeys(tuple(alike_groups) for alike_groups in alike))
    sizes = [sum(counted.get(group, 0) for group in groups) for groups in members]
    shares = plan.divided_by
    urns = []
    for groups, size, control_size in zip(members, sizes, held_back(sizes, plan.control_share), strict=True):
        of_groups = [shares[group - 1] for group in groups]
        if size:
            ends = [*accumulate([*divided(control_size, of_groups), *divided(size - control_size, of_groups)])]
            urns.append(_Urn(groups, _bounds(scope, stage, groups, size, ends, is_shared)))
    return urns


def _bounds(
    scope: Scope, stage: str, groups: Sequence[int], size: int, ends: Sequence[int], is_shared: bool
) -> list[int]:
    """The lots at some places among those of an urn."""
    distinct, numbers = "DISTINCT" if is_shared else "", ", ".join(map(str, groups))
    return lots_at(scope, BOUNDS.format(stage=stage, levels="{levels}", distinct=distinct, groups=numbers), size, ends)


def lots_at(scope: Scope, sql: str, size: int, ends: Sequence[int], **parameters: Any) -> list[int]:
    """The lots at some places, from 1, among so many lots in their order; 0, which nobody has, at the place 0.

    sql selects their quantiles at {levels}.
    """
    places = sorted({end for end in ends if end})
    if not places:
        return [0] * len(ends)
    levels = ", ".join(repr((place - 0.5) / size) for place in places)
    lots = dict(zip(places, scope.warehouse.value(sql.replace("{levels}", levels), **parameters), strict=True))
    return [int(lots[end]) if end else 0 for end in ends]
