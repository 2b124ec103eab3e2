"""One look at staged rows: how many there are, and whether any could be doubled, refused or suspicious.

Most files have nothing to tell, so each of its figures only says whether it is worth to ask more.
"""

from dataclasses import dataclass

from rapport.customers.importing import inspection, look_alikes
from rapport.customers.importing.column_plans import Plan
from rapport.customers.importing.merging import has_duplicates, key_hash
from rapport.customers.importing.staging import Stage, put_aside
from rapport.stores.warehouse.slices import BYTES_A_KEY

UNTYPED = "event of no known type"


@dataclass(frozen=True)
class Survey:
    """rows are the good ones, aside those that were put aside; signs are those seen, see inspection."""

    rows: int
    aside: int
    doubled: bool
    signs: frozenset[str]


def survey(stage: Stage, plan: Plan, *, small: bool) -> Survey:
    """Look at the staged rows. small: they are few enough for a set of all their keys."""
    at_once = small or stage.count("good") <= stage.warehouse.at_once(BYTES_A_KEY)
    figures_by_sign = inspection.figures_sql(plan) | look_alikes.figures_sql(plan)
    figures_by_sign |= {UNTYPED: "countIf(event_type_id = 0)"} if plan.event_types else {}
    aside = put_aside(plan)
    doubled = f"countIf(NOT {aside}) - uniqExactIf({key_hash(plan)}, NOT {aside})" if at_once else "0"
    figures = ", ".join(["count()", f"countIf({aside})", doubled, *figures_by_sign.values()])
    rows, aside_count, doubles, *sign_counts = stage.warehouse.row(f"SELECT {figures} FROM {stage.table('good')}") or ()  # noqa: S608 - names of columns
    seen_signs = frozenset(name for name, figure in zip(figures_by_sign, sign_counts, strict=True) if figure)
    return Survey(
        rows - aside_count, aside_count, bool(doubles) if at_once else has_duplicates(stage, plan), seen_signs
    )
