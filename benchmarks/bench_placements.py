"""Recommendations from the sports inventory on bets held out, against popularity; and how long a request takes.

Simulated customers bet for 28 days on games of 19 leagues. What a placement recommends to each of them then is compared
with the games on which they bet in the 24 hours after, as far as they could be bet on at that time. Popularity is what
the same placement recommends to a customer whom nobody knows. Recall at 10 is the mean, over customers who bet after,
of the share of their games that is among the ten recommended; coverage is the share of all open games that is
recommended to anybody. The time of a request is without HTTP, with other customers' bets known.

    python benchmarks/bench_placements.py [--customers N] [--seeds N]
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.demo.betting import BettingWorld, set_up
from rapport.placements.definitions import PlacementDefinition, Product, definition_of
from rapport.placements.recommending import Asked, recommend
from rapport.placements.service import placement
from rapport.settings import Settings
from rapport.stores import open_stores

LIMIT = 1.0  # recall of all seeds together must be at least that of popularity
LIMIT_MS = 50.0  # of the slowest in a hundred requests
NOW = datetime(2030, 5, 6, 12, tzinfo=UTC)
NOBODY = "nobody"


class Shown:
    """What a placement shows, and how long it took."""

    def __init__(self, scope: Scope, brand: str, definition: PlacementDefinition) -> None:
        self.scope, self.brand, self.definition = scope, brand, definition
        self.seconds: list[float] = []

    def games(self, customer_id: str) -> list[str]:
        """The keys of the games that a customer is shown."""
        began = time.perf_counter()
        items = recommend(self.scope, self.brand, self.definition, Asked(Product.SPORTS, customer_id))
        self.seconds.append(time.perf_counter() - began)
        return [item.members["eventKey"] for item in items]


def measured(lists: dict[str, list[str]], held_out: dict[str, set[str]], games: int) -> tuple[float, float]:
    """Recall at 10 and coverage of the games shown to each customer."""
    recall = statistics.mean(
        len(wanted.intersection(lists[customer])) / len(wanted) for customer, wanted in held_out.items()
    )
    return recall, len({game for shown in lists.values() for game in shown}) / games


def report(scope: Scope, customers: int, seed: int) -> tuple[float, float, float]:
    """Print the figures of one world: recall, that of popularity, and the milliseconds of the slowest requests."""
    ids = [f"B{number}" for number in range(customers)]
    world = BettingWorld(ids, NOW, seed)
    brand = set_up(scope, world, f"Bets {seed}")
    open_keys = {game.key for game in world.open_games()}
    held_out: dict[str, set[str]] = defaultdict(set)
    for bet in world.bets:
        if bet.at >= NOW and bet.game.key in open_keys:
            held_out[bet.customer_id].add(bet.game.key)
    shown = Shown(scope, brand, definition_of(placement(scope, "sports-events")))
    popular = shown.games(NOBODY)
    shown.seconds.clear()
    ours = {customer: shown.games(customer) for customer in held_out}
    recall, coverage = measured(ours, held_out, len(open_keys))
    popular_recall, popular_coverage = measured(dict.fromkeys(held_out, popular), held_out, len(open_keys))
    slowest = statistics.quantiles(shown.seconds, n=100)[-1] * 1000
    figures = {
        "name": f"placements, {customers} customers, seed {seed}",
        "customers who bet after": len(held_out),
        "open games": len(open_keys),
        "bets before": sum(bet.at < NOW for bet in world.bets),
        "recall at 10": [round(recall, 4), round(popular_recall, 4)],
        "coverage": [round(coverage, 4), round(popular_coverage, 4)],
        "ratio": round(recall / popular_recall, 3),
        "ms": [round(statistics.median(shown.seconds) * 1000, 1), round(slowest, 1)],
        "limit ms": LIMIT_MS,
    }
    print(json.dumps(figures))
    return recall, popular_recall, slowest


def main() -> int:
    """Fill a tenant for each seed, recommend, compare, print, remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-"))
    folder.chmod(0o755)
    stores = open_stores(Settings(data_dir=folder))
    stores.clock.set(NOW)
    try:
        worlds = [
            report(create_tenant(stores, f"bets {seed}", "UTC", "EUR"), options.customers, seed)
            for seed in range(1, options.seeds + 1)
        ]
        ours, popular, slowest = (statistics.mean(figures) for figures in zip(*worlds, strict=True))
        print(json.dumps({"name": "placements, all seeds", "ratio": round(ours / popular, 3), "limit": LIMIT}))
        return 0 if ours >= LIMIT * popular and slowest <= LIMIT_MS else 1
    finally:
        stores.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
