"""Clusters: ids that survive a refit, the same nearest centre in SQL and in Python."""

from itertools import count

import numpy as np
import pytest

from rapport.access.scope import Scope
from rapport.insight.estimation import clusters
from rapport.insight.stages import ACTIVE


def sample(seed: int, groups: tuple[float, ...] = (10, 80, 600)) -> np.ndarray:
    draw = np.random.default_rng(seed)
    value = np.concatenate([draw.lognormal(np.log(group), 0.15, 200) for group in groups])
    return np.column_stack([value, value / 3])


def numbered(points: np.ndarray, ids: count, old: clusters.FittedLayer | None = None) -> clusters.FittedLayer:
    fitted = clusters.fit_layer(clusters.VALUE, points)
    clusters.number(fitted, old, lambda: next(ids))
    return fitted


def test_clusters_are_found_and_named_from_low_to_high() -> None:
    fitted = numbered(sample(1), count(1))
    assert [cluster.label for cluster in fitted.clusters] == ["Low value", "Middle value", "High value"]
    assert np.expm1(fitted.centres()[:, 0]) == pytest.approx([10, 80, 600], rel=0.05)


def test_ids_survive_a_refit_to_nearly_the_same_customers() -> None:
    ids = count(1)
    first = numbered(sample(1), ids)
    again = numbered(sample(2), ids, first)
    assert [cluster.id for cluster in again.clusters] == [cluster.id for cluster in first.clusters] == [1, 2, 3]


def test_a_centre_that_moved_far_is_a_new_cluster() -> None:
    ids = count(1)
    first = numbered(sample(1), ids)
    moved = numbered(sample(2, (10, 80, 60_000)), ids, first)
    assert [cluster.id for cluster in moved.clusters] == [1, 2, 4]


def test_few_customers_or_one_value_make_one_cluster_without_a_label() -> None:
    for points in (sample(1)[:20], np.zeros((500, 2))):
        fitted = numbered(points, count(1))
        assert [(cluster.id, cluster.label) for cluster in fitted.clusters] == [(1, "")]


def test_nearest_centre_in_sql_is_the_one_in_python(scope: Scope) -> None:
    layers = [numbered(sample(1), count(1)), clusters.fit_layer(clusters.RECENCY, sample(3)[:, :1])]
    sql, bound = clusters.microsegment_sql([(ACTIVE, layers, [11, 12, 13, 14, 15, 16])])
    points = np.column_stack([sample(4), np.random.default_rng(6).permutation(sample(5)[:, 0])])
    row = "SELECT 2 AS lifecycle_stage_id, a AS TOTAL_ORDER_AMOUNT, b AS AVERAGE_ORDER_AMOUNT, c AS days_since_last"
    found = scope.warehouse.rows(
        f"SELECT {sql} FROM ({row} FROM (SELECT point.1 AS a, point.2 AS b, point.3 AS c FROM (SELECT arrayJoin("
        "{points:Array(Tuple(Float64, Float64, Float64))}) AS point)))",
        points=[tuple(map(float, point)) for point in points],
        **bound,
    )
    columns = (points[:, :2], points[:, 2:])
    nearest = [
        np.argmin(
            [
                (((np.log1p(given) - layer.mean) / layer.scale - cluster.centre) ** 2).sum(axis=1)
                for cluster in layer.clusters
            ],
            axis=0,
        )
        for layer, given in zip(layers, columns, strict=True)
    ]
    assert [segment for (segment,) in found] == (11 + nearest[0] * 2 + nearest[1]).tolist()
    assert len(set(found)) == 6
