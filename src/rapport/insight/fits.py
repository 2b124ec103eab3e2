"""Fits kept in the records: which one scores a date, and when a new one is due.

A date is scored by the newest fit made of data up to it; dates before the first fit use the first.
So a date that is computed again, in whatever order, is scored as it was.
"""

from datetime import date, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.insight.models import ModelFit

FUTURE_VALUE = "future value"
REFIT_DAYS = {"microsegments": 90, FUTURE_VALUE: 30}


def fit_for(scope: Scope, kind: str, data_date: date) -> ModelFit | None:
    """The fit that scores a date, or None before the first."""
    mine = select(ModelFit).where(ModelFit.tenant_id == scope.tenant_id, ModelFit.kind == kind)
    with scope.records() as session:
        newest = mine.where(ModelFit.data_date <= data_date).order_by(ModelFit.data_date.desc()).limit(1)
        return session.scalar(newest) or session.scalar(mine.order_by(ModelFit.data_date).limit(1))


def is_due(scope: Scope, kind: str, data_date: date, fit: ModelFit | None) -> bool:
    """Whether the data of a date should be fitted: never done, asked for, or longer ago than the tenant's period."""
    if fit is None:
        return True
    default = REFIT_DAYS[kind.split(":")[0]]
    days = int(scope.settings.get("refit_days", {}).get(kind.split(":")[0], default))
    return data_date - fit.data_date >= timedelta(days=days)


def keep_fit(scope: Scope, kind: str, data_date: date, parameters: dict[str, Any], report: dict[str, Any]) -> None:
    """Keep what was learned from a date; a fit of the same date is replaced."""
    values = {"parameters": parameters, "report": report, "fitted_at": scope.clock.now()}
    statement = insert(ModelFit).values(tenant_id=scope.tenant_id, kind=kind, data_date=data_date, **values)
    with scope.records() as session:
        session.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "kind", "data_date"], set_=values))
