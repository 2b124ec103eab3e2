"""Microsegments: combinations of clusters within a stage - fitted rarely, assigned daily, with figures of the day."""

from datetime import date
from itertools import product

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport.access.scope import Scope
from rapport.insight import work
from rapport.insight.estimation import clusters, fits
from rapport.insight.models import Microsegment
from rapport.insight.stages import STAGE_ID, stage_rules
from rapport.stores.records import next_id
from rapport.stores.warehouse import identifier

SAMPLE_PER_STAGE = 20_000
KIND = "microsegments"

_COLUMNS = ", ".join(f"toFloat64(ifNull({identifier(column)}, 0)) AS c{i}" for i, column in enumerate(clusters.COLUMNS))


def stage_kind(stage_id: int) -> str:
    """The kind under which a stage's clusters are kept."""
    return f"{KIND}:{stage_id}"


def fit_microsegments(scope: Scope, data_date: date) -> None:
    """Cluster the customers of every stage whose clusters are missing, were made of too few, or are old."""
    sizes = stage_sizes(scope, data_date)
    for stage_id in clusters.LAYERS:
        fit = fits.fit_for(scope, stage_kind(stage_id), data_date)
        small = fit is not None and fit.report["customers"] < clusters.SMALLEST_STAGE <= sizes.get(stage_id, 0)
        if fits.is_due(scope, stage_kind(stage_id), data_date, fit) or small:
            _fit_stage(scope, data_date, stage_id, sizes.get(stage_id, 0))


def _staged(data_date: date) -> str:
    return f"SELECT *, {STAGE_ID} AS lifecycle_stage_id FROM {work.table('features', data_date)}"  # noqa: S608 - ours


def stage_sizes(scope: Scope, data_date: date) -> dict[int, int]:
    """How many customers each stage has that has any."""
    sql = f"SELECT lifecycle_stage_id, count() FROM ({_staged(data_date)}) GROUP BY lifecycle_stage_id"  # noqa: S608 - ours
    return dict(scope.warehouse.rows(sql, **stage_rules(scope).parameters()))


def _sample(scope: Scope, data_date: date, stage_id: int) -> dict[str, clusters.Floats]:
    sql = f"""
        SELECT {_COLUMNS} FROM ({_staged(data_date)})
        WHERE lifecycle_stage_id = {{stage_id:UInt8}} ORDER BY sipHash64(customer_id), customer_id LIMIT {{size:UInt32}}
    """  # noqa: S608 - ours
    parameters = {"stage_id": stage_id, "size": SAMPLE_PER_STAGE, **stage_rules(scope).parameters()}
    customers = scope.warehouse.arrow(sql, **parameters)
    return {column: np.asarray(customers[f"c{i}"], dtype=float) for i, column in enumerate(clusters.COLUMNS)}


def _fit_stage(scope: Scope, data_date: date, stage_id: int, size: int) -> None:
    kind = stage_kind(stage_id)
    later = fits.first_after(scope, kind, data_date)
    earlier = fits.fit_for(scope, kind, data_date) or later  # whose ids clusters that are nearly the same take
    old = (
        {layer["name"]: clusters.FittedLayer.from_json(layer) for layer in earlier.parameters["layers"]}
        if earlier
        else {}
    )
    sample = _sample(scope, data_date, stage_id)
    layers = []
    for layer in clusters.LAYERS[stage_id]:
        points = np.column_stack([sample[column] for column in layer.columns])
        layers.append(clusters.fit_layer(layer, points if len(points) else np.zeros((1, len(layer.columns)))))
    with scope.records() as session:
        for fitted in layers:
            clusters.number(fitted, old.get(fitted.name), lambda: next_id(session, scope.tenant_id, "cluster"))
        ids = _combinations(scope, session, stage_id, layers, newest=later is None)
    parameters = {"layers": [fitted.as_json() for fitted in layers], "microsegments": ids}
    fits.keep_fit(scope, kind, data_date, parameters, {"customers": size, "microsegments": len(ids)})


def _combinations(
    scope: Scope, session: Session, stage_id: int, layers: list[clusters.FittedLayer], newest: bool
) -> list[int]:
    """The microsegment of every combination of clusters, made where new.

    Those of the stage that the newest fit does not make retire; a fit of a past date names and retires nothing.
    """
    mine = (Microsegment.tenant_id == scope.tenant_id, Microsegment.stage_id == stage_id)
    segments = {tuple(segment.clusters): segment for segment in session.scalars(select(Microsegment).where(*mine))}
    stage_name = stage_rules(scope).names()[stage_id]
    ids = []
    for combination in product(*(layer.clusters for layer in layers)):
        key = tuple(cluster.id for cluster in combination)
        name = "-".join([stage_name, *(cluster.label for cluster in combination if cluster.label)])
        if key not in segments:
            number = next_id(session, scope.tenant_id, "microsegment")
            segments[key] = Microsegment(
                tenant_id=scope.tenant_id, id=number, stage_id=stage_id, clusters=list(key), name=name
            )
            segments[key].retired = not newest
            session.add(segments[key])
        if newest:
            segments[key].name = name
        ids.append(segments[key].id)
    for segment in segments.values() if newest else ():
        segment.retired = segment.id not in ids
    return ids


def microsegment_sql(scope: Scope, data_date: date) -> tuple[str, dict[str, object]]:
    """SQL for the microsegment id of a customer with lifecycle_stage_id, and what it binds."""
    stages = []
    for stage_id in clusters.LAYERS:
        fit = fits.fit_for(scope, stage_kind(stage_id), data_date)
        if fit is not None:
            layers = [clusters.FittedLayer.from_json(layer) for layer in fit.parameters["layers"]]
            stages.append((stage_id, layers, fit.parameters["microsegments"]))
    return clusters.microsegment_sql(stages)


def update_figures(scope: Scope, data_date: date) -> None:
    """Give microsegments the size, mean future value and churn rate of a date, unless they have newer figures."""
    sql = f"""
        SELECT microsegment_id, count(), avg(future_value), avg(churn_probability)
        FROM {work.table("scores", data_date)} GROUP BY microsegment_id
    """  # noqa: S608 - ours
    figures = {row[0]: row[1:] for row in scope.warehouse.rows(sql)}
    mine = Microsegment.tenant_id == scope.tenant_id
    with scope.records() as session:
        for segment in session.scalars(select(Microsegment).where(mine)).all():
            if segment.figures_date is None or segment.figures_date <= data_date:
                without_customers = (0, segment.future_value, segment.churn_rate)
                segment.customers, segment.future_value, segment.churn_rate = figures.get(segment.id, without_customers)
                segment.figures_date = data_date


def microsegment_names(scope: Scope) -> dict[int, str]:
    """Microsegment id to name."""
    with scope.reads() as session:
        rows = session.execute(
            select(Microsegment.id, Microsegment.name).where(Microsegment.tenant_id == scope.tenant_id)
        )
        return {row.id: row.name for row in rows}
