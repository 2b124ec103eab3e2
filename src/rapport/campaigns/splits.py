"""How the customers of a run are divided: into control and recipient groups."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

# Shares are turned into cuts of this many parts; a customer's hash falls between two cuts.
PARTS = 1_000_000
DRAWS = 20_000


def cuts(shares: Sequence[float]) -> list[int]:
    """Upper cuts, in parts of a million, of groups with these shares; the last is the whole."""
    total = sum(shares)
    found = [round(PARTS * part / total) for part in accumulate(shares)]
    return [*found[:-1], PARTS]


def thompson_shares(seed: int, responses: Sequence[tuple[int, int]], min_share: float) -> list[float]:
    """Shares in proportion to each group's probability of being the best, given (responders, customers) so far.

    Beta(1 + responders, 1 + others) is sampled per group (Thompson 1933; Scott 2010, section 3); no
    group falls below min_share. The seed makes a repeated run come to the same shares.
    """
    generator = np.random.default_rng(seed)
    columns = [generator.beta(1 + hits, 1 + size - hits, DRAWS) for hits, size in responses]
    best = np.bincount(np.argmax(np.stack(columns), axis=0), minlength=len(responses)) / DRAWS
    free = 1 - min_share * len(responses)
    return [round(float(min_share + free * share), 6) for share in best]


def shares_of(groups: Sequence[dict[str, Any]]) -> list[float]:
    """The shares a marketer gave."""
    return [float(group["share"]) for group in groups]
