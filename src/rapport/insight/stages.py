"""Lifecycle stages: which exist, the tenant's rules, and the rules as SQL.

Every customer is in exactly one stage on a date D. With F the day of the first purchase, L of the
last, and A the day that ended the latest gap with a day in Churn: no purchase - Dormant;
D - L > churn - Churn; D - A < reactivated - Reactivated; D - F < new - New; otherwise Active. All
of it follows from the purchases up to D alone, so any date can be computed again at any time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.errors import Invalid
from rapport.insight.models import LifecycleStage

DEFAULTS = (
    (1, "new", "New", 30),
    (2, "active", "Active", 0),
    (3, "reactivated", "Reactivated", 30),
    (4, "churn", "Churn", 60),
    (5, "dormant", "Dormant", 30),
)
NEW, ACTIVE, REACTIVATED, CHURN, DORMANT = (stage_id for stage_id, *_ in DEFAULTS)
LIVE = (NEW, ACTIVE, REACTIVATED)
BUYERS = (*LIVE, CHURN)
LONGEST_DAYS = 3650

# Columns of the features table that the stage follows from; see insight.features.
STAGE_ID = """multiIf(
        purchase_days = 0, 5,
        days_since_last > {churn_days:Int32}, 4,
        reactivation_day > toDate(0) AND days_since_reactivation < {reactivated_days:Int32}, 3,
        days_since_first < {new_days:Int32}, 1,
        2)"""
STAGE_START = """multiIf(
        lifecycle_stage_id = 5, ifNull(registration_day, {data_date:Date}),
        lifecycle_stage_id = 4, last_day + {churn_days:Int32} + 1,
        lifecycle_stage_id = 3, reactivation_day,
        lifecycle_stage_id = 1, first_day,
        reactivation_day > toDate(0), reactivation_day + {reactivated_days:Int32},
        first_day + {new_days:Int32})"""
PREVIOUS_STAGE_ID = """multiIf(
        lifecycle_stage_id = 5, 0,
        lifecycle_stage_id = 4, 2,
        lifecycle_stage_id = 3, 4,
        lifecycle_stage_id = 1, if(registration_day < first_day, 5, 0),
        reactivation_day > toDate(0), 3,
        1)"""
DORMANT_TYPE = """multiIf(
        purchase_days > 0, NULL,
        dateDiff('day', registration_day, {data_date:Date}) > {dormant_days:Int32}, 'Never active',
        'Prospect')"""


@dataclass(frozen=True)
class StageRules:
    """The tenant's stages by kind. The days of new and reactivated are at most those of churn."""

    stages: dict[str, LifecycleStage]

    def days(self, kind: str) -> int:
        """The number of a kind's rule."""
        return self.stages[kind].days

    def names(self) -> dict[int, str]:
        """Stage id to name."""
        return {stage.id: stage.name for stage in self.stages.values()}

    def parameters(self) -> dict[str, int]:
        """What the SQL of the rules binds."""
        return {f"{kind}_days": self.days(kind) for kind in ("new", "reactivated", "churn", "dormant")}


def stage_rules(scope: Scope) -> StageRules:
    """The tenant's stages; the defaults come to exist at the first question."""
    with scope.records() as session:
        rows = [
            {"tenant_id": scope.tenant_id, "id": stage_id, "kind": kind, "name": name, "days": days}
            for stage_id, kind, name, days in DEFAULTS
        ]
        session.execute(insert(LifecycleStage).values(rows).on_conflict_do_nothing())
        stages = session.scalars(
            select(LifecycleStage).where(LifecycleStage.tenant_id == scope.tenant_id).order_by(LifecycleStage.id)
        )
        return StageRules({stage.kind: stage for stage in stages})


def change_stage_rules(scope: Scope, days: Mapping[str, int], names: Mapping[str, str]) -> StageRules:
    """Change numbers and names by kind; kinds left out stay. The next cycle applies them. Raises Invalid."""
    rules = stage_rules(scope)
    _check({kind: days.get(kind, rules.days(kind)) for kind in rules.stages})
    new_names = [names.get(kind, stage.name).strip().lower() for kind, stage in rules.stages.items()]
    if "" in new_names or len(set(new_names)) < len(new_names):
        raise Invalid("name must not be empty or used twice.")
    with scope.records() as session:
        for kind, stage in rules.stages.items():
            stage.days = days.get(kind, stage.days)
            stage.name = names.get(kind, stage.name).strip()
            session.merge(stage)
        scope.audit(session, "change", "lifecycle rules", days=dict(days), names=dict(names))
    return stage_rules(scope)


def _check(days: Mapping[str, int]) -> None:
    for kind, number in days.items():
        if kind != "active" and not 1 <= number <= LONGEST_DAYS:
            raise Invalid(f"{kind} must be from 1 to {LONGEST_DAYS} days.")
    for kind in ("new", "reactivated"):
        if days[kind] > days["churn"]:
            raise Invalid(f"{kind} must not be more days than churn, which is {days['churn']}.")
