"""Clusters of a stage's customers along layers of related attributes, and the nearest-centre rule as SQL.

A layer is clustered by k-means (fixed seed) on the logarithms of its columns, standardised over the
sample it was fitted on. Numpy and scipy see only that bounded sample; everybody is assigned
in the warehouse from the stored centres.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from rapport.insight.stages import ACTIVE, CHURN, DORMANT, NEW, REACTIVATED
from rapport.stores.warehouse import identifier

Floats = NDArray[np.float64]
SEED = 20050501
STARTS, ROUNDS = 6, 100
SMALLEST_STAGE = 60  # fewer customers are not worth a split
SAME_CENTRE = 0.5  # standard deviations


@dataclass(frozen=True)
class Layer:
    """Columns that are clustered together and the clusters' labels from the lowest first column to the highest."""

    name: str
    columns: tuple[str, ...]
    labels: tuple[str, ...]


VALUE = Layer("value", ("TOTAL_ORDER_AMOUNT", "AVERAGE_ORDER_AMOUNT"), ("Low value", "Middle value", "High value"))
FREQUENCY = Layer("frequency", ("purchase_days", "NUMBER_OF_ORDERS_3M"), ("Occasional", "Frequent"))
RECENCY = Layer("recency", ("days_since_last",), ("Recent", "Fading"))
LAPSE = Layer("lapse", ("days_since_last",), ("Lately lapsed", "Long gone"))
AFFINITY = Layer("affinity", ("NUMBER_OF_CATEGORIES", "NUMBER_OF_PRODUCTS"), ("Focused", "Broad"))
TENURE = Layer("tenure", ("DAYS_SINCE_REGISTRATION",), ("Newly registered", "Long registered"))
INTEREST = Layer("interest", ("NUMBER_OF_EVENTS_3M",), ("Quiet", "Interested"))

LAYERS: dict[int, tuple[Layer, ...]] = {
    NEW: (VALUE, FREQUENCY),
    ACTIVE: (VALUE, FREQUENCY, RECENCY),
    REACTIVATED: (VALUE, AFFINITY),
    CHURN: (VALUE, LAPSE, AFFINITY),
    DORMANT: (TENURE, INTEREST),
}
COLUMNS = tuple(sorted({column for layers in LAYERS.values() for layer in layers for column in layer.columns}))


@dataclass
class Cluster:
    """A cluster: an id of the tenant's, a label, and its centre in standardised logarithms."""

    id: int
    label: str
    centre: list[float]


@dataclass
class FittedLayer:
    """A layer's clusters and the means and scales that standardise its columns."""

    name: str
    columns: list[str]
    mean: list[float]
    scale: list[float]
    clusters: list[Cluster]

    def as_json(self) -> dict[str, Any]:
        """For the records."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "FittedLayer":
        """From the records."""
        return cls(**{**data, "clusters": [Cluster(**cluster) for cluster in data["clusters"]]})

    def centres(self) -> Floats:
        """The centres as logarithms, so that fits with different scales can be compared."""
        return np.array([cluster.centre for cluster in self.clusters]) * self.scale + self.mean


def fit_layer(layer: Layer, sample: Floats) -> FittedLayer:
    """The clusters of a layer in a sample (a row a customer, a column a column); ids are 0 until numbered."""
    logs = np.log1p(np.maximum(sample, 0))
    mean, scale = logs.mean(axis=0), logs.std(axis=0)
    scale[scale < 1e-9] = 1.0
    points = (logs - mean) / scale
    count = min(len(layer.labels), len(np.unique(points.round(6), axis=0)))
    if len(points) < SMALLEST_STAGE or count < 2:
        centres = points.mean(axis=0, keepdims=True)
    else:
        centres = _k_means(points, count)
    centres = centres[np.lexsort(centres.T[::-1])]
    clusters = [Cluster(0, label, c.tolist()) for label, c in zip(_labels(layer, len(centres)), centres, strict=True)]
    return FittedLayer(layer.name, list(layer.columns), mean.tolist(), scale.tolist(), clusters)


def _k_means(points: Floats, count: int) -> Floats:
    """The centres of so many clusters: the tightest of some starts that k-means++ chose (fixed seeds)."""
    fits: list[tuple[float, Floats]] = []
    vq = (
        scipy.cluster.vq
    )  # a cycle has loaded what it needs; scikit-learn takes a second to load, for one fit in months
    for start in range(STARTS):
        with suppress(vq.ClusterError):  # a cluster became empty
            centres, nearest_centre = vq.kmeans2(
                points, count, iter=ROUNDS, minit="++", missing="raise", seed=SEED + start
            )
            fits.append((float(((points - centres[nearest_centre]) ** 2).sum()), centres))
    if not fits:
        middle: Floats = points.mean(axis=0, keepdims=True)
        return middle
    return min(fits, key=lambda fit: fit[0])[1]


def _labels(layer: Layer, count: int) -> tuple[str, ...]:
    """Labels for as many clusters as were found; a layer that splits nothing has no label."""
    if count == 1:
        return ("",)
    return layer.labels if count == len(layer.labels) else (layer.labels[0], layer.labels[-1])


def number(new: FittedLayer, old: FittedLayer | None, next_id: Callable[[], int]) -> None:
    """Give clusters their ids: that of the nearest old cluster where the centre is nearly the same, else a new one."""
    matched: dict[int, Cluster] = {}
    if old is not None and old.columns == new.columns:
        gaps = (new.centres()[:, None, :] - old.centres()[None, :, :]) / new.scale
        distance = np.sqrt((gaps**2).mean(axis=2))
        for i, j in zip(*(indices.tolist() for indices in scipy.optimize.linear_sum_assignment(distance)), strict=True):
            if distance[i, j] < SAME_CENTRE and bool(old.clusters[j].label) == bool(new.clusters[i].label):
                matched[i] = old.clusters[j]
    for i, cluster in enumerate(new.clusters):
        cluster.id = matched[i].id if i in matched else next_id()


def nearest(layer: FittedLayer, prefix: str) -> tuple[str, dict[str, Any]]:
    """SQL for the position (from 0) of the nearest cluster of a layer, and the numbers that it binds.

    Each axis is written once and the centres are bound as one array: a statement has this for every layer, and
    what it takes to read a statement grows with its length.
    """
    if len(layer.clusters) == 1:
        return "0", {}
    parameters = {
        f"{prefix}_mean": layer.mean,
        f"{prefix}_scale": layer.scale,
        f"{prefix}_centres": [cluster.centre for cluster in layer.clusters],
    }
    squares = " + ".join(
        f"pow((log1p(greatest(toFloat64(ifNull({identifier(column)}, 0)), 0)) - {{{prefix}_mean:Array(Float64)}}[{i}])"
        f" / {{{prefix}_scale:Array(Float64)}}[{i}] - centre[{i}], 2)"
        for i, column in enumerate(layer.columns, 1)
    )
    distances = f"arrayMap(centre -> {squares}, {{{prefix}_centres:Array(Array(Float64))}})"
    return f"arrayReduce('argMin', range({len(layer.clusters)}), {distances})", parameters


def microsegment_sql(stages: Iterable[tuple[int, list[FittedLayer], list[int]]]) -> tuple[str, dict[str, Any]]:
    """SQL for a customer's microsegment id by stage and nearest clusters, and what it binds.

    Each stage comes with its layers and the ids of its combinations, the last layer counting fastest.
    """
    branches: list[str] = []
    parameters: dict[str, Any] = {}
    for stage_id, layers, ids in stages:
        position = "0"
        for i, layer in enumerate(layers):
            cluster_position, numbers = nearest(layer, f"l{stage_id}_{i}")
            parameters |= numbers
            position = f"({position}) * {len(layer.clusters)} + {cluster_position}"
        parameters[f"microsegments_{stage_id}"] = ids
        branches.append(f"lifecycle_stage_id = {stage_id}, {{microsegments_{stage_id}:Array(UInt32)}}[{position} + 1]")
    return f"toUInt32(multiIf({', '.join(branches)}, 0))", parameters
