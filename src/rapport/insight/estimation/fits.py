"""Fits kept in the records: which one scores a date, and when a new one is due.

A date is scored by the newest fit made of data up to it, and makes its own where there is none: no fit has seen
what came after. So a date that is computed again, in whatever order, is scored as it was.
"""

from datetime import date, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from rapport.access.scope import Scope
from rapport.access.tenant_settings import tenant_settings
from rapport.insight.models import ModelFit
from rapport.insight.settings import InsightSettings

FUTURE_VALUE = "future value"
REFIT = "refit"  # a member of the report of a fit that is to be made anew


def fit_for(scope: Scope, kind: str, data_date: date) -> ModelFit | None:
    """The fit that scores a date, or None before the first."""
    mine = select(ModelFit).where(ModelFit.tenant_id == scope.tenant_id, ModelFit.kind == kind)
    newest = mine.where(ModelFit.data_date <= data_date).order_by(ModelFit.data_date.desc()).limit(1)
    with scope.reads() as session:
        return session.scalar(newest)


def first_after(scope: Scope, kind: str, data_date: date) -> ModelFit | None:
    """The earliest fit of data later than a date."""
    mine = select(ModelFit).where(ModelFit.tenant_id == scope.tenant_id, ModelFit.kind == kind)
    later = mine.where(ModelFit.data_date > data_date).order_by(ModelFit.data_date).limit(1)
    with scope.reads() as session:
        return session.scalar(later)


def is_due(scope: Scope, kind: str, data_date: date, fit: ModelFit | None) -> bool:
    """Whether the data of a date should be fitted: never done, asked for, or longer ago than the tenant's period."""
    if fit is None or fit.report.get(REFIT):
        return True
    settings = tenant_settings(scope, InsightSettings)
    days = settings.future_value_refit_days if kind == FUTURE_VALUE else settings.microsegment_refit_days
    return data_date - fit.data_date >= timedelta(days=days)


def keep_fit(
    scope: Scope,
    kind: str,
    data_date: date,
    parameters: dict[str, Any],
    report: dict[str, Any],
    trees: bytes | None = None,
) -> None:
    """Keep what was learned from a date; a fit of the same date is replaced."""
    values = {"parameters": parameters, "report": report, "trees": trees, "fitted_at": scope.clock.now()}
    statement = insert(ModelFit).values(tenant_id=scope.tenant_id, kind=kind, data_date=data_date, **values)
    with scope.records() as session:
        session.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "kind", "data_date"], set_=values))


def newest_fits(scope: Scope) -> list[ModelFit]:
    """The newest fit of every kind, by kind."""
    mine = select(ModelFit).where(ModelFit.tenant_id == scope.tenant_id)
    with scope.reads() as session:
        fits = session.scalars(mine.order_by(ModelFit.kind, ModelFit.data_date))
        return list({fit.kind: fit for fit in fits}.values())


def ask_for_refit(scope: Scope) -> None:
    """Have the next cycle fit every model anew, whatever the age of the present fits."""
    with scope.records() as session:
        for fit in newest_fits(scope):
            fit.report = {**fit.report, REFIT: True}
            session.merge(fit)
        scope.audit(session, "refit", "models")
