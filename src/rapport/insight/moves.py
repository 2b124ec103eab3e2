"""How many customers moved between lifecycle stages and value segments from one data date to another."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from rapport.access.scope import Scope
from rapport.insight.stages import stage_rules
from rapport.insight.values import value_segments

# 0: not a customer on that date.
MOVES = """
    SELECT stage_before, stage_after, segment_before, segment_after, count() FROM (
        SELECT sumIf(lifecycle_stage_id, data_date = {before:Date}) AS stage_before,
            sumIf(lifecycle_stage_id, data_date = {after:Date}) AS stage_after,
            sumIf(value_segment_id, data_date = {before:Date}) AS segment_before,
            sumIf(value_segment_id, data_date = {after:Date}) AS segment_after
        FROM model_results WHERE data_date IN ({before:Date}, {after:Date})
        GROUP BY customer_id
    ) GROUP BY ALL
"""


@dataclass(frozen=True)
class Move:
    """Customers who moved from one stage or segment to another; ID 0 without a name means none."""

    before_id: int
    before: str
    after_id: int
    after: str
    customers: int


@dataclass(frozen=True)
class Moves:
    """How customers moved between two data dates. came and gone count customers who existed on only one of them."""

    date_before: date
    date_after: date
    customers_before: int
    customers_after: int
    came: int
    gone: int
    lifecycle_stages: list[Move]
    value_segments: list[Move]


def moves(scope: Scope, before: date, after: date) -> Moves:
    """From one data date with results to another: who changed, most customers first."""
    stages: Counter[tuple[int, int]] = Counter()
    segments: Counter[tuple[int, int]] = Counter()
    for part in scope.warehouse.customer_slices("model_results"):
        for was, becomes, segment, later, customers in part.rows(MOVES, before=before, after=after):
            stages[int(was), int(becomes)] += int(customers)
            segments[int(segment), int(later)] += int(customers)
    bands = {band.id: band.name for band in value_segments(scope)}
    return Moves(
        date_before=before,
        date_after=after,
        customers_before=sum(count for (was, _), count in stages.items() if was),
        customers_after=sum(count for (_, becomes), count in stages.items() if becomes),
        came=sum(count for (was, _), count in stages.items() if not was),
        gone=sum(count for (_, becomes), count in stages.items() if not becomes),
        lifecycle_stages=_changes(stages, stage_rules(scope).names()),
        value_segments=_changes(segments, bands),
    )


def _changes(counted: Counter[tuple[int, int]], names: Mapping[int, str]) -> list[Move]:
    changed = [(pair, count) for pair, count in counted.items() if pair[0] != pair[1]]
    changed.sort(key=lambda change: (-change[1], change[0]))
    return [Move(was, names.get(was, ""), now, names.get(now, ""), count) for (was, now), count in changed]
