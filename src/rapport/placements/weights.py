"""Sums of weights by key."""

from collections.abc import Mapping
from typing import Generic, TypeVar

K = TypeVar("K")


class Weights(dict[K, float], Generic[K]):
    """What a key weighs; 0 for one that was never added to, which is not added by asking."""

    def __missing__(self, key: K) -> float:
        return 0.0


def shares(weights: Mapping[K, float]) -> dict[K, float]:
    """Weights as shares of their sum, which is above 0 unless there are none."""
    total = sum(weights.values())
    return {key: weight / total for key, weight in weights.items()}


def mixed(general: Mapping[K, float], own: Mapping[K, float], general_counts: float) -> dict[K, float]:
    """Shares of own counts, to which the shares of general weights are added as if they were so many counts more."""
    counts = sum(own.values()) + general_counts
    return {key: (own[key] + general_counts * share) / counts for key, share in shares(general).items()}
